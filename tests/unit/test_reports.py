"""How often ingest reports how far its sources have come."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streams.agents.reports import LARGE, Reports
from streams.effects import Output, Run
from streams.memory.log import MemoryRecord
from streams.service import OFFLINE, Timing
from tests.builders import service

HOLD_MS = 250


def run(
    now_ms: int, *, topic: str = "touchpoints", partition: int = 0, records: int = 1, left: int = 0
) -> Run:
    return Run(topic, partition, [MemoryRecord(n, 0, b"k", b"v") for n in range(records)], now_ms, left)


def said(outputs: list[Output] | None) -> list[dict[str, Any]] | None:
    return None if outputs is None else [orjson.loads(output.value or b"") for output in outputs]


@pytest.fixture
def reports() -> Reports:
    """One in which touchpoints/0 has just reported, at 1,000."""
    made = Reports(HOLD_MS)
    assert made.note(run(1_000), 10)
    return made


def test_the_first_run_of_a_source_partition_is_reported() -> None:
    assert said(Reports(HOLD_MS).note(run(1_000, left=3), 10)) == [
        {"k": "watermark", "source": "touchpoints/0", "w": 10, "now": 1_000, "left": 3}
    ]


def test_runs_shortly_behind_a_report_are_held_and_the_next_report_covers_them(reports: Reports) -> None:
    assert reports.note(run(1_100, left=9), 30) is None
    assert reports.note(run(1_200), 0) is None
    assert said(reports.note(run(1_250, left=2), 20)) == [
        {"k": "watermark", "source": "touchpoints/0", "w": 30, "now": 1_250, "left": 2}
    ]


def test_many_records_are_reported_at_once(reports: Reports) -> None:
    assert reports.note(run(1_001, records=LARGE - 1), 30) is None
    assert reports.note(run(1_002), 0)


def test_a_report_brings_those_of_the_other_topics_under_its_number(reports: Reports) -> None:
    reports.note(run(1_000, topic="leads"), 5)
    reports.note(run(1_010, topic="leads"), 6)
    reports.note(run(1_020, topic="deals", partition=1), 7)
    found = said(reports.note(run(1_300), 40)) or []
    assert [(each["source"], each["w"], each["now"]) for each in found] == [
        ("touchpoints/0", 40, 1_300),
        ("leads/0", 6, 1_010),
    ]


def test_what_is_owed_is_told_once(reports: Reports) -> None:
    reports.note(run(1_100), 30)
    assert [each["now"] for each in said(reports.owed(0, 1_400)) or []] == [1_100]
    assert reports.owed(0, 1_400) == []
    assert reports.note(run(1_500), 31) is None


def test_a_clock_that_was_set_back_does_not_silence_a_source(reports: Reports) -> None:
    assert reports.note(run(400), 30)


def test_a_partition_that_comes_or_goes_owes_nothing(reports: Reports) -> None:
    reports.note(run(1_100), 30)
    reports.forget(0)
    assert reports.owed(0, 1_400) == []
    assert reports.note(run(1_101), 31)


def test_offline_every_run_is_reported() -> None:
    made = Reports(0)
    assert all(made.note(run(1_000), at) for at in range(3))


def test_time_is_reported_by_interval_where_it_is_told_by_ticks() -> None:
    def interval_s(timing: Timing) -> float | None:
        return next(agent for agent in service(timing).agents if agent.name == "ingest").interval_s

    assert interval_s(Timing()) == 0.25
    assert interval_s(OFFLINE) is None
