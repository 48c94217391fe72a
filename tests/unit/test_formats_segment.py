"""The Segment spec as native messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.context import Context
from schemas.formats import FORMATS, decoder_of
from schemas.formats.segment import DEFAULT_TRACK_EVENTS, read, with_track_events
from schemas.inbound import Rejected
from tests.unit.format_strategies import objects

GOLDEN = Path(__file__).parent / "data" / "formats" / "segment"
CONTEXT = Context(now_ms=1_800_000_000_000, pipelines={}, currencies={"EUR": 2})
MESSAGE = {"type": "track", "messageId": "m1", "userId": "u1", "timestamp": "2026-03-01T10:00:00.123Z"}


def decoded(message: dict[str, Any], kind: str = "touchpoints") -> list[tuple[str, dict[str, Any]]]:
    return list(decoder_of("segment")(kind, json.dumps(message).encode(), (), CONTEXT))


def event(**change: Any) -> dict[str, Any]:
    ((_, found),) = decoded({**MESSAGE, **change})
    return found


def test_there_is_a_golden_file_for_every_call_of_the_spec() -> None:
    messages = [json.loads(path.read_text()) for path in GOLDEN.glob("*[!d].json")]
    calls = {message.get("type", "batch") for message in messages if isinstance(message, dict)}
    assert calls == {"track", "page", "screen", "identify", "group", "alias", "batch"}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b"{}", "/type"),
        (b'{"type": "pageview"}', "/type"),
        (b'{"type": ["page"]}', "/type"),
        (b'{"batch": {}}', "/batch"),
        (b'{"batch": []}', "/batch"),
        (b'{"batch": [5]}', "/batch/0"),
        (b'{"batch": [{"type": "page"}, {"type": "x"}]}', "/batch/1/type"),
    ],
)
def test_what_is_not_of_the_spec_is_a_decode_error(value: bytes, path: str) -> None:
    with pytest.raises(Rejected) as caught:
        read(value, (), "touchpoints")
    assert (caught.value.code, caught.value.path) == ("decode_error", path)


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"messageId": None}, "missing_field", "/event_id"),
        ({"timestamp": None}, "missing_field", "/occurred_at"),
        ({"timestamp": "2026-03-01T10:00:00"}, "invalid_timestamp", "/occurred_at"),
        ({"userId": None}, "no_identifier", ""),
        ({"userId": {}}, "invalid_field", "/contact_id"),
    ],
)
def test_what_a_message_holds_is_validated_like_a_native_one(
    change: dict[str, Any], code: str, path: str
) -> None:
    with pytest.raises(Rejected) as caught:
        event(**change)
    assert (caught.value.code, caught.value.path) == (code, path)


def test_the_corrected_time_is_preferred_then_that_of_the_device_then_that_of_the_server() -> None:
    times = {
        "timestamp": 1_772_359_200_001,
        "originalTimestamp": 1_772_359_200_002,
        "receivedAt": 1_772_359_200_003,
    }
    assert event(**times)["occurred_at"] == times["timestamp"]
    assert event(**{**times, "timestamp": None})["occurred_at"] == times["originalTimestamp"]
    assert (
        event(**{**times, "timestamp": None, "originalTimestamp": ""})["occurred_at"] == times["receivedAt"]
    )


@pytest.mark.parametrize("field", ["messageId", "type", "timestamp", "userId", "batch", "event"])
def test_a_value_nested_too_deep_to_be_shown_is_refused_all_the_same(field: str) -> None:
    deep = b"[" * 1_000 + b"]" * 1_000
    value = json.dumps({**MESSAGE, field: 0}).replace(f'"{field}": 0', f'"{field}": {deep.decode()}').encode()
    with pytest.raises(Rejected):
        decoder_of("segment")("touchpoints", value, (), CONTEXT)


def test_ids_that_are_explicitly_null_are_absent() -> None:
    assert "anonymous_id" not in event(anonymousId=None)
    assert "contact_id" not in event(userId=None, anonymousId="a1")


@pytest.mark.parametrize("user", ["ada@acme.example", " ada@acme.example "])
def test_a_user_id_that_is_an_address_is_an_address_and_no_readable_contact(user: str) -> None:
    found = event(userId=user)
    assert found["email"] == "ada@acme.example"
    assert "contact_id" not in found


@pytest.mark.parametrize("user", ["u1", "@acme.example", "ada@acme", "ada at@acme.example", 5])
def test_any_other_user_id_is_a_contact(user: object) -> None:
    found = event(userId=user)
    assert found["contact_id"] == str(user)
    assert "email" not in found


def test_an_address_that_is_the_user_id_goes_before_that_of_the_traits() -> None:
    found = event(type="identify", userId="ada@acme.example", traits={"email": "info@acme.example"})
    assert found["email"] == "ada@acme.example"


@pytest.mark.parametrize("company", ["Acme GmbH", None, {"name": "Acme GmbH"}, {"id": None}, []])
def test_a_company_without_an_id_names_no_account(company: object) -> None:
    assert "account_id" not in event(type="identify", traits={"company": company})


def test_the_group_of_a_call_goes_before_the_company_of_the_person() -> None:
    traits = {"company": {"id": "other"}}
    assert event(type="identify", groupId="acme", traits=traits)["account_id"] == "acme"
    assert event(type="identify", context={"groupId": "acme"}, traits=traits)["account_id"] == "acme"
    assert event(type="identify", traits=traits)["account_id"] == "other"


def test_a_call_without_an_id_is_refused_for_that_and_not_for_what_was_made_of_it() -> None:
    company = {"id": "acme", "name": "Acme"}
    with pytest.raises(Rejected) as caught:
        event(type="identify", messageId=None, traits={"company": company})
    assert (caught.value.code, caught.value.path) == ("missing_field", "/event_id")


@pytest.mark.parametrize(
    ("website", "domains"),
    [
        ("https://www.acme.example/en?x=1", ["acme.example"]),
        ("acme.example/en", ["acme.example"]),
        ("http://acme.example:8080", ["acme.example"]),
        ("n/a", None),
        ("http://[", None),
        ({}, None),
    ],
)
def test_the_domain_of_a_group_is_the_host_of_its_website(website: object, domains: object) -> None:
    assert event(type="group", groupId="acme", traits={"website": website}).get("domains") == domains


def test_an_alias_of_the_device_itself_is_one_link() -> None:
    found = event(type="alias", previousId="a1", anonymousId="a1")
    assert (found["anonymous_id"], found["contact_id"]) == ("a1", "u1")


def test_an_alias_of_two_addresses_is_refused_with_what_to_send_instead() -> None:
    with pytest.raises(Rejected, match="identify both under a user id that is none") as caught:
        event(type="alias", previousId="ada@acme.example", userId="ada@acme.de")
    assert caught.value.path == "/previousId"
    same = event(type="alias", previousId="Ada@Acme.example", userId="ada@acme.example")
    assert same["email"] == "ada@acme.example"


def test_an_event_can_be_ignored() -> None:
    raw = json.dumps({**MESSAGE, "event": "Heartbeat"}).encode()
    assert with_track_events({"Heartbeat": "ignore"})(raw, (), "touchpoints") == []


NAMES = (
    "type messageId userId anonymousId previousId groupId timestamp event traits context properties company id"
    " email website domain employees page campaign batch"
)


@given(
    message=objects(NAMES, st.just("ada@acme.example")),
    call=st.sampled_from(["track", "page", "screen", "identify", "group", "alias", None]),
)
def test_any_json_gives_messages_or_one_reason(message: dict[str, Any], call: str | None) -> None:
    if call is not None:
        message = {**message, "type": call}
    try:
        found = decoded(message)
    except Rejected as rejected:
        assert rejected.message
    else:
        assert all(kind in ("touchpoints", "leads") for kind, _ in found)


@given(raw=st.binary(max_size=60))
def test_any_bytes_give_messages_or_a_decode_error(raw: bytes) -> None:
    try:
        read(raw, (), "touchpoints")
    except Rejected as rejected:
        assert rejected.code == "decode_error"


def test_the_address_of_a_touch_is_that_of_the_traits_in_its_context() -> None:
    assert event(context={"traits": {"email": "ada@acme.example"}})["email"] == "ada@acme.example"


def test_an_address_that_is_none_is_refused_where_it_identifies_and_says_nothing_elsewhere() -> None:
    with pytest.raises(Rejected) as caught:
        event(type="identify", traits={"email": "ada at acme"})
    assert (caught.value.code, caught.value.path) == ("invalid_field", "/email")
    assert "email" not in event(context={"traits": {"email": "ada at acme"}})


def test_the_traits_of_a_group_are_not_those_of_a_person() -> None:
    found = event(type="group", groupId="acme", traits={"email": "info@acme.example", "employees": "50-100"})
    assert "email" not in found
    assert found["attributes"] == {"email": "info@acme.example", "employees": "50-100"}


@pytest.mark.parametrize("employees", ["9" * 5000, "9" * 19, 10**12 + 0.5, -1])
def test_a_number_of_employees_that_no_company_has_is_a_trait_like_any_other(employees: object) -> None:
    found = event(type="group", groupId="acme", traits={"employees": employees})
    assert "employees" not in found
    assert found["attributes"] == {"employees": employees}


@pytest.mark.parametrize("name", sorted(DEFAULT_TRACK_EVENTS))
def test_a_track_call_is_looked_up_by_the_exact_name_of_its_event(name: str) -> None:
    assert event(event=name)["type"] == DEFAULT_TRACK_EVENTS[name]
    assert event(event=name.upper())["type"] == "other"


def test_a_track_call_that_nothing_is_configured_for_is_inbound_other() -> None:
    found = event(event="Clicked around")
    assert (found["type"], found["direction"], found["title"]) == ("other", "inbound", "Clicked around")


def test_the_table_of_events_can_be_replaced() -> None:
    decoder = decoder_of(with_track_events({"Angebot angefragt": "demo_request"}))
    raw = json.dumps({**MESSAGE, "event": "Angebot angefragt"}).encode()
    ((_, found),) = decoder("touchpoints", raw, (), CONTEXT)
    assert found["type"] == "demo_request"


@pytest.mark.parametrize("wrong", ["demo", "spend", "lead_created"])
def test_a_table_that_names_no_touch_type_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        with_track_events({"A": wrong})


def test_a_message_goes_to_the_kind_that_its_call_belongs_to() -> None:
    ((kind, _),) = decoded({**MESSAGE, "type": "identify"}, kind="touchpoints")
    assert kind == "leads"


def test_the_prefix_of_a_schema_registry_and_an_envelope_are_taken_off() -> None:
    raw = json.dumps({"data": MESSAGE}).encode()
    headers = [("content-type", b"application/cloudevents+json")]
    assert read(b"\x00\x00\x00\x00\x01" + raw, headers, "touchpoints")[0][1]["event_id"] == "m1"


def test_a_record_above_the_limit_is_too_large() -> None:
    with pytest.raises(Rejected) as caught:
        decoder_of("segment")("touchpoints", b" " * (CONTEXT.max_bytes + 1), (), CONTEXT)
    assert caught.value.code == "too_large"


def test_an_unknown_format_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no input format 'csv': use one of native, segment"):
        decoder_of("csv")


def test_the_native_format_reads_what_the_native_decoder_decodes() -> None:
    message = {"event_id": "e", "type": "page_view", "occurred_at": 1_772_359_200_000, "account_id": "a"}
    raw = json.dumps(message).encode()
    assert FORMATS["native"](raw, (), "touchpoints") == [("touchpoints", message)]
    assert decoder_of("native")("touchpoints", raw, (), CONTEXT) == [
        ("touchpoints", {**message, "source": "native"})
    ]
