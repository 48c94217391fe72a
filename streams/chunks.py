"""Append-only lists of an account's messages, stored in chunks of bounded size.

A chunk is closed when it holds ``MESSAGES`` or ``BYTES``; closed chunks are never written again. What a chunk holds
depends on the messages alone, in their order of arrival, so that a repeated write is the same bytes, and of two
versions of one chunk the one that counts more is the later one.

    key      0, kind u8, epoch u16, number u32 (big endian), then the account's key
    value    version u8, count u16, greatest i64 (little endian), then the messages

``epoch`` rises when a list is written anew; ``greatest`` is the greatest instant in it, where messages have one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any, NamedTuple, Protocol

import orjson

from revenue_core.account import Group
from revenue_core.facts import DAY_MS, Touch

VERSION = 1
TOUCHES, FACTS, CONTACTS = b"S", b"F", b"C"
MESSAGES = 16
"""Texts of so many touches have positions that fit a byte."""
BYTES = 64 << 10
KEY, HEAD = Struct(">BcHI"), Struct("<BHq")
COUNT = Struct("<H")
EPOCHS = 1 << 16
COUNT_OFFSET = 1
MOST_RECENT = 8
"""With more recent chunks an account is so busy that all its touches are kept read."""
INBOUND, STRETCHED = 1, 2
TEXTS = 13
PLACES = range(1 << 8)
TOUCH = Struct(f"<qQB{TEXTS}BH")
"""Instant, digest, flags, positions of texts, length of the event id that follows."""
LAST_AT, LENGTH, ID_LENGTH = Struct("<q"), Struct("<I"), Struct("<H")

Get = Callable[[bytes], bytes | None]


class StateDamaged(ValueError):
    """A record that another one counts on is missing or too short."""


def key_of(kind: bytes, epoch: int, number: int, root: bytes) -> bytes:
    """Table key of a chunk."""
    return KEY.pack(0, kind, epoch, number) + root


def is_chunk(key: bytes) -> bool:
    """Whether a table key is a chunk's."""
    return key[:1] == b"\0" and key[1:2] in (TOUCHES, FACTS, CONTACTS)


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


class TouchChunk:
    """Messages of touches: a table of texts, then the rows that refer to it.

    The table is a JSON array without its closing bracket, so that it can be added to.
    """

    __slots__ = ("count", "greatest", "places", "rows", "texts")

    def __init__(self) -> None:
        self.places: dict[str, int] = {"": 0}
        self.texts, self.rows = bytearray(b'[""'), bytearray()
        self.count = self.greatest = 0

    def append(self, identity: str, message: Group[Touch]) -> None:
        """Add a message."""
        source, event_id = identity.split(":", 1)
        touch = message.body
        place = self._place
        raw_id = event_id.encode()
        stretched = message.last_at != message.at
        flags = (INBOUND if touch.inbound else 0) | (STRETCHED if stretched else 0)
        self.rows += TOUCH.pack(
            message.at, int(message.digest or "0", 16), flags, place(source), place(touch.type),
            *map(place, touch[4:]), len(raw_id),
        )  # fmt: skip
        self.rows += raw_id
        if stretched:
            self.rows += LAST_AT.pack(message.last_at)
        self.count += 1
        self.greatest = max(self.greatest, message.last_at)

    def _place(self, text: str) -> int:
        place = self.places.get(text)
        if place is None:
            place = self.places[text] = len(self.places)
            self.texts += b","
            self.texts += orjson.dumps(text)
        return place

    def size(self) -> int:
        """Bytes."""
        return len(self.texts) + len(self.rows)

    def dump(self) -> bytes:
        """Length of the table, table, rows."""
        return b"".join((LENGTH.pack(len(self.texts)), self.texts, self.rows))

    @classmethod
    def load(cls, count: int, greatest: int, raw: bytes) -> TouchChunk:
        """The inverse of ``dump``."""
        chunk = cls()
        texts, rows = split(raw)
        chunk.count, chunk.greatest = count, greatest
        chunk.texts, chunk.rows = bytearray(texts), bytearray(rows)
        chunk.places = dict(zip(read_texts(texts), PLACES, strict=False))
        return chunk


def split(raw: bytes) -> tuple[bytes, bytes]:
    """Table and rows of a dumped chunk of touches."""
    (length,) = LENGTH.unpack_from(raw)
    end = LENGTH.size + length
    return raw[LENGTH.size : end], raw[end:]


def read_texts(raw: bytes) -> list[str]:
    """The texts of a table."""
    found: list[str] = orjson.loads(raw + b"]")
    return found


def read_touches(texts: bytes, rows: bytes) -> Iterator[tuple[str, Group[Touch]]]:
    """(identity, message) of every row."""
    table, size, unpack = read_texts(texts), TOUCH.size, TOUCH.unpack_from
    at, end = 0, len(rows)
    while at < end:
        instant, digest, flags, *places, length = unpack(rows, at)
        at += size
        event_id = rows[at : at + length].decode()
        at += length
        last_at = instant
        if flags & STRETCHED:
            (last_at,) = LAST_AT.unpack_from(rows, at)
            at += LAST_AT.size
        source, kind, *rest = [table[place] for place in places]
        identity = f"{source}:{event_id}"
        touch = Touch(instant, identity, kind, bool(flags & INBOUND), *rest)
        yield identity, Group(instant, f"{digest:016x}", last_at, touch)


