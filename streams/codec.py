"""Account state as bytes: what the table ``journey`` holds under an account's key.

Layout, integers little endian::

    header   version u8, flags u8, next_due i64, applied i64, horizon i64, then the lengths in bytes of the four
             parts that follow, u32 each
    1        checkpoint: JSON array
    2        strings: (length u32, UTF-8) each; touches refer to them by position
    3        touches in order of arrival: at i64, digest u64, flags u8, 13 string positions (u16, or u32 when the
             account is wide), id length u32, event id UTF-8 [, last_at i64 when flagged]
    4        lead and deal facts: JSON array

``next_due`` stands at a fixed place so that the timer index is built without decoding. ``Packed`` keeps parts 2
to 4 as they are stored, so that a touch that comes last is appended and nothing else is encoded again.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

import orjson

from revenue_core.account import Account, FactBody, Group
from revenue_core.facts import Touch
from revenue_core.journey import Checkpoint, State

VERSION = 1
SILENT, WIDE, QUARANTINED = 1, 2, 4
INBOUND, STRETCHED = 1, 2
HEADER = Struct("<BBqqqIIII")
NARROW_TOUCH, WIDE_TOUCH = Struct("<qQB13HI"), Struct("<qQB13II")
DUE, APPLIED, LENGTH, LAST_AT = Struct("<q"), Struct("<q"), Struct("<I"), Struct("<q")
FLAGS_OFFSET, DUE_OFFSET, APPLIED_OFFSET = 1, 2, 10
LARGEST = 3_500_000
"""Bytes of an account: what one record of the changelog takes, with room for its key and the batch."""
NARROW_STRINGS = 2**16


class StateTooNew(ValueError):
    """The state was written by a newer version of headwater."""


class StateTooLarge(ValueError):
    """An account no longer fits its record."""


def next_due(raw: bytes) -> int:
    """The due instant (ms) of a stored account, without decoding it."""
    due: int = DUE.unpack_from(raw, DUE_OFFSET)[0]
    return due


def is_quarantined(raw: bytes) -> bool:
    """Whether a stored account is quarantined, without decoding it."""
    return bool(raw[FLAGS_OFFSET] & QUARANTINED)


class Packed:
    """The stored form of an account's facts, kept up to date beside the live one."""

    __slots__ = ("account", "facts", "positions", "strings", "touches", "wide")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.wide = False
        self._empty()
        self.facts = b"[]"

    def _empty(self) -> None:
        self.positions: dict[str, int] = {"": 0}
        self.strings = bytearray(LENGTH.pack(0))
        self.touches = bytearray()

    def append(self, identity: str, group: Group[Touch]) -> bool:
        """Add one touch that is new to the account, or a later form of one: reading keeps the last per instant.

        True when everything had to be encoded again.
        """
        source, event_id = identity.split(":", 1)
        touch = group.body
        places = [self._place(text) for text in (source, touch.type, *touch[4:])]
        if len(self.positions) > NARROW_STRINGS and not self.wide:
            self.repack()
            return True
        raw_id = event_id.encode()
        stretched = group.last_at != group.at
        pack = (WIDE_TOUCH if self.wide else NARROW_TOUCH).pack
        flags = (INBOUND if touch.inbound else 0) | (STRETCHED if stretched else 0)
        self.touches += pack(group.at, int(group.digest or "0", 16), flags, *places, len(raw_id))
        self.touches += raw_id
        if stretched:
            self.touches += LAST_AT.pack(group.last_at)
        return False

    def _place(self, text: str) -> int:
        place = self.positions.get(text)
        if place is None:
            place = self.positions[text] = len(self.positions)
            raw = text.encode()
            self.strings += LENGTH.pack(len(raw)) + raw
        return place

    def repack(self) -> None:
        """Encode every touch again: a stored one has changed, or the strings no longer fit."""
        self.wide = self.wide or len(self.positions) > NARROW_STRINGS
        self._empty()
        for identity, groups in self.account.touch_groups.items():
            for group in groups:
                if self.append(identity, group):
                    return

    def check_size(self) -> None:
        """Raise StateTooLarge when the account outgrows its record."""
        size = len(self.strings) + len(self.touches) + len(self.facts)
        if size > LARGEST:
            raise StateTooLarge(
                f"{size} bytes of facts, {len(self.account.touches)} touches; the limit is {LARGEST}"
            )

    def repack_facts(self) -> None:
        """Encode the lead and deal facts again."""
        tables = (("l", self.account.lead_groups), ("d", self.account.deal_groups))
        self.facts = orjson.dumps(
            [
                [letter, identity, [[g.at, g.digest, g.last_at, g.body.type, g.body.fields] for g in groups]]
                for letter, table in tables
                for identity, groups in table.items()
            ]
        )


