"""Reading a topic outside any consumer group: what is there, or what comes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams.topics import BrokerUnreachable, list_topics

POLL_MS = 500
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
    """A consumer that is assigned all partitions of one topic."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self.consumer, self.partitions = consumer, partitions

    async def existing(self, last: int | None = None) -> AsyncIterator[Received]:
        """What the topic holds at this moment, partition by partition as it comes.

        ``last`` begins at most so many records before the end of each partition.
        """
        begins = await self.consumer.beginning_offsets(self.partitions)
        ends = await self.consumer.end_offsets(self.partitions)
        for partition in self.partitions:
            begin = begins[partition] if last is None else max(begins[partition], ends[partition] - last)
            self.consumer.seek(partition, begin)
        while True:
            waiting = [p for p in self.partitions if await self.consumer.position(p) < ends[p]]
            if not waiting:
                break
            for received in await self._poll(waiting):
                if received.offset < ends[TopicPartition(received.topic, received.partition)]:
                    yield received
        for partition in self.partitions:
            self.consumer.seek(partition, ends[partition])

    async def coming(self) -> AsyncIterator[Received]:
        """Everything from here on, without end."""
        while True:
            for received in await self._poll(self.partitions):
                yield received

    async def _poll(self, partitions: list[TopicPartition]) -> list[Received]:
        batches = await self.consumer.getmany(*partitions, timeout_ms=POLL_MS, max_records=_FETCH)
        return [
            Received(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
            for batch in batches.values()
            for r in batch
        ]


@asynccontextmanager
async def open_topic(brokers: str, topic: str, client: Mapping[str, Any]) -> AsyncIterator[TopicReader]:
    """A reader of ``topic`` (full name). ``client`` holds security options. Raises BrokerUnreachable, NoSuchTopic."""
    found = {each.name: each for each in await list_topics(brokers, client=client)}
    if topic not in found:
        near = ", ".join(sorted(found)) or "none"
        raise NoSuchTopic(f"no topic {topic} on {brokers}; there are: {near}")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **client,
    )
    try:
        await consumer.start()
        partitions = [TopicPartition(topic, number) for number in range(found[topic].partitions)]
        consumer.assign(partitions)
        yield TopicReader(consumer, partitions)
    except KafkaConnectionError as error:
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
