"""The product on real brokers: the same answers as in memory, whatever is killed."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.conftest import Broker
from tests.integration.audit import SOAK, audit, expected, live, traffic
from tests.integration.kafka_local import LocalKafka
from tests.integration.live import installed

KILLS = 20 if SOAK else 5
KILLED_EVENTS = 60_000 if SOAK else 4_000


async def test_a_broker_and_the_memory_log_end_with_the_same_rows(
    broker: Broker, prefix: str, tmp_path: Path
):
    records = traffic(seed=11)
    wanted, end = expected(records)
    async with installed(live(broker, prefix, tmp_path)) as product:
        product.worker().start()
        await product.send(records)
        await product.until_done(end)
        await audit(product, wanted)
        codes = await product.dead_letters()
    assert codes
    assert set(codes) == {
        "invalid_json", "missing_field", "unknown_type", "invalid_timestamp", "unknown_stage", "invalid_amount",
    }  # fmt: skip


async def test_killing_the_worker_again_and_again_changes_no_final_row(
    broker: Broker, prefix: str, tmp_path: Path
):
    records = traffic(seed=12, events=KILLED_EVENTS)
    wanted, end = expected(records)
    async with installed(live(broker, prefix, tmp_path)) as product:
        worker = product.worker()
        worker.start()
        feeding = asyncio.create_task(product.send(records, per_second=500.0))
        for _ in range(KILLS):
            await product.until_more_credits(worker)
            await product.kill(worker)
            worker.start()
        await feeding
        await product.until_done(end, 300.0)
        await audit(product, wanted)


async def test_sigterm_ends_a_worker_cleanly_and_another_goes_on(broker: Broker, prefix: str, tmp_path: Path):
    records = traffic(seed=13)[:2_000]
    wanted, end = expected(records)
    async with installed(live(broker, prefix, tmp_path)) as product:
        first = product.worker().start()
        await product.send(records[:1_000])
        await product.until_more_credits(first)
        assert first.end(signal.SIGTERM) == 0
        product.worker().start()
        await product.send(records[1_000:])
        await product.until_done(end)
        await audit(product, wanted)


@pytest.mark.parametrize("arguments", [["worker"], ["topics", "check"], ["tail", "account-alerts"]])
def test_a_broker_that_is_away_is_a_clear_message_and_exit_code_4(arguments: list[str]):
    import subprocess
    import sys

    command = [sys.executable, "-m", "streams.cli.main", *arguments, "--brokers", "127.0.0.1:9"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 4
    assert "127.0.0.1:9" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.kafka
async def test_a_broker_that_dies_and_comes_back_costs_nothing(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
):
    records = traffic(seed=14)
    wanted, end = expected(records)
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        worker = product.worker().start()
        await product.send(records[:2_000])
        await product.until_more_credits(worker)
        kafka_broker.kill()
        await asyncio.to_thread(kafka_broker.start)
        await product.send(records[2_000:])
        await product.until_done(end)
        assert worker.runs()
        await audit(product, wanted)
