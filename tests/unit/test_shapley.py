"""Shapley values of channels: which way they are computed, what they mean, and how they are sampled."""

from __future__ import annotations

from itertools import islice
from math import sqrt
from random import Random
from statistics import stdev

import pytest

from revenue_core.attribution import shapley
from revenue_core.attribution.journeys import JourneyCounts
from revenue_core.attribution.shapley import (
    exact_values,
    game_values,
    random_bits,
    sampled_values,
    shapley_values,
    shuffled,
)


def counted(*journeys: tuple[str, bool]) -> JourneyCounts:
    """Of journeys whose channels are letters."""
    counts = JourneyCounts()
    for channels, converted in journeys:
        counts.add(channels, converted)
    return counts


def crowd(channels: int) -> JourneyCounts:
    random = Random(channels)
    letters = "ABCDEFGHIJKLMNOPQRST"[:channels]
    chains = ["".join(random.choices(letters, k=random.randint(1, 4))) for _ in range(500)]
    return counted(*((chain, random.random() < 0.3) for chain in [*letters, *chains]))


def test_without_journeys_there_is_no_channel():
    assert shapley_values(JourneyCounts()) == ({}, {})


def test_without_a_conversion_every_value_is_zero():
    assert shapley_values(counted(("AB", False), ("C", False))).values == {"A": 0.0, "B": 0.0, "C": 0.0}


def test_the_only_channel_has_the_conversion_rate():
    assert shapley_values(counted(("A", True), ("AA", False), ("A", False), ("A", True))).values == {"A": 0.5}


def test_order_and_repeats_within_a_journey_play_no_part():
    assert exact_values(counted(("ABA", True), ("A", False))) == exact_values(
        counted(("BA", True), ("AA", False))
    )


def test_a_channel_that_hurts_keeps_its_negative_value():
    values = exact_values(counted(("A", True), ("A", True), ("AB", False)))
    assert values == pytest.approx({"A": 5 / 6, "B": -1 / 6})


def test_a_set_of_channels_that_no_journey_kept_to_is_worth_nothing():
    assert exact_values(counted(("AB", True))) == {"A": 0.5, "B": 0.5}


@pytest.mark.parametrize(("channels", "exact"), [(12, True), (13, False)])
def test_values_are_exact_up_to_twelve_channels_and_sampled_above(channels, exact):
    found = shapley_values(crowd(channels))
    assert len(found.values) == channels
    assert all((error == 0) is exact for error in found.standard_errors.values())
    assert sum(found.values.values()) == pytest.approx(sum(exact_values(crowd(channels)).values()), abs=1e-12)


def test_thirteen_sampled_values_lie_within_four_standard_errors_of_the_exact_ones():
    counts = crowd(13)
    exact = exact_values(counts)
    values, errors = shapley_values(counts)
    assert all(abs(values[channel] - exact[channel]) < 4 * errors[channel] for channel in exact)


def test_a_channel_of_a_single_journey_among_thousands_is_valued_too():
    counts = crowd(15)
    counts.add("Z", True)
    assert sampled_values(counts).values["Z"] == pytest.approx(exact_values(counts)["Z"], rel=0.1)


def test_the_same_counts_give_the_same_sample():
    assert sampled_values(crowd(14), rounds=2) == sampled_values(crowd(14), rounds=2)
    assert sampled_values(crowd(14), rounds=2, seed=1) != sampled_values(crowd(14), rounds=2)


def test_the_standard_error_is_that_of_the_mean_of_the_rounds():
    two, three = (sampled_values(crowd(13), rounds=rounds) for rounds in (2, 3))
    for channel, mean in three.values.items():
        middle, apart = two.values[channel], two.standard_errors[channel]
        rounds = [middle - apart, middle + apart, 3 * mean - 2 * middle]
        assert three.standard_errors[channel] == pytest.approx(stdev(rounds) / sqrt(3))


def test_a_player_of_no_coalition_of_worth_is_still_a_player():
    assert game_values({frozenset("a"): 2.0, frozenset("ab"): 2.0}) == {"a": 2.0, "b": 0.0}
    assert game_values({}) == {}


def test_random_bits_are_those_of_the_published_generator():
    # https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64: the first five for the seed 1234567.
    assert list(islice(random_bits(1234567), 5)) == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


def test_every_order_is_equally_likely():
    source = random_bits(0)
    found: dict[tuple[int, ...], int] = {}
    for _ in range(12_000):
        order = tuple(shuffled(4, source))
        found[order] = found.get(order, 0) + 1
    assert len(found) == 24
    assert sum((count - 500) ** 2 / 500 for count in found.values()) < 49.7  # chi-squared, 23 degrees: 0.1 %


def test_there_is_one_sum_over_subsets_for_each_set():
    counts = [1, 2, 4, 8, 16, 32, 64, 128]
    shapley._sum_subsets(counts)
    assert counts == [1, 3, 5, 15, 17, 51, 85, 255]
