from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from faust.types import TP

from streams.effects import Effects, Output, Run, StatelessHandler, TableView
from streams.engine.batches import Appended, Delivery, Item
from streams.engine.errors import UnknownTopic
from streams.engine.executor import AgentExecutor, group_outputs
from streams.engine.foreign import WriteTracker
from streams.engine.ledger import PartitionLedger
from streams.engine.observer import Observer
from streams.engine.rocks import RocksMemory, RocksStore
from streams.engine.runs import RunMessage
from streams.engine.settings import AgentSpec
from streams.engine.store import MemoryStore
from streams.memory.log import MemoryRecord
from streams.partitioning import partition_of


class Producer:
    """Acknowledges at once, or when told to; each topic partition counts its own offsets."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int, bytes | None, bytes | None]] = []
        self.start, self.known = 0, True
        """Position of our items in their batch, and whether the broker tells its offset."""
        self.slow = False
        self.ends: dict[tuple[str, int], int] = {}
        self.open: list[tuple[Delivery, int]] = []

    def append(
        self, topic: str, partition: int, items: Sequence[Item], now_ms: int, *, patient: bool = False
    ) -> list[Appended]:
        base = self.ends.get((topic, partition), 0)
        self.ends[topic, partition] = base + len(items)
        self.records += [(topic, partition, key, value) for key, value, _ in items]
        delivery = Delivery(0.0)
        self.open.append((delivery, base if self.known else -1))
        if not self.slow:
            self.acknowledge()
        return [Appended(delivery, self.start, self.start + len(items))]

    def acknowledge(self) -> None:
        """Everything appended so far."""
        waiting, self.open = self.open, []
        for delivery, base in waiting:
            delivery.settle(base)


class Upper(StatelessHandler):
    """Answers each record in capitals, remembers the last value per key and says what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.left: list[int] = []
        self.takes: int | None = None
        """How many records it takes of a run; None: all."""

    def assigned(self, partition: int, table: TableView) -> None:
        self.told.append(("assigned", partition, len(list(table.items()))))

    def revoked(self, partition: int) -> None:
        self.told.append(("revoked", partition, 0))

    def handle(self, run: Run, table: TableView) -> Effects:
        records = run.records[: self.takes]
        effects = Effects(origins=[record.timestamp for record in records], taken=self.takes)
        self.left.append(run.left)
        for record in records:
            assert record.key is not None and record.value is not None
            effects.outputs.append(Output("out", record.key, record.value.upper()))
            effects.state.append((record.key, record.value))
        return effects

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        return Effects(state=[(b"ticked", b"%d" % now_ms)]) if partition else None

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        return new >= old


class Job:
    def __init__(self, changelog: str | None = "app-t-changelog") -> None:
        self.handler, self.store, self.producer = Upper(), MemoryStore(), Producer()
        self.advanced: list[tuple[int, int, int]] = []

        def advance(partition: int, base: int, end: int) -> int:
            self.advanced.append((partition, base, end))
            return end - 1

        self.failures: list[BaseException] = []
        self.acked: list[tuple[str, dict[str, int], list[int]]] = []
        self.handled: list[int] = []
        """Records of each run."""
        observer = Observer(
            outputs_acked=lambda a, c, o, _: self.acked.append((a, dict(c), list(o))),
            run_handled=lambda _, __, ___, records, ____: self.handled.append(records),
        )
        self.executor = AgentExecutor(
            AgentSpec("upper", ("in",), self.handler, "t"),
            self.store,
            changelog,
            {"out": 5},
            lambda: 1_000,
            observer,
            advance,
            self.failures.append,
        )
        self.executor.producer = self.producer


def run(partition: int, *pairs: tuple[bytes, bytes]) -> RunMessage:
    records = [MemoryRecord(n, 10 + n, key, value) for n, (key, value) in enumerate(pairs)]
    return PartitionLedger(0).deliver(TP("in", partition), records, 1)


