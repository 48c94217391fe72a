"""Native messages: what they become, and the one code of those that are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from schemas.cloudevents import unwrap
from schemas.errors import CODES
from schemas.events import EVENTS
from schemas.fields import DEEPEST
from schemas.inbound import Context, Rejected, decode, decode_fields, decode_line, decode_message, digest
from schemas.jsonschemas import source_schema
from schemas.tabular import from_row

NOW = 1_800_000_000_000
CONTEXT = Context(
    now_ms=NOW,
    pipelines={"default": frozenset({"qualification", "closed"}), "hubspot": frozenset({"closedwon"})},
    currencies={"EUR": 2, "JPY": 0, "KWD": 3},
)
TOUCH = {"event_id": "e1", "type": "page_view", "occurred_at": "2026-03-01T10:00:00Z", "account_id": "acme"}
DEAL = {"event_id": "e1", "type": "deal_updated", "occurred_at": 1_772_359_200_000, "deal_id": "d1"}
MOVEMENT = {**DEAL, "type": "mrr_movement", "movement": "churn", "amount": 5}
REFUND = {**DEAL, "type": "refund", "amount": 5}
ACCOUNT = {**DEAL, "type": "account_updated", "account_id": "a"}
LEAD = {"event_id": "e1", "type": "lead_created", "occurred_at": "2026-03-01T10:00:00Z", "lead_id": "l1"}
SPEND = {
    "event_id": "e1",
    "type": "spend",
    "occurred_at": "2026-03-01T10:00:00Z",
    "channel": "Display",
    "cost": 5,
}
KIND = {
    "account_updated": "leads",
    "page_view": "touchpoints",
    "other": "touchpoints",
    "spend": "touchpoints",
}


def kind_of(message: dict[str, Any]) -> str:
    name = str(message["type"])
    return KIND.get(name, "deals" if name.startswith(("deal", "mrr", "refund")) else "leads")


def raw(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def event(message: dict[str, Any], **change: Any) -> dict[str, Any]:
    return decode(kind_of(message), raw({**message, **change}), CONTEXT)


def refusal(kind: str, value: bytes, context: Context = CONTEXT) -> Rejected:
    with pytest.raises(Rejected) as caught:
        decode(kind, value, context)
    assert caught.value.code in CODES
    return caught.value


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"null", "no object"),
        (b"[1]", "no object"),
        (b'"text"', "no object"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "\\ud800"}', "surrogates"),
        (b'{"a": 1} {}', "Extra data"),
        (b'{"a": "\t"}', "control character"),
        ('{"a": 1}'.encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"[" * 100_000, "recursion"),
        (b"\x00\x00", "not JSON"),
    ],
    ids=repr,
)
def test_bytes_that_are_no_json_object_are_invalid_json(value: bytes, detail: str) -> None:
    rejected = refusal("touchpoints", value)
    assert (rejected.code, rejected.path) == ("invalid_json", "")
    assert detail in rejected.message


@pytest.mark.parametrize("number", [b"1e400", b"-1e999", b"1" * 400, b"9" * 5000])
def test_a_number_beyond_a_double_is_a_bad_amount_and_not_bad_json(number: bytes) -> None:
    value = raw({**DEAL, "amount": 0}).replace(b'"amount": 0', b'"amount": ' + number)
    assert refusal("deals", value).code == "invalid_amount"


def test_a_number_beyond_a_double_in_an_unknown_field_is_ignored() -> None:
    value = raw({**TOUCH, "x": 0}).replace(b'"x": 0', b'"x": 1e400')
    assert "x" not in decode("touchpoints", value, CONTEXT)


def test_an_integer_beyond_64_bits_is_kept_whole_as_an_identifier() -> None:
    assert event(TOUCH, event_id=2**70)["event_id"] == str(2**70)


BAD = [
    # one thing wrong: message, change, code, path
    (TOUCH, {"event_id": None}, "missing_field", "/event_id"),
    (TOUCH, {"event_id": ""}, "missing_field", "/event_id"),
    (TOUCH, {"event_id": " \t"}, "missing_field", "/event_id"),
    (TOUCH, {"type": None}, "missing_field", "/type"),
    (TOUCH, {"occurred_at": " "}, "missing_field", "/occurred_at"),
    (TOUCH, {"type": "page_viewed"}, "unknown_type", "/type"),
    (TOUCH, {"type": "deal_updated"}, "unknown_type", "/type"),
    (TOUCH, {"type": 7}, "unknown_type", "/type"),
    (TOUCH, {"type": ["page_view"]}, "unknown_type", "/type"),
    (TOUCH, {"occurred_at": "2026-03-01T10:00:00"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "2026-03-01"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "2026-03-01T10:00Z"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "2026-02-30T10:00:00Z"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "2026-03-01T24:00:00Z"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "2026-03-01T10:00:00+0100"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "2026-W09-7T10:00:00Z"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "yesterday"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "1772359200"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": 1_772_359_200}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": -1}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": 1_772_359_200_000.5}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": True}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "1999-12-31T23:59:59.999Z"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "2000-01-01T00:30:00+01:00"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "１７７２３５９２０００００"}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": NOW + 300_001}, "future_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": 10**30}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "9" * 5000}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": 253_402_300_800_000}, "invalid_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": 253_402_300_799_999}, "future_timestamp", "/occurred_at"),
    (TOUCH, {"occurred_at": "9999-12-31T23:59:59Z"}, "future_timestamp", "/occurred_at"),
    (TOUCH, {"account_id": None}, "no_identifier", ""),
    (TOUCH, {"account_id": "  "}, "no_identifier", ""),
    (LEAD, {"lead_id": None, "email": "a@b.io"}, "missing_field", "/lead_id"),
    (LEAD, {"type": "lead_qualified"}, "missing_field", "/level"),
    (LEAD, {"type": "lead_disqualified", "lead_id": "", "email": "a@b.io"}, "missing_field", "/lead_id"),
    (LEAD, {"type": "lead_feedback", "lead_id": "", "email": "a@b.io"}, "missing_field", "/lead_id"),
    (LEAD, {"type": "account_merged", "account_id": "a"}, "missing_field", "/into_account_id"),
    (LEAD, {"type": "account_merged", "into_account_id": "a"}, "missing_field", "/account_id"),
    (LEAD, {"type": "account_unmerged"}, "missing_field", "/account_id"),
    (LEAD, {"type": "account_updated", "domain": "a.io"}, "missing_field", "/account_id"),
    (DEAL, {"deal_id": None, "account_id": "a"}, "missing_field", "/deal_id"),
    (REFUND, {"deal_id": None, "account_id": "a"}, "missing_field", "/deal_id"),
    (REFUND, {"amount": None}, "missing_field", "/amount"),
    (DEAL, {"type": "deal_deleted", "deal_id": None, "account_id": "a"}, "missing_field", "/deal_id"),
    (MOVEMENT, {"movement": None}, "missing_field", "/movement"),
    (MOVEMENT, {"amount": ""}, "missing_field", "/amount"),
    (MOVEMENT, {"deal_id": None, "contact_id": "c"}, "missing_field", "/deal_id"),
    (TOUCH, {"type": "other"}, "missing_field", "/direction"),
    (SPEND, {"channel": None}, "missing_field", "/channel"),
    (SPEND, {"cost": None}, "missing_field", "/cost"),
    (DEAL, {"pipeline": "sales"}, "unknown_pipeline", "/pipeline"),
    (DEAL, {"pipeline": "Default"}, "unknown_pipeline", "/pipeline"),
    (DEAL, {"stage": "nowhere"}, "unknown_stage", "/stage"),
    (DEAL, {"pipeline": "default", "stage": "closedwon"}, "unknown_stage", "/stage"),
    (DEAL, {"currency": "XYZ"}, "unknown_currency", "/currency"),
    (SPEND, {"currency": "euro"}, "unknown_currency", "/currency"),
    (DEAL, {"amount": "12,5"}, "invalid_amount", "/amount"),
    (DEAL, {"amount": "1e400"}, "invalid_amount", "/amount"),
    (DEAL, {"amount": " 5"}, "invalid_amount", "/amount"),
    (DEAL, {"amount": ".5"}, "invalid_amount", "/amount"),
    (DEAL, {"amount": "5."}, "invalid_amount", "/amount"),
    (DEAL, {"amount": "NaN"}, "invalid_amount", "/amount"),
    (DEAL, {"amount": "٣"}, "invalid_amount", "/amount"),
    (DEAL, {"amount": True}, "invalid_amount", "/amount"),
    (DEAL, {"amount": [5]}, "invalid_amount", "/amount"),
    (DEAL, {"amount": -1}, "invalid_amount", "/amount"),
    (DEAL, {"amount": "-0.001"}, "invalid_amount", "/amount"),
    (DEAL, {"mrr": -1}, "invalid_amount", "/mrr"),
    (TOUCH, {"cost": "-2"}, "invalid_amount", "/cost"),
    (REFUND, {"amount": -5}, "invalid_amount", "/amount"),
    (DEAL, {"amount": 10**13 + 1}, "invalid_amount", "/amount"),
    (DEAL, {"amount": "10000000000000.0051"}, "invalid_amount", "/amount"),
    (DEAL, {"amount": 10**15 + 1, "currency": "JPY"}, "invalid_amount", "/amount"),
    (DEAL, {"amount": 10**12 + 1, "currency": "KWD"}, "invalid_amount", "/amount"),
    (MOVEMENT, {"amount": -(10**13) - 1}, "invalid_amount", "/amount"),
    (TOUCH, {"event_id": 1.5}, "invalid_field", "/event_id"),
    (TOUCH, {"event_id": {}}, "invalid_field", "/event_id"),
    (TOUCH, {"source": "a b"}, "invalid_field", "/source"),
    (TOUCH, {"source": "a\n"}, "invalid_field", "/source"),
    (TOUCH, {"source": "x" * 65}, "invalid_field", "/source"),
    (TOUCH, {"source": 5}, "invalid_field", "/source"),
    (TOUCH, {"account_id": True}, "invalid_field", "/account_id"),
    (TOUCH, {"email": ["a@b.io"]}, "invalid_field", "/email"),
    (TOUCH, {"url": 5}, "invalid_field", "/url"),
    (TOUCH, {"team": "support"}, "invalid_field", "/team"),
    (TOUCH, {"type": "other", "direction": "sideways"}, "invalid_field", "/direction"),
    (TOUCH, {"currency": 978}, "invalid_field", "/currency"),
    (LEAD, {"type": "lead_qualified", "level": "MQL"}, "invalid_field", "/level"),
    (LEAD, {"type": "lead_feedback", "accepted": "true"}, "invalid_field", "/accepted"),
    (LEAD, {"type": "lead_feedback", "accepted": 1}, "invalid_field", "/accepted"),
    (LEAD, {"type": "lead_feedback", "score": "80"}, "invalid_field", "/score"),
    (LEAD, {"type": "account_updated", "account_id": "a", "employees": -1}, "invalid_field", "/employees"),
    (LEAD, {"type": "account_updated", "account_id": "a", "employees": 1.5}, "invalid_field", "/employees"),
    (LEAD, {"type": "account_updated", "account_id": "a", "domains": "a.io"}, "invalid_field", "/domains"),
    (LEAD, {"type": "account_updated", "account_id": "a", "domains": [{}]}, "invalid_field", "/domains"),
    (LEAD, {"type": "account_updated", "account_id": "a", "attributes": []}, "invalid_field", "/attributes"),
    (DEAL, {"status": "closed"}, "invalid_field", "/status"),
    (DEAL, {"pipeline": 5}, "invalid_field", "/pipeline"),
    (DEAL, {"stage": 5}, "invalid_field", "/stage"),
    (DEAL, {"contact_ids": "c1;c2"}, "invalid_field", "/contact_ids"),
    (DEAL, {"expected_close_date": "30.06.2026"}, "invalid_field", "/expected_close_date"),
    (DEAL, {"expected_close_date": 1_772_359_200}, "invalid_field", "/expected_close_date"),
    (DEAL, {"expected_close_date": 253_402_300_800_000}, "invalid_field", "/expected_close_date"),
    (DEAL, {"expected_close_date": 2**64}, "invalid_field", "/expected_close_date"),
    (DEAL, {"expected_close_date": "9" * 30}, "invalid_field", "/expected_close_date"),
    (DEAL, {"expected_close_date": "9" * 5000}, "invalid_field", "/expected_close_date"),
    (DEAL, {"expected_close_date": "9999-12-31T23:59:59-01:00"}, "invalid_field", "/expected_close_date"),
    (MOVEMENT, {"movement": "upgrade"}, "invalid_field", "/movement"),
    (DEAL, {"amount": "1." + "3" * 1_023}, "invalid_amount", "/amount"),
    (TOUCH, {"event_id": "x" * 1_025}, "invalid_field", "/event_id"),
    (TOUCH, {"account_id": "x" * 1_025}, "invalid_field", "/account_id"),
    (TOUCH, {"campaign": "x" * 1_025}, "invalid_field", "/campaign"),
    (TOUCH, {"url": "x" * 8_193}, "invalid_field", "/url"),
    (TOUCH, {"email": 5}, "invalid_field", "/email"),
    (TOUCH, {"email": "ann"}, "invalid_field", "/email"),
    (TOUCH, {"email": "ann@localhost"}, "invalid_field", "/email"),
    (TOUCH, {"email": "Ann <ann@acme.example>"}, "invalid_field", "/email"),
    (TOUCH, {"domain": 5}, "invalid_field", "/domain"),
    (TOUCH, {"domain": "https://acme.example"}, "invalid_field", "/domain"),
    (TOUCH, {"domain": "acme.example:443"}, "invalid_field", "/domain"),
    (TOUCH, {"domain": "localhost"}, "invalid_field", "/domain"),
    (TOUCH, {"domain": "co.uk"}, "invalid_field", "/domain"),
    (ACCOUNT, {"domains": ["a.example", None, "b_c.example"]}, "invalid_field", "/domains/2"),
    (ACCOUNT, {"domains": ["a.example", 5]}, "invalid_field", "/domains"),
    (TOUCH, {"domain": "."}, "invalid_field", "/domain"),
    (TOUCH, {"domain": "www.."}, "invalid_field", "/domain"),
    (DEAL, {"deal_id": "x" * 900_000}, "invalid_field", "/deal_id"),
    (DEAL, {"contact_ids": ["x" * 1_025]}, "invalid_field", "/contact_ids"),
    (DEAL, {"contact_ids": ["x"] * 1_001}, "invalid_field", "/contact_ids"),
    (ACCOUNT, {"attributes": {"x": "y" * 16_384}}, "invalid_field", "/attributes"),
    (ACCOUNT, {"domains": [None] * 1_001}, "invalid_field", "/domains"),
]


@pytest.mark.parametrize(("message", "change", "code", "path"), BAD)
def test_what_is_wrong_gets_its_code_and_path(
    message: dict[str, Any], change: dict[str, Any], code: str, path: str
) -> None:
    rejected = refusal(kind_of(message), raw({**message, **change}))
    assert (rejected.code, rejected.path) == (code, path)
    assert path.removeprefix("/") in rejected.message


# each step undoes the fault that decides, so the next one in the order of R13 comes to light
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("missing_field", {"event_id": None}),
    ("unknown_type", {"event_id": {}, "type": "deal"}),
    ("invalid_timestamp", {"type": "deal_updated", "occurred_at": "soon"}),
    ("future_timestamp", {"occurred_at": NOW * 2}),
    ("no_identifier", {"occurred_at": NOW, "deal_id": None}),
    ("missing_field", {"account_id": 1.5}),
    ("unknown_pipeline", {"deal_id": "d1", "pipeline": "p"}),
    ("unknown_stage", {"pipeline": "default", "stage": "s"}),
    ("unknown_currency", {"stage": "closed", "currency": "ABC"}),
    ("invalid_amount", {"currency": "EUR", "amount": -1}),
    ("invalid_field", {"amount": 1}),
    ("invalid_field", {"event_id": "e1"}),
]


def test_of_several_faults_the_first_in_the_order_of_the_rules_is_named() -> None:
    message: dict[str, Any] = dict(DEAL)
    for _, change in reversed(FAULTS):
        message = {**message, **change}
    message["type"], message["event_id"] = "deal", None
    message["occurred_at"], message["deal_id"], message["account_id"] = "soon", None, None
    for code, change in FAULTS:
        message.update(change)
        assert refusal("deals", raw(message)).code == code


def test_a_message_above_the_limit_is_too_large_before_it_is_anything_else() -> None:
    small = replace(CONTEXT, max_bytes=10)
    assert refusal("nowhere", b"{" * 11, small).code == "too_large"
    assert refusal("nowhere", b"{" * 10, small).code == "invalid_json"


def test_a_topic_that_is_no_source_is_refused_after_the_json_and_before_the_fields() -> None:
    assert refusal("nowhere", b"[]").code == "invalid_json"
    assert refusal("nowhere", b"{}").code == "unknown_topic"


def test_the_message_names_the_field_the_value_and_the_remedy() -> None:
    rejected = refusal("deals", raw({**DEAL, "stage": "nowhere"}))
    assert str(rejected) == (
        'unknown_stage at /stage: stage "nowhere" is not configured: '
        "configure it, or use a stage of default or hubspot"
    )


@pytest.mark.parametrize(
    ("message", "change", "limit"),
    [
        (TOUCH, {"event_id": "x" * 1_025}, "should have at most 1024 characters"),
        (TOUCH, {"url": "x" * 8_193}, "should have at most 8192 characters"),
        (DEAL, {"contact_ids": ["x"] * 1_001}, "has 1,001 elements: send at most 1,000"),
        (ACCOUNT, {"attributes": {"x": "y" * 16_384}}, "takes 16,392 bytes as JSON: send at most 16,384"),
        (DEAL, {"amount": "1." + "3" * 1_023}, "is longer than 1,024 characters"),
    ],
)
def test_what_is_too_long_is_told_the_limit(
    message: dict[str, Any], change: dict[str, Any], limit: str
) -> None:
    rejected = refusal(kind_of(message), raw({**message, **change}))
    assert limit in rejected.message and len(rejected.message) < 300


def test_what_is_as_long_as_may_be_is_taken() -> None:
    text = {"event_id": "ü" * 1_024, "account_id": "9" * 1_024, "campaign": "x" * 1_024, "url": "x" * 8_192}
    assert text.items() <= event(TOUCH, **text).items()
    many = ["x" * 1_024] * 900
    assert event(DEAL, contact_ids=many)["contact_ids"] == many
    attributes = {"x": "y" * (16_384 - len('{"x":""}'))}
    assert event(ACCOUNT, attributes=attributes)["attributes"] == attributes


def test_an_integer_too_long_to_be_written_out_is_refused() -> None:
    with pytest.raises(Rejected, match="invalid_field at /event_id"):
        decode_fields("touchpoints", {**TOUCH, "event_id": 10**1_023}, CONTEXT)
    longest = decode_fields("touchpoints", {**TOUCH, "event_id": 1 - 10**1_023}, CONTEXT)
    assert longest["event_id"] == "-" + "9" * 1_023


def test_attributes_of_a_row_that_no_encoding_can_carry_are_refused() -> None:
    fields = {**ACCOUNT, "attributes": '{"x": "\\ud800"}'}
    with pytest.raises(Rejected, match="invalid_field at /attributes"):
        decode_fields("leads", from_row(fields), CONTEXT)


def test_the_schemas_limit_every_text() -> None:
    unlimited = {
        name
        for kind in EVENTS
        for definition in source_schema(kind)["$defs"].values()
        for name, values in definition.get("properties", {}).items()
        for schema in strings(values)
        if schema.keys().isdisjoint({"maxLength", "pattern", "const", "enum"})
    }
    # what becomes a number is never stored as it was written
    assert unlimited == {"occurred_at", "expected_close_date"}


def strings(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema of text within one."""
    if isinstance(schema, list):
        for each in schema:
            yield from strings(each)
    elif isinstance(schema, dict):
        if schema.get("type") == "string":
            yield schema
        for each in schema.values():
            yield from strings(each)


