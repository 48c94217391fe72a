"""Runs schedules and says what came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from streams import chunks
from tests.simulation.audit import audit
from tests.simulation.ending import finish
from tests.simulation.episode import late_state
from tests.simulation.protections import Protections
from tests.simulation.world import World

MESSAGES = 3
"""In a chunk of an account's messages: so few that accounts of these histories have several."""


class Result(NamedTuple):
    """One schedule."""

    seed: int
    problems: list[str]
    stats: Counter[str]
    raised: bool = False
    """The problem is what a handler or the engine raised."""


@contextmanager
def small_chunks() -> Iterator[None]:
    """Chunks that fill up."""
    before, chunks.MESSAGES = chunks.MESSAGES, MESSAGES
    try:
        yield
    finally:
        chunks.MESSAGES = before


def run(
    seed: int,
    protections: Protections | None = None,
    faults: frozenset[str] | None = None,
    trace: Callable[[str], None] | None = None,
) -> Result:
    """One schedule, audited. What a handler or the engine raises is a problem too."""
    raised = False
    world = World(seed, protections, faults, trace, late_state)
    with small_chunks():
        try:
            world.run()
            finish(world)
            problems = audit(world)
        except Exception as error:
            if trace is not None:
                raise
            raised = True
            problems = [f"{type(error).__name__}: {error}"]
    world.stats["schedules"] += 1
    return Result(seed, problems, world.stats, raised)


def summary(stats: Counter[str]) -> str:
    """What was done and seen, in one line; repeated rows are duplicates that a sink sees."""
    return ", ".join(f"{count} {name}" for name, count in sorted(stats.items()))
