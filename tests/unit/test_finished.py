"""Journeys that have ended (R33)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from revenue_core.config import AttributionConfig, CoreConfig, PathProfile
from revenue_core.facts import DAY_MS, Fact, Journey
from revenue_core.finished import finished_journeys, lapses_at
from tests.credit_builders import day, deal, touch

CONFIG = CoreConfig(
    attribution=AttributionConfig(data_driven=PathProfile(30 * DAY_MS, transform="collapse_repeats"))
)
EMAIL, EVENT, EMAIL_AGAIN = touch(1, "Email"), touch(2, "Events"), touch(3, "Email")
JOURNEY = Journey("acme", touches=[EMAIL, EVENT, EMAIL_AGAIN])


def ended(journey: Journey, *deals, now: float = 1_000, config: CoreConfig = CONFIG) -> list[tuple]:
    found = finished_journeys(journey, {each.deal_id: each for each in deals}, config, day(now))
    return [(each.at, each.channels, each.converted) for each in found]


def test_a_win_is_a_conversion_on_the_path_of_its_deal() -> None:
    assert ended(JOURNEY, deal(won=2.5)) == [(day(2.5), ("Email", "Events"), True)]


def test_a_loss_is_a_journey_that_ends_in_nothing() -> None:
    lost = deal(status="lost", lost_at=day(4))
    assert ended(JOURNEY, lost) == [(day(4), ("Email", "Events", "Email"), False)]


def test_each_deal_counts_by_itself_and_open_ones_not_at_all() -> None:
    found = ended(JOURNEY, deal("a", won=1), deal("b", won=3, created=2), deal("c"))
    assert found == [(day(1), ("Email",), True), (day(3), ("Email", "Events", "Email"), True)]


def test_an_account_without_deal_ends_once_its_last_touch_is_older_than_the_lookback() -> None:
    assert ended(JOURNEY, now=33) == []
    at = day(33) + 1
    assert finished_journeys(JOURNEY, {}, CONFIG, at - 1) == []
    (found,) = finished_journeys(JOURNEY, {}, CONFIG, at)
    assert found == (at, ("Email", "Events", "Email"), False)


def test_such_a_journey_holds_the_touches_of_one_lookback_before_its_last() -> None:
    journey = Journey("acme", touches=[touch(0, "Direct"), *JOURNEY.touches, touch(32, "Events")])
    assert [channels for _, channels, _ in ended(journey)] == [("Events", "Email", "Events")]


def test_a_deal_that_was_deleted_is_none() -> None:
    assert ended(JOURNEY, deal(deleted=True)) == [(day(33) + 1, ("Email", "Events", "Email"), False)]


@pytest.mark.parametrize("of", [deal(), deal(won=2), deal(status="lost", lost_at=day(2))])
def test_an_account_with_a_deal_does_not_lapse(of) -> None:
    assert lapses_at(JOURNEY, {of.deal_id: of}, CONFIG) is None


def test_empty_paths_are_left_out() -> None:
    assert ended(Journey("acme"), deal(won=2)) == []
    assert ended(JOURNEY, deal(won=0.5)) == []
    only = replace(CONFIG.attribution, exclude_types=frozenset({"page_view"}))
    assert ended(JOURNEY, config=replace(CONFIG, attribution=only)) == []


def test_repeats_stay_without_a_transform() -> None:
    journey = Journey("acme", touches=[EMAIL, touch(1.5, "Email")])
    plain = replace(CONFIG.attribution, data_driven=PathProfile(30 * DAY_MS))
    assert [channels for _, channels, _ in ended(journey, config=replace(CONFIG, attribution=plain))] == [
        ("Email", "Email")
    ]


def test_a_lead_does_not_end_a_journey() -> None:
    lead = Fact(day(2), "native", "l", "lead_created", "native:l", {"lead_id": "L"})
    assert ended(replace(JOURNEY, leads=[lead]), now=10) == []
