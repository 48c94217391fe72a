"""The handlers beside the journey: ingest, coordinator, totals."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from schemas.errors import Rejected
from streams.agents.coordinator import CoordinatorHandler, report
from streams.agents.ingest import KEPT_BYTES, KEPT_KEY_BYTES, IngestHandler, dead_letter
from streams.agents.totals import partial
from streams.effects import Effects, Run, take_over
from streams.engine import EngineSettings
from streams.engine.batches import check_size
from streams.memory.executor import MemoryTable
from streams.memory.log import MemoryRecord
from streams.topology import CONTROL, DEAD_LETTERS, FUNNEL, JOURNAL, PARTIALS
from streams.translate import identifiers
from tests.builders import NOW_MS, service, tables

AT = 1_790_000_000_000
TOUCH = {
    "event_id": "t",
    "type": "page_view",
    "occurred_at": AT,
    "account_id": "acme",
    "email": "Ann@Acme.example",
}


def ingest(value: bytes | None, topic: str = "touchpoints", headers: Any = ()) -> tuple[Effects, Any]:
    made = service()
    record = MemoryRecord(7, 5, b"key", value, headers)
    return made.ingest.handle(Run(topic, 2, [record], NOW_MS), MemoryTable()), made.ingest


def of(effects: Effects, topic: str) -> list[Any]:
    return [output for output in (*effects.outputs, *effects.after) if output.topic == topic]


def test_a_valid_event_becomes_one_journal_record_under_its_account_and_one_watermark_report():
    effects, handler = ingest(orjson.dumps(TOUCH))
    (record,) = of(effects, JOURNAL)
    links, watermark = (orjson.loads(control.value) for control in of(effects, CONTROL))
    assert record.key == b"A:acme"
    assert (links["k"], watermark["w"]) == ("links", AT)
    assert effects.origins == [5]
    assert handler.counts["events_total", "touchpoints", "page_view", "ok"] == 1


def test_an_e_mail_address_leaves_ingest_as_a_keyed_hash_and_its_domain_only():
    effects, _ = ingest(orjson.dumps(TOUCH))
    lead = {
        "event_id": "l",
        "type": "lead_created",
        "occurred_at": AT,
        "lead_id": "L",
        "email": "ann@acme.example",
    }
    leads, _ = ingest(orjson.dumps(lead), "leads")
    for output in (*effects.outputs, *effects.after, *leads.outputs, *leads.after):
        assert b"ann@" not in (output.value or b"").lower()
        assert b"ann@" not in (output.key or b"").lower()
    (record,) = of(effects, JOURNAL)
    *_, ids, email_domain = orjson.loads(record.value)["h"]
    assert email_domain == "acme.example"
    assert [len(each) for each in ids if each.startswith("e:")] == [2 + 64]


def test_what_cannot_be_used_is_a_dead_letter_with_the_original_bytes_and_the_reason():
    effects, _ = ingest(b'{"event_id": "t"', headers=(("source", b"tracker"),))
    (letter,) = of(effects, DEAD_LETTERS)
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (b"key", b'{"event_id": "t"')
    assert headers["source"] == b"tracker"
    assert headers["headwater.error.code"] == b"invalid_json"
    assert headers["__connect.errors.topic"] == b"touchpoints"
    assert (headers["__connect.errors.partition"], headers["__connect.errors.offset"]) == (b"2", b"7")


def test_a_huge_message_is_kept_in_part_so_that_its_dead_letter_can_be_written():
    effects, _ = ingest(b'{"event_id": "' + b"x" * 5_000_000 + b'"}')
    (letter,) = of(effects, DEAD_LETTERS)
    headers = dict(letter.headers)
    assert headers["headwater.error.code"] == b"too_large"
    assert headers["headwater.error.cut_from_bytes"] == b"5000016"
    assert len(letter.value) == KEPT_BYTES


def test_a_huge_key_is_kept_in_part_and_the_dead_letter_says_so():
    letter = dead(key=b"k" * 5_000_000)
    assert letter.key == b"k" * KEPT_KEY_BYTES
    assert dict(letter.headers)["headwater.error.key_cut_from_bytes"] == b"5000000"


def test_headers_that_would_not_fit_are_left_out_and_the_dead_letter_says_how_many():
    letter = dead(
        headers=(("a", b"1"), ("huge", b"x" * 5_000_000), ("none", None), *[("many", b"")] * 100_000)
    )
    headers = dict(letter.headers)
    assert (headers["a"], headers["none"], "huge" in headers) == (b"1", b"", False)
    many = sum(name == "many" for name, _ in letter.headers)
    assert 0 < many < 10_000
    assert headers["headwater.error.headers_left_out"] == str(100_001 - many).encode()


def test_the_largest_dead_letter_fits_a_request_of_the_engine():
    letter = dead(
        value=b"v" * 5_000_000, key=b"k" * 5_000_000, headers=[(f"h{n}", b"x" * 50) for n in range(5_000)]
    )
    item = letter.key, letter.value, list(letter.headers)
    assert check_size(DEAD_LETTERS, [item], EngineSettings("a", "b", "c").max_request_bytes) > 3_500_000


def test_an_ordinary_dead_letter_is_whole_and_says_nothing_of_cuts():
    letter = dead(headers=(("source", b"tracker"),))
    assert (letter.key, letter.value, letter.headers[0]) == (b"key", b"{", ("source", b"tracker"))
    assert not [name for name, _ in letter.headers if "cut" in name or "left_out" in name]


def dead(value: bytes = b"{", key: bytes | None = b"key", headers: Any = ()) -> Any:
    record = MemoryRecord(7, 5, key, value, headers)
    return dead_letter(Run("touchpoints", 2, [record], NOW_MS), record, Rejected("invalid_json", "", "no"))


def test_a_record_that_makes_ingest_fail_is_a_dead_letter_that_says_where_and_the_others_go_on():
    def decode(record: Any, now_ms: int) -> Any:
        good = {**TOUCH, "source": "native"}
        return [
            ("touchpoints", good),
            ("touchpoints", {**good, "url": 7} if record.value == b"bad" else good),
        ]

    handler = IngestHandler({"touchpoints": decode}, tables())
    records = [MemoryRecord(n, 5, b"", value) for n, value in enumerate((b"good", b"bad", b"good"))]
    effects = handler.handle(Run("touchpoints", 0, records, NOW_MS), MemoryTable())
    topics = [output.topic for output in effects.outputs]
    assert topics == [JOURNAL, JOURNAL, DEAD_LETTERS, JOURNAL, JOURNAL, CONTROL, CONTROL]
    headers = dict(of(effects, DEAD_LETTERS)[0].headers)
    assert headers["headwater.error.code"] == b"internal_error"
    assert re.match(
        rb"AttributeError: .+, \w+\.py:\d+; report", headers["__connect.errors.exception.message"]
    )
    assert handler.counts["dead_letters_total", "touchpoints", "internal_error"] == 1
    assert handler.counts["events_total", "touchpoints", "page_view", "ok"] == 4


def test_trace_headers_travel_once_and_only_while_they_are_short():
    kept = ("traceparent", b"00-1-2-01")
    effects, _ = ingest(
        orjson.dumps(TOUCH), headers=(kept, ("traceparent", b"x"), ("tracestate", b"x" * 2_000), ("a", b"b"))
    )
    assert of(effects, JOURNAL)[0].headers == (kept,)


@pytest.mark.parametrize("domain", ["acme.example", "WWW.Acme.EXAMPLE", "Acme.example.", "www.acme.example."])
def test_a_domain_is_one_account_however_it_is_written(domain: str):
    effects, _ = ingest(
        orjson.dumps({"event_id": "t", "type": "page_view", "occurred_at": AT, "domain": domain})
    )
    assert [output.key for output in of(effects, JOURNAL)] == [b"w:acme.example"]


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("Ann@Acme.example", "acme.example"), (" a@b@WWW.Acme.example. ", "acme.example"),
        ("ann", None), ("ann@", None), ("ann@www..", None),
    ],
)  # fmt: skip
def test_only_what_stands_behind_the_at_sign_of_an_address_is_kept_readable(email: str, domain: str | None):
    ids = identifiers({"email": email}, b"key")
    assert ids.get("email_domain") == domain
    assert ids.keys() <= {"email_hash", "email_domain"} and len(ids["email_hash"]) == 64


def test_a_null_value_is_ignored_and_counted():
    effects, handler = ingest(None)
    assert [output.topic for output in effects.outputs] == [CONTROL]
    assert handler.counts["events_total", "touchpoints", "", "null"] == 1


def test_a_bot_is_counted_and_is_no_fact():
    bot = {**TOUCH, "user_agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    effects, handler = ingest(orjson.dumps(bot))
    assert [output.topic for output in effects.outputs] == [CONTROL]
    assert handler.counts["events_total", "touchpoints", "page_view", "bot"] == 1


def test_a_later_patch_without_account_stays_under_its_deal():
    effects, _ = ingest(orjson.dumps({
        "event_id": "d", "type": "deal_updated", "occurred_at": AT, "deal_id": "D", "contact_ids": ["c"],
    }), "deals")  # fmt: skip
    assert [output.key for output in of(effects, JOURNAL)] == [b"d:D"]


def coordinate(
    handler: CoordinatorHandler, now: int, *reports: tuple[str, int] | tuple[str, int, int]
) -> list[int]:
    """Watermarks of the ticks that a run of reports causes, one per journal partition."""
    records = [
        MemoryRecord(n, now, b"", report(source, 0, watermark, now, *left).value)
        for n, (source, watermark, *left) in enumerate(reports)
    ]
    effects = handler.handle(Run(CONTROL, 0, records, now), MemoryTable())
    return [orjson.loads(output.value)["w"] for output in effects.outputs]


def coordinator(**timing: int) -> CoordinatorHandler:
    """One that has known its sources for long."""
    made = CoordinatorHandler(2, **timing)
    take_over(made, 0, MemoryTable())
    made.wait_until = 0
    return made


def test_the_watermark_is_the_least_of_the_live_sources_and_goes_to_every_journal_partition():
    assert coordinate(coordinator(), 10_000, ("a", 500), ("b", 300)) == [300, 300]


def test_a_silent_source_no_longer_holds_time_back():
    handler = coordinator(idle_ms=5_000)
    coordinate(handler, 10_000, ("a", 500), ("b", 300))
    assert coordinate(handler, 16_000, ("a", 700)) == [700, 700]


def test_when_all_are_silent_the_furthest_counts():
    handler = coordinator(idle_ms=5_000)
    coordinate(handler, 10_000, ("a", 500), ("b", 300))
    effects = handler.interval(0, 20_000, MemoryTable())
    assert effects is not None
    assert {orjson.loads(output.value)["w"] for output in effects.outputs} == {500}


def test_the_watermark_never_goes_back_and_ticks_keep_their_distance():
    handler = coordinator(tick_ms=1_000)
    assert coordinate(handler, 10_000, ("a", 500)) == [500, 500]
    assert coordinate(handler, 10_500, ("a", 600)) == []
    assert coordinate(handler, 11_000, ("b", 100)) == []
    assert coordinate(handler, 12_000, ("b", 700)) == [600, 600]


def test_a_new_owner_knows_what_the_old_one_knew():
    handler, table = coordinator(), MemoryTable()
    records = [MemoryRecord(0, 0, b"", report("a", 0, 500, 10_000).value)]
    table.apply(handler.handle(Run(CONTROL, 0, records, 10_000), table).state)
    successor = coordinator()
    take_over(successor, 0, table)
    assert (successor.watermark, successor.sources) == (500, {"a/0": (500, 10_000, 0)})
    assert coordinate(successor, 12_000, ("a", 700)) == [700, 700]


def test_a_new_installation_gives_every_source_time_to_speak():
    made = CoordinatorHandler(2, idle_ms=5_000)
    take_over(made, 0, MemoryTable())
    assert coordinate(made, 10_000, ("a", 500)) == []
    assert coordinate(made, 12_000, ("b", 300)) == []
    assert coordinate(made, 15_000, ("a", 600)) == [300, 300]


def test_a_silent_source_in_which_records_wait_holds_time_back_until_it_is_given_up():
    made = coordinator(idle_ms=5_000)
    assert coordinate(made, 10_000, ("a", 500), ("b", 300, 7)) == [300, 300]
    assert coordinate(made, 60_000, ("a", 700)) == []
    assert made.stuck == frozenset()
    assert coordinate(made, 111_000, ("a", 800)) == [800, 800]
    assert made.stuck == {"b/0"}


def test_a_source_of_dead_letters_alone_holds_nobody_back():
    assert coordinate(coordinator(), 10_000, ("a", 500), ("b", 0)) == [500, 500]


def totals(table: MemoryTable, *partials: Any) -> list[dict[str, Any]]:
    handler = service().totals
    records = [MemoryRecord(n, 0, p.key, p.value) for n, p in enumerate(partials)]
    effects = handler.handle(Run(PARTIALS, 0, records, 0), table)
    table.apply(effects.state)
    return [orjson.loads(o.value) for o in of(effects, FUNNEL) if o.value]


METRIC = "stage|default|qualification"


def test_totals_add_the_partitions_and_keep_the_latest_of_each():
    table = MemoryTable()
    first = totals(table, partial(METRIC, 0, 5, [2, 1, 0, 3]), partial(METRIC, 1, 9, [1, 0, 1, 1]))
    assert [(row["reached"], row["converted"], row["lost"]) for row in first] == [(3, 1, 1)]
    again = totals(table, partial(METRIC, 0, 7, [4, 2, 0, 5]))
    assert [(row["reached"], row["converted"]) for row in again] == [(5, 2)]


def test_a_partial_that_comes_again_changes_nothing():
    table = MemoryTable()
    totals(table, partial(METRIC, 0, 5, [2, 1, 0, 3]))
    assert totals(table, partial(METRIC, 0, 4, [9, 9, 9, 9]), partial(METRIC, 0, 5, [2, 1, 0, 3])) == []


def test_a_pipeline_without_deals_loses_its_rows():
    table = MemoryTable()
    totals(table, partial(METRIC, 0, 5, [1, 0, 0, 1]))
    (row,) = totals(table, partial(METRIC, 0, 6, [0, 0, 0, 0]))
    assert row["is_deleted"] == 1


@pytest.mark.parametrize(
    "value",
    [b"\xff\xfe\x00garbage", b"[]", b"7", b'{"k":"watermark"}', b'{"k":"watermark","source":"s","w":"x"}'],
)
def test_what_is_no_report_is_passed_over_by_the_coordinator(value: bytes):
    handler = coordinator(tick_ms=0, idle_ms=0)
    stray = MemoryRecord(0, 0, b"", value)
    well = MemoryRecord(1, 0, b"", report("touchpoints", 0, 900, 1_000).value)
    effects = handler.handle(Run(CONTROL, 0, [stray, well], 1_000), MemoryTable())
    assert [orjson.loads(output.value)["w"] for output in effects.outputs] == [900, 900]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"stage|default|a", b"\xff\xfe\x00garbage"), (b"stage|default|a", b"[]"), (b"stage|default|a", b'{"p":0}'),
        (b"stage|default|a", b'{"p":0,"o":1,"v":[1]}'), (b"stage", b'{"p":0,"o":1,"v":[1,2,3,4]}'),
        (b"\xff", b'{"p":0,"o":1,"v":[1,2,3,4]}'), (b"stage|default|a", b'{"p":0,"o":1,"v":["a","b","c","d"]}'),
    ],
)  # fmt: skip
def test_what_is_no_partial_sum_is_a_dead_letter(key: bytes, value: bytes):
    handler = service().totals
    effects = handler.handle(Run(PARTIALS, 0, [MemoryRecord(0, 0, key, value)], 0), MemoryTable())
    (letter,) = effects.outputs
    assert letter.topic == DEAD_LETTERS
    assert dict(letter.headers)["headwater.error.code"] == b"decode_error"
    assert not effects.state


def test_a_fact_that_claims_domains_is_written_behind_the_report_of_its_claims() -> None:
    made = service()
    message = {**TOUCH, "type": "account_updated", "account_id": "x", "contact_id": "c", "domains": ["d.com"]}
    record = MemoryRecord(0, 5, None, orjson.dumps(message))
    effects = made.ingest.handle(Run("leads", 0, [record], NOW_MS), MemoryTable())
    assert [output.topic for output in effects.after] == [JOURNAL]
    assert orjson.loads(of(effects, CONTROL)[0].value or b"")["k"] == "links"


def test_a_link_whose_fact_could_not_be_used_is_reported_with_the_next_one() -> None:
    def decode(record: Any, now_ms: int) -> Any:
        good = {**TOUCH, "source": "native", "anonymous_id": "v"}
        return [("touchpoints", {**good, "url": 7} if record.value == b"bad" else good)]

    handler = IngestHandler({"touchpoints": decode}, tables())
    for value in (b"bad", b"good", b"good"):
        effects = handler.handle(
            Run("touchpoints", 0, [MemoryRecord(0, 5, b"", value)], NOW_MS), MemoryTable()
        )
        told = [orjson.loads(output.value or b"")["k"] for output in of(effects, CONTROL)]
        assert ("links" in told) is (value == b"good" and not handler.counts["told"])
        handler.counts["told"] += value == b"good"


def test_totals_that_lack_a_partition_do_not_take_the_place_of_those_that_have_its_first_record():
    totals = service().totals
    fewer, more = orjson.dumps({"1": [1, 5]}), orjson.dumps({"1": [1, 5], "0": [0, 7]})
    assert totals.newer(b"stage|default|x", fewer, more)
    assert not totals.newer(b"stage|default|x", more, fewer)
