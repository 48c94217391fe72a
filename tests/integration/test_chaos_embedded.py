"""What can be done to workers and to the broker on the embedded broker; every run audited.

Its limits: it never ends the session of a member that is gone, so groups of several workers and frozen ones are
tested on Apache Kafka only; it does not compact; and a broker that is killed loses what it held in memory.
"""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path

from streams.embedded import EmbeddedBroker
from tests.integration.audit import SOAK, audit, expected, live, traffic
from tests.integration.engine_harness import Job, started
from tests.integration.live import installed
from tests.integration.test_chaos_broker import AWAY, BACK, away, lines_of

EVENTS = 20_000 if SOAK else 2_000
STOPS = 10 if SOAK else 3
UNREADY_S = 9.0
DONE_S = 300.0 if SOAK else 90.0


async def test_stops_and_kills_in_turn_change_no_final_row(
    embedded_broker: EmbeddedBroker, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=61, events=EVENTS)
    wanted, end = expected(records)
    async with installed(live(embedded_broker, prefix, tmp_path)) as product:
        worker = product.worker().start()
        feeding = asyncio.create_task(product.send(records, per_second=300.0))
        for number in range(STOPS):
            await product.until_more_credits(worker)
            if number % 2:
                await product.kill(worker)
            else:
                assert await asyncio.to_thread(worker.end, signal.SIGTERM) == 0
            worker.start()
        await feeding
        await product.until_done(end, DONE_S)
        print("repeated rows:", (await audit(product, wanted)).repeated)


async def test_a_pause_of_the_embedded_broker_costs_nothing(
    embedded_broker: EmbeddedBroker, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=62, events=EVENTS)
    wanted, end = expected(records)
    async with installed(live(embedded_broker, prefix, tmp_path)) as product:
        worker = product.worker().start()
        await product.until_ready(worker)
        feeding = asyncio.create_task(product.send(records, per_second=300.0))
        await product.until_more_credits(worker)
        os.kill(embedded_broker.pid, signal.SIGSTOP)
        try:
            await product.until(partial(away, worker), "the worker is not ready", UNREADY_S)
            await product.until(lambda: AWAY in worker.said(), "the log says so", UNREADY_S)
        finally:
            os.kill(embedded_broker.pid, signal.SIGCONT)
        await product.until_ready(worker)
        await feeding
        await product.until_done(end, DONE_S)
        said = lines_of(worker)
        assert sum(AWAY in line for line in said) == 1
        assert sum(BACK in line for line in said) == 1
        print("repeated rows:", (await audit(product, wanted)).repeated)


async def test_a_worker_behind_a_dead_member_says_who_is_in_the_group(
    embedded_broker: EmbeddedBroker, prefix: str, tmp_path: Path
) -> None:
    async with started(Job(embedded_broker.address, f"{prefix}job", tmp_path)) as job:
        first, second = job.worker(), job.worker(DEADLINE="3")
        first.start()
        await job.until(lambda: first.events("assigned"), bool)
        first.end(signal.SIGKILL)
        second.start()
        await job.until(second.exit_code, lambda code: code is not None)
        assert second.exit_code() == 1
        assert f"no assignment from the consumer group '{job.name}'" in second.log()
        assert "which the embedded broker never does" in second.log()
        assert "session_timeout_ms" not in second.log()
