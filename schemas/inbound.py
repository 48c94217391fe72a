"""Native messages: bytes of a source topic to a normalised event, or one reason why not.

A normalised event is a dict of the known fields that are present: ``occurred_at`` and other times in epoch
milliseconds, identifiers as text, amounts as canonical decimal text, ``currency`` in upper case, lists as lists
of text; absent, null and blank fields are gone (R14), ``source`` is always there.

What is absent is dropped, the rest is validated by the model of its type (``schemas.messages``). Only when that fails
does ``schemas.diagnosis`` look for the code that R13 wants.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from schemas.cloudevents import unwrap
from schemas.context import Context
from schemas.diagnosis import diagnose, unknown_topic
from schemas.errors import Rejected
from schemas.events import EVENTS
from schemas.fields import absent, given
from schemas.headers import Headers
from schemas.messages import DEFAULT_SOURCE
from schemas.parsing import parse_exact, parse_object, strip_registry_prefix

__all__ = ["Context", "Rejected", "decode", "decode_fields", "decode_line", "decode_message", "digest"]

Event = dict[str, Any]


def decode(kind: str, raw: bytes, context: Context) -> Event:
    """The normalised event in a native message of topic ``kind`` (touchpoints, leads, deals).

    Raises Rejected with the one code that R13 chooses.
    """
    check_size(raw, context)
    if raw and raw[0] == 0:
        raw = strip_registry_prefix(raw)
    fields = parse_object(raw)
    try:
        return _normalise(kind, fields, context)
    except (ValueError, LookupError):
        return decode_fields(kind, parse_exact(raw), context)


def decode_message(kind: str, raw: bytes, headers: Headers, context: Context) -> Event:
    """As ``decode``, for a record with headers: a CloudEvents envelope in structured mode is taken off."""
    check_size(raw, context)
    return decode(kind, unwrap(raw, headers) if headers else raw, context)


def decode_line(raw: bytes, context: Context, kind: str | None = None) -> tuple[str, Event]:
    """(topic kind, normalised event) of a line of a file; its ``topic`` beats ``kind`` (R09).

    Raises Rejected, with ``unknown_topic`` when neither names a source topic.
    """
    check_size(raw, context)
    raw = strip_registry_prefix(raw)
    fields = parse_object(raw)
    topic = fields.get("topic")
    if absent(topic):
        topic = kind
    if topic is None:
        message = "nothing names the topic: add a topic field, or begin the file's name with the topic"
        raise Rejected("unknown_topic", "/topic", message)
    if not isinstance(topic, str) or topic not in EVENTS:
        raise unknown_topic(topic)
    try:
        return topic, _normalise(topic, fields, context)
    except (ValueError, LookupError):
        return topic, decode_fields(topic, parse_exact(raw), context)


def decode_fields(kind: str, fields: Mapping[str, Any], context: Context) -> Event:
    """The normalised event of an already parsed message (a row, a foreign format). Raises Rejected."""
    try:
        return _normalise(kind, fields, context)
    except (ValueError, LookupError) as error:
        rejected = diagnose(kind, fields, context)
        if rejected is None:
            message = f"refused ({error!r}) without a rule that says so: report this as a defect"
            rejected = Rejected("internal_error", "", message)
        raise rejected from None


def digest(event: Mapping[str, Any]) -> str:
    """SHA-256 hex of an event's content: what orders two messages of one identity and instant (R02).

    The content is compact JSON with sorted keys. The default source is left out, so that a message that names
    it and one that does not are the same.
    """
    content = dict(event)
    if content.get("source") == DEFAULT_SOURCE:
        del content["source"]
    try:
        encoded = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # whole numbers beyond 64 bits
        encoded = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return sha256(encoded).hexdigest()


def check_size(raw: bytes, context: Context) -> None:
    """Raise Rejected(too_large) for a message above the limit, before anything reads it (R63)."""
    if len(raw) > context.max_bytes:
        message = f"{len(raw)} bytes, the limit is {context.max_bytes}: split it or raise max_message_bytes"
        raise Rejected("too_large", "", message)


def _normalise(kind: str, fields: Mapping[str, Any], context: Context) -> Event:
    """One pass of the model. Raises ValueError or LookupError when anything at all is wrong with the message."""
    present = given(fields)
    name = present["type"]
    event_type = EVENTS[kind][name if type(name) is str else ""]
    event = event_type.validate(present, context=context)
    if event_type.needs_any and event_type.needs_any.isdisjoint(event):
        raise LookupError("nothing says whom it is about")
    return event
