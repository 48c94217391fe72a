"""Laws of the learned models, and their agreement with a brute force in fractions (R33, R44)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revenue_core.attribution.fitting import fit
from revenue_core.attribution.journeys import JourneyCounts
from revenue_core.attribution.markov import removal_effects
from revenue_core.attribution.shapley import exact_values, game_values, sampled_values
from tests.reference import chains_and_games as oracle

NAMES = ["Email", "Events", "start", "won", "null", "won_set", ""]
"""Channels may be called as a kind of count is."""
Journey = tuple[list[str], bool]

paths = st.lists(st.sampled_from(NAMES[:4]), min_size=1, max_size=6)
journeys = st.lists(st.tuples(paths, st.booleans()), max_size=12)
many = st.lists(
    st.tuples(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6), st.booleans()), max_size=12
)
games = st.dictionaries(
    st.frozensets(st.sampled_from("abcd"), min_size=1), st.integers(-100, 100), min_size=1
).map(lambda game: {frozenset("abcd"): 0, **game})


def counted(found: Sequence[Journey]) -> JourneyCounts:
    counts = JourneyCounts()
    for channels, converted in found:
        counts.add(channels, converted)
    return counts


def generated(seed: int, channels: int, size: int) -> list[Journey]:
    """Journeys in which early channels are frequent and convert more often together."""
    random = Random(seed)
    names = [f"channel {number:02}" for number in range(channels)]
    weights = [1 / (number + 1) for number in range(channels)]
    found = []
    for _ in range(size):
        path = random.choices(names, weights, k=random.randint(1, 5))
        found.append((path, random.random() < 0.1 + 0.2 * (names[0] in path) * (names[-1] in path)))
    return found


@given(many)
def test_removal_effects_are_those_of_the_chain_without_the_channel(found):
    exact = oracle.removal_effects(oracle.transitions_of(found))
    assert removal_effects(counted(found)) == pytest.approx(
        {c: float(e) for c, e in exact.items()}, abs=1e-13
    )


@settings(max_examples=15)
@given(journeys)
def test_removal_effects_are_those_of_walking_the_chain_to_its_end(found):
    transitions = oracle.transitions_of(found)
    whole = oracle.walked(transitions)
    for channel, effect in removal_effects(counted(found)).items():
        assert whole * (1 - effect) == pytest.approx(oracle.walked(transitions, channel), abs=1e-9)


@settings(max_examples=50)
@given(journeys)
def test_shapley_values_are_the_mean_over_all_orders(found):
    exact = oracle.shapley_values(found)
    assert exact_values(counted(found)) == pytest.approx({c: float(v) for c, v in exact.items()}, abs=1e-14)


@settings(max_examples=50)
@given(journeys)
def test_fitted_values_are_the_exact_ones_to_twelve_decimals_so_that_nothing_is_exactly_nothing(found):
    effects = oracle.removal_effects(oracle.transitions_of(found))
    values = oracle.shapley_values(found)
    for each in fit(counted(found)).channels:
        assert each.removal_effect == float(round(effects[each.channel], 12))
        assert each.shapley_value == float(round(values[each.channel], 12))


@given(many)
def test_the_chain_converts_exactly_as_often_as_the_journeys(found):
    exact = oracle.conversion_probability(oracle.transitions_of(found))
    assert exact == oracle.rate(found, NAMES)
    assert fit(counted(found)).p_conversion == float(exact)


@given(many)
def test_repeats_of_a_channel_leave_every_parameter_as_it_is(found):
    collapsed = [([channel for channel, _ in groupby(path)], converted) for path, converted in found]
    assert fit(counted(found)) == fit(counted(collapsed))


@given(many)
def test_removal_effects_lie_between_0_and_1_and_are_1_exactly_where_no_other_way_leads_to_conversion(found):
    transitions = oracle.transitions_of(found)
    whole = oracle.conversion_probability(transitions)
    for channel, effect in removal_effects(counted(found)).items():
        assert 0 <= effect <= 1
        if whole:
            assert (effect == 1) is (oracle.conversion_probability(transitions, channel) == 0)


@given(many)
def test_shares_of_all_conversions_sum_to_one_and_shapley_values_to_the_conversion_rate(found):
    fitted = fit(counted(found))
    whole = 1 if fitted.conversions else 0
    assert sum(each.markov_share for each in fitted.channels) == pytest.approx(whole, abs=1e-12)
    assert sum(each.shapley_share for each in fitted.channels) == pytest.approx(whole, abs=1e-12)
    assert sum(each.shapley_value for each in fitted.channels) == pytest.approx(
        fitted.p_conversion, abs=1e-11
    )


@given(journeys, st.permutations(NAMES[:4]))
def test_names_play_no_part(found, other):
    renamed = dict(zip(NAMES[:4], other, strict=True))
    before = fit(counted(found))
    after = fit(counted([([renamed[channel] for channel in path], converted) for path, converted in found]))
    effects = {each.channel: each.removal_effect for each in after.channels}
    values = {each.channel: each.shapley_value for each in after.channels}
    for each in before.channels:
        assert effects[renamed[each.channel]] == pytest.approx(each.removal_effect, abs=2e-12)
        assert values[renamed[each.channel]] == pytest.approx(each.shapley_value, abs=2e-12)


@given(journeys)
def test_channels_in_symmetric_roles_get_the_same(found):
    swap = {NAMES[0]: NAMES[1], NAMES[1]: NAMES[0]}
    mirrored = [([swap.get(channel, channel) for channel in path], converted) for path, converted in found]
    fitted = {each.channel: each for each in fit(counted([*found, *mirrored])).channels}
    if NAMES[0] in fitted:
        one, other = fitted[NAMES[0]], fitted[NAMES[1]]
        assert one.shapley_value == other.shapley_value
        assert one.removal_effect == pytest.approx(other.removal_effect, abs=2e-12)


@given(many, st.data())
def test_neither_order_nor_partitions_change_a_bit(found, data):
    shuffled = data.draw(st.permutations(found))
    cut = data.draw(st.integers(0, len(found)))
    parts = [counted(shuffled[cut:]), counted(shuffled[:cut])]
    whole = JourneyCounts()
    for part in parts:
        whole.merge(part)
    assert whole.rows() == counted(found).rows()
    assert fit(whole) == fit(counted(found))


@given(many, many, st.data())
def test_corrected_counts_give_the_parameters_of_a_fit_from_nothing_bit_for_bit(kept, withdrawn, data):
    steps = [(journey, True) for journey in [*kept, *withdrawn]] + [(journey, False) for journey in withdrawn]
    counts = JourneyCounts()
    for (path, converted), added in data.draw(st.permutations(steps)):
        (counts.add if added else counts.remove)(path, converted)
    assert counts == counted(kept)
    assert counts.rows() == counted(kept).rows()
    assert fit(counts) == fit(counted(kept))


@given(many, many)
def test_taking_a_partition_back_is_the_inverse_of_merging_it(kept, withdrawn):
    counts = counted(kept)
    counts.merge(counted(withdrawn))
    counts.subtract(counted(withdrawn))
    assert counts == counted(kept)


@given(many)
def test_counts_come_back_from_json(found):
    counts = counted(found)
    assert JourneyCounts.from_rows(json.loads(json.dumps(counts.rows()))) == counts


@given(many, st.data())
def test_counts_with_a_part_missing_are_refused(found, data):
    counts = counted(found)
    if found:
        # A transition from a channel to itself plays no part, and nothing tells that one is missing.
        keys = [key for key, _ in sorted(counts.items()) if key[0] != "next" or key[1] != key[2]]
        key = data.draw(st.sampled_from(keys))
        counts.change(key, 1)
        with pytest.raises(ValueError, match="whole journeys"):
            fit(counts)


@given(games)
def test_a_game_s_values_are_the_mean_over_all_orders_and_sum_to_its_worth(game):
    exact = oracle.average_of_orders("abcd", lambda coalition: oracle.Fraction(game.get(coalition, 0)))
    values = game_values(game)
    assert values == pytest.approx({player: float(value) for player, value in exact.items()}, abs=1e-12)
    assert sum(values.values()) == pytest.approx(game[frozenset("abcd")], abs=1e-12)


@given(games)
def test_a_player_who_adds_nothing_gets_exactly_nothing(game):
    with_null = game | {coalition | {"nobody"}: worth for coalition, worth in game.items()}
    values = game_values(with_null)
    assert values.pop("nobody") == 0.0
    assert values == pytest.approx(game_values(game), abs=1e-12)


@given(games, games)
def test_the_values_of_a_sum_of_games_are_the_sums_of_their_values(one, other):
    both = {key: one.get(key, 0) + other.get(key, 0) for key in one.keys() | other.keys()}
    first, second = game_values(one), game_values(other)
    assert game_values(both) == pytest.approx({p: first[p] + second[p] for p in first}, abs=1e-12)


@pytest.mark.parametrize("channels", [5, 9, 12])
def test_sampled_values_deviate_from_the_exact_ones_as_their_standard_error_says(channels):
    counts = counted(generated(channels, channels, 600))
    exact = exact_values(counts)
    deviations = []
    for seed in range(10):
        values, errors = sampled_values(counts, seed=seed)
        assert sum(values.values()) == pytest.approx(sum(exact.values()), abs=1e-12)
        deviations += [abs(values[channel] - exact[channel]) / errors[channel] for channel in exact]
    assert max(deviations) < 5
    assert sum(each < 2 for each in deviations) / len(deviations) > 0.85
    assert sum(each > 0.5 for each in deviations) / len(deviations) > 0.4


@given(journeys)
def test_of_three_channels_every_order_is_sampled(found):
    counts = counted([([channel for channel in path if channel in NAMES[:3]], won) for path, won in found])
    values, errors = sampled_values(counts)
    assert values == pytest.approx(exact_values(counts), abs=1e-15)
    assert list(errors.values()) == pytest.approx([0.0] * len(values), abs=1e-15)


def test_four_times_the_orders_halve_the_standard_error():
    counts = counted(generated(1, 15, 2_000))
    few, more = (sum(sampled_values(counts, rounds).standard_errors.values()) for rounds in (30, 120))
    assert 1.7 < few / more < 2.3
