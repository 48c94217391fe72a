"""The broker: partitions with offsets, compaction, and one consumer group."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from faust.types import TP

from streams.engine.batches import Item
from streams.engine.store import Newer
from streams.memory.log import MemoryRecord

_offset = attrgetter("offset")


class Partition:
    """Records of one partition, holes of compaction between them."""

    __slots__ = ("compacted", "end", "records", "writers")

    def __init__(self) -> None:
        self.records: list[MemoryRecord] = []
        self.writers: dict[int, int] = {}
        """Offset -> the process that wrote the record."""
        self.end = 0
        self.compacted = 0
        """Offset below which records may have gone."""

    def append(self, items: Iterable[Item], now_ms: int, writer: int) -> int:
        """Append a batch, whole; returns the offset of its first record."""
        base = self.end
        for key, value, headers in items:
            self.records.append(MemoryRecord(self.end, now_ms, key, value, tuple(headers)))
            self.writers[self.end] = writer
            self.end += 1
        return base

    def read(self, offset: int, limit: int) -> list[MemoryRecord]:
        """Up to ``limit`` records from an offset on."""
        at = bisect_left(self.records, offset, key=_offset)
        return self.records[at : at + limit]

    def compact(self, stop: int) -> int:
        """Of the records below ``stop`` keep the last of each key; returns how many went."""
        last = {record.key: record.offset for record in self.records if record.offset < stop}
        kept = [r for r in self.records if r.offset >= stop or last[r.key] == r.offset]
        gone = len(self.records) - len(kept)
        self.records = kept
        if gone:
            self.compacted = max(self.compacted, stop)
        return gone

    def outdated(self, newer: Newer) -> list[bytes]:
        """Keys whose last record is less far on than an earlier one.

        A deletion ends a key: what its own epoch no longer counts on may come again, and nobody reads it.
        """
        best: dict[bytes, bytes] = {}
        behind: dict[bytes, None] = {}
        for _, _, key, value, _ in self.records:
            if key is None:
                continue
            if value is None:
                best.pop(key, None)
                behind.pop(key, None)
                continue
            known = best.get(key)
            if known is None or known == value or newer(key, known, value):
                best[key] = value
                behind.pop(key, None)
            else:
                behind[key] = None
        return list(behind)


@dataclass(slots=True)
class Group:
    """The consumer group of the service. Commits of another generation than the present one are refused."""

    generation: int = 0
    owners: dict[tuple[str, int], int] = field(default_factory=dict)
    """(agent, partition) -> process."""
    committed: dict[TP, int] = field(default_factory=dict)

    def commit(self, generation: int, offsets: Mapping[TP, int]) -> bool:
        """Keep offsets; False when the member is not of this generation."""
        if generation != self.generation:
            return False
        self.committed.update(offsets)
        return True


class Broker:
    """All partitions of all topics, and the group."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = dict(counts)
        self.partitions: dict[tuple[str, int], Partition] = {}
        self.group = Group()

    def partition(self, topic: str, number: int) -> Partition:
        """One partition, made on first use."""
        found = self.partitions.get((topic, number))
        if found is None:
            found = self.partitions[topic, number] = Partition()
        return found

    def topic(self, topic: str) -> list[tuple[MemoryRecord, int]]:
        """(record, writer) of every record of a topic, partition by partition."""
        return [
            (record, part.writers[record.offset])
            for number in range(self.counts[topic])
            for part in [self.partition(topic, number)]
            for record in part.records
        ]
