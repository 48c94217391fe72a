"""What the journey agent keeps of one journal partition: its table's keys, and what is derived from it."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import orjson

from revenue_core import journey as core
from revenue_core.config import CoreConfig
from revenue_core.parameters import ParameterLog
from streams import chunks, codec
from streams.effects import Headers, Record, TableView
from streams.journal import FactRecord

PARTITION_KEY = b"\0P"
METRIC_PREFIX = b"\0M"
SPEND_PREFIX = b"\0E"
IN_USE = 4
"""Weight of an account whose touches are unread."""


class ConfigChanged(Exception):
    """The tables were built under another configuration; what it gave would stand beside what this one gives."""

    def __init__(self, before: str, now: str) -> None:
        super().__init__(
            f"the state was built under configuration {before}, the one in force is {now}: rows of the old one would "
            "stay beside the new. Go back to it, or build anew from the source topics: a new worker.app_id and a "
            "higher state.generation"
        )


@dataclass(slots=True)
class Live:
    """An account in use: what it means, and how it is stored."""

    state: core.State
    packed: codec.Packed
    weight: int = 0
    """What it counts for in the worker's memory, in touches."""
    headers: Headers = ()
    timestamp: int = 0
    """Append time of the last record applied (ms)."""
    cause: str = ""
    facts: list[tuple[Record, FactRecord]] = field(default_factory=list)
    """Facts of the present run that are not answered: they go to the dead letters if it has to be quarantined."""
    settled: list[FactRecord] = field(default_factory=list)
    """Facts of the present run that are."""
    answered: bool = False
    """Whether the account has been settled in the present run."""


@dataclass(slots=True)
class Slice:
    """What is derived from one partition of the table."""

    applied: int = -1
    watermark: int = 0
    target: int = 0
    """Watermark of the latest tick; while it is ahead, steps of time are on their way."""
    steps: int = 0
    """Steps taken. Of several with one number the first in the journal counts."""
    replay_until: int | None = None
    live: dict[bytes, Live] = field(default_factory=dict)
    """Accounts in use, the one used last at the end. They are ahead of the table only within a run."""
    weight: int = 0
    """Of all of them."""
    due: list[tuple[int, bytes]] = field(default_factory=list)
    scheduled: dict[bytes, int] = field(default_factory=dict)
    sums: dict[tuple[str, ...], tuple[int, list[int]]] = field(default_factory=dict)
    """metric -> (journal offset included, sums)"""
    quarantined: set[bytes] = field(default_factory=set)
    learned: ParameterLog = ()
    """Parameters of its conversions."""

    def configured(self, config: CoreConfig) -> CoreConfig:
        """The configuration with the partition's parameters."""
        return replace(config, learned=self.learned) if self.learned else config

    def load(self, key: bytes) -> Live | None:
        """The live form of an account, which thereby becomes the last to be forgotten."""
        live = self.live.pop(key, None)
        if live is not None:
            self.live[key] = live
        return live

    def forget(self, key: bytes) -> None:
        """Let an account be read again when it is needed."""
        live = self.live.pop(key, None)
        if live is not None:
            self.weight -= live.weight

    def weigh(self, live: Live) -> None:
        """Count what an account in use takes now."""
        packed = live.packed
        facts = packed.facts.count + len(packed.known_contacts)
        weight = IN_USE + len(live.state.account.touches) + facts + packed.touches.recent_messages() // 8
        self.weight += weight - live.weight
        live.weight = weight

    def shrink(self, most: int) -> None:
        """Forget the accounts used longest ago until the rest weigh no more than ``most`` touches."""
        while self.weight > most and self.live:
            self.forget(next(iter(self.live)))

    def bound(self, real_due: Callable[[bytes], int], limit: int) -> tuple[int, bytes] | None:
        """Due instant and key of the ``limit``-th account that is due up to the target; None when fewer are."""
        found: list[tuple[int, bytes]] = []
        while self.due and self.due[0][0] <= self.target and len(found) < limit:
            planned, key = heapq.heappop(self.due)
            if self.scheduled.get(key) != planned:
                continue
            due = real_due(key)
            if due == planned:
                found.append((planned, key))
            else:
                del self.scheduled[key]
                self.schedule(key, due)
        for entry in found:
            heapq.heappush(self.due, entry)
        return found[-1] if len(found) == limit else None

    def take_due(self, bound: tuple[int, bytes | None]) -> Iterator[bytes]:
        """Keys of the accounts planned up to a due instant, at this instant only up to a key; each is taken out."""
        instant, last = bound
        while self.due and self.due[0][0] <= instant:
            planned, key = self.due[0]
            if planned == instant and last is not None and key > last:
                return
            heapq.heappop(self.due)
            if self.scheduled.get(key) == planned:
                del self.scheduled[key]
                yield key

    def schedule(self, key: bytes, due: int) -> None:
        """Remember when the account is due, unless an earlier look at it is already planned."""
        if due < self.scheduled.get(key, core.NEVER):
            self.scheduled[key] = due
            heapq.heappush(self.due, (due, key))


def metric_key(metric: tuple[str, ...]) -> bytes:
    """Table key of a metric's sums."""
    return METRIC_PREFIX + orjson.dumps(metric)


def metric_of(key: bytes) -> tuple[str, ...]:
    """The metric a table key belongs to."""
    return tuple(orjson.loads(key[len(METRIC_PREFIX) :]))


def further(key: bytes, old: bytes, new: bytes) -> bool:
    """Whether of two records of one key the second is as far on as the first."""
    if chunks.is_chunk(key):
        return chunks.count_of(new) >= chunks.count_of(old)
    if key[:1] == b"\0":
        return bool(orjson.loads(new)[0] >= orjson.loads(old)[0])
    return codec.applied_offset(new) >= codec.applied_offset(old)


def read_slice(table: TableView, config_version: str, replay_window: int) -> Slice:
    """What is derived from a table that is complete. Raises ConfigChanged."""
    part = Slice()
    for key, raw in table.items():
        if key == PARTITION_KEY:
            part.applied, part.watermark, version, *steps = orjson.loads(raw)
            if version != config_version:
                raise ConfigChanged(version, config_version)
            part.target, part.steps = steps or (part.watermark, 0)
            part.replay_until = part.applied + replay_window
        elif key.startswith(METRIC_PREFIX):
            offset, *sums = orjson.loads(raw)
            part.sums[metric_of(key)] = offset, sums
        elif key[:1] != b"\0":
            due = codec.next_due(raw)
            if due < core.NEVER:
                part.schedule(key, due)
            if codec.is_quarantined(raw):
                part.quarantined.add(key)
    return part
