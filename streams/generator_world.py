"""Chance, time and the wire of the generated world: where events get ids, arrive late, twice or broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple, TypeVar

import orjson

from streams.generator_data import FIRST_WORDS, INDUSTRIES, Industry

T = TypeVar("T")
Fields = dict[str, Any]

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
EPOCH_DAY = date(1970, 1, 1).toordinal()

PROMPT_MS = 90 * SECOND_MS
"""How long an event takes to arrive, at most, unless it is late or sent twice."""
LATEST_MS = 7 * DAY_MS
"""How long any event takes to arrive, at most."""
P_LATE, P_TWICE, P_RETRIED, P_BROKEN = 0.01, 0.008, 0.005, 0.003
"""Shares of events that come days late, are sent twice as they were, are sent again with a new timestamp (R02),
or are followed by one that cannot be read."""


class Message(NamedTuple):
    """A record for a source topic (``touchpoints``, ``leads``, ``deals``), in the native format."""

    topic: str
    key: bytes
    """The account if the event names it, else its first identifier (of ``spend``: the channel)."""
    value: bytes


class Arrival(NamedTuple):
    """A message and when it comes, epoch milliseconds; ``number`` decides between equal instants."""

    at: int
    number: int
    message: Message


@lru_cache(1024)
def day_text(day: int) -> str:
    """``YYYY-MM-DD`` of a day counted from the epoch."""
    return date.fromordinal(EPOCH_DAY + day).isoformat()


def instant_text(at: int) -> str:
    """RFC 3339 in UTC of epoch milliseconds."""
    day, rest = divmod(at, DAY_MS)
    minutes, millis = divmod(rest, MINUTE_MS)
    return f"{day_text(day)}T{minutes // 60:02}:{minutes % 60:02}:{millis // SECOND_MS:02}.{millis % SECOND_MS:03}Z"


class World:
    """One generated world. Every choice comes from ``seed``, every instant lies before ``end_ms``."""

    def __init__(self, seed: int, end_ms: int) -> None:
        self.seed, self.end_ms = seed, end_ms
        # random() is the one method whose values are the same in every release of Python.
        self.draw: Callable[[], float] = Random(seed).random
        self.arrivals: list[Arrival] = []
        """What has happened and nobody has fetched yet, in no particular order."""
        self._events = self._sent = self._broken = 0
        self._numbers: dict[str, int] = {}

    def fetch(self) -> list[Arrival]:
        """What has happened since the last call."""
        arrivals, self.arrivals = self.arrivals, []
        return arrivals

    def pick(self, choices: Sequence[T]) -> T:
        """One of them, each as likely."""
        return choices[int(self.draw() * len(choices))]

    def between(self, low: float, high: float) -> float:
        """A number from a range."""
        return low + (high - low) * self.draw()

    def whole(self, low: int, high: int) -> int:
        """A whole number from a range, both ends included."""
        return low + int(self.draw() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.draw() < probability

    def next_id(self, kind: str) -> str:
        """``<kind>-<seed>-<number>``, never the same twice."""
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return f"{kind}-{self.seed}-{number:05}"

    def next_company(self) -> tuple[str, Industry]:
        """A name that no other company has, and its industry."""
        number = self._numbers["company"] = self._numbers.get("company", -1) + 1
        pairs = len(FIRST_WORDS) * len(INDUSTRIES)
        # No common divisor with the number of pairs: neighbours differ in both words, and all pairs come once.
        first, last = divmod((self.seed + number) * 41 % pairs, len(INDUSTRIES))
        round_ = number // pairs
        industry = INDUSTRIES[last]
        name = f"{FIRST_WORDS[first]} {industry.suffix}"
        return (f"{name} {round_ + 1}" if round_ else name), industry

    def record(self, topic: str, kind: str, at: int, fields: Fields) -> None:
        """An event of type ``kind`` happens at ``at``, unless the world has ended by then."""
        if at >= self.end_ms:
            return
        event = {"event_id": self._next_event_id(), "type": kind, "occurred_at": instant_text(at), **fields}
        fate = self.draw()
        delay = int(PROMPT_MS * self.draw() ** 4)
        if fate < P_LATE:
            delay = int(self.between(DAY_MS, LATEST_MS - HOUR_MS))
        self._send(topic, at + delay, event)
        fate -= P_LATE
        if 0 <= fate < P_TWICE:
            self._send(topic, at + delay + int(self.between(SECOND_MS, HOUR_MS)), event)
        elif 0 <= fate - P_TWICE < P_RETRIED:
            self._retry(topic, at, event)
        elif 0 <= fate - P_TWICE - P_RETRIED < P_BROKEN:
            self._spoil(topic, at, event)

    def _next_event_id(self) -> str:
        self._events += 1
        return f"evt-{self.seed}-{self._events:06}"

    def _send(self, topic: str, arrives: int, event: Mapping[str, Any]) -> None:
        # orjson's bytes keep their 4 KiB buffer for as long as they live: what waits is a copy.
        self._send_bytes(topic, arrives, event, bytes(memoryview(orjson.dumps(event))))

    def _send_bytes(self, topic: str, arrives: int, event: Mapping[str, Any], value: bytes) -> None:
        for name in ("account_id", "deal_id", "anonymous_id", "channel"):
            if name in event:
                key: str = event[name]
                break
        self._sent += 1
        self.arrivals.append(Arrival(arrives, self._sent, Message(topic, key.encode(), value)))

    def _retry(self, topic: str, at: int, event: Fields) -> None:
        """The sender missed the answer and sends the event again, with the time of the new attempt (R02)."""
        again = at + int(self.between(5 * SECOND_MS, 6 * HOUR_MS))
        if again < self.end_ms:
            self._send(topic, again + SECOND_MS, {**event, "occurred_at": instant_text(again)})

    def _spoil(self, topic: str, at: int, event: Fields) -> None:
        """A sender with a defect follows: each kind of it in turn."""
        self._broken += 1
        bad = {**event, "event_id": self._next_event_id()}
        match self._broken % 6:
            case 0:
                self._send_bytes(topic, at, bad, orjson.dumps(bad)[:-9])
            case 1:
                self._send("deals", at, self._patch(bad) | {"stage": "negotiation"})
            case 2:
                self._send(topic, at, bad | {"occurred_at": bad["occurred_at"].rstrip("Z")})
            case 3:
                self._send("deals", at, self._patch(bad) | {"amount": "-4200.00", "currency": "EUR"})
            case 4:
                self._send(topic, at, bad | {"type": "pageview"})
            case _:
                del bad["event_id"]
                self._send(topic, at, bad)

    def _patch(self, event: Mapping[str, Any]) -> Fields:
        """A deal patch of the same instant and account."""
        kept = ("event_id", "occurred_at", "account_id")
        patch = {name: event[name] for name in kept if name in event}
        return patch | {"type": "deal_updated", "deal_id": self.next_id("deal")}
