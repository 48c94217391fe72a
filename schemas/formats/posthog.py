"""PostHog events: the topic ``clickhouse_events_json`` of an installation, and the bodies that its SDKs post.

``$pageview`` and ``$screen`` become ``page_view``; ``$identify``, ``$create_alias``, ``$merge_dangerously`` and
a ``$set`` that tells an e-mail address ``contact_identified``; ``$groupidentify`` of the configured type of
group ``account_updated``. Names of one's own are looked up in a table and are an inbound ``other`` when it has
none. Every other name that begins with ``$`` is PostHog's own and becomes no message, unless the table has it:
``$pageleave``, ``$autocapture``, ``$rageclick``, ``$feature_flag_called``, ``$web_vitals``, ``$exception``,
``$snapshot``, ``$opt_in``, ``$ai_generation`` and the like; so do those in ``IGNORED``. The event id is
``uuid``, the account the group of the configured type (``$groups``). ``historical_migration`` says nothing about
an event: it has its own time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from schemas.fields import absent
from schemas.formats.payload import LEADS, Message, count, host_of, load_object, nested_object, refuse
from schemas.formats.people import is_address, person
from schemas.formats.tracking import COMMON_EVENTS, IGNORE, TOUCHPOINTS, checked, child, directed, first, utc
from schemas.headers import Headers
from schemas.times import instant

SOURCE = "posthog"
DEFAULT_GROUP_TYPE = "company"
DEFAULT_TRACK_EVENTS: Mapping[str, str] = MappingProxyType({
    **COMMON_EVENTS,
    **{name.lower(): touch_type for name, touch_type in COMMON_EVENTS.items()},
    "survey sent": "form_submit",
})  # fmt: skip
"""Event names of common use, capitalised and, as PostHog advises, not -> touch type; compared exactly."""
PAGES = ("$pageview", "$screen")
IGNORED = frozenset({
    "survey shown", "survey dismissed", "Application Opened", "Application Became Active",
    "Application Backgrounded", "Application Installed", "Application Updated",
})  # fmt: skip
"""Names without ``$`` that PostHog's SDKs send by themselves and that are no contact with us."""
NOBODY = frozenset({
    "", "anonymous", "guest", "undefined", "null", "none", "nan", "distinct_id", "distinctid",
    "not_authenticated", "[object object]", "true", "false", "0",
})  # fmt: skip
"""Distinct ids that a mistake in a site's code sends for everybody, in lower case: PostHog links none of them."""
UTM = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "utm_id")
NO_REFERRER = "$direct"
ACCOUNT_FIELDS = ("name", "industry")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def configured(
    track_events: Mapping[str, str] | None = None, group_type: str = DEFAULT_GROUP_TYPE
) -> Callable[[bytes, Headers, str], list[Message]]:
    """The format with a table of events of its own, or with another type of group for accounts.

    Raises ValueError when the table names what is neither a touch type nor ``ignore``.
    """
    events = DEFAULT_TRACK_EVENTS if track_events is None else checked(track_events)
    return partial(read, track_events=events, group_type=group_type)


def read(
    raw: bytes,
    headers: Headers,
    kind: str,
    *,
    track_events: Mapping[str, str] = DEFAULT_TRACK_EVENTS,
    group_type: str = DEFAULT_GROUP_TYPE,
) -> list[Message]:
    """(topic kind, native message) of one event or of a ``batch`` body. Raises Rejected(decode_error)."""
    body = load_object(raw, headers)
    batch = body.get("batch")
    if batch is None:
        return _messages(body, "", track_events, group_type)
    if not isinstance(batch, list) or not batch:
        raise refuse("/batch", "batch is no list with anything in it: send a list of events")
    return [
        message
        for place, item in enumerate(batch)
        for message in _messages(item, f"/batch/{place}", track_events, group_type)
    ]


def _messages(item: object, path: str, track_events: Mapping[str, str], group_type: str) -> list[Message]:
    if not isinstance(item, dict):
        raise refuse(path, "this is no event: send JSON objects")
    name = item.get("event")
    if not isinstance(name, str) or absent(name):
        raise refuse(f"{path}/event", "event is no text: send the event's name")
    mapped = track_events.get(name)
    if mapped is None and name in PAGES:
        mapped = "page_view"
    if mapped is None and not name.startswith("$") and name not in IGNORED:
        mapped = "other"
    identifies = name in ("$identify", "$set", "$create_alias", "$merge_dangerously", "$groupidentify")
    if mapped in (None, IGNORE) and not identifies:
        return []
    item = {**item, "properties": _object(item, "properties", path, required=True)}
    fields = {
        "event_id": item.get("uuid"),
        "occurred_at": _time(item, path),
        "source": SOURCE,
    }
    if name == "$groupidentify":
        return _group(item, fields, group_type)
    account = child(item["properties"], "$groups").get(group_type)
    fields["account_id"] = account
    if identifies:
        fields["type"] = "contact_identified"
        return _identified(item, fields, name, path)
    fields["type"] = mapped
    return [(TOUCHPOINTS, directed(fields | _identifiers(item, path) | _page(item, name)))]


def _object(item: Mapping[str, Any], name: str, path: str, *, required: bool = False) -> dict[str, Any]:
    """An object, which the topic has as JSON text. Raises Rejected(decode_error)."""
    value = item.get(name)
    if absent(value) and not required:
        return {}
    if isinstance(value, str):
        return nested_object(value, f"{path}/{name}")
    if not isinstance(value, dict):
        raise refuse(f"{path}/{name}", f"{name} is no object: send an object, or its JSON as text")
    return value


