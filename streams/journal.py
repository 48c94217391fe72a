"""The records of the journal: the one log from which every account is folded.

Values are small JSON objects with one-letter names (an internal format; ``headwater tail journal`` shows them).
``k`` says which kind:

``t`` a touch, ``f`` a lead or deal fact
    ``a`` instant (ms), ``s`` source, ``e`` event id, ``d`` content digest, ``i`` identifiers, ``o`` timestamp of
    the source record (ms); a touch has its columns in ``t``, a fact its topic kind in ``n``, type in ``y`` and
    normalised fields in ``b``.
``w`` a tick: ``w`` is the watermark (ms).
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


class Settle(NamedTuple):
    """Score every open subject as of this instant."""

    as_of: int


JournalRecord = FactRecord | Tick | Settle


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


def encode_settle(as_of: int) -> bytes:
    """Journal value that asks for every open subject to be scored."""
    return orjson.dumps({"k": "z", "w": as_of})


def decode(value: bytes) -> JournalRecord:
    """Read a journal value. Raises ValueError or KeyError for what this version did not write."""
    raw = orjson.loads(value)
    kind = raw["k"]
    if kind == "w":
        return Tick(raw["w"])
    if kind == "z":
        return Settle(raw["w"])
    identity, at = f"{raw['s']}:{raw['e']}", raw["a"]
    if kind == "t":
        touch = Touch(at, identity, *raw["t"])
        return FactRecord("touchpoints", identity, Group(at, raw["d"], at, touch), raw["o"])
    if kind == "f":
        body = FactBody(raw["y"], raw["b"])
        return FactRecord(raw["n"], identity, Group(at, raw["d"], at, body), raw["o"])
    raise ValueError(f"unknown journal record kind {kind!r}: written by a newer version?")
