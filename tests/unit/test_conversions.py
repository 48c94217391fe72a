"""What an account gets credit for, and which of its leads are open (R21 to R28, R45, R51)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from revenue_core.config import AttributionConfig, CoreConfig, PathProfile
from revenue_core.conversions import OpenLead, first_lead_at, next_lead_expiry, open_leads
from revenue_core.facts import DAY_MS, Fact
from tests.deal_facts import (
    CONFIG,
    day,
    deletion,
    folds,
    found,
    journey,
    lead,
    movement,
    patch,
    refund,
    touch,
)


def test_each_entered_open_stage_is_one_conversion_at_its_last_entry() -> None:
    deal = (
        patch(1, stage="lead_capture", amount="100"),
        patch(2, stage="contract_sent"),
        patch(3, stage="lead_capture"),
    )
    assert {name: (each.at, each.path_at) for name, each in found(*deal).items()} == {
        "deal:d1:stage:lead_capture": (day(3), day(3)),
        "deal:d1:stage:contract_sent": (day(2), day(2)),
    }


def test_stage_rows_carry_the_amount_provisional_while_open() -> None:
    entry = patch(1, stage="qualification", amount="100")
    for later, expected in (
        ((), (10_000, True)),
        ((patch(2, status="won"), refund(3, "30")), (10_000, False)),
        ((patch(2, status="lost"),), (0, False)),
        ((patch(2, status="lost"), patch(3, status="open")), (10_000, True)),
        ((patch(2, amount="70"),), (7_000, True)),
    ):
        stage = found(entry, *later)["deal:d1:stage:qualification"]
        assert (stage.conversion, stage.measure) == ("stage_entered:qualification", "deal")
        assert (stage.amount_minor, stage.provisional) == expected


def test_a_win_is_worth_the_amount_less_its_refunds() -> None:
    won = found(patch(1, stage="closed", amount="100", currency="USD"), refund(2, "30"))["deal:d1:won"]
    assert (won.conversion, won.at, won.amount_minor, won.currency) == ("won", day(1), 7_000, "USD")
    assert (won.measure, won.provisional, won.path_after) == ("deal", False, None)
    everything = found(patch(1, stage="closed", amount="100"), refund(2, "30"), refund(3, "80"))
    assert everything["deal:d1:won"].amount_minor == 0


def test_a_loss_is_worth_the_amount_positive() -> None:
    lost = found(patch(1, pipeline="hubspot", stage="closedlost", amount="100"))
    assert list(lost) == ["deal:d1:lost"]
    assert (lost["deal:d1:lost"].amount_minor, lost["deal:d1:lost"].at) == (10_000, day(1))


def test_a_win_disappears_when_the_deal_is_reopened() -> None:
    assert list(found(patch(1, status="won"), patch(2, status="open"))) == []


def test_a_deleted_deal_takes_its_movements_with_it() -> None:
    facts = (patch(1, stage="closed"), movement(2, "new", "5", deal_id="d1"))
    assert len(found(*facts)) == 2
    assert found(*facts, deletion(3)) == {}
    assert len(found(*facts, deletion(3), patch(4))) == 2
    assert found(movement(2, "new", "5", deal_id="d1"), deletion(3)) == {}


def test_leads_convert_once_at_their_first_fact() -> None:
    facts = (
        lead(2, lead_id="l1"),
        lead(1, lead_id="l2"),
        lead(3, lead_id="l1"),
        lead(5, "qualified", level="sql"),
        lead(4, "qualified", level="sql"),
        lead(6, "qualified", level="mql"),
        lead(7, "disqualified"),
    )
    made = found(*facts)
    assert {name: (each.conversion, each.lead_id, each.at) for name, each in made.items()} == {
        "lead:l1": ("lead_created", "l1", day(2)),
        "lead:l2": ("lead_created", "l2", day(1)),
        "lead:l1:qualified:sql": ("lead_qualified:sql", "l1", day(4)),
        "lead:l1:qualified:mql": ("lead_qualified:mql", "l1", day(6)),
    }
    assert {(each.measure, each.amount_minor, each.currency) for each in made.values()} == {
        ("count", 0, "EUR")
    }
    assert all(each.deal is None and each.path_at == each.at for each in made.values())


def test_the_movements_of_a_customer_add_up_to_its_recurring_revenue() -> None:
    sizes = [
        ("new", "166.67"), ("expansion", "60"), ("contraction", "60"), ("churn", "166.67"),
        ("reactivation", "50"), ("expansion", "50"), ("expansion", "50"),
    ]  # fmt: skip
    moved = [movement(number, kind, size, deal_id="d1") for number, (kind, size) in enumerate(sizes, 2)]
    made = [each for each in found(patch(1, stage="closed"), *moved).values() if each.measure == "mrr"]
    assert [each.amount_minor for each in made] == [16_667, 6_000, -6_000, -16_667, 5_000, 5_000, 5_000]
    assert sum(each.amount_minor for each in made) == 150_00


@pytest.mark.parametrize(("kind", "sign"), [("new", 1), ("contraction", -1), ("churn", -1), ("expansion", 1)])
def test_the_sign_of_a_movement_is_that_of_its_kind(kind: str, sign: int) -> None:
    for text in ("5", "-5"):
        (each,) = found(movement(1, kind, text)).values()
        assert (each.amount_minor, each.movement, each.conversion) == (sign * 500, kind, "recurring")


def test_a_movements_currency_is_its_own_else_the_deals_else_the_default() -> None:
    def currency(*facts: Fact) -> str:
        return next(each.currency for each in found(*facts).values() if each.measure == "mrr")

    won = patch(1, stage="closed", currency="USD")
    assert currency(won, movement(2, "new", "5", deal_id="d1", currency="GBP")) == "GBP"
    assert currency(won, movement(2, "new", "5", deal_id="d1")) == "USD"
    assert currency(movement(2, "new", "5")) == "EUR"


def test_a_movement_beyond_the_limit_in_the_deals_currency_is_still_counted() -> None:
    won = patch(1, stage="closed", currency="KWD")
    made = found(won, movement(2, "new", "1" + "0" * 13, deal_id="d1"))
    assert sum(each.amount_minor for each in made.values()) == 10**16


def test_a_movement_without_a_deal_belongs_to_the_deal_won_last_before_it() -> None:
    facts = (
        patch(1, "d1", stage="closed"),
        patch(2, "d2", stage="closed"),
        patch(3, "d3", stage="closed"),
        patch(4, "d2", status="open"),
    )
    for at, owner in ((0.5, None), (1, "d1"), (2.5, "d1"), (3, "d3"), (9, "d3")):
        moved = movement(at, "new", "5")
        each = found(*facts, moved)[f"recurring:{moved.fact_id}"]
        assert (each.deal.deal_id if each.deal else None) == owner
        assert each.path_after is None


def test_a_deleted_deal_is_not_the_one_won_last() -> None:
    moved = movement(9, "new", "5")
    facts = (patch(1, "d1", stage="closed"), patch(2, "d2", stage="closed"), deletion(3, "d2"))
    owner = found(*facts, moved)[f"recurring:{moved.fact_id}"].deal
    assert owner is not None
    assert owner.deal_id == "d1"


def test_new_contraction_and_churn_take_the_path_of_the_win() -> None:
    for kind in ("new", "contraction", "churn"):
        moved = movement(9, kind, "5", deal_id="d1")
        name = f"recurring:{moved.fact_id}"
        won = found(patch(1), patch(4, status="won"), touch(8), moved)[name]
        assert (won.at, won.path_at, won.path_after) == (day(9), day(4), None)
        not_won = found(patch(1), touch(8), moved)[name]
        assert (not_won.at, not_won.path_at, not_won.path_after) == (day(9), day(9), None)


def test_expansion_takes_the_touches_since_the_previous_movement_of_the_deal() -> None:
    first, second = movement(5, "new", "5", deal_id="d1"), movement(9, "expansion", "5", deal_id="d1")
    other = movement(7, "new", "5", deal_id="d2")
    deals = (patch(1, "d1", stage="closed"), patch(1, "d2", stage="closed"))
    made = found(*deals, first, other, second, touch(6))
    expansion = made[f"recurring:{second.fact_id}"]
    assert (expansion.path_at, expansion.path_after) == (day(9), day(5))


def test_the_first_movement_counts_from_the_win_else_from_the_creation() -> None:
    moved = movement(9, "reactivation", "5", deal_id="d1")
    name = f"recurring:{moved.fact_id}"
    won = found(patch(1), patch(4, status="won"), touch(5), moved)[name]
    assert (won.path_at, won.path_after) == (day(9), day(4))
    not_won = found(patch(1), touch(5), moved)[name]
    assert (not_won.path_at, not_won.path_after) == (day(9), day(1))


@pytest.mark.parametrize("at", [1, 4, 9.5])
def test_expansion_without_a_touch_of_its_own_is_as_new(at: float) -> None:
    moved = movement(9, "expansion", "5", deal_id="d1")
    each = found(patch(1), patch(4, status="won"), touch(at), moved)[f"recurring:{moved.fact_id}"]
    assert (each.path_at, each.path_after) == (day(4), None)


@pytest.mark.parametrize("at", [4.001, 9])
def test_the_span_of_an_expansion_excludes_its_start_and_includes_its_end(at: float) -> None:
    moved = movement(9, "expansion", "5", deal_id="d1")
    each = found(patch(1), patch(4, status="won"), touch(at), moved)[f"recurring:{moved.fact_id}"]
    assert each.path_after == day(4)


def test_a_touch_outside_every_lookback_or_of_an_excluded_type_is_none_of_an_expansions_own() -> None:
    short = PathProfile(lookback_ms=2 * DAY_MS)
    narrow = AttributionConfig(rules=short, data_driven=short, exclude_types=frozenset({"chat"}))
    config = replace(CONFIG, attribution=narrow)
    moved = movement(9, "expansion", "5", deal_id="d1")

    def after(at: float, kind: str = "page_view") -> int | None:
        facts = (patch(1), patch(4, status="won"), touch(at, kind), moved)
        return found(*facts, config=config)[f"recurring:{moved.fact_id}"].path_after

    assert after(7) == day(4)
    assert after(6.999) is None
    assert after(8, "chat") is None


def test_movements_at_one_instant_follow_in_fact_order() -> None:
    later = Fact(day(9), "b", "1", "mrr_movement", "b:1", {"movement": "expansion", "amount": "5"})
    earlier = Fact(day(9), "a", "2", "mrr_movement", "a:2", {"movement": "expansion", "amount": "5"})
    made = found(patch(1, stage="closed"), touch(5), later, earlier)
    assert made["recurring:a:2"].path_after == day(1)
    assert made["recurring:b:1"].path_after is None


def test_a_repeated_identity_keeps_its_suffix_in_the_conversion_id() -> None:
    fact = Fact(day(9), "crm", "7", "mrr_movement", f"crm:7@{day(9)}", {"movement": "new", "amount": "5"})
    assert list(found(fact)) == [f"recurring:crm:7@{day(9)}"]


def leads_at(at: float, *facts: Fact, config: CoreConfig = CONFIG) -> list[OpenLead]:
    made = journey(*(each for each in facts if each.at <= day(at)))
    return open_leads(made, folds(made), config, day(at))


def test_a_lead_is_open_from_its_creation_with_the_level_of_its_last_qualification() -> None:
    facts = (
        lead(1),
        lead(2, "qualified", level="mql"),
        lead(3, "qualified", level="mql"),
        lead(4, "qualified", level="sql"),
    )
    assert leads_at(0.5, *facts) == []
    expires = day(1 + 365)
    assert leads_at(1, *facts) == [OpenLead("l1", "lead", day(1), day(1), expires)]
    assert leads_at(3.5, *facts) == [OpenLead("l1", "mql", day(1), day(2), expires)]
    assert leads_at(4, *facts) == [OpenLead("l1", "sql", day(1), day(4), expires)]


def test_a_qualification_alone_opens_no_lead_and_dates_from_the_creation() -> None:
    qualified = lead(1, "qualified", level="sql")
    assert leads_at(9, qualified) == []
    assert [(each.level, each.level_since) for each in leads_at(9, qualified, lead(2))] == [("sql", day(2))]


def test_a_lead_is_open_until_disqualified_or_named_by_a_deal_that_exists() -> None:
    named = patch(3, "d1", lead_ids=["l0", "l1"])
    assert len(leads_at(2.9, lead(1), named)) == 1
    assert leads_at(3, lead(1), named) == []
    assert len(leads_at(4, lead(1), named, deletion(4))) == 1
    assert leads_at(3, lead(1), lead(3, "disqualified")) == []
    assert leads_at(9, lead(2), patch(1, "d1", lead_ids=["l1"])) == []


def test_a_lead_expires_with_the_longest_lookback() -> None:
    profiles = AttributionConfig(
        rules=PathProfile(lookback_ms=5 * DAY_MS), data_driven=PathProfile(lookback_ms=9 * DAY_MS)
    )
    config = replace(CONFIG, attribution=profiles)
    assert [each.expires_at for each in leads_at(9.99, lead(1), config=config)] == [day(10)]
    assert leads_at(10, lead(1), config=config) == []


def test_the_next_expiry_is_that_of_the_open_lead_created_first() -> None:
    facts = (lead(3, lead_id="a"), lead(1, lead_id="b"), lead(2, lead_id="b"), lead(0, lead_id="c"))
    opened = leads_at(5, *facts, lead(4, "disqualified", lead_id="c"))
    assert [each.lead_id for each in opened] == ["a", "b"]
    assert next_lead_expiry(opened) == day(1 + 365)
    assert next_lead_expiry([]) is None


def test_the_accounts_first_lead_is_that_created_first() -> None:
    assert first_lead_at(journey(lead(1, "qualified", level="mql"), lead(3), lead(2, lead_id="l2"))) == day(2)
    assert first_lead_at(journey(lead(1, "disqualified"))) is None
