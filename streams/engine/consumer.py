"""Fetches runs, hands them to Faust, commits what is acknowledged.

What stock Faust does differently and why that loses or repeats work:

- it commits per message and lets a hole at the head pass; here the commit point is the acknowledged prefix of runs;
- a commit there waits until the send buffer is empty, which under load is never, or gives up after 100 ms and commits
  past unsent records; here nothing becomes committable before its effects are acknowledged, so nothing is waited for;
- a second committer does nothing, and a rebalance forgets acknowledged work before committing it; here both commit;
- the fetch thread reads the live set of active partitions, and when a pause empties it aiokafka returns the records
  of every partition, which are then dropped; here it gets a frozen copy;
- partitions without a commit are not moved back by a seek; here they are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.utils.futures import maybe_async

from streams.engine.ledger import Ledger, Verdict
from streams.engine.pacing import PacedFetches

if TYPE_CHECKING:
    from streams.engine.app import EngineApp

CHANGELOG_RUN = 5_000
"""Records in a run of a changelog: they are only put into a dictionary."""
POLL_S = 0.05
"""How long a fetch without data may wait before the set of partitions is looked at again."""
TURN_S = 0.005
"""After so long the runs of one fetch make a pause; shorter ones are handled together and answered together."""
FETCH_PACE_S = 0.004
"""Between the answer to a fetch and the next one while fetches bring less than a run."""
HELD_BACK_POLL_S = 0.002
"""The same while some partition waits for room."""


class InlineConsumerThread(driver.AIOKafkaConsumerThread):
    """Owner of the aiokafka consumer, on the worker's own event loop instead of in a thread.

    With a thread, every fetch crosses to it and back and the two compete for the interpreter. A run holds the loop
    for milliseconds, far below the session timeout; and a loop that hangs for longer loses its partitions, as it
    should, while a thread would go on sending heartbeats for it.
    """

    consumer: EngineConsumer

    def __init__(self, consumer: EngineConsumer, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **kwargs)
        self._paced: Any = None
        self._taken = 0
        """Records handed out by the fetcher."""

    async def start(self) -> None:
        """Start as a plain service."""
        self._thread_started.set()
        await self._default_start()

    async def stop(self) -> None:
        """Stop as a plain service."""
        if self._started.is_set() and not self._stopped.is_set():
            self._stopped.set()
            await self.on_thread_stop()
            await self._default_stop_children()
            await self._default_stop_futures()
            await self._default_stop_exit_stacks()

    async def crash(self, reason: BaseException) -> None:
        """Crash as a plain service."""
        await Service.crash(self, reason)

    async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        """Call where we are."""
        return await maybe_async(fun(*args, **kwargs))

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust hard-codes 1500 ms. Kafka answers at the first byte anyway; embedded brokers may not.
        consumer._fetch_max_wait_ms = self.app.settings.fetch_max_wait_ms
        return consumer

    async def getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109
        """Runs by partition."""
        return await self._fetch_records(self._ensure_consumer(), active_partitions, timeout=timeout)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109
        max_records: int | None = None,
    ) -> dict[TP, list[Any]]:
        """At most one run of every partition that has data.

        aiokafka's ``fetched_records(max_records)`` empties one partition's fetch before it looks at the next.
        """
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if fetcher is not self._paced:
            self._paced = fetcher
            PacedFetches(fetcher, FETCH_PACE_S, self.app.settings.batch_max, lambda: self._taken)
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError()
        found: dict[TP, list[Any]] = {}
        with fetcher._subscriptions.fetch_context():
            await self._collect(fetcher, active_partitions, found)
            if not found and timeout:
                found = await fetcher.fetched_records(
                    active_partitions, timeout=timeout, max_records=self.app.settings.batch_max
                )
                await self._collect(fetcher, active_partitions, found)
        self._taken += sum(map(len, found.values()))
        return found

    async def _collect(self, fetcher: Any, active: Any, found: dict[TP, list[Any]]) -> None:
        for tp in list(fetcher._records):
            if tp in active and tp not in found:
                size = self.consumer.run_size(tp)
                found.update(await fetcher.fetched_records([tp], 0, max_records=size))


class EngineConsumer(driver.Consumer):
    """Faust's consumer with runs for messages."""

    app: EngineApp

    def __post_init__(self) -> None:
        """Prepare the bookkeeping."""
        super().__post_init__()
        conf = self.app.settings
        self.ledger = Ledger(
            batch_max=conf.batch_max, max_open_runs=conf.max_open_runs, replay_window=conf.replay_window
        )
        self._committing = asyncio.Lock()
        self._commit_now = asyncio.Event()
        self._room = asyncio.Event()
        self._done_since: float | None = None
        self._changelog_starts: dict[TP, int] = {}
        self.gap_probes = 0

    def _new_consumer_thread(self) -> InlineConsumerThread:
        return InlineConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def run_size(self, tp: TP) -> int:
        """Most records in a run of this partition.

        While an agent is behind, its partitions get runs in proportion to what is left of them: topics that were
        written together are then read together, instead of the short ones first.
        """
        if tp.topic in self.app.changelogs:
            return CHANGELOG_RUN
        most, reader = self.app.settings.batch_max, self.app.reader_of(tp.topic)
        left = {other: self._left(other) for other in self.ledger.partitions}
        furthest = max(
            (n for other, n in left.items() if self.app.reader_of(other.topic) is reader), default=0
        )
        if furthest <= most or tp not in left:
            return most
        return max(most * left[tp] // furthest, 1)

    def _left(self, tp: TP) -> int:
        """Offsets of a partition that are known to wait."""
        return max((self.highwater(tp) or 0) - self.ledger.partitions[tp].next_offset, 0)

    def _waiting(self, tp: TP) -> int:
        """Offsets between the last fetched record and the end; transaction markers right behind it count as read."""
        assignment = self._thread._ensure_consumer()._subscription.subscription.assignment
        return max((self.highwater(tp) or 0) - int(assignment.state_value(tp).position), 0)

    # -- fetch and hand over

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await asyncio.sleep(0)
                fetched = await self._poll()
                # Read after the wait: a fetch that was parked during a rebalance returns records of the new
                # generation, and dropping those would lose them, since nobody seeks back any more.
                generation = self.app.consumer_generation_id
                if fetched and not self.should_stop:
                    await self._hand_over(fetched, generation)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _poll(self) -> Mapping[TP, list[Any]]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        self._room.clear()
        ready = frozenset(tp for tp in active if self.ledger.has_room(tp))
        if ready:
            held_back = len(ready) < len(active)
            found: Mapping[TP, list[Any]] = await self._getmany(
                ready, HELD_BACK_POLL_S if held_back else POLL_S
            )
            return found
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), HELD_BACK_POLL_S)
        return {}

    async def _hand_over(self, fetched: Mapping[TP, list[Any]], generation: int) -> None:
        began = monotonic()
        for key, records in fetched.items():
            tp = TP(*key)
            # The live set, not the one the fetch was started with: a partition that was paused meanwhile will be
            # sought back before it is resumed.
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if tp not in self._get_active_partitions():
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if tp.topic in self.app.changelogs:
                if not await self._starts_late(tp, records[0].offset):
                    await self.callback(self.app.changelog_run(tp, records, generation))
                continue
            ledger = self.ledger.partitions.get(tp)
            if ledger is None:
                continue
            verdict, fresh = ledger.judge(records)
            if verdict is Verdict.DELIVER:
                run = ledger.deliver(tp, fresh, generation)
                run.left = self._waiting(tp)
                await self.app.take(run)
                if monotonic() - began > TURN_S:  # let heartbeats out in between
                    await asyncio.sleep(0)
                    began = monotonic()
            elif verdict is Verdict.FETCH_AGAIN:
                self.gap_probes += 1
                self.app.observer.gap_probed(tp.topic, tp.partition)
                self.log.warning(
                    "%r: expected offset %d, got %d: fetching again",
                    tp,
                    ledger.next_offset,
                    records[0].offset,
                )
                await self.seek_wait({tp: ledger.next_offset})

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Move partitions to offsets."""
        self._changelog_starts.update(
            {tp: o for tp, o in partitions.items() if tp.topic in self.app.changelogs}
        )
        await super().seek_wait(partitions)

    async def _starts_late(self, tp: TP, first: int) -> bool:
        """Whether the first records of a changelog after a seek begin behind it; then they are fetched again, once.

        A fetch of before may have been dropped meanwhile. Behind its first run a changelog is read without drops,
        and holes of compaction are everywhere, so that is the only place to doubt.
        """
        start = self._changelog_starts.pop(tp, None)
        if start is None or first <= start:
            return False
        await super().seek_wait({tp: start})
        return True

    # -- acknowledge and commit

    def run_done(self, run: Any) -> None:
        """A run's effects are acknowledged."""
        if self._done_since is None:
            self._done_since = monotonic()
        if self.ledger.done(run):
            self._commit_now.set()
        self._room.set()

    def run_held(self, run: Any) -> None:
        """A run's effects are acknowledged, but its handler still owes something for it."""
        if self.ledger.held(run):
            executor = self.app.reader_of(run.topic)
            if executor is not None:
                executor.settle_held(run.partition)
        self._room.set()

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the acknowledged prefix of every owned partition; True when the group took it."""
        async with self._committing:
            began, owned = monotonic(), self.assignment()
            offsets = {tp: offset for tp, offset in self.ledger.committable().items() if tp in owned}
            if not offsets or not await self._commit(offsets):
                return False
            self.ledger.commit(offsets)
            self._done_since = began if self.ledger.uncommitted() else None
            self._committed_offset.update(offsets)
            self._room.set()
            self.app.committed(offsets)
            return True

    @Service.task
    async def _commit_early(self) -> None:
        """Beside Faust's commit timer: commit at once when a partition's window fills up."""
        while not self.should_stop:
            await self.wait(self._commit_now)
            self._commit_now.clear()
            await self.commit()

    # -- rebalance and stop

    async def wait_empty(self) -> None:
        """Wait until everything that was begun is acknowledged, then commit it."""
        if not self.app.crashed:
            for executor in self.app.executors:
                executor.settle_held()
            await self.app.effects_settled()
        await self.commit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit what was begun; only then is anything forgotten."""
        if not self.app.should_stop:
            self.stop_flow()
            self.app.flow_control.suspend()
            self.app.flow_control.clear()
            await self.wait_empty()
        self.ledger.release()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Move every source partition to its committed offset, or to the start when it has none."""
        await super().perform_seek()
        sources = {tp for tp in self.assignment() if tp.topic not in self.app.changelogs}
        positions = {tp: offset for tp in sources if (offset := self._read_offset[tp]) is not None}
        fresh = sources - positions.keys()
        if fresh:
            earliest = await self.earliest_offsets(*fresh)
            positions |= {tp: earliest.get(tp) or 0 for tp in fresh}
            await self.seek_wait({tp: positions[tp] for tp in fresh})
        self.ledger.start(positions)

    # -- health

    def commit_age_s(self) -> float:
        """Since the oldest run that is done and not committed was done; 0 without one."""
        return monotonic() - self._done_since if self._done_since is not None else 0.0

    def lag(self) -> dict[tuple[str, int], int]:
        """Records between the committed offset and the end, for every partition whose end is known."""
        found = {}
        for tp in self.ledger.partitions.keys() & self.assignment():
            ledger, end = self.ledger.partitions[tp], self.highwater(tp)
            if end is not None:
                found[tp.topic, tp.partition] = max(end - ledger.committed, 0)
        return found

    def answered_since(self, tp: TP, since: float) -> bool:
        """Whether a fetch of this partition was answered after a monotonic time, with nothing left to hand over."""
        consumer = self._thread._ensure_consumer()
        assignment = consumer._subscription.subscription.assignment
        if tp in consumer._fetcher._records or assignment is None:
            return False
        answered_ms = assignment.state_value(tp).timestamp
        waited_ms = (monotonic() - since) * 1000.0
        return answered_ms is not None and answered_ms > self.app.clock() - waited_ms
