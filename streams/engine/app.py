"""The Faust application that an engine is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import faust
from faust.types import TP

from streams.engine.errors import InvalidSettings, NoAssignment, NotCommitted
from streams.engine.executor import AgentExecutor
from streams.engine.fastpath import use_raw_records
from streams.engine.follower import FollowerSpec, Following, follower_problems
from streams.engine.foreign import WriteTracker, read_keys
from streams.engine.group import why_no_assignment
from streams.engine.lease import Lease, longest_pause_s
from streams.engine.observer import Health, Observer
from streams.engine.quiet import Quiet
from streams.engine.reach import Reach
from streams.engine.recovery import EngineTableManager
from streams.engine.runs import RunMessage, RunSchema
from streams.engine.settings import AgentSpec, EngineSettings, PartitionCounts, agent_problems, changelog_name
from streams.engine.store import MemoryStore, Write, store_maker
from streams.engine.table import EngineTable
from streams.engine.topics import prepare_topics
from streams.engine.transport import EngineTransport

log = logging.getLogger(__name__)

AGENT_QUEUE = 1 << 16
"""Runs; never full, since the ledger bounds what is handed over for each partition."""
PRODUCER_SLOW_S = 10.0
WATCH_S = 1.0


class EngineApp(faust.App):
    """Runs agents on the engine. Built by ``build_app``, run by ``streams.engine.worker.run_worker``."""

    def __init__(
        self,
        settings: EngineSettings,
        agents: Sequence[AgentSpec],
        partitions_of: PartitionCounts | None,
        observer: Observer,
        clock: Callable[[], int],
        followers: Sequence[FollowerSpec] = (),
    ) -> None:
        self.settings, self.specs, self.observer, self.clock = settings, tuple(agents), observer, clock
        self.following = Following(followers, {spec.name: spec.topics for spec in agents}, settings)
        self.changelogs: dict[str, AgentExecutor] = {}
        self.executors: list[AgentExecutor] = []
        self._partitions_of = partitions_of
        self._counts: dict[str, int] = {}
        self._new_store = store_maker(settings, clock)
        Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
        self._joined = False
        self._complete = False
        self._unassigned_since = monotonic()
        self._writes = WriteTracker()
        self._ready: tuple[bool, list[str]] | None = None
        self._failing = False
        self.foreign_writes = 0
        self.quiet = Quiet()
        self.lease = Lease(longest_pause_s(settings.session_timeout_ms, settings.heartbeat_interval_ms))
        self._reach = Reach(self._clients, log.warning)
        super().__init__(settings.app_id, **_faust_settings(settings))
        for spec in self.specs:
            self._add_agent(spec)
        self._readers = {topic: executor for executor in self.executors for topic in executor.spec.topics}

    # -- construction

    def _new_transport(self) -> EngineTransport:
        return EngineTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> EngineTransport:
        return EngineTransport(self.conf.broker_producer, self)

    def _add_agent(self, spec: AgentSpec) -> None:
        changelog = None if spec.table is None else changelog_name(self.settings.app_id, spec.table)
        store = MemoryStore() if changelog is None else self._new_store(changelog)
        executor = AgentExecutor(
            spec,
            store,
            changelog,
            self._counts,
            self.clock,
            self.observer,
            partial(self._advance, changelog),
            self._fail,
        )
        self.executors.append(executor)
        if changelog is not None and spec.table is not None:
            self.changelogs[changelog] = executor
            self.tables.add(EngineTable(self, name=spec.table, slices=store))
        channel = self.topic(*spec.topics, schema=RunSchema(), key_type=bytes, value_type=bytes)

        async def feed(stream: Any) -> None:
            async for _ in stream:  # runs do not come this way: the consumer hands them to ``take``
                raise AssertionError(f"{spec.name} got a message")

        feed.__name__ = feed.__qualname__ = spec.name
        self.agent(channel, name=spec.name)(feed)

    async def take(self, run: RunMessage) -> None:
        """Handle a run, unless a rebalance began since it was fetched: then it will be fetched again."""
        executor = self._readers[run.topic]
        if self._is_current(run):
            try:
                executor.handle(run, self.consumer.run_done, self.consumer.run_held)
            except Exception as error:
                # Fail stop: its state may be half applied, and stock Faust would commit what it skipped.
                await self.crash(error)
                raise

    def _is_current(self, run: RunMessage) -> bool:
        """False for a run that was on its way when a rebalance began: it will be fetched again."""
        consumer = self.consumer
        return bool(consumer.flow_active) and consumer.ledger.partitions.get(run.tp) is run.owner

    # -- what the consumer and the recovery ask

    def changelog_run(self, tp: TP, records: Sequence[Any], generation: int) -> RunMessage:
        """A message of changelog records."""
        return RunMessage(tp, records, generation, None)

    async def effects_settled(self) -> None:
        """Wait until no effects are under way, or one failed."""
        for executor in self.executors:
            await executor.settled()

    def committed(self, offsets: Mapping[TP, int]) -> None:
        """The group took these offsets."""
        for tp, offset in offsets.items():
            self.observer.committed(tp.topic, tp.partition, offset)

    def reader_of(self, topic: str) -> AgentExecutor | None:
        """The agent that reads a source topic."""
        return self._readers.get(topic)

    def restore(self, tp: TP, writes: Sequence[Write], position: int) -> None:
        """Changelog records to apply; the table is complete up to the offset then."""
        self.changelogs[tp.topic].restore(tp.partition, writes, position)

    def partitions_gone(self, assigned: set[TP]) -> None:
        """A new assignment: tell the handlers which partitions are not among it."""
        owned = self._owned(assigned)
        self._writes.clear()
        for executor in self.executors:
            executor.keep_only(owned[executor.spec.name])

    async def tables_complete(self, seconds: float, records: int) -> bool:
        """All owned tables are complete and every source stands at its committed offset.

        False: another rebalance began before all handlers had taken over.
        """
        owned = self._owned(self.consumer.assignment())
        began = self.rebalancing_count, self.consumer_generation_id

        def wanted() -> bool:
            return bool((self.rebalancing_count, self.consumer_generation_id) == began)

        for tp, offset in self.tables.recovery.active_offsets.items():
            self._writes.begin(tp, offset + 1)
        for executor in self.executors:
            executor.producer = self.producer
            # a handler may read its whole slice: heartbeats have to go out in between
            await executor.assign_in_turns(owned[executor.spec.name], wanted)
            if not wanted():
                return False
        self.observer.recovery(seconds, records)
        return True

    def _owned(self, assigned: set[TP]) -> dict[str, set[int]]:
        owned: dict[str, set[int]] = {executor.spec.name: set() for executor in self.executors}
        for tp in assigned:
            if tp.topic in self._readers:
                owned[self._readers[tp.topic].spec.name].add(tp.partition)
        return owned

    def _advance(self, changelog: str | None, partition: int, base: int, end: int) -> int | None:
        assert changelog is not None
        tp = TP(changelog, partition)
        position: int | None = self.tables.recovery.advance(tp, base, end)
        foreign = self._writes.acknowledged(tp, base, end)
        if foreign is not None:
            self.foreign_writes += 1
            self.observer.foreign_write(changelog, partition)
            log.warning("%s/%d: another writer's records from %d to %d", changelog, partition, *foreign)
            self.add_future(self._overrule(tp, *foreign))
        return position

    async def _overrule(self, tp: TP, start: int, stop: int) -> None:
        """Write our own values of the keys that another writer wrote."""
        generation = self.consumer_generation_id
        keys = await read_keys(self.settings, tp, start, stop)
        if generation == self.consumer_generation_id and self.consumer.flow_active:
            self.changelogs[tp.topic].overrule(tp.partition, keys)

    def _fail(self, error: BaseException) -> None:
        if not self._failing:
            self._failing = True
            log.critical("effects could not be carried out: %r", error)
            self.add_future(self.crash(error))

    # -- life

    async def prepare(self) -> None:
        """Claim the stores, wait for the broker, check the topics, create changelogs.

        Raises ``StoreLocked``, ``TopicsMissing``.
        """
        for executor in self.executors:
            executor.store.claim()
        counts = await prepare_topics(self.settings, self.specs, self._partitions_of)
        self._counts.update(counts)

    async def on_started_init_extra_tasks(self) -> None:
        """Start the interval timers."""
        await super().on_started_init_extra_tasks()
        for executor in self.executors:
            if executor.spec.interval_s is not None:
                self.add_future(self._tick(executor, executor.spec.interval_s))

    async def _tick(self, executor: AgentExecutor, interval_s: float) -> None:
        while not self.should_stop:
            await self.sleep(interval_s)
            for partition in sorted(executor.live):
                if self._complete and not self.should_stop and self.consumer.flow_active:
                    executor.interval(partition, self.settings.max_open_runs)
                await asyncio.sleep(0)

    @faust.Service.task
    async def _beat(self) -> None:
        await self.lease.beat(lambda: self.should_stop)

    @faust.Service.task
    async def _follow(self) -> None:
        for follower in self.following.followers:
            self.add_future(follower.run(lambda: self.should_stop))

    @faust.Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(WATCH_S)
            self._reach.look()
            self.quiet.away = self._reach.away
            self._report()
            waited = monotonic() - self._unassigned_since
            if not self._joined and waited > self.settings.assignment_deadline_s:
                known = await why_no_assignment(self.settings, self._reach, self.quiet, waited)
                await self.crash(NoAssignment(self.settings.app_id, waited, known))
            await self._commit_in_time()
        self._reach.close()

    async def _commit_in_time(self) -> None:
        consumer, producer = self._consumer, self._producer
        overdue = consumer.overdue(not self._reach.silent_s()) if consumer is not None else None
        if overdue is not None and overdue[0] > self.settings.commit_deadline_s:
            seconds, (topic, partition) = overdue
            oldest_s = producer.oldest_batch_s() if producer is not None else 0.0
            await self.crash(NotCommitted(seconds, topic, partition, oldest_s))

    def _clients(self) -> list[Any]:
        """The aiokafka clients that there are by now."""
        consumer, producer = self._consumer, self._producer
        owner = consumer._thread._consumer if consumer is not None and consumer._thread is not None else None
        own = producer._producer if producer is not None else None
        return [found for found in (owner and owner._client, own and own.client) if found is not None]

    def on_rebalance_start(self) -> None:
        """The group takes the assignment back."""
        self._joined = self._complete = False
        self._unassigned_since = monotonic()
        self.observer.rebalance()
        super().on_rebalance_start()

    def on_rebalance_return(self) -> None:
        """The group gave an assignment; recovery follows."""
        self._joined = True
        super().on_rebalance_return()

    def on_rebalance_end(self) -> None:
        """The assignment's tables are complete."""
        self._complete = True
        super().on_rebalance_end()
        self._report()

    # -- health

    def health(self) -> Health:
        """State of the worker now."""
        consumer, producer = self._consumer, self._producer
        up = len(self._clients()) == 2 and producer is not None and producer.started
        if not up or consumer is None or producer is None:
            return Health(False, False, False, 0.0, 0.0, following=self.following.reasons())
        oldest = producer.oldest_batch_s()
        assigned: dict[str, list[int]] = {}
        for tp in sorted(consumer.ledger.partitions):
            assigned.setdefault(tp.topic, []).append(tp.partition)
        recovery = self.tables.recovery
        return Health(
            joined=self._joined,
            recovered=self._complete,
            producer_up=oldest < PRODUCER_SLOW_S,
            silent_s=self._reach.silent_s(),
            commit_age_s=consumer.commit_age_s(),
            oldest_batch_s=oldest,
            assigned=assigned,
            following=self.following.reasons(),
            lag=consumer.lag() | self.following.lag(),
            recovered_records=recovery.records_recovered,
            gap_probes=consumer.gap_probes,
            foreign_writes=self.foreign_writes,
        )

    def table_sizes(self) -> dict[str, tuple[int, int]]:
        """Table -> (keys, bytes) in the owned partitions."""
        return {e.spec.table: e.store.size() for e in self.executors if e.spec.table is not None}

    def _report(self) -> None:
        health = self.health()
        self.observer.lag(health.lag)
        reasons = health.reasons()
        state = not reasons, reasons
        if state != self._ready:
            self._ready = state
            self.observer.ready(*state)


