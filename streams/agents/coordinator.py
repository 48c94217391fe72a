"""The coordinator: one watermark out of what every source partition reports, broadcast as ticks.

Control records say how far a source partition has come; the global watermark is the least of them. A partition
that has been silent for ``idle_ms`` of wall clock holds nobody back; when all are silent, the furthest counts.
The watermark never goes back: a partition that wakes up with older events makes them late, not time.
"""

from __future__ import annotations

from typing import Any

import orjson

from streams.effects import Effects, Output, Run, TableView
from streams.journal import encode_tick
from streams.topology import CONTROL, JOURNAL

WATERMARK_KEY = b"watermark"


def report(topic: str, partition: int, watermark: int, now_ms: int) -> Output:
    """The control record by which ingest says how far a source partition has come."""
    source = f"{topic}/{partition}"
    value = orjson.dumps({"k": "watermark", "source": source, "w": watermark, "now": now_ms})
    return Output(CONTROL, source.encode(), value)


class CoordinatorHandler:
    """Handler of the control topic.

    ``journal_partitions`` is the number of journal partitions a tick goes to; ``tick_ms`` the least wall clock
    between two ticks; ``idle_ms`` after how much silence a source partition is left out.
    """

    def __init__(self, journal_partitions: int, *, tick_ms: int = 1_000, idle_ms: int = 30_000) -> None:
        self.journal_partitions, self.tick_ms, self.idle_ms = journal_partitions, tick_ms, idle_ms
        self.sources: dict[str, tuple[int, int]] = {}
        """source partition -> (its watermark, wall clock of its last report)"""
        self.watermark = 0
        self.last_tick = 0

    def assigned(self, partition: int, table: TableView) -> None:
        """Read back what the previous owner knew."""
        self.sources.clear()
        self.watermark = 0
        for key, value in table.items():
            raw = orjson.loads(value)
            if key == WATERMARK_KEY:
                self.watermark = raw["w"]
            else:
                self.sources[key.decode()] = raw["w"], raw["now"]

    def revoked(self, partition: int) -> None:
        """Another worker tells the time now."""
        self.sources.clear()

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        """Whether a record of the table takes the place of another: watermarks only move on."""
        return bool(orjson.loads(new)["w"] >= orjson.loads(old)["w"])

    def handle(self, run: Run, table: TableView) -> Effects:
        """Note what the sources report, and tick when it is time."""
        effects = Effects()
        changed: set[str] = set()
        for record in run.records:
            raw: dict[str, Any] = orjson.loads(record.value) if record.value else {}
            if raw.get("k") != "watermark":
                continue
            source, known = raw["source"], self.sources.get(raw["source"], (0, 0))
            self.sources[source] = max(known[0], raw["w"]), max(known[1], raw["now"])
            changed.add(source)
        for source in sorted(changed):
            watermark, now = self.sources[source]
            effects.state.append((source.encode(), orjson.dumps({"w": watermark, "now": now})))
        self._tick(run.now_ms, effects)
        return effects

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        """Tick for what the last run was too early for, and when sources fall silent."""
        effects = Effects()
        self._tick(now_ms, effects)
        return effects if effects.outputs else None

    def _tick(self, now_ms: int, effects: Effects) -> None:
        if now_ms - self.last_tick < self.tick_ms or not self.sources:
            return
        live = [w for w, last in self.sources.values() if now_ms - last < self.idle_ms]
        watermark = min(live) if live else max(w for w, _ in self.sources.values())
        if watermark <= self.watermark:
            return
        self.watermark, self.last_tick = watermark, now_ms
        tick = encode_tick(watermark)
        effects.outputs += [Output(JOURNAL, None, tick, (), p) for p in range(self.journal_partitions)]
        effects.state.append((WATERMARK_KEY, orjson.dumps({"w": watermark})))
