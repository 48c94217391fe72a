from __future__ import annotations

from collections.abc import Iterable

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.ledger import Ledger, PartitionLedger, Verdict
from streams.memory.log import MemoryRecord

P0, P1 = TP("in", 0), TP("in", 1)


def records(offsets: Iterable[int]) -> list[MemoryRecord]:
    return [MemoryRecord(offset, 1_000 + offset, b"k", b"v") for offset in offsets]


def ledger(**settings: int) -> Ledger:
    return Ledger(**{"batch_max": 10, "max_open_runs": 2, "replay_window": 40, **settings})


def test_a_message_stands_for_its_last_record() -> None:
    run = PartitionLedger(5).deliver(P0, records(range(5, 9)), 3)
    assert (run.offset, run.tp, run.generation_id, run.timestamp) == (8, P0, 3, 1.008)


def test_only_the_acknowledged_prefix_is_committable() -> None:
    part = PartitionLedger(0)
    first, second, third = (part.deliver(P0, records(range(n, n + 5)), 1) for n in (0, 5, 10))
    part.done(second)
    assert part.committable() is None
    part.done(first)
    assert part.committable() == 10
    part.commit(10)
    assert part.committable() is None
    part.done(third)
    assert part.committable() == 15


@given(st.permutations(range(8)), st.integers(0, 8))
def test_the_commit_point_never_passes_an_open_run(order: list[int], done: int) -> None:
    part = PartitionLedger(0)
    runs = [part.deliver(P0, records(range(n * 3, n * 3 + 3)), 1) for n in range(8)]
    for number in order[:done]:
        part.done(runs[number])
    prefix = next((n for n, run in enumerate(runs) if not run.done), 8)
    assert part.committable() == (prefix * 3 or None)


def test_what_a_handler_left_of_a_run_is_handed_over_again() -> None:
    whole, part = ledger(), PartitionLedger(0)
    whole.partitions[P0] = part
    run = part.deliver(P0, records([0, 1, 4, 7]), 1)
    run.shorten(2)
    part.shortened(run, 4)
    assert (part.next_offset, part.uncommitted) == (2, 2)
    part.done(run)
    assert part.committable() == 2
    assert [record.offset for record in part.judge(records([1, 4, 7]))[1]] == [4, 7]
    part.commit(2)
    assert (part.uncommitted, part.acked) == (0, 0)


def test_holes_of_compaction_lie_inside_the_prefix() -> None:
    part = PartitionLedger(0)
    part.done(part.deliver(P0, records([0, 3, 7]), 1))
    assert part.committable() == 8


def test_records_that_were_handed_over_before_are_dropped() -> None:
    part = PartitionLedger(10)
    assert part.judge(records(range(5, 10)))[0] is Verdict.DROP
    verdict, fresh = part.judge(records(range(8, 13)))
    assert verdict is Verdict.DELIVER
    assert [record.offset for record in fresh] == [10, 11, 12]


def test_a_hole_is_fetched_again_once_and_then_believed() -> None:
    part = PartitionLedger(10)
    assert part.judge(records([12, 13]))[0] is Verdict.FETCH_AGAIN
    assert part.judge(records([12, 13]))[0] is Verdict.DELIVER


def test_a_fetch_that_was_lost_is_found_by_the_second_one() -> None:
    part = PartitionLedger(10)
    assert part.judge(records([12, 13]))[0] is Verdict.FETCH_AGAIN
    verdict, fresh = part.judge(records([10, 11, 12, 13]))
    assert verdict is Verdict.DELIVER
    assert [record.offset for record in fresh] == [10, 11, 12, 13]


def test_each_new_hole_is_doubted_again() -> None:
    part = PartitionLedger(0)
    part.judge(records([2]))
    part.deliver(P0, part.judge(records([2]))[1], 1)
    assert part.judge(records([5]))[0] is Verdict.FETCH_AGAIN


def test_open_runs_take_the_room_of_a_partition() -> None:
    book = ledger()
    book.start({P0: 0, P1: 0})
    part = book.partitions[P0]
    first = part.deliver(P0, records(range(10)), 1)
    assert book.has_room(P0)
    part.deliver(P0, records([10]), 1)
    assert not book.has_room(P0)
    assert book.has_room(P1)
    book.done(first)
    assert book.has_room(P0)


def test_uncommitted_work_never_exceeds_the_replay_window() -> None:
    book = ledger()
    book.start({P0: 0})
    part, handed = book.partitions[P0], 0
    while book.has_room(P0):
        book.done(part.deliver(P0, records(range(handed, handed + 10)), 1))
        handed += 10
    assert handed == part.uncommitted == 40
    book.commit({P0: 20})
    assert book.has_room(P0)


def test_a_commit_is_wanted_early_when_a_quarter_of_the_window_is_acknowledged() -> None:
    book = ledger()
    book.start({P0: 0})
    part = book.partitions[P0]
    assert not book.done(part.deliver(P0, records(range(9)), 1))
    assert book.done(part.deliver(P0, records([9]), 1))


def test_a_held_run_gives_its_room_back_but_is_not_committable() -> None:
    book = ledger()
    book.start({P0: 0})
    part = book.partitions[P0]
    held, full = (part.deliver(P0, records(range(n, n + 10)), 1) for n in (0, 10))
    assert not book.has_room(P0)
    assert not book.held(held)
    assert book.has_room(P0)
    book.done(full)
    assert book.committable() == {}
    book.done(held)
    assert book.committable() == {P0: 20}
    book.commit({P0: 20})
    assert (part.uncommitted, part.acked) == (0, 0)


def test_held_runs_that_fill_the_window_must_be_paid_for() -> None:
    book = ledger()
    book.start({P0: 0})
    part = book.partitions[P0]
    runs = [part.deliver(P0, records(range(n, n + 10)), 1) for n in (0, 10, 20, 30)]
    assert [book.held(run) for run in runs] == [True] * 4
    assert not book.has_room(P0)
    for run in runs:
        book.done(run)
    book.commit({P0: 40})
    assert book.has_room(P0)
    assert not book.held(part.deliver(P0, records(range(40, 50)), 1))


def test_a_run_of_before_a_rebalance_counts_for_nothing() -> None:
    book = ledger()
    book.start({P0: 0})
    old = book.partitions[P0].deliver(P0, records([0]), 1)
    book.release()
    book.start({P0: 0})
    assert book.done(old) is False
    assert book.committable() == {}
