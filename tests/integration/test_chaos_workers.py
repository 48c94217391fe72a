"""Workers that are killed, frozen, joined and stopped under load, on Apache Kafka; every run audited.

Short versions run with the tests, long ones with HEADWATER_SOAK=1 (``make soak``).
"""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.integration.audit import SOAK, audit, expected, live, traffic
from tests.integration.kafka_local import LocalKafka
from tests.integration.live import LiveWorker, installed
from tests.integration.proxy import Proxy

pytestmark = pytest.mark.kafka

EVENTS = 40_000 if SOAK else 3_000
PER_S = 400.0
FROZEN_S = 40.0 if SOAK else 12.0
"""Twice the session timeout at least."""
OWNER_KILLS = 10 if SOAK else 2
SOURCES_AND_ALL = 3 * 3 + 1 + 2 * 3
"""Partitions that an installation reads: sources, control, journal and partials."""
DONE_S = 300.0 if SOAK else 90.0


def owned(worker: LiveWorker) -> int:
    """Partitions that a worker has been given; identity is followed by every one."""
    return sum(
        name == "headwater_consumer_lag_records" and not dict(labels)["topic"].endswith("identity")
        for name, labels in worker.metrics() or {}
    )


def owns(worker: LiveWorker, count: int) -> bool:
    return owned(worker) == count


async def test_killing_the_owner_of_the_coordinator_changes_no_final_row(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=31, events=EVENTS)
    wanted, end = expected(records)
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        first, second = product.worker().start(), product.worker().start()
        await product.until_ready(first, second)
        feeding = asyncio.create_task(product.send(records, per_second=PER_S / 2))
        for _ in range(OWNER_KILLS):
            await product.until(product.coordinator, "somebody owns the control topic")
            owner = product.coordinator()
            assert owner is not None
            await product.until_more_credits(owner)
            await product.kill(owner)
            owner.start()
            await product.until_ready(first, second)
        await feeding
        await product.until_done(end, DONE_S)
        print("repeated rows:", (await audit(product, wanted)).repeated)


async def test_a_worker_frozen_past_its_session_does_no_damage_that_lasts(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=32, events=EVENTS)
    wanted, end = expected(records)
    async with (
        Proxy(kafka_broker.proxied, kafka_broker.behind_proxy) as proxy,
        installed(live(kafka_broker, prefix, tmp_path)) as product,
    ):
        proxy.delay_s = 0.15  # so that acknowledgements are on their way whenever it freezes
        first, second = product.worker(via=proxy.address).start(), product.worker().start()
        await product.until_ready(first, second)
        feeding = asyncio.create_task(product.send(records, per_second=PER_S))
        await product.until_more_credits(first)
        first.freeze()
        thaw_at = asyncio.get_running_loop().time() + FROZEN_S
        await product.until(partial(owns, second, SOURCES_AND_ALL), "the other one took over", FROZEN_S)
        assert asyncio.get_running_loop().time() < thaw_at
        await asyncio.sleep(thaw_at - asyncio.get_running_loop().time())
        first.thaw()
        proxy.delay_s = 0.0
        # it ends before it sends anything of what it had ready, and a supervisor starts it again
        assert await asyncio.to_thread(first.ended) == 1
        assert "this process did not run for" in first.said()
        first.start()
        await product.until_ready(first, second)
        await feeding
        await product.until_done(end, DONE_S)
        print("repeated rows:", (await audit(product, wanted)).repeated)


async def test_workers_join_and_leave_under_load(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=33, events=EVENTS)
    wanted, end = expected(records)
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        first, second, third = (product.worker() for _ in range(3))
        feeding = asyncio.create_task(product.send(records, per_second=PER_S / 3))
        first.start()
        await product.until_more_credits(first)
        second.start()
        await product.until(partial(owned, second), "the second one works")
        third.start()
        await product.until(partial(owned, third), "the third one works")
        await product.until_ready(first, second, third)
        assert await asyncio.to_thread(first.end, signal.SIGTERM) == 0
        await product.until_ready(second, third)
        assert not feeding.done()
        await product.kill(second)
        await product.until(partial(owns, third, SOURCES_AND_ALL), "the last one owns everything")
        second.start()
        await product.until_ready(second, third)
        await feeding
        await product.until_done(end, DONE_S)
        print("repeated rows:", (await audit(product, wanted)).repeated)


async def test_sigterm_in_the_middle_of_a_rebalance_ends_a_worker_cleanly(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=34, events=1_500)
    wanted, end = expected(records)
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        first, second, third = (product.worker() for _ in range(3))
        first.start()
        second.start()
        await product.until_ready(first, second)
        await product.send(records[:800])
        await product.until_more_credits(first)
        second.freeze()  # the group waits for it
        third.start()
        await product.until(
            lambda: any("no assignment" in r for r in first.not_ready() or ()), "it rebalances"
        )
        assert await asyncio.to_thread(first.end, signal.SIGTERM, 15.0) == 0
        await product.kill(second)  # it has stood for so long that it would end by itself, or nearly
        second.start()
        await product.until_ready(second, third)
        await product.send(records[800:])
        await product.until_done(end, DONE_S)
        await audit(product, wanted)
