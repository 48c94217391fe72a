"""A table's contents: bytes by key, one slice for each partition, so that a revoked partition goes whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

Write = tuple[bytes, bytes | None]
"""Key and value; None deletes."""
Newer = Callable[[bytes, bytes, bytes], bool]
"""Key, value known, value behind it in the changelog: whether that one counts (``Handler.newer``)."""


class SliceStore(Protocol):
    """What the engine needs of a store; a persistent one has the same face."""

    def view(self, partition: int) -> SliceView:
        """Read-only view of one slice; it stays valid until the slice is dropped."""

    def apply(self, partition: int, writes: Iterable[Write]) -> None:
        """Carry out writes in order."""

    def restore(self, partition: int, writes: Iterable[Write], newer: Newer, outdated: set[bytes]) -> None:
        """Carry out changelog records in order, except those that ``newer`` refuses; a deletion always counts.

        ``outdated`` gets the keys whose last record in the changelog was refused, and loses the others.
        """

    def drop(self, partition: int) -> None:
        """Forget a slice."""

    def partitions(self) -> list[int]:
        """Slices that exist."""

    def size(self) -> tuple[int, int]:
        """(keys, bytes of keys and values) over all slices."""


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
    """Slices as dictionaries."""

    def __init__(self) -> None:
        self._slices: dict[int, dict[bytes, bytes]] = {}
        self._bytes: dict[int, int] = {}

    def _slice(self, partition: int) -> dict[bytes, bytes]:
        return self._slices.setdefault(partition, {})

    def view(self, partition: int) -> SliceView:
        """Read-only view of one slice."""
        return SliceView(self._slice(partition))

    def apply(self, partition: int, writes: Iterable[Write]) -> None:
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

    def restore(self, partition: int, writes: Iterable[Write], newer: Newer, outdated: set[bytes]) -> None:
        """Carry out changelog records in order, except those that ``newer`` refuses."""
        data, grown = self._slice(partition), 0
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

    def drop(self, partition: int) -> None:
        """Forget a slice."""
        self._slices.pop(partition, None)
        self._bytes.pop(partition, None)

    def partitions(self) -> list[int]:
        """Slices that exist."""
        return sorted(self._slices)

    def size(self) -> tuple[int, int]:
        """(keys, bytes of keys and values) over all slices."""
        return sum(map(len, self._slices.values())), sum(self._bytes.values())
