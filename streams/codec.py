"""Account state as bytes: what the table ``journey`` holds of an account.

Under the account's key stands its header with the newest touches and contacts; under the keys of ``streams.chunks``
stand those before them, and the lead and deal facts. Header, integers little endian::

    version u8, flags u8, next_due i64, applied i64, horizon i64                        at fixed places
    touches u32, latest i64, first touch's instant i64, last touch's instant i64
    touch messages u32, their closed chunks u32, the first of these that is recent u32, messages in the open chunk
        u16, their greatest instant i64
    for facts and contacts each: epoch u16, closed chunks u32, messages u32, messages in the open chunk u16
    touch and fact messages that had been answered, u32 each, when the account is stale
    checkpoint, the first and the last touch's channel and the contacts of the open chunk (length u32, UTF-8; JSON),
        the open chunk of touches

``next_due`` stands at a fixed place so that the timer index is built without decoding. The header is written behind
the chunks it counts on, and counts what of them is valid: a torn write leaves a header whose chunks are all there.
Reading an account reads the header, the facts and the contacts; the touches are read when somebody needs them. A
touch that comes last is told from a known one by the chunks that are recent: those with a message up to 24 h before
the account's latest fact, and all behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from struct import Struct
from typing import Any

from revenue_core.account import Account, FactBody, Group, Unread, fold
from revenue_core.facts import Touch
from revenue_core.follow_up import FollowUp
from revenue_core.journey import NEVER, Checkpoint, State
from revenue_core.temperature import PHASES, Temperature
from streams import chunks, codec_v1
from streams.chunks import Get, JsonLog
from streams.touch_log import TouchChunk, TouchLog

VERSION = 2
SILENT, QUARANTINED, UNSETTLED, STALE, UNSENT = 1, 4, 8, 16, 32
HEADER = Struct("<BBqqqIqqqIIIHqHIIHHIIHII")
CHECKPOINT = Struct("<BdqdIIIqqqBBqqqqqqqB")
PART_LENGTH = Struct("<I")
DUE, APPLIED = Struct("<q"), Struct("<q")
FLAGS_OFFSET, DUE_OFFSET, APPLIED_OFFSET = 1, 2, 10
COUNTED = ("", *PHASES)
KINDS = {"leads": "l", "deals": "d"}


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


def set_aside(raw: bytes, applied: int) -> bytes:
    """The header of an account that cannot be read, quarantined and never due; the rest stays as it is."""
    flags = (raw[FLAGS_OFFSET] | QUARANTINED) & ~UNSETTLED
    head = raw[:FLAGS_OFFSET] + bytes((flags,)) + DUE.pack(NEVER) + APPLIED.pack(applied)
    return head + raw[len(head) :]


class Packed:
    """The stored form of an account's messages, kept beside the live one; a ``revenue_core.account.Past``."""

    __slots__ = ("answered", "contacts", "facts", "known_contacts", "touches")

    def __init__(self, touches: TouchLog, facts: JsonLog, contacts: JsonLog) -> None:
        self.touches, self.facts, self.contacts = touches, facts, contacts
        self.known_contacts: set[str] = set()
        self.answered: tuple[int, int] | None = None
        """Messages of touches and facts on which the last answers were given, once they may no longer hold."""

    @classmethod
    def empty(cls, key: bytes, get: Get) -> Packed:
        """Of an account that has no state yet."""
        return cls(
            TouchLog(key, get),
            JsonLog(chunks.FACTS, key, get),
            JsonLog(chunks.CONTACTS, key, get, inline=chunks.EMPTY),
        )

    def counts(self) -> tuple[int, int]:
        """Messages of touches and of facts."""
        return self.touches.count, self.facts.count

    def add(self, kind: str, identity: str, message: Group[Any], account: Account) -> None:
        """Add a message that has just joined the account."""
        if kind == "touchpoints":
            self.touches.append(identity, message)
            contact = message.body.contact_id
        else:
            body: FactBody = message.body
            self.facts.append(
                [KINDS[kind], identity, message.at, message.digest, message.last_at, body.type, body.fields]
            )
            contact = str(body.fields.get("contact_id", ""))
        if contact and contact not in self.known_contacts and contact in account.contacts:
            self.known_contacts.add(contact)
            self.contacts.append(contact)
        if len(self.known_contacts) != len(account.contacts) or kind == "leads":
            self._compare_contacts(account)

    def _compare_contacts(self, account: Account) -> None:
        """A message may have taken another's place, and its contact with it."""
        if self.known_contacts != account.contacts:
            self.known_contacts = set(account.contacts)
            self.contacts.restart(sorted(account.contacts))

    def may_know(self, identity: str) -> bool:
        """See ``Past``."""
        return self.touches.may_know(identity)

    def read(self) -> Iterator[tuple[str, Group[Touch]]]:
        """See ``Past``."""
        return self.touches.messages()

    def writes(self) -> list[tuple[bytes, bytes | None]]:
        """The chunks that have to be written before the header, each once."""
        found: list[tuple[bytes, bytes | None]] = []
        for log in (self.touches, self.facts, self.contacts):
            found += log.pending.items()
            log.pending.clear()
        return found

    def deletions(self) -> list[tuple[bytes, bytes | None]]:
        """The chunks that are to be deleted behind the header, each once."""
        found: list[tuple[bytes, bytes | None]] = [(key, None) for key in self.contacts.obsolete]
        self.contacts.obsolete.clear()
        return found

    def restore_facts(self, account: Account, limit: int | None = None) -> None:
        """Fold the first ``limit`` lead and deal facts into an account, or all."""
        tables = {"l": account.lead_groups, "d": account.deal_groups}
        for letter, identity, at, digest, last_at, kind, fields in self.facts.items(limit):
            fold(tables[letter], [(identity, Group(at, digest, last_at, FactBody(kind, fields)))])

    def earlier(self, account_id: str, answered: tuple[int, int]) -> Account:
        """The account as it was when it had so many messages of touches and facts."""
        account = Account(account_id)
        fold(account.touch_groups, islice(self.touches.messages(), answered[0]))
        self.restore_facts(account, answered[1])
        account.reindex()
        return account


