"""A batching loop written by hand on aiokafka: what this client can do without any framework.

Runs of up to ``RUN_MAX`` records are handled one after another and written in closed batches without waiting;
their offsets are committed, several times a second, once everything of theirs and of all runs before them is
acknowledged by the brokers. It is one member for all partitions and restores nothing: less work than a service has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

RUN_MAX = 2_000
OPEN_RUNS = 8
COMMIT_EVERY_S = 0.2


class Message(NamedTuple):
    """A record to write."""

    topic: str
    partition: int
    key: bytes
    value: bytes


Work = Callable[[Sequence[Any]], Iterable[Message]]
"""A run of records of one partition -> what must be written before their offsets are committed."""
Done = tuple[TopicPartition, int]


class Loop:
    """Reads ``source`` and does ``work`` until it is cancelled or fails."""

    def __init__(self, broker: str, group: str, source: str, partitions: int, work: Work) -> None:
        self.broker, self.group, self.work = broker, group, work
        self.sources = [TopicPartition(source, partition) for partition in range(partitions)]
        self._open: asyncio.Queue[tuple[Done, list[asyncio.Future[Any]]]] = asyncio.Queue(OPEN_RUNS)
        self._acked: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Until cancelled. Raises whatever a client raises."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.broker,
            acks="all",
            linger_ms=0,
            max_batch_size=512 << 10,
            max_request_size=4 << 20,
        )
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.broker,
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=2 << 20,
            check_crcs=False,
        )
        consumer.assign(self.sources)
        async with producer, consumer, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._handle(consumer, producer))
            tasks.create_task(self._acknowledge())
            tasks.create_task(self._commit(consumer))

    async def _handle(self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
        while True:
            for source, records in (await consumer.getmany(timeout_ms=200, max_records=RUN_MAX)).items():
                waiting = await write(producer, self.work(records))
                await self._open.put(((source, records[-1].offset + 1), waiting))

    async def _acknowledge(self) -> None:
        while True:
            (source, offset), waiting = await self._open.get()
            for future in waiting:
                await future
            self._acked[source] = offset

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        committed: dict[TopicPartition, int] = {}
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            if self._acked != committed:
                committed = dict(self._acked)
                await consumer.commit(committed)


async def write(producer: AIOKafkaProducer, messages: Iterable[Message]) -> list[asyncio.Future[Any]]:
    """Hand messages over in closed batches, one after another per partition; returns the acknowledgements."""
    waiting: list[asyncio.Future[Any]] = []
    batches: dict[tuple[str, int], Any] = {}

    async def close(topic: str, partition: int, batch: Any) -> None:
        batch.close()
        waiting.append(await producer.send_batch(batch, topic, partition=partition))

    for topic, partition, key, value in messages:
        batch = batches.get((topic, partition))
        if batch is None or batch.append(key=key, value=value, timestamp=None) is None:
            if batch is not None:
                await close(topic, partition, batch)
            batch = batches[topic, partition] = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    for (topic, partition), batch in batches.items():
        await close(topic, partition, batch)
    return waiting
