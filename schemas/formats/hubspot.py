"""HubSpot webhooks: deals, contacts and companies, named by type or generic (``object.*``).

A body is a list of events, or one event. An event names one changed property at a time, so every one becomes a
patch of its own. HubSpot neither keeps their order nor sends them once: ``occurredAt`` gives the order, and
``eventId``, ``subscriptionId`` and ``objectId`` together the identity; ``attemptNumber`` belongs to the transport.
A target URL receives whatever an app subscribes to, so events that say nothing of ours give no messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from schemas.errors import shown
from schemas.fields import absent
from schemas.formats.crm import Crm, emptied
from schemas.formats.payload import DEALS, LEADS, Message, count, load, refuse, required_text, text_of
from schemas.headers import Headers

SOURCE = "hubspot"
CONTACT, COMPANY, DEAL = "contact", "company", "deal"
OBJECT_TYPES = {"0-1": CONTACT, "0-2": COMPANY, "0-3": DEAL}
"""``objectTypeId`` of the generic events."""

DEFAULT_PIPELINES: Mapping[str, str] = MappingProxyType({"default": "hubspot"})
"""The id of HubSpot's own pipeline is ``default``, which is the name of another one here (R27)."""
DEFAULT_LEAD_STAGES: Mapping[str, str] = MappingProxyType({
    "lead": "created",
    "marketingqualifiedlead": "mql",
    "salesqualifiedlead": "sql",
    "UNQUALIFIED": "disqualified",
})  # fmt: skip
"""Values of ``lifecyclestage`` and ``hs_lead_status`` that say something of a lead."""
SHIPPED = Crm(pipelines=DEFAULT_PIPELINES, lead_stages=DEFAULT_LEAD_STAGES)

DEAL_PROPERTIES = {
    "dealstage": "stage", "pipeline": "pipeline", "amount": "amount", "deal_currency_code": "currency",
    "closedate": "expected_close_date", "hubspot_owner_id": "owner_id", "dealname": "name", "hs_mrr": "mrr",
    "closed_lost_reason": "lost_reason", "hs_analytics_source": "crm_source",
}  # fmt: skip
COMPANY_PROPERTIES = {
    "name": "name", "industry": "industry", "numberofemployees": "employees", "hubspot_owner_id": "owner_id",
    "domain": "domains", "hs_additional_domains": "domains",
}  # fmt: skip
LEAD_PROPERTIES = ("lifecyclestage", "hs_lead_status")
_ADDRESSES, _OTHER_ADDRESSES, _COMPANY = "email", "hs_additional_emails", "associatedcompanyid"


def configured(
    *,
    stages: Mapping[str, str] | None = None,
    pipelines: Mapping[str, str] | None = None,
    lead_stages: Mapping[str, str] | None = None,
    id_prefix: str = "",
) -> Callable[[bytes, Headers, str], list[Message]]:
    """The format with tables of its own; what is None is as shipped. Raises ValueError."""
    crm = Crm(
        stages or {},
        DEFAULT_PIPELINES if pipelines is None else pipelines,
        DEFAULT_LEAD_STAGES if lead_stages is None else lead_stages,
        id_prefix,
    )
    return partial(read, crm=crm)


def read(raw: bytes, headers: Headers, kind: str, *, crm: Crm = SHIPPED) -> list[Message]:
    """(topic kind, native message) pairs of a webhook's body. Raises Rejected(decode_error)."""
    body = load(raw, headers)
    if isinstance(body, dict):
        return _messages(body, "", crm)
    if not isinstance(body, list) or not body:
        raise refuse("", "neither a list of events nor an event: send the body of the webhook as it came")
    return [message for place, item in enumerate(body) for message in _messages(item, f"/{place}", crm)]