def applied_offset(raw: bytes) -> int:
    """The journal offset applied to a stored account, without decoding it."""
    offset: int = APPLIED.unpack_from(raw, APPLIED_OFFSET)[0]
    return offset


def encode(state: State, packed: Packed) -> bytes:
    """The stored form of a live account."""
    checkpoint = orjson.dumps(state.checkpoint.to_list())
    flags = state.silent * SILENT | packed.wide * WIDE | state.quarantined * QUARANTINED
    header = HEADER.pack(
        VERSION, flags, state.next_due(), state.applied, state.horizon,
        len(checkpoint), len(packed.strings), len(packed.touches), len(packed.facts),
    )  # fmt: skip
    return b"".join((header, checkpoint, packed.strings, packed.touches, packed.facts))


def decode(account_id: str, raw: bytes) -> tuple[State, Packed]:
    """The live form of a stored account. Raises StateTooNew for a newer format."""
    if raw[0] != VERSION:
        raise StateTooNew(
            f"state format {raw[0]} of account {account_id!r} is unknown to this version, which writes {VERSION}: "
            "run the version that wrote it, or rebuild under a higher state.generation"
        )
    _, flags, _, applied, horizon, *lengths = HEADER.unpack_from(raw)
    account, parts, at = Account(account_id), [], HEADER.size
    for length in lengths:
        parts.append(raw[at : at + length])
        at += length
    packed = Packed(account)
    packed.wide = bool(flags & WIDE)
    packed.strings, packed.touches, packed.facts = bytearray(parts[1]), bytearray(parts[2]), parts[3]
    strings = _read_strings(parts[1])
    packed.positions = {text: place for place, text in enumerate(strings)}
    _read_touches(account, parts[2], strings, packed.wide)
    _read_facts(account, parts[3])
    account.reindex()
    state = State(
        account,
        silent=bool(flags & SILENT),
        quarantined=bool(flags & QUARANTINED),
        applied=applied,
        horizon=horizon,
    )
    state.checkpoint = Checkpoint.from_list(orjson.loads(parts[0]))
    return state, packed


def _read_strings(raw: bytes) -> list[str]:
    strings, at = [], 0
    while at < len(raw):
        (length,) = LENGTH.unpack_from(raw, at)
        at += LENGTH.size
        strings.append(raw[at : at + length].decode())
        at += length
    return strings


def _read_touches(account: Account, raw: bytes, strings: list[str], wide: bool) -> None:
    layout = WIDE_TOUCH if wide else NARROW_TOUCH
    unpack: Callable[[bytes, int], tuple[Any, ...]] = layout.unpack_from
    size, at, end = layout.size, 0, len(raw)
    while at < end:
        instant, digest, flags, *places, length = unpack(raw, at)
        at += size
        event_id = raw[at : at + length].decode()
        at += length
        last_at = instant
        if flags & STRETCHED:
            (last_at,) = LAST_AT.unpack_from(raw, at)
            at += LAST_AT.size
        source, kind, *rest = [strings[place] for place in places]
        identity = f"{source}:{event_id}"
        touch = Touch(instant, identity, kind, bool(flags & INBOUND), *rest)
        group = Group(instant, f"{digest:016x}", last_at, touch)
        known = account.touch_groups.get(identity)
        if known is None:
            account.touch_groups[identity] = [group]
        else:
            known[:] = sorted([*(g for g in known if g.at != instant), group], key=lambda g: g.at)


def _read_facts(account: Account, raw: bytes) -> None:
    tables = {"l": account.lead_groups, "d": account.deal_groups}
    for letter, identity, groups in orjson.loads(raw):
        tables[letter][identity] = [
            Group(at, digest, last_at, FactBody(kind, fields)) for at, digest, last_at, kind, fields in groups
        ]
