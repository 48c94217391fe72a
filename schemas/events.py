"""Every type of the three source topics by name, with what its model says of it (R14)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from schemas import messages as m

REQUIRED = ("event_id", "type", "occurred_at")
"""What every message needs, whatever its type; looked for before the type is known (R13)."""
IDENTIFIERS = tuple(get_type_hints(m.Identifiers))


@dataclass(frozen=True)
class EventType:
    """One type of one source topic: its model, and what a model cannot say."""

    model: type[Any]
    required_any: tuple[str, ...] = ()
    """At least one of these, beside the identifier that every message about somebody needs."""

    @cached_property
    def types(self) -> Mapping[str, Any]:
        """Field -> type of the values that may be sent, without constraints."""
        return get_type_hints(self.model)

    @cached_property
    def name(self) -> str:
        """The value of ``type``."""
        (name,) = get_args(self.types["type"])
        return str(name)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Every known field."""
        return tuple(self.types)

    @cached_property
    def needs_any(self) -> frozenset[str]:
        """At least one of these must be there; none when the message is about nobody."""
        return frozenset(self.required_any or self.fields) & frozenset(IDENTIFIERS)

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Built at first use: all of them together take longer than a short command."""
        return TypeAdapter(self.model)

    @cached_property
    def validate(self) -> Callable[..., dict[str, Any]]:
        """``validate(fields, context=Context)``: the normalised event. Raises pydantic's ValidationError."""
        return self.adapter.validator.validate_python


def _types(*models: type[Any]) -> tuple[EventType, ...]:
    return tuple(map(EventType, models))


def _by_name(*types: EventType) -> Mapping[str, EventType]:
    return MappingProxyType({each.name: each for each in types})


_INBOUND = _types(
    m.PageView, m.AdClick, m.AdImpression, m.EmailOpen, m.EmailClick, m.EmailReply, m.CallAnswered, m.Meeting,
    m.FormSubmit, m.DemoRequest, m.Webinar, m.Download, m.Chat, m.EventAttended,
)  # fmt: skip
_OUTBOUND = _types(m.EmailSent, m.CallAttempt, m.MessageSent)
INBOUND_TOUCHES = tuple(each.name for each in _INBOUND)
OUTBOUND_TOUCHES = tuple(each.name for each in _OUTBOUND)

EVENTS: Mapping[str, Mapping[str, EventType]] = MappingProxyType({
    "touchpoints": _by_name(*_INBOUND, *_OUTBOUND, *_types(m.Other, m.Spend)),
    "leads": _by_name(*_types(
        m.LeadCreated, m.LeadQualified, m.LeadDisqualified, m.LeadFeedback, m.ContactIdentified,
        m.AccountUpdated, m.AccountMerged, m.AccountUnmerged, m.PersonErased,
    )),
    "deals": _by_name(
        *_types(m.DealUpdated, m.DealDeleted, m.Refund), EventType(m.MrrMovement, ("deal_id", "account_id")),
    ),
})  # fmt: skip
"""Topic kind -> type -> what it holds."""

FIELDS: Mapping[str, Any] = MappingProxyType({
    name: value_type
    for events in EVENTS.values()
    for event_type in events.values()
    for name, value_type in event_type.types.items()
})  # fmt: skip
"""Every field of every type -> type of the values that may be sent, without constraints."""
