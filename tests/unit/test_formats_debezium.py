"""Debezium's changes as native messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Rejected
from schemas.formats.debezium import UNITS, configured, read
from tests.format_cases import JSON, answer, mutations, pairs

MAP = {
    "type": {"value": "deal_updated"},
    "deal_id": "id",
    "stage": "stage",
    "amount": "amount",
    "name": "title",
}
ROW = {"id": 11, "stage": "closed", "amount": "12.50", "title": "Acme"}
SOURCE = {"connector": "postgresql", "db": "crm", "table": "deals", "ts_ms": 1_772_359_200_000, "lsn": 5}
CHANGE = {"before": None, "after": ROW, "source": SOURCE, "op": "u", "ts_ms": 1_772_359_200_400}
FLAT = {**ROW, "__op": "u", "__source_ts_ms": 1_772_359_200_000, "__deleted": "false"}


def messages(body: Any, fields: Any = MAP) -> list[dict[str, Any]]:
    return [found for _, found in configured(fields=fields)(json.dumps(body).encode(), (), "deals")]


def refused(body: Any, fields: Any = MAP) -> Rejected:
    with pytest.raises(Rejected) as caught:
        messages(body, fields)
    assert caught.value.code == "decode_error"
    return caught.value


def with_schema(column: dict[str, Any], value: object, *, side: str | None = "after") -> dict[str, Any]:
    """A change whose ``amount`` is of the type ``column``."""
    columns = {"type": "struct", "fields": [{"field": "amount", **column}]}
    if side is None:
        return {"schema": columns, "payload": {**FLAT, "amount": value}}
    payload = {**CHANGE, "after": {**ROW, "amount": value}}
    return {"schema": {"type": "struct", "fields": [{"field": side, **columns}]}, "payload": payload}


@pytest.mark.parametrize("op", ["c", "u", "r"])
def test_a_row_that_is_there_is_read_by_the_map(op: str) -> None:
    ((found),) = messages({**CHANGE, "op": op})
    assert (found["type"], found["deal_id"], found["stage"]) == ("deal_updated", 11, "closed")
    assert (found["occurred_at"], found["source"]) == (1_772_359_200_000, "debezium")


def test_a_change_that_a_connector_repeats_is_the_same_message() -> None:
    again = {**CHANGE, "ts_ms": 1_772_359_999_999, "source": {**SOURCE, "snapshot": "false", "version": "9"}}
    assert messages(CHANGE) == messages(again)
    other = {**CHANGE, "source": {**SOURCE, "lsn": 6}}
    assert messages(CHANGE)[0]["event_id"] != messages(other)[0]["event_id"]


def test_the_map_may_name_id_time_and_source_itself() -> None:
    fields = {**MAP, "event_id": "title", "occurred_at": {"path": "amount"}, "source": {"value": "erp"}}
    (found,) = messages(CHANGE, fields)
    assert (found["event_id"], found["occurred_at"], found["source"]) == ("Acme", "12.50", "erp")


def test_a_flattened_row_is_read_like_one_in_its_envelope() -> None:
    (found,) = messages(FLAT)
    assert (found["deal_id"], found["occurred_at"]) == (11, 1_772_359_200_000)
    assert messages({"schema": {}, "payload": FLAT}) == [found]


def test_a_flattened_row_without_a_time_says_how_to_get_one() -> None:
    assert "add.fields" in refused(ROW).message
    assert messages(ROW, {**MAP, "occurred_at": "title"})[0]["occurred_at"] == "Acme"


@pytest.mark.parametrize(
    "body",
    [
        {**CHANGE, "op": "d", "before": {"id": 11, "stage": "", "amount": "0"}, "after": None},
        {**FLAT, "__op": "d"},
        {**FLAT, "__deleted": "true"},
        {**FLAT, "__deleted": True},
    ],
)
def test_a_deleted_row_deletes_its_deal_and_says_nothing_else(body: dict[str, Any]) -> None:
    (found,) = messages(body)
    assert found.keys() == {"event_id", "occurred_at", "source", "type", "deal_id"}
    assert (found["type"], found["deal_id"]) == ("deal_deleted", "11")


def test_a_deleted_row_of_anything_else_takes_nothing_back() -> None:
    fields = {"type": {"value": "account_updated"}, "account_id": "id"}
    assert messages({**CHANGE, "op": "d", "before": ROW}, fields) == []


def test_deletions_of_a_source_that_the_map_names_belong_to_that_source() -> None:
    gone = {**CHANGE, "op": "d", "before": ROW}
    assert messages(gone, {**MAP, "source": {"value": "erp"}})[0]["source"] == "erp"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({**CHANGE, "op": "d"}, "/before"),
        ({**CHANGE, "op": "d", "before": {"stage": "closed"}}, "/before"),
        ({**CHANGE, "op": "u", "after": None}, "/after"),
        ({**CHANGE, "op": "x"}, "/op"),
        ({**CHANGE, "op": "t"}, "/op"),
        ({**CHANGE, "op": []}, "/op"),
        ({"schema": {}, "payload": 5}, "/payload"),
        ({"schema": {}, "payload": {**CHANGE, "after": "text"}}, "/payload/after"),
    ],
)
def test_what_says_nothing_of_a_row_is_a_decode_error(body: dict[str, Any], path: str) -> None:
    assert refused(body).path == path


def test_tombstones_and_messages_of_the_log_give_no_message() -> None:
    assert messages({"schema": None, "payload": None}) == []
    assert messages({**CHANGE, "op": "m"}) == []


@pytest.mark.parametrize("side", ["after", None])
@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (
            {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}},
            "BNI=",
            "12.34",
        ),
        ({"type": "string"}, "12.34", "12.34"),
        ({"type": "double"}, 12.34, 12.34),
        (
            {"type": "struct", "name": "io.debezium.data.VariableScaleDecimal"},
            {"scale": 1, "value": "BNI="},
            "123.4",
        ),
        (
            {"type": "string", "name": "io.debezium.time.ZonedTimestamp"},
            "2026-03-01T10:00:00Z",
            "2026-03-01T10:00:00Z",
        ),
    ],
)
def test_the_schema_says_how_a_decimal_is_written(
    side: str | None, column: dict[str, Any], value: object, expected: object
) -> None:
    assert messages(with_schema(column, value, side=side))[0]["amount"] == expected


@pytest.mark.parametrize(
    ("parameters", "value"), [({"scale": "2"}, "1.5"), ({}, "BNI="), ({"scale": "x"}, "BNI="), (None, "BNI=")]
)
def test_a_decimal_that_is_not_what_its_schema_says_is_a_decode_error(
    parameters: object, value: object
) -> None:
    column = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": parameters}
    assert refused(with_schema(column, value)).path == "/payload/after/amount"


@pytest.mark.parametrize("name", sorted(UNITS))
def test_the_schema_says_what_a_number_of_time_counts(name: str) -> None:
    counted = {
        "d": 20_513,
        "ms": 1_772_323_200_000,
        "us": 1_772_323_200_000_000,
        "ns": 1_772_323_200_000_000_000,
    }
    column = {"type": "int64", "name": name}
    assert messages(with_schema(column, counted[UNITS[name]]))[0]["amount"] == 1_772_323_200_000


def test_without_a_schema_the_map_says_what_a_number_of_time_counts() -> None:
    fields = {**MAP, "expected_close_date": {"path": "closes", "unit": "d"}}
    assert (
        messages({**CHANGE, "after": {**ROW, "closes": 20_513}}, fields)[0]["expected_close_date"]
        == 1_772_323_200_000
    )


def test_a_value_that_the_database_did_not_log_has_not_changed() -> None:
    assert messages({**CHANGE, "after": {**ROW, "title": "__debezium_unavailable_value"}})[0]["name"] is None


def test_id_and_time_are_the_only_fields_that_a_map_may_leave_out() -> None:
    for fields in (None, {"deal_id": "id"}, {"type": {"value": "deal_updated"}}):
        with pytest.raises(ValueError, match="fields"):
            configured(fields=fields)
    with pytest.raises(Rejected, match="no field map"):
        read(json.dumps(CHANGE).encode(), (), "deals")


@settings(max_examples=200, deadline=None)
@given(
    mutations(CHANGE)
    | mutations(FLAT)
    | mutations(with_schema({"type": "bytes", "name": "x"}, 1))
    | JSON
    | st.binary()
)
def test_any_body_gives_messages_with_ids_of_their_own_or_one_reason_why_not(body: Any) -> None:
    account = {"type": {"value": "account_updated"}, "account_id": "id"}
    found = answer(configured(fields=[MAP, account]), body)
    assert len(set(pairs(found))) == len(found)
