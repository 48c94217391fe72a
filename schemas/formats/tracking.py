"""What the formats of trackers share: tables of event names, and values as native fields want them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from schemas.events import INBOUND_TOUCHES, OUTBOUND_TOUCHES
from schemas.fields import absent

TOUCHPOINTS = "touchpoints"
IGNORE = "ignore"
"""In a table of events: the event becomes no message."""
TOUCH_TYPES = (*INBOUND_TOUCHES, *OUTBOUND_TOUCHES, "other")

COMMON_EVENTS: Mapping[str, str] = MappingProxyType({
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
"""Event names of the Segment spec and of common use -> touch type; compared exactly."""

_WITHOUT_ZONE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?")


def checked(events: Mapping[str, str]) -> dict[str, str]:
    """A table of one's own: event name -> touch type, or ``ignore``. Raises ValueError for anything else."""
    allowed = (*TOUCH_TYPES, IGNORE)
    unknown = sorted(f"{name!r}: {kind!r}" for name, kind in events.items() if kind not in allowed)
    if unknown:
        raise ValueError(f"no touch types: {', '.join(unknown)}; use one of {', '.join(allowed)}")
    return dict(events)


def first(*values: object) -> Any:
    """The first value that is not absent; None when all are."""
    return next((value for value in values if not absent(value)), None)


def child(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object ``name`` of ``parent``; an empty one when there is none."""
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def utc(value: object) -> object:
    """A time as databases write it, without a zone, as the UTC time that it is; anything else as it stands."""
    return f"{value}Z" if isinstance(value, str) and _WITHOUT_ZONE.fullmatch(value) else value


def directed(fields: dict[str, Any]) -> dict[str, Any]:
    """A touch, with the direction that ``other`` needs: what a tracker on a site sees, visitors did."""
    if fields["type"] == "other":
        fields["direction"] = "inbound"
    return fields