def id_pattern(identity: str) -> bytes:
    """Bytes that stand in the rows of every chunk with a message of this identity, and rarely in others."""
    raw = identity.split(":", 1)[1].encode()
    return ID_LENGTH.pack(len(raw)) + raw


@dataclass(frozen=True, slots=True)
class Stored:
    """A chunk as it was read."""

    count: int
    greatest: int
    body: bytes


class ChunkLog:
    """One list of an account: how many closed chunks there are, and which records have to be written.

    ``get`` reads the table; ``count`` is the number of messages in all chunks, the open one included.
    """

    __slots__ = ("_get", "_root", "count", "epoch", "kind", "pending", "sealed")

    def __init__(
        self, kind: bytes, root: bytes, get: Get, epoch: int = 0, sealed: int = 0, count: int = 0
    ) -> None:
        self.kind, self.epoch, self.sealed, self.count = kind, epoch, sealed, count
        self._root, self._get = root, get
        self.pending: dict[bytes, bytes] = {}
        """Records to be written before the account's header."""

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
        if version != VERSION:
            raise StateDamaged(f"chunk {number} of {self.kind!r} of {self._root!r} has format {version}")
        return Stored(count, greatest, raw[HEAD.size :])

    def write(self, chunk: Chunk) -> None:
        """Write the open chunk at the next time."""
        head = HEAD.pack(VERSION, chunk.count, chunk.greatest)
        self.pending[self.key(self.sealed)] = head + chunk.dump()

    def full(self, chunk: Chunk) -> bool:
        """Whether the open chunk is to be closed."""
        return chunk.count >= MESSAGES or chunk.size() >= BYTES


class Recent(NamedTuple):
    """A closed chunk that may hold an earlier message of a fact that comes now."""

    number: int
    greatest: int
    rows: bytes


class TouchLog(ChunkLog):
    """The messages of touches; the open chunk is part of the account's header."""

    __slots__ = ("_recent", "_recent_from", "open")

    def __init__(
        self, root: bytes, get: Get, sealed: int = 0, count: int = 0, recent_from: int = 0,
        opened: TouchChunk | None = None,
    ) -> None:  # fmt: skip
        super().__init__(TOUCHES, root, get, 0, sealed, count)
        self.open = opened or TouchChunk()
        self._recent_from = recent_from
        self._recent: deque[Recent] | None = deque() if recent_from == sealed else None

    def append(self, identity: str, message: Group[Touch]) -> None:
        """Add a message."""
        self.open.append(identity, message)
        self.count += 1
        if self.full(self.open):
            self.write(self.open)
            self._recents().append(Recent(self.sealed, self.open.greatest, bytes(self.open.rows)))
            self.sealed += 1
            self.open = TouchChunk()

    def messages(self) -> Iterator[tuple[str, Group[Touch]]]:
        """All, in order of arrival."""
        for number in range(self.sealed):
            yield from read_touches(*split(self.read(number).body))
        yield from read_touches(bytes(self.open.texts), bytes(self.open.rows))

    def may_know(self, identity: str) -> bool:
        """Whether a recent chunk may hold a message of this identity; always so when there are many of them."""
        pattern = id_pattern(identity)
        recent = self._recents()
        if pattern in self.open.rows or len(recent) > MOST_RECENT:
            return True
        return any(pattern in each.rows for each in recent)

    def recent_from(self, latest: int) -> int:
        """Number of the first recent chunk: those before it hold nothing within 24 h of the latest fact."""
        recent = self._recent
        if recent is not None:
            while recent and recent[0].greatest < latest - DAY_MS:
                recent.popleft()
            self._recent_from = recent[0].number if recent else self.sealed
        return self._recent_from

    def _recents(self) -> deque[Recent]:
        if self._recent is None:
            self._recent = deque()
            for number in range(self._recent_from, self.sealed):
                stored = self.read(number)
                self._recent.append(Recent(number, stored.greatest, split(stored.body)[1]))
        return self._recent


class JsonLog(ChunkLog):
    """A list of JSON values; its open chunk is a record like the others, of which ``opened`` messages count."""

    __slots__ = ("_open", "opened")

    def __init__(
        self,
        kind: bytes,
        root: bytes,
        get: Get,
        epoch: int = 0,
        sealed: int = 0,
        count: int = 0,
        opened: int = 0,
    ) -> None:
        super().__init__(kind, root, get, epoch, sealed, count)
        self.opened = opened
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
        self.write(chunk)
        if self.full(chunk):
            self.sealed, self.opened, self._open = self.sealed + 1, 0, JsonChunk()
        else:
            self.opened = chunk.count

    def restart(self, values: list[str]) -> None:
        """Replace everything."""
        self.epoch = (self.epoch + 1) % EPOCHS
        self.pending.clear()
        self.sealed = self.count = self.opened = 0
        self._open = JsonChunk()
        for value in values:
            self.append(value)

    def items(self, limit: int | None = None) -> Iterator[Any]:
        """The first ``limit`` messages, or all."""
        left = self.count if limit is None else limit
        for number in range(self.sealed + 1):
            found = self._items(
                number, min(left, self.read(number).count if number < self.sealed else self.opened)
            )
            left -= len(found)
            yield from found

    def _items(self, number: int, count: int) -> list[Any]:
        if not count:
            return []
        stored = self.read(number)
        if stored.count < count:
            raise StateDamaged(f"chunk {number} of {self.kind!r} of {self._root!r} lacks messages")
        found: list[Any] = orjson.loads(stored.body)
        return found if len(found) == count else found[:count]
