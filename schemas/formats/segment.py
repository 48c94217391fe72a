"""The Segment spec, as Segment, RudderStack and Jitsu write it to Kafka.

``page`` and ``screen`` become ``page_view``; ``identify`` and ``alias`` ``contact_identified``; ``group``
``account_updated``; ``track`` is looked up by event name and is an inbound ``other`` when nothing is
configured. The source is always ``segment``: message ids are unique whichever library drew them, so a message
relayed twice stays one fact.

The account of any call is its ``groupId``, that of its context, or the id of the ``company`` among the person's
traits. RudderStack's ``rudderId`` and Jitsu's ``context.clientIds`` are ids of theirs that nobody else sends,
and are not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from schemas.errors import shown
from schemas.fields import absent
from schemas.formats.payload import LEADS, Message, count, host_of, load_object, refuse
from schemas.formats.people import is_address, person, same_address
from schemas.formats.tracking import (
    COMMON_EVENTS,
    IGNORE,
    TOUCHPOINTS,
    checked,
    child,
    directed,
    first,
)
from schemas.headers import Headers

SOURCE = "segment"
DEFAULT_TRACK_EVENTS = COMMON_EVENTS

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
DOMAIN_TRAITS = ("domain", "domains")


def with_track_events(track_events: Mapping[str, str]) -> Callable[[bytes, Headers, str], list[Message]]:
    """The format with a table of its own: event name -> touch type or ``ignore``. Raises ValueError."""
    return partial(read, track_events=checked(track_events))


def read(
    raw: bytes, headers: Headers, kind: str, *, track_events: Mapping[str, str] = DEFAULT_TRACK_EVENTS
) -> list[Message]:
    """(topic kind, native message) of one message or of a ``batch`` body. Raises Rejected(decode_error)."""
    body = load_object(raw, headers)
    batch = body.get("batch")
    if batch is None:
        return _messages(body, "", track_events)
    if not isinstance(batch, list) or not batch:
        raise refuse("/batch", "batch is no list with anything in it: send a list of messages")
    return [
        message
        for place, item in enumerate(batch)
        for message in _messages(item, f"/batch/{place}", track_events)
    ]


def _messages(item: object, path: str, track_events: Mapping[str, str]) -> list[Message]:
    if not isinstance(item, dict):
        raise refuse(path, "this is no message: send JSON objects")
    call = item.get("type")
    if call in ("page", "screen"):
        return [(TOUCHPOINTS, _touch(item, "page_view", item.get("name")))]
    if call == "track":
        name = item.get("event")
        mapped = track_events.get(name, "other") if isinstance(name, str) else "other"
        return [] if mapped == IGNORE else [(TOUCHPOINTS, _touch(item, mapped, name))]
    if call == "identify":
        return _identify(item)
    if call == "alias":
        return _alias(item, path)
    if call == "group":
        return [(LEADS, _group(item))]
    known = "track, page, screen, identify, group, alias"
    raise refuse(f"{path}/type", f"type {shown(call)} is not of the Segment spec: use {known}")


def _envelope(item: Mapping[str, Any], event_type: str, traits: Mapping[str, Any]) -> dict[str, Any]:
    """Identity of the fact and of whom it is about. ``traits`` are the person's, if the call has any."""
    context = child(item, "context")
    strict = event_type == "contact_identified"
    known = child(context, "traits")
    companies = (child(traits, "company"), child(known, "company"))
    return {
        "event_id": item.get("messageId"),
        "type": event_type,
        "occurred_at": first(*(item.get(name) for name in TIMES)),
        "source": SOURCE,
        "anonymous_id": item.get("anonymousId"),
        **person(item.get("userId"), (traits.get("email"), known.get("email")), strict=strict),
        "account_id": first(
            item.get("groupId"), context.get("groupId"), *(company.get("id") for company in companies)
        ),
    }


