"""How large a benchmark is, and what its steps share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.cluster import Cluster

SEED = 20_260_105


@dataclass(frozen=True, slots=True)
class Sizes:
    """Events and times of each step."""

    accounts: int
    events: int
    """Of the journey job."""
    faust_events: int
    """The first of them, for an entry that would need minutes for all."""
    visits: int
    """In-order touches for the product."""
    generated: int
    """Events of the generator, conversions among them."""
    backlog: int
    """Touches that are answered before latency is measured: more than the runs behind a start, which the product
    settles touch by touch."""
    rate: int
    """Touches per second."""
    settle_s: float
    """At full rate, before the measured time."""
    measured_s: float
    deadline_s: float
    """Of any timed step."""


FULL = Sizes(10_000, 200_000, 16_000, 120_000, 40_000, 32_000, 2_000, 4.0, 10.0, 120.0)
QUICK = Sizes(500, 30_000, 800, 8_000, 3_000, 2_000, 500, 0.5, 2.0, 60.0)


@dataclass(frozen=True, slots=True)
class Bench:
    """A run of the benchmark."""

    cluster: Cluster
    sizes: Sizes
    folder: Path
    """Logs, state and files of the entries; gone afterwards."""
    prefix: str
    """Of everything on the cluster that belongs to this run."""
