"""The in-memory executor, beyond what every test that runs the topology on it shows."""

from __future__ import annotations

from streams.effects import Effects, Run, StatelessHandler, TableView
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from streams.topology import Agent


class Left(StatelessHandler):
    """Notes the size of each run and what it is told to be waiting behind it."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def handle(self, run: Run, table: TableView) -> Effects:
        self.seen.append((len(run.records), run.left))
        return Effects()


def test_a_run_knows_how_much_waits_behind_it() -> None:
    log, handler = MemoryLog(), Left()
    for number in range(7):
        log.append("in", b"k", b"%d" % number, 0)
    MemoryExecutor([Agent("left", ("in",), handler)], log, lambda: 0, run_max=3).drain()
    assert handler.seen == [(3, 4), (3, 1), (1, 0)]
