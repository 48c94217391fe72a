"""The records of the journal: the one log from which every account is folded.

Values are small JSON objects with one-letter names (an internal format; ``headwater tail journal`` shows them).
``k`` says which kind:

``t`` a touch, ``f`` a lead or deal fact
    ``a`` instant (ms), ``s`` source, ``e`` event id, ``d`` content digest, ``h`` home (``streams.homes``), ``o``
    timestamp of the source record (ms), ``g`` 1 when another account has passed it on; a touch has its columns in
    ``t``, a fact its topic kind in ``n``, type in ``y`` and normalised fields in ``b``.
``r`` decisions about identity that concern an account: ``d`` lists them as ``Knowledge.learn`` takes them.
``x`` a transfer of messages from one account to another: ``m`` lists them, ``e`` is how often rows about them have
    moved, ``n`` is 1 when more is to come, ``d`` the decision that caused it, ``w`` what is watched.
``h`` an account goes on handing over what has left it: ``n`` numbers the steps.
``w`` a tick: ``w`` is the watermark (ms).
``s`` a step of time that a partition takes towards a tick: ``n`` numbers the steps, ``w`` is the watermark aimed at,
    ``d`` and ``r`` are the due instant and the key of the last account that fires; without ``r`` it is the last step.
``z`` settle: score every open subject as of ``w`` (only ``headwater score`` writes it); ``p``, if there, are the
    parameters that every conversion uses from now on: version, won journeys, Markov and Shapley values by channel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from revenue_core.account import FactBody, Group
from revenue_core.facts import Touch
from revenue_core.parameters import Learned
from streams.homes import Home, dump

DIGEST_DIGITS = 16
"""How many hex digits of the content digest travel: enough to break ties, never used to tell facts apart."""
SPEND = "spend"
"""Kind of facts about costs, which belong to no account."""
SPEND_PREFIX = "s:"
"""Of their keys: the channel and the campaign follow."""


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
    forwarded: bool = False
    """Whether another account has passed it on."""


class Decisions(NamedTuple):
    """What an account has to know about identities."""

    entries: list[list[Any]]
    """As ``Knowledge.learn`` takes them."""


class Transfer(NamedTuple):
    """Messages that another account has handed over."""

    messages: list[FactRecord]
    moves: int
    """How often what was said about them has come from another account."""
    more: bool
    """Whether more of the same hand-over is to come."""
    decision: int
    """Control offset of the decision that caused it."""
    watched: list[str]


class HandOver(NamedTuple):
    """Go on handing over."""

    number: int


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
    learned: Learned | None = None
    """What every conversion uses from now on, if that is to change."""


JournalRecord = FactRecord | Decisions | Transfer | HandOver | Tick | Step | Settle


def encode_touch(touch: Touch, source: str, event_id: str, digest: str, origin: int, home: Home) -> bytes:
    """Journal value of a touch; its ``touch_id`` is derived again on reading."""
    return orjson.dumps({
        "k": "t", "a": touch.at, "s": source, "e": event_id, "d": digest[:DIGEST_DIGITS], "o": origin,
        "h": tuple(home), "t": touch[2:],
    })  # fmt: skip


def encode_fact(kind: str, event: Mapping[str, Any], digest: str, origin: int, home: Home | None) -> bytes:
    """Journal value of a lead or deal fact from its normalised event; costs have no home."""
    fields = {name: value for name, value in event.items() if name not in ENVELOPE}
    return orjson.dumps({
        "k": "f", "n": kind, "a": event["occurred_at"], "s": event["source"], "e": event["event_id"],
        "d": digest[:DIGEST_DIGITS], "o": origin, "h": tuple(home) if home else None, "y": event["type"], "b": fields,
    })  # fmt: skip


def encode_message(fact: FactRecord) -> bytes:
    """Journal value of a message that an account passes on, or refuses."""
    source, event_id = fact.identity.split(":", 1)
    message = fact.message
    raw = {
        "k": "t", "a": message.at, "s": source, "e": event_id, "d": message.digest, "o": fact.origin,
        "h": orjson.Fragment(message.home or "null"), "g": 1, "l": message.last_at,
    }  # fmt: skip
    if fact.kind == "touchpoints":
        raw["t"] = message.body[2:]
    else:
        raw |= {"k": "f", "n": fact.kind, "y": message.body.type, "b": message.body.fields}
    return orjson.dumps(raw)


def encode_decisions(entries: Sequence[Sequence[Any]]) -> bytes:
    """Journal value of decisions about identity."""
    return orjson.dumps({"k": "r", "d": entries})


def encode_transfer(
    messages: Sequence[bytes], moves: int, decision: int, *, more: bool, watched: Sequence[str] = ()
) -> bytes:
    """Journal value of a transfer (see ``Transfer``) of messages as ``encode_message`` gives them."""
    return orjson.dumps({
        "k": "x", "m": list(map(orjson.Fragment, messages)), "e": moves, "n": int(more), "d": decision,
        "w": watched,
    })  # fmt: skip


def encode_hand_over(number: int) -> bytes:
    """Journal value of a step of a hand-over."""
    return orjson.dumps({"k": "h", "n": number})


ENVELOPE = frozenset({"event_id", "source", "occurred_at", "type", "email"})
"""Not part of a fact's body: it stands beside it, or (the address) must not be stored readable."""


