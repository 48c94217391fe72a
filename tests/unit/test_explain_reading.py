"""Reading a topic to its end, where a broker would have to be slow, silent or compacted to show it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams.explain_live import IDLE_POLLS, Cluster, TopicMissing

PLACE = TopicPartition("t", 0)


class Record(NamedTuple):
    offset: int


class Consumer:
    """A consumer of one partition whose polls are scripted: offsets of records, or nothing."""

    def __init__(self, polls: Sequence[Sequence[int]], end: int, *, answers: bool = True) -> None:
        self.polls, self.end, self.answers = list(polls), end, answers
        self.at = -1
        self.asked = 0

    def assign(self, places: Sequence[TopicPartition]) -> None:
        assert places == [PLACE]

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.at = offset

    async def beginning_offsets(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {PLACE: 2}

    async def end_offsets(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.asked += 1
        if self.asked > 1 and not self.answers:
            raise KafkaConnectionError("gone")
        return {PLACE: self.end}

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int
    ) -> Mapping[TopicPartition, list[Record]]:
        offsets = self.polls.pop(0)
        if offsets:
            self.at = offsets[-1] + 1
        return {PLACE: [Record(offset) for offset in offsets]} if offsets else {}

    async def position(self, place: TopicPartition) -> int:
        return self.at


def cluster(consumer: Consumer, told: list[tuple[str, float | None]] | None = None) -> Cluster:
    log = [] if told is None else told

    @contextmanager
    def progress(what: str, total: float | None) -> Iterator[Callable[[float], None]]:
        log.append((what, total))
        yield lambda amount: log.append(("read", amount))

    return Cluster(consumer, "broker:9092", {"t": 1, "wide": 12}, progress)


async def read(made: Cluster) -> list[int]:
    return [record.offset async for record in made.read("t", {0})]


async def test_a_topic_is_read_up_to_the_end_it_had() -> None:
    told: list[tuple[str, float | None]] = []
    made = cluster(Consumer([[2, 3], [], [5, 6, 7, 8]], end=7), told)
    assert await read(made) == [2, 3, 5, 6]
    assert made.gaps == []
    assert told == [("Reading t", 5), ("read", 2), ("read", 4)]


async def test_an_empty_partition_is_not_waited_for() -> None:
    consumer = Consumer([], end=2)
    assert await read(cluster(consumer)) == []


async def test_records_missing_at_the_end_are_named() -> None:
    consumer = Consumer([[2], *[[]] * IDLE_POLLS], end=9)
    made = cluster(consumer)
    assert await read(made) == [2]
    assert made.gaps == [
        "t, partition 0: nothing came between offset 3 and the end at 9; compaction has removed it, or the broker "
        "is very slow."
    ]


async def test_silence_of_a_broker_that_is_gone_is_not_taken_for_an_end() -> None:
    with pytest.raises(KafkaConnectionError):
        await read(cluster(Consumer([[2], []], end=9, answers=False)))


def test_partitions_are_those_of_the_keys_and_a_missing_topic_is_named() -> None:
    made = cluster(Consumer([], end=0))
    assert made.partitions("wide") == set(range(12))
    assert made.partitions("wide", [b"A:acme"]) == {11}
    with pytest.raises(TopicMissing, match="topic nowhere is not on broker:9092"):
        made.partitions("nowhere")
