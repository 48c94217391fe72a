"""The coordinator: who belongs to whom (``links``), and one watermark out of what every source partition reports,
broadcast as ticks.

Control records say how far a source partition has come and whether more of it is waiting; the global watermark is
the least of them. A partition that has been read to its end and stays silent for ``idle_ms`` of wall clock holds
nobody back; when all are so, the furthest counts. One in which records wait, but of which nothing is heard, is stuck:
it holds time back for longer, not for ever. The watermark never goes back: a partition that wakes up with older
events makes them late, not time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import orjson

from revenue_core.facts import DAY_MS
from revenue_core.identity.observations import GraphConfig
from schemas.errors import shown
from streams.agents.links import LINKS, Links, Sighting, read_links
from streams.effects import Effects, Output, Run, TableView
from streams.identity import Replica
from streams.journal import encode_tick
from streams.topology import CONTROL, IDENTITY, JOURNAL

log = logging.getLogger(__name__)

WATERMARK_KEY = b"watermark"
STEP = 50
"""Observations read back at once: some milliseconds, of which a take-over has as many as it needs."""
AGAIN = 1_000
"""Records of the table of identities written again at once, at most."""

STUCK_AFTER = 20
"""A source in which records wait is given up after so many times ``idle_ms``."""


class Source(NamedTuple):
    """What is known of a source partition."""

    watermark: int
    """Greatest event time seen (ms); 0 before the first fact."""
    heard_ms: int
    """Wall clock of its last report."""
    left: int
    """Records that waited in it then."""


def report(topic: str, partition: int, watermark: int, now_ms: int, left: int = 0) -> Output:
    """The control record by which ingest says how far a source partition has come."""
    source = f"{topic}/{partition}"
    value = {"k": "watermark", "source": source, "w": watermark, "now": now_ms, "left": left}
    return Output(CONTROL, source.encode(), orjson.dumps(value))


def read_control(value: bytes | None) -> tuple[str, Source] | list[Sighting] | None:
    """What a control record says: how far a source partition is, or links; None for a record that is none of ours."""
    try:
        raw: dict[str, Any] = orjson.loads(value or b"{}")
        if raw.get("k") == "watermark":
            return str(raw["source"]), Source(raw["w"] + 0, raw["now"] + 0, raw["left"] + 0)
        if raw.get("k") == LINKS:
            return read_links(raw)
    except (AttributeError, LookupError, TypeError, ValueError):
        log.warning("a record of the control topic is none of ours and is passed over: %s", shown(str(value)))
    return None


class CoordinatorHandler:
    """Handler of the control topic.

    ``journal_partitions`` is the number of journal partitions a tick goes to; ``tick_ms`` the least wall clock
    between two ticks; ``idle_ms`` after how much silence a source partition is left out. ``graph`` says by which
    limits identifiers are linked. ``replica`` is this process's copy of what coordinators wrote to ``identity``.
    """

    def __init__(
        self,
        journal_partitions: int,
        *,
        tick_ms: int = 1_000,
        idle_ms: int = 30_000,
        graph: GraphConfig | None = None,
        replica: Replica | None = None,
    ) -> None:
        self.journal_partitions, self.tick_ms, self.idle_ms = journal_partitions, tick_ms, idle_ms
        self.graph_config = graph or GraphConfig(max_links=10, anonymous_ttl_ms=365 * DAY_MS)
        self.links = Links(self.graph_config)
        self.replica = replica
        self.sources: dict[str, Source] = {}
        self.watermark = 0
        self.last_tick = 0
        self.wait_until: int | None = None
        """In a new installation: sources that have not been heard of yet get one idle span to speak."""
        self.stuck: frozenset[str] = frozenset()
        """Sources given up although records wait in them."""

    def assigned(self, partition: int, table: TableView) -> Iterator[None]:
        """Read back what the previous owner knew, in steps of some records."""
        self.sources.clear()
        self.watermark = 0
        self.links = Links(self.graph_config)
        return islice(self._read_back(self.links, table), None, None, STEP)

    def _read_back(self, links: Links, table: TableView) -> Iterator[None]:
        for key, value in table.items():
            if key[:1] == b"\0":
                links.restore(key, value)
                yield
                continue
            raw = orjson.loads(value)
            if key == WATERMARK_KEY:
                self.watermark = raw["w"]
            else:
                self.sources[key.decode()] = Source(raw["w"], raw["now"], raw["left"])
        yield from links.restored()
        self.wait_until = 0 if self.sources else None

    def revoked(self, partition: int) -> None:
        """Another worker tells the time now."""
        self.sources.clear()
        self.links = Links(self.graph_config)

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        """Whether a record of the table takes the place of another: watermarks and decisions only move on."""
        if key[:1] == b"\0":
            return bool(orjson.loads(new)[0] >= orjson.loads(old)[0])
        return bool(orjson.loads(new)["w"] >= orjson.loads(old)["w"])

    def handle(self, run: Run, table: TableView) -> Effects:
        """Note what the sources report, and tick when it is time."""
        effects = Effects()
        changed: set[str] = set()
        for record in run.records:
            told = read_control(record.value)
            if told is None:
                continue
            if isinstance(told, list):
                self.links.handle(record.offset, told, effects)
                continue
            name, said = told
            known = self.sources.get(name, Source(0, 0, 0))
            watermark, heard = max(known.watermark, said.watermark), max(known.heard_ms, said.heard_ms)
            left = said.left if said.heard_ms >= known.heard_ms else known.left
            self.sources[name] = Source(watermark, heard, left)
            changed.add(name)
        for source in sorted(changed):
            state = self.sources[source]
            value = {"w": state.watermark, "now": state.heard_ms, "left": state.left}
            effects.state.append((source.encode(), orjson.dumps(value)))
        self._tick(run.now_ms, effects)
        return effects

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        """Tick for what the last run was too early for, and when sources fall silent.

        Records of ``identity`` behind which an older one stands (written by a coordinator that had lost its partition
        without knowing, or for control records that were handled again) are written again.
        """
        effects = Effects()
        self._tick(now_ms, effects)
        if self.replica is not None:
            # compaction keeps the last record of a key: write the newest again before it takes it away
            records = self.replica.take_outdated(AGAIN)
            effects.outputs += [Output(IDENTITY, key, value, (), 0) for key, value in records]
        return effects if effects.outputs else None

    def _tick(self, now_ms: int, effects: Effects) -> None:
        watermark = self._least(now_ms)
        if now_ms - self.last_tick < self.tick_ms or watermark <= self.watermark:
            return
        self.watermark, self.last_tick = watermark, now_ms
        tick = encode_tick(watermark)
        effects.outputs += [Output(JOURNAL, None, tick, (), p) for p in range(self.journal_partitions)]
        effects.state.append((WATERMARK_KEY, orjson.dumps({"w": watermark})))

    def _least(self, now_ms: int) -> int:
        """The watermark that the sources allow; 0 before there is one."""
        known = {name: source for name, source in self.sources.items() if source.watermark}
        if self.wait_until is None and known:
            self.wait_until = now_ms + self.idle_ms
        if not known or now_ms < (self.wait_until or 0):
            return 0
        silent = {name for name, source in known.items() if now_ms - source.heard_ms >= self.idle_ms}
        waiting = {name for name in silent if known[name].left}
        given_up_ms = self.idle_ms * STUCK_AFTER
        self.stuck = frozenset(name for name in waiting if now_ms - known[name].heard_ms >= given_up_ms)
        live = known.keys() - silent | waiting - self.stuck
        if live:
            return min(known[name].watermark for name in live)
        return max(source.watermark for source in known.values())
