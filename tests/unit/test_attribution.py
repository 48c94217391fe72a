"""Weights per model, and their split into shares and money (R29, R30, R32)."""

from __future__ import annotations

import doctest
from collections.abc import Iterable

import pytest

from revenue_core.attribution import milestones
from revenue_core.attribution.data_driven import channel_weights
from revenue_core.attribution.decay import time_decay
from revenue_core.attribution.even import linear, position_based
from revenue_core.attribution.milestones import (
    FULL_PATH,
    U_SHAPED,
    W_SHAPED,
    MilestoneModel,
    custom_model,
    milestone_weights,
)
from revenue_core.attribution.models import model_names, models, split
from revenue_core.attribution.single import first_touch, last_non_direct, last_touch
from revenue_core.config import AttributionConfig, CoreConfig, CustomModel, PathProfile
from revenue_core.facts import DAY_MS
from revenue_core.parameters import Learned
from revenue_core.paths import Path
from tests.credit_builders import touch


def path(channels: Iterable[str], **milestones: int) -> Path:
    touches = [touch(number, channel) for number, channel in enumerate(channels)]
    return Path(touches, milestones, False, touches)


def percent(model: MilestoneModel, size: int, **milestones: int) -> list[float]:
    shares, _ = split(milestone_weights(model, path("x" * size, **milestones)), 0)
    return [100 * share for share in shares]


def test_the_models_come_in_the_order_of_the_columns() -> None:
    config = CoreConfig(
        attribution=AttributionConfig(
            custom=(CustomModel("b", {"won": "100"}), CustomModel("a", {"won": "100"}))
        )
    )
    assert model_names(config) == [
        "first_touch", "last_touch", "last_non_direct", "linear", "position_based", "u_shaped", "w_shaped",
        "full_path", "time_decay", "time_decay_long", "custom_b", "custom_a", "markov", "shapley",
    ]  # fmt: skip
    assert [model.name for model in models(config.attribution) if model.data_driven] == ["markov", "shapley"]


def test_models_of_a_single_touch() -> None:
    found = path(["Email", "Events", "Direct"])
    assert first_touch(found) == [1, 0, 0]
    assert last_touch(found) == [0, 0, 1]
    assert last_non_direct(found) == [0, 1, 0]


def test_last_non_direct_falls_back_on_the_last_touch() -> None:
    assert last_non_direct(path(["Direct", "Direct"])) == [0, 1]


def test_models_of_positions() -> None:
    assert linear(path("xxx")) == [1, 1, 1]
    assert [position_based(path("x" * size)) for size in (1, 2, 3)] == [[1], [1, 1], [2, 1, 2]]
    assert split(position_based(path("x" * 6)), 100)[1] == [40, 5, 5, 5, 5, 40]


def test_milestones_on_one_touch_add_up() -> None:
    assert percent(U_SHAPED, 3, first_touch=0, lead_created=0) == [80, 10, 10]
    assert percent(FULL_PATH, 2, first_touch=0, lead_created=0, deal_created=1, won=1) == [50, 50]


def test_the_weight_of_an_absent_milestone_goes_to_those_present_in_proportion() -> None:
    model = MilestoneModel({"first_touch": 50, "lead_created": 30, "won": 10}, 10)
    shares, amounts = split(milestone_weights(model, path("xxx", first_touch=0, won=2)), 600)
    assert amounts == [450, 60, 90]
    assert shares == [0.75, 0.1, 0.15]


def test_w_shaped_gives_nothing_after_the_deals_creation() -> None:
    assert percent(W_SHAPED, 5, first_touch=0, lead_created=1, deal_created=3) == [30, 30, 10, 30, 0]


def test_w_shaped_counts_a_lead_touch_after_the_deals_creation_as_a_milestone() -> None:
    assert percent(W_SHAPED, 4, first_touch=0, deal_created=2, lead_created=3) == [30, 10, 30, 30]


def test_w_shaped_without_the_deals_creation_spreads_over_all_other_touches() -> None:
    assert percent(W_SHAPED, 4, first_touch=0, lead_created=1) == [45, 45, 5, 5]


def test_a_milestone_model_none_of_whose_milestones_is_present_is_linear() -> None:
    assert milestone_weights(MilestoneModel({"won": 60}, 40), path("xxxx", first_touch=0)) == [1, 1, 1, 1]


