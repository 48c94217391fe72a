"""What the engine may rely on of a store, whichever kind it is (``streams.engine.store.SliceStore``)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streams.engine.rocks import RocksMemory, RocksStore
from streams.engine.store import MemoryStore, SliceStore, Write

P, OTHER = 3, 4
MEMORY = RocksMemory(cache_bytes=8 << 20, write_bytes=4 << 20)


class Kept:
    """A store that can be opened again; ``now_ms`` is its clock."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder, self.now_ms = kind, folder, 1_000_000
        self.copies = 0
        self.store = self._new()

    def _new(self) -> SliceStore:
        if self.kind == "memory":
            return MemoryStore()
        return RocksStore(self.folder / str(self.copies), lambda: self.now_ms, MEMORY)

    def reopen(self) -> SliceStore:
        """As after a clean end."""
        self.store.close()
        self.store = self._new()
        return self.store

    def crash(self) -> SliceStore:
        """As after a kill: what goes on is a copy of the files as they lie on the disk while the store is in use."""
        before, self.copies = self.folder / str(self.copies), self.copies + 1
        if before.exists():
            shutil.copytree(before, self.folder / str(self.copies))
        self.store.close()
        self.store = self._new()
        return self.store


@pytest.fixture(params=["memory", "rocksdb"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    made = Kept(request.param, tmp_path)
    yield made
    made.store.close()


def further(key: bytes, old: bytes, new: bytes) -> bool:
    return new[:1] >= old[:1]


def write(store: SliceStore, position: int | None, *writes: Write, partition: int = P) -> None:
    """Applied and confirmed."""
    applied = list(writes)
    store.apply(partition, applied)
    store.confirm(partition, applied, position)


def content(store: SliceStore, partition: int = P) -> dict[bytes, bytes]:
    found = dict(store.view(partition).items())
    assert all(store.view(partition).get(key) == value for key, value in found.items())
    return found


def test_what_is_applied_is_seen_at_once_in_order_and_none_deletes(kept: Kept) -> None:
    view = kept.store.view(P)
    kept.store.apply(
        P, [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", None), (b"never", None), (b"", b"")]
    )
    assert (view.get(b"a"), view.get(b"b"), view.get(b"never"), view.get(b"")) == (b"3", None, None, b"")
    assert dict(view.items()) == {b"a": b"3", b"": b""}


def test_confirming_changes_nothing_that_is_seen(kept: Kept) -> None:
    first: list[Write] = [(b"a", b"1"), (b"b", b"1")]
    second: list[Write] = [(b"a", b"2"), (b"b", None), (b"c", b"2")]
    for writes in first, second:
        kept.store.apply(P, writes)
    for position, writes in enumerate((first, second)):
        kept.store.confirm(P, writes, position)
        assert content(kept.store) == {b"a": b"2", b"c": b"2"}


def test_a_walk_shows_what_was_there_when_it_began_while_it_is_confirmed(kept: Kept) -> None:
    writes = [(b"%d" % n, b"x") for n in range(5)]
    kept.store.apply(P, writes)
    walk = kept.store.view(P).items()
    next(walk)
    kept.store.confirm(P, writes, 4)
    assert len(list(walk)) == 4


def test_keys_that_look_like_the_stores_own_are_data(kept: Kept) -> None:
    strange = {bytes([first, *rest]): b"v" for first in (0, 1, 2, 255) for rest in ((), (0,), (2, 255))}
    write(kept.store, 11, *strange.items())
    assert content(kept.store) == strange
    write(kept.store, 12, *[(key, None) for key in strange])
    assert content(kept.store) == {}


def test_slices_know_nothing_of_each_other(kept: Kept) -> None:
    write(kept.store, 0, (b"a", b"1"))
    write(kept.store, 0, (b"a", b"2"), partition=OTHER)
    kept.store.drop(P)
    assert kept.store.partitions() == [OTHER]
    assert (content(kept.store), content(kept.store, OTHER)) == ({}, {b"a": b"2"})


def test_a_dropped_slice_is_gone_for_good(kept: Kept) -> None:
    write(kept.store, 7, (b"a", b"1"))
    kept.store.drop(P)
    assert (kept.store.position(P), content(kept.store)) == (None, {})
    assert (kept.reopen().position(P), content(kept.store)) == (None, {})


def survivors(store: SliceStore, kind: str) -> tuple[int | None, dict[bytes, bytes]]:
    """What a slice in memory loses whole, and one on disk keeps."""
    found = store.position(P), content(store)
    if kind == "memory":
        assert found == (None, {})
    return found


@pytest.mark.parametrize("end", ["reopen", "crash", "release"])
def test_what_was_confirmed_is_there_again_with_its_position_and_nothing_else(kept: Kept, end: str) -> None:
    write(kept.store, 1, (b"a", b"1"), (b"b", b"1"))
    write(kept.store, 3, (b"a", b"2"), (b"b", None))
    kept.store.apply(P, [(b"a", b"3"), (b"c", b"3")])
    if end == "release":
        kept.store.release(P)
        assert kept.store.partitions() == []
    else:
        getattr(kept, end)()
    found = survivors(kept.store, kept.kind)
    if kept.kind == "rocksdb":
        assert found == (3, {b"a": b"2"})


def test_writes_confirmed_before_earlier_ones_wait_for_them(kept: Kept) -> None:
    first, second = [(b"a", b"1")], [(b"a", b"2")]
    kept.store.apply(P, first)
    kept.store.apply(P, second)
    kept.store.confirm(P, second, 1)
    kept.crash()
    assert survivors(kept.store, kept.kind) == (None, {})
    kept.store.apply(P, first)
    kept.store.apply(P, second)
    kept.store.confirm(P, second, 0)
    kept.store.confirm(P, first, 0)
    found = survivors(kept.crash(), kept.kind)
    if kept.kind == "rocksdb":
        assert found == (0, {b"a": b"2"})


def test_a_position_that_is_not_known_stays(kept: Kept) -> None:
    write(kept.store, 5, (b"a", b"1"))
    write(kept.store, None, (b"a", b"2"))
    found = survivors(kept.reopen(), kept.kind)
    if kept.kind == "rocksdb":
        assert found == (5, {b"a": b"2"})


def test_a_slice_released_meanwhile_is_not_confirmed(kept: Kept) -> None:
    writes = [(b"a", b"1")]
    kept.store.apply(P, writes)
    kept.store.release(P)
    kept.store.confirm(P, writes, 0)
    assert kept.store.partitions() == []
    assert (kept.store.position(P), content(kept.store)) == (None, {})


def test_a_restored_slice_keeps_the_value_that_is_further_on(kept: Kept) -> None:
    records = [(b"a", b"22"), (b"b", b"1"), (b"a", b"1"), (b"b", b"333")]
    kept.store.restore(P, records, further, 3)
    assert content(kept.store) == {b"a": b"22", b"b": b"333"}
    assert kept.store.outdated(P) == {b"a"}


def test_a_key_whose_value_stands_last_again_is_not_outdated(kept: Kept) -> None:
    kept.store.restore(P, [(b"a", b"2"), (b"a", b"1"), (b"b", b"2"), (b"b", b"1")], further, 3)
    kept.store.restore(P, [(b"a", b"2"), (b"b", b"3")], further, 5)
    assert kept.store.outdated(P) == set()
    assert content(kept.store) == {b"a": b"2", b"b": b"3"}


def test_a_deletion_in_the_changelog_always_counts(kept: Kept) -> None:
    kept.store.restore(P, [(b"a", b"2"), (b"a", b"1"), (b"a", None), (b"gone", None)], further, 3)
    assert (content(kept.store), kept.store.outdated(P)) == ({}, set())


def test_an_outdated_key_is_one_until_a_write_of_it_is_confirmed(kept: Kept) -> None:
    kept.store.restore(P, [(b"a", b"2"), (b"a", b"1"), (b"b", b"2"), (b"b", b"1")], further, 3)
    again = [(b"a", b"2")]
    kept.store.apply(P, again)
    assert kept.store.outdated(P) == {b"a", b"b"}
    kept.store.confirm(P, again, 4)
    assert kept.store.outdated(P) == {b"b"}
    kept.crash()
    assert kept.store.outdated(P) == ({b"b"} if kept.kind == "rocksdb" else set())


def test_what_was_restored_is_there_again(kept: Kept) -> None:
    kept.store.restore(P, [(b"a", b"1"), (b"b", b"1")], further, 10)
    kept.store.restore(P, [], further, 12)
    found = survivors(kept.crash(), kept.kind)
    if kept.kind == "rocksdb":
        assert found == (12, {b"a": b"1", b"b": b"1"})


def test_size_grows_with_the_slices_and_is_nothing_without(kept: Kept) -> None:
    assert kept.store.size() == (0, 0)
    write(kept.store, 999, *[(b"%d" % n, bytes(100)) for n in range(1_000)])
    keys, size = kept.store.size()
    assert 900 < keys < 1_100
    assert size > 1_000
    kept.store.release(P)
    assert kept.store.size() == (0, 0)


def test_a_walk_half_way_does_not_keep_a_slice_from_being_opened_again(kept: Kept) -> None:
    write(kept.store, 1, (b"a", b"1"), (b"b", b"1"))
    walks = [kept.store.view(P).items() for _ in range(2)]
    next(walks[0])
    kept.store.release(P)
    kept.store.restore(P, [(b"c", b"1")], further, 2)
    assert kept.store.view(P).get(b"c") == b"1"


class Log(RuleBasedStateMachine):
    """A slice beside its changelog, with crashes, another writer and out-of-order acknowledgements.

    After every end the rest of the changelog is read, and the slice must be what a reader of all of it gets.
    """

    kind = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.kept = Kept(self.kind, self.folder)
        self.log: list[Write] = []
        self.position = -1
        self.model: dict[bytes, bytes] = {}
        self.under_way: list[tuple[list[Write], int | None]] = []
        """Runs applied, with where they begin in the log once they are appended."""
        self.applied = 0

    def teardown(self) -> None:
        self.kept.store.close()
        shutil.rmtree(self.folder)

    @rule(
        changes=st.lists(
            st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.booleans()), min_size=1, max_size=4
        )
    )
    def apply(self, changes: list[tuple[bytes, bool]]) -> None:
        self.applied += 1
        writes: list[Write] = [(key, b"%c" % self.applied if put else None) for key, put in changes]
        self.kept.store.apply(P, writes)
        self.under_way.append((writes, None))
        for key, value in writes:
            if value is None:
                self.model.pop(key, None)
            else:
                self.model[key] = value

    @rule()
    def append(self) -> None:
        for number, (writes, base) in enumerate(self.under_way):
            if base is None:
                self.under_way[number] = writes, len(self.log)
                self.log += writes
                return

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        appended = [each for each in self.under_way if each[1] is not None]
        if appended:
            number = data.draw(st.integers(0, len(appended) - 1))
            writes, base = self.under_way.pop(number)
            if base == self.position + 1:
                self.position += len(writes)
            self.kept.store.confirm(P, writes, self.position)

    @rule(key=st.sampled_from([b"a", b"b", b"c"]), behind=st.integers(0, 3), put=st.booleans())
    def write_of_another(self, key: bytes, behind: int, put: bool) -> None:
        self.log.append((key, b"%c" % max(self.applied - behind, 0) if put else None))

    @rule(how=st.sampled_from(["reopen", "crash", "release", "drop"]), cut=st.integers(1, 4))
    def end(self, how: str, cut: int) -> None:
        if how in ("release", "drop"):
            getattr(self.kept.store, how)(P)
        else:
            getattr(self.kept, how)()
        self.under_way.clear()
        self._recover(cut)

    def _recover(self, cut: int) -> None:
        store, known = self.kept.store, self.kept.store.position(P)
        assert known is None or known <= self.position
        assert known is not None or content(store) == {}
        start = 0 if known is None else known + 1
        for at in range(start, len(self.log), cut):
            records = self.log[at : at + cut]
            store.restore(P, records, further, at + len(records) - 1)
        fresh = MemoryStore()
        fresh.restore(P, self.log, further, len(self.log) - 1)
        assert content(store) == content(fresh)
        assert store.outdated(P) == fresh.outdated(P)
        self.model, self.position = content(fresh), len(self.log) - 1

    @precondition(lambda self: not self.under_way)
    @rule()
    def overrule(self) -> None:
        """What the engine does with keys whose last record is not its own."""
        again: list[Write] = [
            (key, self.model[key]) for key in sorted(self.kept.store.outdated(P) & self.model.keys())
        ]
        self.kept.store.apply(P, again)
        if again:
            self.under_way.append((again, None))

    @invariant()
    def the_view_shows_the_model(self) -> None:
        assert content(self.kept.store) == self.model


class RocksLog(Log):
    kind = "rocksdb"


QUICK = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestMemoryLog = Log.TestCase
TestMemoryLog.settings = QUICK
TestRocksLog = RocksLog.TestCase
TestRocksLog.settings = QUICK
