"""The generated world: the same from the same seed, believable, readable but for a few, and in order."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from schemas.errors import Rejected
from schemas.events import IDENTIFIERS, OUTBOUND_TOUCHES
from schemas.inbound import decode
from streams.files import Line
from streams.generator import SPAN_MS, Message, generate
from streams.reference_data import bot_matcher
from streams.score import Scorer, Summary
from tests.builders import NOW_MS, context, service

DAY_MS = 86_400_000
END_MS = NOW_MS - DAY_MS
EVENTS = 8_000
SEED = 7
INTENDED = {
    "invalid_json", "unknown_stage", "invalid_timestamp", "invalid_amount", "unknown_type", "missing_field",
}  # fmt: skip


class World(NamedTuple):
    messages: list[Message]
    valid: list[tuple[Message, dict[str, Any]]]
    codes: Counter[str]


@cache
def world(seed: int = SEED, events: int = EVENTS) -> World:
    messages = list(generate(seed, events, END_MS))
    valid, codes = [], Counter[str]()
    for message in messages:
        try:
            valid.append((message, decode(message.topic, message.value, context())))
        except Rejected as rejected:
            codes[rejected.code] += 1
    return World(messages, valid, codes)


@cache
def by_identity() -> dict[str, list[dict[str, Any]]]:
    """Event id -> the valid events that carry it, as they arrive."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _, event in world().valid:
        found.setdefault(event["event_id"], []).append(event)
    return found


def firsts() -> list[dict[str, Any]]:
    """Every valid event once, without repetitions."""
    return [min(copies, key=lambda event: event["occurred_at"]) for copies in by_identity().values()]


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert list(generate(SEED, 2_000, END_MS)) == list(generate(SEED, 2_000, END_MS))


def test_the_same_world_a_few_weeks_later_is_only_moved() -> None:
    weeks = 5 * 7 * DAY_MS
    here, there = list(generate(SEED, 3_000, END_MS)), list(generate(SEED, 3_000, END_MS + weeks))
    assert [moved(message, weeks) for message in here] == [moved(message, 0) for message in there]


def moved(message: Message, by_ms: int) -> tuple[str, bytes, bytes]:
    """The message with every instant and day moved."""

    def later(found: re.Match[bytes]) -> bytes:
        at = datetime.fromisoformat(found[0].decode()) + timedelta(milliseconds=by_ms)
        return at.isoformat(timespec="milliseconds").encode()

    days = rb"(?<=\")\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d\.\d{3})?(?=Z?\")"
    return message.topic, message.key, re.sub(days, later, message.value)


def test_another_seed_gives_another_world() -> None:
    one, other = (list(generate(seed, 500, END_MS)) for seed in (1, 2))
    assert {message.value for message in one}.isdisjoint(message.value for message in other)


@pytest.mark.parametrize("events", [0, 1, 2, 17, 500, 1_234, 5_000])
@pytest.mark.parametrize("seed", [0, 3, -5])
def test_there_are_exactly_as_many_messages_as_asked_for(events: int, seed: int) -> None:
    assert sum(1 for _ in generate(seed, events, END_MS)) == events


def test_only_the_intended_share_is_refused_and_for_each_intended_reason() -> None:
    codes = world().codes
    assert set(codes) == INTENDED
    assert 0.001 < codes.total() / EVENTS < 0.006


def test_events_fill_the_span_and_end_shortly_before_its_end() -> None:
    instants = [event["occurred_at"] for _, event in world().valid]
    assert END_MS - SPAN_MS <= min(instants) < END_MS - SPAN_MS + 7 * DAY_MS
    assert END_MS - 2 * DAY_MS < max(instants) < END_MS


def test_few_events_come_out_of_order_and_none_by_more_than_a_week() -> None:
    latest, behind = 0, []
    for _, event in world().valid:
        behind.append(max(0, latest - event["occurred_at"]))
        latest = max(latest, event["occurred_at"])
    assert max(behind) <= 7 * DAY_MS
    assert 0.003 < sum(lag > 12 * 3_600_000 for lag in behind) / len(behind) < 0.02
    assert sum(lag > 120_000 for lag in behind) / len(behind) < 0.04


def test_every_event_is_known_by_its_account_or_by_a_browser_alone() -> None:
    for _, event in world().valid:
        ids = {name for name in IDENTIFIERS if name in event}
        assert "account_id" in ids or ids == {"anonymous_id"} or event["type"] == "spend"


def test_a_browser_names_its_account_from_its_identification_on_and_never_before() -> None:
    seen = firsts()
    identified = {e["anonymous_id"]: e["occurred_at"] for e in seen if e["type"] == "contact_identified"}
    assert len(identified) > 50
    named = Counter[bool]()
    for event in seen:
        since = identified.get(event.get("anonymous_id", ""))
        if since is not None:
            assert ("account_id" in event) == (event["occurred_at"] >= since)
            named["account_id" in event] += 1
    assert min(named[True], named[False]) > 100


def test_some_visitors_never_say_who_they_are() -> None:
    visitors = {e["anonymous_id"] for e in firsts() if "anonymous_id" in e}
    identified = {e["anonymous_id"] for e in firsts() if e["type"] == "contact_identified"}
    assert len(visitors - identified) > 50


def test_the_key_is_the_account_or_else_the_first_identifier() -> None:
    for message, event in world().valid:
        name = next((n for n in ("account_id", *IDENTIFIERS) if n in event), "channel")
        assert message.key.decode() == event[name]