def test_a_long_value_is_shown_cut() -> None:
    assert len(refusal("touchpoints", raw({**TOUCH, "type": "x" * 5_000})).message) < 600


@pytest.mark.parametrize("levels", [150, 400, 900, 980])
def test_an_envelope_with_data_nested_too_deep_gets_an_answer(levels: int) -> None:
    value = b'{"data": {"a": 1e400, "b": ' + b"[" * levels + b"]" * levels + b"}}"
    headers = [("content-type", b"application/cloudevents+json")]
    with pytest.raises(Rejected):
        decode_message("touchpoints", value, headers, CONTEXT)


def test_an_event_keeps_known_fields_that_are_present_and_nothing_else() -> None:
    found = event(TOUCH, url="", title=" ", referrer=None, session_id=5, attemptNumber=3, movement="new")
    assert found == {
        "event_id": "e1",
        "type": "page_view",
        "occurred_at": 1_772_359_200_000,
        "account_id": "acme",
        "session_id": "5",
        "source": "native",
    }


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("2026-03-01T10:00:00Z", 1_772_359_200_000),
        ("2026-03-01t10:00:00z", 1_772_359_200_000),
        ("2026-03-01 10:00:00Z", 1_772_359_200_000),
        ("2026-03-01T11:30:00+01:30", 1_772_359_200_000),
        ("2026-03-01T05:00:00-05:00", 1_772_359_200_000),
        ("2026-03-01T10:00:00.1Z", 1_772_359_200_100),
        ("2026-03-01T10:00:00.1239999999Z", 1_772_359_200_123),
        ("2016-12-31T23:59:60.5Z", 1_483_228_800_500),
        ("2000-01-01T00:00:00Z", 946_684_800_000),
        ("1772359200000", 1_772_359_200_000),
        (1_772_359_200_000, 1_772_359_200_000),
        (NOW + 300_000, NOW + 300_000),
    ],
)
def test_an_instant_is_whole_milliseconds(written: object, ms: int) -> None:
    assert event(TOUCH, occurred_at=written)["occurred_at"] == ms


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        (1200, "1200"),
        (1200.0, "1200"),
        (1200.5, "1200.5"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        (-0.0, "0"),
        (0, "0"),
        ("1200.50", "1200.5"),
        ("+007", "7"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("1e3", "1000"),
        ("1.25e+1", "12.5"),
        ("125e-2", "1.25"),
        ("0.005", "0.005"),
        ("1e-400", "0"),
        ("0e999", "0"),
        ("10000000000000", "10000000000000"),
        ("10000000000000.005", "10000000000000.005"),
        ("0" * 100 + "1", "1"),
    ],
)
def test_an_amount_is_canonical_decimal_text(written: object, amount: str) -> None:
    assert event(DEAL, amount=written)["amount"] == amount


