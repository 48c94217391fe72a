"""The Segment spec, as Segment, RudderStack and Jitsu write it to Kafka.

``page`` and ``screen`` become ``page_view``; ``identify`` and ``alias`` ``contact_identified``; ``group``
``account_updated``; ``track`` is looked up by event name and is an inbound ``other`` when nothing is
configured. The source is always ``segment``: message ids are unique whichever library drew them, so a message
relayed twice stays one fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from schemas.cloudevents import unwrap
from schemas.errors import Rejected, shown
from schemas.events import INBOUND_TOUCHES, OUTBOUND_TOUCHES
from schemas.fields import absent
from schemas.headers import Headers
from schemas.parsing import parse_object, strip_registry_prefix

Message = tuple[str, dict[str, Any]]

SOURCE = "segment"
TOUCHPOINTS, LEADS = "touchpoints", "leads"
TOUCH_TYPES = (*INBOUND_TOUCHES, *OUTBOUND_TOUCHES, "other")

DEFAULT_TRACK_EVENTS: Mapping[str, str] = MappingProxyType({
    "Demo Requested": "demo_request",
    "Form Submitted": "form_submit",
    "Signed Up": "form_submit",
    "Email Opened": "email_open",
    "Email Link Clicked": "email_click",
    "Email Replied": "email_reply",
    "Ad Clicked": "ad_click",
    "Ad Viewed": "ad_impression",
    "Asset Downloaded": "download",
    "File Downloaded": "download",
    "Live Chat Conversation Started": "chat",
    "Webinar Attended": "webinar",
    "Meeting Booked": "meeting",
    "Call Answered": "call_answered",
})  # fmt: skip
"""Event names of the spec and of common use -> touch type; compared exactly."""

# the best clock first: Segment corrects timestamp for the device's skew; the others are what is left without it
TIMES = ("timestamp", "originalTimestamp", "receivedAt")
CAMPAIGN = {
    "name": "utm_campaign", "source": "utm_source", "medium": "utm_medium", "term": "utm_term",
    "content": "utm_content", "id": "utm_id",
}  # fmt: skip
PAGE = ("url", "referrer", "title")
NO_REFERRER = "$direct"
"""What RudderStack writes for a page that was not linked to."""
ACCOUNT_TRAITS = ("name", "industry")
MOST_EMPLOYEES = 2**63 - 1
_LONGEST_COUNT = 400
"""Digits; Python refuses to read far longer integers."""


def with_track_events(events: Mapping[str, str]) -> Callable[[bytes, Headers, str], list[Message]]:
    """The format with a table of its own: event name -> touch type. Raises ValueError for an unknown type."""
    unknown = sorted(f"{name!r}: {kind!r}" for name, kind in events.items() if kind not in TOUCH_TYPES)
    if unknown:
        raise ValueError(f"no touch types: {', '.join(unknown)}; use one of {', '.join(TOUCH_TYPES)}")
    return partial(read, track_events=dict(events))


def read(
    raw: bytes, headers: Headers, kind: str, *, track_events: Mapping[str, str] = DEFAULT_TRACK_EVENTS
) -> list[Message]:
    """(topic kind, native message) of one message or of a ``batch`` body. Raises Rejected(decode_error)."""
    try:
        body = parse_object(strip_registry_prefix(unwrap(raw, headers)))
    except Rejected as rejected:
        raise Rejected("decode_error", rejected.path, rejected.message) from None
    batch = body.get("batch")
    if batch is None:
        return [_message(body, "", track_events)]
    if not isinstance(batch, list) or not batch:
        raise Rejected("decode_error", "/batch", f"batch is {shown(batch)}: send a list of messages")
    return [_message(item, f"/batch/{place}", track_events) for place, item in enumerate(batch)]


def _message(item: object, path: str, track_events: Mapping[str, str]) -> Message:
    if not isinstance(item, dict):
        raise Rejected("decode_error", path, f"{shown(item)} is no message: send JSON objects")
    call = item.get("type")
    if call in ("page", "screen"):
        return TOUCHPOINTS, _touch(item, "page_view", item.get("name"))
    if call == "track":
        name = item.get("event")
        mapped = track_events.get(name, "other") if isinstance(name, str) else "other"
        return TOUCHPOINTS, _touch(item, mapped, name)
    if call == "identify":
        return LEADS, _envelope(item, "contact_identified", _object(item, "traits"))
    if call == "alias":
        return LEADS, _alias(item)
    if call == "group":
        return LEADS, _group(item)
    known = "track, page, screen, identify, group, alias"
    raise Rejected(
        "decode_error", f"{path}/type", f"type {shown(call)} is not of the Segment spec: use {known}"
    )


def _envelope(item: Mapping[str, Any], event_type: str, person: Mapping[str, Any]) -> dict[str, Any]:
    """Identity of the fact and of whom it is about. ``person`` holds traits of the person, if the call has any."""
    context = _object(item, "context")
    user = item.get("userId")
    addresses = (person.get("email"), _object(context, "traits").get("email"), user)
    return {
        "event_id": item.get("messageId"),
        "type": event_type,
        "occurred_at": _first(*(item.get(name) for name in TIMES)),
        "source": SOURCE,
        "anonymous_id": item.get("anonymousId"),
        "contact_id": user,
        "email": next((address for address in addresses if _looks_like_email(address)), None),
        "account_id": _first(item.get("groupId"), context.get("groupId")),
    }


def _touch(item: Mapping[str, Any], event_type: str, name: object) -> dict[str, Any]:
    """A page, screen or track call. ``name`` is its title when the page has none."""
    context, properties = _object(item, "context"), _object(item, "properties")
    page, campaign = _object(context, "page"), _object(context, "campaign")
    fields = _envelope(item, event_type, {})
    for field in PAGE:
        fields[field] = _first(properties.get(field) if item["type"] == "page" else None, page.get(field))
    if fields["referrer"] == NO_REFERRER:
        fields["referrer"] = None
    if item["type"] == "track" or absent(fields["title"]):
        fields["title"] = name
    for theirs, ours in CAMPAIGN.items():
        fields[ours] = campaign.get(theirs)
    fields["user_agent"] = context.get("userAgent")
    fields["session_id"] = context.get("sessionId")
    if event_type == "other":
        fields["direction"] = "inbound"
    return fields


def _group(item: Mapping[str, Any]) -> dict[str, Any]:
    """A group call. Its traits are the account's, so an address among them is nobody's."""
    traits = _object(item, "traits")
    fields = _envelope(item, "account_updated", {})
    for name in ACCOUNT_TRAITS:
        fields[name] = traits.get(name)
    fields["employees"] = _employees(traits.get("employees"))
    others = {name: value for name, value in traits.items() if not absent(value) and absent(fields.get(name))}
    if others:
        fields["attributes"] = others
    return fields


def _employees(value: object) -> int | None:
    """The spec has the number as text; a range such as ``50-100`` is none, nor is what no company has."""
    count = value
    if isinstance(value, str) and len(value) <= _LONGEST_COUNT and value.strip().isascii():
        count = int(value) if value.strip().isdigit() else None
    return count if type(count) is int and 0 <= count <= MOST_EMPLOYEES else None


def _alias(item: Mapping[str, Any]) -> dict[str, Any]:
    """An alias call links the id a person was known by before with the one they have now."""
    fields = _envelope(item, "contact_identified", {})
    previous = item.get("previousId")
    if _looks_like_email(previous):
        fields["email"] = previous
    elif not absent(previous):
        fields["anonymous_id"] = previous
    return fields


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _first(*values: object) -> object:
    return next((value for value in values if not absent(value)), None)


def _looks_like_email(value: object) -> bool:
    if not isinstance(value, str):
        return False
    local, at, domain = value.strip().rpartition("@")
    return bool(local and at and "." in domain) and not any(letter.isspace() for letter in value.strip())
