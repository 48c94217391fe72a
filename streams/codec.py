"""Account state as bytes: what the table ``journey`` holds of an account.

Under the account's key stands its header with the newest touches and contacts; under the keys of ``streams.chunks``
stand those before them, and the lead and deal facts. Header, integers little endian::

    version u8, flags u8, next_due i64, applied i64, horizon i64                        at fixed places
    touches u32, latest i64, first touch's instant i64, last touch's instant i64
    touch messages u32, their closed chunks u32, the first of these that is recent u32, messages in the open chunk
        u16, their greatest instant i64
    for facts and contacts each: epoch u16, closed chunks u32, messages u32, messages in the open chunk u16
    touch and fact messages that had been answered, u32 each, when the account is stale
    checkpoint, the first and the last touch's channel and the contacts of the open chunk (length u32, UTF-8; JSON)
    only of an account that decisions about identity have concerned: how often what it says has come from another u16;
        its hand-over: steps u32, position u32, messages u32, decision i64; epoch of the touches u16; of its knowledge
        epoch u16, closed chunks u32, messages u32, messages in the open chunk u16, the open chunk; which records a
        torn write may have left over (length u32, JSON)
    the open chunk of touches

``next_due`` stands at a fixed place so that the timer index is built without decoding. The header is written behind
the chunks it counts on, and counts what of them is valid: a torn write leaves a header whose chunks are all there.
Reading an account reads the header, the facts and the contacts; the touches are read when somebody needs them. A
touch that comes last is told from a known one by the chunks that are recent: those with a message up to 24 h before
the account's latest fact, and all behind them.
"""

from __future__ import annotations

from struct import Struct

import orjson

from revenue_core.account import Account, Unread
from revenue_core.facts import Touch
from revenue_core.follow_up import FollowUp
from revenue_core.journey import NEVER, Checkpoint, State
from revenue_core.temperature import PHASES, Temperature
from streams import chunks, codec_v1, homes
from streams.chunks import Get, JsonLog
from streams.packed import Handing, Packed
from streams.touch_log import TouchChunk, TouchLog

__all__ = [
    "APPLIED",
    "APPLIED_OFFSET",
    "VERSION",
    "Packed",
    "StateTooNew",
    "applied_offset",
    "decode",
    "encode",
    "has_leftovers",
    "is_handing_over",
    "is_quarantined",
    "next_due",
    "read",
    "set_aside",
]

BEFORE_HOMES, VERSION = 2, 3
SILENT, MOVED, QUARANTINED, UNSETTLED, STALE, UNSENT, HANDING, LEFTOVERS = (1 << bit for bit in range(8))
HEADER = Struct("<BBqqqIqqqIIIHqHIIHHIIHII")
IDENTITY = Struct("<HIIIqHHIIH")
UNMOVED = (0, 0, 0, 0, homes.UNSURE, 0, 0, 0, 0, 0)
CHECKPOINT = Struct("<BdqdIIIqqqBBqqqqqqqB")
PART_LENGTH = Struct("<I")
DUE, APPLIED = Struct("<q"), Struct("<q")
FLAGS_OFFSET, DUE_OFFSET, APPLIED_OFFSET = 1, 2, 10
COUNTED = ("", *PHASES)


class StateTooNew(ValueError):
    """The state was written by a newer version of headwater."""


def next_due(raw: bytes) -> int:
    """The due instant (ms) of a stored account, without decoding it."""
    due: int = DUE.unpack_from(raw, DUE_OFFSET)[0]
    return due


def applied_offset(raw: bytes) -> int:
    """The journal offset applied to a stored account, without decoding it."""
    offset: int = APPLIED.unpack_from(raw, APPLIED_OFFSET)[0]
    return offset


def is_quarantined(raw: bytes) -> bool:
    """Whether a stored account is quarantined, without decoding it."""
    return bool(raw[FLAGS_OFFSET] & QUARANTINED)


def is_handing_over(raw: bytes) -> bool:
    """Whether a stored account has a step of a hand-over before it, without decoding it."""
    return raw[0] == VERSION and bool(raw[FLAGS_OFFSET] & HANDING)


