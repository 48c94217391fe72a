"""Runs the topology on the in-memory log: the same handlers as on Kafka, one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from streams.effects import Effects, Run, take_over
from streams.memory.log import MemoryLog
from streams.topology import Agent, Follower


class MemoryTable:
    """A handler's table in one partition (``streams.effects.TableView``), and the writes to it."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self.data.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value."""
        return iter(self.data.items())

    def apply(self, writes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Carry out state records in order."""
        for key, value in writes:
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value


class MemoryExecutor:
    """Feeds every agent its records until nothing is left to do.

    ``clock`` gives the append time of records and the wall clock of runs, in milliseconds. ``run_max`` is the
    most records in a run. Consumed records of internal topics are discarded unless ``retain`` is set.
    """

    def __init__(
        self,
        agents: Sequence[Agent],
        log: MemoryLog,
        clock: Callable[[], int],
        *,
        run_max: int = 500,
        retain: bool = False,
        followers: Sequence[Follower] = (),
    ) -> None:
        self.followers = followers
        self.followed = {follower.name: 0 for follower in followers}
        self.agents, self.log, self.clock, self.run_max, self.retain = agents, log, clock, run_max, retain
        self.offsets: dict[tuple[str, str, int], int] = {}
        self.tables: dict[tuple[str, int], MemoryTable] = {}
        for agent in agents:
            for topic in agent.topics:
                for partition in range(log.partitions(topic)):
                    self.offsets[agent.name, topic, partition] = 0
                    self._assign(agent, partition)

    def _assign(self, agent: Agent, partition: int) -> None:
        if (agent.name, partition) not in self.tables:
            table = self.tables[agent.name, partition] = MemoryTable()
            take_over(agent.handler, partition, table)

    def drain(self) -> None:
        """Handle everything that is there, and what comes of it."""
        while any([self._step(agent) for agent in self.agents]):
            for follower in self.followers:
                self._follow(follower)

    def _follow(self, follower: Follower) -> None:
        source = self.log.partition(follower.topic, 0)
        records = source.read(self.followed[follower.name], source.end)
        if records:
            follower.take([(record.key, record.value) for record in records])
            self.followed[follower.name] = records[-1].offset + 1
            if not self.retain:
                source.discard(records[-1].offset + 1)

    def _step(self, agent: Agent) -> bool:
        """At most one run of every partition of the agent's topics; True when there was any."""
        worked = False
        for topic in agent.topics:
            for partition in range(self.log.partitions(topic)):
                place = agent.name, topic, partition
                source = self.log.partition(topic, partition)
                records = source.read(self.offsets[place], self.run_max)
                if not records:
                    continue
                worked = True
                table = self.tables[agent.name, partition]
                following = records[-1].offset + 1
                run = Run(topic, partition, records, self.clock(), left=source.end - following)
                effects = agent.handler.handle(run, table)
                self._carry_out(effects, table)
                if effects.taken is not None:
                    following = records[effects.taken - 1].offset + 1
                self.offsets[place] = following
                if not self.retain:
                    source.discard(following)
        return worked

    def _carry_out(self, effects: Effects, table: MemoryTable) -> None:
        now = self.clock()
        for output in (*effects.outputs, *effects.after):
            self.log.append(output.topic, output.key, output.value, now, output.headers, output.partition)
        table.apply(effects.state)
