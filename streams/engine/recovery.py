"""Restores tables from their changelogs, in batches, and starts the flow in an order that loses nothing.

Faust's orchestration is kept (highwaters, offsets, seeks, restarts on another rebalance). Replaced are the loop
that reads records, one at a time and with errors only logged, and the end: stock resumes partitions, seeks, and then
clears the agents' queues with whatever was delivered in between.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP
from mode import Service
from mode.utils.queues import ThrowableQueue

if TYPE_CHECKING:
    from streams.engine.app import EngineApp

CHANGELOG_QUEUE = 16
"""Runs of changelog records that wait to be applied."""
HOLE_AFTER_S = 3.0
"""Without any record for this long, while fetches are answered: the rest of a changelog is holes."""


class EngineRecovery(Recovery):
    """Faust's recovery with batches."""

    app: EngineApp

    def __post_init__(self) -> None:
        """Prepare the counters."""
        super().__post_init__()
        self.records_recovered = 0
        self._records_before = 0
        self._last_record_at = 0.0
        self._began_at = monotonic()

    # -- offsets

    def advance(self, tp: TP, base: int, end: int) -> int | None:
        """Our own records ``base`` to ``end - 1`` are on the log and need not be read at the next rebalance.

        When others lie before them, or nobody knows where ours are (both -1), the position stays, so that the next
        recovery reads all of them in log order. Returns the position: the table includes all up to it.
        """
        if tp not in self.active_tps:
            return None
        if base == self.active_offsets[tp] + 1:
            self.active_offsets[tp] = end - 1
        position: int | None = self.active_offsets[tp]
        return position

    def _add(self, table: Any, tp: TP, offsets: Any) -> None:
        if tp.partition not in table.slices.partitions():
            offsets.pop(
                tp, None
            )  # of before the slice was released, in a rebalance that another one cut short
        super()._add(table, tp, offsets)

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        if destination is self.active_offsets and tps:
            await self._refuse_strangers(consumer, tps)
        await super()._build_offsets(consumer, tps, destination, title)

    async def _refuse_strangers(self, consumer: Any, tps: set[TP]) -> None:
        """Start over with tables whose position lies outside of their changelog: it is not the one they came from."""
        starts = await consumer.earliest_offsets(*tps)
        for tp in tps:
            position, start, end = self.active_offsets[tp], starts.get(tp) or 0, self.active_highwaters[tp]
            if position is not None and not start - 1 <= position <= end:
                self.log.warning(
                    "%r holds offsets %d to %d, the table was at %d: it is built anew",
                    tp,
                    start,
                    end,
                    position,
                )
                self.app.changelogs[tp.topic].start_over(tp.partition)
                self.active_offsets[tp] = None

    # -- reading

    def _set_recovery_started(self) -> None:
        self.signal_recovery_end.clear()
        self._last_record_at = monotonic()
        if not self.in_recovery:
            self._began_at, self._records_before = monotonic(), self.records_recovered
        super()._set_recovery_started()

    @Service.task
    async def _slurp_changelogs(self) -> None:
        queue = self.tables.changelog_queue
        while not self.should_stop:
            try:
                event = await asyncio.wait_for(queue.get(), timeout=1.0)
            except TimeoutError:
                self._skip_holes_at_the_end()
            else:
                self._apply(event.message)
            if self.in_recovery and not self.need_recovery():
                self._set_recovery_ended()
                self.signal_recovery_end.set()

    def _apply(self, run: Any) -> None:
        tp = run.tp
        if tp not in self.active_tps or run.generation_id != self.app.consumer_generation_id:
            return  # of before a rebalance: what lies before it may not have been read
        seen = self.active_offsets[tp]
        records = run.records
        if seen is not None and records[0].offset <= seen:
            records = [r for r in records if r.offset > seen]
        if records:
            self.app.restore(tp, [(r.key, r.value) for r in records], records[-1].offset)
            self.active_offsets[tp] = records[-1].offset
            self.records_recovered += len(records)
        self._last_record_at = monotonic()

    def _skip_holes_at_the_end(self) -> None:
        """Compaction may remove the last records of a changelog; no record will ever reach the highwater then."""
        idle_since = self._last_record_at
        if not self.in_recovery or monotonic() - idle_since < HOLE_AFTER_S:
            return
        behind = [tp for tp, left in self.active_remaining().items() if left > 0]
        if behind and all(self.app.consumer.answered_since(tp, idle_since) for tp in behind):
            for tp in behind:
                self.log.info("%r: nothing between offset %s and the end", tp, self.active_offsets[tp])
                end = self.active_offsets[tp] = self.active_highwaters[tp]
                self.app.restore(tp, [], end)

    # -- the end

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """All owned tables are complete."""
        self._set_recovery_ended()
        await self._start_flow(generation_id)

    async def _resume_streams(self, generation_id: int = 0) -> None:
        await self._start_flow(generation_id)

    async def _start_flow(self, generation_id: int) -> None:
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        if app.consumer_generation_id != generation_id:
            return
        # Clear the queues, go to the committed offsets, and only then let source partitions flow.
        app.flow_control.resume()
        assignment = consumer.assignment()
        if assignment:
            await self._wait(consumer.perform_seek(), timeout=app.conf.broker_request_timeout)
            if app.consumer_generation_id != generation_id:
                return
            taken_over = await app.tables_complete(
                monotonic() - self._began_at, self.records_recovered - self._records_before
            )
            if not taken_over or app.consumer_generation_id != generation_id:
                return
            consumer.resume_partitions({tp for tp in assignment if tp.topic not in app.changelogs})
        self.completed.set()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()


class EngineTableManager(TableManager):
    """Faust's table manager with the engine's recovery."""

    app: EngineApp
    _recovery: EngineRecovery | None
    _changelog_queue: ThrowableQueue | None

    @property
    def recovery(self) -> EngineRecovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = EngineRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    @property
    def changelog_queue(self) -> ThrowableQueue:
        """Runs of changelog records on their way to the recovery."""
        if self._changelog_queue is None:
            self._changelog_queue = self.app.FlowControlQueue(maxsize=CHANGELOG_QUEUE, clear_on_resume=True)
        return self._changelog_queue

    async def on_start(self) -> None:
        """Start at once: stock sleeps a second for tables to be declared, ours are declared before."""
        await self._update_channels()
        await self.recovery.start()

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Tell the handlers what is gone before its slices are dropped."""
        self.app.partitions_gone(assigned)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