def test_custom_weights_are_exact_decimals() -> None:
    model = custom_model(CustomModel("thirds", {"first_touch": "33.3", "won": "33.4", "middle": "33.3"}))
    shares, amounts = split(milestone_weights(model, path("xxx", first_touch=0, won=2)), 1000)
    assert amounts == [333, 333, 334]
    assert shares == [0.333, 0.333, 0.334]


def test_a_milestone_of_weight_zero_is_no_milestone_of_the_model() -> None:
    model = custom_model(CustomModel("mine", {"first_touch": "0", "won": "60", "middle": "40"}))
    assert percent(model, 3, first_touch=0, won=2) == [20, 20, 60]


def test_the_docstring_example_of_custom_models_runs() -> None:
    assert doctest.testmod(milestones) == (0, 1)


def test_time_decay_survives_paths_far_longer_than_its_half_life() -> None:
    touches = [touch(0), touch(365_000), touch(365_001)]
    weights = time_decay(DAY_MS, Path(touches, {}, False, touches))
    assert weights == [0.0, 0.5, 1.0]
    assert split(weights, 300) == ([0.0, 1 / 3, 2 / 3], [0, 100, 200])


def test_the_long_half_life_is_a_quarter_of_the_lookback_of_the_rules() -> None:
    config = AttributionConfig(rules=PathProfile(lookback_ms=40 * DAY_MS))
    long = next(model for model in models(config) if model.name == "time_decay_long")
    touches = [touch(0), touch(10)]
    assert long.weigh(Path(touches, {}, False, touches)) == [0.5, 1.0]


def test_without_parameters_data_driven_models_are_linear_over_the_untransformed_path() -> None:
    found = path(["a", "a", "b"])._replace(touches=[touch(1, "a"), touch(2, "b")])
    assert channel_weights({}, found) == [1, 1, 1]


def test_a_channels_share_is_split_equally_over_its_touches() -> None:
    found = path(["a", "a", "b"])._replace(touches=[touch(1, "a"), touch(2, "b")])
    assert split(channel_weights({"a": 0.6, "b": 0.2, "elsewhere": 9.0}, found), 800)[1] == [300, 300, 200]


def test_an_unknown_channel_and_one_of_negative_value_earn_nothing() -> None:
    assert channel_weights({"a": 0.5, "b": -0.5}, path(["a", "b", "c"])) == [0.5, 0.0, 0.0]


def test_without_any_value_above_zero_on_the_path_a_data_driven_model_is_linear() -> None:
    assert channel_weights({"a": -1.0, "b": 0.0, "z": 1.0}, path(["a", "b", "c"])) == [1, 1, 1]


def test_a_channel_that_the_transform_left_out_earns_nothing() -> None:
    found = path(["a", "b"])._replace(touches=[touch(0, "a")])
    assert channel_weights({"a": 0.5, "b": 0.5}, found) == [0.5, 0.0]


def test_parameters_reach_their_own_model() -> None:
    learned = Learned(version=3, won_journeys=200, markov={"a": 1.0}, shapley={"b": 1.0})
    markov, shapley = models(AttributionConfig(), learned)[-2:]
    assert markov.weigh(path("ab")) == [1.0, 0.0]
    assert shapley.weigh(path("ab")) == [0.0, 1.0]


@pytest.mark.parametrize(("won", "low"), [(199, True), (200, False)])
def test_data_are_low_below_two_hundred_won_journeys(won: int, low: bool) -> None:
    assert Learned(1, won, {}, {}).low_data is low


def test_shares_are_the_doubles_nearest_to_the_exact_ones() -> None:
    assert split([1, 2, 4], 0)[0] == [1 / 7, 2 / 7, 4 / 7]


def test_a_negative_amount_is_split_by_its_size() -> None:
    assert split([1, 1, 1], -100) == ([1 / 3] * 3, [-34, -33, -33])
    assert split([1.0, 1.0, 1.0], -100) == ([1 / 3] * 3, [-34, -33, -33])


def test_nothing_is_split_into_nothing() -> None:
    assert split([1, 0], 0) == ([1.0, 0.0], [0, 0])
    assert split([0.5, 0.5], 0) == ([0.5, 0.5], [0, 0])
