"""Every field of the native format: how its value is read, and its JSON Schema.

A reader takes a JSON value that is not absent (R14) and returns the normalised one; ValueError says why not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.amounts import canonical
from schemas.times import date_or_instant, instant

Reader = Callable[[Any], Any]

_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_64_BIT = 2**63


def absent(value: object) -> bool:
    """Whether a value counts as not given: null, or empty or blank text (R14)."""
    return value is None or (type(value) is str and (not value or value.isspace()))


def text(value: object) -> str:
    """Text as it stands."""
    if type(value) is not str:
        raise ValueError("must be text")
    return value


def identifier(value: object) -> str:
    """Text as it stands, or a JSON integer as its decimal text (R62)."""
    if type(value) is str:
        return value
    if type(value) is int:
        return str(value)
    raise ValueError("must be text or a whole number")


def account(value: object) -> str:
    """An account id: trimmed, case kept (R43)."""
    return identifier(value).strip()


def source(value: object) -> str:
    """The name of the sending system (R01)."""
    if type(value) is str and _SOURCE.fullmatch(value):
        return value
    raise ValueError("must be 1 to 64 of the characters A-Z a-z 0-9 . _ -")


def currency(value: object) -> str:
    """A currency code in upper case; whether it exists is for the context to say (R24)."""
    return text(value).upper()


def boolean(value: object) -> bool:
    """true or false."""
    if type(value) is bool:
        return value
    raise ValueError("must be true or false")


def number(value: object) -> float:
    """A finite number."""
    if (type(value) is int and abs(value) < _MAX_64_BIT) or (type(value) is float and math.isfinite(value)):
        return value
    raise ValueError("must be a number")


def count(value: object) -> int:
    """A whole number, zero or more."""
    if type(value) is int and 0 <= value < _MAX_64_BIT:
        return value
    raise ValueError("must be a whole number, zero or more")


def identifiers(value: object) -> list[str]:
    """A list of identifiers; absent elements are left out."""
    if type(value) is not list:
        raise ValueError("must be a list")
    return [identifier(element) for element in value if not absent(element)]


def attributes(value: object) -> dict[str, Any]:
    """A JSON object of the sender's own making, with numbers that any reader can take."""
    if type(value) is not dict:
        raise ValueError("must be an object")
    _check_numbers(value)
    return value


def _check_numbers(value: object) -> None:
    if type(value) is dict:
        for element in value.values():
            _check_numbers(element)
    elif type(value) is list:
        for element in value:
            _check_numbers(element)
    elif type(value) in {int, float}:
        number(value)


def choice(*options: str) -> Reader:
    """A reader that takes one of ``options``, exactly."""
    allowed = frozenset(options)

    def read(value: object) -> str:
        if type(value) is str and value in allowed:
            return value
        raise ValueError(f"must be one of {', '.join(options)}")

    return read


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its reader, the JSON Schema of its values, and what it holds."""

    read: Reader
    schema: Mapping[str, Any]
    description: str


def _text(description: str) -> Field:
    return Field(text, {"type": "string"}, description)


def _identifier(description: str, read: Reader = identifier) -> Field:
    return Field(read, {"type": ["string", "integer"]}, description)


def _choice(description: str, *options: str) -> Field:
    return Field(choice(*options), {"enum": list(options)}, description)


def _money(description: str) -> Field:
    return Field(
        canonical, {"type": ["number", "string"]}, f"{description}, major units, number or decimal text"
    )


def _identifiers(description: str) -> Field:
    return Field(
        identifiers, {"type": "array", "items": {"type": ["string", "integer", "null"]}}, description
    )


_INSTANT_SCHEMA = {"type": ["string", "integer"]}

FIELDS: Mapping[str, Field] = {
    "event_id": _identifier("With source it identifies the fact"),
    "type": _text("What happened"),
    "occurred_at": Field(
        instant, _INSTANT_SCHEMA, "When it happened: RFC 3339 with an offset, or epoch milliseconds"
    ),
    "source": Field(
        source, {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}, "The sending system; default native"
    ),
    "anonymous_id": _identifier("A visitor nobody may know yet"),
    "email": _identifier("E-mail address of a person"),
    "contact_id": _identifier("A known person"),
    "lead_id": _identifier("A lead"),
    "domain": _identifier("Website domain of a company"),
    "account_id": _identifier("The buying organisation", account),
    "deal_id": _identifier("A deal"),
    "into_account_id": _identifier("The account that takes the merged one over", account),
    "direction": _choice("Who acted: they (inbound) or we (outbound)", "inbound", "outbound"),
    "url": _text("Page address; UTMs and click ids are read from it when not given"),
    "referrer": _text("Address of the page before"),
    "title": _text("Title of the page or name of the action"),
    "content_id": _identifier("The content seen"),
    "utm_source": _text("utm_source"),
    "utm_medium": _text("utm_medium"),
    "utm_campaign": _text("utm_campaign"),
    "utm_term": _text("utm_term"),
    "utm_content": _text("utm_content"),
    "utm_id": _identifier("utm_id"),
    "click_id": _identifier("Click id that an ad network added"),
    "click_id_type": _text("Name of the click id, such as gclid"),
    "channel": _text("Channel; overrides classification"),
    "campaign": _text("Campaign; default utm_campaign"),
    "keyword": _text("Keyword; default utm_term"),
    "content": _text("Content; default utm_content"),
    "session_id": _identifier("The visit"),
    "rep_id": _identifier("Our colleague"),
    "rep_role": _text("The colleague's role"),
    "contact_role": _text("The contact's role in the purchase"),
    "team": _choice("Who earned the touch", "marketing", "sales"),
    "cost": _money("What the touch cost"),
    "currency": Field(currency, {"type": "string"}, "ISO 4217 code"),
    "user_agent": _text("User agent of the visitor's browser"),
    "crm_source": _text("Lead source as the CRM has it"),
    "level": _choice("Who accepted the lead: marketing or sales", "mql", "sql"),
    "reason": _text("Why the lead was given up"),
    "accepted": Field(boolean, {"type": "boolean"}, "Whether sales accepted the lead"),
    "score": Field(number, {"type": "number"}, "The sender's score of the lead"),
    "name": _text("Name"),
    "industry": _text("Industry"),
    "employees": Field(count, {"type": "integer", "minimum": 0}, "Number of employees"),
    "segment": _text("Segment of the account"),
    "owner_id": _identifier("Our colleague who owns it"),
    "domains": _identifiers("Website domains that the account claims"),
    "attributes": Field(attributes, {"type": "object"}, "Anything else the sender knows"),
    "pipeline": _text("A configured pipeline"),
    "stage": _text("A stage of the pipeline"),
    "status": _choice("State of the deal", "open", "won", "lost"),
    "amount": _money("Amount"),
    "mrr": _money("Monthly recurring revenue"),
    "contact_ids": _identifiers("Stakeholders of the deal"),
    "lead_ids": _identifiers("Leads that became the deal"),
    "expected_close_date": Field(
        date_or_instant, _INSTANT_SCHEMA, "RFC 3339 date or timestamp, or epoch milliseconds"
    ),
    "lost_reason": _text("Why the deal was lost"),
    "movement": _choice(
        "Kind of change of recurring revenue", "new", "expansion", "contraction", "churn", "reactivation"
    ),
}
