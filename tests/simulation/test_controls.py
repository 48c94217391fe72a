"""Negative controls: with any one protection switched off the simulation finds a schedule that goes wrong."""

from __future__ import annotations

import pytest

from tests.simulation import lacking
from tests.simulation.protections import Protections
from tests.simulation.schedule import run

WITHIN = 1_500
"""Schedules, at most."""
CRASHES = frozenset({"crash", "rebalance"})
DEATHS = frozenset({"crash", "dense"})
LATE_ROWS = frozenset({"crash", "late", "dense"})
LATE_STATE = frozenset({"late state"})


def found_within(protections: Protections, faults: frozenset[str]) -> bool:
    results = (run(seed, protections, faults) for seed in range(WITHIN))
    return any(result.problems and not result.raised for result in results)


@pytest.mark.parametrize("faults", [CRASHES, LATE_STATE], ids=["crashes", "late state"])
def test_with_all_protections_the_same_schedules_go_well(faults: frozenset[str]) -> None:
    assert [problem for seed in range(50) for problem in run(seed, Protections(), faults).problems] == []


@pytest.mark.parametrize(
    ("lacks", "faults"),
    [
        pytest.param(lacking.AppliedOffsets(), LATE_STATE, id="applied offsets"),
        pytest.param(lacking.OutputsBeforeState(), CRASHES, id="outputs before state"),
        pytest.param(lacking.StateBeforeCommit(), CRASHES, id="state before commit"),
        pytest.param(lacking.DuplicateCheck(), CRASHES, id="duplicate check"),
        pytest.param(lacking.HighestVersion(), LATE_ROWS, id="highest version"),
        pytest.param(lacking.VersionsOfTheJournal(), CRASHES, id="versions from the journal"),
        pytest.param(lacking.Newer(), LATE_STATE, id="newer in recovery"),
        pytest.param(lacking.ReplayWindow(), DEATHS, id="replay window"),
        pytest.param(lacking.Overruling(), LATE_STATE, id="overruling foreign writes"),
        pytest.param(lacking.WritingAgain(), LATE_STATE, id="writing identities again"),
        pytest.param(lacking.CompactionLag(), LATE_STATE, id="compaction lag"),
        pytest.param(lacking.DecisionStamps(), CRASHES, id="stamps of decisions"),
    ],
)
def test_without_one_protection_some_schedule_goes_wrong(lacks: Protections, faults: frozenset[str]) -> None:
    assert found_within(lacks, faults)
