"""The field map: JSON of any shape as native messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Rejected
from schemas.formats import with_options
from schemas.formats.field_map import configured, parse_maps, parse_path, read
from tests.format_cases import JSON, answer, mutations, pairs

MAP: dict[str, Any] = {
    "type": {"value": "deal_updated"}, "event_id": "id", "occurred_at": "at", "deal_id": "deal.id",
    "stage": {"path": "/deal/phase", "table": {"3": "closed", "True": "qualification"}}, "amount": "deal.sum",
}  # fmt: skip
BODY: dict[str, Any] = {"id": "e1", "at": 1_772_359_200_000, "deal": {"id": 11, "phase": 3, "sum": "12.50"}}
BY_EVENT = {"path": "event", "table": {"won": "deal_updated", "ping": None}}


def messages(fields: Any, body: Any) -> list[tuple[str, dict[str, Any]]]:
    return configured(fields=fields)(json.dumps(body).encode(), (), "deals")


def message(change: dict[str, Any], body: Any = BODY) -> dict[str, Any]:
    ((_, found),) = messages({**MAP, **change}, body)
    return found


def refused(fields: Any, body: Any) -> Rejected:
    with pytest.raises(Rejected) as caught:
        messages(fields, body)
    assert caught.value.code == "decode_error"
    return caught.value


def problems(fields: Any) -> list[str]:
    with pytest.raises(ValueError, match="fields") as caught:
        parse_maps(fields)
    return str(caught.value).split("; ")


def test_a_path_is_a_json_pointer_or_names_joined_by_dots() -> None:
    assert parse_path("/a~1b/~0/0") == ("a/b", "~", "0")
    assert parse_path("a.b.0") == ("a", "b", "0")
    for wrong in ("", " ", "a..b", ".a", "/a~2", 5, None):
        assert parse_path(wrong) is None


@pytest.mark.parametrize("path", ["people.1.mail", "/people/1/mail"])
def test_a_number_in_a_path_is_a_place_in_a_list(path: str) -> None:
    body = {**BODY, "people": [{}, {"mail": "a@acme.example"}]}
    assert message({"email": path}, body)["email"] == "a@acme.example"
    assert message({"email": "people.7.mail"}, body)["email"] is None
    assert message({"email": "people.x"}, body)["email"] is None


def test_a_map_that_names_no_source_has_one_of_its_own() -> None:
    assert message({})["source"] == "field_map"
    assert message({"source": {"value": "billing"}})["source"] == "billing"


@pytest.mark.parametrize(("phase", "stage"), [(3, "closed"), ("3", "closed"), (None, None), ("", None)])
def test_a_table_compares_values_by_their_text(phase: object, stage: object) -> None:
    assert message({}, {**BODY, "deal": {"id": 11, "phase": phase}})["stage"] == stage


def test_a_table_may_say_what_becomes_of_all_other_values() -> None:
    table = {"true": "closed", "*": None}
    entry = {"path": "flag", "table": table}
    assert message({"stage": entry}, {**BODY, "flag": True})["stage"] == "closed"
    assert message({"stage": entry}, {**BODY, "flag": "x"})["stage"] is None


@pytest.mark.parametrize("phase", [4, "x", [], {}, 1.5])
def test_a_value_that_the_table_lacks_is_a_decode_error_that_does_not_show_it(phase: object) -> None:
    rejected = refused(MAP, {**BODY, "deal": {"id": 11, "phase": phase}})
    assert rejected.path == "/deal/phase" and "add it" in rejected.message


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1_772_359_200, "s", 1_772_359_200_000),
        (1_772_359_200.1239, "s", 1_772_359_200_123),
        ("1772359200123", "ms", 1_772_359_200_123),
        (1_772_359_200_123_999, "us", 1_772_359_200_123),
        (1_772_359_200_123_999_999, "ns", 1_772_359_200_123),
        (20_513, "d", 1_772_323_200_000),
        ("2026-03-01T10:00:00Z", "s", "2026-03-01T10:00:00Z"),
        (True, "s", True),
    ],
)
def test_a_unit_says_what_a_number_of_time_counts(value: object, unit: str, expected: object) -> None:
    assert (
        message({"occurred_at": {"path": "at", "unit": unit}}, {**BODY, "at": value})["occurred_at"]
        == expected
    )


def test_a_decimal_in_base64_is_read_with_its_scale() -> None:
    entry = {"amount": {"path": "raw", "scale": 2}}
    assert message(entry, {**BODY, "raw": "BNI="})["amount"] == "12.34"
    assert message(entry, {**BODY, "raw": "BQ=="})["amount"] == "0.05"
    assert message(entry, {**BODY, "raw": "/w=="})["amount"] == "-0.01"
    assert message({"amount": {"path": "raw", "scale": -2}}, {**BODY, "raw": "BQ=="})["amount"] == "500"
    for wrong in ("12.34", 12.34, "!", "A" * 400):
        assert refused({**MAP, **entry}, {**BODY, "raw": wrong}).path == "/raw"


def test_joined_values_make_one_id() -> None:
    entry = {"event_id": {"join": ["id", "deal.id"]}}
    assert message(entry)["event_id"] == "e1:11"
    assert refused({**MAP, **entry}, {**BODY, "id": None}).path == "/id"


def test_a_single_value_is_a_list_where_the_native_field_is_one() -> None:
    assert message({"contact_ids": "deal.id"})["contact_ids"] == [11]
    assert message({"contact_ids": {"value": ["a", "b"]}})["contact_ids"] == ["a", "b"]


def test_a_type_that_a_table_turns_to_null_gives_no_message_and_any_other_is_refused() -> None:
    fields = {**MAP, "type": BY_EVENT}
    assert messages(fields, {**BODY, "event": "ping"}) == []
    assert messages(fields, {**BODY, "event": "won"})[0][1]["type"] == "deal_updated"
    others: tuple[Any, ...] = ("lost", None, 5, {})
    for other in others:
        assert refused(fields, {**BODY, "event": other}).path == "/event"


def test_every_map_that_knows_the_type_gives_a_message_with_an_id_of_its_own() -> None:
    lead = {"type": {"value": "lead_created"}, "event_id": "id", "occurred_at": "at", "lead_id": "deal.id"}
    account = {**lead, "type": {"value": "account_updated"}, "account_id": "deal.id"}
    found = messages([MAP, lead, account], BODY)
    assert [(kind, fields["event_id"]) for kind, fields in found] == [
        ("deals", "e1"),
        ("leads", "e1"),
        ("leads", "e1:account_updated"),
    ]


def test_fields_that_a_type_does_not_have_are_left_out_of_its_messages() -> None:
    both = {**MAP, "type": {"path": "event", "table": {"won": "deal_updated", "gone": "deal_deleted"}}}
    assert "stage" not in messages(both, {**BODY, "event": "gone"})[0][1]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (None, "fields must be a map"),
        ([], "fields must be a map"),
        ([5], "fields must be a map"),
        ({**MAP, "dealid": "x"}, "fields.dealid: no native field"),
        ({k: v for k, v in MAP.items() if k != "event_id"}, "fields.event_id is not there"),
        ({k: v for k, v in MAP.items() if k != "occurred_at"}, "fields.occurred_at is not there"),
        ({k: v for k, v in MAP.items() if k != "type"}, "fields.type is not there"),
        (
            {k: v for k, v in MAP.items() if k != "deal_id"},
            "fields.deal_id is not there: deal_updated needs it",
        ),
        ({**MAP, "type": "event"}, "fields.type: a path to the type needs a table"),
        ({**MAP, "type": {"value": "deal_won"}}, "fields.type: 'deal_won' is no type"),
        ({**MAP, "type": {"value": ["deal_updated"]}}, "fields.type: a type is text"),
        ({**MAP, "type": {"path": "a", "table": {"b": []}}}, "fields.type: a type is text"),
        ({**MAP, "type": {"path": "a", "table": {"b": None}}}, "fields.type: no message would have a type"),
        ({**MAP, "url": "x"}, "fields.url: deal_updated has no such field"),
        ({**MAP, "amount": 5}, "fields.amount: must be a path"),
        ({**MAP, "amount": {"path": "a", "value": 1}}, "fields.amount: must be a path"),
        ({**MAP, "amount": {"value": None}}, "fields.amount: the constant is null"),
        ({**MAP, "amount": {"path": "a..b"}}, "fields.amount: 'a..b' is no path"),
        ({**MAP, "amount": {"join": []}}, "fields.amount: join must be a list"),
        ({**MAP, "amount": {"join": ["a"], "unit": "s"}}, "fields.amount: unit does not belong here"),
        ({**MAP, "amount": {"path": "a", "unit": "s"}}, "fields.amount: unit is for occurred_at or"),
        ({**MAP, "occurred_at": {"path": "a", "unit": "h"}}, "fields.occurred_at: unit must be one of"),
        ({**MAP, "amount": {"path": "a", "scale": 2.5}}, "fields.amount: scale must be"),
        ({**MAP, "amount": {"path": "a", "table": []}}, "fields.amount: table must be"),
        ({**MAP, "amount": {"path": "a", "table": {"x": 1}, "scale": 2}}, "fields.amount: use one of table"),
        ([MAP, MAP], "fields.1.type: deal_updated has a map already, fields.0"),
        (
            {"type": {"value": "contact_identified"}, "event_id": "a", "occurred_at": "b"},
            "fields.type: nothing would say whom contact_identified is about",
        ),
    ],
)
def test_a_map_that_cannot_work_is_refused_with_what_is_wrong(fields: Any, expected: str) -> None:
    assert any(each.startswith(expected) for each in problems(fields))


def test_every_problem_of_every_map_is_listed() -> None:
    found = problems(
        [{"type": {"value": "deal_updated"}, "stge": "x"}, {"type": {"value": "spend"}, "cost": 1}]
    )
    for expected in (
        "fields.0.stge", "fields.0.event_id", "fields.0.occurred_at", "fields.0.deal_id",
        "fields.1.cost", "fields.1.event_id", "fields.1.channel",
    ):  # fmt: skip
        assert any(each.startswith(expected) for each in found), (expected, found)


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"5"])
def test_what_is_no_json_object_is_a_decode_error(raw: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        configured(fields=MAP)(raw, (), "deals")
    assert caught.value.code == "decode_error"


def test_without_a_map_nothing_is_read() -> None:
    with pytest.raises(Rejected, match="no field map"):
        read(b"{}", (), "deals")
    with pytest.raises(ValueError, match="format field_map needs fields"):
        with_options("field_map", {})


@settings(max_examples=150, deadline=None)
@given(mutations(BODY) | JSON | st.binary())
def test_any_body_gives_messages_with_ids_of_their_own_or_one_reason_why_not(body: Any) -> None:
    lead = {"type": {"value": "lead_created"}, "event_id": "id", "occurred_at": "at", "lead_id": "deal.id"}
    found = answer(configured(fields=[MAP, lead, {**lead, "type": {"value": "lead_disqualified"}}]), body)
    assert len(set(pairs(found))) == len(found)


@settings(max_examples=150, deadline=None)
@given(mutations(MAP) | st.lists(mutations(MAP), max_size=2) | JSON)
def test_any_map_is_taken_or_refused_with_a_list_of_problems(fields: Any) -> None:
    try:
        maps = parse_maps(fields)
    except ValueError as error:
        assert str(error)
    else:
        assert maps and all(each.types for each in maps)
