"""Which runs were handed over, how far they are done, and what may be committed; without any I/O.

The commit point of a partition is the end of the acknowledged prefix of the runs that were handed over. Offsets
between runs that never existed (compaction, transaction markers) need no bookkeeping: they lie inside the prefix.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from enum import Enum

from faust.types import TP

from streams.effects import Record
from streams.engine.runs import RunMessage


class Verdict(Enum):
    """What to do with records that were fetched."""

    DELIVER = 1
    DROP = 2
    """All of them were handed over before."""
    FETCH_AGAIN = 3
    """Offsets are missing before the first one."""


class PartitionLedger:
    """Bookkeeping of one owned partition since its last seek."""

    __slots__ = ("acked", "committed", "next_offset", "probed", "runs", "uncommitted")

    def __init__(self, start: int) -> None:
        self.next_offset = start
        """Of the next record to hand over."""
        self.committed = start
        self.runs: deque[RunMessage] = deque()
        """Handed over and not yet committed, in order."""
        self.uncommitted = 0
        """Records in ``runs``."""
        self.acked = 0
        """Records of them that are acknowledged: done, or held."""
        self.probed: int | None = None
        """Offset at which a hole was seen once."""

    def judge(self, records: Sequence[Record]) -> tuple[Verdict, Sequence[Record]]:
        """Whether to hand records over, and which of them.

        A hole is believed only if it is still there when the same position is fetched a second time: a fetch that
        got lost on the way must never be stepped over.
        """
        first = records[0].offset
        if first < self.next_offset:
            records = [r for r in records if r.offset >= self.next_offset]
            if not records:
                return Verdict.DROP, records
            first = records[0].offset
        if first > self.next_offset and self.probed != self.next_offset:
            self.probed = self.next_offset
            return Verdict.FETCH_AGAIN, records
        return Verdict.DELIVER, records

    def deliver(self, tp: TP, records: Sequence[Record], generation: int) -> RunMessage:
        """A message for the records, counted as handed over."""
        run = RunMessage(tp, records, generation, self)
        self.runs.append(run)
        self.uncommitted += len(records)
        self.next_offset = run.offset + 1
        return run

    def shortened(self, run: RunMessage, handed_over: int) -> None:
        """The handler of the run handed over last took fewer than so many records; the rest is handed over again."""
        self.uncommitted -= handed_over - len(run.records)
        self.next_offset = run.offset + 1

    def held(self, run: RunMessage) -> None:
        """A run's effects are acknowledged, but its handler still owes something for it."""
        run.held = True
        self.acked += len(run.records)

    def done(self, run: RunMessage) -> None:
        """A run's effects are acknowledged, and nothing is owed for it."""
        run.done = True
        if not run.held:
            self.acked += len(run.records)

    def committable(self) -> int | None:
        """Next offset after the acknowledged prefix; None when nothing is new."""
        offset = None
        for run in self.runs:
            if not run.done:
                break
            offset = run.offset + 1
        return offset

    def commit(self, offset: int) -> None:
        """The group has this offset: forget the runs below it."""
        self.committed = offset
        while self.runs and self.runs[0].offset < offset:
            count = len(self.runs.popleft().records)
            self.uncommitted -= count
            self.acked -= count


class Ledger:
    """Bookkeeping of all owned source partitions."""

    def __init__(self, *, batch_max: int, max_open_runs: int, replay_window: int) -> None:
        self._batch_max, self._max_open_runs, self._replay_window = batch_max, max_open_runs, replay_window
        self.partitions: dict[TP, PartitionLedger] = {}

    def release(self) -> None:
        """A rebalance began: forget all runs."""
        self.partitions.clear()

    def start(self, positions: Mapping[TP, int]) -> None:
        """Begin partitions at their committed offsets."""
        for tp, offset in positions.items():
            self.partitions[tp] = PartitionLedger(offset)

    def has_room(self, tp: TP) -> bool:
        """Whether one more run may be handed over; True for partitions that are not kept here.

        Counted in records: many small runs may be under way where few large ones may.
        """
        ledger = self.partitions.get(tp)
        if ledger is None:
            return True
        being_done = ledger.uncommitted - ledger.acked
        return (
            being_done + self._batch_max <= self._max_open_runs * self._batch_max
            and ledger.uncommitted + self._batch_max <= self._replay_window
        )

    def held(self, run: RunMessage) -> bool:
        """A run is acknowledged but held. True when its partition can take no more before that is paid for."""
        ledger = self.partitions.get(run.tp)
        if ledger is None or run.owner is not ledger:
            return False
        ledger.held(run)
        return ledger.uncommitted + self._batch_max > self._replay_window

    def done(self, run: RunMessage) -> bool:
        """A run's effects are acknowledged and nothing is owed for it.

        True when a commit should not wait for the timer: when a partition has used a quarter of its window with
        acknowledged work.
        """
        ledger = self.partitions.get(run.tp)
        if ledger is None or run.owner is not ledger:
            return False
        ledger.done(run)
        return 4 * ledger.acked >= self._replay_window

    def committable(self) -> dict[TP, int]:
        """Offsets to commit: the acknowledged prefix of every partition that has a new one."""
        return {
            tp: offset
            for tp, ledger in self.partitions.items()
            if (offset := ledger.committable()) is not None
        }

    def commit(self, offsets: Mapping[TP, int]) -> None:
        """The group has these offsets."""
        for tp, offset in offsets.items():
            if tp in self.partitions:
                self.partitions[tp].commit(offset)

    def uncommitted(self) -> int:
        """Records handed over and not yet committed."""
        return sum(ledger.uncommitted for ledger in self.partitions.values())
