"""The pass of R47, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from revenue_core.config import TemperatureConfig
from revenue_core.facts import DAY_MS, HOUR_MS, OUTBOUND_TYPES, Touch
from revenue_core.temperature import (
    COOLED,
    NEW,
    WARM,
    Cooled,
    Event,
    Rewarmed,
    Temperature,
    advance,
    due,
    problems,
    temperature_pass,
)

CONFIG = TemperatureConfig()
START = 1_700_006_400_000  # 2023-11-15T00:00:00Z
HALF_LIFE = 14 * DAY_MS


def touch(day: float, kind: str, name: str = "") -> Touch:
    at = START + round(day * DAY_MS)
    return Touch(at, f"native:{name or f'{at}-{kind}'}", kind, kind not in OUTBOUND_TYPES, "Direct")


def day(number: float) -> int:
    return START + round(number * DAY_MS)


WARM_UP = [touch(0, "page_view"), touch(1, "form_submit"), touch(2, "meeting")]
"""Warm on day 2, at its peak."""
COOLS = day(2) + 2 * HALF_LIFE


def run(*touches: Touch, wins: tuple[int, ...] = (), now: float = 2.0) -> tuple[Temperature, list[Event]]:
    return temperature_pass(sorted(touches), wins, CONFIG, day(now))


def test_an_account_stays_new_below_three_inbound_touches() -> None:
    assert run(touch(0, "meeting"), touch(1, "meeting"))[0].phase == NEW


def test_an_account_stays_new_while_all_touches_fall_on_one_utc_day() -> None:
    one_day = [touch(0.9 + 0.01 * i, "meeting") for i in range(5)]
    assert run(*one_day)[0].phase == NEW
    assert run(*one_day, touch(1.0, "page_view"))[0].phase == WARM


def test_an_account_stays_new_until_its_energy_once_reached_the_minimum() -> None:
    opens = [touch(0, "email_open"), touch(1, "email_open"), touch(2, "email_open")]
    assert run(*opens)[0].phase == NEW
    assert run(*opens, touch(2, "meeting"))[0].phase == WARM


def test_energy_that_reached_the_minimum_before_the_other_conditions_counts() -> None:
    state, _ = run(touch(0, "form_submit"), touch(60, "email_open"), touch(60, "email_open", "z"), now=60)
    assert state.phase == WARM
    assert state.peak == state.energy < CONFIG.e_min


def test_outbound_touches_never_raise_energy() -> None:
    state, _ = run(*WARM_UP, touch(3, "email_sent"), now=3)
    assert state.energy == run(*WARM_UP)[0].energy
    assert state.unanswered == 1


def test_touches_of_weight_zero_take_no_part() -> None:
    quiet, _ = run(*WARM_UP, touch(3, "email_sent"), now=4)
    seen, _ = run(*WARM_UP, touch(3, "email_sent"), touch(4, "ad_impression"), now=4)
    assert seen == quiet


def test_energy_is_the_sum_of_decayed_weights() -> None:
    state, _ = run(touch(0, "meeting"), touch(14, "form_submit"), touch(28, "page_view"), now=28)
    assert state.energy == 8 / 4 + 3 / 2 + 1


def test_a_single_burst_at_its_peak_cools_exactly_28_days_later() -> None:
    assert run(*WARM_UP, now=29.9)[1] == []
    assert due(run(*WARM_UP)[0], CONFIG) == day(30)
    state, events = run(*WARM_UP, now=30)
    assert events == [Cooled(day(30), "energy", 0)]
    assert (state.phase, state.cooled_at) == (COOLED, day(30))


def test_the_crossing_follows_the_closed_form_when_energy_is_below_the_peak() -> None:
    state, _ = run(*WARM_UP, touch(16, "email_open"), now=16)
    fraction = state.energy / state.peak
    assert fraction < 1
    crossing = due(state, CONFIG)
    assert crossing is not None
    for at, crossed in ((crossing - 1, False), (crossing, True)):
        left = fraction * 2 ** (-(at - state.at) / HALF_LIFE)
        assert (left <= 0.25) is crossed


def test_a_touch_in_the_millisecond_of_the_crossing_comes_first() -> None:
    state, events = run(*WARM_UP, touch(30, "page_view"), now=30)
    assert (state.phase, events) == (WARM, [])
    late = touch(30, "page_view")._replace(at=day(30) + 1)
    assert temperature_pass([*WARM_UP, late], (), CONFIG, late.at)[1] == [Cooled(day(30), "energy", 0)]


def test_a_win_in_the_millisecond_of_the_crossing_comes_first() -> None:
    state, events = run(*WARM_UP, wins=(day(30),), now=40)
    assert (state, events) == (Temperature(fence=day(30)), [])


def test_a_touch_in_the_millisecond_of_a_win_belongs_to_the_cycle_that_ends() -> None:
    state, _ = run(*WARM_UP, wins=(day(2),), now=3)
    assert state == Temperature(fence=day(2))
    state, _ = run(*WARM_UP, touch(3, "page_view"), wins=(day(2),), now=3)
    assert (state.phase, state.inbound, state.energy) == (NEW, 1, 1.0)


def test_three_unanswered_touches_over_seven_days_cool_a_warm_account() -> None:
    calls = [touch(3, "email_sent"), touch(6, "call_attempt"), touch(10, "message_sent")]
    state, events = run(*WARM_UP, *calls, now=10)
    assert events == [Cooled(day(10), "unanswered", 3)]
    assert state.cooled_at == day(10)
    hasty = calls[2]._replace(at=calls[2].at - 1)
    assert run(*WARM_UP, *calls[:2], hasty, now=10)[1] == []


def test_an_inbound_touch_starts_the_unanswered_count_anew() -> None:
    calls = [touch(3, "email_sent"), touch(6, "email_sent"), touch(8, "page_view"), touch(10, "email_sent")]
    state, events = run(*WARM_UP, *calls, now=10)
    assert (state.unanswered, events) == (1, [])


def test_an_account_that_was_never_warm_does_not_cool() -> None:
    calls = [touch(3 + 4 * i, "email_sent") for i in range(5)]
    assert run(touch(0, "meeting"), *calls, now=400)[1] == []


def test_half_the_old_peak_rewarms_and_names_the_reviver_and_shares() -> None:
    climb = [touch(40, "page_view"), touch(47, "form_submit"), touch(54, "meeting")]
    state, events = run(*WARM_UP, touch(35, "email_sent"), touch(38, "email_sent"), *climb, now=54)
    rewarmed = events[1]
    assert isinstance(rewarmed, Rewarmed)
    assert (rewarmed.at, rewarmed.reason, rewarmed.cooled_at) == (day(54), "energy", COOLS)
    assert [part.touch for part in rewarmed.climb] == climb
    weights = [1 / 2, 3 * 2**-0.5, 8.0]
    assert [part.share for part in rewarmed.climb] == pytest.approx([w / sum(weights) for w in weights])
    assert (state.phase, state.peak) == (WARM, state.energy)


def test_exactly_half_the_old_peak_is_enough() -> None:
    warm = [touch(0, "meeting"), touch(14, "page_view", "a"), touch(14, "page_view", "b")]
    peak = touch(28, "email_reply")  # 8 / 4 + 2 / 2 + 5 = 8
    calls = [touch(30, "email_sent"), touch(33, "email_sent"), touch(40, "email_sent")]
    _, events = run(*warm, peak, *calls, touch(56, "download"), now=56)  # 8 / 4 + 2 = 4
    assert [(event.at, event.reason) for event in events] == [(day(40), "unanswered"), (day(56), "energy")]


def test_rewarming_counts_the_outbound_touches_just_before_it() -> None:
    calls = [touch(35, "email_sent"), touch(38, "email_sent")]
    _, events = run(*WARM_UP, *calls, touch(40, "demo_request"), now=40)
    assert isinstance(events[1], Rewarmed)
    assert events[1].unanswered == 2


def test_a_high_intent_touch_rewarms_at_once() -> None:
    _, events = run(*WARM_UP, touch(60, "email_reply"), now=60)
    rewarmed = events[1]
    assert isinstance(rewarmed, Rewarmed)
    assert rewarmed.reason == "high_intent"
    _, events = run(*WARM_UP, touch(60, "demo_request"), now=60)
    assert isinstance(events[1], Rewarmed)
    assert events[1].reason == "energy"


def test_a_touch_older_than_two_half_lives_is_no_part_of_the_climb() -> None:
    early, reviver = touch(40, "page_view"), touch(54, "page_view")
    _, events = run(*WARM_UP, early, reviver, touch(82, "demo_request"), now=82)
    assert isinstance(events[1], Rewarmed)
    assert events[1].climb[0].touch == reviver
    _, events = run(*WARM_UP, touch(53.99, "page_view"), touch(82, "demo_request"), now=82)
    assert isinstance(events[1], Rewarmed)
    assert [part.share for part in events[1].climb] == [1.0]


def test_a_touch_before_cooling_is_no_part_of_the_climb() -> None:
    calls = [touch(3, "email_sent"), touch(6, "email_sent"), touch(10, "email_sent")]
    _, events = run(*WARM_UP, *calls, touch(11, "page_view"), now=11)
    assert isinstance(events[1], Rewarmed)
    assert [part.touch.type for part in events[1].climb] == ["page_view"]


def test_a_rewarmed_account_can_cool_again() -> None:
    _, events = run(*WARM_UP, touch(60, "demo_request"), now=100)
    assert [type(event).__name__ for event in events] == ["Cooled", "Rewarmed", "Cooled"]
    assert events[2] == Cooled(day(88), "energy", 0)


def test_advance_refuses_a_touch_after_the_crossing_and_changes_nothing() -> None:
    state, _ = run(*WARM_UP)
    before = state.copy()
    assert not advance(state, touch(31, "page_view"), CONFIG)
    assert state == before


def test_advance_refuses_the_outbound_touch_that_cools_and_changes_nothing() -> None:
    state, _ = run(*WARM_UP, touch(3, "email_sent"), touch(6, "email_sent"), now=6)
    before = state.copy()
    assert not advance(state, touch(10, "email_sent"), CONFIG)
    assert state == before


def test_advance_refuses_the_touch_that_rewarms_and_changes_nothing() -> None:
    state, _ = run(*WARM_UP, now=40)
    before = state.copy()
    assert not advance(state, touch(41, "email_reply"), CONFIG)
    assert state == before
    assert advance(state, touch(41, "page_view"), CONFIG)


def test_advance_refuses_a_touch_at_or_before_the_last_win_or_alert() -> None:
    for state in (run(*WARM_UP, now=30)[0], run(*WARM_UP, wins=(day(30),), now=30)[0]):
        before = state.copy()
        assert not advance(state, touch(30, "page_view"), CONFIG)
        assert state == before
        assert advance(state, touch(30.5, "page_view"), CONFIG)


def test_only_a_warm_account_is_due() -> None:
    assert due(run(touch(0, "meeting"))[0], CONFIG) is None
    assert due(run(*WARM_UP, now=31)[0], CONFIG) is None


def test_a_copy_and_the_stored_form_are_equal_and_independent() -> None:
    state, _ = run(*WARM_UP, touch(3, "email_sent"), now=3)
    restored = Temperature.from_tuple(state.to_tuple())
    assert state == restored == state.copy()
    assert advance(restored, touch(4, "page_view"), CONFIG)
    assert restored != state
    assert state.name == "warm"


def test_shipped_defaults_are_usable_and_hysteresis_has_a_floor() -> None:
    assert problems(CONFIG) == []
    assert len(problems(replace(CONFIG, half_life_ms=12 * HOUR_MS - 1))) == 1
    assert len(problems(replace(CONFIG, unanswered_span_ms=24 * HOUR_MS - 1))) == 1
    assert problems(replace(CONFIG, half_life_ms=12 * HOUR_MS, unanswered_span_ms=24 * HOUR_MS)) == []
    assert len(problems(replace(CONFIG, weights={"page_view": float("nan")}))) == 1
