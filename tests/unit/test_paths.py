"""Which touches stand on a path, and which of them are milestones (R17 to R19, R26, R31, R36)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, overload

import pytest

from revenue_core.config import AttributionConfig, CustomModel, PathProfile
from revenue_core.deals import Conversion, Deal
from revenue_core.facts import DAY_MS, Journey, Touch
from revenue_core.paths import Path, build_path, build_paths
from tests.credit_builders import conversion, day, deal, entries, movement, touch

MINUTE = 1 / 1440


def path(
    touches: Iterable[Touch],
    converted: Conversion,
    *,
    others: Iterable[Deal] = (),
    lead: float | None = None,
    lookback: float = 365,
    direct: str = "keep",
    transform: str = "none",
    **config: Any,
) -> Path:
    own = [converted.deal] if converted.deal else []
    return build_path(
        Journey("acme", touches=sorted(touches)),
        converted,
        {each.deal_id: each for each in (*others, *own)},
        None if lead is None else day(lead),
        PathProfile(round(lookback * DAY_MS), direct, transform),
        AttributionConfig(**config),
    )


def names(found: Path) -> list[str]:
    return [each.touch_id.removeprefix("native:") for each in found.touches]


def milestones(found: Path) -> dict[str, str]:
    return {name: names(found)[index] for name, index in found.milestones.items()}


def test_the_window_takes_in_both_its_ends() -> None:
    won = conversion(deal(won=100))
    days = [touch(90 - 1 / DAY_MS, name="before"), touch(90), touch(95), touch(100), touch(100 + 1 / DAY_MS)]
    assert names(path(days, won, lookback=10)) == ["90", "95", "100"]


def test_touches_of_one_instant_stand_in_the_order_of_their_ids() -> None:
    found = path([touch(1, name="b"), touch(1, name="a"), touch(0, name="z")], conversion(deal(won=1)))
    assert names(found) == ["z", "a", "b"]


def test_without_a_touch_in_the_window_the_path_is_empty() -> None:
    assert path([touch(0), touch(11)], conversion(deal(won=10)), lookback=5) == Path()


def test_a_win_has_all_four_milestones() -> None:
    found = path([touch(n) for n in range(6)], conversion(deal(created=3.5, won=5)), lead=1)
    assert milestones(found) == {"first_touch": "0", "lead_created": "1", "deal_created": "3", "won": "5"}


@pytest.mark.parametrize("kind", ["lost", "stage_entered:qualification"])
def test_only_a_win_has_the_milestone_won(kind: str) -> None:
    found = path([touch(0), touch(1)], conversion(deal(created=1), kind, 2), lead=0)
    assert milestones(found) == {"first_touch": "0", "lead_created": "0", "deal_created": "1"}


def test_a_lead_conversion_has_a_first_touch_and_a_lead_touch_only() -> None:
    found = path([touch(n) for n in range(4)], conversion(None, "lead_qualified:mql", 3), lead=2)
    assert names(found) == ["0", "1", "2", "3"]
    assert milestones(found) == {"first_touch": "0", "lead_created": "2"}


def test_a_lead_created_after_the_conversion_is_no_milestone_of_it() -> None:
    found = path([touch(0), touch(1)], conversion(deal(won=1)), lead=1 + 1 / DAY_MS)
    assert "lead_created" not in found.milestones


def test_a_lead_touch_before_the_window_is_absent() -> None:
    found = path([touch(0), touch(8)], conversion(deal(won=10)), lead=1, lookback=5)
    assert milestones(found) == {"first_touch": "8", "won": "8"}


def test_a_later_deal_shares_first_touch_and_lead_touch_and_leaves_the_rest_to_the_won_one() -> None:
    earlier, later = deal("d1", 2, won=4), deal("d2", created=6, won=8)
    found = path([touch(n) for n in range(9)], conversion(later), others=[earlier], lead=1)
    assert names(found) == ["0", "1", "5", "6", "7", "8"]
    assert milestones(found) == {"first_touch": "0", "lead_created": "1", "deal_created": "6", "won": "8"}


def test_a_touch_at_the_won_instant_belongs_to_the_won_deal() -> None:
    found = path(
        [touch(0), touch(4), touch(4 + 1 / DAY_MS, name="next")],
        conversion(deal("d2", 5, won=6)),
        others=[deal("d1", 0, won=4)],
    )
    assert names(found) == ["0", "next"]


@pytest.mark.parametrize(
    "other",
    [
        deal("d1", 0, won=4, deleted=True),
        deal("d1", 0, status="open", won_instants=(day(4),)),
        deal("d1", 0, won=5.5),
    ],
    ids=["deleted", "reopened", "won after the creation"],
)
def test_a_deal_that_is_not_won_before_the_creation_ends_no_cycle(other: Deal) -> None:
    found = path([touch(n) for n in range(6)], conversion(deal("d2", 5, won=6)), others=[other])
    assert names(found) == ["0", "1", "2", "3", "4", "5"]


def test_a_win_at_the_very_creation_of_the_next_deal_ends_the_cycle() -> None:
    found = path(
        [touch(n) for n in range(7)], conversion(deal("d2", 4, won=6)), others=[deal("d1", 0, won=4)]
    )
    assert names(found) == ["0", "5", "6"]
    assert milestones(found)["deal_created"] == "0"


def test_a_deals_own_earlier_wins_end_no_cycle() -> None:
    reopened = deal("d1", 0, won=5, won_instants=(day(2), day(5)))
    assert names(path([touch(n) for n in range(6)], conversion(reopened))) == ["0", "1", "2", "3", "4", "5"]


def test_an_inheriting_movement_takes_the_path_of_the_win() -> None:
    won = deal("d1", created=2, won=4)
    touches = [touch(n) for n in range(9)]
    churn = movement(won, "churn", 8, path_at=day(4))
    assert path(touches, churn, lead=1) == path(touches, conversion(won), lead=1)


def test_a_movement_of_a_deal_not_won_takes_the_path_that_a_win_would_have_then() -> None:
    found = path([touch(n) for n in range(5)], movement(deal(created=1), "new", 3), lead=0)
    assert names(found) == ["0", "1", "2", "3"]
    assert milestones(found) == {"first_touch": "0", "lead_created": "0", "deal_created": "1", "won": "3"}


def test_an_expansion_takes_the_touches_since_the_movement_before_it() -> None:
    expansion = movement(deal(created=0, won=2), "expansion", 7, path_after=day(4))
    found = path([touch(n) for n in range(9)], expansion, lead=5)
    assert names(found) == ["5", "6", "7"]
    assert milestones(found) == {"first_touch": "5", "deal_created": "7", "won": "7"}


def test_an_expansion_looks_no_further_back_than_the_window() -> None:
    expansion = movement(deal(created=0, won=1), "expansion", 20, path_after=day(2))
    assert names(path([touch(n) for n in (0, 3, 16, 18)], expansion, lookback=5)) == ["16", "18"]


@pytest.mark.parametrize("lookback", [5, 365])
def test_an_expansion_without_touches_of_its_own_is_credited_like_the_win(lookback: float) -> None:
    won = deal(created=0, won=2)
    touches = [touch(n) for n in (0, 1, 4)]
    expansion = movement(won, "expansion", 20, path_after=day(4))
    found = path(touches, expansion, lookback=lookback)
    assert names(found) == ["0", "1"]
    assert found == path(touches, conversion(won), lookback=lookback)


def test_a_movement_without_a_deal_has_no_path() -> None:
    assert path([touch(0)], movement(None, "new", 1)) == Path()


def test_a_path_longer_than_the_cap_keeps_first_touch_lead_touch_and_the_newest() -> None:
    found = path([touch(n) for n in range(10)], conversion(deal(created=4, won=9)), lead=2, path_cap=3)
    assert names(found) == ["0", "2", "7", "8", "9"]
    assert found.truncated
    assert milestones(found) == {"first_touch": "0", "lead_created": "2", "won": "9"}


def test_a_path_as_long_as_the_cap_is_whole() -> None:
    found = path([touch(n) for n in range(3)], conversion(deal(won=2)), path_cap=3)
    assert (names(found), found.truncated) == (["0", "1", "2"], False)


def test_the_cap_counts_the_touches_kept_from_an_earlier_cycle() -> None:
    found = path(
        [touch(n) for n in range(8)],
        conversion(deal("d2", 5, won=7)),
        others=[deal("d1", 0, won=4)],
        lead=1,
        path_cap=2,
    )
    assert names(found) == ["0", "1", "6", "7"]
    assert found.truncated


def test_the_span_of_an_expansion_is_capped_too() -> None:
    expansion = movement(deal(created=0, won=1), "expansion", 9, path_after=day(1))
    found = path([touch(n) for n in range(10)], expansion, lead=4, path_cap=3)
    assert names(found) == ["2", "7", "8", "9"]
    assert found.truncated


def test_types_left_out_are_on_no_path_and_are_no_milestone() -> None:
    found = path(
        [touch(0, type="ad_impression"), touch(1), touch(2, type="ad_impression"), touch(3)],
        conversion(deal(created=2, won=3)),
        exclude_types=frozenset({"ad_impression"}),
    )
    assert names(found) == ["1", "3"]
    assert milestones(found) == {"won": "3"}


def test_an_expansion_whose_own_touches_are_all_left_out_is_credited_like_the_win() -> None:
    expansion = movement(deal(created=0, won=1), "expansion", 9, path_after=day(1))
    touches = [touch(0), touch(5, type="ad_impression")]
    assert names(path(touches, expansion, exclude_types=frozenset({"ad_impression"}))) == ["0"]


CHANNELS = ["Email", "Direct", "Direct", "Email", "Email", "Events", "Direct"]


def mixed() -> list[Touch]:
    return [touch(n * 10, channel) for n, channel in enumerate(CHANNELS)]


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("none", ["0", "10", "20", "30", "40", "50", "60"]),
        ("collapse_repeats", ["0", "20", "40", "50", "60"]),
        ("first", ["0", "10", "30", "50", "60"]),
        ("unique", ["0", "10", "50"]),
    ],
)
def test_transforms_leave_touches_out_by_their_channel(transform: str, expected: list[str]) -> None:
    found = path(mixed(), conversion(deal(won=60)), transform=transform)
    assert names(found) == expected
    assert list(found.untransformed) == mixed()


def test_a_milestone_that_a_transform_leaves_out_is_absent() -> None:
    found = path(mixed(), conversion(deal(created=30, won=60)), lead=10, transform="collapse_repeats")
    assert milestones(found) == {"first_touch": "0", "won": "60"}


def test_sessions_join_page_views_of_one_visitor_half_an_hour_apart() -> None:
    def view(minute: int, visitor: str, **fields: Any) -> Touch:
        return touch(minute * MINUTE, name=f"{minute:03}{visitor}", visitor=visitor, **fields)

    touches = [
        view(0, "a"), view(10, "b"), view(30, "a"), view(40, "a", type="form_submit"), view(60, "a"),
        view(91, "a"), view(92, ""), view(93, ""),
    ]  # fmt: skip
    found = path(touches, conversion(deal(won=1)), transform="sessions")
    assert names(found) == ["000a", "010b", "040a", "091a", "092", "093"]


def test_direct_touches_are_dropped_unless_there_are_no_others() -> None:
    won = conversion(deal(created=10, won=60))
    assert names(path(mixed(), won, direct="drop_if_not_all")) == ["0", "30", "40", "50"]
    only = [touch(n, "Direct") for n in range(3)]
    assert names(path(only, won, direct="drop_if_not_all")) == ["0", "1", "2"]


def test_a_milestone_on_a_dropped_direct_touch_is_absent() -> None:
    found = path(mixed(), conversion(deal(created=10, won=60)), direct="drop_if_not_all")
    assert milestones(found) == {"first_touch": "0"}


def test_a_direct_touch_inherits_the_source_of_at_most_seven_days_before_and_chains_do_not_extend_it() -> (
    None
):
    ad = {"campaign": "spring", "source": "google", "medium": "cpc"}
    touches = [
        touch(0, "Direct", **{"campaign": "own"}),
        touch(1, "Paid Search", **ad),
        touch(5, "Direct", keyword="mine"),
        touch(8, "Direct"),
        touch(8 + 1 / DAY_MS, "Direct", name="late"),
    ]
    found = path(touches, conversion(deal(won=9)), direct="inherit_7d")
    assert [(each.channel, each.campaign, each.source, each.medium) for each in found.touches] == [
        ("Direct", "own", "", ""),
        ("Paid Search", "spring", "google", "cpc"),
        ("Paid Search", "spring", "google", "cpc"),
        ("Paid Search", "spring", "google", "cpc"),
        ("Direct", "", "", ""),
    ]
    assert found.touches[2].keyword == "mine"


def test_a_direct_touch_inherits_from_touches_before_the_window_too() -> None:
    found = path(
        [touch(0, "Events"), touch(3, "Direct")], conversion(deal(won=3)), lookback=1, direct="inherit_7d"
    )
    assert [each.channel for each in found.touches] == ["Events"]


def test_what_was_inherited_counts_for_the_transform() -> None:
    found = path(
        [touch(0, "Email"), touch(1, "Direct"), touch(2, "Email")],
        conversion(deal(won=2)),
        direct="inherit_7d",
        transform="collapse_repeats",
    )
    assert names(found) == ["2"]


def staged(**weights: str) -> tuple[CustomModel, ...]:
    return (CustomModel("mine", {f"stage:{stage}": weight for stage, weight in weights.items()}),)


def test_a_stage_milestone_is_the_last_touch_up_to_the_last_entry_of_the_stage() -> None:
    moved = deal(created=0, won=6, entries=(*entries(demo=1, offer=4), *entries(demo=3)))
    found = path(
        [touch(n) for n in range(7)], conversion(moved), custom=staged(demo="50", offer="30", never="20")
    )
    assert milestones(found)["stage:demo"] == "3"
    assert milestones(found)["stage:offer"] == "4"
    assert "stage:never" not in found.milestones


def test_a_stage_entered_after_the_conversion_is_no_milestone_of_it() -> None:
    moved = deal(created=0, entries=entries(demo=1, offer=4))
    converted = conversion(moved, "stage_entered:demo", 1)
    found = path([touch(n) for n in range(7)], converted, custom=staged(demo="50", offer="50"))
    assert milestones(found) == {"first_touch": "0", "deal_created": "0", "stage:demo": "1"}


def test_the_two_profiles_have_windows_of_their_own() -> None:
    won = conversion(deal(created=0, won=9))
    config = AttributionConfig(data_driven=PathProfile(lookback_ms=3 * DAY_MS))
    journey = Journey("acme", touches=[touch(n) for n in range(10)])
    rules, driven = build_paths(journey, won, {}, None, config)
    assert names(rules) == [str(n) for n in range(10)]
    assert names(driven) == ["6", "7", "8", "9"]
    assert milestones(driven) == {"first_touch": "6", "won": "9"}


def test_the_default_profiles_share_one_list_of_touches() -> None:
    journey = Journey("acme", touches=mixed())
    rules, driven = build_paths(journey, conversion(deal(won=60)), {}, None, AttributionConfig())
    assert rules.touches is rules.untransformed is driven.untransformed
    assert names(driven) == ["0", "20", "40", "50", "60"]


class Counted(Sequence[Touch]):
    """Touches that count how many were looked at."""

    def __init__(self, touches: list[Touch]) -> None:
        self.touches, self.looked_at = touches, 0

    def __len__(self) -> int:
        return len(self.touches)

    @overload
    def __getitem__(self, index: int) -> Touch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Touch]: ...
    def __getitem__(self, index: int | slice) -> Touch | Sequence[Touch]:
        found = self.touches[index]
        self.looked_at += len(found) if isinstance(index, slice) else 1
        return found


@pytest.mark.parametrize("direct", ["keep", "inherit_7d"])
def test_a_path_costs_what_it_is_long_whatever_the_length_of_the_journey(direct: str) -> None:
    touches = Counted([touch(n / 100, "Direct" if n % 3 else "Email") for n in range(20_000)])
    won = conversion(deal(created=199, won=199.99))
    profile = PathProfile(8 * DAY_MS, direct)
    found = build_path(Journey("acme", touches=touches), won, {}, day(195), profile, AttributionConfig())
    assert len(found.touches) == 801
    assert touches.looked_at < 20 * len(found.touches)