def _messages(item: object, path: str, crm: Crm) -> list[Message]:
    if not isinstance(item, dict):
        raise refuse(path, "no event: send the body of the webhook as it came")
    subscription = item.get("subscriptionType")
    if not isinstance(subscription, str) or "." not in subscription:
        raise refuse(
            f"{path}/subscriptionType",
            f"subscriptionType {shown(subscription)} is none of HubSpot's: send the events of a webhook, "
            "such as deal.propertyChange",
        )
    subject, _, change = subscription.partition(".")
    if change == "associationChange":
        return _association(item, path, crm)
    if subject == "object":
        subject = OBJECT_TYPES.get(str(item.get("objectTypeId")), "")
    reading = _READERS.get((subject, change))
    return reading(item, path, crm) if reading is not None else []


def _envelope(item: Mapping[str, Any], path: str, about: str) -> dict[str, Any]:
    """The identity of an event about the object or pair of objects ``about``."""
    why = "send the event as HubSpot sends it"
    parts = (required_text(item, name, path, why) for name in ("eventId", "subscriptionId"))
    return {
        "event_id": ":".join((*parts, about)),
        "occurred_at": item.get("occurredAt"),
        "source": SOURCE,
    }


def _id(item: Mapping[str, Any], name: str, path: str) -> str:
    return required_text(item, name, path, "send the id that HubSpot gave")


def _about(item: Mapping[str, Any], path: str, crm: Crm, field: str) -> dict[str, Any]:
    """Envelope and identifier of an event about one object."""
    about = _id(item, "objectId", path)
    return {**_envelope(item, path, about), field: crm.id(about)}


def _deal_exists(item: Mapping[str, Any], path: str, crm: Crm) -> list[Message]:
    """A deal was created, or came back (R22): a patch without fields."""
    return [(DEALS, {**_about(item, path, crm, "deal_id"), "type": "deal_updated"})]


def _deal_gone(item: Mapping[str, Any], path: str, crm: Crm) -> list[Message]:
    return [(DEALS, {**_about(item, path, crm, "deal_id"), "type": "deal_deleted"})]


def _deal_property(item: Mapping[str, Any], path: str, crm: Crm) -> list[Message]:
    name, value = item.get("propertyName"), item.get("propertyValue")
    field = DEAL_PROPERTIES.get(name) if isinstance(name, str) else None
    if field in ("amount", "mrr"):
        value = emptied(value)
    if field is None or absent(value):
        return []
    if field == "stage":
        value = crm.stage(value)
    elif field == "pipeline":
        value = crm.pipeline(value)
    return [(DEALS, {**_about(item, path, crm, "deal_id"), "type": "deal_updated", field: value})]


def _deal_merge(item: Mapping[str, Any], path: str, crm: Crm) -> list[Message]:
    """The deals that were merged away are gone; the one that stays is reported property by property."""
    _, merged, envelope = _merge(item, path)
    return [(DEALS, {**envelope(gone), "type": "deal_deleted", "deal_id": crm.id(gone)}) for gone in merged]


def _company_property(item: Mapping[str, Any], path: str, crm: Crm) -> list[Message]:
    name, value = item.get("propertyName"), item.get("propertyValue")
    field = COMPANY_PROPERTIES.get(name) if isinstance(name, str) else None
    if field == "employees":
        value = count(value)
    elif field == "domains":
        value = _listed(value)
    if field is None or absent(value) or value == []:
        return []
    return [(LEADS, {**_about(item, path, crm, "account_id"), "type": "account_updated", field: value})]


def _company_merge(item: Mapping[str, Any], path: str, crm: Crm) -> list[Message]:
    survivor, merged, envelope = _merge(item, path)
    return [
        (
            LEADS,
            {
                **envelope(gone),
                "type": "account_merged",
                "account_id": crm.id(gone),
                "into_account_id": crm.id(survivor),
            },
        )
        for gone in merged
    ]