def has_leftovers(raw: bytes) -> bool:
    """Whether a torn write may have left records that a stored account no longer needs, without decoding it.

    They are deleted when the account is written the next time.
    """
    return raw[0] == VERSION and bool(raw[FLAGS_OFFSET] & LEFTOVERS)


def set_aside(raw: bytes, applied: int) -> bytes:
    """The header of an account that cannot be read, quarantined and never due; the rest stays as it is."""
    flags = (raw[FLAGS_OFFSET] | QUARANTINED) & ~UNSETTLED
    head = raw[:FLAGS_OFFSET] + bytes((flags,)) + DUE.pack(NEVER) + APPLIED.pack(applied)
    return head + raw[len(head) :]


def encode(state: State, packed: Packed) -> bytes:
    """The header of a live account. Its chunks (``Packed.writes``) go before it."""
    account, touches, facts, contacts = state.account, packed.touches, packed.facts, packed.contacts
    replaced = packed.replaced()
    moved = state.moves > 0 or replaced or packed.has_moved()
    flags = (
        state.silent * SILENT | state.quarantined * QUARANTINED | (state.settle_at is not None) * UNSETTLED
        | state.stale * STALE | state.unsent * UNSENT | bool(moved) * MOVED | packed.handing.pending * HANDING
        | bool(replaced) * LEFTOVERS
    )  # fmt: skip
    first, last = account.first_touch, account.last_touch
    answered = packed.answered if state.stale and packed.answered else (0, 0)
    header = HEADER.pack(
        VERSION, flags, state.next_due(), state.applied, state.horizon,
        account.touch_count, account.latest, first.at if first else 0, last.at if last else 0,
        touches.count, touches.sealed, touches.recent_from(account.latest), touches.open.count, touches.open.greatest,
        facts.epoch, facts.sealed, facts.count, facts.opened,
        contacts.epoch, contacts.sealed, contacts.count, contacts.opened,
        *answered,
    )  # fmt: skip
    parts = [(touch.channel if touch else "").encode() for touch in (first, last)]
    parts.append(contacts.inline or b"")
    return b"".join((
        header, _checkpoint(state.checkpoint),
        *(each for part in parts for each in (PART_LENGTH.pack(len(part)), part)),
        _identity(state, packed, replaced) if moved else b"",
        touches.open.dump(),
    ))  # fmt: skip


def _identity(state: State, packed: Packed, replaced: list[tuple[str, int, int]]) -> bytes:
    handing, knowledge = packed.handing, packed.knowledge
    inline, left = knowledge.inline or b"", orjson.dumps(replaced)
    fixed = IDENTITY.pack(
        state.moves, handing.number, handing.position, handing.count, handing.decision, packed.touches.epoch,
        knowledge.epoch, knowledge.sealed, knowledge.count, knowledge.opened,
    )  # fmt: skip
    return b"".join((fixed, PART_LENGTH.pack(len(inline)), inline, PART_LENGTH.pack(len(left)), left))


def _checkpoint(checkpoint: Checkpoint) -> bytes:
    waiting = checkpoint.follow_up.waiting
    return CHECKPOINT.pack(
        *checkpoint.temperature.to_tuple(),
        len(waiting), checkpoint.follow_up.seen, *waiting, *(0, 0)[len(waiting) :], checkpoint.follow_up.fence,
        checkpoint.deal_due, checkpoint.settled_until, checkpoint.alerted_at, checkpoint.due,
        COUNTED.index(checkpoint.counted),
    )  # fmt: skip


def read(key: str, account_id: str, raw: bytes, get: Get) -> State:
    """As ``decode``, with every touch read."""
    state, _ = decode(key, account_id, raw, get)
    state.account.read_past()
    return state


