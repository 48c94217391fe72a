"""Explanations: what they tell, and that their arithmetic can be checked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from revenue_core.account import Account
from revenue_core.config import AttributionConfig, CustomModel
from revenue_core.explain import explain_account, only_deal, only_models
from revenue_core.parameters import Learned, always
from tests import builders
from tests.explain_builders import (
    WORKED,
    accounts,
    amounts,
    at,
    conversion,
    deal,
    event,
    explained,
    model,
    touch,
)

# -- the worked example


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("first_touch", [12_000_00, 0, 0, 0, 0]),
        ("linear", [2_400_00] * 5),
        ("position_based", [4_800_00, 800_00, 800_00, 800_00, 4_800_00]),
        ("u_shaped", [4_800_00, 4_800_00, 800_00, 800_00, 800_00]),
        ("time_decay", [175_19, 287_44, 574_88, 3_417_04, 7_545_45]),
    ],
)
def test_the_worked_example_is_explained_to_the_cent(name: str, expected: list[int]) -> None:
    assert amounts(model(explained(WORKED), "deal:D1:won", name)) == expected


def test_weights_are_written_as_people_count_them() -> None:
    weights = {
        name: [part.weight for part in model(explained(WORKED), "deal:D1:won", name).parts]
        for name in ("last_touch", "linear", "position_based", "full_path", "time_decay")
    }
    assert weights == {
        "last_touch": ["0", "0", "0", "0", "1/1"],
        "linear": ["1/5"] * 5,
        "position_based": ["40/100", "1/15", "1/15", "1/15", "40/100"],
        "full_path": ["45/100", "22.5/100", "5/100", "5/100", "22.5/100"],
        "time_decay": [
            "2^-(38/7) = 0.02322", "2^-(33/7) = 0.03809", "2^-(26/7) = 0.07619", "2^-(8/7) = 0.4529",
            "2^-(0/7) = 1",
        ],
    }  # fmt: skip


def test_a_milestone_model_says_its_pots_and_what_each_touch_is_to_it() -> None:
    working = model(explained(WORKED), "deal:D1:won", "w_shaped")
    assert working.rule == (
        "Milestones 90/100: FT 30, LC 30, OC 30. No touch is between: the 10/100 joins the milestones, in proportion."
    )
    assert [part.why for part in working.parts] == ["FT + OC", "LC", "after OC", "after OC", "after OC"]
    assert [part.weight for part in working.parts] == ["2/3", "1/3", "0", "0", "0"]


def test_an_absent_milestone_is_named() -> None:
    events = [each for each in WORKED if each[0] != "leads"]
    working = model(explained(events), "deal:D1:won", "u_shaped")
    assert working.rule == (
        "Milestones 80/100: FT 40, LC 40. LC is absent: the others share the 80/100 in proportion. "
        "The 4 touches between share 20/100: 5/100 each."
    )


def test_a_part_that_was_rounded_up_says_so() -> None:
    working = model(explained(WORKED), "deal:D1:won", "time_decay")
    assert [part.rounding_minor for part in working.parts] == [0, 1, 1, 0, 1]


def test_learned_values_are_shared_by_the_touches_of_a_channel() -> None:
    account = accounts(WORKED)["acme"].account
    learned = Learned(7, 500, {"Email": 0.6, "Paid Search": 0.2}, {"Direct": -1.0})
    explanation = explain_account(account, replace(builders.config(), learned=always(learned)), 0)
    markov = model(explanation, "deal:D1:won", "markov")
    assert [part.weight for part in markov.parts] == ["0.2/1", "0/1", "0.6/2", "0/1", "0.6/2"]
    assert markov.rule.startswith("A channel weighs its removal effect (parameters 7)")
    assert (markov.total, amounts(markov)) == ("0.8", [3_000_00, 0, 4_500_00, 0, 4_500_00])
    shapley = model(explanation, "deal:D1:won", "shapley")
    assert shapley.rule.startswith("No channel of the path has a value above 0, so as linear")
    assert amounts(shapley) == [2_400_00] * 5


# -- what else is told


def test_milestones_are_named_on_the_touches_of_the_path() -> None:
    config = replace(
        builders.config(),
        attribution=AttributionConfig(
            custom=(CustomModel("mine", {"first_touch": "50", "stage:lead_capture": "50"}),)
        ),
    )
    path = conversion(explained(WORKED, config=config), "deal:D1:won").paths["rules"]
    assert [(step.number, step.milestones) for step in path.touches] == [
        (1, ["FT", "OC", "stage:lead_capture"]), (2, ["LC"]), (3, []), (4, []), (5, ["CW"]),
    ]  # fmt: skip


def test_what_a_transform_takes_out_is_marked() -> None:
    events = [touch(0, channel="A"), touch(1, channel="A"), touch(2, channel="B"), deal(3, status="won")]
    path = conversion(explained(events), "deal:D1:won").paths["data_driven"]
    assert [(step.number, step.kept) for step in path.touches] == [(1, False), (2, True), (3, True)]


def test_touches_come_in_order_with_the_rule_that_decided_their_channel() -> None:
    touches = explained(list(reversed(WORKED))).touches
    assert [(t.number, t.touch_id, t.channel, t.rule) for t in touches[:3]] == [
        (1, "native:t0", "Paid Search", "utm"),
        (2, "native:t5", "Direct", "type:*"),
        (3, "native:t12", "Email", "type:email_*"),
    ]
    assert (touches[0].source, touches[0].medium, touches[0].campaign) == ("google", "cpc", "spring")


def test_a_conversion_without_a_touch_is_earned_by_nobody() -> None:
    working = model(explained([deal(0, amount="5", status="won")]), "deal:D1:won", "linear")
    assert (working.rule, working.total) == ("No touch is on the path: nobody earned it.", "1")
    assert [(p.touch_id, p.share, p.amount_minor) for p in working.parts] == [("(unattributed)", 1.0, 5_00)]


def test_a_visitor_nobody_claimed_has_touches_and_nothing_else() -> None:
    state = next(iter(accounts([touch(0, account_id=None, anonymous_id="v1")]).values()))
    explanation = explain_account(state.account, builders.config(), 0, silent=state.silent)
    assert not explanation.gives_outputs
    assert len(explanation.touches) == 1
    assert not (explanation.conversions or explanation.probabilities or explanation.alerts)


@pytest.mark.parametrize(
    ("more", "now", "is_open", "reason"),
    [
        ([], 0, True, "until a deal names it, it is disqualified, or 2027-03-01T00:00:00.000Z"),
        ([deal(1, lead_ids=["L1"])], 1, False, "deal D1 names it"),
        (
            [event("leads", 2, "lead_disqualified", lead_id="L1", reason="student")],
            2,
            False,
            "disqualified at 2026-03-03T00:00:00.000Z: student",
        ),
        ([], 366, False, "expired at 2027-03-01T00:00:00.000Z, 365 days after its creation"),
    ],
)
def test_a_lead_says_why_it_is_open_or_closed(
    more: list[builders.Event], now: int, is_open: bool, reason: str
) -> None:
    events = [event("leads", 0, "lead_created", lead_id="L1"), *more]
    (lead,) = explained(events, now=at(now)).leads
    assert (lead.open, lead.reason) == (is_open, reason)


def test_a_deal_tells_what_each_fact_did_to_it() -> None:
    events = [
        deal(0, stage="qualification", amount="10"),
        deal(1, name="Big one"),
        deal(2, status="won", amount="12"),
        event("deals", 3, "refund", deal_id="D1", amount="2"),
        event("deals", 4, "deal_deleted", deal_id="D1"),
    ]
    (told,) = explained(events).deals
    assert [each.what for each in told.history] == [
        "stage qualification; status open; amount 10.00 EUR",
        "no change of these",
        "status open -> won; amount 10.00 EUR -> 12.00 EUR",
        "refunded 2.00 EUR",
        "status won -> deleted",
    ]
    assert (told.status, told.name, told.refunded_minor) == ("deleted", "Big one", 2_00)


@pytest.mark.parametrize(
    ("conversion_id", "more", "value"),
    [
        ("lead:L1", [], "counts as one and carries no money"),
        ("deal:D1:won", [], "the deal's amount 12,000.00 EUR"),
        (
            "deal:D1:won",
            [event("deals", 39, "refund", deal_id="D1", amount="1000")],
            "the deal's amount 12,000.00 EUR less refunds of 1,000.00 EUR",
        ),
        (
            "deal:D1:lost",
            [deal(40, status="lost")],
            "the deal's amount 12,000.00 EUR, given as the loss of it",
        ),
        ("deal:D1:stage:lead_capture", [deal(40, status="lost")], "nothing: the deal is lost"),
        (
            "deal:D1:stage:lead_capture",
            [deal(40, status="open")],
            "the deal's amount 12,000.00 EUR, provisional while it is open",
        ),
        (
            "recurring:native:m",
            [event("deals", 39, "mrr_movement", event_id="m", movement="churn", amount="50", deal_id="D1")],
            "churn: 50.00 EUR of recurring revenue lost",
        ),
    ],
)
def test_a_conversion_says_where_its_amount_comes_from(
    conversion_id: str, more: list[builders.Event], value: str
) -> None:
    assert conversion(explained([*WORKED, *more]), conversion_id).value == value


@pytest.mark.parametrize(
    ("movement", "day", "window"),
    [
        (
            "churn",
            50,
            "churn inherits the path of the win: touches from 2025-04-08T00:00:00.000Z (365 days back) up to "
            "2026-04-08T00:00:00.000Z",
        ),
        (
            "expansion",
            50,
            "touches after 2026-04-08T00:00:00.000Z, the movement or win before, up to 2026-04-20T00:00:00.000Z",
        ),
        (
            "expansion",
            45,
            "expansion has no touch of its own, so the path of the win: touches from 2025-04-08T00:00:00.000Z (365 "
            "days back) up to 2026-04-08T00:00:00.000Z",
        ),
    ],
)
def test_a_movement_says_whose_path_it_takes(movement: str, day: int, window: str) -> None:
    moved = event("deals", day, "mrr_movement", event_id="m", movement=movement, amount="5", deal_id="D1")
    assert conversion(explained([*WORKED, touch(48), moved]), "recurring:native:m").window == window


def test_a_later_deal_names_the_win_before_which_only_milestones_count() -> None:
    events = [*WORKED, touch(50), deal(51, deal_id="D2", status="won", amount="1")]
    told = conversion(explained(events), "deal:D2:won")
    assert told.window.endswith("; of those before the win at 2026-04-08T00:00:00.000Z only FT and LC")
    assert [step.number for step in told.paths["rules"].touches] == [1, 2, 6]


def test_only_a_deal_keeps_its_own_touches_conversions_and_probability() -> None:
    events = [
        *WORKED,
        event("leads", 39, "lead_created", lead_id="L2"),
        touch(60),
        deal(61, deal_id="D2", stage="contract_sent", amount="500"),
        touch(62),
    ]
    told = only_deal(explained(events), "D2")
    assert {each.conversion_id for each in told.conversions} == {"deal:D2:stage:contract_sent"}
    assert [each.number for each in told.touches] == [1, 2, 6]
    assert [row["subject_id"] for row in told.probabilities] == ["deal:D2"]
    assert ([each.deal_id for each in told.deals], told.leads, told.deal_id) == (["D2"], [], "D2")


def test_only_some_models_are_kept_in_column_order() -> None:
    told = only_models(explained(WORKED), ["time_decay", "linear"])
    assert {tuple(each.model for each in view.models) for view in told.conversions} == {
        ("linear", "time_decay")
    }


def test_a_warm_account_says_when_it_will_cool() -> None:
    warm = [touch(0, "webinar"), touch(1, "webinar"), touch(2, "webinar")]
    told = explained(warm, now=at(3)).temperature
    assert (told.phase, told.inbound, told.days, told.cooled_at) == ("warm", 3, 3, "")
    assert told.energy == pytest.approx(told.last_energy * 2 ** (-1 / 14))
    assert told.cools_at == "2026-03-31T00:00:00.000Z"
    later = explained(warm, now=at(31))
    assert (later.temperature.phase, later.temperature.cools_at) == ("cooled", "")
    assert later.temperature.cooled_at == "2026-03-31T00:00:00.000Z"
    assert [(row["kind"], row["reason"], row["days_silent"]) for row in later.alerts] == [
        ("cooled", "energy", 28)
    ]


def test_an_account_without_facts_is_explained_as_empty() -> None:
    told = explain_account(Account("nobody"), builders.config(), at(0))
    assert (told.touches, told.conversions, told.phase, told.temperature.phase) == ([], [], "", "new")
