"""Worked examples of every rule model, to the cent."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from revenue_core.config import AttributionConfig, CoreConfig, CustomModel
from revenue_core.deals import Deal
from revenue_core.facts import DAY_MS
from tests.credit_builders import conversion, credits, deal, touch

DAYS = (0, 5, 12, 30, 38)
AMOUNT = 1_200_000


def amounts(
    model: str,
    days: Sequence[float],
    *,
    of: Deal | None = None,
    lead: float | None = None,
    at: float | None = None,
    amount: int = AMOUNT,
    config: CoreConfig | None = None,
) -> list[int]:
    """Minor units per touch of a deal won with its last touch, created with its first."""
    last = max(days) if at is None else at
    converted = conversion(of or deal(created=min(days), won=last), amount_minor=amount)
    rows = credits([touch(each) for each in days], converted, lead=lead, config=config)
    return [row[f"{model}_amount_minor"] for row in rows]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("first_touch", [12_000_00, 0, 0, 0, 0]),
        ("last_touch", [0, 0, 0, 0, 12_000_00]),
        ("last_non_direct", [0, 0, 0, 0, 12_000_00]),
        ("linear", [2_400_00] * 5),
        ("position_based", [4_800_00, 800_00, 800_00, 800_00, 4_800_00]),
        ("time_decay", [175_19, 287_44, 574_88, 3_417_04, 7_545_45]),
        ("markov", [2_400_00] * 5),
        ("shapley", [2_400_00] * 5),
    ],
)
def test_five_touches_on_the_days_0_5_12_30_and_38_share_twelve_thousand(model, expected):
    assert amounts(model, DAYS) == expected


def test_time_decay_keeps_the_whole_where_rounding_each_part_would_add_a_cent():
    weights = [2.0 ** ((each - 38) / 7) for each in DAYS]
    rounded = [round(AMOUNT * weight / sum(weights)) for weight in weights]
    assert rounded[0] == 175_20
    assert sum(rounded) == 12_000_01
    assert sum(amounts("time_decay", DAYS)) == 12_000_00


@pytest.mark.parametrize("won", [3, 3.25, 300])
def test_a_half_life_of_a_day_gives_one_two_and_four_sevenths_however_long_before_the_win(won):
    config = CoreConfig(attribution=AttributionConfig(half_life_ms=DAY_MS))
    assert amounts("time_decay", [0, 1, 2], at=won, amount=7_00, config=config) == [1_00, 2_00, 4_00]


def test_the_long_decay_halves_in_a_quarter_of_the_lookback():
    assert amounts("time_decay_long", [0, 365 / 4], amount=3_00) == [1_00, 2_00]


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [100_00]), (2, [50_00, 50_00]), (3, [40_00, 20_00, 40_00])]
)
def test_position_based_on_few_touches(count, expected):
    assert amounts("position_based", range(count), amount=100_00) == expected


@pytest.mark.parametrize(
    ("days", "lead", "expected"),
    [
        ((0, 1, 2, 3), 1, [40_00, 40_00, 10_00, 10_00]),
        ((0, 1, 2, 3, 4), None, [80_00, 5_00, 5_00, 5_00, 5_00]),
        ((0, 1), 1, [50_00, 50_00]),
        ((0, 1, 2), 0, [80_00, 10_00, 10_00]),
        ((0,), None, [100_00]),
    ],
)
def test_u_shaped(days, lead, expected):
    assert amounts("u_shaped", days, lead=lead, amount=100_00) == expected


@pytest.mark.parametrize(
    ("days", "created", "lead", "expected"),
    [
        ((0, 1, 2, 3, 4), 3, 2, [30_00, 10_00, 30_00, 30_00, 0]),
        ((0, 1, 2), 2, 1, [30_00, 30_00, 30_00]),
        ((0, 1, 2, 3), 2, None, [45_00, 10_00, 45_00, 0]),
        ((0, 1, 2), 1, None, [50_00, 50_00, 0]),
        ((0, 1, 2), 0, 0, [100_00, 0, 0]),
        ((0, 1, 2, 3, 4), 4, 0, [60_00, 3_34, 3_33, 3_33, 30_00]),
    ],
)
def test_w_shaped(days, created, lead, expected):
    amount = 90_00 if expected == [30_00] * 3 else 100_00
    of = deal(created=created, won=max(days))
    assert amounts("w_shaped", days, of=of, lead=lead, amount=amount) == expected


@pytest.mark.parametrize(
    ("days", "created", "lead", "expected"),
    [
        ((0, 1, 2, 3), 2, 1, [25_00, 25_00, 25_00, 25_00]),
        ((0, 1, 2, 3, 4), 3, 1, [22_50, 22_50, 10_00, 22_50, 22_50]),
        ((0, 1, 2, 3), 2, None, [30_00, 10_00, 30_00, 30_00]),
        ((0, 1), 0, 0, [75_00, 25_00]),
    ],
)
def test_full_path(days, created, lead, expected):
    of = deal(created=created, won=max(days))
    assert amounts("full_path", days, of=of, lead=lead, amount=100_00) == expected


@pytest.mark.parametrize(
    ("weights", "lead", "expected"),
    [
        ({"first_touch": "12.5", "lead_created": "37.5", "middle": "50"}, 1, [12_50, 37_50, 25_00, 25_00]),
        ({"first_touch": "12.5", "lead_created": "37.5", "middle": "50"}, None, [50_00, 16_67, 16_67, 16_66]),
        ({"lead_created": "100"}, None, [25_00, 25_00, 25_00, 25_00]),
        ({"won": "100"}, None, [0, 0, 0, 100_00]),
        ({"middle": "100"}, None, [25_00, 25_00, 25_00, 25_00]),
    ],
)
def test_custom_models(weights, lead, expected):
    config = CoreConfig(attribution=AttributionConfig(custom=(CustomModel("mine", weights),)))
    assert amounts("custom_mine", (0, 1, 2, 3), lead=lead, amount=100_00, config=config) == expected