def test_a_movement_may_be_written_with_either_sign() -> None:
    assert event(MOVEMENT, amount="-60.00")["amount"] == "-60"


def test_the_limit_of_an_amount_is_in_minor_units_of_its_currency() -> None:
    assert event(DEAL, amount=10**15, currency="JPY")["amount"] == str(10**15)
    assert event(DEAL, amount=10**12, currency="KWD")["amount"] == str(10**12)


def test_an_amount_without_a_currency_is_measured_in_the_default_one() -> None:
    yen = replace(CONTEXT, default_currency="JPY")
    assert decode("deals", raw({**DEAL, "amount": 10**15}), yen)["amount"] == str(10**15)


def test_a_deal_patch_is_normalised_field_by_field() -> None:
    found = event(
        DEAL,
        deal_id=900,
        account_id=" Acme ",
        pipeline="default",
        stage="closed",
        currency="eur",
        contact_ids=["c1", 57, None, " "],
        lead_ids=[],
        expected_close_date="2026-06-30",
        mrr="1e2",
    )
    assert found == {
        "event_id": "e1",
        "type": "deal_updated",
        "occurred_at": 1_772_359_200_000,
        "deal_id": "900",
        "account_id": "Acme",
        "pipeline": "default",
        "stage": "closed",
        "currency": "EUR",
        "contact_ids": ["c1", "57"],
        "lead_ids": [],
        "expected_close_date": 1_782_777_600_000,
        "mrr": "100",
        "source": "native",
    }


