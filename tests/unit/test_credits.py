"""Credit rows: their columns, their order, and what they say of each touch (R23, R29 to R35, R60, R62)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_core.config import AttributionConfig, CoreConfig, CustomModel, PathProfile
from revenue_core.credits import credit_rows, deleted_row
from revenue_core.facts import DAY_MS, Journey
from revenue_core.instants import iso_z
from revenue_core.parameters import Learned, always
from tests.credit_builders import START, conversion, credits, day, deal, movement, touch

FIRST_MS, LAST_MS = 946_684_800_000, 253_402_300_799_999


def config(**changes: Any) -> CoreConfig:
    return CoreConfig(attribution=AttributionConfig(**changes), config_version="abc123")


def column(rows: list[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


@given(st.integers(FIRST_MS, LAST_MS))
def test_an_instant_is_written_with_its_milliseconds_in_utc(ms):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert iso_z(ms) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (FIRST_MS, "2000-01-01T00:00:00.000Z"),
        (LAST_MS, "9999-12-31T23:59:59.999Z"),
        (START, "2023-11-15T00:00:00.000Z"),
    ],
)
def test_the_first_and_the_last_instant_are_written(ms, text):
    assert iso_z(ms) == text


def test_a_row_has_the_columns_of_the_contract_in_order():
    of = deal(created=1, won=2, stage="closed")
    full = touch(
        2, "Paid Search", "e2", type="ad_click", campaign="spring", keyword="crm", content="banner",
        source="google", medium="cpc", contact_id="c1", rep_id="r1", team="marketing",
    )  # fmt: skip
    converted = conversion(of, amount_minor=1_01)
    rows = credits([touch(0), full], converted, config=config(custom=(CustomModel("mine", {"won": "100"}),)))
    found = rows[1]
    fixed = [(name, value) for name, value in found.items() if not name.endswith(("_share", "_amount_minor"))]
    assert fixed == [
        ("credit_id", "deal:d1:won|native:e2"),
        ("conversion_id", "deal:d1:won"),
        ("conversion", "won"),
        ("conversion_at", "2023-11-17T00:00:00.000Z"),
        ("conversion_at_ms", day(2)),
        ("measure", "deal"),
        ("account_id", "acme"),
        ("deal_id", "d1"),
        ("lead_id", ""),
        ("stage", "closed"),
        ("status", "won"),
        ("provisional", False),
        ("truncated", False),
        ("touch_id", "native:e2"),
        ("touch_at", "2023-11-17T00:00:00.000Z"),
        ("touch_at_ms", day(2)),
        ("touch_type", "ad_click"),
        ("direction", "inbound"),
        ("channel", "Paid Search"),
        ("campaign", "spring"),
        ("keyword", "crm"),
        ("content", "banner"),
        ("source", "google"),
        ("medium", "cpc"),
        ("contact_id", "c1"),
        ("rep_id", "r1"),
        ("team", "marketing"),
        ("phase", "decision"),
        ("currency", "EUR"),
        ("amount_minor", 1_01),
        ("low_data", True),
        ("params_version", 0),
        ("config_version", "abc123"),
    ]
    names = [name.removesuffix("_share") for name in found if name.endswith("_share")]
    start = list(found).index("amount_minor") + 1
    assert list(found)[start:-3] == [f"{name}_{part}" for name in names for part in ("share", "amount_minor")]
    assert names == [
        "first_touch", "last_touch", "last_non_direct", "linear", "position_based", "u_shaped", "w_shaped",
        "full_path", "time_decay", "time_decay_long", "custom_mine", "markov", "shapley",
    ]  # fmt: skip
    assert (found["linear_share"], found["linear_amount_minor"]) == (0.5, 50)
    assert (found["last_touch_share"], found["last_touch_amount_minor"]) == (1.0, 1_01)


def test_a_lead_conversion_names_its_lead_and_no_deal():
    created = conversion(None, "lead_created", 1, lead_id="l1", conversion_id="lead:l1")
    (row,) = credits([touch(0)], created, lead=1)
    assert row["credit_id"] == "lead:l1|native:0"
    assert (row["measure"], row["lead_id"], row["amount_minor"]) == ("count", "l1", 0)
    assert (row["deal_id"], row["stage"], row["status"], row["currency"]) == ("", "", "", "EUR")
    assert (row["u_shaped_share"], row["u_shaped_amount_minor"]) == (1.0, 0)


def test_an_outbound_touch_is_told_by_its_direction():
    assert column(credits([touch(0, inbound=False)], conversion(deal(won=1))), "direction") == ["outbound"]


def test_a_stage_is_provisional_while_the_conversion_says_so():
    stage = conversion(deal(), "stage_entered:demo", 1, provisional=True)
    assert column(credits([touch(0)], stage), "provisional") == [True]


@pytest.mark.parametrize(
    ("lead", "created", "expected"),
    [
        (1, 3, ["awareness", "awareness", "consideration", "consideration", "decision"]),
        (None, 3, ["awareness", "awareness", "awareness", "awareness", "decision"]),
        (2, 1, ["awareness", "awareness", "awareness", "decision", "decision"]),
    ],
)
def test_the_phase_of_a_touch_follows_the_first_lead_and_the_deals_creation(lead, created, expected):
    rows = credits([touch(n) for n in range(5)], conversion(deal(created=created, won=4)), lead=lead)
    assert column(rows, "phase") == expected


def test_touches_of_a_lead_conversion_come_before_or_after_the_first_lead():
    qualified = conversion(None, "lead_qualified:mql", 3, lead_id="l1")
    rows = credits([touch(n) for n in (0, 1, 2)], qualified, lead=1)
    assert column(rows, "phase") == ["awareness", "awareness", "consideration"]


def test_a_conversion_without_touches_is_credited_to_nobody():
    (row,) = credits([touch(5)], conversion(deal(won=4), amount_minor=12_34))
    assert row["credit_id"] == "deal:d1:won|(unattributed)"
    assert (row["touch_id"], row["channel"]) == ("(unattributed)", "(unattributed)")
    assert (row["touch_at"], row["touch_at_ms"]) == (row["conversion_at"], row["conversion_at_ms"])
    texts = ("touch_type", "direction", "campaign", "keyword", "content", "source", "medium", "contact_id",
             "rep_id", "team", "phase")  # fmt: skip
    assert [row[name] for name in texts] == [""] * len(texts)
    assert {value for name, value in row.items() if name.endswith("_share")} == {1.0}
    assert {value for name, value in row.items() if name.endswith("amount_minor")} == {12_34}


def test_a_movement_without_a_deal_is_credited_to_nobody():
    (row,) = credits([touch(0)], movement(None, "churn", 4, amount_minor=-5_00))
    assert (row["touch_id"], row["linear_amount_minor"], row["measure"]) == ("(unattributed)", -5_00, "mrr")


def test_an_empty_path_of_one_profile_gives_its_models_to_nobody_and_the_others_nothing_of_it():
    rows = credits(
        [touch(0), touch(1)],
        conversion(deal(won=10), amount_minor=1_00),
        config=config(data_driven=PathProfile(lookback_ms=5 * DAY_MS)),
    )
    assert column(rows, "touch_id") == ["native:0", "native:1", "(unattributed)"]
    assert column(rows, "linear_amount_minor") == [50, 50, 0]
    assert column(rows, "markov_amount_minor") == [0, 0, 1_00]
    assert column(rows, "linear_share") == [0.5, 0.5, 0.0]
    assert column(rows, "shapley_share") == [0.0, 0.0, 1.0]


def test_nobody_stands_before_a_touch_at_the_very_instant_of_the_conversion():
    rows = credits(
        [touch(9), touch(10, type="chat")],
        conversion(deal(won=10), amount_minor=1_00),
        config=config(rules=PathProfile(lookback_ms=-1), data_driven=PathProfile()),
    )
    assert column(rows, "touch_id") == ["native:9", "(unattributed)", "native:10"]


def test_a_model_gives_nothing_to_touches_outside_its_own_path():
    rows = credits(
        [touch(0, "Email"), touch(1, "Email"), touch(8, "Events"), touch(9, "Events")],
        conversion(deal(won=9), amount_minor=1_00),
        config=config(rules=PathProfile(transform="unique"), data_driven=PathProfile(lookback_ms=5 * DAY_MS)),
    )
    assert column(rows, "touch_id") == ["native:0", "native:8", "native:9"]
    assert column(rows, "linear_share") == [0.5, 0.5, 0.0]
    assert column(rows, "markov_share") == [0.0, 0.5, 0.5]


def test_a_touch_shows_the_source_that_rule_models_see():
    rows = credits(
        [touch(0, "Events", campaign="fair"), touch(1, "Direct")],
        conversion(deal(won=1)),
        config=config(rules=PathProfile(direct="inherit_7d")),
    )
    assert column(rows, "channel") == ["Events", "Events"]
    assert column(rows, "campaign") == ["fair", "fair"]


def test_rows_of_a_capped_path_say_truncated():
    rows = credits([touch(n) for n in range(6)], conversion(deal(won=5)), config=config(path_cap=2))
    assert column(rows, "touch_id") == ["native:0", "native:4", "native:5"]
    assert column(rows, "truncated") == [True, True, True]


def test_only_rows_of_the_capped_path_say_truncated():
    rows = credits(
        [touch(n, "Email") for n in range(6)],
        conversion(deal(won=5)),
        config=config(
            rules=PathProfile(transform="first"), data_driven=PathProfile(lookback_ms=2 * DAY_MS), path_cap=3
        ),
    )
    assert column(rows, "touch_id") == ["native:0", "native:3", "native:4", "native:5"]
    assert column(rows, "truncated") == [True, False, False, False]


def test_parameters_in_force_are_stamped_and_used():
    of = deal(won=2)
    learned = Learned(7, 200, markov={"Email": 0.75, "Events": 0.25}, shapley={"Events": 1.0})
    rows = list(
        credit_rows(
            Journey("acme", touches=[touch(0, "Email"), touch(1, "Events")]),
            {"d1": of},
            [conversion(of, amount_minor=4_00)],
            None,
            replace(config(), learned=always(learned)),
        ).values()
    )
    assert column(rows, "markov_amount_minor") == [3_00, 1_00]
    assert column(rows, "shapley_share") == [0.0, 1.0]
    assert column(rows, "params_version") == [7, 7]
    assert column(rows, "low_data") == [False, False]


def test_rows_come_by_conversion_instant_then_conversion_then_touch():
    of = deal(created=0, won=2)
    found = [
        conversion(of, "won", 2),
        conversion(of, "stage_entered:b", 2, conversion_id="deal:d1:stage:b"),
        conversion(of, "stage_entered:z", 1, conversion_id="deal:d1:stage:z"),
    ]
    rows = credit_rows(Journey("acme", touches=[touch(0), touch(1)]), {"d1": of}, found, None, config())
    assert list(rows) == [
        "deal:d1:stage:z|native:0",
        "deal:d1:stage:z|native:1",
        "deal:d1:stage:b|native:0",
        "deal:d1:stage:b|native:1",
        "deal:d1:won|native:0",
        "deal:d1:won|native:1",
    ]
    assert all(row["credit_id"] == key for key, row in rows.items())


def test_no_conversion_means_no_row():
    assert credit_rows(Journey("acme", touches=[touch(0)]), {}, [], None, config()) == {}


def test_a_deleted_row_says_the_same_with_zeros():
    (row,) = credits([touch(0)], conversion(deal(won=1), amount_minor=1_00))
    gone = deleted_row(row)
    assert list(gone) == list(row)
    changed = {name for name in row if gone[name] != row[name]}
    assert changed == {name for name in row if name.endswith(("_share", "amount_minor"))}
    assert {gone[name] for name in changed} == {0}


def test_the_order_of_deals_and_their_other_fields_change_nothing():
    touches = [touch(n) for n in range(8)]
    earlier, later = deal("d1", 0, won=3), deal("d2", 5, won=7)
    converted = conversion(later, amount_minor=1_00)
    assert credits(touches, converted, deals=[earlier, later]) == credits(
        touches, converted, deals=[later, replace(earlier, name="renamed")]
    )
