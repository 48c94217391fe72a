"""Pipedrive webhooks as native messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Rejected
from schemas.formats.pipedrive import configured, read
from tests.format_cases import JSON, answer, mutations, pairs

META = {
    "action": "change", "entity": "deal", "entity_id": "11", "id": "w-1", "version": "2.0", "attempt": 1,
    "timestamp": "2026-03-01T10:00:00.123Z",
}  # fmt: skip
DEAL = {
    "meta": META,
    "data": {
        "id": 11,
        "status": "open",
        "value": 12,
        "currency": "EUR",
        "stage_id": 3,
        "org_id": 31,
        "person_id": 21,
    },
    "previous": {"value": 10},
}
PERSON = {
    "meta": {**META, "entity": "person", "entity_id": "21"},
    "data": {
        "id": 21,
        "org_id": 31,
        "emails": [{"value": "a@acme.example"}, {"value": "b@acme.example", "primary": True}],
    },
}


def messages(body: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return [fields for _, fields in configured(**options)(json.dumps(body).encode(), (), "deals")]


def changed(body: dict[str, Any], meta: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    return {**body, "meta": {**body["meta"], **(meta or {})}, "data": {**body["data"], **data}}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (b"[", ""),
        (b"[]", ""),
        (b"{}", "/meta"),
        (
            b'{"v": 1, "event": "updated.deal", "current": {}, "meta": {"v": 1, "action": "updated"}}',
            "/meta/version",
        ),
        (json.dumps(changed(DEAL, {"action": "merge"})).encode(), "/meta/action"),
        (json.dumps(changed(DEAL, {"id": None})).encode(), "/meta/id"),
        (json.dumps(changed(DEAL, {"entity_id": []})).encode(), "/meta/entity_id"),
        (json.dumps({**DEAL, "data": None}).encode(), "/data"),
        (json.dumps(changed(DEAL, status="maybe")).encode(), "/data/status"),
    ],
)
def test_what_is_no_webhook_of_version_2_is_a_decode_error(value: bytes, path: str) -> None:
    with pytest.raises(Rejected) as caught:
        read(value, (), "deals")
    assert (caught.value.code, caught.value.path) == ("decode_error", path)


def test_another_attempt_is_the_same_message() -> None:
    assert messages(DEAL) == messages(changed(DEAL, {"attempt": 3}))


def test_stages_and_pipelines_are_numbers_that_the_tables_name() -> None:
    body = changed(DEAL, pipeline_id=1)
    (plain,), (named,) = (
        messages(body),
        messages(body, stages={"3": "contract_sent"}, pipelines={"1": "default"}),
    )
    assert (plain["stage"], plain["pipeline"]) == ("3", "1")
    assert (named["stage"], named["pipeline"]) == ("contract_sent", "default")


def test_a_prefix_goes_before_every_id_but_that_of_the_owner() -> None:
    (found,) = messages(changed(DEAL, owner_id=7), id_prefix="pd-")
    assert (found["deal_id"], found["account_id"], found["contact_ids"]) == ("pd-11", "pd-31", ["pd-21"])
    assert found["owner_id"] == 7


def test_an_id_may_be_wrapped_in_an_object() -> None:
    (found,) = messages(changed(DEAL, org_id={"value": 31, "name": "Acme"}, owner_id={"id": 7}))
    assert (found["account_id"], found["owner_id"]) == ("31", "7")


@pytest.mark.parametrize("change", [{"status": "deleted"}, {"is_deleted": True}])
def test_a_deal_in_the_bin_is_deleted(change: dict[str, Any]) -> None:
    assert messages(changed(DEAL, **change))[0]["type"] == "deal_deleted"


def test_a_value_that_is_not_reported_stays_and_one_that_was_cleared_is_zero() -> None:
    without = {**DEAL, "data": {"id": 11}}
    assert messages(without)[0]["amount"] is None
    assert messages(changed(DEAL, value=None))[0]["amount"] == "0"


def test_every_address_of_a_person_is_linked_the_primary_one_first() -> None:
    found = messages(PERSON)
    assert [each["email"] for each in found] == ["b@acme.example", "a@acme.example"]
    assert {each["account_id"] for each in found} == {"31"}


def test_a_person_whom_nothing_is_known_of_gives_no_message() -> None:
    assert messages(changed(PERSON, emails=[], org_id=None)) == []
    assert [each["account_id"] for each in messages(changed(PERSON, emails=[]))] == ["31"]


def test_a_deleted_person_or_organization_is_not_forgotten() -> None:
    for entity in ("person", "organization", "lead"):
        gone = {"meta": {**META, "entity": entity, "action": "delete"}, "data": None, "previous": {}}
        assert messages(gone) == []


def test_a_changed_lead_is_linked_and_not_created_again() -> None:
    lead = {"meta": {**META, "entity": "lead"}, "data": {"person_id": 21, "organization_id": 31}}
    (found,) = messages(lead)
    assert (found["type"], found["lead_id"], found["contact_id"]) == ("contact_identified", "11", "21")
    assert messages(changed(lead, {"action": "create"}))[0]["type"] == "lead_created"


@settings(max_examples=150, deadline=None)
@given(mutations(DEAL) | mutations(PERSON) | JSON | st.binary())
def test_any_body_gives_messages_with_ids_of_their_own_or_one_reason_why_not(body: Any) -> None:
    found = answer("pipedrive", body)
    assert len(set(pairs(found))) == len(found)
