"""Funnel counts per pipeline and stage (R52)."""

from __future__ import annotations

import pytest

from revenue_core.config import CoreConfig, Pipeline, Stage
from revenue_core.deals import Deal
from revenue_core.facts import Fact
from revenue_core.funnel import StageCount, stage_counts, stage_row
from tests.deal_facts import CONFIG, deletion, fold, patch

OPEN = ("lead_capture", "qualification", "meeting_scheduled", "contract_sent")
SALES = CoreConfig(
    pipelines=(
        Pipeline(
            "sales", (Stage("lead"), Stage("meeting"), Stage("proposal"), Stage("customer", kind="won"))
        ),
    )
)


def went(*stages: str, status: str = "", config: CoreConfig = CONFIG) -> Deal:
    """A deal that went through these stages, a day each, and then perhaps took a status."""
    facts: list[Fact] = [patch(number, stage=stage) for number, stage in enumerate(stages)]
    if status:
        facts.append(patch(len(stages), status=status))
    return fold(*facts, config=config)


def counts(*deals: Deal, pipeline: str = "default") -> list[tuple[int, int, int]]:
    """(reached, converted, lost) of each open stage of a pipeline, in order."""
    return [each[:3] for (name, _), each in stage_counts(deals, CONFIG).items() if name == pipeline]


def test_ten_leads_seven_meetings_three_proposals_and_a_customer() -> None:
    deals = [went("lead", config=SALES) for _ in range(3)]
    deals += [went("lead", "meeting", config=SALES) for _ in range(4)]
    deals += [went("lead", "meeting", "proposal", config=SALES) for _ in range(2)]
    deals += [went("lead", "meeting", "proposal", "customer", config=SALES)]
    found = stage_counts(deals, SALES)
    assert [count[:3] for count in found.values()] == [(10, 7, 0), (7, 3, 0), (3, 1, 0)]
    rows = [stage_row(*place, count, SALES) for place, count in found.items()]
    rates = [row["conversion_rate"] for row in rows]
    assert rates == pytest.approx([0.7, 0.42857, 0.33333], abs=5e-6)
    assert rates[0] * rates[1] * rates[2] == pytest.approx(0.1)


def test_a_stage_is_reached_by_deals_that_skipped_it() -> None:
    assert counts(went("contract_sent")) == [(1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 0, 0)]


def test_a_won_deal_reached_every_stage() -> None:
    assert counts(went("closed")) == [(1, 1, 0)] * 4
    assert counts(went("lead_capture", status="won")) == [(1, 1, 0)] * 4


def test_a_reopened_deal_reached_only_what_it_entered() -> None:
    reopened = went("qualification", "closed", "qualification")
    assert counts(reopened) == [(1, 1, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0)]


def test_going_back_takes_nothing_away() -> None:
    assert counts(went("meeting_scheduled", "lead_capture")) == [(1, 1, 0), (1, 1, 0), (1, 0, 0), (0, 0, 0)]


def test_a_deal_is_lost_in_the_open_stage_that_it_entered_last() -> None:
    lost = went("meeting_scheduled", "qualification", status="lost")
    assert counts(lost) == [(1, 1, 0), (1, 1, 1), (1, 0, 0), (0, 0, 0)]
    assert counts(went("qualification", status="lost"), went("contract_sent", status="lost")) == [
        (2, 2, 0), (2, 1, 1), (1, 1, 0), (1, 0, 1),
    ]  # fmt: skip


def test_a_deal_whose_last_open_stage_is_of_another_pipeline_is_lost_in_none_of_its_own() -> None:
    wandered = went("qualifiedtobuy", "contract_sent", "closedlost")
    assert wandered.pipeline == "hubspot"
    assert [lost for _, _, lost in counts(wandered, pipeline="hubspot")] == [0, 0, 0, 0, 0]


def test_every_open_stage_of_a_pipeline_with_a_deal_is_there_and_no_other() -> None:
    stageless = stage_counts([fold(patch(1))], CONFIG)
    assert list(stageless) == [("default", stage) for stage in OPEN]
    assert {count[:3] for count in stageless.values()} == {(0, 0, 0)}
    hubspot = stage_counts([fold(patch(1, pipeline="hubspot"))], CONFIG)
    assert len(hubspot) == 5
    assert {pipeline for pipeline, _ in hubspot} == {"hubspot"}


def test_deleted_deals_count_nowhere() -> None:
    assert stage_counts([fold(patch(1, stage="qualification"), deletion(2))], CONFIG) == {}


def test_counts_of_accounts_add_up() -> None:
    mine, theirs = went("qualification"), went("contract_sent", status="lost")
    apart = [stage_counts([deal], CONFIG) for deal in (mine, theirs)]
    for place, together in stage_counts([mine, theirs], CONFIG).items():
        assert together == tuple(map(sum, zip(*(each[place] for each in apart), strict=True)))


def test_a_row_has_the_columns_of_the_contract() -> None:
    row = stage_row("default", "meeting_scheduled", StageCount(8, 2, 3, 9), CONFIG)
    assert list(row.items()) == [
        ("row_id", "stage|all|all|all|default|meeting_scheduled"),
        ("kind", "stage"),
        ("window", "all"),
        ("segment_kind", "all"),
        ("segment", "all"),
        ("pipeline", "default"),
        ("stage", "meeting_scheduled"),
        ("stage_order", 3),
        ("reached", 8),
        ("converted", 2),
        ("conversion_rate", 0.25),
        ("lost", 3),
    ]


def test_a_stage_that_nobody_reached_has_no_rate() -> None:
    row = stage_row("default", "lead_capture", StageCount(0, 0, 0, 1), CONFIG)
    assert "conversion_rate" not in row
    assert (row["stage_order"], row["reached"]) == (1, 0)


def test_the_order_of_stages_leaves_out_those_that_close() -> None:
    odd = CoreConfig(pipelines=(Pipeline("p", (Stage("a"), Stage("no", kind="lost"), Stage("b"))),))
    assert stage_row("p", "b", StageCount(1, 0, 0, 1), odd)["stage_order"] == 2
