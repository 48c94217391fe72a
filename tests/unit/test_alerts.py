"""The alert set of an account, its rows and the timers that change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revenue_core import follow_up, temperature
from revenue_core.alerts import Alerts, alerts, at_risk, deal_due, won_instants
from revenue_core.config import CoreConfig
from revenue_core.deal_fold import fold_deal
from revenue_core.deals import Deal
from revenue_core.facts import DAY_MS, OUTBOUND_TYPES, Fact, Journey, Touch
from revenue_core.probability.rows import expected_value

CONFIG = CoreConfig()
START = 1_700_006_400_000  # 2023-11-15T00:00:00Z

COLUMNS = [
    "alert_id", "account_id", "deal_id", "kind", "at", "at_ms", "reason", "last_touch_id",
    "last_touch_channel", "unanswered", "days_silent", "reviver_touch_id", "reviver_channel",
    "reviver_campaign", "days_cold", "open_deals", "amount_at_risk_minor", "expected_value_at_risk_minor",
    "currency",
]  # fmt: skip


def day(number: float) -> int:
    return START + round(number * DAY_MS)


def touch(number: float, kind: str, name: str = "", channel: str = "Direct", campaign: str = "") -> Touch:
    touch_id = f"native:{name or f'{number}-{kind}'}"
    return Touch(day(number), touch_id, kind, kind not in OUTBOUND_TYPES, channel, campaign)


def patch(number: float, deal_id: str, kind: str = "deal_updated", **fields: Any) -> Fact:
    event_id = f"{deal_id}-{number}"
    return Fact(day(number), "native", event_id, kind, f"native:{event_id}", {"deal_id": deal_id, **fields})


WARM_UP = (touch(0, "page_view"), touch(1, "form_submit"), touch(2, "meeting", "m", "Events"))
"""Warm on day 2 at its peak: cools on day 30."""


def journey(*facts: Fact | Touch) -> Journey:
    deals: dict[str, list[Fact]] = {}
    for fact in facts:
        if isinstance(fact, Fact):
            deals.setdefault(fact.body["deal_id"], []).append(fact)
    return Journey("acme", touches=sorted(f for f in facts if isinstance(f, Touch)), deals=deals)


def folds(found: Journey) -> dict[str, Deal]:
    folded = {deal_id: fold_deal(deal_id, facts, CONFIG) for deal_id, facts in found.deals.items()}
    return {deal_id: deal for deal_id, deal in folded.items() if deal is not None}


def next_due(deals: Mapping[str, Deal], found: Alerts, now: int) -> int | None:
    """Earliest timer of an account."""
    dues = (
        temperature.due(found.temperature, CONFIG.temperature),
        follow_up.due(found.follow_up, CONFIG.temperature),
        deal_due(deals, CONFIG, now),
    )
    return min((at for at in dues if at is not None), default=None)


def prior_value(deal: Deal, at: int) -> int:
    return expected_value(deal, at, CONFIG)


def run_at(now: int, *facts: Fact | Touch) -> Alerts:
    found = journey(*facts)
    return alerts(found, folds(found), CONFIG, now, prior_value)


def run(*facts: Fact | Touch, now: float) -> Alerts:
    return run_at(day(now), *facts)


def rows(*facts: Fact | Touch, now: float) -> Mapping[str, dict[str, Any]]:
    return run(*facts, now=now).rows


def test_a_cooled_row_carries_every_column_that_belongs_to_it() -> None:
    risk = patch(3, "d1", stage="qualification", amount="1000.00", currency="EUR")
    found = rows(*WARM_UP, touch(5, "email_sent"), risk, now=30)
    assert found == {
        f"acme:cooled:{day(30)}": {
            "alert_id": f"acme:cooled:{day(30)}",
            "account_id": "acme",
            "deal_id": "",
            "kind": "cooled",
            "at": "2023-12-15T00:00:00.000Z",
            "at_ms": day(30),
            "reason": "energy",
            "last_touch_id": "native:m",
            "last_touch_channel": "Events",
            "unanswered": 1,
            "days_silent": 28,
            "reviver_touch_id": "",
            "reviver_channel": "",
            "reviver_campaign": "",
            "open_deals": 1,
            "amount_at_risk_minor": 100_000,
            "expected_value_at_risk_minor": 15_000,
            "currency": "EUR",
        }
    }


def test_a_rewarmed_row_has_the_columns_in_the_order_of_the_contract() -> None:
    reviver = touch(50.5, "page_view", "r", "Paid Search", "spring")
    found = rows(*WARM_UP, reviver, touch(57, "email_sent"), touch(57.9, "demo_request", "d"), now=57.9)
    row = found[f"acme:rewarmed:{day(57.9)}"]
    assert list(row) == COLUMNS
    assert (row["reason"], row["days_cold"], row["unanswered"]) == ("energy", 27, 1)
    assert row["reviver_touch_id"] == "native:r"
    assert (row["reviver_channel"], row["reviver_campaign"]) == ("Paid Search", "spring")
    assert (row["last_touch_id"], row["days_silent"]) == ("native:d", 0)
    assert (row["open_deals"], row["amount_at_risk_minor"], row["currency"]) == (0, 0, "EUR")


def test_a_touch_of_weight_zero_is_not_the_last_one() -> None:
    row = rows(*WARM_UP, touch(29, "ad_impression"), now=30)[f"acme:cooled:{day(30)}"]
    assert (row["last_touch_id"], row["days_silent"]) == ("native:m", 28)


def test_a_late_touch_moves_the_instant_and_with_it_the_id() -> None:
    assert list(rows(*WARM_UP, now=40)) == [f"acme:cooled:{day(30)}"]
    assert list(rows(*WARM_UP, touch(9, "meeting"), now=40)) == [f"acme:cooled:{day(37)}"]


def test_a_win_starts_the_account_anew_unless_its_deal_is_deleted() -> None:
    won = patch(20, "d1", stage="closed")
    assert rows(*WARM_UP, won, now=60) == {}
    deleted = rows(*WARM_UP, won, patch(21, "d1", "deal_deleted"), now=60)
    assert list(deleted) == [f"acme:cooled:{day(30)}"]


def test_wins_that_were_reopened_later_still_count() -> None:
    found = folds(journey(patch(1, "d1", stage="closed"), patch(2, "d1", status="open")))
    assert won_instants(found) == [day(1)]


def test_deals_at_risk_are_those_of_the_alert_instant_not_of_now() -> None:
    facts = (
        *WARM_UP,
        patch(3, "d1", stage="qualification", amount="100", currency="EUR"),
        patch(4, "d2", stage="qualification", amount="50", currency="EUR"),
        patch(35, "d2", amount="9000"),
        patch(36, "d1", status="lost"),
        patch(37, "d3", stage="qualification", amount="7", currency="EUR"),
    )
    row = rows(*facts, now=40)[f"acme:cooled:{day(30)}"]
    assert (row["open_deals"], row["amount_at_risk_minor"]) == (2, 15_000)
    assert row["expected_value_at_risk_minor"] == 1_500 + 750


def test_a_deal_fact_at_the_alert_instant_is_part_of_the_fold() -> None:
    facts = (*WARM_UP, patch(3, "d1", stage="qualification", amount="100"), patch(30, "d1", amount="70"))
    assert rows(*facts, now=40)[f"acme:cooled:{day(30)}"]["amount_at_risk_minor"] == 7_000


def test_deals_in_another_currency_than_the_largest_sum_are_left_out_and_counted() -> None:
    found = journey(
        patch(1, "d1", amount="60", currency="EUR"),
        patch(1, "d2", amount="100", currency="USD"),
        patch(1, "d3", amount="50", currency="EUR"),
        patch(1, "d4", amount="999", currency="USD", status="lost"),
    )
    risk = at_risk(found, folds(found), CONFIG, day(2), lambda deal, at: deal.amount_minor // 2)
    assert risk == (3, 11_000, 5_500, "EUR", 1)


def test_a_deal_is_stuck_at_its_stage_entry_plus_the_configured_days() -> None:
    facts = (patch(1, "d1", stage="qualification", amount="10"), patch(5, "d1", amount="20"))
    assert rows(*facts, now=30.99) == {}
    found = rows(*facts, now=31)
    row = found[f"d1:stuck_deal:{day(31)}"]
    assert (row["deal_id"], row["kind"], row["reason"]) == ("d1", "stuck_deal", "")
    assert (row["last_touch_id"], row["unanswered"]) == ("", 0)
    assert "days_silent" not in row
    assert "days_cold" not in row
    assert row["amount_at_risk_minor"] == 2_000


def test_a_stage_left_in_the_very_millisecond_of_the_limit_was_not_stuck() -> None:
    entry = patch(1, "d1", stage="qualification")
    assert rows(entry, patch(31, "d1", stage="meeting_scheduled"), now=40) == {}
    left_later = patch(32, "d1", stage="meeting_scheduled")
    assert list(rows(entry, left_later, now=40)) == [f"d1:stuck_deal:{day(31)}"]


def test_each_visit_to_a_stage_can_be_stuck_once() -> None:
    facts = (
        patch(0, "d1", stage="qualification"),
        patch(40, "d1", stage="meeting_scheduled"),
        patch(41, "d1", stage="qualification"),
    )
    stuck = [f"d1:stuck_deal:{day(30)}", f"d1:stuck_deal:{day(71)}"]
    assert list(rows(*facts, now=200)) == stuck


def test_a_deleted_deal_is_not_stuck() -> None:
    facts = (patch(1, "d1", stage="qualification"), patch(50, "d1", "deal_deleted"))
    assert rows(*facts, now=60) == {}
    assert deal_due(folds(journey(*facts)), CONFIG, day(2)) is None


def test_a_high_intent_touch_without_an_answer_is_missed_after_24_hours() -> None:
    demo = touch(1, "demo_request", "d")
    assert rows(demo, now=1.99) == {}
    row = rows(demo, touch(1.5, "page_view", "p"), now=2)["acme:follow_up_missed:native:d"]
    assert (row["kind"], row["at_ms"], row["reason"]) == ("follow_up_missed", day(2), "")
    assert row["last_touch_id"] == "native:p"


def test_an_outbound_touch_a_meeting_or_an_answered_call_is_an_answer() -> None:
    for kind in ("email_sent", "call_attempt", "meeting", "call_answered"):
        assert rows(touch(1, "demo_request"), touch(2, kind), now=3) == {}
        assert len(rows(touch(1, "demo_request"), touch(2.01, kind), now=3)) == 1
    assert len(rows(touch(1, "demo_request"), touch(1.5, "chat"), now=3)) == 1


def test_only_the_first_high_intent_touch_since_the_last_outbound_one_waits() -> None:
    facts = (touch(1, "demo_request", "a"), touch(1.1, "email_reply", "b"))
    assert list(rows(*facts, now=5)) == ["acme:follow_up_missed:native:a"]
    again = (touch(1.2, "email_sent"), touch(1.3, "email_reply", "c"))
    assert list(rows(*facts, *again, now=5)) == ["acme:follow_up_missed:native:c"]


def test_rows_come_by_instant_and_id() -> None:
    facts = (
        *WARM_UP,
        patch(0, "d2", stage="qualification"),
        patch(0, "d1", stage="qualification"),
        touch(29, "ad_impression"),
        touch(40, "demo_request", "d"),
    )
    assert list(rows(*facts, now=41)) == [
        f"acme:cooled:{day(30)}",
        f"d1:stuck_deal:{day(30)}",
        f"d2:stuck_deal:{day(30)}",
        f"acme:rewarmed:{day(40)}",
        "acme:follow_up_missed:native:d",
    ]


def test_the_unanswered_count_of_a_stuck_deal_starts_anew_at_a_win() -> None:
    facts = (
        touch(1, "page_view"),
        touch(2, "email_sent"),
        patch(3, "d1", stage="closed"),
        patch(3, "d2", stage="qualification"),
        touch(4, "email_sent"),
    )
    row = rows(*facts, now=33)[f"d2:stuck_deal:{day(33)}"]
    assert (row["unanswered"], row["days_silent"]) == (1, 32)


def test_the_next_due_instant_is_the_earliest_of_crossing_deadline_and_limit() -> None:
    def due(*facts: Fact | Touch, now: float) -> int | None:
        found = run(*facts, now=now)
        return next_due(folds(journey(*facts)), found, day(now))

    assert due(now=1) is None
    assert due(*WARM_UP, now=2) == day(30)
    assert due(*WARM_UP, patch(1, "d1", stage="qualification"), now=2) == day(30)
    assert due(*WARM_UP, patch(1, "d1", stage="qualification"), now=30) == day(31)
    assert due(*WARM_UP, patch(1, "d1", stage="qualification"), now=31) is None
    assert due(*WARM_UP, touch(2.5, "email_reply"), now=2.5) == day(3.5)


def test_the_alert_set_stays_as_it_is_until_the_next_due_instant() -> None:
    facts = (*WARM_UP, patch(1, "d1", stage="qualification"), touch(2.5, "email_reply"))
    deals = folds(journey(*facts))
    now, dues = day(2.5), []
    for _ in range(3):
        found = run_at(now, *facts)
        due = next_due(deals, found, now)
        assert due is not None
        assert run_at(due - 1, *facts).rows == found.rows
        assert len(run_at(due, *facts).rows) == len(found.rows) + 1
        dues.append(due)
        now = due
    last = run_at(now, *facts)
    assert next_due(deals, last, now) is None
    assert dues == sorted(dues)


def test_a_touch_that_arms_a_timer_already_past_is_due_at_once() -> None:
    found = run(*WARM_UP, now=2)
    assert temperature.advance(found.temperature, touch(3, "page_view"), CONFIG.temperature)
    due = next_due({}, found, day(2) + 1000 * DAY_MS)
    assert due is not None
    assert due < day(2) + 1000 * DAY_MS


def test_the_limit_of_a_running_visit_is_due_until_it_has_passed() -> None:
    found = folds(journey(patch(1, "d1", stage="qualification")))
    assert deal_due(found, CONFIG, day(1)) == day(31)
    assert deal_due(found, CONFIG, day(31)) is None
