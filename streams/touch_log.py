"""The messages of an account's touches: how a chunk of them is stored, and the list of them.

A chunk holds a table of texts, a JSON array without its closing bracket so that it can be added to, then the rows
that refer to it by position. Rows of version 1 lack the message's home (``streams.homes``), of which the stamps stand
in the row: nearly every message has others, and what is left of its text without them repeats.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from struct import Struct
from typing import NamedTuple

import orjson

from revenue_core.account import Group
from revenue_core.facts import DAY_MS, Touch
from streams.chunks import HOMELESS, MESSAGES, TOUCHES, VERSION, ChunkLog, Get

FEW_CHUNKS, FEW_SEARCHES = 4, 32
"""Beyond both, a set of the ids in the recent chunks is made: it takes as long as thirty searches in bytes."""
INBOUND, STRETCHED, REROOTED, FLAGS_OFFSET = 1, 2, 4, 16
VISITOR, CONTACT = "\t", "\n"
"""Stand for the touch's own visitor and contact in the text of its home; no JSON text holds these characters."""
PLACES = range(1 << 8)
TOUCH = Struct("<qQB14BqH")
"""Instant, digest, flags, positions of texts (source, the touch's, home), newest decision on its native key, length
of the event id; this follows, then the greatest instant and the newest decision on its node if they are others."""
HOMELESS_TOUCH = Struct("<qQB13BH")
ROWS = {HOMELESS: HOMELESS_TOUCH, VERSION: TOUCH}
LAST_AT, DECISION, LENGTH, ID_LENGTH = Struct("<q"), Struct("<q"), Struct("<I"), Struct("<H")


class TouchChunk:
    """Messages of the open chunk."""

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
        route, redirect, home = shorten(message.home, touch)
        flags = touch.inbound * INBOUND | stretched * STRETCHED | (redirect != route) * REROOTED
        self.rows += TOUCH.pack(
            message.at, int(message.digest or "0", 16), flags, place(source), place(touch.type),
            *map(place, touch[4:]), place(home), route, len(raw_id),
        )  # fmt: skip
        self.rows += raw_id
        if stretched:
            self.rows += LAST_AT.pack(message.last_at)
        if redirect != route:
            self.rows += DECISION.pack(redirect)
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
    def load(cls, count: int, greatest: int, raw: bytes, version: int = VERSION) -> TouchChunk:
        """The inverse of ``dump``; of an earlier version in the present form."""
        chunk = cls()
        texts, rows = split(raw)
        if version != VERSION:
            for identity, message in read_touches(texts, rows, version):
                chunk.append(identity, message)
            return chunk
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


def shorten(home: str, touch: Touch) -> tuple[int, int, str]:
    """The stamps of a home (newest decision on its native key, and on its node), and what else its text says."""
    if not home:
        return 0, 0, ""
    route, redirect, rest = home[1:].split(",", 2)
    if touch.visitor:
        rest = rest.replace(f'"a:{touch.visitor}"', VISITOR)
    if touch.contact_id:
        rest = rest.replace(f'"c:{touch.contact_id}"', CONTACT)
    return int(route), int(redirect), rest


def lengthen(route: int, redirect: int, rest: str, touch: Touch) -> str:
    """The inverse of ``shorten``."""
    if not rest:
        return ""
    if CONTACT in rest:
        rest = rest.replace(CONTACT, f'"c:{touch.contact_id}"')
    if VISITOR in rest:
        rest = rest.replace(VISITOR, f'"a:{touch.visitor}"')
    return f"[{route},{redirect},{rest}"


def read_touches(texts: bytes, rows: bytes, version: int = VERSION) -> Iterator[tuple[str, Group[Touch]]]:
    """(identity, message) of every row."""
    if version == HOMELESS:
        yield from read_homeless(texts, rows)
        return
    table, size, unpack = read_texts(texts), TOUCH.size, TOUCH.unpack_from
    at, end = 0, len(rows)
    while at < end:
        instant, digest, flags, *places, home, route, length = unpack(rows, at)
        at += size
        event_id = rows[at : at + length].decode()
        at += length
        last_at, redirect = instant, route
        if flags & STRETCHED:
            (last_at,) = LAST_AT.unpack_from(rows, at)
            at += LAST_AT.size
        if flags & REROOTED:
            (redirect,) = DECISION.unpack_from(rows, at)
            at += DECISION.size
        source, kind, *rest = [table[place] for place in places]
        identity = f"{source}:{event_id}"
        touch = Touch(instant, identity, kind, bool(flags & INBOUND), *rest)
        text = lengthen(route, redirect, table[home], touch)
        yield identity, Group(instant, f"{digest:016x}", last_at, touch, text)


