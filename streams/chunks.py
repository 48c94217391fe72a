"""Append-only lists of an account's messages, stored in chunks of bounded size.

A chunk is closed when it holds ``MESSAGES`` or ``BYTES``; closed chunks are never written again. What a chunk holds
depends on the messages alone, in their order of arrival, so that a repeated write is the same bytes, and of two
versions of one chunk the one that counts more is the later one.

    key      0, kind u8, epoch u16, number u32 (big endian), then the account's key
    value    version u8, count u16, greatest i64 (little endian), then the messages

``epoch`` rises when a list is written anew; ``greatest`` is the greatest instant in it, where messages have one.
Version 2 are chunks of touches whose messages say where they belong; those before are read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar, Protocol

import orjson

HOMELESS, VERSION = 1, 2
TOUCHES, FACTS, CONTACTS, KNOWLEDGE = b"S", b"F", b"C", b"K"
KINDS = frozenset((TOUCHES, FACTS, CONTACTS, KNOWLEDGE))
MESSAGES = 16
"""Texts of so many touches have positions that fit a byte."""
BYTES = 64 << 10
KEY, HEAD = Struct(">BcHI"), Struct("<BHq")
COUNT = Struct("<H")
EPOCHS = 1 << 16
COUNT_OFFSET = 1
EMPTY = b"[]"

Get = Callable[[bytes], bytes | None]


class StateDamaged(ValueError):
    """A record that another one counts on is missing or too short."""


def key_of(kind: bytes, epoch: int, number: int, root: bytes) -> bytes:
    """Table key of a chunk."""
    return KEY.pack(0, kind, epoch, number) + root


def is_chunk(key: bytes) -> bool:
    """Whether a table key is a chunk's."""
    return key[:1] == b"\0" and key[1:2] in KINDS


def root_of(key: bytes) -> bytes:
    """Key of the account that a chunk belongs to."""
    return key[KEY.size :]


def count_of(raw: bytes) -> int:
    """How many messages a stored chunk holds."""
    count: int = COUNT.unpack_from(raw, COUNT_OFFSET)[0]
    return count


class Chunk(Protocol):
    """Messages of the open chunk."""

    count: int
    greatest: int

    def size(self) -> int:
        """Bytes."""

    def dump(self) -> bytes:
        """As they are stored."""


class JsonChunk:
    """Messages as JSON values."""

    __slots__ = ("_size", "count", "greatest", "items")

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.count = self._size = self.greatest = 0

    def append(self, item: bytes) -> None:
        """Add a message."""
        self.items.append(item)
        self.count += 1
        self._size += len(item) + 1

    def size(self) -> int:
        """Bytes."""
        return self._size

    def dump(self) -> bytes:
        """A JSON array."""
        return b"[%s]" % b",".join(self.items)


@dataclass(frozen=True, slots=True)
class Stored:
    """A chunk as it was read."""

    version: int
    count: int
    greatest: int
    body: bytes


