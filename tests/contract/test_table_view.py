"""What a handler may rely on of its table, whichever executor holds it (``streams.effects.TableView``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.effects import TableView
from streams.engine.rocks import RocksMemory, RocksStore
from streams.engine.store import MemoryStore, SliceStore
from streams.memory.executor import MemoryTable

Writes = Sequence[tuple[bytes, bytes | None]]
PARTITION = 3


class Held(Protocol):
    """A table as its executor holds it."""

    def view(self) -> TableView: ...

    def apply(self, writes: Writes) -> None: ...

    def close(self) -> None: ...


class EngineTable:
    """On Kafka: a slice of a store in memory."""

    def __init__(self, folder: Path) -> None:
        self.store: SliceStore = MemoryStore()

    def view(self) -> TableView:
        return self.store.view(PARTITION)

    def apply(self, writes: Writes) -> None:
        self.store.apply(PARTITION, writes)

    def close(self) -> None:
        self.store.close()


class RocksTable(EngineTable):
    """On Kafka: a slice of a store on disk, in which all but the last writes are."""

    def __init__(self, folder: Path) -> None:
        self.store = RocksStore(folder, lambda: 0, RocksMemory(8 << 20, 4 << 20))
        self.before: Writes = []

    def apply(self, writes: Writes) -> None:
        self.store.confirm(PARTITION, self.before, 0)
        super().apply(writes)
        self.before = writes


class OfflineTable:
    """On the in-memory log: a table of its own for every partition."""

    def __init__(self, folder: Path) -> None:
        self.table = MemoryTable()

    def view(self) -> TableView:
        return self.table

    def apply(self, writes: Writes) -> None:
        self.table.apply(writes)

    def close(self) -> None:
        """Nothing is open."""


KINDS: list[Callable[[Path], Held]] = [EngineTable, RocksTable, OfflineTable]


@pytest.fixture(params=KINDS)
def held(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Held]:
    made: Held = request.param(tmp_path)
    yield made
    made.close()


def test_a_key_that_was_never_written_is_none(held: Held) -> None:
    assert held.view().get(b"a") is None
    assert list(held.view().items()) == []


def test_what_was_written_is_read_back_byte_for_byte(held: Held) -> None:
    held.apply([(b"a", b"\x00\xff"), (b"", b"empty key"), (b"b", b"")])
    assert (held.view().get(b"a"), held.view().get(b""), held.view().get(b"b")) == (
        b"\x00\xff",
        b"empty key",
        b"",
    )


def test_none_deletes_and_may_be_repeated(held: Held) -> None:
    held.apply([(b"a", b"1"), (b"b", b"2")])
    held.apply([(b"a", None), (b"a", None), (b"never", None)])
    assert held.view().get(b"a") is None
    assert dict(held.view().items()) == {b"b": b"2"}


def test_writes_of_one_key_are_carried_out_in_order(held: Held) -> None:
    held.apply([(b"a", b"1"), (b"a", b"2"), (b"b", b"1"), (b"b", None), (b"c", None), (b"c", b"3")])
    assert dict(held.view().items()) == {b"a": b"2", b"c": b"3"}


def test_a_view_taken_before_a_write_sees_it(held: Held) -> None:
    view = held.view()
    held.apply([(b"a", b"1")])
    assert (view.get(b"a"), dict(view.items())) == (b"1", {b"a": b"1"})


def test_items_can_be_walked_twice(held: Held) -> None:
    held.apply([(b"a", b"1"), (b"b", b"2")])
    view = held.view()
    assert sorted(view.items()) == sorted(view.items()) == [(b"a", b"1"), (b"b", b"2")]


@given(
    st.lists(
        st.lists(st.tuples(st.binary(max_size=2), st.none() | st.binary(max_size=3)), max_size=8), max_size=6
    )
)
@settings(max_examples=50, deadline=None)
def test_all_hold_the_same_after_the_same_writes(batches: list[list[tuple[bytes, bytes | None]]]) -> None:
    with TemporaryDirectory() as folder:
        tables = [kind(Path(folder) / str(number)) for number, kind in enumerate(KINDS)]
        for batch in batches:
            for table in tables:
                table.apply(batch)
        contents = [dict(table.view().items()) for table in tables]
        assert contents[0] == contents[1] == contents[2]
        assert all(table.view().get(key) == value for table in tables for key, value in contents[0].items())
        for table in tables:
            table.close()
