"""HubSpot webhooks as native messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Rejected
from schemas.formats.hubspot import configured, read
from tests.format_cases import JSON, answer, mutations, pairs

EVENT = {
    "eventId": 3, "subscriptionId": 5, "occurredAt": 1_772_359_200_000, "objectId": 901,
    "subscriptionType": "deal.propertyChange", "propertyName": "dealstage", "propertyValue": "closedwon",
}  # fmt: skip
ASSOCIATION = {
    "eventId": 3, "subscriptionId": 5, "occurredAt": 1_772_359_200_000, "fromObjectId": 901, "toObjectId": 77,
    "subscriptionType": "deal.associationChange", "associationType": "DEAL_TO_COMPANY",
}  # fmt: skip
MERGE = {
    "eventId": 3, "subscriptionId": 5, "occurredAt": 1_772_359_200_000, "objectId": 77,
    "subscriptionType": "company.merge", "primaryObjectId": 77, "mergedObjectIds": [78],
}  # fmt: skip


def messages(*events: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return read(json.dumps(list(events)).encode(), (), "deals")


def message(**change: Any) -> dict[str, Any]:
    ((_, found),) = messages({**EVENT, **change})
    return found


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (b"{", ""),
        (b"5", ""),
        (b"[]", ""),
        (b"[5]", "/0"),
        (b"{}", "/subscriptionType"),
        (b'[{"subscriptionType": "dealpropertyChange"}]', "/0/subscriptionType"),
        (json.dumps([EVENT, {**EVENT, "eventId": None}]).encode(), "/1/eventId"),
        (json.dumps({**EVENT, "subscriptionId": {}}).encode(), "/subscriptionId"),
        (json.dumps({**EVENT, "objectId": True}).encode(), "/objectId"),
        (json.dumps({**ASSOCIATION, "toObjectId": None}).encode(), "/toObjectId"),
        (json.dumps({**MERGE, "primaryObjectId": None}).encode(), "/primaryObjectId"),
        (json.dumps({**MERGE, "mergedObjectIds": 78}).encode(), "/mergedObjectIds"),
        (json.dumps({**MERGE, "mergedObjectIds": [[]]}).encode(), "/mergedObjectIds"),
    ],
)
def test_what_is_no_webhook_is_a_decode_error(value: bytes, path: str) -> None:
    with pytest.raises(Rejected) as caught:
        read(value, (), "deals")
    assert (caught.value.code, caught.value.path) == ("decode_error", path)


def test_a_repeated_delivery_is_the_same_message() -> None:
    assert message(attemptNumber=0) == message(attemptNumber=9)


def test_an_event_id_that_hubspot_gave_twice_is_told_apart_by_subscription_and_object() -> None:
    ids = {message(**change)["event_id"] for change in ({}, {"subscriptionId": 6}, {"objectId": 902})}
    assert len(ids) == 3


def test_the_pipeline_called_default_is_hubspots_own_unless_configured() -> None:
    change = {"propertyName": "pipeline", "propertyValue": "default"}
    assert message(**change)["pipeline"] == "hubspot"
    own = configured(pipelines={"default": "sales"})(json.dumps({**EVENT, **change}).encode(), (), "deals")
    assert own[0][1]["pipeline"] == "sales"


def test_stages_are_renamed_by_the_table_and_others_stay() -> None:
    form = configured(stages={"1234": "qualification"})
    body = json.dumps([{**EVENT, "propertyValue": stage} for stage in ("1234", "closedwon")]).encode()
    assert [fields["stage"] for _, fields in form(body, (), "deals")] == ["qualification", "closedwon"]


@pytest.mark.parametrize("value", [None, "", " "])
def test_a_cleared_amount_is_zero_and_any_other_cleared_property_says_nothing(value: object) -> None:
    assert message(propertyName="amount", propertyValue=value)["amount"] == "0"
    assert messages({**EVENT, "propertyValue": value}) == []


def test_the_ids_of_a_portal_can_be_kept_apart_by_a_prefix() -> None:
    form = configured(id_prefix="eu-")
    found = form(json.dumps([ASSOCIATION, MERGE]).encode(), (), "deals")
    assert [(f.get("deal_id"), f["account_id"], f.get("into_account_id")) for _, f in found] == [
        ("eu-901", "eu-77", None),
        (None, "eu-78", "eu-77"),
    ]


@pytest.mark.parametrize("change", [{"associationRemoved": True}, {"isPrimaryAssociation": False}])
def test_only_the_primary_company_that_was_added_is_the_account_of_a_deal(change: dict[str, Any]) -> None:
    assert messages({**ASSOCIATION, **change}) == []
    assert messages(ASSOCIATION)[0][1]["account_id"] == "77"


def test_a_merge_into_a_new_company_merges_the_primary_one_too() -> None:
    found = messages({**MERGE, "newObjectId": 80})
    assert [(f["account_id"], f["into_account_id"]) for _, f in found] == [("77", "80"), ("78", "80")]
    assert len({f["event_id"] for _, f in found}) == 2


def test_the_addresses_of_merged_contacts_are_linked_one_by_one() -> None:
    change = {"subscriptionType": "contact.propertyChange", "propertyName": "hs_additional_emails"}
    found = messages({**EVENT, **change, "propertyValue": "a@x.example; b@x.example;"})
    assert [f["email"] for _, f in found] == ["a@x.example", "b@x.example"]
    assert len({f["event_id"] for _, f in found}) == 2


@pytest.mark.parametrize("value", ["subscriber", "opportunity", "customer", "12345", None])
def test_a_lifecycle_stage_that_is_none_of_a_lead_says_nothing(value: object) -> None:
    change = {"subscriptionType": "contact.propertyChange", "propertyName": "lifecyclestage"}
    assert messages({**EVENT, **change, "propertyValue": value}) == []


def test_a_step_of_a_lead_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="use one of created, mql, sql, disqualified"):
        configured(lead_stages={"77": "hot"})
    with pytest.raises(ValueError, match="id_prefix"):
        configured(id_prefix="a b")


@pytest.mark.parametrize(
    "kind",
    [
        "ticket.creation",
        "line_item.propertyChange",
        "contact.deletion",
        "object.creation",
        "conversation.newMessage",
    ],
)
def test_events_that_say_nothing_of_ours_give_no_message(kind: str) -> None:
    assert messages({**EVENT, "subscriptionType": kind, "objectTypeId": "0-5"}) == []


@settings(max_examples=150, deadline=None)
@given(mutations(EVENT) | mutations(ASSOCIATION) | mutations(MERGE) | JSON | st.binary())
def test_any_body_gives_messages_with_ids_of_their_own_or_one_reason_why_not(body: Any) -> None:
    found = answer("hubspot", body)
    assert len(set(pairs(found))) == len(found)
