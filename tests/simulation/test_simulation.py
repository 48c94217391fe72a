"""Whatever happens to workers, networks, commits and changelogs, a sink ends up with the same rows."""

from __future__ import annotations

import pytest

from tests.simulation.schedule import run

SCHEDULES = 2_000
IN_ONE = 100


@pytest.mark.parametrize("first", range(0, SCHEDULES, IN_ONE))
def test_a_sink_ends_up_with_the_rows_of_the_undisturbed_run(first: int) -> None:
    for seed in range(first, first + IN_ONE):
        problems = run(seed).problems
        assert not problems, f"python -m tests.simulation --seed {seed} --trace: {problems[:3]}"


def test_a_seed_gives_the_same_schedule_each_time() -> None:
    traces: list[list[str]] = [[], []]
    for trace in traces:
        run(6, trace=trace.append)
    assert len(traces[0]) > 100
    assert traces[0] == traces[1]