def _time(item: Mapping[str, Any], path: str) -> object:
    """When it happened; the topic writes UTC without a zone. Raises Rejected(decode_error)."""
    value = item.get("timestamp")
    where = f"{path}/timestamp"
    if absent(value):
        remedy = "send it, or read the topic clickhouse_events_json, in which the server has filled it in"
        raise refuse(where, f"there is no timestamp: {remedy}")
    at = utc(value)
    try:
        instant(at)
    except ValueError as error:
        raise refuse(where, f"timestamp is {error}: send RFC 3339, such as 2026-03-01T10:00:00Z") from None
    return at


def _known(item: Mapping[str, Any]) -> bool:
    """Whether the distinct id is that of a person the site knows, and not one that an SDK drew for a visitor.

    SDKs of browsers and apps say so; those that do not, of older versions, send the id of the device, and the
    user's only once there is one. An event without any of this comes from a server, where ids are users', unless
    it is without a person.
    """
    properties = item["properties"]
    told = properties.get("$is_identified")
    if isinstance(told, bool):
        return told
    if properties.get("$process_person_profile") is False or item.get("person_mode") == "propertyless":
        return False
    return absent(properties.get("$device_id")) or not absent(properties.get("$user_id"))


def _distinct_id(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in NOBODY else value


def _addresses(item: Mapping[str, Any], path: str) -> tuple[object, ...]:
    """Where an event has the person's e-mail address, what it sets first."""
    properties = item["properties"]
    places = (
        child(item, "$set"),
        child(properties, "$set"),
        child(item, "$set_once"),
        child(properties, "$set_once"),
        _object(item, "person_properties", path),
    )
    return tuple(place.get("email") for place in places)


def _identifiers(item: Mapping[str, Any], path: str, *, strict: bool = False) -> dict[str, Any]:
    distinct = _distinct_id(item.get("distinct_id"))
    addresses = _addresses(item, path)
    if is_address(distinct) or _known(item):
        return person(distinct, addresses, strict=strict)
    return {"anonymous_id": distinct, **person(None, addresses, strict=strict)}


def _identified(item: Mapping[str, Any], fields: dict[str, Any], name: str, path: str) -> list[Message]:
    """What links identifiers. ``$identify`` names the person by ``distinct_id``, whatever else is said."""
    properties = item["properties"]
    if name == "$set":
        fields |= _identifiers(item, path, strict=True)
        return [(LEADS, fields)] if "email" in fields else []
    distinct = _distinct_id(item.get("distinct_id"))
    if name == "$identify":
        before = _distinct_id(properties.get("$anon_distinct_id"))
        linked = person(distinct, _addresses(item, path), strict=True)
        return [(LEADS, fields | _before(before, linked) | linked)]
    alias = _distinct_id(properties.get("alias"))
    visitor, user = _visitor_and_user(item, distinct, alias)
    linked = person(user, () if is_address(user) else (visitor,))
    if is_address(visitor) and is_address(user):
        remedy = "identify both under an id that is none"
        raise refuse(f"{path}/properties/alias", f"links two addresses, a message carries one: {remedy}")
    return [(LEADS, fields | _before(visitor, linked) | linked)]


def _before(before: object, linked: Mapping[str, object]) -> dict[str, object]:
    """The id that a person had before: a visitor's, unless it is the address or the id they have now."""
    return {} if is_address(before) or before == linked.get("contact_id") else {"anonymous_id": before}


def _visitor_and_user(item: Mapping[str, Any], distinct: object, alias: object) -> tuple[object, object]:
    """Which of the two ids of an alias was drawn for a visitor: nothing in the call says so.

    An address was not. Else it is the distinct id when the event is a visitor's, or when it alone has the shape of
    the ids that SDKs draw. Else it is the alias: PostHog goes on with the person of the distinct id.
    """
    if is_address(distinct) or is_address(alias):
        return (alias, distinct) if is_address(distinct) else (distinct, alias)
    if not _known(item) or (_drawn(distinct) and not _drawn(alias)):
        return distinct, alias
    return alias, distinct


def _drawn(value: object) -> bool:
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _group(item: Mapping[str, Any], fields: dict[str, Any], group_type: str) -> list[Message]:
    """What is known of an account. The distinct id is made up for the group in some SDKs, and nobody's."""
    properties = item["properties"]
    if properties.get("$group_type") != group_type:
        return []
    given = child(properties, "$group_set")
    fields |= {"type": "account_updated", "account_id": properties.get("$group_key")}
    fields |= {name: given.get(name) for name in ACCOUNT_FIELDS}
    fields["employees"] = count(given.get("employees"))
    hosts = [host_of(given.get(name)) for name in ("domain", "website")]
    fields["domains"] = list(dict.fromkeys(host for host in hosts if host is not None)) or None
    others = {name: value for name, value in given.items() if not absent(value) and absent(fields.get(name))}
    if others:
        fields["attributes"] = others
    return [(LEADS, fields)]


def _page(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Where a touch took place.

    UTMs are those of the page's address. The browser's SDK keeps them and sends those of an earlier visit with
    every later event, so that its properties count only where there is no address, as from a server.
    """
    properties = item["properties"]
    url, referrer = properties.get("$current_url"), properties.get("$referrer")
    fields = {
        "url": url,
        "referrer": None if referrer == NO_REFERRER else referrer,
        "title": first(properties.get("title"), properties.get("$screen_name")) if name in PAGES else name,
        "session_id": properties.get("$session_id"),
        "user_agent": properties.get("$raw_user_agent"),
    }
    if absent(url):
        fields |= {utm: properties.get(utm) for utm in UTM}
    return fields
