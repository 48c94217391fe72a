"""One worker process: the engine's executors, chains, stores and ledger as they are, around it what they talk to.

Modelled after ``streams.engine.app``, ``consumer`` and ``recovery``: what is handed over, when a commit may go out,
what a rebalance waits for, from where and how far a changelog is read, when another writer's records are overruled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import NamedTuple

from faust.types import TP

from streams.engine.executor import AgentExecutor, Appender
from streams.engine.foreign import WriteTracker
from streams.engine.ledger import Ledger, Verdict
from streams.engine.observer import Observer
from streams.engine.runs import RunMessage
from streams.engine.settings import AgentSpec, changelog_name
from streams.engine.store import MemoryStore
from streams.service import Service
from tests.simulation.broker import Broker
from tests.simulation.network import Network

APP = "sim"
BATCH_MAX = 4
OPEN_RUNS = 3
RECOVERY_MAX = 12
"""Changelog records in one step of a recovery."""
LOST_FETCH = 0.02
"""How often a fetch comes from another offset than the one asked for."""


class Foreign(NamedTuple):
    """Another writer's records in a changelog, not overruled yet."""

    tp: TP
    start: int
    stop: int
    generation: int


class Worker:
    """A process from its start to its end. ``number`` is never used again."""

    def __init__(
        self,
        number: int,
        service: Service,
        broker: Broker,
        random: Random,
        clock: Callable[[], int],
        tracker: WriteTracker,
        producer_of: Callable[[Network], Appender],
    ) -> None:
        self.number, self.service, self.broker, self.random, self.clock = (
            number,
            service,
            broker,
            random,
            clock,
        )
        self.network = Network(number, broker, random)
        self.producer = producer_of(self.network)
        self.executors: dict[str, AgentExecutor] = {}
        self.changelogs: dict[str, AgentExecutor] = {}
        for agent in service.agents:
            changelog = changelog_name(APP, agent.table) if agent.table else None
            spec = AgentSpec(agent.name, agent.topics, agent.handler, agent.table, agent.interval_s)
            executor = AgentExecutor(
                spec, MemoryStore(), changelog, broker.counts, clock, Observer(),
                partial(self._advance, changelog or ""), self._failed,
            )  # fmt: skip
            self.executors[agent.name] = executor
            if changelog is not None:
                self.changelogs[changelog] = executor
        self.ledger = Ledger(
            batch_max=BATCH_MAX, max_open_runs=OPEN_RUNS, replay_window=2 * OPEN_RUNS * BATCH_MAX
        )
        self.writes = tracker
        self.foreign: deque[Foreign] = deque()
        self.foreign_seen = self.overruled = 0
        self.positions: dict[TP, int] = {}
        """Changelog partition -> last offset read or written."""
        self.highwaters: dict[TP, int] = {}
        self.owned: set[tuple[str, int]] = set()
        self.generation = -1
        self.flowing = self.recovering = self.frozen = False
        self.error: BaseException | None = None
        self._misread: set[TP] = set()
        self.followed = 0
        """Offset in the topic of identities."""

    def held_back(self) -> frozenset[str]:
        """Agents that wait: a copy of the table of identities is good for nothing within what was compacted."""
        return frozenset(
            name
            for follower in self.service.followers
            if self.followed < self.broker.partition(follower.topic, 0).compacted
            for name in follower.readers
        )

    def follow(self, most: int) -> None:
        """Read on in the table of identities."""
        for follower in self.service.followers:
            records = self.broker.partition(follower.topic, 0).read(self.followed, most)
            if records:
                follower.take([(record.key, record.value) for record in records])
                self.followed = records[-1].offset + 1

    # -- the group

    def revoke(self) -> None:
        """A rebalance begins: finish what was begun, commit it, forget it."""
        if self.flowing:
            self.flowing = False
            self.settle_held()
            self.finish()
            if self.random.random() < 0.9:
                self.commit()
        self.recovering = False
        self.ledger.release()

    def finish(self) -> None:
        """Let everything under way arrive and be acknowledged, in any order of lanes."""
        network = self.network
        while moves := [
            *((network.deliver, place) for place in network.waiting()),
            *((network.acknowledge, place) for place in network.unacknowledged()),
        ]:
            move, place = self.random.choice(moves)
            move(place)

    def assigned(self, generation: int, owned: set[tuple[str, int]]) -> None:
        """The group gave partitions: drop what is gone, and begin to read the changelogs of the rest."""
        self.generation, self.owned = generation, owned
        self.writes.clear()
        mine: dict[TP, int] = {}
        for name, executor in self.executors.items():
            partitions = {partition for agent, partition in owned if agent == name}
            executor.keep_only(partitions)
            for gone in set(executor.store.partitions()) - partitions:
                executor.store.release(gone)
            if executor.changelog is not None:
                here = executor.store.partitions()
                for partition in sorted(partitions):
                    tp = TP(executor.changelog, partition)
                    mine[tp] = self.positions.get(tp, -1) if partition in here else -1
        self.positions = mine
        self.highwaters = {tp: self.broker.partition(*tp).end - 1 for tp in mine}
        self.recovering = True

    def recover(self) -> None:
        """One step of the recovery: some records of one changelog, or the end."""
        behind = [tp for tp, position in self.positions.items() if position < self.highwaters[tp]]
        if not behind:
            self._recovered()
            return
        tp = self.random.choice(behind)
        size = self.random.randint(1, RECOVERY_MAX)
        records = self.broker.partition(*tp).read(self.positions[tp] + 1, size)
        if not records:
            self.positions[tp] = self.highwaters[tp]
            return
        writes = [(r.key or b"", r.value) for r in records]
        self.changelogs[tp.topic].restore(tp.partition, writes, records[-1].offset)
        self.positions[tp] = records[-1].offset

    def _recovered(self) -> None:
        if self.generation != self.broker.group.generation:
            return  # the group would refuse the offsets that it begins at
        committed = self.broker.group.committed
        self.ledger.start({
            tp: committed.get(tp, 0)
            for agent, partition in sorted(self.owned)
            for tp in (TP(topic, partition) for topic in self.executors[agent].spec.topics)
        })  # fmt: skip
        for tp, position in self.positions.items():
            self.writes.begin(tp, position + 1)
        self.recovering, self.flowing = False, True
        self._take_over()

    def _take_over(self) -> None:
        for agent, partition in sorted(self.owned):
            self.executors[agent].producer = self.producer
            self.executors[agent].assign([partition])

    # -- work

    def readable(self) -> list[tuple[AgentExecutor, TP]]:
        """Partitions with records that may be handed over."""
        if not self.flowing:
            return []
        waiting = self.held_back()
        return [
            (executor, tp)
            for name, executor in self.executors.items()
            if name not in waiting
            for topic in executor.spec.topics
            for partition in executor.live
            for tp in [TP(topic, partition)]
            if (ledger := self.ledger.partitions.get(tp)) is not None
            and ledger.next_offset < self.broker.partition(topic, partition).end
            and self.ledger.has_room(tp)
        ]

    def handle(self, executor: AgentExecutor, tp: TP) -> int:
        """Fetch a run and handle it; returns its number of records."""
        ledger, source = self.ledger.partitions[tp], self.broker.partition(*tp)
        start = ledger.next_offset
        if tp not in self._misread and self.random.random() < LOST_FETCH:
            self._misread.add(tp)
            start = max(start + self.random.choice([-2, -1, 1]), 0)
        else:
            self._misread.discard(tp)
        records = source.read(start, self.random.randint(1, BATCH_MAX))
        if not records:
            return 0
        verdict, fresh = ledger.judge(records)
        if verdict is not Verdict.DELIVER:
            return 0
        run = ledger.deliver(tp, fresh, self.generation)
        run.left = source.end - ledger.next_offset
        executor.handle(run, self._run_done, self._run_held)
        ledger.shortened(run, len(fresh))
        return len(run.records)

    def interval(self) -> None:
        """The clock of every agent that wants to be called by it."""
        if not self.flowing:
            return
        for executor in self.executors.values():
            if executor.spec.interval_s is not None:
                for partition in sorted(executor.live):
                    executor.interval(partition, OPEN_RUNS)

    def commit(self) -> None:
        """Commit what is acknowledged; the answer may get lost."""
        offsets: Mapping[TP, int] = self.ledger.committable()
        taken = self.broker.group.commit(self.generation, offsets)
        if taken and self.random.random() < 0.9:
            self.ledger.commit(offsets)

    def overrule(self) -> None:
        """Write our own values of the keys that another writer wrote."""
        tp, start, stop, generation = self.foreign.popleft()
        records = self.broker.partition(*tp).read(start, stop - start)
        keys = dict.fromkeys(r.key for r in records if r.offset < stop and r.key is not None)
        if self.flowing and generation == self.generation:
            self.overruled += 1
            self.changelogs[tp.topic].overrule(tp.partition, list(keys))

    def idle(self) -> bool:
        """Whether nothing is left to do for it. Raises what its effects failed with."""
        if self.error is not None:
            raise self.error
        under_way = self.network.waiting() or self.network.unacknowledged()
        return not (self.recovering or self.foreign or under_way or self.held_back() or self.readable())

    def settle_held(self) -> None:
        """Have the handlers pay for the runs that they hold."""
        for executor in self.executors.values():
            executor.settle_held()

    def _run_done(self, run: RunMessage) -> None:
        self.ledger.done(run)

    def _run_held(self, run: RunMessage) -> None:
        if self.ledger.held(run):
            for executor in self.executors.values():
                if run.topic in executor.spec.topics:
                    executor.settle_held(run.partition)

    def _advance(self, changelog: str, partition: int, base: int, end: int) -> int | None:
        tp = TP(changelog, partition)
        if tp in self.positions and base == self.positions[tp] + 1:
            self.positions[tp] = end - 1
        foreign = self.writes.acknowledged(tp, base, end)
        if foreign is not None:
            self.foreign_seen += 1
            self.foreign.append(Foreign(tp, *foreign, self.generation))
        return self.positions.get(tp)

    def _failed(self, error: BaseException) -> None:
        self.error = error