def test_a_stage_without_a_pipeline_may_be_of_any() -> None:
    assert event(DEAL, stage="closedwon")["stage"] == "closedwon"


def test_direction_is_read_for_other_only() -> None:
    assert "direction" not in event(TOUCH, direction="sideways")
    assert event(TOUCH, type="other", direction="outbound")["direction"] == "outbound"


def test_spend_needs_no_identifier() -> None:
    assert event(SPEND, cost="412.50")["cost"] == "412.5"


def test_attributes_keep_their_shape() -> None:
    attributes = {"tier": 2, "tags": ["a", None], "nested": {"x": 1.5}}
    message = {**LEAD, "type": "account_updated", "account_id": "a", "attributes": attributes}
    assert event(message)["attributes"] == attributes


@pytest.mark.parametrize("nest", [lambda inner: {"a": inner}, lambda inner: [inner]])
def test_attributes_deeper_than_writers_of_json_go_are_refused(nest: Any) -> None:
    value: Any = 1
    for _ in range(DEEPEST):
        value = nest(value)
    message = {**LEAD, "type": "account_updated", "account_id": "a"}
    too_deep = refusal("leads", raw({**message, "attributes": {"x": value}}))
    assert (too_deep.code, too_deep.path) == ("invalid_field", "/attributes")
    value = value["a"] if isinstance(value, dict) else value[0]
    assert event(message, attributes={"x": value})["attributes"] == {"x": value}


