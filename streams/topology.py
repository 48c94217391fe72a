"""Which handler reads and writes what; the same for every executor.

touchpoints leads deals -> [ingest] -> journal -> [journey] -> outputs
                           |      ^       ^ ^________| |  '-> partials -> [totals] -> funnel-metrics
                           |   identity   |            |
                           '-> control -> [coordinator]'
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from streams.effects import Handler

JOURNAL = "journal"
CONTROL = "control"
PARTIALS = "partials"
IDENTITY = "identity"
DEAD_LETTERS = "dead-letters"
CREDITS = "attribution-credits"
PROBABILITIES = "pipeline-probabilities"
ALERTS = "account-alerts"
JOURNEYS = "account-journeys"
FUNNEL = "funnel-metrics"
FORECASTS = "forecasts"
PARAMETERS = "model-parameters"

SOURCES = ("touchpoints", "leads", "deals")
ANSWERS = (CREDITS, PROBABILITIES, ALERTS, JOURNEYS, FUNNEL, FORECASTS, PARAMETERS)
"""Topics that users read, in the order of the contract."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent: a handler, the topics it reads and the table it owns."""

    name: str
    topics: tuple[str, ...]
    handler: Handler
    table: str | None = None
    interval_s: float | None = None
    """How often the handler's ``interval`` wants to be called."""


@dataclass(frozen=True, slots=True)
class Follower:
    """A topic that every process reads whole and keeps up with: a table that is looked things up in."""

    name: str
    topic: str
    take: Callable[[Iterable[tuple[bytes | None, bytes | None]]], None]
    """Takes (key, value) of records in order, again those it has already when reading starts over."""
    readers: tuple[str, ...] = ()
    """Agents that have to wait until what is there has been read."""
