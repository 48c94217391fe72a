"""Services, histories and views for tests, made the way the product makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import orjson

from revenue_core.config import CoreConfig
from revenue_core.identity.observations import GraphConfig
from schemas.context import Context
from schemas.domains import is_free
from streams.agents import coordinator
from streams.agents.ingest import IngestTables
from streams.journal import encode_settle
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from streams.reference_data import bot_matcher, channel_tables, currency_exponents
from streams.score import KEY_COLUMNS
from streams.service import OFFLINE, Service, Sources, Timing, build
from streams.settings import Settings, core_config
from streams.topology import ANSWERS, CONTROL, JOURNAL, SOURCES

NOW_MS = 1_800_000_000_000
"""The wall clock of tests: 2027-01-15."""

UNSTABLE = frozenset({
    "version", "cause", "computed_at", "computed_at_ms", "detected_at", "detected_at_ms", "late", "params_version",
})  # fmt: skip
"""Columns that the first law does not cover (R06)."""

Event = tuple[str, dict[str, Any]]
"""(topic kind, native message)"""


@cache
def config() -> CoreConfig:
    """The shipped configuration with the whole currency table."""
    return core_config(Settings())


@cache
def tables() -> IngestTables:
    """The look-up tables that ingest uses, read once."""
    return IngestTables(channel_tables(), bot_matcher(), b"0123456789abcdef0123456789abcdef", is_free)


def context(now_ms: int = NOW_MS) -> Context:
    """What events are checked against."""
    pipelines = {p.name: frozenset(stage.name for stage in p.stages) for p in config().pipelines}
    return Context(now_ms=now_ms, pipelines=pipelines, currencies=currency_exponents())


def service(
    timing: Timing = OFFLINE,
    journal_partitions: int = 1,
    as_of: int | None = None,
    graph: GraphConfig | None = None,
) -> Service:
    """A service with one native source topic per kind; ``graph`` says by which limits identifiers are linked."""
    sources = Sources({kind: (kind, "native") for kind in SOURCES}, lambda _: context())
    return build(
        config(), tables(), sources, timing, journal_partitions=journal_partitions, as_of=as_of, graph=graph
    )


def final_view(
    events: Iterable[tuple[str, dict[str, Any] | bytes]],
    *,
    timing: Timing = OFFLINE,
    run_max: int = 1,
    partitions: int = 1,
    drain_every: int = 1,
    scored: bool = True,
    live_touches: int = 200_000,
    backlog_ms: int | None = None,
    graph: GraphConfig | None = None,
) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Topic -> key -> last row after all events, unstable columns left out.

    Time moves to the greatest event time at the end; with ``scored`` open subjects are scored there, as offline.

    With ``run_max`` and ``drain_every`` above 1 facts are settled in runs, as live; with ``live_touches`` 0 every
    account is read back from the table in every run. ``backlog_ms`` is how far the clock is ahead of the latest
    event: then it goes on by a second with every look, else it is the time of the latest event.
    """
    made = service(timing, partitions, graph=graph)
    made.journey.live_touches = live_touches
    log = MemoryLog({"journal": partitions, "partials": partitions})
    ahead = [0, 0] if backlog_ms is None else [backlog_ms, 1_000]

    def clock() -> int:
        ahead[0] += ahead[1]
        return made.ingest.latest + ahead[0]

    executor = MemoryExecutor(made.agents, log, clock, run_max=run_max, followers=made.followers)
    for number, (kind, message) in enumerate(events):
        value = message if isinstance(message, bytes) else orjson.dumps(message)
        log.append(kind, None, value, made.ingest.latest)
        if number % drain_every == 0:
            executor.drain()
    executor.drain()
    at = made.ingest.latest
    ahead[0] += timing.idle_ms + 1_000  # everybody falls silent but the one who tells the end
    log.append(CONTROL, b"end", coordinator.report("end", 0, at, clock()).value, at)
    executor.drain()
    for partition in range(partitions if scored else 0):
        log.append(JOURNAL, None, encode_settle(at), at, partition=partition)
    executor.drain()
    return {topic: compacted(topic, (r.value for r in log.topic(topic) if r.value)) for topic in ANSWERS}


def compacted(topic: str, values: Iterable[bytes]) -> dict[str, Mapping[str, Any]]:
    """The row with the highest version per key, deleted and retracted ones left out, stable columns only."""
    last: dict[str, dict[str, Any]] = {}
    for value in values:
        row = orjson.loads(value)
        key = row[KEY_COLUMNS[topic]]
        if key not in last or last[key]["version"] <= row["version"]:
            last[key] = row
    return {
        key: stable(row)
        for key, row in last.items()
        if not row.get("is_deleted") and row.get("status") != "retracted"
    }


def stable(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row that the first law covers."""
    return {name: value for name, value in row.items() if name not in UNSTABLE}
