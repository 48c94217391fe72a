"""Compact state of one account in the journey job, and the fold of a touch into it.

Table records (integers little endian):

    account            header | touches of the open segment, at most SEGMENT - 1    one per dirty account and run
    account # slot     number of the segment | SEGMENT touches                      one per SEGMENT touches

    header   version, code of the last touch's channel, kept touches, energy, its time, unanswered, touches,
             kept touches per channel code (16 counts)
    touch    length of the id, channel code, kind code, time, id

A segment is listed before the header that counts it and a header follows each segment, so a run that was written in
part leaves a header whose segments are all there; slots are reused only when no header can still need them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from struct import Struct
from typing import Any

KEEP = int(os.environ.get("BENCH_KEEP", "50"))
SEGMENT = 16
SLOTS = KEEP // SEGMENT + 2
HALF_LIFE_MS = 14 * 86_400_000.0
VERSION = 1
HEADER = Struct("<BBHdqII16H")
TOUCH = Struct("<BBBq")
NUMBER = Struct("<I")
MARK = Struct("<q")
CUT_BYTES = 2_048
FEW = 128
"""Searching so many hashes takes as long as a set does."""

# Part of the stored format: append only.
CHANNELS = (
    "direct", "organic_search", "paid_search", "email", "paid_social", "organic_social", "referral", "display",
    "webinar", "outbound_sales",
)
KINDS = (
    ("page_view", 1.0), ("ad_click", 2.0), ("ad_impression", 0.1), ("email_open", 0.5), ("email_click", 2.0),
    ("email_reply", 5.0), ("call_answered", 8.0), ("meeting", 12.0), ("form_submit", 6.0), ("demo_request", 15.0),
    ("webinar", 7.0), ("download", 4.0), ("chat", 3.0), ("email_sent", 0.0), ("call_attempt", 0.0),
    ("message_sent", 0.0),
)
OUTBOUND = frozenset({"email_sent", "call_attempt", "message_sent"})
CHANNEL_CODES = {name: code for code, name in enumerate(CHANNELS)}
KIND_CODES = {name: (code, weight, name in OUTBOUND) for code, (name, weight) in enumerate(KINDS)}
MIDDLE = 0.2 / max(KEEP - 2, 1)
"""Share of a touch between the first and the last of an account that keeps KEEP of them."""
EDGE = 0.4 - MIDDLE

Get = Callable[[bytes], bytes | None]


class Account:
    """Live state.

    ``log`` holds the kept touches in stored form, oldest at ``first``, the open segment from ``open`` on. ``marks``
    holds eight bytes per kept touch, a hash of its id, to find duplicates, and with more than FEW of them ``known`` the
    same as a set; both are derived and never stored.
    """

    __slots__ = (
        "at_ms", "counts", "energy", "first", "kept", "known", "last", "log", "marks", "open", "sealed", "shares", "touches",
        "unanswered",
    )  # fmt: skip

    def __init__(self) -> None:
        self.energy, self.at_ms, self.unanswered, self.touches, self.kept, self.last = 0.0, 0, 0, 0, 0, 0
        self.counts = [0] * 16
        self.log, self.marks = bytearray(), bytearray()
        self.known: set[bytes] | None = None
        self.first = self.open = 0
        self.sealed: list[tuple[int, int, bytes]] = []
        """Segments since the last dump: number, end in the log, header as it was then."""
        self.shares: dict[str, float] | None = None

    def apply(self, event: dict[str, Any]) -> dict[str, Any]:
        """Fold a touch; the row it causes."""
        touch_id, ms, channel, kind = event["event_id"], event["occurred_at"], event["channel"], event["type"]
        mark = MARK.pack(hash(touch_id))
        duplicate = self._holds(mark)
        if not duplicate:
            self._add(touch_id.encode(), ms, CHANNEL_CODES[channel], kind, mark)
        log, first = self.log, self.first
        shares = self.shares
        if shares is None:
            shares = self.shares = self._all_shares()
        begin = first + TOUCH.size
        return {
            "account_id": event["account_id"], "touch_id": touch_id, "touch_ms": ms, "channel": channel,
            "kind": kind, "energy": self.energy, "unanswered": self.unanswered, "touches": self.touches,
            "kept": self.kept, "duplicate": duplicate, "first_touch_id": log[begin : begin + log[first]].decode(),
            "shares": shares,
        }  # fmt: skip

    def _holds(self, mark: bytes) -> bool:
        marks = self.marks
        if self.kept > FEW:
            if self.known is None:
                self.known = {bytes(marks[at : at + 8]) for at in range(0, len(marks), 8)}
            return mark in self.known
        at = marks.find(mark)
        while at >= 0 and at & 7:
            at = marks.find(mark, at + 1)
        return at >= 0

    def _add(self, touch_id: bytes, ms: int, channel: int, kind: str, mark: bytes) -> None:
        code, weight, outbound = KIND_CODES[kind]
        counts, log = self.counts, self.log
        log += TOUCH.pack(len(touch_id), channel, code, ms)
        log += touch_id
        self.marks += mark
        if self.known is not None:
            self.known.add(mark)
        counts[channel] += 1
        before, self.last = self.last, channel
        if self.kept < KEEP:
            self.kept += 1
            self.shares = None
        else:
            self._drop_oldest(before)
        if ms >= self.at_ms:
            self.energy = self.energy * 2.0 ** ((self.at_ms - ms) / HALF_LIFE_MS) + weight
            self.at_ms = ms
        else:
            self.energy += weight * 2.0 ** ((ms - self.at_ms) / HALF_LIFE_MS)
        self.unanswered = self.unanswered + 1 if outbound else 0
        self.touches += 1
        if not self.touches % SEGMENT:
            self.sealed.append((self.touches // SEGMENT - 1, len(log), self._header()))

    def _drop_oldest(self, before: int) -> None:
        """The account is full: at most four channels change their share."""
        log, counts, first = self.log, self.counts, self.first
        gone = log[first + 1]
        counts[gone] -= 1
        self.first = first = first + TOUCH.size + log[first]
        if self.known is not None:
            self.known.discard(bytes(self.marks[:8]))
        del self.marks[:8]
        shares = self.shares
        if KEEP < 3 or shares is None:
            self.shares = None
            return
        oldest, newest = log[first + 1], self.last
        for code in (newest, before, gone, oldest):
            if counts[code]:
                shares[CHANNELS[code]] = counts[code] * MIDDLE + ((code == oldest) + (code == newest)) * EDGE
            else:
                shares.pop(CHANNELS[code], None)

    def _all_shares(self) -> dict[str, float]:
        kept = self.kept
        if kept < 3:
            return {name: count / kept for name, count in zip(CHANNELS, self.counts, strict=False) if count}
        middle = 0.2 / (kept - 2)
        shares = {name: count * middle for name, count in zip(CHANNELS, self.counts, strict=False) if count}
        shares[CHANNELS[self.log[self.first + 1]]] += 0.4 - middle
        shares[CHANNELS[self.last]] += 0.4 - middle
        return shares

    def _header(self) -> bytes:
        return HEADER.pack(
            VERSION, self.last, self.kept, self.energy, self.at_ms, self.unanswered, self.touches, *self.counts
        )

    def dump(self, key: bytes, state: list[tuple[bytes, bytes | None]]) -> None:
        """Append the table records of what changed since the last dump."""
        log = self.log
        if self.sealed:
            for number, end, header in self.sealed:
                if (number + 1) * SEGMENT > self.touches - self.kept:
                    state.append((b"%s#%d" % (key, number % SLOTS), NUMBER.pack(number) + log[self.open : end]))
                    state.append((key, header))
                self.open = end
            self.sealed.clear()
        state.append((key, self._header() + log[self.open :]))
        cut = min(self.first, self.open)
        if cut > CUT_BYTES:
            del log[:cut]
            self.first -= cut
            self.open -= cut


def load(get: Get, key: bytes) -> Account:
    """Live state from the table, or of an account that has none."""
    account, raw = Account(), get(key)
    if raw is None:
        return account
    version, account.last, account.kept, account.energy, account.at_ms, *rest = HEADER.unpack_from(raw)
    if version != VERSION:
        raise ValueError(f"{key!r}: state version {version}")
    account.unanswered, account.touches, *account.counts = rest
    dropped, sealed = account.touches - account.kept, account.touches // SEGMENT
    begin = min(dropped // SEGMENT, sealed)
    for number in range(begin, sealed):
        segment = get(b"%s#%d" % (key, number % SLOTS))
        if segment is None or NUMBER.unpack_from(segment)[0] != number:
            raise ValueError(f"{key!r}: segment {number} is missing")
        account.log += segment[NUMBER.size :]
    account.open = len(account.log)
    account.log += raw[HEADER.size :]
    at = 0
    for position in range(begin * SEGMENT, account.touches):
        end = at + TOUCH.size + account.log[at]
        if position == dropped:
            account.first = at
        if position >= dropped:
            account.marks += MARK.pack(hash(account.log[at + TOUCH.size : end].decode()))
        at = end
    return account