def test_an_event_id_comes_twice_only_as_a_repetition_within_a_day() -> None:
    repeated = [copies for copies in by_identity().values() if len(copies) > 1]
    shifts = []
    for copies in repeated:
        assert len(copies) == 2
        one, other = ({k: v for k, v in copy.items() if k != "occurred_at"} for copy in copies)
        assert one == other
        shifts.append(abs(copies[0]["occurred_at"] - copies[1]["occurred_at"]))
    assert max(shifts) < DAY_MS
    assert min(shifts.count(0), len(shifts) - shifts.count(0)) > 20


def test_only_crawlers_carry_the_user_agent_of_a_bot() -> None:
    is_bot = bot_matcher()
    bots = [event for _, event in world().valid if is_bot(event.get("user_agent", ""))]
    assert 0.005 < len(bots) / EVENTS < 0.03
    assert all(event["anonymous_id"].startswith("crawl-") for event in bots)


def test_every_type_but_merges_and_erasure_occurs() -> None:
    types = {event["type"] for event in firsts()}
    assert {
        *OUTBOUND_TOUCHES, "page_view", "ad_click", "ad_impression", "email_open", "email_click", "email_reply",
        "call_answered", "meeting", "form_submit", "demo_request", "webinar", "download", "chat",
        "event_attended", "spend", "lead_created", "lead_qualified", "lead_disqualified", "lead_feedback",
        "contact_identified", "account_updated", "deal_updated", "deal_deleted", "refund", "mrr_movement",
    } <= types  # fmt: skip


def test_outbound_touches_name_who_reached_out() -> None:
    outbound = [event for event in firsts() if event["type"] in OUTBOUND_TOUCHES]
    assert len(outbound) > 500
    assert all(event["team"] == "sales" and event["rep_id"] and event["contact_id"] for event in outbound)


def test_deals_run_through_both_pipelines_in_three_currencies_and_yen_have_no_decimals() -> None:
    deals = [event for event in firsts() if event["type"] == "deal_updated"]
    assert {event["pipeline"] for event in deals if "pipeline" in event} == {"default", "hubspot"}
    assert {event["currency"] for event in deals if "currency" in event} == {"EUR", "USD", "JPY"}
    assert all("lead_ids" in event and event["contact_ids"] for event in deals if "pipeline" in event)
    raw = [orjson.loads(message.value) for message, event in world().valid if event.get("currency") == "JPY"]
    assert raw
    assert all(event["amount"].isdecimal() for event in raw)


def test_a_deal_is_patched_only_after_it_was_opened() -> None:
    opened: dict[str, int] = {}
    for event in sorted(firsts(), key=lambda each: each["occurred_at"]):
        if event["type"] == "deal_updated" and "pipeline" in event:
            assert event["deal_id"] not in opened
            opened[event["deal_id"]] = event["occurred_at"]
        elif "deal_id" in event:
            assert event["deal_id"] in opened
    assert len(opened) > 40


@pytest.mark.parametrize("events", [500, 40_000])
def test_the_mix_does_not_depend_on_the_number_of_events(events: int) -> None:
    def shares(messages: list[Message]) -> dict[str, float]:
        counts = Counter(message.topic for message in messages)
        return {topic: count / len(messages) for topic, count in counts.items()}

    expected, other = shares(world().messages), shares(list(generate(SEED, events, END_MS)))
    assert other == pytest.approx(expected, rel=0.35)


def test_companies_do_not_share_a_name() -> None:
    updates = [event for event in firsts() if event["type"] == "account_updated"]
    assert len({event["name"] for event in updates}) == len(updates) > 100
    assert len({event["account_id"] for event in updates}) == len(updates)


def scored(out: Path) -> tuple[Summary, dict[str, list[dict[str, Any]]]]:
    """What the offline service makes of the world: its summary, and the final rows by topic."""
    scorer = Scorer(service(), out, final=True)
    for number, message in enumerate(world().messages, 1):
        scorer.feed(Line(message.topic, "generated", number, message.value))
    summary = scorer.finish(None)
    topics = ("attribution-credits", "account-alerts")
    return summary, {
        topic: [orjson.loads(line) for line in (out / f"{topic}.ndjson").read_bytes().splitlines()]
        for topic in topics
    }


def test_the_service_finds_customers_and_every_kind_of_alert(tmp_path: Path) -> None:
    summary, rows = scored(tmp_path)
    won = {row["conversion_id"] for row in rows["attribution-credits"] if row["conversion"] == "won"}
    kinds = Counter(row["kind"] for row in rows["account-alerts"])
    reasons = {(row["kind"], row["reason"]) for row in rows["account-alerts"]}
    channels = {row["channel"] for row in rows["attribution-credits"]}
    assert len(won) >= 20
    assert kinds["cooled"] >= 20
    assert min(kinds["rewarmed"], kinds["stuck_deal"], kinds["follow_up_missed"]) >= 5
    assert {("cooled", "energy"), ("cooled", "unanswered"), ("rewarmed", "high_intent")} <= reasons
    assert {"AI Assistant", "Organic Search", "Paid Search", "Paid Social", "Referral", "Email"} <= channels
    assert summary.dead_letters == world().codes.total()
    assert min(summary.bots, summary.duplicates) > 20