@pytest.mark.parametrize("number", [float("inf"), 2**63])
def test_a_number_in_attributes_that_other_readers_cannot_take_is_refused(number: float) -> None:
    message = {**LEAD, "type": "account_updated", "account_id": "a", "attributes": {"x": [number]}}
    with pytest.raises(Rejected, match="invalid_field at /attributes"):
        decode_fields("leads", message, CONTEXT)


def test_a_value_that_is_none_of_the_types_of_its_field_is_told_all_of_them() -> None:
    assert refusal("touchpoints", raw({**TOUCH, "contact_id": [1]})).message == (
        "contact_id is [1]: should be text or be a whole number"
    )


def test_domains_and_addresses_become_the_text_that_is_compared() -> None:
    found = event(TOUCH, email=" Ann+x@München.example. ", domain="WWW.MÜNCHEN.example.")
    assert (found["email"], found["domain"]) == ("ann+x@xn--mnchen-3ya.example", "xn--mnchen-3ya.example")
    claimed = event(ACCOUNT, domains=["A.example.", " ", "münchen.example"])["domains"]
    assert claimed == ["a.example", "xn--mnchen-3ya.example"]


def test_a_domain_that_is_none_is_shown_with_what_is_wrong_and_its_place_in_a_list() -> None:
    rejected = refusal("leads", raw({**ACCOUNT, "domains": ["a.example", None, "b.example:80"]}))
    assert rejected.path == "/domains/2"
    assert rejected.message == (
        'domains/2 "b.example:80" has a port: send the domain alone, such as example.com'
    )