def _contact_property(item: Mapping[str, Any], path: str, crm: Crm) -> list[Message]:
    name, value = item.get("propertyName"), item.get("propertyValue")
    if absent(value) or name not in (_ADDRESSES, _OTHER_ADDRESSES, _COMPANY, *LEAD_PROPERTIES):
        return []
    fields = _about(item, path, crm, "contact_id")
    if name in LEAD_PROPERTIES:
        return crm.lead({**fields, "lead_id": fields["contact_id"]}, value)
    fields["type"] = "contact_identified"
    if name == _COMPANY:
        return [(LEADS, {**fields, "account_id": crm.id(value)})]
    if name == _ADDRESSES:
        return [(LEADS, {**fields, "email": value})]
    # a message carries one address; those of contacts that were merged into this one are among them
    return [
        (LEADS, {**fields, "event_id": f"{fields['event_id']}:{place}", "email": address})
        for place, address in enumerate(_listed(value))
    ]


def _contact_erased(item: Mapping[str, Any], path: str, crm: Crm) -> list[Message]:
    return [(LEADS, {**_about(item, path, crm, "contact_id"), "type": "person_erased"})]


def _association(item: Mapping[str, Any], path: str, crm: Crm) -> list[Message]:
    """An association that was made; native messages cannot take one back, so one that was removed says nothing."""
    names = _association_of(item)
    if names is None or names[0] == names[1] or item.get("associationRemoved") is True:
        return []
    # a company that is not the primary one of a deal or contact is a partner or an agency, not the buyer
    if COMPANY in names and item.get("isPrimaryAssociation") is False:
        return []
    ends = (_id(item, "fromObjectId", path), _id(item, "toObjectId", path))
    ids = {name: crm.id(end) for name, end in zip(names, ends, strict=True)}
    fields = _envelope(item, path, "-".join(ends))
    if DEAL in ids:
        fields |= {"type": "deal_updated", "deal_id": ids[DEAL]}
        other = {"account_id": ids[COMPANY]} if COMPANY in ids else {"contact_ids": [ids[CONTACT]]}
        return [(DEALS, {**fields, **other})]
    fields |= {"type": "contact_identified", "contact_id": ids[CONTACT], "account_id": ids[COMPANY]}
    return [(LEADS, fields)]


def _association_of(item: Mapping[str, Any]) -> tuple[str, str] | None:
    """The kinds of object at the two ends, when both are ours."""
    if "fromObjectTypeId" in item:
        ends = [OBJECT_TYPES.get(str(item.get(name)), "") for name in ("fromObjectTypeId", "toObjectTypeId")]
    else:
        ends = str(item.get("associationType")).lower().split("_to_")
    known = (CONTACT, COMPANY, DEAL)
    return (ends[0], ends[1]) if len(ends) == 2 and ends[0] in known and ends[1] in known else None


def _merge(item: Mapping[str, Any], path: str) -> tuple[str, list[str], Callable[[str], dict[str, Any]]]:
    """(what stays, what was merged into it, envelope of the event about one of these).

    Some merges make a new object, into which the primary one is then merged as well.
    """
    primary, others = _id(item, "primaryObjectId", path), item.get("mergedObjectIds")
    merged = [text_of(other) for other in others] if isinstance(others, list) else []
    if not merged or None in merged:
        raise refuse(
            f"{path}/mergedObjectIds", "mergedObjectIds is no list of ids: send the event as HubSpot does"
        )
    new = text_of(item.get("newObjectId"))
    survivor = primary if new is None else new
    gone = [each for each in dict.fromkeys((primary, *merged)) if each is not None and each != survivor]
    return survivor, gone, lambda about: _envelope(item, path, f"{survivor}:{about}")


def _listed(value: object) -> list[str]:
    """HubSpot's lists are text, separated by semicolons."""
    return [part.strip() for part in value.split(";") if part.strip()] if isinstance(value, str) else []


_READERS: Mapping[tuple[str, str], Callable[[Mapping[str, Any], str, Crm], list[Message]]] = {
    (DEAL, "propertyChange"): _deal_property,
    (DEAL, "creation"): _deal_exists,
    (DEAL, "restore"): _deal_exists,
    (DEAL, "deletion"): _deal_gone,
    (DEAL, "merge"): _deal_merge,
    (COMPANY, "propertyChange"): _company_property,
    (COMPANY, "merge"): _company_merge,
    (CONTACT, "propertyChange"): _contact_property,
    (CONTACT, "privacyDeletion"): _contact_erased,
}
