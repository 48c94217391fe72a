"""When ingest says how far its source partitions have come: a few times a second, and never lost.

A report that is not sent at once is kept here, and the run that it belongs to is held (``Effects.held``): its offset
is committed no sooner than a later report is acknowledged, which says at least as much. A crash repeats the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.agents.coordinator import report
from streams.effects import Output, Run

LARGE = 100
"""Records since the last report that are worth the next one, whenever that was."""


@dataclass(slots=True)
class _Source:
    """A source partition since it was assigned."""

    reported_ms: int
    """Wall clock of the last report."""
    watermark: int = 0
    """Greatest event time since (ms); 0 without a fact."""
    heard_ms: int = 0
    left: int = 0
    records: int = 0
    """Since the last report; above 0: something is owed."""


class Reports:
    """What is owed to the coordinator, by partition number: the engine acknowledges by those.

    ``hold_ms`` is the least wall clock between two reports of a source partition; 0: every run is reported.
    """

    def __init__(self, hold_ms: int) -> None:
        self.hold_ms = hold_ms
        self._sources: dict[int, dict[str, _Source]] = {}

    def forget(self, partition: int) -> None:
        """The partition number comes or goes: runs that are not committed will be seen again."""
        self._sources.pop(partition, None)

    def note(self, run: Run, watermark: int) -> list[Output] | None:
        """The reports to send behind a run, of all topics that owe one; None: the run is to be held.

        ``watermark`` is the greatest event time in the run (ms), 0 without a fact.
        """
        sources = self._sources.setdefault(run.partition, {})
        source = sources.get(run.topic)
        first = source is None
        if source is None:
            source = sources[run.topic] = _Source(run.now_ms)
        source.watermark = max(source.watermark, watermark)
        source.heard_ms, source.left = run.now_ms, run.left
        source.records += len(run.records)
        # a clock that was set back must not silence a source
        waits = 0 <= run.now_ms - source.reported_ms < self.hold_ms
        if waits and not first and source.records < LARGE:
            return None
        return self.owed(run.partition, run.now_ms)

    def owed(self, partition: int, now_ms: int) -> list[Output]:
        """Every report that was kept back for a partition number."""
        found = []
        for topic, source in self._sources.get(partition, {}).items():
            if source.records:
                found.append(report(topic, partition, source.watermark, source.heard_ms, source.left))
                source.watermark = source.records = 0
                source.reported_ms = now_ms
        return found
