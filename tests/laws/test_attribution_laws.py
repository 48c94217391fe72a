"""Laws that hold for every attribution model, and the path as its rules are written (R17 to R19, R29 to R31)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from revenue_core.account import Account, Group
from revenue_core.attribution.models import model_names, models, split
from revenue_core.config import AttributionConfig, CoreConfig, CustomModel, PathProfile
from revenue_core.credits import credit_rows
from revenue_core.deals import Conversion, Deal, StageEntry
from revenue_core.facts import DAY_MS, Journey, Touch
from revenue_core.parameters import InForce, Learned
from revenue_core.paths import Path, build_path
from tests.credit_builders import START, conversion, deal

CHANNELS = ["Direct", "Email", "Events", "Paid Search"]
DAYS = st.integers(0, 30)
CUSTOM = (
    CustomModel("half", {"first_touch": "12.5", "stage:demo": "37.5", "won": "25", "middle": "25"}),
    CustomModel("ends", {"deal_created": "33.33", "lead_created": "66.67"}),
)

profiles = st.builds(
    PathProfile,
    lookback_ms=st.sampled_from([3 * DAY_MS, 10 * DAY_MS, 365 * DAY_MS]),
    direct=st.sampled_from(["keep", "drop_if_not_all", "inherit_7d"]),
    transform=st.sampled_from(["none", "collapse_repeats", "unique", "first", "sessions"]),
)
configs = st.builds(
    AttributionConfig,
    rules=profiles,
    data_driven=profiles,
    half_life_ms=st.sampled_from([60_000, DAY_MS, 7 * DAY_MS]),
    custom=st.just(CUSTOM),
    exclude_types=st.sampled_from([frozenset[str](), frozenset({"chat"})]),
    path_cap=st.sampled_from([2, 5, 2_000]),
)
values = st.dictionaries(st.sampled_from(CHANNELS), st.floats(-1, 1), max_size=4)
learned = st.builds(Learned, st.integers(1, 9), st.integers(0, 400), values, values)
logs = st.lists(st.builds(InForce, DAYS.map(lambda at: START + at * DAY_MS), learned), max_size=2).map(
    lambda found: tuple(sorted(found, key=lambda each: each.since))
)


@st.composite
def journeys(draw: st.DrawFn, min_size: int = 0) -> Journey:
    drawn = draw(
        st.lists(
            st.tuples(
                DAYS,
                st.sampled_from(CHANNELS),
                st.sampled_from(["page_view", "chat"]),
                st.sampled_from("ab "),
            ),
            min_size=min_size,
            max_size=12,
        )
    )
    touches = [
        Touch(START + at * DAY_MS, f"native:{number}", kind, True, channel, visitor=visitor.strip())
        for number, (at, channel, kind, visitor) in enumerate(drawn)
    ]
    return Journey("acme", touches=sorted(touches))


@st.composite
def deals_of_an_account(draw: st.DrawFn) -> list[Deal]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        created = draw(DAYS)
        won = draw(st.none() | st.integers(created, 30))
        entered = tuple(
            StageEntry("demo", START + draw(DAYS) * DAY_MS) for _ in range(draw(st.integers(0, 2)))
        )
        found.append(deal(f"d{number}", created, won, deleted=draw(st.integers(0, 5)) == 0, entries=entered))
    return found


@st.composite
def conversions(draw: st.DrawFn, deals: Sequence[Deal]) -> Conversion:
    amount, at = draw(st.integers(-10_000, 10**9)), draw(DAYS)
    of = deals[0]
    choices = [
        conversion(None, "lead_created", at),
        conversion(of, "lost", at, amount_minor=amount),
        conversion(of, "recurring", at, amount_minor=amount, movement="churn"),
        conversion(
            of,
            "recurring",
            at,
            amount_minor=amount,
            movement="expansion",
            path_after=START + draw(DAYS) * DAY_MS,
        ),
    ]
    if of.won_at is not None:
        choices.append(conversion(of, amount_minor=amount))
    return draw(st.sampled_from(choices))


@st.composite
def cases(draw: st.DrawFn, min_size: int = 0) -> dict[str, Any]:
    deals = draw(deals_of_an_account())
    return {
        "journey": draw(journeys(min_size)),
        "deals": {each.deal_id: each for each in deals},
        "conversions": [draw(conversions(deals))],
        "first_lead_at": draw(st.none() | DAYS.map(lambda at: START + at * DAY_MS)),
        "config": CoreConfig(attribution=draw(configs), learned=draw(logs)),
    }


@given(cases())
def test_shares_sum_to_one_and_money_to_the_amount(case):
    (converted,) = case["conversions"]
    rows = credit_rows(**case).values()
    assert rows
    for model in model_names(case["config"]):
        shares = [row[f"{model}_share"] for row in rows]
        assert abs(sum(shares) - 1) <= 1e-9
        assert all(0.0 <= share <= 1.0 for share in shares)
        assert sum(row[f"{model}_amount_minor"] for row in rows) == converted.amount_minor


@given(cases())
def test_money_follows_the_share_to_within_one_minor_unit(case):
    (converted,) = case["conversions"]
    for row in credit_rows(**case).values():
        for model in model_names(case["config"]):
            exact = Fraction(row[f"{model}_share"]) * converted.amount_minor
            assert abs(row[f"{model}_amount_minor"] - exact) < 1 + Fraction(1, 10**6)


@given(cases(), st.integers(2, 1_000))
def test_scaling_the_amount_leaves_the_shares_and_scales_the_money_to_within_one_minor_unit(case, factor):
    (converted,) = case["conversions"]
    scaled = {**case, "conversions": [converted._replace(amount_minor=converted.amount_minor * factor)]}
    for row, more in zip(credit_rows(**case).values(), credit_rows(**scaled).values(), strict=True):
        for model in model_names(case["config"]):
            assert row[f"{model}_share"] == more[f"{model}_share"]
            difference = Fraction(more[f"{model}_amount_minor"], factor) - row[f"{model}_amount_minor"]
            assert abs(difference) <= 1 + Fraction(1, factor)


@given(cases(min_size=1), st.integers(0, 10**9))
def test_a_single_touch_gets_all(case, amount):
    (alone,) = [case["journey"].touches[0]]
    at = alone.at
    of = deal(created=0, won=0, amount_minor=amount)
    won = conversion(replace(of, created_at=at, won_at=at), amount_minor=amount)._replace(at=at, path_at=at)
    config = replace(
        case["config"], attribution=replace(case["config"].attribution, exclude_types=frozenset())
    )
    (row,) = credit_rows(Journey("acme", touches=[alone]), {}, [won], None, config).values()
    for model in model_names(config):
        assert (row[f"{model}_share"], row[f"{model}_amount_minor"]) == (1.0, amount)


@given(cases(), st.randoms(use_true_random=False))
def test_order_of_arrival_and_duplicates_change_nothing(case, random):
    messages = [*case["journey"].touches, *random.choices([*case["journey"].touches, None], k=5)]
    random.shuffle(messages)
    account = Account("acme")
    for message in messages:
        if message is not None:
            account.add_touch(message.touch_id, Group(message.at, message.touch_id, message.at, message))
    deals = list(case["deals"].items())
    random.shuffle(deals)
    again = {**case, "journey": account.journey(), "deals": dict(deals)}
    assert list(credit_rows(**again).items()) == list(credit_rows(**case).items())


@given(cases())
def test_without_parameters_and_with_equal_profiles_markov_and_shapley_equal_linear(case):
    attribution = case["config"].attribution
    rules = replace(attribution.rules, transform="none")
    driven = replace(rules, transform=attribution.data_driven.transform)
    config = CoreConfig(attribution=replace(attribution, rules=rules, data_driven=driven))
    for row in credit_rows(**{**case, "config": config}).values():
        assert row["markov_share"] == row["shapley_share"] == row["linear_share"]
        assert row["markov_amount_minor"] == row["shapley_amount_minor"] == row["linear_amount_minor"]


@given(st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=12), st.data())
def test_every_model_that_is_rational_states_the_doubles_nearest_to_its_exact_shares(channels, data):
    touches = [
        Touch(START + at, f"native:{at:02}", "chat", True, channel) for at, channel in enumerate(channels)
    ]
    names = ["first_touch", "lead_created", "deal_created", "won", "stage:demo"]
    milestones = data.draw(st.dictionaries(st.sampled_from(names), st.integers(0, len(touches) - 1)))
    path = Path(touches, milestones, False, touches)
    for model in models(AttributionConfig(custom=CUSTOM)):
        weights = model.weigh(path)
        assert len(weights) == len(touches)
        if not model.name.startswith("time_decay"):
            assert all(type(weight) is int for weight in weights)
            exact = [Fraction(weight, sum(weights)) for weight in weights]
            assert split(weights, 0)[0] == [float(share) for share in exact]


def pots(path: Path, weights: dict[str, Fraction], middle: Fraction, until: str = "") -> list[Fraction]:
    """R30 as it is written: two pots, shared out one after the other."""
    size = len(path.touches)
    present = {name: weight for name, weight in weights.items() if name in path.milestones}
    if not present:
        return [Fraction(1, size)] * size
    held = {path.milestones[name] for name in present}
    free = [index for index in range(path.milestones.get(until, size)) if index not in held]
    pot = sum(weights.values()) + (0 if free else middle)
    shares: defaultdict[int, Fraction] = defaultdict(Fraction)
    for name, weight in present.items():
        shares[path.milestones[name]] += pot * weight / sum(present.values())
    for index in free:
        shares[index] += middle / len(free)
    return [shares[index] / 100 for index in range(size)]


@given(st.integers(1, 9), st.data())
def test_milestone_models_share_out_the_two_pots_of_their_rule(size, data):
    names = ["first_touch", "lead_created", "deal_created", "won", "stage:demo"]
    milestones = data.draw(st.dictionaries(st.sampled_from(names), st.integers(0, size - 1)))
    touches = [Touch(START + at, f"native:{at}", "chat", True, "Email") for at in range(size)]
    path = Path(touches, milestones, False, touches)
    ft, lc, oc, cw, demo = names
    twenty, ten = Fraction(20), Fraction(10)
    expected = {
        "u_shaped": pots(path, {ft: Fraction(40), lc: Fraction(40)}, twenty),
        "w_shaped": pots(path, {name: Fraction(30) for name in (ft, lc, oc)}, ten, until=oc),
        "full_path": pots(path, {name: Fraction("22.5") for name in (ft, lc, oc, cw)}, ten),
        "custom_half": pots(
            path, {ft: Fraction("12.5"), demo: Fraction("37.5"), cw: Fraction(25)}, Fraction(25)
        ),
        "custom_ends": pots(path, {oc: Fraction("33.33"), lc: Fraction("66.67")}, Fraction(0)),
    }
    for model in models(AttributionConfig(custom=CUSTOM)):
        if model.name in expected:
            assert split(model.weigh(path), 0)[0] == [float(share) for share in expected[model.name]]


@settings(max_examples=300)
@given(cases())
def test_a_path_is_what_its_rules_say_touch_by_touch(case):
    (converted,) = case["conversions"]
    config = replace(case["config"].attribution, exclude_types=frozenset())
    lookback, lead = config.rules.lookback_ms, case["first_lead_at"]
    touches, of, at = case["journey"].touches, converted.deal, converted.path_at
    if converted.path_after is not None:
        span = [t for t in touches if max(converted.path_after + 1, at - lookback) <= t.at <= at]
        if span:
            converted, of, lead = converted._replace(path_after=None), None, None
            touches = span
        elif of.won_at is not None:
            at = of.won_at
    window = [t for t in touches if at - lookback <= t.at <= at]
    ft = window[:1]
    lc = [t for t in touches if lead is not None and lead <= at and t.at <= lead][-1:]
    lc = [t for t in lc if t in window]
    wins = [
        other.won_at
        for other in case["deals"].values()
        if of is not None
        and other.deal_id != of.deal_id
        and other.exists
        and other.won_at is not None
        and other.won_at <= of.created_at
    ]
    whole = sorted({t for t in window if t.at > max(wins, default=-1)} | {*ft, *lc})
    kept = sorted({*whole[-config.path_cap :], *ft, *lc}) if len(whole) > config.path_cap else whole
    found = build_path(
        case["journey"], case["conversions"][0], case["deals"], case["first_lead_at"],
        PathProfile(lookback), config,
    )  # fmt: skip
    assert found.truncated == (len(whole) > config.path_cap)
    assert list(found.touches) == kept
    marks = {name: found.touches[index] for name, index in found.milestones.items()}
    assert marks.get("first_touch") == (ft[0] if ft else None)
    assert marks.get("lead_created") == (lc[0] if lc else None)
    if of is not None:
        before = [t for t in whole if t.at <= of.created_at][-1:]
        assert marks.get("deal_created") == (before[0] if before and before[0] in kept else None)
    if converted.conversion in ("won", "recurring"):
        assert marks.get("won") == (whole[-1] if whole else None)
    else:
        assert "won" not in marks
