"""Removal effects where they are easy to see, and where they are hard to compute."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest

from revenue_core.attribution.journeys import NEXT, NULL, START, WON, JourneyCounts
from revenue_core.attribution.markov import removal_effects
from tests.reference import chains_and_games as oracle


def effects(*journeys: tuple[str, bool]) -> dict[str, float]:
    """Of journeys whose channels are letters."""
    counts = JourneyCounts()
    for channels, converted in journeys:
        counts.add(channels, converted)
    return removal_effects(counts)


def test_without_journeys_there_is_no_channel():
    assert effects() == {}


def test_without_a_conversion_no_removal_has_an_effect():
    assert effects(("AB", False), ("A", False)) == {"A": 0.0, "B": 0.0}


def test_the_only_channel_has_all_effect_however_rarely_it_converts():
    assert effects(("A", True), ("AAA", False), ("AA", False)) == {"A": 1.0}


def test_a_channel_that_only_leads_to_nothing_has_no_effect():
    assert effects(("A", True), ("B", False)) == {"A": 1.0, "B": 0.0}


def test_a_channel_that_every_way_to_conversion_leads_through_has_all_effect():
    assert effects(("AB", True), ("AC", True), ("D", False)) == {"A": 1.0, "B": 0.5, "C": 0.5, "D": 0.0}


def test_the_chain_knows_ways_that_no_journey_went():
    assert effects(("AB", True), ("AC", True), ("B", False)) == pytest.approx({"A": 0.75, "B": 0.5, "C": 0.5})


def test_a_path_back_and_forth_is_followed_to_its_end():
    found = [("ABABC", True), ("BA", False), ("CB", True), ("CAC", False)]
    exact = oracle.removal_effects(oracle.transitions_of(found))
    assert effects(*found) == pytest.approx({channel: float(effect) for channel, effect in exact.items()})


def test_channels_come_sorted_whatever_came_first():
    assert list(effects(("CBA", True))) == ["A", "B", "C"]


def test_half_an_hour_of_ping_pong_between_two_channels_costs_no_digit():
    long = 10**12
    counts = JourneyCounts(
        {
            (START, "A"): 2,
            (START, "C"): 1,
            (NEXT, "A", "B"): long,
            (NEXT, "B", "A"): long - 1,
            (NEXT, "C", "A"): 1,
            (NULL, "A"): 2,
            (WON, "B"): 1,
        }
    )
    chain = {START: oracle.START, WON: oracle.WON, NULL: oracle.NULL}
    transitions: oracle.Transitions = Counter()
    for (kind, *channels), number in counts.items():
        states = [("channel", channel) for channel in channels]
        ends = (
            [chain[START], *states] if kind == START else [*states, *([] if kind == NEXT else [chain[kind]])]
        )
        transitions[ends[0], ends[1]] = number
    exact = oracle.removal_effects(transitions)
    assert exact["C"] == Fraction(1, 3)
    assert removal_effects(counts) == pytest.approx(
        {channel: float(effect) for channel, effect in exact.items()}, rel=1e-15
    )


def test_as_many_channels_as_there_are_campaigns_agree_with_removing_each_of_them():
    names = [f"{number:02}" for number in range(30)]
    journeys = [
        ([names[step * start % 29] for step in range(1, 2 + start % 5)], start % 3 == 0)
        for start in range(1, 200)
    ]
    counts = JourneyCounts()
    for channels, converted in journeys:
        counts.add(channels, converted)
    transitions = oracle.transitions_of(journeys)
    whole = oracle.walked(transitions, steps=300)
    for channel, effect in removal_effects(counts).items():
        assert effect == pytest.approx(1 - oracle.walked(transitions, channel, steps=300) / whole, abs=1e-12)


def test_a_channel_without_a_way_out_is_refused():
    counts = JourneyCounts(
        {(START, "A"): 1, (WON, "A"): 1, (NEXT, "B", "C"): 1, (NEXT, "C", "B"): 1, (NEXT, "C", "C"): 4}
    )
    with pytest.raises(ValueError, match="no way out"):
        removal_effects(counts)
