"""A log in memory: topics, partitions and offsets as a broker has them, without one."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

from streams.effects import Headers
from streams.partitioning import partition_of


class MemoryRecord(NamedTuple):
    """A record as a consumer sees it (``streams.effects.Record``)."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class MemoryPartition:
    """Records of one partition; what was discarded keeps its offsets."""

    __slots__ = ("end", "records")

    def __init__(self) -> None:
        self.records: deque[MemoryRecord] = deque()
        self.end = 0

    def read(self, offset: int, limit: int) -> list[MemoryRecord]:
        """Up to ``limit`` records from ``offset`` on."""
        skip = max(offset - (self.end - len(self.records)), 0)
        return list(islice(self.records, skip, skip + limit))

    def discard(self, before: int) -> None:
        """Forget the records below an offset."""
        records = self.records
        while records and records[0].offset < before:
            records.popleft()


class MemoryLog:
    """Append-only partitions. A topic without a declared count has one partition."""

    def __init__(self, partition_counts: dict[str, int] | None = None) -> None:
        self._counts = partition_counts or {}
        self._partitions: dict[tuple[str, int], MemoryPartition] = {}

    def partitions(self, topic: str) -> int:
        """Number of partitions of a topic."""
        return self._counts.get(topic, 1)

    def partition(self, topic: str, number: int) -> MemoryPartition:
        """One partition, made on first use."""
        found = self._partitions.get((topic, number))
        if found is None:
            found = self._partitions[topic, number] = MemoryPartition()
        return found

    def append(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        timestamp: int,
        headers: Headers = (),
        partition: int | None = None,
    ) -> None:
        """Append a record. The key decides where it goes unless a partition is named."""
        if partition is None:
            partition = partition_of(key, self.partitions(topic))
        place = self.partition(topic, partition)
        place.records.append(MemoryRecord(place.end, timestamp, key, value, headers))
        place.end += 1

    def take(self, topic: str) -> list[MemoryRecord]:
        """Every record of a topic that has not been taken yet, partition by partition; they are discarded."""
        taken: list[MemoryRecord] = []
        for number in range(self.partitions(topic)):
            place = self.partition(topic, number)
            taken += place.records
            place.records.clear()
        return taken

    def topic(self, topic: str) -> list[MemoryRecord]:
        """Every record of a topic that is still there, partition by partition."""
        return [r for number in range(self.partitions(topic)) for r in self.partition(topic, number).records]
