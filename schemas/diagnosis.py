"""Which single code a refused event gets: the first that applies, in the order of R13.

The models say everything that is wrong with a message at once; here that becomes one reason. Runs on failures
only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.context import Context
from schemas.errors import Rejected, shown
from schemas.events import EVENTS, IDENTIFIERS, REQUIRED, EventType
from schemas.fields import PLACE, either, given
from schemas.wording import wanted

ORDER = (
    "invalid_timestamp", "future_timestamp", "no_identifier", "missing_field", "unknown_pipeline",
    "unknown_stage", "unknown_currency", "invalid_amount", "invalid_field",
)  # fmt: skip
"""R13, once the type is known."""
TOO_LONG = "string_too_long"
HIDDEN = frozenset({"email"})
"""Fields whose values no message shows, whatever they hold: half an address may be one person's too."""


def diagnose(kind: str, fields: Mapping[str, Any], context: Context) -> Rejected | None:
    """The reason to refuse a parsed message of topic ``kind``, or None when there is none."""
    if kind not in EVENTS:
        return unknown_topic(kind)
    present = given(fields)
    for name in REQUIRED:
        if name not in present:
            return _missing(name, "every event needs it")
    seen = present["type"]
    event_type = EVENTS[kind].get(seen) if isinstance(seen, str) else None
    if event_type is None:
        return _unknown_type(kind, seen)
    reasons = _reasons(event_type, present, context)
    return min(reasons, key=lambda reason: ORDER.index(reason.code), default=None)


def unknown_topic(topic: object) -> Rejected:
    """The refusal of a message whose topic is none of ours."""
    return Rejected(
        "unknown_topic", "/topic", f"topic {shown(topic)} is not a source: use {either(tuple(EVENTS))}"
    )


def _unknown_type(kind: str, seen: object) -> Rejected:
    others = [topic for topic in EVENTS if isinstance(seen, str) and seen in EVENTS[topic]]
    remedy = f"send it to {either(tuple(others))}" if others else f"use one of {', '.join(EVENTS[kind])}"
    return Rejected("unknown_type", "/type", f"type {shown(seen)} does not belong to {kind}: {remedy}")


def _reasons(event_type: EventType, present: Mapping[str, Any], context: Context) -> Iterator[Rejected]:
    """Everything that is wrong with a message whose type is known, field by field."""
    why = f"type {event_type.name} needs"
    try:
        event_type.validate(present, context=context)
    except ValidationError as error:
        # one field may have several errors, one for each type that it might have had
        for name, errors in groupby(error.errors(include_url=False), lambda each: str(each["loc"][0])):
            each = list(errors)
            kinds = [error["type"] for error in each]
            if kinds[0] == "missing":
                yield _missing(name, f"{why} it")
            elif kinds[0] in ORDER:
                yield _of_value(name, present[name], each[0])
            else:
                if TOO_LONG in kinds:  # that it might have been another type helps nobody
                    each = [each[kinds.index(TOO_LONG)]]
                seen = f"{name} is {shown(present[name])}:" if name not in HIDDEN else name
                yield Rejected("invalid_field", f"/{name}", f"{seen} {wanted(each, 'should')}")
    if event_type.needs_any and present.keys().isdisjoint(IDENTIFIERS):
        yield Rejected(
            "no_identifier", "", f"nothing says whom it is about: send one of {either(IDENTIFIERS)}"
        )
    if event_type.required_any and present.keys().isdisjoint(event_type.required_any):
        yield _missing(event_type.required_any[0], f"{why} {either(event_type.required_any)}")


def _of_value(name: str, value: Any, error: ErrorDetails) -> Rejected:
    """The refusal of a value by one of our own rules; in a list it names the element."""
    path, place = f"/{name}", error.get("ctx", {}).get(PLACE)
    if place is not None:
        path, value = f"{path}/{place}", value[place]
    where = path.removeprefix("/")
    seen = where if name in HIDDEN else f"{where} {shown(value)}"
    return Rejected(error["type"], path, f"{seen} {error['msg']}")


def _missing(name: str, why: str) -> Rejected:
    return Rejected("missing_field", f"/{name}", f"{name} is absent, null or blank: {why}")
