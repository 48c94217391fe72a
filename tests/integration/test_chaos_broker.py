"""A broker that is killed, paused, slow, cut off or that refuses a batch, under load, on Apache Kafka; all audited.

Short versions run with the tests, long ones with HEADWATER_SOAK=1 (``make soak``).
"""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.topology import CREDITS, JOURNAL, JOURNEYS
from tests.integration.audit import SOAK, audit, expected, live, traffic
from tests.integration.engine_harness import consumer
from tests.integration.kafka_local import LocalKafka
from tests.integration.live import Live, LiveWorker, installed
from tests.integration.proxy import Proxy

pytestmark = pytest.mark.kafka

EVENTS = 40_000 if SOAK else 2_500
PER_S = 400.0
PAUSED_S = 10.0
UNREADY_S = 9.0
"""Until a worker must have noticed that no broker answers."""
DONE_S = 300.0 if SOAK else 90.0
OUTAGE_LINES = 12
"""Most lines of one outage in a worker's log."""
AWAY, BACK = "no broker has answered for", "brokers answer again"


def away(worker: LiveWorker) -> bool:
    """Whether the worker says that no broker answers."""
    return any(AWAY in reason for reason in worker.not_ready() or ())


def lines_of(worker: LiveWorker) -> list[str]:
    return [line for line in worker.said().splitlines() if " WARNING " in line or " ERROR " in line]


async def test_a_paused_broker_is_an_outage_of_two_lines_and_costs_nothing(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=41, events=EVENTS)
    wanted, end = expected(records)
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        worker = product.worker().start()
        await product.until_ready(worker)
        feeding = asyncio.create_task(product.send(records, per_second=PER_S))
        await product.until_more_credits(worker)
        before = len(lines_of(worker))
        kafka_broker.pause()
        try:
            resume_at = asyncio.get_running_loop().time() + PAUSED_S
            await product.until(partial(away, worker), "the worker is not ready", UNREADY_S)
            await asyncio.sleep(resume_at - asyncio.get_running_loop().time())
        finally:
            kafka_broker.resume()
        await product.until_ready(worker)
        await feeding
        await product.until_done(end, DONE_S)
        said = lines_of(worker)[before:]
        assert sum(AWAY in line for line in said) == 1
        assert sum(BACK in line for line in said) == 1
        assert len(said) <= OUTAGE_LINES, "\n".join(said)
        assert "Traceback" not in worker.said()
        print("repeated rows:", (await audit(product, wanted)).repeated)


async def test_a_network_that_is_slow_narrow_broken_and_away_costs_nothing(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=42, events=max(EVENTS, 8_000))  # rows are to come all through it
    wanted, end = expected(records)
    async with (
        Proxy(kafka_broker.proxied, kafka_broker.behind_proxy) as proxy,
        installed(live(kafka_broker, prefix, tmp_path)) as product,
    ):
        worker = product.worker(via=proxy.address).start()
        await product.until_ready(worker)
        feeding = asyncio.create_task(product.send(records, per_second=PER_S))
        await product.until_more_credits(worker)
        proxy.delay_s = 0.3
        await more(product, 300)
        proxy.delay_s, proxy.bytes_per_s = 0.05, 200_000
        await more(product, 300)
        proxy.bytes_per_s = None
        for _ in range(3):  # every connection breaks, with requests under way
            await proxy.cut()
            await proxy.mend()
            await more(product, 100)
        proxy.stall()
        await product.until(partial(away, worker), "the worker is not ready", UNREADY_S)
        proxy.flow()
        await product.until_ready(worker)
        before = len(lines_of(worker))
        await proxy.cut()
        await product.until(partial(away, worker), "the worker is not ready", UNREADY_S)
        said = lines_of(worker)[before:]
        assert len(said) <= OUTAGE_LINES, "\n".join(said)
        await proxy.mend()
        await product.until_ready(worker)
        await feeding
        await product.until_done(end, DONE_S)
        assert worker.runs()
        print("repeated rows:", (await audit(product, wanted)).repeated)


async def test_sigterm_while_no_broker_answers_ends_a_worker_within_its_deadline(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=43, events=1_200)
    wanted, end = expected(records)
    async with (
        Proxy(kafka_broker.proxied, kafka_broker.behind_proxy) as proxy,
        installed(live(kafka_broker, prefix, tmp_path)) as product,
    ):
        worker = product.worker(via=proxy.address, stop_deadline_s=3.0).start()
        await product.until_ready(worker)
        feeding = asyncio.create_task(product.send(records, per_second=PER_S))
        await product.until_more_credits(worker)
        proxy.stall()
        await product.until(partial(away, worker), "the worker is not ready", UNREADY_S)
        code = await asyncio.to_thread(worker.end, signal.SIGTERM, 10.0)
        assert code == 1  # what was under way is not known to be written
        assert "not stopped within 3 s" in worker.said()
        proxy.flow()
        worker.start()
        await feeding
        await product.until_done(end, DONE_S)
        await audit(product, wanted)


async def test_a_batch_that_its_topic_refuses_ends_the_worker_before_the_commit(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=44, events=1_000)
    wanted, end = expected(records)
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        worker = product.worker().start()
        await product.until_ready(worker)
        await limit(product, "200")
        await product.send(records)
        assert await asyncio.to_thread(worker.ended) == 1
        assert f"for '{prefix}{JOURNEYS}': raise max.message.bytes" in worker.said()
        assert await committed(product) < await product.count(JOURNAL)
        await limit(product, "4194304")
        worker.start()
        await product.until_done(end, DONE_S)
        await audit(product, wanted)


@pytest.mark.skipif(not SOAK, reason="a node of its own: long version only")
async def test_a_broker_with_room_for_one_request_is_slow_and_costs_nothing(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=45, events=EVENTS)
    wanted, end = expected(records)
    narrow = {"queued.max.requests": "1", "num.io.threads": "1", "num.network.threads": "1"}
    with LocalKafka(tmp_path / "node", settings=narrow) as node:
        async with installed(live(node, prefix, tmp_path)) as product:
            first, second = product.worker().start(), product.worker().start()
            await product.until_ready(first, second)
            await product.send(records)
            await product.until_done(end, DONE_S)
            print("repeated rows:", (await audit(product, wanted)).repeated)


async def more(product: Live, rows: int, deadline_s: float = 40.0) -> None:
    """Wait until the worker has sent so many more credit rows."""
    goal = await product.count(CREDITS) + rows
    end = asyncio.get_running_loop().time() + deadline_s
    while await product.count(CREDITS) < goal:
        assert asyncio.get_running_loop().time() < end, f"not {rows} more rows within {deadline_s} s"
        await asyncio.sleep(0.1)


async def limit(product: Live, size: str) -> None:
    """Set the largest batch that the topic of journeys takes."""
    admin = AIOKafkaAdminClient(bootstrap_servers=product.broker)
    await admin.start()
    try:
        topic = product.prefix + JOURNEYS
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": size})]
        )
    finally:
        await admin.close()


async def committed(product: Live) -> int:
    """Sum of the group's offsets in the journal."""
    async with consumer(product.broker, product.group) as reader:
        tps = [TopicPartition(product.prefix + JOURNAL, p) for p in range(product.partitions)]
        return sum([await reader.committed(tp) or 0 for tp in tps])
