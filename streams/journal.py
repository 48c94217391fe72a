"""The records of the journal: the one log from which every account is folded.

Values are small JSON objects with one-letter names (an internal format; ``headwater tail journal`` shows them).
``k`` says which kind:

``t`` a touch, ``f`` a lead or deal fact
    ``a`` instant (ms), ``s`` source, ``e`` event id, ``d`` content digest, ``i`` identifiers, ``o`` timestamp of
    the source record (ms); a touch has its columns in ``t``, a fact its topic kind in ``n``, type in ``y`` and
    normalised fields in ``b``.
``w`` a tick: ``w`` is the watermark (ms).
``s`` a step of time that a partition takes towards a tick: ``n`` numbers the steps, ``w`` is the watermark aimed at,
    ``d`` and ``r`` are the due instant and the key of the last account that fires; without ``r`` it is the last step.
``z`` settle: score every open subject as of ``w`` (only ``headwater score`` writes it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from revenue_core.account import FactBody, Group
from revenue_core.facts import Touch

DIGEST_DIGITS = 16
"""How many hex digits of the content digest travel: enough to break ties, never used to tell facts apart."""


class FactRecord(NamedTuple):
    """A fact as the journey agent reads it."""

    kind: str
    """Topic kind: ``touchpoints``, ``leads`` or ``deals``; ``spend`` for costs, which belong to no account."""
    identity: str
    """``<source>:<event_id>``."""
    message: Group[Any]
    """A ``Group[Touch]`` for touchpoints, else a ``Group[FactBody]``."""
    origin: int
    """Timestamp of the source record (ms)."""


class Tick(NamedTuple):
    """The watermark has advanced."""

    watermark: int


class Step(NamedTuple):
    """Fire what is due up to (``due``, ``root``), on the way to ``target``; without ``root``, arrive there."""

    number: int
    target: int
    due: int
    root: str | None


class Settle(NamedTuple):
    """Score every open subject as of this instant."""

    as_of: int


JournalRecord = FactRecord | Tick | Step | Settle


def encode_touch(
    touch: Touch, source: str, event_id: str, digest: str, origin: int, identifiers: dict[str, str]
) -> bytes:
    """Journal value of a touch; its ``touch_id`` is derived again on reading."""
    return orjson.dumps({
        "k": "t", "a": touch.at, "s": source, "e": event_id, "d": digest[:DIGEST_DIGITS], "o": origin,
        "i": identifiers, "t": touch[2:],
    })  # fmt: skip


def encode_fact(
    kind: str, event: Mapping[str, Any], digest: str, origin: int, identifiers: dict[str, str]
) -> bytes:
    """Journal value of a lead or deal fact from its normalised event."""
    fields = {name: value for name, value in event.items() if name not in ENVELOPE}
    return orjson.dumps({
        "k": "f", "n": kind, "a": event["occurred_at"], "s": event["source"], "e": event["event_id"],
        "d": digest[:DIGEST_DIGITS], "o": origin, "i": identifiers, "y": event["type"], "b": fields,
    })  # fmt: skip


ENVELOPE = frozenset({"event_id", "source", "occurred_at", "type", "email"})
"""Not part of a fact's body: it stands beside it, or (the address) must not be stored readable."""


def encode_tick(watermark: int) -> bytes:
    """Journal value of a tick."""
    return orjson.dumps({"k": "w", "w": watermark})


def encode_step(step: Step) -> bytes:
    """Journal value of a step of time."""
    return orjson.dumps({"k": "s", "n": step.number, "w": step.target, "d": step.due, "r": step.root})


def encode_settle(as_of: int) -> bytes:
    """Journal value that asks for every open subject to be scored."""
    return orjson.dumps({"k": "z", "w": as_of})


class Unreadable(ValueError):
    """A journal record that no version of headwater wrote."""


class WrittenByNewer(ValueError):
    """A journal record of a kind that this version does not know; to pass over it would lose what it says."""


def decode(value: bytes) -> JournalRecord:
    """Read a journal value. Raises Unreadable, WrittenByNewer."""
    try:
        raw = orjson.loads(value)
        kind = raw["k"]
        if kind == "t":
            identity, at, origin = f"{raw['s']}:{raw['e']}", raw["a"] + 0, raw["o"] + 0
            touch = Touch(at, identity, *raw["t"])
            return FactRecord("touchpoints", identity, Group(at, raw["d"], at, touch), origin)
        if kind == "f":
            identity, at, origin = f"{raw['s']}:{raw['e']}", raw["a"] + 0, raw["o"] + 0
            body = FactBody(raw["y"], raw["b"])
            return FactRecord(raw["n"], identity, Group(at, raw["d"], at, body), origin)
        if kind == "w":
            return Tick(int(raw["w"]))
        if kind == "s":
            return Step(int(raw["n"]), int(raw["w"]), int(raw["d"]), raw["r"])
        if kind == "z":
            return Settle(int(raw["w"]))
    except (LookupError, TypeError, ValueError) as error:
        raise Unreadable(f"not a record of the journal ({type(error).__name__}: {error})") from error
    if not isinstance(kind, str):
        raise Unreadable(f"not a record of the journal (its kind is {kind!r})")
    raise WrittenByNewer(f"unknown journal record kind {kind!r}: run the version that wrote it")


def account_key(key: bytes | None) -> bytes:
    """The key of a fact's record. Raises Unreadable."""
    if key is None or key[1:2] != b":" or key[:1] == b"\0":
        raise Unreadable(f"the key {key!r} of a fact names no account")
    try:
        key.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"the key {key!r} of a fact is not UTF-8") from error
    return key
