"""Pipedrive webhooks, version 2: deals, persons, organizations and leads.

``data`` holds the whole object after the change and ``previous`` what was different before, so every event is
read as the whole state at ``meta.timestamp``: a patch that repeats what is known changes nothing (R20).
Pipedrive reports a merge as one object deleted and another one changed, without saying that they belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from schemas.errors import shown
from schemas.fields import absent
from schemas.formats.crm import Crm, emptied
from schemas.formats.payload import (
    DEALS,
    LEADS,
    Message,
    count,
    host_of,
    load_object,
    refuse,
    required_text,
    section,
    text_of,
)
from schemas.headers import Headers

SOURCE = "pipedrive"
ACTIONS = ("create", "change", "delete")
STATUSES = ("open", "won", "lost")
_META = "send the body of a webhook of version 2 as it came"


def configured(
    *,
    stages: Mapping[str, str] | None = None,
    pipelines: Mapping[str, str] | None = None,
    id_prefix: str = "",
) -> Callable[[bytes, Headers, str], list[Message]]:
    """The format with tables of its own. Raises ValueError."""
    return partial(read, crm=Crm(stages or {}, pipelines or {}, {}, id_prefix))


def read(raw: bytes, headers: Headers, kind: str, *, crm: Crm | None = None) -> list[Message]:
    """(topic kind, native message) pairs of a webhook's body. Raises Rejected(decode_error)."""
    body, crm = load_object(raw, headers), crm or Crm()
    meta = section(body, "meta", "", _META)
    version = meta.get("version", meta.get("v"))
    if not str(version).startswith("2"):
        raise refuse(
            "/meta/version", f"version {shown(version)} of webhooks is not read: create the webhook with 2.0"
        )
    action, entity = meta.get("action"), meta.get("entity")
    if action not in ACTIONS:
        raise refuse("/meta/action", f"action {shown(action)} is none of {', '.join(ACTIONS)}: {_META}")
    reading = _READERS.get(entity) if isinstance(entity, str) else None
    if reading is None:
        return []
    fields = {
        "event_id": required_text(meta, "id", "/meta", _META),
        "occurred_at": meta.get("timestamp"),
        "source": SOURCE,
    }
    about = required_text(meta, "entity_id", "/meta", _META)
    data = {} if action == "delete" else section(body, "data", "", _META)
    return reading(action, about, data, fields, crm)


def _deal(
    action: str, about: str, data: Mapping[str, Any], fields: dict[str, Any], crm: Crm
) -> list[Message]:
    fields["deal_id"] = crm.id(about)
    status = data.get("status")
    if action == "delete" or status == "deleted" or data.get("is_deleted") is True:
        return [(DEALS, {**fields, "type": "deal_deleted"})]
    if not absent(status) and status not in STATUSES:
        raise refuse("/data/status", f"status {shown(status)} is none of {', '.join(STATUSES)}: {_META}")
    fields |= {
        "type": "deal_updated",
        "account_id": crm.id(_linked(data.get("org_id"))),
        "pipeline": crm.pipeline(data.get("pipeline_id")),
        "stage": crm.stage(data.get("stage_id")),
        "status": status,
        "amount": emptied(data["value"]) if "value" in data else None,
        "currency": data.get("currency"),
        "owner_id": _linked(data.get("owner_id")),
        "name": data.get("title"),
        "expected_close_date": data.get("expected_close_date"),
        "lost_reason": data.get("lost_reason"),
    }
    person = crm.id(_linked(data.get("person_id")))
    if not absent(person):
        fields["contact_ids"] = [person]
    return [(DEALS, fields)]


def _person(
    action: str, about: str, data: Mapping[str, Any], fields: dict[str, Any], crm: Crm
) -> list[Message]:
    """One message for each address, since a message carries one; none when there is nobody to link with."""
    if action == "delete":
        return []
    account = crm.id(_linked(data.get("org_id")))
    fields |= {"type": "contact_identified", "contact_id": crm.id(about), "account_id": account}
    addresses = _addresses(data)
    if not addresses:
        return [] if absent(account) else [(LEADS, fields)]
    event_id = fields["event_id"]
    return [
        (LEADS, {**fields, "event_id": f"{event_id}:{place}" if place else event_id, "email": address})
        for place, address in enumerate(addresses)
    ]


def _addresses(data: Mapping[str, Any]) -> list[object]:
    """E-mail addresses of a person, the primary one first."""
    entries = data.get("emails")
    if not isinstance(entries, list):
        entries = []
    known = [each for each in entries if isinstance(each, dict) and not absent(each.get("value"))]
    known.sort(key=lambda each: each.get("primary") is not True)
    return [each["value"] for each in known]


def _organization(
    action: str, about: str, data: Mapping[str, Any], fields: dict[str, Any], crm: Crm
) -> list[Message]:
    if action == "delete":
        return []
    website = host_of(data.get("website"))
    fields |= {
        "type": "account_updated",
        "account_id": crm.id(about),
        "name": data.get("name"),
        "owner_id": _linked(data.get("owner_id")),
        "employees": count(data.get("employee_count")),
        "domains": None if website is None else [website],
    }
    return [(LEADS, fields)]


def _lead(
    action: str, about: str, data: Mapping[str, Any], fields: dict[str, Any], crm: Crm
) -> list[Message]:
    """A lead that was created; later changes of who it is about link the lead anew."""
    if action == "delete":
        return []
    fields |= {
        "lead_id": crm.id(about),
        "contact_id": crm.id(_linked(data.get("person_id"))),
        "account_id": crm.id(_linked(data.get("organization_id"))),
    }
    if action == "create":
        return [(LEADS, {**fields, "type": "lead_created", "crm_source": data.get("source_name")})]
    return [(LEADS, {**fields, "type": "contact_identified"})]


def _linked(value: object) -> object:
    """The id of another object, which some payloads wrap in an object of its own."""
    if isinstance(value, dict):
        return text_of(value.get("id", value.get("value")))
    return value


_READERS: Mapping[str, Callable[[str, str, Mapping[str, Any], dict[str, Any], Crm], list[Message]]] = {
    "deal": _deal,
    "person": _person,
    "organization": _organization,
    "lead": _lead,
}