def decode(key: str, account_id: str, raw: bytes, get: Get) -> tuple[State, Packed]:
    """The live form of the account under a key; its touches stay unread. ``get`` reads the table.

    Raises StateTooNew for a newer format, StateDamaged when a record is missing.
    """
    root = key.encode()
    if raw[0] == codec_v1.VERSION:
        return _migrated(root, codec_v1.decode(account_id, raw), get)
    if raw[0] not in {BEFORE_HOMES, VERSION}:
        raise StateTooNew(
            f"state format {raw[0]} of account {account_id!r} is unknown to this version, which writes {VERSION}: "
            "run the version that wrote it, or rebuild under a higher state.generation"
        )
    (
        _, flags, due, applied, horizon, touches, latest, first_at, last_at,
        touch_messages, touches_sealed, recent_from, touches_open, touches_greatest,
        facts_epoch, facts_sealed, fact_messages, facts_open,
        contacts_epoch, contacts_sealed, contact_messages, contacts_open, *answered,
    ) = HEADER.unpack_from(raw)  # fmt: skip
    first_channel, at = _part(raw, HEADER.size + CHECKPOINT.size)
    last_channel, at = _part(raw, at)
    inline, at = _part(raw, at)
    values, known, left = UNMOVED, chunks.EMPTY, b""
    if flags & MOVED:
        values = IDENTITY.unpack_from(raw, at)
        known, at = _part(raw, at + IDENTITY.size)
        left, at = _part(raw, at)
    (
        moves, number, position, handed, decision, touches_epoch,
        knowledge_epoch, knowledge_sealed, decisions, decisions_open,
    ) = values  # fmt: skip
    version = chunks.VERSION if raw[0] == VERSION else chunks.HOMELESS
    opened = TouchChunk.load(touches_open, touches_greatest, raw[at:], version)
    packed = Packed(
        key,
        TouchLog(root, get, touches_sealed, touch_messages, recent_from, opened, latest, touches_epoch),
        JsonLog(chunks.FACTS, root, get, facts_epoch, facts_sealed, fact_messages, facts_open),
        JsonLog(
            chunks.CONTACTS, root, get, contacts_epoch, contacts_sealed, contact_messages, contacts_open, inline
        ),
        JsonLog(
            chunks.KNOWLEDGE, root, get, knowledge_epoch, knowledge_sealed, decisions, decisions_open, known
        ),
    )  # fmt: skip
    if flags & MOVED:
        packed.handing = Handing(number, position, bool(flags & HANDING), handed, decision)
        packed.leftovers = [(kind, stale, records) for kind, stale, records in orjson.loads(left)]
    account = Account(account_id, latest=latest)
    _restore(account, packed)
    if touches:
        ends = ((first_at, first_channel), (last_at, last_channel))
        first, last = (Touch(instant, "", "", True, channel.decode()) for instant, channel in ends)
        account.unread = Unread(packed, touches, first, last)
    state = State(
        account, silent=bool(flags & SILENT), quarantined=bool(flags & QUARANTINED), applied=applied,
        horizon=horizon, unsent=bool(flags & UNSENT), settle_at=due if flags & UNSETTLED else None,
        checkpoint=_read_checkpoint(raw), moves=moves,
    )  # fmt: skip
    if flags & STALE:
        packed.answered = counts = (answered[0], answered[1])
        # a purge in between counts anew
        state.earlier = lambda: packed.earlier(account_id, packed.answered or counts)
    return state, packed


def _restore(account: Account, packed: Packed) -> None:
    """Give an account its lead and deal facts and its contacts."""
    if packed.facts.count:
        packed.restore_facts(account)
    if packed.contacts.count:
        packed.known_contacts = set(packed.contacts.items())
        account.contacts = set(packed.known_contacts)


def _part(raw: bytes, at: int) -> tuple[bytes, int]:
    """The part at a place, and the place behind it."""
    (length,) = PART_LENGTH.unpack_from(raw, at)
    at += PART_LENGTH.size
    return raw[at : at + length], at + length


def _read_checkpoint(raw: bytes) -> Checkpoint:
    values = CHECKPOINT.unpack_from(raw, HEADER.size)
    waiting, seen, first, second, fence, deal_due, settled_until, alerted_at, due, counted = values[10:]
    return Checkpoint(
        Temperature(*values[:10]),
        FollowUp((first, second)[:waiting], bool(seen), fence),
        deal_due, settled_until, alerted_at, due, COUNTED[counted],
    )  # fmt: skip


def _migrated(root: bytes, state: State, get: Get) -> tuple[State, Packed]:
    """The live form of an account of format 1: every message is written with its next header."""
    packed, account = Packed.empty(root, get), state.account
    for kind in ("touchpoints", "leads", "deals"):
        for identity, groups in account.groups(kind).items():
            for group in groups:
                packed.add(kind, identity, group, account)
    return state, packed