async def test_outputs_go_before_state_and_the_run_is_done_last() -> None:
    job = Job()
    done: list[RunMessage] = []
    job.executor.assign([2])
    job.producer.slow = True
    message = run(2, (b"a", b"x"), (b"b", b"y"))
    job.executor.handle(message, done.append)
    assert job.store.view(2).get(b"b") == b"y"
    assert [record[0] for record in job.producer.records] == ["out", "out"]
    job.producer.acknowledge()
    assert len(job.producer.records) == 4
    assert not done
    job.producer.acknowledge()
    await job.executor.settled()
    assert done == [message]
    assert [record[0] for record in job.producer.records] == ["out", "out", *["app-t-changelog"] * 2]
    assert job.producer.records[2:] == [
        ("app-t-changelog", 2, b"a", b"x"),
        ("app-t-changelog", 2, b"b", b"y"),
    ]
    assert job.advanced == [(2, 0, 2)]
    assert job.acked == [("upper", {"out": 2}, [10, 11])]


async def test_a_handler_sees_how_much_waits_behind_the_run() -> None:
    job, message = Job(), run(2, (b"a", b"x"))
    job.executor.assign([2])
    message.left = 7
    job.executor.handle(message, lambda _: None)
    await job.executor.settled()
    assert job.handler.left == [7]


async def test_a_run_of_which_the_handler_took_a_part_is_done_up_to_there() -> None:
    job, message = Job(), run(2, (b"a", b"x"), (b"b", b"y"), (b"c", b"z"))
    job.executor.assign([2])
    job.handler.takes = 2
    done: list[RunMessage] = []
    job.executor.handle(message, done.append)
    await job.executor.settled()
    assert done == [message]
    assert (message.offset, len(message.records), message.left) == (1, 2, 1)
    assert job.handled == [2]


async def test_handlers_hear_of_each_partition_once() -> None:
    job = Job()
    job.executor.assign([0, 1])
    job.executor.assign([0, 1])
    job.executor.revoke([1, 7])
    assert job.handler.told == [("assigned", 0, 0), ("assigned", 1, 0), ("revoked", 1, 0)]


async def test_a_handler_forgets_a_slice_that_the_changelog_changes_under_it() -> None:
    job = Job()
    job.executor.assign([0])
    job.executor.restore(0, [(b"a", b"1"), (b"b", b"2")], 1)
    job.executor.restore(0, [(b"a", None)], 2)
    job.executor.assign([0])
    assert job.handler.told == [("assigned", 0, 0), ("revoked", 0, 0), ("assigned", 0, 1)]


async def test_a_stale_record_at_the_end_of_the_changelog_is_overruled_once_the_slice_is_owned() -> None:
    job = Job()
    job.executor.restore(0, [(b"a", b"2"), (b"b", b"1"), (b"a", b"1")], 2)
    assert job.store.view(0).get(b"a") == b"2"
    for _ in range(2):
        job.executor.assign([0])
        await job.executor.settled()
        job.executor.revoke([0])
    assert job.producer.records == [("app-t-changelog", 0, b"a", b"2")]


async def test_nothing_is_written_for_a_slice_that_went_elsewhere_during_the_recovery() -> None:
    job = Job()
    job.executor.restore(0, [(b"a", b"2"), (b"a", b"1")], 1)
    job.executor.keep_only({1})
    job.store.release(0)
    job.executor.assign([0])
    await job.executor.settled()
    assert job.producer.records == []


async def test_the_interval_acts_in_owned_partitions() -> None:
    job = Job()
    job.executor.assign([0, 3])
    for partition in (0, 1, 3):
        job.executor.interval(partition, 4)
    await job.executor.settled()
    assert job.producer.records == [("app-t-changelog", 3, b"ticked", b"1000")]
    assert job.store.view(3).get(b"ticked") == b"1000"


async def test_the_interval_leaves_out_a_partition_that_is_full_of_effects() -> None:
    job = Job()
    job.executor.assign([3])
    job.producer.slow = True
    for _ in range(3):
        job.executor.interval(3, 2)
    job.producer.acknowledge()
    await job.executor.settled()
    assert len(job.producer.records) == 2


