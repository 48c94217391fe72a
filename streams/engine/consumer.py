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
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from streams.engine.fetching import InlineConsumerThread
from streams.engine.ledger import Ledger, Verdict
from streams.engine.yielding import Yielding

if TYPE_CHECKING:
    from streams.engine.app import EngineApp

CHANGELOG_RUN = 5_000
"""Records in a run of a changelog: they are only put into a dictionary."""
ASLEEP_S = 10.0
"""A question that is asked every second and comes so late: this process did not run."""
POLL_S = 0.05
"""How long a fetch without data may wait before the set of partitions is looked at again."""
TURN_S = 0.005
"""After so long the runs of one fetch make a pause; shorter ones are handled together and answered together."""
HELD_BACK_POLL_S = 0.002
"""The same while some partition waits for room."""


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
        self._yielding = Yielding(self.app.specs, conf.yield_lag, self._lag_of)
        self._committing = asyncio.Lock()
        self._commit_now = asyncio.Event()
        self._room = asyncio.Event()
        self._done_since: float | None = None
        self._asked = self._answered_from = monotonic()
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

    def _position(self, tp: TP) -> int:
        """Offset after the last fetched record, and after the transaction markers right behind it."""
        assignment = self._thread._ensure_consumer()._subscription.subscription.assignment
        state = assignment.state_value(tp) if assignment is not None else None
        following = self.ledger.partitions[tp].next_offset
        return max(following, state.position) if state is not None and state.has_valid_position else following

    def _waiting(self, tp: TP) -> int:
        """Offsets between the last fetched record and the end."""
        return max((self.highwater(tp) or 0) - self._position(tp), 0)

    def _lag_of(self, topic: str) -> int:
        """Records of a topic's owned partitions that are known to wait; 0 where nothing is known.

        What this worker wrote itself is known before the next fetch tells.
        """
        lag = 0
        for tp in self.ledger.partitions:
            if tp.topic == topic:
                end = max(self.highwater(tp) or 0, self.app.producer.written(topic, tp.partition))
                lag += max(end - self._position(tp), 0)
        return lag

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
        active, early = self._get_active_partitions(), self.app.following.held_back()
        if early:
            active = frozenset(tp for tp in active if tp.topic not in early)
        self._room.clear()
        yielding = self._yielding.waiting()
        ready = frozenset(tp for tp in active if tp.topic not in yielding and self.ledger.has_room(tp))
        if ready:
            held_back = len(ready) < len(active)
            found: Mapping[TP, list[Any]] = await self._getmany(
                ready, HELD_BACK_POLL_S if held_back else POLL_S
            )
            return found
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), HELD_BACK_POLL_S if active else POLL_S)
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
                await self._deliver(tp, fresh, generation)
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

    async def _deliver(self, tp: TP, records: Sequence[Any], generation: int) -> None:
        """Hand records over in runs that hold the loop briefly; what a rebalance cuts off is fetched again."""
        ledger, reader, at = self.ledger.partitions[tp], self.app.reader_of(tp.topic), 0
        while at < len(records) and self.flow_active and self.ledger.partitions.get(tp) is ledger:
            size = reader.most_records() if reader is not None else len(records)
            part = records[at : at + size]
            run = ledger.deliver(tp, part, generation)
            run.left = self._waiting(tp) + len(records) - at - len(part)
            await self.app.take(run)
            if len(run.records) < len(part):
                ledger.shortened(run, len(part))
            at += len(run.records)
            if at < len(records):
                await asyncio.sleep(0)

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
        # Who was expelled in the middle of a recovery sees what the new owner has committed, beyond its own tables.
        # The group refuses it this commit; without a ledger nothing is handed over until it hears that it is out.
        if not positions or await self._commit(positions):
            self.ledger.start(positions)

    # -- health

    def commit_age_s(self) -> float:
        """Since the oldest run that is done and not committed was done; 0 without one."""
        return monotonic() - self._done_since if self._done_since is not None else 0.0

    def overdue(self, brokers_answer: bool) -> tuple[float, TP] | None:
        """Which partition has waited longest for the commit of what was handed over, and how many seconds.

        Time in which no broker answered, or in which nobody asked this, as of a process that was stopped, is not
        counted.
        """
        now = monotonic()
        if not brokers_answer or now - self._asked > ASLEEP_S:
            self._answered_from = now
        self._asked = now
        oldest = [(ledger.runs[0].since, tp) for tp, ledger in self.ledger.partitions.items() if ledger.runs]
        if not oldest:
            return None
        since, tp = min(oldest)
        return now - max(since, self._answered_from), tp

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