def _faust_settings(settings: EngineSettings) -> dict[str, Any]:
    brokers = [host.strip() for host in settings.brokers.split(",") if host.strip()]
    return {
        "broker": ";".join(f"kafka://{host}" for host in brokers),
        "broker_client_id": settings.client_id or settings.app_id,
        "broker_credentials": settings.security.credentials(),
        "broker_session_timeout": settings.session_timeout_ms / 1000.0,
        "broker_heartbeat_interval": settings.heartbeat_interval_ms / 1000.0,
        "broker_rebalance_timeout": settings.rebalance_timeout_ms / 1000.0,
        "broker_request_timeout": settings.request_timeout_ms / 1000.0,
        "broker_commit_interval": settings.commit_interval_ms / 1000.0,
        "broker_commit_every": 1 << 30,
        "broker_max_poll_records": settings.batch_max,
        "broker_check_crcs": settings.check_crcs,
        "consumer_max_fetch_size": settings.fetch_max_bytes,
        "consumer_auto_offset_reset": "earliest",
        "producer_acks": -1,
        "producer_linger": 0.0,
        "producer_max_batch_size": settings.batch_bytes,
        "producer_max_request_size": settings.max_request_bytes,
        "producer_compression_type": settings.compression,
        "producer_request_timeout": settings.request_timeout_ms / 1000.0,
        "stream_buffer_maxsize": AGENT_QUEUE,
        "stream_wait_empty": True,
        "table_standby_replicas": 0,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "processing_guarantee": "at_least_once",
        "recovery_consistency_check": False,
        "TableManager": EngineTableManager,
        "datadir": settings.data_dir,
        "store": "memory://",
        "web_enabled": False,
        "autodiscover": False,
    }


def build_app(
    settings: EngineSettings,
    agents: Sequence[AgentSpec],
    partitions_of: PartitionCounts | None = None,
    observer: Observer | None = None,
    *,
    clock: Callable[[], int],
    followers: Sequence[FollowerSpec] = (),
) -> EngineApp:
    """An application that runs the agents, and follows topics that they look things up in.

    ``partitions_of`` overrides the partition counts of the broker's metadata, for topics that are written to.
    ``clock`` gives the wall clock in milliseconds. Raises ``InvalidSettings``.
    """
    problems = agent_problems(tuple(agents)) + follower_problems(followers, [agent.name for agent in agents])
    if problems:
        raise InvalidSettings(problems)
    use_raw_records()
    return EngineApp(settings, agents, partitions_of, observer or Observer(), clock, followers)
