"""The product on real brokers: the same answers as in memory, whatever is killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from streams.embedded import EmbeddedBroker
from streams.generator import generate
from streams.service import Timing
from tests.builders import final_view
from tests.conftest import Broker
from tests.integration.kafka_local import LocalKafka
from tests.integration.live import Live, Sent, installed

IN_RUNS = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)
END_MS = 1_780_000_000_000
"""Events end here: long past, so that none is in the future."""
EVENTS = 4_000
KILLS = 5


def traffic(seed: int) -> list[Sent]:
    """Generated journeys, as the demo sends them."""
    return [Sent(m.topic, m.key, m.value) for m in generate(seed, EVENTS, END_MS)]


def expected(records: list[Sent]) -> tuple[dict[str, object], int]:
    """The answers of the in-memory executor, and the instant that event time ends at (ms)."""
    events = [(record.topic, record.value) for record in records]
    view = final_view(events, timing=IN_RUNS, run_max=50, drain_every=50, scored=False)
    last = max(int(row.get("as_of_ms", 0)) for row in view["pipeline-probabilities"].values())
    return view, last


def live(broker: Broker, prefix: str, folder: Path) -> Live:
    return Live(broker.address, prefix, folder, embedded=isinstance(broker, EmbeddedBroker))


def differences(
    found: dict[str, dict[str, object]], wanted: dict[str, dict[str, object]]
) -> dict[str, object]:
    """Topic -> first key that differs with both rows; empty when the views agree."""
    return {
        topic: next(
            (key, found[topic].get(key), rows.get(key))
            for key in sorted(rows.keys() | found[topic].keys())
            if found[topic].get(key) != rows.get(key)
        )
        for topic, rows in wanted.items()
        if found[topic] != rows
    }


async def test_a_broker_and_the_memory_log_end_with_the_same_rows(
    broker: Broker, prefix: str, tmp_path: Path
):
    records = traffic(seed=11)
    wanted, end = expected(records)
    async with installed(live(broker, prefix, tmp_path)) as product:
        product.worker().start()
        await product.send(records)
        await product.until_done(end)
        assert not differences(await product.by_version(), wanted)
        assert not differences(await product.by_last(), wanted)
        codes = await product.dead_letters()
    assert codes
    assert set(codes) == {
        "invalid_json", "missing_field", "unknown_type", "invalid_timestamp", "unknown_stage", "invalid_amount",
    }  # fmt: skip


async def test_killing_the_worker_again_and_again_changes_no_final_row(
    broker: Broker, prefix: str, tmp_path: Path
):
    records = traffic(seed=12)
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
        await product.until_done(end)
        assert not differences(await product.by_version(), wanted)
        assert not differences(await product.by_last(), wanted)


async def test_sigterm_ends_a_worker_cleanly_and_another_goes_on(broker: Broker, prefix: str, tmp_path: Path):
    records = traffic(seed=13)[:2_000]
    wanted, end = expected(records)
    async with installed(live(broker, prefix, tmp_path)) as product:
        first = product.worker().start()
        await product.send(records[:1_000])
        await product.until_more_credits(first)
        assert first.end(15) == 0
        product.worker().start()
        await product.send(records[1_000:])
        await product.until_done(end)
        assert not differences(await product.by_version(), wanted)


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
        assert worker.process is not None and worker.process.poll() is None
        assert not differences(await product.by_version(), wanted)
        assert not differences(await product.by_last(), wanted)
