"""Crashes at every boundary between effects leave no trace in what a sink ends up with."""

from __future__ import annotations

from random import Random

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.agents import coordinator
from streams.effects import Effects, Run, take_over
from streams.memory.executor import MemoryTable
from streams.memory.log import MemoryLog
from streams.score import KEY_COLUMNS
from streams.service import Timing
from streams.topology import ALERTS, ANSWERS, CONTROL, Agent
from tests.builders import Event, compacted, service, stable
from tests.laws.histories import histories

RUN_MAX = 6
TIMING = Timing(tick_ms=0, idle_ms=0, replay_window=RUN_MAX, late_after_ms=None)


class Crash(Exception):
    """The worker is gone."""


class CrashingExecutor:
    """Runs the service, and kills it between any two effects. Committed offsets lag behind at will."""

    def __init__(self, log: MemoryLog, random: Random, crashes: int) -> None:
        self.log, self.random, self.crashes = log, random, crashes
        self.committed: dict[tuple[str, str], int] = {}
        self.tables: dict[str, MemoryTable] = {}
        self.start()

    def start(self) -> None:
        """A new process: nothing but the log, the tables and the committed offsets is left."""
        self.service = service(TIMING)
        self.offsets = dict(self.committed)
        self.followed = dict.fromkeys(self.service.followers, 0)
        for agent in self.service.agents:
            take_over(agent.handler, 0, self.tables.setdefault(agent.name, MemoryTable()))

    def drain(self) -> None:
        while True:
            try:
                if not any([self.step(agent) for agent in self.service.agents]):
                    return
                self.follow()
            except Crash:
                self.start()

    def follow(self) -> None:
        """Bring what the worker knows of identities up to date, now and then."""
        for follower, position in self.followed.items():
            if self.random.random() < 0.5:
                records = self.log.partition(follower.topic, 0).read(
                    position, self.random.randint(1, RUN_MAX)
                )
                follower.take([(record.key, record.value) for record in records])
                self.followed[follower] = position + len(records)

    def step(self, agent: Agent) -> bool:
        worked = False
        for topic in agent.topics:
            place = agent.name, topic
            records = self.log.partition(topic, 0).read(
                self.offsets.get(place, 0), self.random.randint(1, RUN_MAX)
            )
            if not records:
                continue
            worked = True
            table = self.tables[agent.name]
            effects = agent.handler.handle(Run(topic, 0, records, 0), table)
            self.carry_out(effects, table)
            self.offsets[place] = records[(effects.taken or len(records)) - 1].offset + 1
            if self.random.random() < 0.5:
                self.committed[place] = self.offsets[place]
        return worked

    def carry_out(self, effects: Effects, table: MemoryTable) -> None:
        for output in (*effects.outputs, *effects.after):
            self.maybe_crash()
            self.log.append(output.topic, output.key, output.value, 0, output.headers, output.partition)
        for write in effects.state:
            self.maybe_crash()
            table.apply([write])
        self.maybe_crash()

    def maybe_crash(self) -> None:
        if self.crashes and self.random.random() < 0.02:
            self.crashes -= 1
            raise Crash


def sink(events: list[Event], seed: int, crashes: int) -> MemoryLog:
    """The log after all events and the last tick."""
    log = MemoryLog()
    executor = CrashingExecutor(log, Random(seed), crashes)
    for number, (kind, message) in enumerate(events):
        log.append(kind, None, orjson.dumps(message), 0)
        if number % 7 == 0:
            executor.drain()
    executor.drain()
    at = max(message["occurred_at"] for _, message in events)
    log.append(CONTROL, b"end", coordinator.report("end", 0, at, at).value, 0)
    executor.drain()
    return log


def by_version(log: MemoryLog) -> dict[str, object]:
    """What a sink holds that keeps the highest version per key."""
    return {topic: compacted(topic, (r.value for r in log.topic(topic) if r.value)) for topic in ANSWERS}


def by_last(log: MemoryLog) -> dict[str, object]:
    """What compaction leaves: the last record per key."""
    views: dict[str, object] = {}
    for topic in ANSWERS:
        last = {}
        for record in log.topic(topic):
            row = orjson.loads(record.value) if record.value else None
            key = row[KEY_COLUMNS[topic]] if row and topic == ALERTS else (record.key or b"").decode()
            last[key] = row
        views[topic] = {
            key: stable(row)
            for key, row in last.items()
            if row and not row.get("is_deleted") and row.get("status") != "retracted"
        }
    return views


@pytest.fixture(scope="module", params=[1, 200])
def steps(request):
    """How many timers fire in one step of time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.agents.journey_run.TIMERS_PER_STEP", request.param)
        yield


@pytest.mark.usefixtures("steps")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories, st.integers(0, 2**32))
def test_a_sink_ends_up_with_the_same_rows_whatever_crashes(events, seed):
    undisturbed = by_version(sink(events, 0, 0))
    disturbed = sink(events, seed, 10)
    assert by_version(disturbed) == undisturbed
    assert by_last(disturbed) == undisturbed
