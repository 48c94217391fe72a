"""Topics of the benchmark on a cluster: made, filled, watched, read and deleted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as Assigned

from streams.partitioning import partition_of
from streams.topics import TopicDeclaration, create_topics, list_topics
from tests.bench.figures import BenchError

PARTITIONS = 4
KEPT = {"retention.ms": "-1"}
LOAD_STALL_S = 60.0
"""Longest time without any progress in filling or reading a topic."""
CHUNK = 5_000


class Found(NamedTuple):
    """A record that was read."""

    partition: int
    key: bytes | None
    value: bytes | None


class Watcher:
    """Asks for ends without belonging to a group. For one step: a client asks for ever for topics it once knew."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def ends(self, topic: str) -> tuple[int, ...]:
        """End offset of each partition."""
        tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        found = await self._consumer.end_offsets(tps)
        return tuple(found[tp] for tp in tps)


class Cluster:
    """A broker."""

    def __init__(self, broker: str) -> None:
        self.broker = broker

    @asynccontextmanager
    async def watcher(self) -> AsyncIterator[Watcher]:
        """A watcher for the time of the block."""
        async with AIOKafkaConsumer(bootstrap_servers=self.broker, enable_auto_commit=False) as consumer:
            yield Watcher(consumer)

    async def ends(self, topic: str) -> tuple[int, ...]:
        """End offset of each partition."""
        async with self.watcher() as watcher:
            return await watcher.ends(topic)

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
        """Append (key, value) records, each to the partition of its key; returns how many. Raises BenchError."""
        return await asyncio.to_thread(_load, self.broker, topic, records)

    async def read(self, topic: str) -> list[Found]:
        """Every record, partition by partition in order. Raises BenchError when nothing comes for long."""
        return await asyncio.to_thread(_read, self.broker, topic, await self.ends(topic))


def client(broker: str, **options: str | float | bool) -> dict[str, str | float | bool]:
    """Options of a client that says nothing by itself."""
    named = {name.replace("_", "."): value for name, value in options.items()}
    return {"bootstrap.servers": broker, "log_level": 0, **named}


def _load(broker: str, topic: str, records: Iterable[tuple[bytes, bytes]]) -> int:
    producer = Producer(
        client(broker, acks="all", linger_ms=5, batch_size=512 << 10, batch_num_messages=10_000)
        | {"queue.buffering.max.messages": 200_000, "enable.idempotence": True}
    )
    loaded, rest = 0, iter(records)
    while chunk := list(islice(rest, CHUNK)):
        deadline = time.monotonic() + LOAD_STALL_S
        while len(producer) > 20 * CHUNK:
            producer.poll(0.05)
            if time.monotonic() > deadline:
                raise BenchError(f"{topic} takes no records")
        for key, value in chunk:
            producer.produce(topic, value, key, partition_of(key, PARTITIONS))
        loaded += len(chunk)
    if producer.flush(LOAD_STALL_S):
        raise BenchError(f"{topic} takes no records")
    return loaded


def _read(broker: str, topic: str, ends: Sequence[int]) -> list[Found]:
    found: list[list[Found]] = [[] for _ in ends]
    for record, offset in _until(broker, topic, ends):
        if offset < ends[record.partition]:
            found[record.partition].append(record)
    return [record for records in found for record in records]


def _until(broker: str, topic: str, ends: Sequence[int]) -> Iterator[tuple[Found, int]]:
    """Records with their offsets, until every partition has been read to its end."""
    consumer = Consumer(
        client(broker, group_id="bench-reader", enable_auto_commit=False, enable_partition_eof=True)
        | {"fetch.max.bytes": 32 << 20, "max.partition.fetch.bytes": 4 << 20, "check.crcs": False}
    )
    left = {partition for partition, end in enumerate(ends) if end}
    consumer.assign([Assigned(topic, partition, 0) for partition in sorted(left)])
    heard = time.monotonic()
    try:
        while left:
            for message in consumer.consume(CHUNK, 0.2):
                heard = time.monotonic()
                partition, offset, error = message.partition(), message.offset(), message.error()
                if error is not None and error.fatal():
                    raise KafkaException(error)
                if partition is None or offset is None:
                    continue  # a passing trouble of the connection
                if error is None:
                    yield Found(partition, _raw(message.key()), _raw(message.value())), offset
                if offset >= ends[partition] - 1:
                    left.discard(partition)
            if time.monotonic() - heard > LOAD_STALL_S:
                raise BenchError(f"{topic} could not be read to its end")
    finally:
        consumer.close()


def _raw(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
