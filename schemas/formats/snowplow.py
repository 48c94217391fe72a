"""Snowplow events: enriched, as TSV or as JSON, and the payloads that trackers post to a collector.

One format, told apart by content. A value that begins with ``{`` is JSON: the ``payload_data`` envelope of the
tracker protocol, or an enriched event as the analytics SDKs and Snowbridge write it. Anything else is a line of
the enriched stream, since no such line begins with a brace: its first column is an application's name.

``page_view`` becomes ``page_view``; self-describing (``unstruct``) events and structured ones are looked up in a
table by name and are an inbound ``other`` when it has none; a ``transaction`` is an inbound ``other`` too, for
a shop's order is no deal. ``page_ping`` (the visitor is still there), ``transaction_item`` and the names in
``IGNORED`` become no message. Enrichment may write an event twice: both have its ``event_id`` and are one fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from schemas.cloudevents import unwrap
from schemas.errors import Rejected, shown
from schemas.fields import absent
from schemas.formats import snowplow_payload
from schemas.formats.payload import Message, load_object, refuse
from schemas.formats.people import person
from schemas.formats.snowplow_atomic import Atomic, from_json, from_line
from schemas.formats.tracking import IGNORE, TOUCHPOINTS, checked, directed, first
from schemas.headers import Headers
from schemas.parsing import strip_registry_prefix

SOURCE = "snowplow"

DEFAULT_TRACK_EVENTS: Mapping[str, str] = MappingProxyType({
    "screen_view": "page_view",
    "submit_form": "form_submit",
    "ad_click": "ad_click",
    "ad_impression": "ad_impression",
    "com.mandrill/message_opened": "email_open",
    "com.mandrill/message_clicked": "email_click",
})  # fmt: skip
"""Name of an event -> touch type. A self-describing event is looked up as ``vendor/name``, then by its name
alone; a structured one as ``category/action``, then by its action. Compared exactly."""
IGNORED = frozenset({
    "page_ping", "transaction_item", "focus_form", "change_form", "timing", "web_vitals", "application_error",
    "application_foreground", "application_background", "screen_end", "list_item_view",
})  # fmt: skip
"""What is no contact with us: signs of life, single fields of a form, measurements. The table goes first."""
CLICK_IDS: Mapping[str, str] = MappingProxyType(
    {"Google": "gclid", "Microsoft": "msclkid", "DoubleClick": "dclid"}
)
"""``mkt_network`` as shipped -> its click id. A network of one's own has none that is known here, and its click
id is read from the page's address like any other."""
UTM = {
    "mkt_medium": "utm_medium", "mkt_source": "utm_source", "mkt_term": "utm_term",
    "mkt_content": "utm_content", "mkt_campaign": "utm_campaign",
}  # fmt: skip
# derived_tstamp is the device's clock corrected by the collector's, or true_tstamp where the site gave that: a
# given time is the better one, and stands first so that it wins in rows of an enrichment that did not copy it
TIMES = ("true_tstamp", "derived_tstamp", "collector_tstamp")


def with_track_events(track_events: Mapping[str, str]) -> Callable[[bytes, Headers, str], list[Message]]:
    """The format with a table of its own: event name -> touch type or ``ignore``. Raises ValueError."""
    return partial(read, track_events=checked(track_events))


def read(
    raw: bytes, headers: Headers, kind: str, *, track_events: Mapping[str, str] = DEFAULT_TRACK_EVENTS
) -> list[Message]:
    """(topic kind, native message) of one enriched event, or of every event of a tracker's payload.

    Raises Rejected(decode_error), whose path names the column or the parameter.
    """
    try:
        value = strip_registry_prefix(unwrap(raw, headers))
    except Rejected as rejected:
        raise refuse(rejected.path, rejected.message) from None
    if value.lstrip()[:1] != b"{":
        events = [from_line(value)]
    else:
        body = load_object(value, ())
        events = snowplow_payload.read(body) if "schema" in body else [from_json(body)]
    return [message for event in events for message in _message(event, track_events)]


def _message(event: Atomic, track_events: Mapping[str, str]) -> list[Message]:
    names = _names(event)
    mapped = next((track_events[name] for name in names if name in track_events), None)
    if mapped == IGNORE or (mapped is None and names[-1] in IGNORED):
        return []
    page = event.kind == "page_view"
    touch_type = mapped or ("page_view" if page else "other")
    fields: dict[str, Any] = {
        "event_id": event.get("event_id"),
        "type": touch_type,
        "occurred_at": event.time(TIMES),
        "source": SOURCE,
        **_identifiers(event),
        "url": event.get("page_url"),
        "referrer": event.get("page_referrer"),
        "title": event.get("page_title") if page else names[-1],
        "session_id": event.get("domain_sessionid"),
        "user_agent": event.user_agent(),
    }
    for theirs, ours in UTM.items():
        fields[ours] = event.get(theirs)
    network = event.get("mkt_network")
    click_id_type = CLICK_IDS.get(network) if isinstance(network, str) else None
    if click_id_type is not None and not absent(event.get("mkt_clickid")):
        fields["click_id"], fields["click_id_type"] = event.get("mkt_clickid"), click_id_type
    if event.kind == "transaction":
        fields["content_id"] = event.get("tr_orderid")
    return [(TOUCHPOINTS, directed(fields))]


def _names(event: Atomic) -> tuple[str, ...]:
    """What the event is looked up by, the most exact name first; the last one is its title."""
    if event.kind == "struct":
        category, action = event.text("se_category"), event.text("se_action")
        return f"{category}/{action}", action
    if event.kind == "unstruct":
        vendor, name = event.name()
        return f"{vendor}/{name}", name
    if event.kind in ("page_view", "page_ping", "transaction", "transaction_item"):
        return (event.kind,)
    known = "page_view, page_ping, struct, unstruct, transaction, transaction_item"
    raise refuse(event.path("event"), f"event {shown(event.get('event'))} is no kind of event: use {known}")


def _identifiers(event: Atomic) -> dict[str, Any]:
    """The visitor and, where the site told, the person.

    ``domain_userid`` is the site's own cookie, ``userId`` of the session that of an app. ``network_userid`` is
    the collector's cookie, and a server that sends events keeps no cookies: the collector draws a new id for
    each of them, which only stands for somebody when there is nothing else.
    """
    user = event.get("user_id")
    visitor = first(event.get("domain_userid"), event.app_user())
    if visitor is None and not (event.from_server and not absent(user)):
        visitor = event.get("network_userid")
    return {"anonymous_id": visitor, **person(user)}
