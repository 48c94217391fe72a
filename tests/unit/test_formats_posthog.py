"""PostHog's topic and the bodies of its SDKs as native messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.context import Context
from schemas.formats import decoder_of
from schemas.formats.posthog import DEFAULT_TRACK_EVENTS, IGNORED, NOBODY, configured, read
from schemas.inbound import Rejected
from tests.unit.format_strategies import objects

CONTEXT = Context(now_ms=1_800_000_000_000, pipelines={}, currencies={"EUR": 2})
DEVICE = "0195500c-aaaa-7000-8000-000000000001"
EVENT: dict[str, Any] = {
    "uuid": "0195500d-0000-7000-8000-000000000001",
    "event": "$pageview",
    "distinct_id": "u-1",
    "timestamp": "2026-03-01T10:00:00.123Z",
    "properties": {},
}


def decoded(item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(decoder_of(read)("touchpoints", json.dumps(item).encode(), (), CONTEXT))


def event(properties: object = None, /, **change: Any) -> dict[str, Any]:
    ((_, found),) = decoded({**EVENT, "properties": properties or {}, **change})
    return found


def ids(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: found[name] for name in ("anonymous_id", "contact_id", "email", "account_id") if name in found
    }


@pytest.mark.parametrize(
    ("raw", "path", "said"),
    [
        (b"{", "", "not JSON"),
        (b"[]", "", "no object"),
        (b"\xff", "", "not UTF-8"),
        (b"{}", "/event", "event's name"),
        (b'{"event": 5}', "/event", "event's name"),
        (b'{"batch": {}}', "/batch", "list of events"),
        (b'{"batch": []}', "/batch", "list of events"),
        (b'{"batch": [5]}', "/batch/0", "JSON objects"),
        (json.dumps({**EVENT, "properties": None}).encode(), "/properties", "send an object"),
        (json.dumps({**EVENT, "properties": "{"}).encode(), "/properties", "not JSON"),
        (json.dumps({**EVENT, "properties": "[]"}).encode(), "/properties", "no object"),
        (json.dumps({**EVENT, "person_properties": "{"}).encode(), "/person_properties", "not JSON"),
        (json.dumps({**EVENT, "timestamp": None}).encode(), "/timestamp", "clickhouse_events_json"),
        (json.dumps({**EVENT, "timestamp": "soon"}).encode(), "/timestamp", "send RFC 3339"),
        (json.dumps({"batch": [EVENT, {**EVENT, "timestamp": 5}]}).encode(), "/batch/1/timestamp", "2000"),
    ],
)
def test_what_does_not_decode_is_refused_with_the_place_and_the_remedy(
    raw: bytes, path: str, said: str
) -> None:
    with pytest.raises(Rejected) as caught:
        read(raw, (), "touchpoints")
    assert (caught.value.code, caught.value.path) == ("decode_error", path)
    assert said in caught.value.message


def test_properties_as_text_and_as_an_object_are_the_same() -> None:
    properties = {"$current_url": "https://www.example.com/", "title": "Home"}
    assert event(properties) == event(json.dumps(properties))


def test_a_time_without_a_zone_is_utc_as_the_topic_writes_it() -> None:
    assert event(timestamp="2026-03-01 10:00:00.123456")["occurred_at"] == event()["occurred_at"]


@pytest.mark.parametrize(
    ("properties", "known"),
    [
        ({}, True),
        ({"$is_identified": True, "$device_id": DEVICE}, True),
        ({"$is_identified": False, "$device_id": DEVICE}, False),
        ({"$process_person_profile": False}, False),
        ({"$device_id": DEVICE}, False),
        ({"$device_id": DEVICE, "$user_id": "u-1"}, True),
    ],
)
def test_a_distinct_id_is_a_person_or_a_visitor_as_the_sdk_says(
    properties: dict[str, Any], known: bool
) -> None:
    assert ids(event(properties)) == {"contact_id" if known else "anonymous_id": "u-1"}


def test_an_event_without_a_person_is_a_visitors() -> None:
    assert ids(event(person_mode="propertyless")) == {"anonymous_id": "u-1"}


def test_a_distinct_id_that_is_an_address_is_a_person_whatever_the_sdk_says() -> None:
    assert ids(event({"$is_identified": False}, distinct_id="ada@acme.example")) == {
        "email": "ada@acme.example"
    }


@pytest.mark.parametrize("nobody", sorted(NOBODY - {""}))
def test_a_distinct_id_that_a_mistake_sends_for_everybody_is_nobody(nobody: str) -> None:
    with pytest.raises(Rejected) as caught:
        event(distinct_id=nobody.upper())
    assert caught.value.code == "no_identifier"


@pytest.mark.parametrize(
    "place",
    [
        {"$set": {"email": "ada@acme.example"}},
        {"properties": {"$set": {"email": "ada@acme.example"}}},
        {"$set_once": {"email": "ada@acme.example"}},
        {"person_properties": {"email": "ada@acme.example"}},
        {"person_properties": json.dumps({"email": "ada@acme.example"})},
    ],
)
def test_the_address_of_a_person_is_read_wherever_it_stands(place: dict[str, Any]) -> None:
    ((kind, found),) = decoded({**EVENT, "event": "$set", **place})
    assert (kind, found["type"]) == ("leads", "contact_identified")
    assert ids(found) == {"contact_id": "u-1", "email": "ada@acme.example"}


def test_an_address_that_is_none_is_refused_where_it_identifies_and_says_nothing_elsewhere() -> None:
    wrong = {"$set": {"email": "ada at acme"}}
    with pytest.raises(Rejected) as caught:
        event(event="$identify", **wrong)
    assert (caught.value.code, caught.value.path) == ("invalid_field", "/email")
    assert ids(event(**wrong)) == {"contact_id": "u-1"}


def test_identify_links_the_visitor_before_with_the_person() -> None:
    properties = {"$anon_distinct_id": DEVICE, "$is_identified": False}
    assert ids(event(properties, event="$identify")) == {"anonymous_id": DEVICE, "contact_id": "u-1"}


def test_identify_with_the_id_that_it_had_is_no_visitor_of_that_name() -> None:
    assert ids(event({"$anon_distinct_id": "u-1"}, event="$identify")) == {"contact_id": "u-1"}


@pytest.mark.parametrize(
    ("name", "distinct", "properties", "linked"),
    [
        ("$create_alias", DEVICE, {"alias": "u-1"}, {"anonymous_id": DEVICE, "contact_id": "u-1"}),
        ("$create_alias", "u-1", {"alias": DEVICE}, {"anonymous_id": DEVICE, "contact_id": "u-1"}),
        ("$create_alias", "u-1", {"alias": "old"}, {"anonymous_id": "old", "contact_id": "u-1"}),
        (
            "$create_alias",
            "x",
            {"alias": DEVICE, "$is_identified": False},
            {"anonymous_id": "x", "contact_id": DEVICE},
        ),
        (
            "$create_alias",
            DEVICE,
            {"alias": "ada@acme.example"},
            {"anonymous_id": DEVICE, "email": "ada@acme.example"},
        ),
        (
            "$create_alias",
            "ada@acme.example",
            {"alias": DEVICE},
            {"anonymous_id": DEVICE, "email": "ada@acme.example"},
        ),
        ("$merge_dangerously", "u-1", {"alias": "u-0"}, {"anonymous_id": "u-0", "contact_id": "u-1"}),
    ],
)
def test_an_alias_links_the_visitors_id_with_the_persons(
    name: str, distinct: str, properties: dict[str, Any], linked: dict[str, Any]
) -> None:
    assert ids(event(properties, event=name, distinct_id=distinct)) == linked


def test_an_alias_of_two_addresses_is_refused_with_what_to_send_instead() -> None:
    with pytest.raises(Rejected, match="identify both under an id that is none") as caught:
        event({"alias": "ada@acme.de"}, event="$create_alias", distinct_id="ada@acme.example")
    assert caught.value.path == "/properties/alias"


def test_the_group_of_the_configured_type_is_the_account() -> None:
    groups = {"$groups": {"company": "acme", "workspace": "w-1"}}
    assert ids(event(groups))["account_id"] == "acme"
    raw = json.dumps({**EVENT, "properties": groups}).encode()
    assert configured(group_type="workspace")(raw, (), "touchpoints")[0][1]["account_id"] == "w-1"


def test_what_is_told_of_a_group_is_told_of_no_person() -> None:
    group = {"$group_type": "company", "$group_key": "acme", "$group_set": {"email": "info@acme.example"}}
    assert ids(event(group, event="$groupidentify")) == {"account_id": "acme"}


def test_utms_are_those_of_the_page_and_not_those_the_browser_kept() -> None:
    kept = {"utm_source": "newsletter"}
    assert "utm_source" not in event({**kept, "$current_url": "https://www.example.com/"})
    assert event(kept)["utm_source"] == "newsletter"


@pytest.mark.parametrize(
    "name",
    [
        "$pageleave", "$autocapture", "$rageclick", "$feature_flag_called", "$web_vitals", "$exception",
        "$snapshot", "$opt_in", "$ai_generation", *sorted(IGNORED),
    ],
)  # fmt: skip
def test_what_posthog_sends_by_itself_becomes_no_message_unless_the_table_has_it(name: str) -> None:
    assert decoded({**EVENT, "event": name}) == []
    raw = json.dumps({**EVENT, "event": name}).encode()
    assert configured({name: "chat"})(raw, (), "touchpoints")[0][1]["type"] == "chat"


@pytest.mark.parametrize("name", sorted(DEFAULT_TRACK_EVENTS))
def test_an_event_of_ones_own_is_looked_up_by_its_exact_name(name: str) -> None:
    assert event(event=name)["type"] == DEFAULT_TRACK_EVENTS[name]
    found = event(event=f"{name}!")
    assert (found["type"], found["direction"], found["title"]) == ("other", "inbound", f"{name}!")


def test_an_event_can_be_ignored() -> None:
    raw = json.dumps({**EVENT, "event": "heartbeat"}).encode()
    assert configured({"heartbeat": "ignore"})(raw, (), "touchpoints") == []


def test_a_table_that_names_no_touch_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'A': 'demo'"):
        configured({"A": "demo"})


NAMES = (
    "uuid event distinct_id timestamp properties person_properties person_mode batch alias email $set $set_once"
    " $groups company $group_type $group_key $group_set $anon_distinct_id $device_id $user_id $is_identified"
    " $current_url $referrer name website domain employees utm_source"
)
LIKELY = st.sampled_from(["ada@acme.example", DEVICE, "company", "{}", "https://www.example.com/"])


@given(
    item=objects(NAMES, LIKELY),
    properties=objects(NAMES, LIKELY),
    name=st.sampled_from(
        ["$pageview", "$identify", "$set", "$create_alias", "$merge_dangerously", "$groupidentify", "x"]
    ),
    timed=st.booleans(),
)
def test_any_json_gives_messages_or_one_reason(
    item: dict[str, Any], properties: dict[str, Any], name: str, timed: bool
) -> None:
    whole = {**EVENT, **item, "event": name, "properties": properties}
    if timed:
        whole["timestamp"] = EVENT["timestamp"]
    for each in (item, whole):
        try:
            found = decoded(each)
        except Rejected as rejected:
            assert rejected.message
        else:
            assert all(fields["source"] == "posthog" for _, fields in found)


@given(raw=st.binary(max_size=60))
def test_any_bytes_give_messages_or_a_decode_error(raw: bytes) -> None:
    try:
        read(raw, (), "touchpoints")
    except Rejected as rejected:
        assert rejected.code == "decode_error"
