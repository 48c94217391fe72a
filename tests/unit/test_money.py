"""Reading, rounding and splitting money (R24, R29, R45)."""

from __future__ import annotations

from time import perf_counter

import pytest

from revenue_core.errors import InvalidAmount, UnknownCurrency
from revenue_core.money import apportion, apportion_shares, expected_minor, rounded

EXPONENTS = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}


@pytest.mark.parametrize(
    "text",
    [
        "", " 1", "1 ", "1,5", "1.", ".5", "1e", "1e+", "1E5", "0x10", "--1", "1_000", "NaN", "inf", "\u0661",
        "nonsense",
    ],
)  # fmt: skip
def test_what_is_outside_the_grammar_is_no_amount(text: str) -> None:
    with pytest.raises(InvalidAmount):
        rounded(text, "EUR", EXPONENTS)


@pytest.mark.parametrize(
    "text",
    ["1" + "0" * 40, "1e400", "1e999999999", "1e" + "9" * 5000, "9" * 5000],
    ids=["41 digits", "large", "huge", "long exponent", "long"],
)
def test_an_amount_beyond_all_counting_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmount):
        rounded(text, "EUR", EXPONENTS)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12000.00", "EUR", 1_200_000),
        ("12000.00", "JPY", 12_000),
        ("12000.00", "KWD", 12_000_000),
        ("166.67", "EUR", 16_667),
        ("0.005", "EUR", 0),
        ("0.015", "EUR", 2),
        ("0.025", "EUR", 2),
        ("0.0250000000000000000000000000001", "EUR", 3),
        ("0.0049999999999999999999", "EUR", 0),
        ("0.5", "JPY", 0),
        ("1.5", "JPY", 2),
        ("0.05", "JPY", 0),
        ("0.9", "JPY", 1),
        ("99.5", "JPY", 100),
        ("-0.015", "EUR", -2),
        ("-0.025", "EUR", -2),
        ("1e13", "EUR", 10**15),
        ("10000000000000.005", "EUR", 10**15),
        ("-1e13", "EUR", -(10**15)),
        ("1e-400", "EUR", 0),
        ("-1e-41", "EUR", 0),
        ("0e999999999999", "EUR", 0),
        ("-0.00", "EUR", 0),
        ("+007.50", "EUR", 750),
        ("12.5e+1", "EUR", 12_500),
        ("12.5e-3", "KWD", 12),
        ("1e14", "EUR", 10**16),
    ],
)
def test_minor_units_follow_the_currency_and_round_half_to_even(text: str, currency: str, minor: int) -> None:
    assert rounded(text, currency, EXPONENTS) == minor


def test_a_code_without_decimal_places_is_an_unknown_currency() -> None:
    with pytest.raises(UnknownCurrency):
        rounded("1", "XXX", EXPONENTS)


@pytest.mark.parametrize(
    "text",
    ["1e400", "1e-999999999", "1e999999999", "1e-" + "9" * 100_000, "3" * 100_000, "0." + "3" * 100_000],
    ids=["large", "tiny", "huge", "long exponent", "long", "precise"],
)
def test_reading_an_extreme_amount_takes_no_time(text: str) -> None:
    started = perf_counter()
    try:
        assert rounded(text, "EUR", EXPONENTS) in (0, 33)
    except InvalidAmount:
        assert text in ("1e400", "1e999999999", "3" * 100_000)
    assert perf_counter() - started < 0.5


@pytest.mark.parametrize(
    ("amount", "weights", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (101, [1, 1, 1], [34, 34, 33]),
        (100, [40, 20, 40], [40, 20, 40]),
        (10_000, [80, 5, 5, 5, 5], [8_000, 500, 500, 500, 500]),
        (1, [1, 2], [0, 1]),
        (1, [0, 1, 1], [0, 1, 0]),
        (5, [0, 7, 0], [0, 5, 0]),
        (0, [3, 4], [0, 0]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (7, [1], [7]),
    ],
)
def test_what_floors_leave_goes_to_the_largest_remainders_and_ties_to_the_earlier(
    amount: int, weights: list[int], parts: list[int]
) -> None:
    assert apportion(amount, weights) == parts


def test_remainders_are_compared_exactly() -> None:
    large = 3 * 10**30
    assert apportion(1, [large, large + 1, large]) == [0, 1, 0]


@pytest.mark.parametrize("weights", [[], [0], [0, 0]])
def test_nothing_can_be_split_by_weights_that_add_up_to_nothing(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        apportion(1, weights)
    with pytest.raises(ValueError, match="more than 0"):
        apportion_shares(1, [float(weight) for weight in weights])


def test_double_shares_are_the_exact_ratios_that_they_are() -> None:
    # the double 0.1 is a little more than a tenth, so three of them beat 0.3, which is a little less
    assert apportion_shares(1, [0.3, 0.1 + 0.1 + 0.1]) == [0, 1]
    assert apportion_shares(1, [0.5, 0.5]) == [1, 0]
    assert apportion_shares(700, [0.25, 0.5, 1.0]) == [100, 200, 400]


def test_the_time_decay_example_is_split_to_the_cent() -> None:
    shares = [2.0 ** ((each - 38) / 7) for each in (0, 5, 12, 30, 38)]
    assert apportion_shares(1_200_000, shares) == [17_519, 28_744, 57_488, 341_704, 754_545]


@pytest.mark.parametrize(
    ("p", "amount", "expected"),
    [
        (0.75, 10, 8),
        (0.75, 6, 4),
        (0.5, 5, 2),
        (0.5, 7, 4),
        (0.25, 1_200_000, 300_000),
        (0.0, 99, 0),
        (1.0, 99, 99),
    ],
)
def test_an_expected_value_rounds_half_to_even(p: float, amount: int, expected: int) -> None:
    assert expected_minor(p, amount) == expected


def test_an_expected_value_takes_the_double_as_it_is() -> None:
    # 0.15 is a double below 15/100 and 0.35 one below 35/100, so neither of these is a tie
    assert expected_minor(0.15, 10) == 1
    assert expected_minor(0.35, 10) == 3
    assert expected_minor(0.05, 10) == 1
    assert expected_minor(0.1, 10**15) == 10**14