def _touch(item: Mapping[str, Any], event_type: str, name: object) -> dict[str, Any]:
    """A page, screen or track call. ``name`` is its title when the page has none."""
    context, properties = child(item, "context"), child(item, "properties")
    page, campaign = child(context, "page"), child(context, "campaign")
    fields = _envelope(item, event_type, {})
    for field in PAGE:
        fields[field] = first(properties.get(field) if item["type"] == "page" else None, page.get(field))
    if fields["referrer"] == NO_REFERRER:
        fields["referrer"] = None
    if item["type"] == "track" or absent(fields["title"]):
        fields["title"] = name
    for theirs, ours in CAMPAIGN.items():
        fields[ours] = campaign.get(theirs)
    fields["user_agent"] = context.get("userAgent")
    fields["session_id"] = context.get("sessionId")
    return directed(fields)


def _identify(item: Mapping[str, Any]) -> list[Message]:
    """An identify call, and what its ``company`` trait says of the account."""
    traits = child(item, "traits")
    company = child(traits, "company")
    found = [(LEADS, _envelope(item, "contact_identified", traits))]
    told = any(not absent(value) for name, value in company.items() if name != "id")
    if told and not absent(company.get("id")):
        fields = {name: found[0][1][name] for name in ("event_id", "occurred_at", "source")}
        # the call has one message id; its two facts are of one topic and must differ in theirs (R01)
        fields["event_id"] = _derived(fields["event_id"], "company")
        fields |= {"type": "account_updated", "account_id": company["id"]}
        rest = {name: value for name, value in company.items() if name != "id"}
        found.append((LEADS, fields | _account(rest, count(company.get("employee_count")))))
    return found


def _group(item: Mapping[str, Any]) -> dict[str, Any]:
    """A group call. Its traits are the account's, so an address among them is nobody's."""
    traits = child(item, "traits")
    return _envelope(item, "account_updated", {}) | _account(traits, count(traits.get("employees")))


def _account(traits: Mapping[str, Any], employees: int | None) -> dict[str, Any]:
    """What traits say of an account. The spec has employees as text; a range such as ``50-100`` is no number."""
    fields: dict[str, Any] = {name: traits.get(name) for name in ACCOUNT_TRAITS}
    fields["employees"] = employees
    fields["domains"] = _domains(traits)
    others = {name: value for name, value in traits.items() if not absent(value) and absent(fields.get(name))}
    if others:
        fields["attributes"] = others
    return fields


def _domains(traits: Mapping[str, Any]) -> list[str] | None:
    """The website domains among an account's traits; what names no host stays a trait like any other."""
    given: list[object] = [traits.get("website")]
    for name in DOMAIN_TRAITS:
        value = traits.get(name)
        given += value if isinstance(value, list) else [value]
    hosts = [host for host in map(host_of, given) if host is not None]
    return list(dict.fromkeys(hosts)) or None


def _alias(item: Mapping[str, Any], path: str) -> list[Message]:
    """An alias call links the id a person was known by before with the one they have now.

    Libraries fill ``previousId`` with the anonymous id when nobody was known before, which is what the call is
    for. An id of a known person cannot be told from it and is linked as a visitor of that name.
    """
    fields = _envelope(item, "contact_identified", {})
    previous, device = item.get("previousId"), item.get("anonymousId")
    if is_address(previous):
        if "email" in fields and not same_address(fields["email"], previous):
            reason = "a message carries one address: identify both under a user id that is none"
            raise refuse(f"{path}/previousId", f"links two addresses, and {reason}")
        return [(LEADS, {**fields, "email": previous})]
    if absent(previous) or absent(device) or previous == device:
        return [(LEADS, {**fields, "anonymous_id": first(previous, device)})]
    before = {**fields, "event_id": _derived(fields["event_id"], "previous"), "anonymous_id": previous}
    return [(LEADS, fields), (LEADS, before)]


def _derived(message_id: object, part: str) -> object:
    """The id of a second fact of one call; what is no id is left for the native message to refuse."""
    return (
        f"{message_id}:{part}" if isinstance(message_id, str | int) and not absent(message_id) else message_id
    )