def encode(state: State, packed: Packed) -> bytes:
    """The header of a live account. Its chunks (``Packed.writes``) go before it."""
    account, touches, facts, contacts = state.account, packed.touches, packed.facts, packed.contacts
    flags = (
        state.silent * SILENT | state.quarantined * QUARANTINED | (state.settle_at is not None) * UNSETTLED
        | state.stale * STALE | state.unsent * UNSENT
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
        touches.open.dump(),
    ))  # fmt: skip


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
    if raw[0] != VERSION:
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
    at = HEADER.size + CHECKPOINT.size
    first_channel, at = _part(raw, at)
    last_channel, at = _part(raw, at)
    inline, at = _part(raw, at)
    opened = TouchChunk.load(touches_open, touches_greatest, raw[at:])
    packed = Packed(
        TouchLog(root, get, touches_sealed, touch_messages, recent_from, opened, latest),
        JsonLog(chunks.FACTS, root, get, facts_epoch, facts_sealed, fact_messages, facts_open),
        JsonLog(
            chunks.CONTACTS,
            root,
            get,
            contacts_epoch,
            contacts_sealed,
            contact_messages,
            contacts_open,
            inline,
        ),
    )
    account = Account(account_id, latest=latest)
    if fact_messages:
        packed.restore_facts(account)
    if contact_messages:
        packed.known_contacts = set(packed.contacts.items())
        account.contacts = set(packed.known_contacts)
    if touches:
        first, last = (
            Touch(instant, "", "", True, channel.decode())
            for instant, channel in ((first_at, first_channel), (last_at, last_channel))
        )
        account.unread = Unread(packed, touches, first, last)
    state = State(
        account, silent=bool(flags & SILENT), quarantined=bool(flags & QUARANTINED), applied=applied,
        horizon=horizon, unsent=bool(flags & UNSENT), settle_at=due if flags & UNSETTLED else None,
        checkpoint=_read_checkpoint(raw),
    )  # fmt: skip
    if flags & STALE:
        packed.answered = known = (answered[0], answered[1])
        state.earlier = lambda: packed.earlier(account_id, known)
    return state, packed


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
