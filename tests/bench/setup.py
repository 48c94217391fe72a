"""How large a benchmark is, and what its steps share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tests.bench.cluster import Cluster

SEED = 20_260_105


class JobSet(NamedTuple):
    """Input of the journey job."""

    name: str
    events: int
    accounts: int
    keep: int = 50
    """Touches of an account that its state holds."""
    few: bool = False
    """Only in the few rounds: a long one."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Events and times of each step."""

    sets: tuple[JobSet, ...]
    faust_events: int
    """The first of the first set, for an entry that would need minutes for all."""
    visits: int
    """In-order touches for the product."""
    accounts: int
    """Of the touches for the product, of its latency and of that of the job."""
    backlog: int
    """Touches that are answered before latency is measured: more than the runs behind a start, which the product
    settles touch by touch."""
    rate: int
    """Touches per second."""
    settle_s: float
    """At full rate, before the measured time."""
    measured_s: float
    join_s: float
    """From the start of a second worker to the death of the first."""
    death_s: float
    """From a death, the session timeout left out, to the end."""
    restored: int
    """Accounts whose state is restored."""
    trickle: int
    """Touches per second meanwhile."""
    depths: tuple[int, ...]
    """Touches per account before cost is measured."""
    deep_accounts: tuple[int, ...]
    """Numbers of accounts that have so many each: with the last, a worker can keep all of them decoded."""
    many_depth: int
    """Touches per account where the number of accounts differs."""
    many_accounts: tuple[int, ...]
    """Numbers of accounts beside ``met_accounts``."""
    met_accounts: int
    """The accounts that the measured touches are about."""
    burst: int
    """Touches whose cost is measured."""
    history: int
    """Events of the generator, of which those of the first 90 days are caught up with."""
    stitches: int
    """Repetitions of a visitor who identifies."""
    moved: int
    """Touches of an account that moves."""
    visitors: int
    """Of the crowd of whom few identify."""
    replica: int
    """Entries of a copy of the table of identities."""
    journeys: int
    """Finished journeys that the learned models are fitted from."""
    profile_visits: int
    """In-order touches of the run that is profiled."""
    profile_s: int
    deadline_s: float
    """Of any timed wait."""
    step_s: float
    """Longest time of a step with its preparation, check and cleaning up."""


MEDIUM, LARGE = JobSet("medium", 200_000, 10_000), JobSet("large", 1_000_000, 10_000, few=True)
FULL = Sizes(
    sets=(MEDIUM, LARGE),
    faust_events=16_000,
    visits=120_000,
    accounts=10_000,
    backlog=32_000,
    rate=2_000,
    settle_s=4.0,
    measured_s=10.0,
    join_s=15.0,
    death_s=10.0,
    restored=200_000,
    trickle=200,
    depths=(10, 100, 1_000),
    deep_accounts=(1_000, 300),
    many_depth=2,
    many_accounts=(100_000,),
    met_accounts=1_000,
    burst=20_000,
    history=120_000,
    stitches=20,
    moved=50_000,
    visitors=1_000_000,
    replica=1_000_000,
    journeys=100_000,
    profile_visits=200_000,
    profile_s=8,
    deadline_s=180.0,
    step_s=300.0,
)
LONG = replace(
    FULL,
    sets=(MEDIUM, LARGE, JobSet("deep", 120_000, 100, 10), JobSet("deep", 120_000, 100, 1_000)),
    restored=1_000_000,
    many_accounts=(100_000, 1_000_000),
    deadline_s=1_200.0,
    step_s=1_800.0,
)
QUICK = Sizes(
    sets=(JobSet("small", 30_000, 500), JobSet("deep", 6_000, 20, 200)),
    faust_events=800,
    visits=8_000,
    accounts=500,
    backlog=2_000,
    rate=300,
    settle_s=0.5,
    measured_s=2.0,
    join_s=12.0,
    death_s=8.0,
    restored=2_000,
    trickle=100,
    depths=(10, 40),
    deep_accounts=(100, 50),
    many_depth=2,
    many_accounts=(1_000,),
    met_accounts=100,
    burst=2_000,
    history=4_000,
    stitches=3,
    moved=3_000,
    visitors=20_000,
    replica=100_000,
    journeys=5_000,
    profile_visits=40_000,
    profile_s=3,
    deadline_s=90.0,
    step_s=180.0,
)


@dataclass(frozen=True, slots=True)
class Bench:
    """A run of the benchmark."""

    cluster: Cluster
    sizes: Sizes
    folder: Path
    """Logs, state and files of the entries; gone afterwards."""
    prefix: str
    """Of everything on the cluster that belongs to this run."""
    rounds: int = 1

    @property
    def few(self) -> int:
        """Rounds of long steps."""
        return max(1, self.rounds // 2)