@pytest.mark.parametrize(
    "value", ["secret", "secret@", "Ann <secret@acme.example>", ["secret"], {"secret": 1}]
)
def test_an_address_that_is_none_is_not_shown(value: Any) -> None:
    rejected = refusal("touchpoints", raw({**TOUCH, "email": value}))
    assert rejected.message.startswith("email ") and rejected.path == "/email"
    assert "secret" not in str(rejected)


@pytest.mark.parametrize(
    "name", ["domain", "currency", "type", "source", "occurred_at", "contact_id", "team"]
)
def test_an_address_in_any_other_field_is_not_shown_either(name: str) -> None:
    for value in ("secret@acme.example", ["secret@acme.example"], "x" * 70 + " secret@acme.example"):
        try:
            decode("touchpoints", raw({**TOUCH, name: value}), CONTEXT)
        except Rejected as rejected:
            assert "secret" not in str(rejected)
        else:
            assert name == "contact_id"


def test_the_prefix_of_a_schema_registry_is_skipped() -> None:
    assert decode("touchpoints", b"\x00\x00\x00\x00\x2a" + raw(TOUCH), CONTEXT) == event(TOUCH)


def test_a_cloudevents_envelope_in_structured_mode_is_taken_off() -> None:
    envelope = {"specversion": "1.0", "id": "1", "source": "/crm", "type": "t", "data": TOUCH}
    headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
    assert decode_message("touchpoints", raw(envelope), headers, CONTEXT) == event(TOUCH)


