"""Salesforce Change Data Capture: opportunities, accounts, contacts and leads.

The fields of a record stand beside ``ChangeEventHeader``, as the Pub/Sub API and the Kafka connectors give them, in
the ``payload`` of an envelope (with ``schema``, or ``event.replayId``) or bare. A null means unchanged, unless
``nulledFields`` names the field. One event may be about several records: it gives messages for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from schemas.errors import shown
from schemas.fields import absent
from schemas.formats.crm import Crm
from schemas.formats.payload import (
    DEALS,
    LEADS,
    Message,
    count,
    host_of,
    load_object,
    pointer,
    refuse,
    required_text,
    text_of,
)
from schemas.headers import Headers

SOURCE = "salesforce"
HEADER = "ChangeEventHeader"
CHANGES = ("CREATE", "UPDATE", "DELETE", "UNDELETE")
GAP = "GAP_"
ENVELOPES = ("payload", "data")
_WHY = "send the change event as the Pub/Sub API or a connector gives it"


@dataclass(frozen=True, slots=True)
class _Change:
    """What happened to one record."""

    record: str
    change: str
    values: Mapping[str, Any]
    """Fields that have a value now."""
    nulled: frozenset[str]
    envelope: Mapping[str, Any]
    crm: Crm

    @property
    def deleted(self) -> bool:
        return self.change == "DELETE"

    def fields(self, **fields: object) -> dict[str, Any]:
        """A native message."""
        return {**self.envelope, **fields}

    def id(self, name: str) -> object:
        """The id of another record."""
        return self.crm.id(self.values.get(name))


def configured(
    *,
    stages: Mapping[str, str] | None = None,
    lead_stages: Mapping[str, str] | None = None,
    id_prefix: str = "",
) -> Callable[[bytes, Headers, str], list[Message]]:
    """The format with tables of its own; ``lead_stages`` is by the status of a lead. Raises ValueError."""
    return partial(read, crm=Crm(stages or {}, {}, lead_stages or {}, id_prefix))


def read(raw: bytes, headers: Headers, kind: str, *, crm: Crm | None = None) -> list[Message]:
    """(topic kind, native message) pairs of a change event. Raises Rejected(decode_error)."""
    body, path = _unwrapped(load_object(raw, headers))
    header, at = body[HEADER], f"{path}/{HEADER}"
    entity, change = header.get("entityName"), header.get("changeType")
    if not isinstance(entity, str):
        raise refuse(f"{at}/entityName", f"entityName {shown(entity)} is no name: {_WHY}")
    reading = _READERS.get(entity)
    if reading is None:
        return []
    if isinstance(change, str) and change.startswith(GAP):
        raise refuse(
            f"{at}/changeType",
            f"{change} says that records of {entity} changed, not how: read the records in recordIds from "
            "Salesforce again and send what they hold",
        )
    if change not in CHANGES:
        raise refuse(
            f"{at}/changeType", f"changeType {shown(change)} is none of {', '.join(CHANGES)}: {_WHY}"
        )
    event = ":".join(required_text(header, name, at, _WHY) for name in ("transactionKey", "sequenceNumber"))
    nulled, values = _nulled(entity, header, body, at), {k: v for k, v in body.items() if not absent(v)}
    return [
        message
        for record in _records(header, at)
        for message in reading(
            _Change(record, change, values, nulled, _envelope(event, record, header), crm or Crm())
        )
    ]


def _unwrapped(body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """(the object that holds the header, JSON pointer to it)."""
    path = ""
    for _ in range(len(ENVELOPES) + 1):
        if isinstance(body.get(HEADER), dict):
            return body, path
        inner = next((name for name in ENVELOPES if isinstance(body.get(name), dict)), None)
        if inner is None:
            break
        body, path = body[inner], f"{path}/{inner}"
    raise refuse(f"{path}/{HEADER}", f"there is no {HEADER}: {_WHY}")


def _envelope(event: str, record: str, header: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "event_id": f"{event}:{record}",
        "occurred_at": header.get("commitTimestamp"),
        "source": SOURCE,
    }


def _records(header: Mapping[str, Any], at: str) -> list[str]:
    records = header.get("recordIds")
    if not isinstance(records, list) or not records:
        raise refuse(f"{at}/recordIds", f"recordIds is no list of ids: {_WHY}")
    found = []
    for place, each in enumerate(records):
        record = text_of(each)
        if record is None:
            raise refuse(f"{at}/recordIds/{place}", f"this is no id of a record: {_WHY}")
        found.append(record)
    return list(dict.fromkeys(found))


def _nulled(entity: str, header: Mapping[str, Any], body: Mapping[str, Any], at: str) -> frozenset[str]:
    """Names of the fields that were emptied.

    Undecoded events name them by bitmaps, which only the event's schema can read; that matters where an emptied
    field says something, and that is the amount of an opportunity alone.
    """
    names = header.get("nulledFields")
    names = [each for each in names if isinstance(each, str)] if isinstance(names, list) else []
    for place, name in enumerate(names):
        if entity == "Opportunity" and name.startswith("0x") and absent(body.get("Amount")):
            raise refuse(
                pointer(("nulledFields", str(place)), at),
                "a bitmap does not say which fields were emptied: have the client that reads the event turn "
                "nulledFields into names with the event's schema",
            )
    return frozenset(names)


def _opportunity(change: _Change) -> list[Message]:
    deal = change.crm.id(change.record)
    if change.deleted:
        return [(DEALS, change.fields(type="deal_deleted", deal_id=deal))]
    values, contact = change.values, change.id("ContactId")
    fields = change.fields(
        type="deal_updated",
        deal_id=deal,
        account_id=change.id("AccountId"),
        stage=change.crm.stage(values.get("StageName")),
        status=_status(values),
        amount="0" if "Amount" in change.nulled else values.get("Amount"),
        currency=values.get("CurrencyIsoCode"),
        expected_close_date=values.get("CloseDate"),
        owner_id=values.get("OwnerId"),
        name=values.get("Name"),
        crm_source=values.get("LeadSource"),
        contact_ids=None if absent(contact) else [contact],
    )
    return [(DEALS, fields)]


def _status(values: Mapping[str, Any]) -> str | None:
    """What the two flags that follow the stage say: what is not in the event has not changed."""
    closed, won = values.get("IsClosed"), values.get("IsWon")
    if won is True:
        return "won"
    if closed is False:
        return "open"
    return "lost" if closed is True or won is False else None


def _account(change: _Change) -> list[Message]:
    account, values = change.crm.id(change.record), change.values
    found = []
    if "MasterRecordId" in values:
        found.append(
            (
                LEADS,
                change.fields(
                    type="account_merged", account_id=account, into_account_id=change.id("MasterRecordId")
                ),
            )
        )
    website, name = host_of(values.get("Website")), values.get("Name")
    known = {
        # that of a person account is an object of first and last name: nothing that names a company
        "name": name if isinstance(name, str) else None,
        "industry": values.get("Industry"),
        "employees": count(values.get("NumberOfEmployees")),
        "owner_id": values.get("OwnerId"),
        "domains": None if website is None else [website],
    }
    if change.deleted or all(value is None for value in known.values()):
        return found
    fields = change.fields(type="account_updated", account_id=account, **known)
    if found:
        fields["event_id"] = f"{fields['event_id']}:fields"
    return [*found, (LEADS, fields)]


def _contact(change: _Change) -> list[Message]:
    email, account = change.values.get("Email"), change.id("AccountId")
    if change.deleted or (absent(email) and absent(account)):
        return []
    contact = change.crm.id(change.record)
    fields = change.fields(type="contact_identified", contact_id=contact, email=email, account_id=account)
    return [(LEADS, fields)]


def _lead(change: _Change) -> list[Message]:
    """A lead that was created, moved by its status, or converted: then it is linked with what it became."""
    if change.deleted:
        return []
    values, lead = change.values, change.crm.id(change.record)
    account, contact = change.id("ConvertedAccountId"), change.id("ConvertedContactId")
    fields = change.fields(lead_id=lead, email=values.get("Email"), contact_id=contact, account_id=account)
    created = change.change == "CREATE"
    moved = [
        (kind, {**message, "event_id": f"{message['event_id']}:status"})
        for kind, message in change.crm.lead(fields, values.get("Status"))
        if not (created and message["type"] == "lead_created")
    ]
    found: list[Message] = []
    if created:
        found.append((LEADS, {**fields, "type": "lead_created", "crm_source": values.get("LeadSource")}))
    elif not all(absent(fields[name]) for name in ("email", "contact_id", "account_id")):
        found.append((LEADS, {**fields, "type": "contact_identified"}))
    found += moved
    deal = change.id("ConvertedOpportunityId")
    if not absent(deal):
        patch = change.fields(type="deal_updated", deal_id=deal, account_id=account, lead_ids=[lead])
        found.append((DEALS, patch))
    return found


_READERS: Mapping[str, Callable[[_Change], list[Message]]] = {
    "Opportunity": _opportunity,
    "Account": _account,
    "Contact": _contact,
    "Lead": _lead,
}
