"""Every type of the three source topics: which fields it has and which of them it needs (R14)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from schemas.fields import FIELDS, Reader

REQUIRED = ("event_id", "type", "occurred_at")
IDENTIFIERS = ("deal_id", "lead_id", "contact_id", "email", "account_id", "anonymous_id", "domain")
MONEY = ("amount", "mrr", "cost")
CHECKED = ("pipeline", "stage", "currency", *MONEY)

INBOUND_TOUCHES = (
    "page_view", "ad_click", "ad_impression", "email_open", "email_click", "email_reply", "call_answered",
    "meeting", "form_submit", "demo_request", "webinar", "download", "chat", "event_attended",
)  # fmt: skip
OUTBOUND_TOUCHES = ("email_sent", "call_attempt", "message_sent")


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of one source topic."""

    name: str
    fields: tuple[str, ...]
    """Every known field, in the order in which a diagnosis looks at them."""
    required: tuple[str, ...] = ()
    """Beside the common three."""
    required_any: tuple[str, ...] = ()
    """At least one of these."""
    needs_identifier: bool = True
    signed: bool = False
    """Whether amounts may be negative."""
    readers: Mapping[str, Reader] = field(init=False)
    money: tuple[str, ...] = field(init=False)
    checked: tuple[str, ...] = field(init=False)
    """Fields whose values need a context to be judged."""
    all_required: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        readers = {name: FIELDS[name].read for name in self.fields}
        object.__setattr__(self, "readers", readers)
        object.__setattr__(self, "money", tuple(name for name in MONEY if name in readers))
        object.__setattr__(self, "checked", tuple(name for name in CHECKED if name in readers))
        object.__setattr__(self, "all_required", frozenset(REQUIRED + self.required))


_ENVELOPE = (*REQUIRED, "source")
_COMMON = (*_ENVELOPE, *IDENTIFIERS)
_TOUCH = (
    *_COMMON, "url", "referrer", "title", "content_id", "utm_source", "utm_medium", "utm_campaign", "utm_term",
    "utm_content", "utm_id", "click_id", "click_id_type", "channel", "campaign", "keyword", "content",
    "session_id", "rep_id", "rep_role", "contact_role", "team", "cost", "currency", "user_agent",
)  # fmt: skip


def _event(name: str, *fields: str, required: tuple[str, ...] = ()) -> EventType:
    return EventType(name, (*_COMMON, *fields), required)


def _by_name(*types: EventType) -> Mapping[str, EventType]:
    return MappingProxyType({each.name: each for each in types})


EVENTS: Mapping[str, Mapping[str, EventType]] = MappingProxyType({
    "touchpoints": _by_name(
        *(EventType(name, _TOUCH) for name in INBOUND_TOUCHES + OUTBOUND_TOUCHES),
        EventType("other", (*_TOUCH, "direction"), ("direction",)),
        EventType(
            "spend", (*_ENVELOPE, "channel", "campaign", "cost", "currency"), ("channel", "cost"),
            needs_identifier=False,
        ),
    ),
    "leads": _by_name(
        _event("lead_created", "crm_source", required=("lead_id",)),
        _event("lead_qualified", "level", required=("lead_id", "level")),
        _event("lead_disqualified", "reason", required=("lead_id",)),
        _event("lead_feedback", "accepted", "score", required=("lead_id",)),
        _event("contact_identified"),
        _event(
            "account_updated", "name", "industry", "employees", "segment", "owner_id", "domains", "attributes",
            required=("account_id",),
        ),
        _event("account_merged", "into_account_id", required=("account_id", "into_account_id")),
        _event("account_unmerged", required=("account_id",)),
        _event("person_erased"),
    ),
    "deals": _by_name(
        _event(
            "deal_updated", "pipeline", "stage", "status", "amount", "currency", "mrr", "owner_id", "contact_ids",
            "lead_ids", "name", "crm_source", "expected_close_date", "lost_reason", required=("deal_id",),
        ),
        _event("deal_deleted", required=("deal_id",)),
        EventType(
            "mrr_movement", (*_COMMON, "movement", "amount", "currency"), ("movement", "amount"),
            required_any=("deal_id", "account_id"), signed=True,
        ),
        _event("refund", "amount", "currency", required=("deal_id", "amount")),
    ),
})  # fmt: skip
"""Topic kind -> type -> what it holds. A movement's amount is its size, whatever its sign (R26)."""