async def test_state_without_a_table_is_a_defect() -> None:
    job = Job(changelog=None)
    job.executor.assign([0])
    with pytest.raises(TypeError, match="upper"):
        job.executor.handle(run(0, (b"a", b"x")), lambda _: None)


async def test_state_behind_others_in_its_batch_is_told_by_its_own_offsets() -> None:
    job = Job()
    job.producer.start = 3
    job.executor.assign([2])
    job.executor.interval(2, 4)
    await job.executor.settled()
    assert job.advanced == [(2, 3, 4)]


async def test_state_of_a_repeated_batch_whose_offset_nobody_knows_is_at_an_unknown_place() -> None:
    job, tracker, place = Job(), WriteTracker(), TP("app-t-changelog", 2)
    tracker.begin(place, 0)
    job.producer.start, job.producer.known = 3, False
    job.executor.assign([2])
    job.executor.interval(2, 4)
    await job.executor.settled()
    assert job.advanced == [(2, -1, -1)]
    assert [tracker.acknowledged(place, base, end) for _, base, end in job.advanced] == [None]
    assert tracker.acknowledged(place, 4, 5) is None


async def test_values_are_written_again_after_another_writer_and_nothing_is_deleted() -> None:
    job = Job()
    job.store.apply(0, [(b"a", b"1")])
    job.executor.assign([0])
    job.executor.overrule(0, [b"a", b"unknown"])
    job.executor.overrule(1, [b"a"])
    await job.executor.settled()
    assert job.producer.records == [("app-t-changelog", 0, b"a", b"1")]


class InTwoBatches:
    """The first run's items go into two batches, the second run's into the last of these."""

    def __init__(self) -> None:
        self.bases = [Delivery(0.0), Delivery(0.0)]
        self.runs = 0

    def append(
        self, topic: str, partition: int, items: Sequence[Item], now_ms: int, *, patient: bool = False
    ) -> list[Appended]:
        first, last = self.bases
        self.runs += 1
        return [Appended(first, 0, 1), Appended(last, 0, 1)] if self.runs == 1 else [Appended(last, 1, 2)]


async def test_runs_that_share_a_batch_are_acknowledged_in_their_order() -> None:
    job = Job()
    job.store.apply(0, [(key, b"1") for key in (b"a", b"b", b"c")])
    job.executor.assign([0])
    job.executor.producer = producer = InTwoBatches()
    job.executor.overrule(0, [b"a", b"b"])
    job.executor.overrule(0, [b"c"])
    for number, base in enumerate(producer.bases):
        base.settle(number)
    await job.executor.settled()
    assert job.advanced == [(0, 0, 1), (0, 1, 2), (0, 2, 3)]


async def test_state_is_confirmed_when_it_is_acknowledged_with_the_position_behind_it(tmp_path: Path) -> None:
    job, store = Job(), RocksStore(tmp_path, lambda: 0, RocksMemory(8 << 20, 4 << 20))
    job.executor.store = store
    job.executor.assign([2])
    job.producer.slow = True
    job.executor.handle(run(2, (b"a", b"x"), (b"b", b"y")), lambda _: None)
    job.producer.acknowledge()
    assert (store.view(2).get(b"a"), store.position(2)) == (b"x", None)
    job.producer.acknowledge()
    await job.executor.settled()
    assert (store.view(2).get(b"a"), store.position(2)) == (b"x", 1)
    store.close()


class Holding(StatelessHandler):
    """Holds runs whose first key is b"hold"; pays with anything else, and by the clock when it owes."""

    def __init__(self) -> None:
        self.owes = False

    def handle(self, run: Run, table: TableView) -> Effects:
        self.owes = run.records[0].key == b"hold"
        return Effects(outputs=[Output("out", b"k", b"v")], held=self.owes)

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        owed, self.owes = self.owes, False
        return Effects(outputs=[Output("out", b"k", b"paid")]) if owed else None


