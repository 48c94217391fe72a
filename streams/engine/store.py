"""A table's contents: bytes by key, one slice for each partition, so that a revoked partition goes whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from streams.effects import TableView
from streams.engine.settings import EngineSettings

Write = tuple[bytes, bytes | None]
"""Key and value; None deletes."""
Newer = Callable[[bytes, bytes, bytes], bool]
"""Key, value known, value behind it in the changelog: whether that one counts (``Handler.newer``)."""


class SliceStore(Protocol):
    """What the engine needs of a store.

    A *position* is the offset of a changelog record: the slice includes that one and all before it.
    """

    def claim(self) -> None:
        """Take what only one process may have, before anything is read. Raises ``StoreLocked``."""

    def view(self, partition: int) -> TableView:
        """Read-only view of one slice; it stays valid until the slice is released or dropped."""

    def apply(self, partition: int, writes: Sequence[Write]) -> None:
        """Carry out a handler's writes in order. Views show them at once; only what is confirmed may be kept."""

    def confirm(self, partition: int, writes: Sequence[Write], position: int | None) -> None:
        """The changelog has these writes, the very sequence that was given to ``apply``.

        ``position`` is the slice's after them; None when it is not known, and stays. A slice that was released
        meanwhile is left alone.
        """

    def restore(self, partition: int, writes: Sequence[Write], newer: Newer, position: int) -> None:
        """Carry out changelog records up to ``position`` in order, except those that ``newer`` refuses.

        A deletion always counts. What was applied and not confirmed may be forgotten: as far as the changelog has
        it, it is read back.
        """

    def outdated(self, partition: int) -> set[bytes]:
        """Keys whose last record in the changelog was refused, until a write of them is confirmed."""

    def position(self, partition: int) -> int | None:
        """Up to where a slice is there, from before this process or before it was released; None: nothing is."""

    def release(self, partition: int) -> None:
        """Another worker owns the slice: forget it here, or keep it on disk for later."""

    def drop(self, partition: int) -> None:
        """Forget a slice, on disk too."""

    def partitions(self) -> list[int]:
        """Slices that are there and not released."""

    def size(self) -> tuple[int, int]:
        """(keys, bytes of keys and values) over all slices; a store may only know them roughly."""

    def close(self) -> None:
        """Release everything."""


class SliceView:
    """One slice of a memory store (``streams.effects.TableView``)."""

    __slots__ = ("_data",)

    def __init__(self, data: dict[bytes, bytes]) -> None:
        self._data = data

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._data.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value, in no particular order."""
        return iter(self._data.items())


class MemoryStore:
    """Slices as dictionaries. Nothing outlives the process, so nothing waits to be confirmed."""

    def __init__(self) -> None:
        self._slices: dict[int, dict[bytes, bytes]] = {}
        self._bytes: dict[int, int] = {}
        self._outdated: dict[int, set[bytes]] = {}

    def _slice(self, partition: int) -> dict[bytes, bytes]:
        return self._slices.setdefault(partition, {})

    def claim(self) -> None:
        """Nothing: a memory store has nothing that others could have."""

    def view(self, partition: int) -> SliceView:
        """Read-only view of one slice."""
        return SliceView(self._slice(partition))

    def apply(self, partition: int, writes: Sequence[Write]) -> None:
        """Carry out writes in order."""
        data, grown = self._slice(partition), 0
        for key, value in writes:
            old = data.pop(key, None) if value is None else data.get(key)
            if old is not None:
                grown -= len(key) + len(old)
            if value is not None:
                grown += len(key) + len(value)
                data[key] = value
        self._bytes[partition] = self._bytes.get(partition, 0) + grown

    def confirm(self, partition: int, writes: Sequence[Write], position: int | None) -> None:
        """Their keys are no longer outdated."""
        outdated = self._outdated.get(partition)
        if outdated:
            outdated.difference_update(key for key, _ in writes)

    def restore(self, partition: int, writes: Sequence[Write], newer: Newer, position: int) -> None:
        """Carry out changelog records in order, except those that ``newer`` refuses."""
        data, outdated, grown = self._slice(partition), self._outdated.setdefault(partition, set()), 0
        for key, value in writes:
            old = data.get(key)
            if old is not None:
                if value is not None and value != old and not newer(key, old, value):
                    outdated.add(key)
                    continue
                outdated.discard(key)
                grown -= len(key) + len(old)
                if value is None:
                    del data[key]
            if value is not None:
                grown += len(key) + len(value)
                data[key] = value
        self._bytes[partition] = self._bytes.get(partition, 0) + grown

    def outdated(self, partition: int) -> set[bytes]:
        """Keys whose last record in the changelog was refused."""
        return set(self._outdated.get(partition, ()))

    def position(self, partition: int) -> int | None:
        """Nothing outlives the process."""
        return None

    def release(self, partition: int) -> None:
        """Forget a slice."""
        self.drop(partition)

    def drop(self, partition: int) -> None:
        """Forget a slice."""
        self._slices.pop(partition, None)
        self._bytes.pop(partition, None)
        self._outdated.pop(partition, None)

    def partitions(self) -> list[int]:
        """Slices that exist."""
        return sorted(self._slices)

    def size(self) -> tuple[int, int]:
        """(keys, bytes of keys and values) over all slices."""
        return sum(map(len, self._slices.values())), sum(self._bytes.values())

    def close(self) -> None:
        """Forget all slices."""
        for partition in self.partitions():
            self.drop(partition)


def store_maker(settings: EngineSettings, clock: Callable[[], int]) -> Callable[[str], SliceStore]:
    """Name of a changelog -> a new store for its table, of the kind the settings ask for.

    All stores of a maker share their memory. ``clock`` gives the wall clock in milliseconds.
    """
    if settings.store == "memory":
        return lambda changelog: MemoryStore()
    from streams.engine.rocks import RocksMemory, RocksStore

    folder, memory = Path(settings.data_dir) / "tables", RocksMemory()
    return lambda changelog: RocksStore(folder / changelog, clock, memory)
