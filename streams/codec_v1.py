"""Reads format 1 of an account's state, in which everything stood in one record; it is written in format 2.

Layout, integers little endian::

    header   version u8, flags u8, next_due i64, applied i64, horizon i64, then the lengths in bytes of the four
             parts that follow, u32 each
    1        checkpoint: JSON array
    2        strings: (length u32, UTF-8) each; touches refer to them by position
    3        touches in order of arrival: at i64, digest u64, flags u8, 13 string positions (u16, or u32 when the
             account is wide), id length u32, event id UTF-8 [, last_at i64 when flagged]
    4        lead and deal facts: JSON array
"""

from __future__ import annotations

from struct import Struct

import orjson

from revenue_core.account import Account, FactBody, Group
from revenue_core.facts import Touch
from revenue_core.follow_up import FollowUp
from revenue_core.journey import Checkpoint, State
from revenue_core.temperature import Temperature

VERSION = 1
SILENT, WIDE, QUARANTINED = 1, 2, 4
INBOUND, STRETCHED = 1, 2
HEADER = Struct("<BBqqqIIII")
NARROW_TOUCH, WIDE_TOUCH = Struct("<qQB13HI"), Struct("<qQB13II")
LENGTH, LAST_AT = Struct("<I"), Struct("<q")


def decode(account_id: str, raw: bytes) -> State:
    """The live form of a stored account."""
    _, flags, _, applied, horizon, *lengths = HEADER.unpack_from(raw)
    account, parts, at = Account(account_id), [], HEADER.size
    for length in lengths:
        parts.append(raw[at : at + length])
        at += length
    _read_touches(account, parts[2], _read_strings(parts[1]), bool(flags & WIDE))
    tables = {"l": account.lead_groups, "d": account.deal_groups}
    for letter, identity, groups in orjson.loads(parts[3]):
        tables[letter][identity] = [
            Group(at, digest, last_at, FactBody(kind, fields)) for at, digest, last_at, kind, fields in groups
        ]
    account.reindex()
    return State(
        account,
        silent=bool(flags & SILENT),
        quarantined=bool(flags & QUARANTINED),
        applied=applied,
        horizon=horizon,
        checkpoint=_read_checkpoint(parts[0]),
    )


def _read_checkpoint(raw: bytes) -> Checkpoint:
    warmth, (waiting, seen, fence), *rest = orjson.loads(raw)
    return Checkpoint(Temperature(*warmth), FollowUp(tuple(waiting), seen, fence), *rest)


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
    size, at, end = layout.size, 0, len(raw)
    while at < end:
        instant, digest, flags, *places, length = layout.unpack_from(raw, at)
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
        known = [g for g in account.touch_groups.get(identity, ()) if g.at != instant]
        account.touch_groups[identity] = sorted([*known, group], key=lambda g: g.at)
