"""The types of the fields of native messages: what may be sent, and what becomes of it.

As far as pydantic's own types go, they do the work; the functions here do the rest. Values are judged strictly:
nothing is taken for what it is not. Whoever validates passes a ``Context`` along. A rule with a code of its own
(R13) raises PydanticCustomError of that type; every other error of pydantic stands for ``invalid_field``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BeforeValidator, FailFast, Field, PlainValidator, StringConstraints
from pydantic import ValidationInfo as Info
from pydantic_core import PydanticCustomError

from schemas import times
from schemas.addresses import NotAnAddress, address
from schemas.amounts import canonical, check_range
from schemas.context import Context
from schemas.domains import NotADomain, domain
from schemas.domains import bare_domain as bare_domain  # noqa: PLC0414 for those who import it from here

NATIVE_TIME = "send RFC 3339 with an offset, such as 2026-03-01T10:00:00Z, or epoch milliseconds"
DEEPEST = 100
"""Levels of a sender's own objects; writers of JSON give up at a few hundred."""
_BEYOND_64_BIT = 2**63
LONGEST_TEXT = 1_024
"""Characters of a name or an identifier; some stand several times in every row about them."""
_MOST_DIGITS = LONGEST_TEXT - 1
LONGEST_LONG_TEXT = 8_192
"""Characters of what is long by nature: addresses of pages, user agents, reasons."""
LONGEST_LIST = 1_000
PLACE = "place"
"""Context of an error: which element of a list is at fault, from 0."""
LARGEST_OBJECT = 16_384
"""Bytes of a sender's own object as compact JSON. Every account keeps its last one."""


def absent(value: object) -> bool:
    """Whether a value counts as not given: null, or empty or blank text (R14)."""
    return value is None or (type(value) is str and (not value or value.isspace()))


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not absent (R14)."""
    # absent() written out: this runs once per field of every event
    return {
        name: value
        for name, value in fields.items()
        if not (value is None or (type(value) is str and (not value or value.isspace())))
    }


def _instant(value: object, info: Info[Context]) -> int:
    try:
        at = times.instant(value)
    except ValueError as error:
        raise PydanticCustomError("invalid_timestamp", f"is {error}: {NATIVE_TIME}") from None
    context = info.context
    if at > context.now_ms + context.future_limit_ms:
        ahead_s = (at - context.now_ms) // 1000
        reason = f"is {ahead_s} s ahead of our clock: correct the sender's clock"
        raise PydanticCustomError("future_timestamp", reason)
    return at


def _day(value: object) -> int:
    try:
        return times.date_or_instant(value)
    except ValueError as error:
        reason = f"is {error}: send an RFC 3339 date, such as 2026-06-30, or an instant"
        raise PydanticCustomError("invalid_field", reason) from None


def _pipeline(value: str, info: Info[Context]) -> str:
    pipelines = info.context.pipelines
    if value not in pipelines:
        reason = f"is not configured: use one of {', '.join(pipelines)}, or configure it"
        raise PydanticCustomError("unknown_pipeline", reason)
    return value


def _stage(value: str, info: Info[Context]) -> str:
    """R27: the stage is looked up in the pipeline named before it, else in all of them."""
    pipelines = info.context.pipelines
    named = info.data.get("pipeline")
    candidates = tuple(pipelines) if named is None else (named,)
    for name in candidates:
        if value in pipelines[name]:
            return value
    reason = f"is not configured: configure it, or use a stage of {either(candidates)}"
    raise PydanticCustomError("unknown_stage", reason)


def _currency(value: str, info: Info[Context]) -> str:
    if value not in info.context.currencies:
        raise PydanticCustomError("unknown_currency", "is not in ISO 4217: send a code such as EUR")
    return value


def _amount(value: object, info: Info[Context], *, signed: bool = False) -> str:
    """Canonical text, within the limit of the currency named before it, else of the default one (R24)."""
    if type(value) is str and len(value) > LONGEST_TEXT:
        reason = f"is longer than {LONGEST_TEXT:,} characters: round it"
        raise PydanticCustomError("invalid_amount", reason)
    try:
        text = canonical(value)
        check_range(text, info.context.exponent(info.data.get("currency")), signed=signed)
    except ValueError as error:
        reason = f"is {error}: send major units, such as 1200.50"
        raise PydanticCustomError("invalid_amount", reason) from None
    return text


def _signed_amount(value: object, info: Info[Context]) -> str:
    return _amount(value, info, signed=True)


def _written_out(value: int) -> str:
    if abs(value) >= 10**_MOST_DIGITS:
        raise PydanticCustomError(
            "invalid_field", f"has more than {_MOST_DIGITS:,} digits: send a shorter one"
        )
    return str(value)


def _domain(value: str) -> str:
    try:
        return domain(value)
    except NotADomain as error:
        raise PydanticCustomError("invalid_field", str(error)) from None


def _email(value: str) -> str:
    try:
        return address(value)
    except NotAnAddress as error:
        raise PydanticCustomError("invalid_field", str(error)) from None


def _domains(value: object) -> object:
    """The list with its domains as they are compared; the place of the first that is none goes with the error."""
    if type(value) is not list:
        return value
    _without_absent(value)
    found = []
    for place, element in enumerate(value):
        if absent(element):
            continue
        try:
            found.append(domain(element) if type(element) is str else element)
        except NotADomain as error:
            raise PydanticCustomError("invalid_field", str(error), {PLACE: place}) from None
    return found


def _without_absent(value: object) -> object:
    if type(value) is not list:
        return value
    if len(value) > LONGEST_LIST:
        reason = f"has {len(value):,} elements: send at most {LONGEST_LIST:,}"
        raise PydanticCustomError("invalid_field", reason)
    return [element for element in value if not absent(element)]


def _object(value: dict[str, Any]) -> dict[str, Any]:
    """``value``, if every later reader and writer can take it."""
    _check(value, DEEPEST)
    try:
        size = len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        raise PydanticCustomError("invalid_field", "holds text that is not Unicode: correct it") from None
    if size > LARGEST_OBJECT:
        reason = f"takes {size:,} bytes as JSON: send at most {LARGEST_OBJECT:,}"
        raise PydanticCustomError("invalid_field", reason)
    return value


def _check(value: object, depth: int) -> None:
    if depth < 0:
        raise PydanticCustomError("invalid_field", f"is nested more than {DEEPEST} deep: flatten it")
    if type(value) is dict:
        for element in value.values():
            _check(element, depth - 1)
    elif type(value) is list:
        for element in value:
            _check(element, depth - 1)
    elif (type(value) is float and not math.isfinite(value)) or (
        type(value) is int and not -_BEYOND_64_BIT <= value < _BEYOND_64_BIT
    ):
        raise PydanticCustomError("invalid_field", "holds a number beyond 64 bits: send it as text")


def either(names: tuple[str, ...]) -> str:
    """Names in words: ``a, b or c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