class HoldingJob(Job):
    def __init__(self) -> None:
        super().__init__()
        self.executor.spec = AgentSpec("holding", ("in",), Holding())
        self.executor.assign([0])
        self.done: list[RunMessage] = []
        self.held: list[RunMessage] = []

    def handle(self, key: bytes) -> RunMessage:
        message = run(0, (key, b"x"))
        self.executor.handle(message, self.done.append, self.held.append)
        return message


async def test_a_held_run_is_done_with_the_next_one_that_is_not() -> None:
    job = HoldingJob()
    first, second = job.handle(b"hold"), job.handle(b"hold")
    assert (job.done, job.held) == ([], [first, second])
    third = job.handle(b"pay")
    assert job.done == [first, second, third]
    assert job.held == [first, second]


async def test_what_pays_must_be_acknowledged() -> None:
    job = HoldingJob()
    first = job.handle(b"hold")
    job.producer.slow = True
    second = job.handle(b"pay")
    assert job.done == []
    job.producer.acknowledge()
    assert job.done == [first, second]


async def test_a_run_that_is_held_behind_what_pays_stays_held() -> None:
    job = HoldingJob()
    job.producer.slow = True
    first, second, third = job.handle(b"hold"), job.handle(b"pay"), job.handle(b"hold")
    job.producer.acknowledge()
    assert (job.done, job.held) == ([first, second], [first, third])


async def test_the_interval_pays_for_held_runs() -> None:
    job = HoldingJob()
    first = job.handle(b"hold")
    job.executor.interval(0, 4)
    assert job.done == [first]


async def test_held_runs_are_paid_for_when_asked_even_if_the_slice_is_full() -> None:
    job = HoldingJob()
    job.producer.slow = True
    held = [job.handle(b"hold") for _ in range(10)]
    job.executor.settle_held()
    job.executor.settle_held()
    job.producer.acknowledge()
    assert job.done == held
    assert [value for *_, value in job.producer.records] == [*[b"v"] * 10, b"paid"]


async def test_writing_a_value_again_pays_for_nothing() -> None:
    job = HoldingJob()
    job.handle(b"hold")
    job.executor.overrule(0, [b"a"])
    assert job.done == []


async def test_held_runs_of_a_partition_that_is_gone_are_forgotten() -> None:
    job = HoldingJob()
    job.handle(b"hold")
    job.executor.revoke([0])
    job.executor.assign([0])
    later = job.handle(b"pay")
    assert job.done == [later]


def test_outputs_are_grouped_by_partition_in_their_order() -> None:
    outputs = [
        Output("a", b"k1", b"1"),
        Output("b", b"k1", b"2", [("h", b"v")]),
        Output("a", b"k1", b"3", partition=9),
        Output("a", b"k1", None),
        Output("a", None, b"5"),
    ]
    grouped = group_outputs(outputs, {"a": 3, "b": 7})
    home = partition_of(b"k1", 3)
    assert grouped["b", partition_of(b"k1", 7)] == [(b"k1", b"2", [("h", b"v")])]
    assert grouped["a", 9] == [(b"k1", b"3", [])]
    values = [value for _, value, _ in grouped["a", home]]
    assert values == [b"1", None] or (home == 0 and values == [b"1", None, b"5"])
    assert (None, b"5", []) in grouped["a", 0]


def test_an_output_to_an_unknown_topic_is_refused() -> None:
    with pytest.raises(UnknownTopic, match="nowhere"):
        group_outputs([Output("nowhere", b"k", b"v")], {"a": 3})


async def test_runs_become_shorter_when_records_take_long_and_longer_again_when_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, took = Job(), 0.02
    readings = itertools.count()
    monkeypatch.setattr("streams.engine.executor.perf_counter", lambda: (next(readings) % 2) * took)
    job.executor.assign([0])
    for number in range(6):
        job.executor.handle(run(0, (b"%d" % number, b"1")), lambda _: None)
    assert job.executor.most_records() == 12
    took = 0.0001
    for number in range(40):
        job.executor.handle(run(0, (b"%d" % number, b"1")), lambda _: None)
    assert job.executor.most_records() == 2_500
