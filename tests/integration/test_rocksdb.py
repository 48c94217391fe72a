"""A worker that keeps its tables in RocksDB, on Apache Kafka: the same rows, and a restart reads only what is new."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from tests.integration.audit import audit, expected, live, traffic
from tests.integration.engine_harness import consumer
from tests.integration.kafka_local import LocalKafka
from tests.integration.live import Live, LiveWorker, installed

pytestmark = pytest.mark.kafka

KILLS = 3
TABLES = {"journey": 3, "totals": 3, "coordinator": 1}
"""Partitions of their changelogs."""


async def written(product: Live) -> int:
    """Records that were ever written to the changelogs."""
    tps = [
        TopicPartition(f"{product.group}-{table}-changelog", number)
        for table, count in TABLES.items()
        for number in range(count)
    ]
    async with consumer(product.broker) as reader:
        return sum((await reader.end_offsets(tps)).values())


async def recovered(product: Live, worker: LiveWorker) -> int:
    """Changelog records that a worker read before it was ready."""
    await product.until_ready(worker)
    return round(worker.total("headwater_recovery_records"))


async def test_a_worker_killed_under_load_goes_on_from_its_disk_and_from_the_changelog_without_it(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=21)
    wanted, end = expected(records)
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        worker = product.worker(store="rocksdb").start()
        feeding = asyncio.create_task(product.send(records, per_second=400.0))
        for _ in range(KILLS):
            await product.until_more_credits(worker)
            await product.kill(worker)
            before = await written(product)
            worker.start()
            assert await recovered(product, worker) < before / 4
        await feeding
        await product.until_done(end)

        await product.kill(worker)
        assert await recovered(product, worker.start()) == 0
        await product.kill(worker)
        shutil.rmtree(tmp_path / "data0")
        assert await recovered(product, worker.start()) > (await written(product)) / 2
        await product.until_done(end)
        assert worker.end(signal.SIGTERM) == 0
        assert await recovered(product, worker.start()) == 0
        await product.until_done(end)
        await audit(product, wanted)


async def test_partitions_that_went_to_another_worker_and_came_back_are_read_on_from_where_they_were(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    records = traffic(seed=22)
    wanted, end = expected(records)
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        first = product.worker(store="rocksdb").start()
        await product.send(records[:2_000])
        await product.until_more_credits(first)
        second = product.worker(store="rocksdb").start()
        await product.until_ready(second)
        feeding = asyncio.create_task(product.send(records[2_000:], per_second=400.0))
        await product.until_more_credits(second)
        before = await written(product)
        assert second.end(signal.SIGTERM) == 0
        await product.until(lambda: first.total("headwater_rebalances_total") >= 3, "the first has all again")
        assert await recovered(product, first) < before / 4
        await feeding
        await product.until_done(end)
        await audit(product, wanted)


async def test_a_second_worker_on_the_same_data_directory_ends_with_a_clear_word(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        shared = {"store": "rocksdb", "data_dir": str(tmp_path / "shared")}
        first, second = product.worker(**shared).start(), product.worker(**shared)
        await product.until_ready(first)
        second.start()
        await product.until(lambda: not second.runs(), "the second worker has ended")
        assert second.process is not None and second.process.returncode == 1
        assert "every worker needs a worker.data_dir of its own" in second.said()
        assert "Traceback" not in second.said()
        await product.until_ready(first)
