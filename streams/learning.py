"""What is learned from files: offline all finished journeys are at hand at once (R33, R44)."""

from __future__ import annotations

from revenue_core.attribution.fitting import Fitted, fit
from revenue_core.attribution.journeys import JourneyCounts
from revenue_core.facts import DAY_MS
from streams.agents.journey import JourneyHandler
from streams.effects import TableView


def learn(journey: JourneyHandler, table: TableView, as_of: int) -> Fitted | None:
    """The parameters of all journeys that have ended by an instant (ms), in one partition; None without one."""
    counts = JourneyCounts()
    for ended in journey.finished(0, table, as_of):
        counts.add(ended.channels, ended.converted)
    return fit(counts) if len(counts) else None


def version_of(as_of: int) -> int:
    """The number of the parameters that are in force at an instant: days since 1970, as midnights count."""
    return as_of // DAY_MS