@pytest.mark.parametrize(
    "envelope",
    [
        {"data_base64": "eyJ4IjoxfQ=="},
        {"data": '{"x":1}'},
        {"data": {"x": 1}},
    ],
)
def test_an_envelope_may_hold_its_event_as_json_as_text_or_as_base64(envelope: dict[str, Any]) -> None:
    headers = [("Content-Type", b"application/cloudevents+json")]
    assert json.loads(unwrap(raw(envelope), headers)) == {"x": 1}


@pytest.mark.parametrize(
    ("envelope", "path"),
    [({}, "/data"), ({"data_base64": "%"}, "/data_base64"), ({"data_base64": 5}, "/data_base64")],
)
def test_an_envelope_without_an_event_is_invalid_json(envelope: dict[str, Any], path: str) -> None:
    with pytest.raises(Rejected) as caught:
        unwrap(raw(envelope), [("content-type", b"application/cloudevents+json")])
    assert (caught.value.code, caught.value.path) == ("invalid_json", path)


def test_a_number_beyond_a_double_survives_the_envelope() -> None:
    message = raw({**DEAL, "amount": 0, "name": "Infinity"}).replace(b'"amount": 0', b'"amount": 1e400')
    headers = [("content-type", b"application/cloudevents+json")]
    with pytest.raises(Rejected) as caught:
        decode_message("deals", b'{"data": ' + message + b"}", headers, CONTEXT)
    assert caught.value.code == "invalid_amount"