class ChunkLog:
    """One list of an account: how many closed chunks there are, and which records have to be written.

    ``get`` reads the table; ``count`` is the number of messages in all chunks, the open one included.
    """

    __slots__ = ("_get", "_root", "count", "epoch", "kind", "obsolete", "pending", "sealed")
    version: ClassVar[int] = HOMELESS
    """Of the chunks it writes; it reads those before."""

    def __init__(
        self, kind: bytes, root: bytes, get: Get, epoch: int = 0, sealed: int = 0, count: int = 0
    ) -> None:
        self.kind, self.epoch, self.sealed, self.count = kind, epoch, sealed, count
        self._root, self._get = root, get
        self.pending: dict[bytes, bytes] = {}
        """Records to be written before the account's header."""
        self.obsolete: list[tuple[int, int]] = []
        """(epoch, number of records) of earlier epochs, to be deleted behind the header."""

    def key(self, number: int) -> bytes:
        """Table key of one of its chunks."""
        return key_of(self.kind, self.epoch, number, self._root)

    def read(self, number: int) -> Stored:
        """A chunk. Raises StateDamaged."""
        key = self.key(number)
        raw = self.pending.get(key) or self._get(key)
        if raw is None:
            raise StateDamaged(f"chunk {number} of {self.kind!r} of {self._root!r} is missing")
        version, count, greatest = HEAD.unpack_from(raw)
        if not HOMELESS <= version <= self.version:
            raise StateDamaged(f"chunk {number} of {self.kind!r} of {self._root!r} has format {version}")
        return Stored(version, count, greatest, raw[HEAD.size :])

    def write(self, chunk: Chunk) -> None:
        """Write the open chunk at the next time, unless a longer form of it is there, which begins in the same way.

        An owner before may have come further, and what it counts on stands behind the chunk.
        """
        known = self._get(self.key(self.sealed))
        if known is not None and count_of(known) > chunk.count:
            return
        head = HEAD.pack(self.version, chunk.count, chunk.greatest)
        self.pending[self.key(self.sealed)] = head + chunk.dump()

    def full(self, chunk: Chunk) -> bool:
        """Whether the open chunk is to be closed."""
        return chunk.count >= MESSAGES or chunk.size() >= BYTES

    def locate(self, position: int, opened: int) -> tuple[int, int]:
        """The chunk with the message at a position, and how many messages of it come before; ``opened`` is how many
        the open chunk holds. Reads no chunk unless some were closed early."""
        if self.sealed * MESSAGES + opened == self.count:
            number = min(position // MESSAGES, self.sealed)
            return number, position - number * MESSAGES
        for number in range(self.sealed):
            here = self.read(number).count
            if position < here:
                return number, position
            position -= here
        return self.sealed, position

    def start_epoch(self, records: int) -> None:
        """Begin anew with no messages; there were so many records."""
        if records:
            self.obsolete.append((self.epoch, records))
        self.epoch = (self.epoch + 1) % EPOCHS
        self.pending.clear()
        self.sealed = self.count = 0

    def keys(self, epoch: int, records: int) -> Iterator[bytes]:
        """Table keys of the records of an epoch."""
        for number in range(records):
            yield key_of(self.kind, epoch, number, self._root)


class JsonLog(ChunkLog):
    """A list of JSON values. Of the open chunk ``opened`` messages count.

    The open chunk is a record like the others, or with ``inline`` (its body, ``EMPTY`` at first) part of the
    account's header, for values so small and few that most accounts need no record for them.
    """

    __slots__ = ("_open", "inline", "opened")

    def __init__(
        self, kind: bytes, root: bytes, get: Get, epoch: int = 0, sealed: int = 0, count: int = 0,
        opened: int = 0, inline: bytes | None = None,
    ) -> None:  # fmt: skip
        super().__init__(kind, root, get, epoch, sealed, count)
        self.opened, self.inline = opened, inline
        self._open: JsonChunk | None = None
        """The open chunk, once something is added to it."""

    def append(self, value: object) -> None:
        """Add a message."""
        chunk = self._open
        if chunk is None:
            chunk = self._open = JsonChunk()
            for item in self._items(self.sealed, self.opened):
                chunk.append(orjson.dumps(item))
        chunk.append(orjson.dumps(value))
        self.count += 1
        full = self.full(chunk)
        if full or self.inline is None:
            self.write(chunk)
        if full:
            self.sealed, chunk = self.sealed + 1, JsonChunk()
        self._open, self.opened = chunk, chunk.count
        if self.inline is not None:
            self.inline = chunk.dump()

    def restart(self, values: Iterable[object]) -> None:
        """Replace everything."""
        self.start_epoch(self.sealed + (self.inline is None and self.opened > 0))
        self.opened, self._open = 0, JsonChunk()
        if self.inline is not None:
            self.inline = EMPTY
        for value in values:
            self.append(value)

    def items(self, limit: int | None = None) -> Iterator[Any]:
        """The first ``limit`` messages, or all."""
        left = self.count if limit is None else limit
        for number in range(self.sealed + 1):
            here = self.read(number).count if number < self.sealed else self.opened
            found = self._items(number, min(left, here))
            left -= len(found)
            yield from found

    def items_from(self, position: int) -> Iterator[Any]:
        """The messages from a position on."""
        first, skip = self.locate(position, self.opened)
        for number in range(first, self.sealed + 1):
            here = self.read(number).count if number < self.sealed else self.opened
            yield from self._items(number, here)[skip:]
            skip = 0

    def _items(self, number: int, count: int) -> list[Any]:
        if not count:
            return []
        inside = self.inline if number == self.sealed else None
        found: list[Any] = orjson.loads(self.read(number).body if inside is None else inside)
        if len(found) < count:
            raise StateDamaged(f"chunk {number} of {self.kind!r} of {self._root!r} lacks messages")
        return found if len(found) == count else found[:count]
