"""One slice of a table in RocksDB.

What a handler writes is in memory until the changelog has it; then it goes to the disk, in one atomic write with the
position behind it. So a copy never holds what the changelog might not have, and never claims more than it holds:

- when the process is killed, everything confirmed is there, since the operating system has the write-ahead log;
- when the machine loses power, the last writes may be missing, each with its position: they are read again.

In the database the first byte of a key says what it is: the slice's mark, data, or an outdated key.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from weakref import WeakSet

from rocksdict import Rdict, WriteBatch

from streams.engine.errors import StoreFailed
from streams.engine.store import Newer, Write

MARK, DATA, OUTDATED = b"\0", b"\1", b"\2"
FORMAT = 1
_MARK = struct.Struct(">Bqq")
"""Format, position, and when the slice was moved to it (ms)."""
KEEPS_MS = 12 * 3_600_000
"""Half of the time that Kafka keeps a tombstone by default (``delete.retention.ms``, 24 h).

A copy that was behind for longer could keep a key whose deletion is no longer to be read.
"""
DAMAGED = "damaged"
"""File beside a database in which reading found damage that opening it does not show."""


class Pending(NamedTuple):
    """Writes of a handler, in the order of the changelog."""

    writes: Sequence[Write]
    confirmed: list[int | None]
    """The position told when they were confirmed; empty until then."""


class Slice:
    """One database, and what is not in it yet. Raises ``StoreFailed`` when RocksDB does."""

    def __init__(self, folder: Path, db: Rdict, clock: Callable[[], int]) -> None:
        self.folder, self.db, self._clock = folder, db, clock
        self.position: int | None = None
        self.outdated: set[bytes] = set()
        self.unconfirmed: dict[bytes, tuple[int, bytes | None]] = {}
        """Key -> writes of it that wait, and the last one's value."""
        self._pending: deque[Pending] = deque()
        self._walks: WeakSet[Iterator[tuple[bytes, bytes]]] = WeakSet()

    # -- what is kept

    def read_mark(self) -> str | None:
        """Take over what the database says of itself; why it cannot be used, or None. Raises what RocksDB raises."""
        mark = self.db.get(MARK)
        if mark is None:
            used = next(self._walk(DATA), None) is not None
            return "it does not say how far it is complete" if used else None
        if len(mark) != _MARK.size or mark[0] != FORMAT:
            return f"it has another format than {FORMAT}"
        _, position, moved_at = _MARK.unpack(mark)
        if abs(self._clock() - moved_at) > KEEPS_MS:
            return "it was not moved on for so long that deletions may have left the changelog"
        self.position = position
        self.outdated = {key for key, _ in self._walk(OUTDATED)}
        return None

    def _move(self, batch: WriteBatch, position: int) -> None:
        if position != self.position:
            batch.put(MARK, _MARK.pack(FORMAT, position, self._clock()))
            self.position = position

    # -- reading

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        found = self.unconfirmed.get(key)
        if found is not None:
            return found[1]
        try:
            value: bytes | None = self.db.get(DATA + key)
        except Exception as error:
            raise self._failed(error) from error
        return value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value as they are now."""
        walk = self._items(self._walk(DATA), {k: v for k, (_, v) in self.unconfirmed.items()})
        self._walks.add(walk)
        return walk

    def _items(
        self, stored: Iterator[tuple[bytes, bytes]], unconfirmed: dict[bytes, bytes | None]
    ) -> Iterator[tuple[bytes, bytes]]:
        with self._failing():
            for key, value in stored:
                if key not in unconfirmed:
                    yield key, value
        for key, last in unconfirmed.items():
            if last is not None:
                yield key, last

    def _walk(self, kind: bytes) -> Iterator[tuple[bytes, bytes]]:
        # An iterator sees the database as it is when it is made, so that is not left to the first step of the walk.
        entries = self.db.iter()
        entries.seek(kind)

        def walk() -> Iterator[tuple[bytes, bytes]]:
            while entries.valid():
                key: bytes = entries.key()
                if key[:1] != kind:
                    break
                yield key[1:], entries.value()
                entries.next()
            entries.status()  # an iterator ends at damage as it does at the end

        return walk()

    # -- writing

    def apply(self, writes: Sequence[Write]) -> None:
        """Show writes; they wait until they are confirmed."""
        if not writes:
            return
        unconfirmed = self.unconfirmed
        for key, value in writes:
            before = unconfirmed.get(key)
            unconfirmed[key] = (1 if before is None else before[0] + 1, value)
        self._pending.append(Pending(writes, []))

    def confirm(self, writes: Sequence[Write], position: int | None) -> None:
        """Store writes, unless earlier ones are to go before them; then they go with those."""
        waiting = next((p for p in self._pending if p.writes is writes and not p.confirmed), None)
        if waiting is None:
            return  # forgotten by a recovery
        waiting.confirmed.append(position)
        done: list[Write] = []
        moved = self.position
        while self._pending and self._pending[0].confirmed:
            first = self._pending.popleft()
            done += first.writes
            if first.confirmed[0] is not None:
                moved = first.confirmed[0]
        if done:
            last = dict(done)
            self._store(last, self.outdated.intersection(last), set(), moved)
            self._forget(done)

    def _forget(self, writes: Sequence[Write]) -> None:
        unconfirmed = self.unconfirmed
        for key, _ in writes:
            count, newest = unconfirmed[key]
            if count == 1:
                del unconfirmed[key]
            else:
                unconfirmed[key] = count - 1, newest

    def restore(self, writes: Sequence[Write], newer: Newer, position: int) -> None:
        """Carry out changelog records."""
        self._pending.clear()
        self.unconfirmed.clear()
        keys = list(dict.fromkeys(key for key, _ in writes))
        with self._failing():
            values: list[bytes | None] = self.db.get([DATA + key for key in keys]) if keys else []  # type: ignore[assignment]
        known = dict(zip(keys, values, strict=True))
        changed: dict[bytes, bytes | None] = {}
        late, right = set[bytes](), set[bytes]()
        for key, value in writes:
            old = known[key]
            if old is not None:
                if value is not None and value != old and not newer(key, old, value):
                    late.add(key)
                    continue
                late.discard(key)
                right.add(key)
            elif value is None:
                continue
            known[key] = changed[key] = value
        right = right.intersection(self.outdated) - late
        self._store(changed, right, late - self.outdated, position)

    def _store(
        self, values: dict[bytes, bytes | None], right: set[bytes], late: set[bytes], position: int | None
    ) -> None:
        """One atomic write: values, keys that are outdated no longer and newly, and the position."""
        batch = WriteBatch(raw_mode=True)
        for key, value in values.items():
            if value is None:
                batch.delete(DATA + key)
            else:
                batch.put(DATA + key, value)
        for key in right:
            batch.delete(OUTDATED + key)
        for key in late:
            batch.put(OUTDATED + key, b"")
        if position is not None:
            self._move(batch, position)
        with self._failing():
            self.db.write(batch)
        self.outdated = (self.outdated - right) | late

    # -- the rest

    def size(self) -> tuple[int, int]:
        """Keys and bytes, as RocksDB estimates them."""
        keys, *parts = (
            self.db.property_int_value(f"rocksdb.{name}") or 0
            for name in ("estimate-num-keys", "estimate-live-data-size", "cur-size-all-mem-tables")
        )
        return keys, sum(parts)

    def close(self) -> None:
        """Let go of the files."""
        for walk in list(self._walks):
            walk.close()  # type: ignore[attr-defined]  # one that is half way would keep the database open
        self.db.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreFailed:
        if is_damage(error):
            (self.folder / DAMAGED).touch()
        return StoreFailed(self.folder, error)


def is_damage(error: Exception) -> bool:
    """Whether RocksDB says that its files are not what it wrote."""
    return "Corruption" in str(error) or "No such file" in str(error)