def test_headers_in_binary_mode_change_nothing() -> None:
    headers = [("ce_id", b"1"), ("ce_type", b"t"), ("content-type", b"application/json")]
    assert decode_message("touchpoints", raw(TOUCH), headers, CONTEXT) == event(TOUCH)


def test_the_topic_of_a_line_beats_that_of_its_file() -> None:
    line = raw({**DEAL, "topic": "deals"})
    assert decode_line(line, CONTEXT, "touchpoints") == ("deals", event(DEAL))
    assert decode_line(raw({**DEAL, "topic": " "}), CONTEXT, "deals")[0] == "deals"


@pytest.mark.parametrize("topic", ["attribution-credits", 5, ["deals"], None])
def test_a_line_that_names_no_source_topic_is_refused(topic: object) -> None:
    with pytest.raises(Rejected) as caught:
        decode_line(raw({**DEAL, "topic": topic}), CONTEXT)
    assert (caught.value.code, caught.value.path) == ("unknown_topic", "/topic")


def test_a_line_above_the_limit_is_too_large_before_its_topic_is_read() -> None:
    with pytest.raises(Rejected) as caught:
        decode_line(b'{"topic": "x"}', replace(CONTEXT, max_bytes=5))
    assert caught.value.code == "too_large"


def test_the_digest_is_that_of_the_normalised_content() -> None:
    found = event({**DEAL, "name": "Zoë", "amount": 1200.50, "currency": "eur", "sentAt": "x"})
    content = (
        '{"amount":"1200.5","currency":"EUR","deal_id":"d1","event_id":"e1","name":"Zoë",'
        '"occurred_at":1772359200000,"type":"deal_updated"}'
    )
    assert digest(found) == sha256(content.encode()).hexdigest()


def test_a_named_default_source_does_not_change_the_digest_and_any_other_does() -> None:
    assert digest(event(TOUCH)) == digest(event(TOUCH, source="native"))
    assert digest(event(TOUCH)) != digest(event(TOUCH, source="crm"))


def test_a_row_of_text_cells_becomes_a_message() -> None:
    row = {
        "event_id": "1", "type": "deal_updated", "occurred_at": "1772359200000", "deal_id": "d1", "amount": "12.50",
        "contact_ids": "c1; c2;", "lead_ids": '["l1", 2]', "stage": "", "topic": "deals", None: ["surplus"],
    }  # fmt: skip
    found = decode_fields("deals", from_row(row), CONTEXT)  # type: ignore[arg-type]
    assert found == {
        "event_id": "1", "type": "deal_updated", "occurred_at": 1_772_359_200_000, "deal_id": "d1", "amount": "12.5",
        "contact_ids": ["c1", "c2"], "lead_ids": ["l1", "2"], "source": "native",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("accepted", "true", True),
        ("accepted", "FALSE", False),
        ("accepted", "1", True),
        ("accepted", "0", False),
        ("accepted", 1, True),
        ("accepted", False, False),
        ("accepted", "maybe", "maybe"),
        ("accepted", 2, 2),
        ("score", "82.5", 82.5),
        ("score", "high", "high"),
        ("employees", "240", 240),
        ("employees", 240.0, 240),
        ("domains", '["a.io"]', ["a.io"]),
        ("domains", "[a.io", "[a.io"),
        ("attributes", '{"a": 1}', {"a": 1}),
        ("amount", Decimal("12.50"), "12.50"),
        ("amount", Decimal("1E+3"), "1e+3"),
        ("occurred_at", datetime(2026, 3, 1, 10), 1_772_359_200_000),
        ("occurred_at", datetime(2026, 3, 1, 10, 0, 0, 1999, tzinfo=UTC), 1_772_359_200_001),
        ("occurred_at", datetime(2026, 3, 1, 11, tzinfo=timezone(timedelta(hours=1))), 1_772_359_200_000),
        ("expected_close_date", date(2026, 6, 30), "2026-06-30"),
        ("title", " as it stands ", " as it stands "),
    ],
)
def test_a_cell_is_read_by_the_type_of_its_column(name: str, cell: object, value: object) -> None:
    read = from_row({name: cell})[name]
    assert read == value
    assert type(read) is type(value)


def test_empty_cells_and_unknown_columns_are_left_out() -> None:
    assert from_row({"title": " ", "url": None, "colour": "red"}) == {}
