"""Topics of the benchmark on a cluster: made, filled, watched, read and deleted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.partitioning import partition_of
from streams.topics import TopicDeclaration, create_topics, list_topics
from tests.bench.figures import BenchError
from tests.bench.loops import Message, write

PARTITIONS = 4
KEPT = {"retention.ms": "-1"}
READ_S = 60.0
BATCH_BYTES = 512 << 10


class Watcher:
    """Reads without belonging to a group. For one step: a client asks for ever for topics that it once knew."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def ends(self, topic: str) -> tuple[int, ...]:
        """End offset of each partition."""
        tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        found = await self._consumer.end_offsets(tps)
        return tuple(found[tp] for tp in tps)

    async def read(self, topic: str) -> list[Any]:
        """Every record, partition by partition in order. Raises BenchError when that takes too long."""
        reader = self._consumer
        tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        ends = dict(zip(tps, await self.ends(topic), strict=True))
        reader.assign(tps)
        await reader.seek_to_beginning(*tps)
        found: dict[TopicPartition, list[Any]] = {tp: [] for tp in tps}
        deadline = time.monotonic() + READ_S
        while any([await reader.position(tp) < ends[tp] for tp in tps]):
            if time.monotonic() > deadline:
                raise BenchError(f"{topic} could not be read in {READ_S:.0f} s")
            for tp, records in (await reader.getmany(timeout_ms=200)).items():
                found[tp] += records
        return [record for tp in tps for record in found[tp]]


class Cluster:
    """A broker."""

    def __init__(self, broker: str) -> None:
        self.broker = broker

    @asynccontextmanager
    async def watcher(self) -> AsyncIterator[Watcher]:
        """A watcher for the time of the block."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.broker,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            check_crcs=False,
            max_partition_fetch_bytes=4 << 20,
        )
        async with consumer:
            yield Watcher(consumer)

    async def create(self, *names: str, config: Mapping[str, str] = KEPT) -> None:
        """Make topics of ``PARTITIONS`` partitions."""
        await create_topics(self.broker, [TopicDeclaration(n, config) for n in names], partitions=PARTITIONS)

    async def delete(self, prefix: str) -> None:
        """Delete every topic whose name begins so."""
        names = [topic.name for topic in await list_topics(self.broker, prefix=prefix)]
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker)
        await admin.start()
        try:
            if names:
                await admin.delete_topics(names)
        finally:
            await admin.close()

    async def load(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Append (key, value) records, each to the partition of its key; returns how many."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.broker, acks="all", max_batch_size=BATCH_BYTES, max_request_size=4 << 20
        )
        messages = [Message(topic, partition_of(key, PARTITIONS), key, value) for key, value in records]
        async with producer:
            await asyncio.gather(*await write(producer, messages))
        return len(messages)

    async def read(self, topic: str) -> list[Any]:
        """Every record, partition by partition in order. Raises BenchError when that takes too long."""
        async with self.watcher() as watcher:
            return await watcher.read(topic)
