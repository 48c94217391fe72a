"""History: all versions of the credit rows, read by ``computed_at``, give the report that was known at any instant.

"Known at an instant" is what a consumer that keeps the highest version per ``credit_id`` holds once every record that
the journal got at or before the instant has been answered. Several records, and so several versions of one row, may
share an instant: all of them count, since a clock that shows an instant may still show it for the next record. So the
view that counts for an instant is the last one that was there while the clock showed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams import chunks
from streams.agents import coordinator
from streams.journal import encode_settle
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from streams.service import OFFLINE, Timing
from streams.topology import CONTROL, CREDITS, JOURNAL
from tests.builders import NOW_MS, Event, service
from tests.laws.histories import histories
from tests.laws.test_identity_end_to_end import as_events
from tests.reference import identity_random

Report = Mapping[str, Mapping[str, Any]]
"""credit_id -> row"""

IN_RUNS = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)
CATCHING_UP = Timing(tick_ms=0, idle_ms=5_000, replay_window=0, late_after_ms=None, catch_up_ms=60_000)

quiet = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
waits = st.lists(st.sampled_from([0, 0, 1, 1_000, 90_000]), min_size=40, max_size=40)
"""Milliseconds that pass before each event is there; 0 is the same instant."""


class Consumer:
    """Reads credit rows as they are sent and keeps what it has to."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        """Every version, in the order in which they came."""
        self.known: dict[str, dict[str, Any]] = {}
        """The highest version per credit."""

    def read(self, log: MemoryLog) -> None:
        """Take what has been sent since."""
        for record in log.take(CREDITS):
            if record.value is not None:
                row = orjson.loads(record.value)
                self.rows.append(row)
                before = self.known.get(row["credit_id"])
                if before is None or before["version"] <= row["version"]:
                    self.known[row["credit_id"]] = row

    def report(self) -> Report:
        """What it knows now."""
        return standing(self.known)


def standing(rows: Mapping[str, dict[str, Any]]) -> Report:
    return {key: row for key, row in rows.items() if not row["is_deleted"]}


def known_at(rows: Iterable[dict[str, Any]], instant: int) -> Report:
    """The report known at an instant (ms), from all versions in any order."""
    highest: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["version"]):
        if row["computed_at_ms"] <= instant:
            highest[row["credit_id"]] = row
    return standing(highest)


def lived(
    events: list[Event], passing: list[int] | None, *, timing: Timing, size: int = 1, partitions: int = 1
) -> tuple[list[dict[str, Any]], dict[int, Report]]:
    """All versions that a history brings about, and the report that was known at each instant on the way.

    ``passing`` are the waits before the events on a clock of their own; None: the clock is the greatest event time
    so far, as offline, where late events share an instant with what came before.
    """
    made = service(timing, partitions)
    log = MemoryLog({"journal": partitions, "partials": partitions})
    passed = [0]

    def clock() -> int:
        return made.ingest.latest if passing is None else NOW_MS + passed[0]

    executor = MemoryExecutor(made.agents, log, clock, run_max=size, followers=made.followers)
    consumer = Consumer()
    cuts: dict[int, Report] = {}

    def look() -> None:
        executor.drain()
        consumer.read(log)
        cuts[clock()] = consumer.report()

    for number, (kind, message) in enumerate(events):
        passed[0] += passing[number] if passing is not None else 0
        log.append(kind, None, orjson.dumps(message), clock())
        if number % size == 0:
            look()
    look()
    at = made.ingest.latest
    passed[0] += timing.idle_ms + 1_000
    log.append(CONTROL, b"end", coordinator.report("end", 0, at, clock()).value, clock())
    look()
    for partition in range(partitions):
        log.append(JOURNAL, None, encode_settle(at), clock(), partition=partition)
    look()
    return consumer.rows, cuts


def hold(rows: list[dict[str, Any]], cuts: Mapping[int, Report]) -> None:
    """Every cut is what all versions together say of its instant."""
    for instant, report in cuts.items():
        assert known_at(rows, instant) == report


@quiet
@given(histories, waits)
def test_all_versions_give_the_report_of_every_instant(events: list[Event], passing: list[int]) -> None:
    hold(*lived(events, passing, timing=OFFLINE))


@quiet
@given(histories)
def test_offline_where_late_events_share_an_instant_with_earlier_ones_the_last_report_of_an_instant_counts(
    events: list[Event],
) -> None:
    hold(*lived(events, None, timing=OFFLINE))


@quiet
@given(histories, waits, st.integers(2, 20), st.integers(1, 3))
def test_facts_settled_in_runs_and_partitions_have_the_same_history(
    events: list[Event], passing: list[int], size: int, partitions: int
) -> None:
    hold(*lived(events, passing, timing=IN_RUNS, size=size, partitions=partitions))


@settings(parent=quiet, max_examples=40)
@given(st.integers(0, 10_000), waits, st.integers(1, 9), st.integers(1, 3))
def test_rows_that_move_from_account_to_account_and_are_erased_have_the_same_history(
    seed: int, passing: list[int], size: int, partitions: int
) -> None:
    events = as_events(identity_random.history(seed, 30))
    hold(*lived(events, passing, timing=IN_RUNS, size=size, partitions=partitions))


@pytest.fixture(scope="module")
def small_chunks() -> Any:
    """So few messages in a chunk that every history fills some."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "MESSAGES", 3)
        yield


@pytest.mark.usefixtures("small_chunks")
@quiet
@given(histories, waits, st.integers(1, 20))
def test_a_backlog_that_is_answered_later_has_a_history_of_when_it_was_answered(
    events: list[Event], passing: list[int], size: int
) -> None:
    hold(*lived(events, passing, timing=CATCHING_UP, size=size))


def test_the_law_is_about_something() -> None:
    """A late touch revises the rows of a won deal: the reports before and after it differ, and both are found."""
    day, at = 86_400_000, NOW_MS - 100 * 86_400_000
    account = {"account_id": "acme"}
    touches = [
        ("touchpoints", {"event_id": f"t{n}", "type": "meeting", "occurred_at": at + n * day, **account})
        for n in (1, 5, 3)
    ]
    won = {"event_id": "d", "type": "deal_updated", "occurred_at": at + 9 * day, "deal_id": "D", "amount": 10}
    events: list[Event] = [*touches[:2], ("deals", {**won, "stage": "closed", **account}), touches[2]]
    rows, cuts = lived(events, [0, 1_000, 1_000, 1_000], timing=OFFLINE)
    amounts = [
        sorted(
            row["linear_amount_minor"] for row in known_at(rows, instant).values() if row["status"] == "won"
        )
        for instant in cuts
    ]
    assert amounts == [[], [], [500, 500], [333, 333, 334], [333, 333, 334]]
    hold(rows, cuts)