def read_homeless(texts: bytes, rows: bytes) -> Iterator[tuple[str, Group[Touch]]]:
    """(identity, message) of every row of version 1."""
    table, size, unpack = read_texts(texts), HOMELESS_TOUCH.size, HOMELESS_TOUCH.unpack_from
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


def ids_in(rows: bytes, version: int = VERSION) -> Iterator[bytes]:
    """The ``id_pattern`` of every row."""
    size, at, end = ROWS[version].size, 0, len(rows)
    while at < end:
        flags = rows[at + FLAGS_OFFSET]
        start = at + size - ID_LENGTH.size
        (length,) = ID_LENGTH.unpack_from(rows, start)
        at += size + length
        yield rows[start:at]
        if flags & STRETCHED:
            at += LAST_AT.size
        if flags & REROOTED:
            at += DECISION.size


def id_pattern(identity: str) -> bytes:
    """Bytes that stand in the rows of every chunk with a message of this identity, and rarely in others."""
    raw = identity.split(":", 1)[1].encode()
    return ID_LENGTH.pack(len(raw)) + raw


class Recent(NamedTuple):
    """A closed chunk that may hold an earlier message of a fact that comes now."""

    number: int
    greatest: int
    rows: bytes
    version: int


class TouchLog(ChunkLog):
    """The messages of touches; the open chunk is part of the account's header."""

    __slots__ = ("_ids", "_pruned_at", "_recent", "_recent_from", "_searches", "open")
    version = VERSION

    def __init__(
        self, root: bytes, get: Get, sealed: int = 0, count: int = 0, recent_from: int = 0,
        opened: TouchChunk | None = None, pruned_at: int = 0, epoch: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(TOUCHES, root, get, epoch, sealed, count)
        self.open = opened or TouchChunk()
        self._recent_from, self._pruned_at = recent_from, pruned_at
        self._recent: deque[Recent] | None = deque() if recent_from == sealed else None
        self._ids: set[bytes] = set()
        """Patterns of the ids in all recent chunks and the open one, once they are worth it; else empty."""
        self._searches = 0

    def append(self, identity: str, message: Group[Touch]) -> None:
        """Add a message."""
        self.open.append(identity, message)
        self.count += 1
        if self._ids:
            self._ids.add(id_pattern(identity))
        if self.full(self.open):
            self.write(self.open)
            self._recents().append(Recent(self.sealed, self.open.greatest, bytes(self.open.rows), VERSION))
            self.sealed += 1
            self.open = TouchChunk()

    def messages(self, position: int = 0) -> Iterator[tuple[str, Group[Touch]]]:
        """All from a position on, in order of arrival."""
        first, skip = self.locate(position, self.open.count) if position else (0, 0)
        for number in range(first, self.sealed):
            stored = self.read(number)
            yield from islice(read_touches(*split(stored.body), stored.version), skip, None)
            skip = 0
        yield from islice(read_touches(bytes(self.open.texts), bytes(self.open.rows)), skip, None)

    def restart(self, messages: Iterable[tuple[str, Group[Touch]]]) -> None:
        """Replace everything."""
        self.start_epoch(self.sealed)
        self.open, self._recent = TouchChunk(), deque()
        self._recent_from = self._pruned_at = self._searches = 0
        self._ids.clear()
        for identity, message in messages:
            self.append(identity, message)

    def may_know(self, identity: str) -> bool:
        """Whether a recent chunk may hold a message of this identity."""
        pattern = id_pattern(identity)
        recent = self._recents()
        self._searches += 1
        if len(recent) <= FEW_CHUNKS or self._searches <= FEW_SEARCHES:
            self._ids.clear()
            return pattern in self.open.rows or any(pattern in each.rows for each in recent)
        if not self._ids or len(self._ids) > 2 * MESSAGES * (len(recent) + 1):
            self._ids = {found for each in recent for found in ids_in(each.rows, each.version)}
            self._ids.update(ids_in(bytes(self.open.rows)))
        return pattern in self._ids

    def recent_messages(self) -> int:
        """How many messages of recent chunks are in memory."""
        return MESSAGES * len(self._recent or ())

    def recent_from(self, latest: int) -> int:
        """Number of the first recent chunk: those before it hold nothing within 24 h of the latest fact."""
        if latest < self._pruned_at:
            # a correction has moved it back, and what was dropped may be recent again
            self._recent, self._recent_from = None, 0
            self._ids.clear()
        elif self._recent is not None:
            recent = self._recent
            while recent and recent[0].greatest < latest - DAY_MS:
                recent.popleft()
            self._recent_from = recent[0].number if recent else self.sealed
        self._pruned_at = latest
        return self._recent_from

    def _recents(self) -> deque[Recent]:
        if self._recent is None:
            self._recent = deque()
            for number in range(self._recent_from, self.sealed):
                stored = self.read(number)
                rows = split(stored.body)[1]
                self._recent.append(Recent(number, stored.greatest, rows, stored.version))
        return self._recent
