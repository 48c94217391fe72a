"""What the output topics of a live cluster hold, copied to files up to where they end now; no group is joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import orjson
from aiokafka import TopicPartition

from streams.diff_rows import problem_of
from streams.kafka_client import client_options
from streams.reading import NoSuchTopic, Received, TopicReader, open_topics
from streams.settings import Settings
from streams.topology import ALERTS, CREDITS, FUNNEL, JOURNEYS, PROBABILITIES

AUDITED = (CREDITS, PROBABILITIES, ALERTS, JOURNEYS, FUNNEL)

Progress: TypeAlias = "Callable[[str, float | None], AbstractContextManager[Callable[[float], None]]]"
"""(what is being done, how much of it or None) -> a block that is told how much more was done."""


@dataclass(slots=True)
class Partition:
    """How far a partition was read."""

    begin: int
    """Offset of the first record that was there."""
    end: int
    """Offset behind the last record that was there when the audit began; what came later was not looked at."""
    records: int = 0
    """Records read; the rest up to the end had been removed by compaction."""


@dataclass(slots=True)
class Snapshot:
    """What was read."""

    offsets: dict[str, dict[int, Partition]] = field(default_factory=dict)
    """Topic without prefix -> partition -> how far."""
    unreadable: list[str] = field(default_factory=list)
    """Records that are no output rows: where, and why."""

    def to_json(self) -> dict[str, Any]:
        """Topic -> partition -> offsets."""
        return {
            topic: {
                str(number): {"begin": each.begin, "end": each.end, "records": each.records}
                for number, each in partitions.items()
            }
            for topic, partitions in self.offsets.items()
        }


async def copy(settings: Settings, folder: Path, progress: Progress) -> Snapshot:
    """Write every row of the audited topics to ``folder/<topic>.ndjson``; tombstones are left out.

    The ends of all topics are taken at one moment, before anything is read. Raises BrokerUnreachable, NoSuchTopic.
    """
    names = {settings.topic(topic): topic for topic in AUDITED}
    brokers = settings.kafka.brokers
    async with open_topics(brokers, list(names), client_options(settings.kafka)) as reader:
        there = {place.topic for place in reader.partitions}
        if missing := [name for name in names if name not in there]:
            raise NoSuchTopic(
                f"topic {missing[0]} is not on {brokers}: `headwater topics list` shows what is; check topic_prefix"
            )
        found = await _ends(reader, names)
        with ExitStack() as stack:
            files = {topic: stack.enter_context((folder / f"{topic}.ndjson").open("wb")) for topic in AUDITED}
            await _read(reader, names, found, files, progress)
    return found


async def _ends(reader: TopicReader, names: dict[str, str]) -> Snapshot:
    ends = await reader.consumer.end_offsets(reader.partitions)
    begins = await reader.consumer.beginning_offsets(reader.partitions)
    found = Snapshot({topic: {} for topic in names.values()})
    for place in reader.partitions:
        found.offsets[names[place.topic]][place.partition] = Partition(begins[place], ends[place])
    return found


async def _read(
    reader: TopicReader,
    names: dict[str, str],
    found: Snapshot,
    files: Mapping[str, BinaryIO],
    progress: Progress,
) -> None:
    parts = {
        TopicPartition(name, number): part
        for name, topic in names.items()
        for number, part in found.offsets[topic].items()
    }
    total = sum(part.end - part.begin for part in parts.values())
    with progress("reading the live topics", total) as advance:
        async for received in reader.existing():
            part = parts[TopicPartition(received.topic, received.partition)]
            if received.offset >= part.end:
                continue
            part.records += 1
            advance(1)
            if received.value is not None:
                _write(received, names[received.topic], found, files)


def _write(received: Received, topic: str, found: Snapshot, files: Mapping[str, BinaryIO]) -> None:
    assert received.value is not None
    try:
        row = orjson.loads(received.value)
        problem = problem_of(row, topic)
    except orjson.JSONDecodeError as error:
        problem = f"not JSON: {error}"
    if problem:
        place = f"{received.topic}, partition {received.partition}, offset {received.offset}"
        found.unreadable.append(f"{place}: {problem}")
    else:
        files[topic].write(orjson.dumps(row) + b"\n")