LongText = Annotated[str, Field(max_length=LONGEST_LONG_TEXT)]
_WrittenOut = Annotated[int, AfterValidator(_written_out)]
Identifier = Annotated[Text | _WrittenOut, Field(union_mode="left_to_right")]
"""Text as it stands, or a JSON integer as its decimal text (R62)."""
Account = Annotated[
    Annotated[Text, StringConstraints(strip_whitespace=True)] | _WrittenOut, Field(union_mode="left_to_right")
]
"""An account id: trimmed, case kept (R43)."""
Domain = Annotated[Text, AfterValidator(_domain)]
"""Becomes the form in which all domains are compared (R38)."""
Email = Annotated[Text, AfterValidator(_email)]
"""Trimmed, in lower case, its domain as domains are compared."""
Source = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
"""The name of the sending system (R01)."""

_Instant = Annotated[int, Field(ge=times.EARLIEST_MS, le=times.LATEST_MS)] | str
Instant = Annotated[int | str, PlainValidator(_instant, json_schema_input_type=_Instant)]
"""RFC 3339 with an offset, or epoch milliseconds; becomes epoch milliseconds, not beyond our clock (R05)."""
Day = Annotated[int | str, PlainValidator(_day, json_schema_input_type=_Instant)]
"""RFC 3339 date or timestamp, or epoch milliseconds; becomes epoch milliseconds, up to the year 9999."""

Pipeline = Annotated[Text, AfterValidator(_pipeline)]
Stage = Annotated[Text, AfterValidator(_stage)]
Currency = Annotated[Text, StringConstraints(to_upper=True), AfterValidator(_currency)]
"""ISO 4217 code; becomes upper case (R24)."""
_Amount = int | float | Text
Amount = Annotated[_Amount, PlainValidator(_amount, json_schema_input_type=_Amount)]
"""Major units, a number or decimal text, not negative; becomes canonical decimal text (R24)."""
SignedAmount = Annotated[_Amount, PlainValidator(_signed_amount, json_schema_input_type=_Amount)]
"""As ``Amount``, of either sign (R26)."""

Count = Annotated[int, Field(ge=0, lt=_BEYOND_64_BIT)]
_Whole = Annotated[int, Field(ge=-_BEYOND_64_BIT, lt=_BEYOND_64_BIT)]
Number = _Whole | Annotated[float, Field(allow_inf_nan=False)]
"""A finite number; a whole one stays whole as far as 64 bits go."""
TextList = Annotated[
    list[Identifier],
    FailFast(),
    BeforeValidator(
        _without_absent,
        json_schema_input_type=Annotated[list[Identifier | None], Field(max_length=LONGEST_LIST)],
    ),
]
"""Identifiers; absent elements are left out."""
DomainList = Annotated[
    list[Text],
    FailFast(),
    BeforeValidator(
        _domains, json_schema_input_type=Annotated[list[Text | None], Field(max_length=LONGEST_LIST)]
    ),
]
"""Domains; absent elements are left out."""
Object = Annotated[dict[str, Any], AfterValidator(_object)]
"""A JSON object of the sender's own making, of bounded size and depth."""
