"""A table's contents: bytes by key, one slice for each partition, so that a revoked partition goes whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

Write = tuple[bytes, bytes | None]
"""Key and value; None deletes."""


class SliceStore(Protocol):
    """What the engine needs of a store; a persistent one has the same face."""

    def view(self, partition: int) -> SliceView:
        """Read-only view of one slice; it stays valid until the slice is dropped."""

    def apply(self, partition: int, writes: Iterable[Write]) -> None:
        """Carry out writes in order."""

    def drop(self, partition: int) -> None:
        """Forget a slice."""

    def partitions(self) -> list[int]:
        """Slices that exist."""


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

    def _slice(self, partition: int) -> dict[bytes, bytes]:
        return self._slices.setdefault(partition, {})

    def view(self, partition: int) -> SliceView:
        """Read-only view of one slice."""
        return SliceView(self._slice(partition))

    def apply(self, partition: int, writes: Iterable[Write]) -> None:
        """Carry out writes in order."""
        data = self._slice(partition)
        for key, value in writes:
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value

    def drop(self, partition: int) -> None:
        """Forget a slice."""
        self._slices.pop(partition, None)

    def partitions(self) -> list[int]:
        """Slices that exist."""
        return sorted(self._slices)
