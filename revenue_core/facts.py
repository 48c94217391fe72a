"""Facts as the mathematics sees them: touches, and dated facts about leads and deals.

A *fact* is one thing that happened, identified by (topic kind, source, event_id) (R01). The wire is
translated into these types before anything here runs: times are milliseconds, channels are classified,
bots are gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

INBOUND_TYPES = (
    "page_view", "ad_click", "ad_impression", "email_open", "email_click", "email_reply", "call_answered",
    "meeting", "form_submit", "demo_request", "webinar", "download", "chat", "event_attended",
)  # fmt: skip
OUTBOUND_TYPES = ("email_sent", "call_attempt", "message_sent")


class Touch(NamedTuple):
    """One dated contact between an account and us. Sorts in touch order (R03)."""

    at: int
    touch_id: str
    type: str
    inbound: bool
    channel: str
    campaign: str = ""
    keyword: str = ""
    content: str = ""
    source: str = ""
    """The marketing source (``utm_source`` or what the click id or referrer gave), not the fact's source."""
    medium: str = ""
    contact_id: str = ""
    rep_id: str = ""
    team: str = ""
    visitor: str = ""
    """The visitor's ``anonymous_id``; used by the ``sessions`` transform only."""
    rule: str = ""
    """Which rule or step of the classification decided the channel; shown by ``explain``."""


class Fact(NamedTuple):
    """A lead or deal fact. Sorts in fact order: (at, source, event_id)."""

    at: int
    source: str
    event_id: str
    type: str
    """The message type, for example ``deal_updated``."""
    fact_id: str
    """``<source>:<event_id>``, with ``@<ms>`` for a second and later group of one identity (R02)."""
    body: Mapping[str, Any]
    """The normalised fields present: text as text, amounts as decimal text, times as milliseconds."""


@dataclass(slots=True)
class Journey:
    """Everything known of one account, each list in its own order."""

    account_id: str
    touches: Sequence[Touch] = ()
    leads: Sequence[Fact] = ()
    """``lead_created``, ``lead_qualified``, ``lead_disqualified`` and ``lead_feedback`` of every lead."""
    deals: Mapping[str, Sequence[Fact]] = field(default_factory=dict)
    """deal_id -> its ``deal_updated``, ``deal_deleted`` and ``refund`` facts, in fact order."""
    movements: Sequence[Fact] = ()
    """``mrr_movement`` facts, those without a ``deal_id`` too."""
