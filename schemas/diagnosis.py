"""Which single code a refused event gets: the first that applies, in the order of R13.

Runs on failures only, so it is written for its order, not for speed. It must find something exactly when the
fast way in ``schemas.inbound`` refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.amounts import canonical, check_range
from schemas.context import Context
from schemas.errors import Rejected, shown
from schemas.events import EVENTS, IDENTIFIERS, REQUIRED, EventType
from schemas.fields import absent
from schemas.times import instant

NATIVE_TIME = "send RFC 3339 with an offset, such as 2026-03-01T10:00:00Z, or epoch milliseconds"


def diagnose(kind: str, fields: Mapping[str, Any], context: Context) -> Rejected | None:
    """The reason to refuse a parsed message of topic ``kind``, or None when there is none."""
    present = {name: value for name, value in fields.items() if not absent(value)}
    return next(_reasons(kind, present, context), None)


def _reasons(kind: str, present: Mapping[str, Any], context: Context) -> Iterator[Rejected]:
    """Every reason in order; each step may rely on the ones before it having found nothing."""
    if kind not in EVENTS:
        yield unknown_topic(kind)
        return
    yield from _missing(present, REQUIRED, "every event needs it")
    event_type = EVENTS[kind].get(present["type"]) if isinstance(present["type"], str) else None
    if event_type is None:
        yield _unknown_type(kind, present["type"])
        return
    yield from _time(present["occurred_at"], context)
    if event_type.needs_identifier and not any(name in present for name in IDENTIFIERS):
        yield Rejected(
            "no_identifier", "", f"nothing says whom it is about: send one of {_either(IDENTIFIERS)}"
        )
    yield from _missing(present, event_type.required, f"type {event_type.name} needs it")
    if event_type.required_any and not any(name in present for name in event_type.required_any):
        wanted = _either(event_type.required_any)
        path = f"/{event_type.required_any[0]}"
        yield Rejected("missing_field", path, f"type {event_type.name} needs {wanted}: send one of them")
    known = {name: present[name] for name in event_type.fields if name in present}
    yield from _pipeline_and_stage(known, context)
    yield from _currency(known, context)
    yield from _amounts(event_type, known, context)
    yield from _other_fields(event_type, known)


def unknown_topic(topic: object) -> Rejected:
    """The refusal of a message whose topic is none of ours."""
    return Rejected(
        "unknown_topic", "/topic", f"topic {shown(topic)} is not a source: use {_either(tuple(EVENTS))}"
    )


def _missing(present: Mapping[str, Any], names: tuple[str, ...], why: str) -> Iterator[Rejected]:
    for name in names:
        if name not in present:
            yield Rejected("missing_field", f"/{name}", f"{name} is absent, null or blank: {why}")
            return


def _unknown_type(kind: str, seen: object) -> Rejected:
    others = [topic for topic in EVENTS if isinstance(seen, str) and seen in EVENTS[topic]]
    remedy = f"send it to {_either(tuple(others))}" if others else f"use one of {', '.join(EVENTS[kind])}"
    return Rejected("unknown_type", "/type", f"type {shown(seen)} does not belong to {kind}: {remedy}")


def _time(value: object, context: Context) -> Iterator[Rejected]:
    try:
        at = instant(value)
    except ValueError as error:
        message = f"occurred_at {shown(value)} is {error}: {NATIVE_TIME}"
        yield Rejected("invalid_timestamp", "/occurred_at", message)
        return
    if at > context.now_ms + context.future_limit_ms:
        ahead_s = (at - context.now_ms) // 1000
        message = f"occurred_at {shown(value)} is {ahead_s} s ahead of our clock: correct the sender's clock"
        yield Rejected("future_timestamp", "/occurred_at", message)


def _pipeline_and_stage(known: Mapping[str, Any], context: Context) -> Iterator[Rejected]:
    """R27: the stage is looked up in the pipeline named, else in all of them."""
    pipeline, stage = known.get("pipeline"), known.get("stage")
    configured = context.pipelines
    if isinstance(pipeline, str) and pipeline not in configured:
        remedy = f"use one of {', '.join(configured)}, or configure it"
        yield Rejected(
            "unknown_pipeline", "/pipeline", f"pipeline {shown(pipeline)} is not configured: {remedy}"
        )
    if isinstance(stage, str):
        candidates = [pipeline] if isinstance(pipeline, str) else list(configured)
        if not any(stage in configured.get(name, ()) for name in candidates):
            remedy = f"configure it, or use a stage of {_either(tuple(candidates))}"
            yield Rejected("unknown_stage", "/stage", f"stage {shown(stage)} is not configured: {remedy}")


def _currency(known: Mapping[str, Any], context: Context) -> Iterator[Rejected]:
    code = known.get("currency")
    if isinstance(code, str) and code.upper() not in context.currencies:
        message = f"currency {shown(code)} is not in ISO 4217: send a code such as EUR"
        yield Rejected("unknown_currency", "/currency", message)


def _amounts(event_type: EventType, known: Mapping[str, Any], context: Context) -> Iterator[Rejected]:
    code = known.get("currency")
    exponent = context.exponent(code.upper() if isinstance(code, str) else None)
    for name in event_type.money:
        if name in known:
            try:
                check_range(canonical(known[name]), exponent, signed=event_type.signed)
            except ValueError as error:
                message = f"{name} {shown(known[name])} is {error}: send major units, such as 1200.50"
                yield Rejected("invalid_amount", f"/{name}", message)


def _other_fields(event_type: EventType, known: Mapping[str, Any]) -> Iterator[Rejected]:
    for name, value in known.items():
        try:
            event_type.readers[name](value)
        except ValueError as error:
            yield Rejected("invalid_field", f"/{name}", f"{name} is {shown(value)} but {error}")


def _either(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
