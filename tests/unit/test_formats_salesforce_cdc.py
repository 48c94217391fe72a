"""Salesforce change events as native messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Rejected
from schemas.formats.salesforce_cdc import CHANGES, configured, read
from tests.format_cases import JSON, answer, mutations, pairs

HEADER = {
    "entityName": "Opportunity", "recordIds": ["006A", "006B"], "changeType": "UPDATE", "transactionKey": "t",
    "sequenceNumber": 1, "commitTimestamp": 1_772_359_200_000, "nulledFields": [],
}  # fmt: skip
EVENT = {"ChangeEventHeader": HEADER, "StageName": "closed", "Amount": 12.5, "AccountId": "001A"}
LEAD = {
    "ChangeEventHeader": {**HEADER, "entityName": "Lead", "recordIds": ["00QA"]}, "Email": "a@acme.example",
    "Status": "Hot", "ConvertedOpportunityId": "006A", "ConvertedAccountId": "001A",
}  # fmt: skip


def event(header: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {**EVENT, "ChangeEventHeader": {**HEADER, **(header or {})}, **fields}


def messages(body: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return [fields for _, fields in configured(**options)(json.dumps(body).encode(), (), "deals")]


def refused(body: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        read(body if isinstance(body, bytes) else json.dumps(body).encode(), (), "deals")
    assert caught.value.code == "decode_error"
    return caught.value


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"[", ""),
        ({}, "/ChangeEventHeader"),
        ({"payload": {"Amount": 1}}, "/payload/ChangeEventHeader"),
        ({"payload": event({"changeType": "MERGE"})}, "/payload/ChangeEventHeader/changeType"),
        (event({"entityName": None}), "/ChangeEventHeader/entityName"),
        (event({"transactionKey": None}), "/ChangeEventHeader/transactionKey"),
        (event({"sequenceNumber": {}}), "/ChangeEventHeader/sequenceNumber"),
        (event({"recordIds": []}), "/ChangeEventHeader/recordIds"),
        (event({"recordIds": ["006A", None]}), "/ChangeEventHeader/recordIds/1"),
    ],
)
def test_what_is_no_change_event_is_a_decode_error(body: Any, path: str) -> None:
    assert refused(body).path == path


@pytest.mark.parametrize("gap", ["GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW"])
def test_a_gap_says_that_the_records_must_be_read_again(gap: str) -> None:
    rejected = refused(event({"changeType": gap}))
    assert rejected.path == "/ChangeEventHeader/changeType" and "read the records" in rejected.message


def test_a_gap_of_an_object_that_nothing_is_read_of_is_no_loss() -> None:
    assert messages(event({"changeType": "GAP_UPDATE", "entityName": "Case"})) == []


def test_every_envelope_holds_the_same_event() -> None:
    inner = event()
    for body in (
        {"payload": inner},
        {"schema": {}, "payload": inner, "event": {"replayId": 1}},
        {"data": {"payload": inner}},
    ):
        assert messages(body) == messages(inner)


def test_an_event_about_several_records_gives_a_message_for_each() -> None:
    found = messages(EVENT)
    assert [each["deal_id"] for each in found] == ["006A", "006B"]
    assert len({each["event_id"] for each in found}) == 2
    assert len(messages(event({"recordIds": ["006A", "006A"]}))) == 1


def test_null_means_unchanged_unless_the_field_is_named_as_emptied() -> None:
    assert messages(event(Amount=None))[0]["amount"] is None
    assert messages(event({"nulledFields": ["Amount"]}, Amount=None))[0]["amount"] == "0"


def test_a_bitmap_that_may_empty_the_amount_must_be_decoded_first() -> None:
    assert refused(event({"nulledFields": ["0x20"]}, Amount=None)).path == "/ChangeEventHeader/nulledFields/0"
    assert messages(event({"nulledFields": ["0x20"]}))[0]["amount"] == 12.5


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({}, None),
        ({"IsClosed": None, "IsWon": None}, None),
        ({"IsClosed": False, "IsWon": False}, "open"),
        ({"IsClosed": False}, "open"),
        ({"IsClosed": True, "IsWon": True}, "won"),
        ({"IsWon": True}, "won"),
        ({"IsClosed": True}, "lost"),
        ({"IsClosed": True, "IsWon": False}, "lost"),
        ({"IsWon": False}, "lost"),
    ],
)
def test_the_two_flags_give_the_status(flags: dict[str, Any], status: str | None) -> None:
    assert messages(event(**flags))[0]["status"] == status


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_but_a_deletion_is_a_patch(change: str) -> None:
    expected = "deal_deleted" if change == "DELETE" else "deal_updated"
    assert {each["type"] for each in messages(event({"changeType": change}))} == {expected}


def test_a_converted_lead_is_linked_with_what_it_became() -> None:
    linked, *_, patch = messages(LEAD, lead_stages={"Hot": "sql"})
    assert (linked["type"], linked["lead_id"], linked["account_id"]) == ("contact_identified", "00QA", "001A")
    assert (patch["deal_id"], patch["account_id"], patch["lead_ids"]) == ("006A", "001A", ["00QA"])


def test_the_status_of_a_lead_says_what_the_table_says() -> None:
    assert [each["type"] for each in messages(LEAD)] == ["contact_identified", "deal_updated"]
    found = messages(LEAD, lead_stages={"Hot": "mql"})
    assert [each.get("level") for each in found if each["type"] == "lead_qualified"] == ["mql"]
    created = {**LEAD, "ChangeEventHeader": {**LEAD["ChangeEventHeader"], "changeType": "CREATE"}}  # type: ignore[dict-item]
    types = [each["type"] for each in messages(created, lead_stages={"Hot": "created"})]
    assert types.count("lead_created") == 1


def test_a_contact_whose_address_and_account_did_not_change_gives_no_message() -> None:
    header = {"entityName": "Contact", "recordIds": ["003A"]}
    assert messages(event(header, AccountId=None)) == []
    assert messages(event(header))[0]["account_id"] == "001A"


def test_the_name_of_a_person_account_names_no_company() -> None:
    header = {"entityName": "Account", "recordIds": ["001A"]}
    assert messages(event(header, Name={"FirstName": "Ada"})) == []


@settings(max_examples=150, deadline=None)
@given(mutations(EVENT) | mutations(LEAD) | JSON | st.binary())
def test_any_body_gives_messages_with_ids_of_their_own_or_one_reason_why_not(body: Any) -> None:
    found = answer(configured(lead_stages={"Hot": "sql"}), body)
    assert len(set(pairs(found))) == len(found)