def encode_tick(watermark: int) -> bytes:
    """Journal value of a tick."""
    return orjson.dumps({"k": "w", "w": watermark})


def encode_step(step: Step) -> bytes:
    """Journal value of a step of time."""
    return orjson.dumps({"k": "s", "n": step.number, "w": step.target, "d": step.due, "r": step.root})


def encode_settle(as_of: int, learned: Learned | None = None) -> bytes:
    """Journal value that asks for every open subject to be scored, and perhaps for other parameters."""
    return orjson.dumps({"k": "z", "w": as_of} | ({"p": tuple(learned)} if learned else {}))


class Unreadable(ValueError):
    """A journal record that no version of headwater wrote."""


class WrittenByNewer(ValueError):
    """A journal record of a kind that this version does not know; to pass over it would lose what it says."""


def decode(value: bytes) -> JournalRecord:
    """Read a journal value. Raises Unreadable, WrittenByNewer."""
    try:
        raw = orjson.loads(value)
        kind = raw["k"]
        read = READERS.get(kind)
        if read is not None:
            return read(raw)
    except (LookupError, TypeError, ValueError) as error:
        raise Unreadable(f"not a record of the journal ({type(error).__name__}: {error})") from error
    if not isinstance(kind, str):
        raise Unreadable(f"not a record of the journal (its kind is {kind!r})")
    raise WrittenByNewer(f"unknown journal record kind {kind!r}: run the version that wrote it")


def _fact(raw: dict[str, Any]) -> FactRecord:
    identity, at, origin = f"{raw['s']}:{raw['e']}", raw["a"] + 0, raw["o"] + 0
    home = raw.get("h")
    text = "" if home is None else dump(home)
    last_at = raw.get("l", at) + 0
    forwarded = "g" in raw
    if raw["k"] == "t":
        touch = Touch(at, identity, *raw["t"])
        return FactRecord(
            "touchpoints", identity, Group(at, raw["d"], last_at, touch, text), origin, forwarded
        )
    body = FactBody(raw["y"], raw["b"])
    return FactRecord(raw["n"], identity, Group(at, raw["d"], last_at, body, text), origin, forwarded)


def _transfer(raw: dict[str, Any]) -> Transfer:
    messages = [_fact(each) for each in raw["m"]]
    return Transfer(messages, int(raw["e"]), bool(raw["n"]), int(raw["d"]), list(raw["w"]))


READERS: Mapping[str, Callable[[dict[str, Any]], JournalRecord]] = {
    "t": _fact,
    "f": _fact,
    "r": lambda raw: Decisions([list(entry) for entry in raw["d"]]),
    "x": _transfer,
    "h": lambda raw: HandOver(int(raw["n"])),
    "w": lambda raw: Tick(int(raw["w"])),
    "s": lambda raw: Step(int(raw["n"]), int(raw["w"]), int(raw["d"]), raw["r"]),
    "z": lambda raw: Settle(int(raw["w"]), Learned(*raw["p"]) if "p" in raw else None),
}


def account_key(key: bytes | None) -> bytes:
    """The key of a fact's record. Raises Unreadable."""
    if key is None or key[1:2] != b":" or key[:1] == b"\0":
        raise Unreadable(f"the key {key!r} of a fact names no account")
    try:
        key.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"the key {key!r} of a fact is not UTF-8") from error
    return key
