"""Reports that are held back, and crashes anywhere: time comes just as far."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.agents.coordinator import CoordinatorHandler
from streams.agents.ingest import IngestHandler
from streams.effects import Effects, Output, Record, Run, take_over
from streams.memory.executor import MemoryTable
from streams.memory.log import MemoryLog
from streams.topology import CONTROL
from tests.builders import tables

TOPICS = ("touchpoints", "leads")
HOLD_MS, IDLE_MS = 250, 5_000
Source = tuple[str, int]


def decode(record: Record, now_ms: int) -> list[tuple[str, dict[str, Any]]]:
    """A page view at the instant that the record holds; a third of them are refused by making the decoder fail."""
    at = int(record.value or b"")
    if at % 3 == 0:
        raise ValueError(at)
    event = {"source": "test", "event_id": str(at), "type": "page_view", "occurred_at": at, "account_id": "a"}
    return [("touchpoints", event)]


class Worker:
    """Ingest by the engine's rules: effects in order, committed is a prefix of paid runs, crashes anywhere."""

    def __init__(self, log: MemoryLog, random: Random, hold_ms: int, crashes: int) -> None:
        self.log, self.random, self.hold_ms, self.crashes = log, random, hold_ms, crashes
        self.committed: dict[Source, int] = {}
        self.now_ms = 1_000_000
        self.start()

    def start(self) -> None:
        """A new process."""
        self.handler = IngestHandler(dict.fromkeys(TOPICS, decode), tables(), hold_ms=self.hold_ms)
        self.position = dict(self.committed)
        self.open: dict[Source, deque[list[Any]]] = {}
        """Runs that are not committed: [offset after it, paid for]."""
        for number in range(2):
            self.handler.assigned(number, MemoryTable())

    def carry_out(self, number: int, effects: Effects) -> bool:
        """False when it crashed on the way; what was written stays."""
        for output in effects.outputs:
            if self.crashes and self.random.random() < 0.1:
                self.crashes -= 1
                self.start()
                return False
            self.log.append(output.topic, output.key, output.value, 0, output.headers, output.partition)
        if not effects.held:
            for (_, partition), runs in self.open.items():
                for run in runs if partition == number else ():
                    run[1] = True
        return True

    def read(self, source: Source) -> None:
        """At most one run."""
        topic, number = source
        records = self.log.partition(topic, number).read(
            self.position.get(source, 0), self.random.randint(1, 5)
        )
        if not records:
            return
        self.now_ms += self.random.choice((0, 1, 40, 300))
        effects = self.handler.handle(Run(topic, number, records, self.now_ms), MemoryTable())
        self.open.setdefault(source, deque()).append([records[-1].offset + 1, False])
        if self.carry_out(number, effects):
            self.position[source] = records[-1].offset + 1

    def interval(self, number: int) -> None:
        effects = self.handler.interval(number, self.now_ms, MemoryTable())
        if effects is not None:
            self.carry_out(number, effects)

    def commit(self) -> None:
        for source, runs in self.open.items():
            while runs and runs[0][1]:
                self.committed[source] = runs.popleft()[0]


def final_watermark(
    instants: dict[Source, list[int]], seed: int, hold_ms: int, crashes: int
) -> tuple[Any, int]:
    """What the coordinator knows of each source, and the time it tells, when everything is committed and silent."""
    log, random = MemoryLog(), Random(seed)
    for (topic, number), found in instants.items():
        for at in found:
            log.append(topic, b"k", b"%d" % at, 0, (), number)
    worker = Worker(log, random, hold_ms, crashes)
    ends = {source: len(found) for source, found in instants.items() if found}
    while worker.committed != ends:
        step = random.random()
        if step < 0.8:
            worker.read(random.choice(list(instants)))
        elif step < 0.9:
            worker.interval(random.randrange(2))
        else:
            worker.commit()
    coordinator = CoordinatorHandler(1, tick_ms=0, idle_ms=IDLE_MS)
    take_over(coordinator, 0, MemoryTable())
    told: list[Output] = []
    for record in log.topic(CONTROL):
        told += coordinator.handle(Run(CONTROL, 0, [record], worker.now_ms), MemoryTable()).outputs
    for later in (1, 2, 3):
        silent = coordinator.interval(0, worker.now_ms + later * IDLE_MS, MemoryTable())
        told += silent.outputs if silent else []
    ticks = [orjson.loads(tick.value or b"")["w"] for tick in told]
    assert ticks == sorted(ticks)
    return {name: source.watermark for name, source in coordinator.sources.items()}, coordinator.watermark


histories = st.fixed_dictionaries({
    (topic, number): st.lists(st.integers(1, 10_000), max_size=25) for topic in TOPICS for number in range(2)
})  # fmt: skip


@settings(deadline=None)
@given(histories, st.integers(0, 2**32))
def test_the_final_watermark_is_the_same_whatever_is_held_and_whatever_crashes(
    instants: dict[Source, list[int]], seed: int
) -> None:
    undisturbed = final_watermark(instants, 0, 0, 0)
    assert final_watermark(instants, seed, HOLD_MS, 8) == undisturbed
    greatest = [max((at for at in found if at % 3), default=0) for found in instants.values()]
    assert undisturbed[1] == max(greatest)
