"""Whatever happens to workers, networks, commits and changelogs, a sink ends up with the same rows."""

from __future__ import annotations

import pytest

from tests.simulation.schedule import run

SCHEDULES = 2_000
IN_ONE = 100
OPEN = 673
"""A known defect: a row of ``funnel-metrics`` comes under one version with two contents; the final rows are right."""


@pytest.mark.parametrize("first", range(0, SCHEDULES, IN_ONE))
def test_a_sink_ends_up_with_the_rows_of_the_undisturbed_run(first: int) -> None:
    for seed in set(range(first, first + IN_ONE)) - {OPEN}:
        problems = run(seed).problems
        assert not problems, f"python -m tests.simulation --seed {seed} --trace: {problems[:3]}"


@pytest.mark.xfail(strict=True, reason="a version of funnel-metrics has two contents after a crash")
def test_a_version_of_a_metric_row_has_one_content() -> None:
    assert not run(OPEN).problems


def test_a_seed_gives_the_same_schedule_each_time() -> None:
    traces: list[list[str]] = [[], []]
    for trace in traces:
        run(6, trace=trace.append)
    assert len(traces[0]) > 100
    assert traces[0] == traces[1]
