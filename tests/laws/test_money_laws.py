"""Money is neither made nor lost, and what a deal is follows from its facts alone (R20 to R30, R45)."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from revenue_core.config import CoreConfig
from revenue_core.conversions import conversions
from revenue_core.deal_fold import find_stage, fold_deal
from revenue_core.deals import Deal
from revenue_core.facts import DAY_MS, Fact
from revenue_core.funnel import stage_counts
from revenue_core.money import apportion, apportion_shares, expected_minor, rounded
from tests.deal_facts import START, folds, journey

CONFIG = CoreConfig()
EXPONENTS = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}

amounts = st.integers(0, 10**15)
signed = st.integers(-(10**15), 10**15)
weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=30).filter(any)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=30).filter(any)
decimals = st.decimals(-(10**11), 10**11, allow_nan=False, allow_infinity=False, places=8)


@given(signed, weights)
def test_parts_add_up_to_the_amount(amount, given_weights):
    assert sum(apportion(amount, given_weights)) == amount


@given(signed, shares)
def test_parts_by_double_shares_add_up_to_the_amount(amount, given_shares):
    assert sum(apportion_shares(amount, given_shares)) == amount


@given(amounts, shares)
def test_every_part_is_less_than_one_unit_from_its_exact_share(amount, given_shares):
    total = sum(map(Fraction, given_shares))
    for part, share in zip(apportion_shares(amount, given_shares), given_shares, strict=True):
        assert abs(part - amount * Fraction(share) / total) < 1


@given(amounts, weights)
def test_parts_are_those_of_the_largest_remainders(amount, given_weights):
    total = sum(given_weights)
    exact = [Fraction(amount * weight, total) for weight in given_weights]
    parts = [int(each) for each in exact]
    order = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in order[: amount - sum(parts)]:
        parts[index] += 1
    assert apportion(amount, given_weights) == parts


@given(amounts, weights)
def test_a_negative_amount_is_split_like_its_size(amount, given_weights):
    assert apportion(-amount, given_weights) == [-part for part in apportion(amount, given_weights)]


@given(amounts, weights, st.integers(1, 1000))
def test_scaling_the_amount_scales_every_part_to_within_one_unit(amount, given_weights, factor):
    total = sum(given_weights)
    for part, weight in zip(apportion(amount * factor, given_weights), given_weights, strict=True):
        assert abs(part - factor * Fraction(amount * weight, total)) < 1


@given(amounts, weights, st.integers(1, 10**9))
def test_scaling_the_weights_changes_nothing(amount, given_weights, factor):
    assert apportion(amount, [weight * factor for weight in given_weights]) == apportion(
        amount, given_weights
    )


@given(amounts, st.lists(st.integers(0, 2**20), min_size=1, max_size=30).filter(any))
def test_whole_weights_and_the_same_weights_as_doubles_agree(amount, given_weights):
    assert apportion_shares(amount, [weight / 2**20 for weight in given_weights]) == apportion(
        amount, given_weights
    )


@given(st.floats(0, 1), amounts)
def test_an_expected_value_is_the_exact_product_rounded_half_to_even(p, amount):
    assert expected_minor(p, amount) == round(Fraction(p) * amount)


@given(decimals, st.sampled_from(sorted(EXPONENTS)))
def test_minor_units_are_the_decimal_rounded_half_to_even(value, currency):
    with localcontext() as context:
        context.prec = 60
        exact = value.scaleb(EXPONENTS[currency]).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert rounded(str(value).lower(), currency, EXPONENTS) == exact


patches = st.fixed_dictionaries(
    {"type": st.just("deal_updated")},
    optional={
        "stage": st.sampled_from(["lead_capture", "qualification", "closed", "closedlost", "contractsent"]),
        "pipeline": st.sampled_from(["default", "hubspot"]),
        "status": st.sampled_from(["open", "won", "lost"]),
        "amount": st.sampled_from(["0", "10", "99.995"]),
        "currency": st.sampled_from(["EUR", "JPY"]),
    },
)
others = st.sampled_from([
    {"type": "deal_deleted"},
    {"type": "refund", "amount": "7"},
    {"type": "refund", "amount": "60", "currency": "EUR"},
])  # fmt: skip


def as_facts(messages: list[tuple[int, dict[str, str]]]) -> list[Fact]:
    """Facts of the deal d1, in fact order; several may share an instant."""
    facts = []
    for number, (at_day, message) in enumerate(messages):
        body = {"deal_id": "d1", **{name: value for name, value in message.items() if name != "type"}}
        name = f"{number:03}"
        facts.append(Fact(START + at_day * DAY_MS, "n", name, message["type"], f"n:{name}", body))
    return sorted(facts, key=lambda fact: fact[:3])


histories = st.lists(st.tuples(st.integers(0, 9), patches | patches | others), max_size=12).map(as_facts)


def statuses(facts: list[Fact]) -> list[tuple[int, str]]:
    """(instant, status) after each patch, by R20 as it is written."""
    stage, status, pipeline = "", "open", ""
    found = []
    for fact in facts:
        if fact.type == "deal_updated":
            pipeline = fact.body.get("pipeline", pipeline)
            moved = fact.body.get("stage", stage) != stage
            stage = fact.body.get("stage", stage)
            if "status" in fact.body:
                status = fact.body["status"]
            elif moved:
                known = find_stage(CONFIG, pipeline, stage)
                assert known is not None
                status = known.kind
            found.append((fact.at, status))
    return found


@given(histories)
def test_won_and_lost_are_dated_by_the_last_change_of_the_status(facts):
    deal = fold_deal("d1", facts, CONFIG)
    walked = statuses(facts)
    if not walked:
        assert deal is None
        return
    before = [(0, "open"), *walked]
    changes = [now for was, now in zip(before, walked, strict=False) if was[1] != now[1]]
    last = {status: at for at, status in changes}
    assert deal.status == walked[-1][1]
    assert deal.won_at == (last["won"] if deal.status == "won" else None)
    assert deal.lost_at == (last["lost"] if deal.status == "lost" else None)
    assert deal.won_instants == tuple(at for at, status in changes if status == "won")


@given(histories)
def test_visits_follow_each_other_and_the_last_lasts_only_while_the_deal_is_open(facts):
    deal = fold_deal("d1", facts, CONFIG)
    if deal is None:
        return
    for earlier, later in pairwise(deal.visits):
        assert earlier.end is not None
        assert earlier.start <= earlier.end <= later.start
    if deal.visits and deal.visits[-1].end is None:
        assert deal.status == "open"


@given(histories, st.randoms(use_true_random=False))
def test_the_order_in_which_facts_came_leaves_no_trace(facts, chance: random.Random):
    shuffled = list(facts)
    chance.shuffle(shuffled)
    assert fold_deal("d1", sorted(shuffled, key=lambda fact: fact[:3]), CONFIG) == fold_deal(
        "d1", facts, CONFIG
    )


@given(histories, st.integers(0, 9))
def test_the_view_at_an_instant_does_not_know_what_came_after(facts, at_day):
    at = START + at_day * DAY_MS
    known = [fact for fact in facts if fact.at <= at]
    assert fold_deal("d1", facts, CONFIG, as_of=at) == fold_deal("d1", known, CONFIG)


@given(histories)
def test_saying_everything_twice_changes_nothing_but_the_refunds(facts):
    patched = [fact for fact in facts if fact.type != "refund"]
    twice = [fact for fact in patched for _ in range(2)]
    assert fold_deal("d1", twice, CONFIG) == fold_deal("d1", patched, CONFIG)


@given(histories)
def test_conversions_of_a_deal_agree_with_its_status_and_amount(facts):
    made = journey(*facts)
    known = folds(made)
    found = {each.conversion_id: each for each in conversions(made, known, CONFIG)}
    deal = known.get("d1")
    if deal is None or deal.deleted:
        assert found == {}
        return
    assert ("deal:d1:won" in found, "deal:d1:lost" in found) == (deal.status == "won", deal.status == "lost")
    assert 0 <= deal.refunded_minor <= deal.amount_minor
    for each in found.values():
        if each.conversion.startswith("stage_entered:"):
            assert each.provisional == (deal.status == "open")
            assert each.amount_minor == (0 if deal.status == "lost" else deal.amount_minor)
        elif each.conversion == "won":
            assert each.amount_minor == deal.amount_minor - deal.refunded_minor
        else:
            assert each.amount_minor == deal.amount_minor


@given(st.lists(histories, max_size=6))
def test_a_stage_passes_on_no_more_deals_than_reached_it_and_just_those_reach_the_next(accounts):
    deals: list[Deal] = [deal for facts in accounts if (deal := fold_deal("d1", facts, CONFIG)) is not None]
    counts = list(stage_counts(deals, CONFIG).items())
    for ((pipeline, _), here), ((following, _), there) in pairwise(counts):
        if pipeline == following:
            assert here.converted == there.reached
    assert all(count.converted <= count.reached and count.lost <= count.deals for _, count in counts)
