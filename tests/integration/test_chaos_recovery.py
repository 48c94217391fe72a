"""Large and compacted changelogs, and what happens to workers while they recover, on Apache Kafka; all audited.

Short versions run with the tests, long ones with HEADWATER_SOAK=1 (``make soak``).
"""

from __future__ import annotations

import asyncio
import json
import signal
from functools import partial
from pathlib import Path
from time import monotonic

import pytest
from aiokafka import TopicPartition

from streams.generator import SPAN_MS
from tests.integration.audit import END_MS, SOAK, audit, expected, live, traffic
from tests.integration.engine_harness import consumer
from tests.integration.kafka_local import LocalKafka
from tests.integration.live import Live, LiveWorker, Sent, installed
from tests.integration.proxy import Proxy

pytestmark = pytest.mark.kafka

ACCOUNTS = 1_000_000 if SOAK else 20_000
EVENTS = 2_000
NARROW = 3_000_000 if SOAK else 150_000
"""Bytes per second of one connection, so that a recovery lasts."""
STOP_S = 15.0
DONE_S = 900.0 if SOAK else 90.0
TINY = {
    "segment.ms": "200", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "1000", "min.compaction.lag.ms": "0", "delete.retention.ms": "0",
}  # fmt: skip
"""Settings of a changelog that is compacted within seconds."""
HOLES = 50
"""Offsets that compaction must have taken away in every round."""
SPREAD_PER_S = 120.0
"""Slow enough that the writes of a round lie in many segments: the last one is never compacted."""
ROUNDS = 20 if SOAK else 2


def visits(count: int) -> list[Sent]:
    """One page view for each of so many accounts, before everything that the generator makes."""
    start = END_MS - SPAN_MS - 1_000_000
    return [
        Sent("touchpoints", b"V%d" % n, json.dumps({
            "event_id": f"v{n}", "type": "page_view", "occurred_at": start + n % 1_000_000, "account_id": f"V{n}",
        }).encode())
        for n in range(count)
    ]  # fmt: skip


def joined(worker: LiveWorker) -> bool:
    """Whether the worker has an assignment."""
    reasons = worker.not_ready()
    return reasons is not None and not any("assignment" in reason for reason in reasons)


def recovering(worker: LiveWorker) -> bool:
    """Whether the worker has an assignment and reads its tables."""
    return joined(worker) and any("recovered" in reason for reason in worker.not_ready() or ())


async def test_a_large_changelog_is_read_through_stops_and_rebalances(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    accounts, records = visits(ACCOUNTS), traffic(seed=51, events=EVENTS)
    wanted, end = await asyncio.to_thread(expected, accounts + records)
    async with (
        Proxy(kafka_broker.proxied, kafka_broker.behind_proxy) as proxy,
        installed(live(kafka_broker, prefix, tmp_path)) as product,
    ):
        first = product.worker(via=proxy.address).start()
        second = product.worker()
        await product.send(accounts + records[:1_000])
        await product.until_more_credits(first, DONE_S)
        await product.kill(first)

        first.start()
        await product.until(first.address, "it has looked at the topics")
        proxy.bytes_per_s = NARROW
        await product.until(partial(recovering, first), "it recovers", DONE_S)
        began = monotonic()
        assert await asyncio.to_thread(first.end, signal.SIGTERM, STOP_S) == 0
        print(f"SIGTERM in a recovery: {monotonic() - began:.1f} s")

        proxy.bytes_per_s = None
        first.start()
        await product.until(first.address, "it has looked at the topics")
        proxy.bytes_per_s = NARROW
        await product.until(partial(recovering, first), "it recovers", DONE_S)
        second.start()  # the group rebalances while the first one reads
        await product.until(partial(joined, second), "the second one joins", DONE_S)
        await product.until(partial(recovering, first), "it recovers still", DONE_S)
        proxy.bytes_per_s = None
        began = monotonic()
        await product.until_ready(first, second, deadline_s=DONE_S)
        print(f"both ready: {monotonic() - began:.1f} s, {ACCOUNTS} accounts")

        await product.send(records[1_000:])
        await product.until_done(end, DONE_S)
        assert first.total("headwater_state_keys") > 0
        assert second.total("headwater_state_keys") > 0
        print("repeated rows:", (await audit(product, wanted)).repeated)


async def test_compaction_between_writes_and_recovery_takes_nothing_that_counts(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=52, events=700 * (ROUNDS + 1))
    wanted, end = expected(records)
    step = len(records) // (ROUNDS + 1)
    made = live(kafka_broker, prefix, tmp_path)
    made.changelog_config = TINY
    async with installed(made) as product:
        worker = product.worker().start()
        for number in range(ROUNDS):
            await product.send(records[number * step : (number + 1) * step], per_second=SPREAD_PER_S)
            await product.until_more_credits(worker)
            await until_holes(product, HOLES * (number + 1))
            await product.kill(worker)
            worker.start()
        await product.until_ready(worker)
        await product.send(records[ROUNDS * step :])
        await product.until_done(end, DONE_S)
        print("repeated rows:", (await audit(product, wanted)).repeated, "holes:", await holes(product))


async def holes(product: Live) -> int:
    """Offsets of the journey's changelog at which no record stands any more."""
    name = f"{product.group}-journey-changelog"
    found = 0
    async with consumer(product.broker) as reader:
        tps = [TopicPartition(name, p) for p in range(product.partitions)]
        starts, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
        reader.assign(tps)
        await reader.seek_to_beginning(*tps)
        found = sum(ends[tp] - starts[tp] for tp in tps)
        while any([await reader.position(tp) < ends[tp] for tp in tps]):
            for records in (await reader.getmany(timeout_ms=200)).values():
                found -= len(records)
    return found


async def until_holes(product: Live, count: int, deadline_s: float = 40.0) -> None:
    """Wait until compaction has taken so many records away."""
    end = monotonic() + deadline_s
    while (found := await holes(product)) < count:
        assert monotonic() < end, f"compaction took {found} records in {deadline_s} s"
        await asyncio.sleep(0.3)
