"""Kinds of values that settings share: spans of time, names, touch types, currencies."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from revenue_core.facts import DAY_MS, INBOUND_TYPES, OUTBOUND_TYPES
from streams.reference_data import currency_exponents

_PER_DAY = {"d": 1, "h": 24, "m": 1_440, "s": 86_400}
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([dhms]?)")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,200}")
_ENGINE_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
TOUCH_TYPES = (*INBOUND_TYPES, *OUTBOUND_TYPES, "other")


class Section(BaseModel):
    """A part of the settings: immutable, and a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


def milliseconds(days: float) -> int:
    """A span in days as whole milliseconds."""
    return round(days * DAY_MS)


def _days(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number of days, or text such as 90d, 36h or 30m")
    if not isinstance(value, str):
        return value
    match = _SPAN.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a number of days, or text such as 90d, 36h or 30m")
    return float(match[1]) / _PER_DAY[match[2] or "d"]


def _span_text(days: float) -> int | float | str:
    """Days while they are whole, else the largest unit that is."""
    for unit, per_day in _PER_DAY.items():
        count = round(days * per_day, 6)
        if count.is_integer():
            return int(count) if unit == "d" else f"{int(count)}{unit}"
    return days


_SPAN_SCHEMA = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": rf"^{_SPAN.pattern}$"}],
    "description": "days, or text such as 90d, 36h or 30m",
}
Span = Annotated[
    float, BeforeValidator(_days), PlainSerializer(_span_text, when_used="json"), WithJsonSchema(_SPAN_SCHEMA)
]
"""A span of time in days."""
PositiveSpan = Annotated[Span, Field(gt=0, le=36_525)]
"""Above zero and at most a century."""
LongSpan = Annotated[Span, Field(ge=0, le=36_525)]


def _one_of_touches(names: tuple[str, ...]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"is not a touch type here: use one of {', '.join(names)}")
        return value

    return AfterValidator(check)


TouchType = Annotated[str, _one_of_touches(TOUCH_TYPES)]
InboundType = Annotated[str, _one_of_touches((*INBOUND_TYPES, "other"))]


def _matching(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"must be {what}")
        return value

    return AfterValidator(check)


TopicName = Annotated[str, _matching(_TOPIC, "1 to 200 of the characters A-Z a-z 0-9 . _ -")]
TopicPrefix = Annotated[
    str, _matching(re.compile(r"[A-Za-z0-9._-]{0,40}"), "at most 40 of A-Z a-z 0-9 . _ -")
]


def _plain_name(value: str) -> str:
    if "|" in value or any(unicodedata.category(letter) == "Cc" for letter in value):
        raise ValueError("must not hold | or control characters: names of metrics are joined by |")
    return value


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_name)]
"""Of a pipeline or a stage."""
EngineName = Annotated[str, _matching(_ENGINE_NAME, "1 to 100 of the characters A-Z a-z 0-9 . _ -")]


def _currency(value: str) -> str:
    code = value.strip().upper()
    if code not in currency_exponents():
        raise ValueError("is not an ISO 4217 code with a minor unit: use one such as EUR")
    return code


Currency = Annotated[str, AfterValidator(_currency)]


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is reachable from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
