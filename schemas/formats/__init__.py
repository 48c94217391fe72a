"""Input formats: what a source topic's bytes mean.

A format is a pure function ``(raw, headers, kind) -> [(topic kind, native message), ...]``, where ``kind`` is
that of the topic read. One record may hold several messages, and of another kind than its topic's (an
``identify`` on a topic of touchpoints). A payload that is not of the format is Rejected with ``decode_error``;
what it holds is validated afterwards like any native message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from schemas.cloudevents import unwrap
from schemas.context import Context
from schemas.fields import either
from schemas.formats import (
    debezium,
    field_map,
    hubspot,
    pipedrive,
    posthog,
    salesforce_cdc,
    segment,
    snowplow,
)
from schemas.headers import Headers
from schemas.inbound import check_size, decode, decode_fields, decode_message
from schemas.parsing import parse_object, strip_registry_prefix

Message = tuple[str, dict[str, Any]]
Format = Callable[[bytes, Headers, str], Sequence[Message]]
Decoder = Callable[[str, bytes, Headers, Context], Sequence[Message]]
"""(kind of the topic, raw, headers, context) -> (topic kind, normalised event) pairs. Raises Rejected."""

NATIVE = "native"


def native(raw: bytes, headers: Headers, kind: str) -> list[Message]:
    """A native message as it stands. Raises Rejected(invalid_json)."""
    return [(kind, parse_object(strip_registry_prefix(unwrap(raw, headers))))]


FORMATS: Mapping[str, Format] = {
    NATIVE: native,
    "segment": segment.read,
    "snowplow": snowplow.read,
    "posthog": posthog.read,
    "hubspot": hubspot.read,
    "pipedrive": pipedrive.read,
    "salesforce_cdc": salesforce_cdc.read,
    "debezium": debezium.read,
    "field_map": field_map.read,
}
"""Name in the configuration -> format with its shipped options."""

OPTIONS: Mapping[str, tuple[Callable[..., Format], tuple[str, ...]]] = {
    "segment": (segment.with_track_events, ("track_events",)),
    "snowplow": (snowplow.with_track_events, ("track_events",)),
    "posthog": (posthog.configured, ("track_events", "group_type")),
    "hubspot": (hubspot.configured, ("stages", "pipelines", "lead_stages", "id_prefix")),
    "pipedrive": (pipedrive.configured, ("stages", "pipelines", "id_prefix")),
    "salesforce_cdc": (salesforce_cdc.configured, ("stages", "lead_stages", "id_prefix")),
    "debezium": (debezium.configured, ("fields",)),
    "field_map": (field_map.configured, ("fields",)),
}
"""Format -> (what makes it with options of its own, their names)."""
NEEDED = {"debezium": "fields", "field_map": "fields"}
"""Format -> the option that it does not work without."""


def with_options(name: str, options: Mapping[str, Any]) -> Format:
    """The format ``name`` with the options that are not None, as a source topic has them.

    Raises ValueError for an option of another format, one that is missing, and values that make no sense.
    """
    make, known = OPTIONS.get(name, (None, ()))
    given = {option: value for option, value in options.items() if value is not None}
    problems = [f"{option} {_belongs(option)}" for option in given if option not in known]
    if name in NEEDED and NEEDED[name] not in given:
        problems.append(f"format {name} needs {NEEDED[name]}: see docs/formats.md")
    if problems:
        raise ValueError("; ".join(problems))
    return FORMATS[name] if make is None or not given else make(**given)


def _belongs(option: str) -> str:
    owners = tuple(name for name, (_, known) in OPTIONS.items() if option in known)
    return f"belongs to format {either(owners)}: remove it, or set that format"


def decoder_of(form: str | Format) -> Decoder:
    """How records of a topic in this format become (topic kind, normalised event) pairs.

    ``form`` is a key of ``FORMATS`` or a format with options of its own; ValueError for an unknown name. The
    decoder raises Rejected: one refused message refuses its record.
    """
    if form == NATIVE:
        return _decode_native
    if isinstance(form, str):
        if form not in FORMATS:
            raise ValueError(f"no input format {form!r}: use one of {', '.join(FORMATS)}")
        form = FORMATS[form]
    return partial(_decode_foreign, form)


def _decode_native(kind: str, raw: bytes, headers: Headers, context: Context) -> list[Message]:
    event = decode_message(kind, raw, headers, context) if headers else decode(kind, raw, context)
    return [(kind, event)]


def _decode_foreign(read: Format, kind: str, raw: bytes, headers: Headers, context: Context) -> list[Message]:
    check_size(raw, context)
    return [(found, decode_fields(found, fields, context)) for found, fields in read(raw, headers, kind)]
