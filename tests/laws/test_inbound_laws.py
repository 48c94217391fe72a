"""Laws of the native format that hold for every message."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.amounts import LIMIT_MINOR, canonical, check_range
from schemas.diagnosis import diagnose
from schemas.errors import CODES
from schemas.events import EVENTS, FIELDS
from schemas.inbound import Context, Rejected, decode, decode_fields, digest
from schemas.jsonschemas import source_schema
from schemas.times import EARLIEST_MS, instant

NOW = 1_800_000_000_000
CONTEXT = Context(
    now_ms=NOW,
    pipelines={"default": frozenset({"qualification", "closed"}), "hubspot": frozenset({"closedwon"})},
    currencies={"EUR": 2, "JPY": 0, "KWD": 3},
)

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["", " ", "\t", "\x1c"]),
    st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=3), st.booleans()), max_size=3),
    st.dictionaries(st.text(max_size=3), st.one_of(st.integers(), st.floats(), st.text(max_size=3)), max_size=2),
)  # fmt: skip
TELLING: dict[str, list[Any]] = {
    "occurred_at": [
        NOW,
        NOW + 300_000,
        NOW + 300_001,
        EARLIEST_MS,
        EARLIEST_MS - 1,
        "2026-03-01T10:00:00Z",
        "soon",
    ],
    "pipeline": ["default", "hubspot", "sales"],
    "stage": ["qualification", "closedwon", "nowhere"],
    "currency": ["EUR", "jpy", "XYZ"],
    "amount": [5, "12.50", -1, "1e400", 10**15, 1.5],
    "cost": [5, "12.50", -1, "x"],
    "mrr": [5, -1],
    "status": ["open", "won", "gone"],
    "level": ["mql", "top"],
    "movement": ["new", "churn", "up"],
    "direction": ["inbound", "sideways"],
    "team": ["sales", "none"],
    "source": ["crm", "no spaces"],
    "accepted": [True, "true"],
    "employees": [5, -5],
    "expected_close_date": ["2026-06-30", "later"],
}


GOOD: dict[str, list[Any]] = {
    "occurred_at": [NOW, "2026-03-01T10:00:00Z", "1772359200000"],
    "source": ["crm", "native"],
    "pipeline": ["default"],
    "stage": ["qualification", "closed"],
    "currency": ["EUR", "jpy"],
    "amount": [5, "12.50", 1.5],
    "cost": [5, "12.50"],
    "mrr": [5],
    "status": ["open", "won"],
    "level": ["mql"],
    "movement": ["new", "churn"],
    "direction": ["inbound"],
    "team": ["sales"],
    "accepted": [True],
    "score": [1, 2.5],
    "employees": [5],
    "expected_close_date": ["2026-06-30", 1_772_359_200_000],
    "email": ["Ann@A.example", " bo+x@münchen.example "],
    "domain": ["a.example", "WWW.A.example."],
    "domains": [["a.example", None, "b.example"], []],
    "contact_ids": [["a", 5, None], []],
    "lead_ids": [["a"]],
    "attributes": [{"a": 1}],
}


@st.composite
def messages(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """(topic kind, message): a good message, and in two thirds of the cases up to three things wrong with it."""
    kind = draw(st.sampled_from(sorted(EVENTS)))
    event_type = EVENTS[kind][draw(st.sampled_from(sorted(EVENTS[kind])))]
    names = {*event_type.model.__required_keys__, *event_type.required_any[:1], "deal_id"}
    often = [name for name in event_type.fields if name in TELLING]
    names |= draw(st.sets(st.sampled_from([*event_type.fields, *often * 3]), max_size=8))
    names |= draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=2))
    message = {
        name: draw(st.sampled_from(GOOD.get(name, ["a", " b7 "])))
        for name in draw(st.permutations(sorted(names)))
    }
    message["type"] = event_type.name
    if draw(st.integers(0, 2)):
        for name in sorted(
            draw(st.sets(st.sampled_from([*sorted(message), "unknown"]), min_size=1, max_size=3))
        ):
            message[name] = draw(st.sampled_from(TELLING.get(name, [None])) | ODD)
        kind = draw(st.sampled_from([kind, kind, kind, "deals", "nowhere"]))
    return kind, message


def accepts(kind: str, message: dict[str, Any]) -> bool:
    try:
        decode_fields(kind, message, CONTEXT)
    except Rejected as rejected:
        assert rejected.code in CODES
        assert rejected.code != "internal_error", rejected
        return False
    return True


@settings(max_examples=600, deadline=None)
@given(messages())
@example(
    ("deals", {"event_id": "e", "type": "deal_updated", "occurred_at": NOW, "deal_id": "d", "stage": []})
)
@example(
    ("deals", {"event_id": "e", "type": "deal_updated", "occurred_at": NOW, "deal_id": "d", "currency": "ß"})
)
def test_the_diagnosis_finds_nothing_exactly_when_the_message_is_accepted(
    case: tuple[str, dict[str, Any]],
) -> None:
    kind, message = case
    assert (diagnose(kind, message, CONTEXT) is None) == accepts(kind, message)


@cache
def json_schema(kind: str, name: str) -> jsonschema.Draft202012Validator:
    schema = source_schema(kind)
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})


@settings(max_examples=200, deadline=None)
@given(messages())
def test_the_json_schema_takes_what_the_code_takes(case: tuple[str, dict[str, Any]]) -> None:
    kind, message = case
    if accepts(kind, message):
        json_schema(kind, message["type"]).validate(message)


@settings(max_examples=300, deadline=None)
@given(messages())
def test_an_event_decodes_to_itself(case: tuple[str, dict[str, Any]]) -> None:
    kind, message = case
    if accepts(kind, message):
        event = decode_fields(kind, message, CONTEXT)
        again = decode_fields(kind, event, CONTEXT)
        assert again == event
        assert digest(again) == digest(event)


@settings(max_examples=300, deadline=None)
@given(messages(), st.randoms(use_true_random=False))
def test_the_order_of_fields_and_what_is_absent_or_unknown_change_nothing(
    case: tuple[str, dict[str, Any]], chance: Any
) -> None:
    kind, message = case
    if accepts(kind, message):
        names = [*message, "unknown field"]
        chance.shuffle(names)
        absent = {name: chance.choice([None, "", "  "]) for name in FIELDS if name not in message}
        other = {**absent, **{name: message.get(name, 7) for name in names}}
        event = decode_fields(kind, message, CONTEXT)
        assert decode_fields(kind, other, CONTEXT) == event
        assert digest(decode_fields(kind, other, CONTEXT)) == digest(event)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@example(b"\x00\x00\x00\x00\x01{}")
@example(b'{"type": "\\ud800"}')
def test_any_bytes_get_an_answer(raw: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        decode("touchpoints", raw, CONTEXT)
    assert caught.value.code in CODES


@settings(max_examples=200, deadline=None)
@given(messages())
def test_bytes_and_the_parsed_message_get_the_same_answer(case: tuple[str, dict[str, Any]]) -> None:
    kind, message = case
    raw = json.dumps(message).encode()

    def answer(read: Any) -> Any:
        try:
            return read()
        except Rejected as rejected:
            return rejected.args

    try:
        parsed = json.loads(raw, parse_constant=_refuse)
        parsed_text = json.dumps(parsed, ensure_ascii=False).encode()
    except ValueError:
        with pytest.raises(Rejected):
            decode(kind, raw, CONTEXT)
        return
    assert answer(lambda: decode(kind, parsed_text, CONTEXT)) == answer(
        lambda: decode_fields(kind, parsed, CONTEXT)
    )


def _refuse(name: str) -> None:
    raise ValueError(name)


decimals = st.decimals(allow_nan=False, allow_infinity=False, min_value=0, max_value=10**14, places=None)


@given(decimals)
def test_canonical_text_has_the_value_it_was_written_with(value: Decimal) -> None:
    text = canonical(f"{value:f}")
    assert Decimal(text) == value or (text == "0" and value < Decimal("1e-40"))
    assert canonical(text) == text


@given(st.floats(min_value=0, max_value=1e15))
def test_a_json_number_and_its_shortest_text_are_the_same_amount(value: float) -> None:
    assert canonical(value) == canonical(repr(value))


@given(
    st.integers(LIMIT_MINOR - 3, LIMIT_MINOR + 3),
    st.sampled_from([0, 2, 3]),
    st.decimals(0, "0.999", places=3),
)
def test_the_limit_holds_for_the_amount_rounded_half_to_even(
    minor: int, exponent: int, rest: Decimal
) -> None:
    value = (Decimal(minor) + rest).scaleb(-exponent)
    rounded = int((Decimal(minor) + rest).to_integral_value(ROUND_HALF_EVEN))
    try:
        check_range(canonical(f"{value:f}"), exponent, signed=False)
        within = True
    except ValueError:
        within = False
    assert within == (rounded <= LIMIT_MINOR)


@given(
    st.datetimes(datetime(2001, 1, 1), datetime(9000, 1, 1)),
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["microseconds", "milliseconds"]),
)
def test_an_instant_is_the_same_in_every_offset(moment: datetime, minutes: int, precision: str) -> None:
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    text = moment.isoformat(timespec=precision)
    offset = f"{sign}{size // 60:02d}:{size % 60:02d}"
    assert instant(f"{text}{offset}") == instant(f"{text}Z") - minutes * 60_000
