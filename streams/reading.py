"""Reading topics outside any consumer group: what is there, or what comes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from streams.topics import BrokerUnreachable, list_topics

POLL_MS = 500
IDLE_POLLS = 6
"""So many polls without a record, while the broker answers: compaction has removed what is left."""
_FETCH = 1_000


class Received(NamedTuple):
    """A record as it lies on a topic."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class NoSuchTopic(Exception):
    """The cluster does not have the topic; nothing is created by asking."""


class TopicReader:
    """A consumer that is assigned all partitions of the topics it reads."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self.consumer, self.partitions = consumer, partitions

    async def existing(self, last: int | None = None) -> AsyncIterator[Received]:
        """What the topics hold at this moment, partition by partition as it comes.

        ``last`` begins at most so many records before the end of each partition.
        """
        begins = await self.consumer.beginning_offsets(self.partitions)
        ends = await self.consumer.end_offsets(self.partitions)
        for partition in self.partitions:
            begin = begins[partition] if last is None else max(begins[partition], ends[partition] - last)
            self.consumer.seek(partition, begin)
        idle = 0
        waiting = [p for p in self.partitions if begins[p] < ends[p]]
        while waiting and idle < IDLE_POLLS:
            found = await self._poll(waiting)
            idle = 0 if found else idle + 1
            if idle:  # silence is an end only where the broker still answers
                await self.consumer.end_offsets(waiting)
            for received in found:
                if received.offset < ends[TopicPartition(received.topic, received.partition)]:
                    yield received
            waiting = [p for p in waiting if await self.consumer.position(p) < ends[p]]
        for partition in self.partitions:
            self.consumer.seek(partition, ends[partition])

    async def ends(self, topic: str) -> Mapping[int, int]:
        """End offset of each partition of a topic (full name) as it is now; empty for one that is not read."""
        places = [place for place in self.partitions if place.topic == topic]
        found = await self.consumer.end_offsets(places) if places else {}
        return {place.partition: end for place, end in found.items()}

    async def coming(self) -> AsyncIterator[Received]:
        """Everything from here on, without end."""
        while True:
            for received in await self._poll(self.partitions):
                yield received

    async def _poll(self, partitions: list[TopicPartition]) -> list[Received]:
        batches = await self.consumer.getmany(*partitions, timeout_ms=POLL_MS, max_records=_FETCH)
        return [
            Received(place.topic, place.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
            for place, batch in batches.items()
            for r in batch
        ]


@asynccontextmanager
async def open_topic(brokers: str, topic: str, client: Mapping[str, Any]) -> AsyncIterator[TopicReader]:
    """A reader of ``topic`` (full name). ``client`` holds security options. Raises BrokerUnreachable, NoSuchTopic."""
    counts = {each.name: each.partitions for each in await list_topics(brokers, client=client)}
    if topic not in counts:
        near = ", ".join(sorted(counts)) or "none"
        raise NoSuchTopic(f"no topic {topic} on {brokers}; there are: {near}")
    async with _reader(brokers, {topic: counts[topic]}, client) as reader:
        yield reader


@asynccontextmanager
async def open_topics(
    brokers: str, topics: Sequence[str], client: Mapping[str, Any]
) -> AsyncIterator[TopicReader]:
    """A reader of those of these topics (full names) that exist. Raises BrokerUnreachable."""
    counts = {each.name: each.partitions for each in await list_topics(brokers, client=client)}
    async with _reader(brokers, {t: counts[t] for t in topics if t in counts}, client) as reader:
        yield reader


@asynccontextmanager
async def _reader(
    brokers: str, counts: Mapping[str, int], client: Mapping[str, Any]
) -> AsyncIterator[TopicReader]:
    """A reader of topics with these numbers of partitions."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **client,
    )
    try:
        await consumer.start()
        await asyncio.sleep(0)  # aiokafka's stop() fails on a task of its own that has never run
        partitions = [
            TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)
        ]
        consumer.assign(partitions)
        yield TopicReader(consumer, partitions)
    except (KafkaConnectionError, KafkaTimeoutError) as error:
        raise BrokerUnreachable(brokers, error) from error
    finally:
        await consumer.stop()


def in_order(received: Received) -> tuple[int, int, int]:
    """Sorts records of several partitions by their timestamps."""
    return received.timestamp_ms, received.partition, received.offset


def readable(value: bytes | None) -> Any:
    """A value as JSON where it is JSON, else as text, else as ``{"base64": ...}``; None for a tombstone."""
    if value is None:
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        pass
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
