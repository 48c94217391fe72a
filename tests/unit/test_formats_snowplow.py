"""Snowplow's enriched events and tracker payloads as native messages."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.context import Context
from schemas.formats import decoder_of
from schemas.formats.snowplow import CLICK_IDS, DEFAULT_TRACK_EVENTS, IGNORED, read, with_track_events
from schemas.formats.snowplow_columns import COLUMNS, PARAMETERS, PLACES
from schemas.inbound import Rejected
from tests.unit.format_strategies import objects

CONTEXT = Context(now_ms=1_800_000_000_000, pipelines={}, currencies={"EUR": 2})
LINE = (Path(__file__).parent / "data" / "formats" / "snowplow" / "page_view.tsv").read_text()
PAYLOAD = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
EVENT = {"e": "pv", "eid": "e-1", "duid": "v-1", "dtm": "1772359200123", "tv": "js-4.6.0"}
SELF_DESCRIBING = {
    "schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
    "data": {"schema": "iglu:com.acme/demo_requested/jsonschema/1-0-0", "data": {}},
}


def line(**change: str) -> bytes:
    """The golden page view with other values in some columns."""
    values = LINE.split("\t")
    for name, value in change.items():
        values[PLACES[name]] = value
    return "\t".join(values).encode()


def decoded(raw: bytes) -> list[dict[str, Any]]:
    return [found for _, found in decoder_of(read)("touchpoints", raw, (), CONTEXT)]


def event(**change: str) -> dict[str, Any]:
    (found,) = decoded(line(**change))
    return found


def payload(*items: object) -> bytes:
    return json.dumps({"schema": PAYLOAD, "data": list(items)}).encode()


def refused(raw: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        read(raw, (), "touchpoints")
    assert caught.value.code == "decode_error"
    return caught.value


def test_the_columns_stand_where_the_documentation_of_the_format_has_them() -> None:
    documented = {
        3: "collector_tstamp", 5: "event", 6: "event_id", 12: "user_id", 15: "domain_userid",
        17: "network_userid", 29: "page_url", 31: "page_referrer", 47: "mkt_medium", 51: "mkt_campaign",
        52: "contexts", 58: "unstruct_event", 77: "useragent", 116: "mkt_clickid", 117: "mkt_network",
        123: "domain_sessionid", 124: "derived_tstamp", 126: "event_name", 130: "true_tstamp",
    }  # fmt: skip
    assert {place: COLUMNS[place] for place in documented} == documented
    assert len(set(COLUMNS)) == 131
    assert set(PARAMETERS.values()) <= set(COLUMNS)


def test_a_line_and_the_json_that_the_analytics_sdk_makes_of_it_are_the_same_fact() -> None:
    values = {name: value for name, value in zip(COLUMNS, LINE.split("\t"), strict=True) if value}
    times = {
        name: f"{value.replace(' ', 'T')}Z" for name, value in values.items() if name.endswith("_tstamp")
    }
    assert decoded(json.dumps({**values, **times}).encode()) == decoded(LINE.encode())


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_line_may_end_as_lines_of_files_do(ending: str) -> None:
    assert decoded(LINE.encode() + ending.encode()) == decoded(LINE.encode())


@pytest.mark.parametrize("columns", [1, 130])
def test_a_line_with_too_few_columns_is_told_how_many_it_has(columns: int) -> None:
    error = refused("\t".join(LINE.split("\t")[:columns]).encode())
    assert f"{columns} columns instead of 131" in error.message


def test_columns_that_a_newer_enrichment_adds_are_passed_over() -> None:
    assert decoded(LINE.encode() + b"\tnew\tnewer") == decoded(LINE.encode())


def test_a_tab_inside_a_value_does_not_move_the_columns_behind_it() -> None:
    error = refused(line(page_title="Pric\ting"))
    assert error.path == "/event_format"
    assert "132 columns instead of 131" in error.message
    assert "tab" in error.message


@pytest.mark.parametrize(
    ("raw", "path", "said"),
    [
        (b"", "", "1 columns instead of 131"),
        (b"\xff" + LINE.encode(), "", "not UTF-8"),
        (LINE.encode() + b"\n" + LINE.encode(), "", "several lines"),
        (line(event="pageview"), "/event", "use page_view"),
        (line(event=""), "/event", "use page_view"),
        (line(true_tstamp="yesterday"), "/true_tstamp", "send UTC"),
        (line(derived_tstamp="2026-03-01"), "/derived_tstamp", "send UTC"),
        (line(derived_tstamp="1970-01-01 00:00:00.000"), "/derived_tstamp", "before the year 2000"),
        (line(derived_tstamp="", collector_tstamp=""), "/derived_tstamp", "there is no time"),
        (line(event="struct"), "/se_category", "se_category"),
        (line(event="unstruct", event_name="", unstruct_event="{"), "/unstruct_event", "not JSON"),
        (line(event="unstruct", event_name=""), "/unstruct_event", "no JSON text"),
        (
            line(event="unstruct", event_name="", unstruct_event='{"data":{"schema":"x"}}'),
            "/unstruct_event",
            "iglu:com.acme",
        ),
        (line(domain_userid="", contexts="[]"), "/contexts", "object"),
        (line(domain_userid="", contexts='{"data":5}'), "/contexts", "list of entities"),
        (b"{", "", "not JSON"),
        (b"{}", "/event", "neither an enriched event"),
        (b'{"event": "page_view"}', "/derived_tstamp", "there is no time"),
        (b'{"event": "page_view", "derived_tstamp": 5.5}', "/derived_tstamp", "send UTC"),
        (b'{"event": ["page_view"]}', "/event", "is no kind of event"),
        (b'{"event": "unstruct", "derived_tstamp": "2026-03-01T10:00:00Z"}', "/event_name", "event_name"),
        (b'{"schema": 5}', "/schema", "payload_data"),
        (
            b'{"schema": "iglu:com.snowplowanalytics.snowplow.badrows/schema_violations/jsonschema/2-0-0"}',
            "/schema",
            "badrows",
        ),
        (json.dumps({"schema": PAYLOAD}).encode(), "/data", "list of events"),
        (payload(), "/data", "list of events"),
        (payload(5), "/data/0", "object of parameters"),
        (payload(EVENT, {**EVENT, "e": "xx"}), "/data/1/e", "use one of pv"),
        (payload({**EVENT, "dtm": "soon"}), "/data/0/dtm", "dtm is"),
        (payload({**EVENT, "ttm": "soon"}), "/data/0/ttm", "ttm is"),
        (payload({"e": "pv", "eid": "e"}), "/data/0/dtm", "send dtm"),
        (payload({**EVENT, "e": "se"}), "/data/0/se_ca", "text"),
        (payload({**EVENT, "e": "ue"}), "/data/0/ue_pr", "JSON text"),
        (payload({**EVENT, "e": "ue", "ue_px": "é"}), "/data/0/ue_px", "not base64"),
        (payload({**EVENT, "e": "ue", "ue_px": 5}), "/data/0/ue_px", "JSON"),
        (payload({**EVENT, "e": "ue", "ue_px": "gICA"}), "/data/0/ue_px", "not base64 of UTF-8"),
        (payload({**EVENT, "duid": None, "cx": "e30"}), "/data/0/cx", "list of entities"),
    ],
)
def test_what_does_not_decode_is_refused_with_the_place_and_the_remedy(
    raw: bytes, path: str, said: str
) -> None:
    error = refused(raw)
    assert error.path == path
    assert said in error.message


def test_a_time_that_the_site_gave_goes_before_the_corrected_one_and_that_before_the_collectors() -> None:
    given_time = event(true_tstamp="2026-03-01 09:00:00.000")["occurred_at"]
    corrected = event()["occurred_at"]
    collected = event(derived_tstamp="")["occurred_at"]
    assert (given_time, corrected, collected) == (1_772_355_600_000, 1_772_359_200_123, 1_772_359_201_500)


def test_an_event_that_enrichment_wrote_twice_has_one_identity() -> None:
    ids = {event(event_fingerprint=print_)["event_id"] for print_ in ("a", "b")}
    assert len(ids) == 1


def test_the_visitor_is_the_sites_cookie_else_the_collectors() -> None:
    assert event(domain_userid="own", network_userid="third")["anonymous_id"] == "own"
    assert event(domain_userid="", network_userid="third")["anonymous_id"] == "third"


def test_a_server_keeps_no_cookies_so_the_collectors_id_stands_only_for_nobody_else() -> None:
    server = {"domain_userid": "", "network_userid": "drawn", "platform": "srv"}
    assert "anonymous_id" not in event(**server, user_id="u-1")
    assert event(**server)["anonymous_id"] == "drawn"


@pytest.mark.parametrize("tracker", ["py-1.1.0", "node-4.8.0", "java-2.1.0"])
def test_the_user_agent_of_a_server_is_not_that_of_the_visitor(tracker: str) -> None:
    assert "user_agent" not in event(v_tracker=tracker)
    assert "user_agent" in event(v_tracker="js-4.6.0")


def test_a_user_agent_that_a_server_passed_on_is_the_visitors() -> None:
    (found,) = decoded(payload({**EVENT, "tv": "py-1.1.0", "p": "srv", "ua": "Mozilla/5.0"}))
    assert found["user_agent"] == "Mozilla/5.0"


def test_a_user_id_is_an_address_or_a_contact() -> None:
    assert event(user_id="u-1")["contact_id"] == "u-1"
    found = event(user_id="Ada@acme.example")
    assert found["email"] == "ada@acme.example"
    assert "contact_id" not in found


@pytest.mark.parametrize(("network", "name"), CLICK_IDS.items())
def test_a_click_id_has_the_name_that_its_network_gives_it(network: str, name: str) -> None:
    found = event(mkt_network=network, mkt_clickid="AbC")
    assert (found["click_id"], found["click_id_type"]) == ("AbC", name)


def test_a_click_id_of_an_unknown_network_is_left_to_the_address_of_the_page() -> None:
    assert "click_id" not in event(mkt_network="Ours", mkt_clickid="AbC")


@pytest.mark.parametrize("name", sorted(IGNORED - {"page_ping", "transaction_item"}))
def test_what_is_no_contact_becomes_no_message_unless_the_table_has_it(name: str) -> None:
    raw = line(event="unstruct", event_name=name)
    assert read(raw, (), "touchpoints") == []
    ((_, found),) = with_track_events({name: "chat"})(raw, (), "touchpoints")
    assert found["type"] == "chat"


@pytest.mark.parametrize("name", sorted(DEFAULT_TRACK_EVENTS))
def test_a_self_describing_event_is_looked_up_by_name_or_by_vendor_and_name(name: str) -> None:
    vendor, _, bare = name.rpartition("/")
    assert event(event="unstruct", event_name=bare, event_vendor=vendor)["type"] == DEFAULT_TRACK_EVENTS[name]


def test_the_more_exact_name_of_the_table_wins() -> None:
    read_own = with_track_events({"play": "webinar", "video/play": "download", "com.acme/play": "chat"})
    struct = line(event="struct", se_category="video", se_action="play")
    assert read_own(struct, (), "touchpoints")[0][1]["type"] == "download"
    described = line(event="unstruct", event_name="play", event_vendor="com.acme")
    assert read_own(described, (), "touchpoints")[0][1]["type"] == "chat"
    assert (
        read_own(line(event="struct", se_category="x", se_action="play"), (), "t")[0][1]["type"] == "webinar"
    )


def test_an_event_can_be_ignored_and_a_page_view_too() -> None:
    assert with_track_events({"page_view": "ignore"})(LINE.encode(), (), "touchpoints") == []


def test_a_table_that_names_no_touch_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'A': 'demo'"):
        with_track_events({"A": "demo"})


@pytest.mark.parametrize("padded", [True, False])
def test_a_self_describing_event_of_a_tracker_is_read_plain_and_from_base64(padded: bool) -> None:
    text = json.dumps(SELF_DESCRIBING)
    encoded = base64.urlsafe_b64encode(text.encode()).decode()
    items = ({"ue_pr": text}, {"ue_px": encoded if padded else encoded.rstrip("=")})
    found = decoded(payload(*({**EVENT, "e": "ue", **item} for item in items)))
    assert [each["title"] for each in found] == ["demo_requested", "demo_requested"]


NAMES = (
    "event event_id event_name event_vendor user_id domain_userid derived_tstamp true_tstamp schema data e eid"
    " dtm ttm ue_pr ue_px co cx se_ca se_ac contexts_com_snowplowanalytics_snowplow_client_session_1 userId"
    " platform v_tracker mkt_network mkt_clickid useragent uid duid tv p"
)
LIKELY = st.sampled_from(
    [
        "page_view",
        "unstruct",
        "struct",
        "pv",
        "ue",
        "se",
        PAYLOAD,
        "1772359200123",
        json.dumps(SELF_DESCRIBING),
    ]
)


@given(body=objects(NAMES, LIKELY))
def test_any_json_gives_messages_or_one_reason(body: dict[str, Any]) -> None:
    for raw in (json.dumps(body), json.dumps({"schema": PAYLOAD, "data": [body]})):
        try:
            found = decoded(raw.encode())
        except Rejected as rejected:
            assert rejected.message
        else:
            assert all(each["source"] == "snowplow" for each in found)


@given(
    change=st.dictionaries(st.integers(0, 130), st.text(max_size=20) | LIKELY, max_size=6),
    cut=st.integers(0, 140),
)
def test_any_line_gives_messages_or_one_reason(change: dict[int, str], cut: int) -> None:
    values = [*LINE.split("\t"), *("x" * 9)]
    for place, value in change.items():
        values[place] = value
    try:
        found = decoded("\t".join(values[:cut]).encode(errors="surrogatepass"))
    except Rejected as rejected:
        assert rejected.message
    else:
        assert cut >= 131
        assert len(found) <= 1


@given(raw=st.binary(max_size=60))
def test_any_bytes_give_messages_or_a_decode_error(raw: bytes) -> None:
    refused(raw)
