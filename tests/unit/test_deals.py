"""Deals as folds of their patches (R20 to R27, R50)."""

from __future__ import annotations

import pytest

from revenue_core.config import CoreConfig, Pipeline, Stage
from revenue_core.deal_fold import fold_deal
from revenue_core.deals import StageEntry, Visit
from tests.deal_facts import CONFIG, day, deletion, fold, patch, refund


def test_fields_that_are_absent_stay_as_they_were() -> None:
    deal = fold(
        patch(
            1, amount="100", currency="USD", owner_id="o1", name="Big", contact_ids=["c1"], lead_ids=["l1"]
        ),
        patch(2, amount="200.5", crm_source="Ads", expected_close_date=day(9), contact_ids=["c2", "c3"]),
    )
    assert (deal.amount_minor, deal.currency) == (20_050, "USD")
    assert (deal.owner_id, deal.name, deal.crm_source, deal.lost_reason) == ("o1", "Big", "Ads", "")
    assert (deal.contact_ids, deal.lead_ids) == (("c2", "c3"), ("l1",))
    assert deal.expected_close_at == day(9)


def test_a_deal_starts_open_at_its_first_patch_with_nothing_in_it() -> None:
    deal = fold(patch(3), patch(5))
    assert (deal.created_at, deal.last_fact_at) == (day(3), day(5))
    assert (deal.status, deal.stage, deal.pipeline) == ("open", "", "default")
    assert (deal.amount_minor, deal.currency) == (0, "EUR")
    assert (deal.won_at, deal.lost_at, deal.entries, deal.visits) == (None, None, (), ())
    assert deal.stage_since == day(3)


def test_deletions_and_refunds_alone_make_no_deal() -> None:
    assert fold_deal("d1", [deletion(1), refund(2, "5")], CONFIG) is None
    assert fold_deal("d1", [], CONFIG) is None
    assert fold_deal("d1", [patch(2)], CONFIG, as_of=day(2) - 1) is None


def test_a_stage_sets_the_status_of_its_kind() -> None:
    assert fold(patch(1, stage="qualification"), patch(2, stage="closed")).status == "won"
    assert fold(patch(1, pipeline="hubspot", stage="closedlost")).status == "lost"
    reopened = fold(patch(1, stage="closed"), patch(2, stage="contract_sent"))
    assert (reopened.status, reopened.won_at, reopened.won_instants) == ("open", None, (day(1),))


def test_a_given_status_beats_the_stage_of_the_same_patch() -> None:
    deal = fold(patch(1, stage="contract_sent", status="lost"))
    assert (deal.status, deal.lost_at) == ("lost", day(1))
    assert deal.entries == (StageEntry("contract_sent", day(1)),)
    assert deal.visits == ()


def test_a_repeated_stage_changes_nothing() -> None:
    deal = fold(patch(1, stage="qualification"), patch(2, status="lost"), patch(3, stage="qualification"))
    assert (deal.status, deal.lost_at) == ("lost", day(2))
    assert deal.entries == (StageEntry("qualification", day(1)),)


def test_won_is_dated_by_the_last_change_into_it() -> None:
    facts = [patch(1, status="won"), patch(2, status="won"), patch(3, status="open"), patch(4, status="won")]
    deal = fold(*facts)
    assert (deal.won_at, deal.won_instants, deal.lost_at) == (day(4), (day(1), day(4)), None)
    assert fold(*facts, as_of=day(2)).won_at == day(1)
    assert fold(*facts, as_of=day(3)).won_at is None


def test_going_back_is_an_entry_and_skipping_adds_none() -> None:
    deal = fold(
        patch(1, stage="lead_capture"), patch(2, stage="contract_sent"), patch(3, stage="lead_capture")
    )
    assert [entry.stage for entry in deal.entries] == ["lead_capture", "contract_sent", "lead_capture"]
    assert deal.last_entry("lead_capture") == day(3)
    assert deal.last_entry("qualification") is None
    assert (deal.open_stage, deal.stage_since) == ("lead_capture", day(3))


def test_a_reopened_deal_counts_in_the_last_open_stage_that_it_entered() -> None:
    deal = fold(patch(1, stage="qualification"), patch(2, stage="closed"), patch(3, status="open"))
    assert (deal.status, deal.stage) == ("open", "closed")
    assert (deal.open_stage, deal.stage_since) == ("qualification", day(1))
    assert deal.visits == (Visit("qualification", day(1), day(2)), Visit("qualification", day(3), None))


def test_a_reopened_deal_that_entered_no_open_stage_counts_in_its_pipelines_first() -> None:
    deal = fold(patch(1, pipeline="hubspot", stage="closedwon"), patch(2, status="open"))
    assert (deal.open_stage, deal.stage_since) == ("appointmentscheduled", day(1))
    assert deal.visits == (Visit("appointmentscheduled", day(2), None),)


def test_a_visit_ends_with_the_next_stage_or_status() -> None:
    deal = fold(
        patch(1, stage="qualification"),
        patch(2, amount="5"),
        patch(3, stage="contract_sent"),
        patch(4, status="lost"),
        patch(5, status="open"),
    )
    assert deal.visits == (
        Visit("qualification", day(1), day(3)),
        Visit("contract_sent", day(3), day(4)),
        Visit("contract_sent", day(5), None),
    )


def test_a_deal_exists_until_deleted_and_a_later_patch_restores_its_whole_fold() -> None:
    facts = [patch(1, stage="closed", amount="9"), deletion(2), patch(3, owner_id="o")]
    assert fold(*facts[:1]).exists
    assert fold(*facts[:2]).deleted
    restored = fold(*facts)
    assert (restored.exists, restored.amount_minor, restored.won_at) == (True, 900, day(1))


def test_a_refund_after_the_deletion_does_not_restore_the_deal() -> None:
    assert fold(patch(1, status="won"), deletion(2), refund(3, "1")).deleted


def test_the_amount_is_read_in_the_currency_of_the_fold() -> None:
    assert fold(patch(1, amount="12.345", currency="KWD")).amount_minor == 12_345
    assert fold(patch(1, amount="12.345"), patch(2, currency="JPY")).amount_minor == 12


def test_an_amount_beyond_the_limit_in_a_later_currency_is_still_folded() -> None:
    assert (
        fold(patch(1, amount="1" + "0" * 15, currency="JPY"), patch(2, currency="KWD")).amount_minor == 10**18
    )


def test_refunds_count_from_the_current_win_on_and_in_the_deals_currency_only() -> None:
    deal = fold(
        patch(1, amount="100", currency="EUR", status="won"),
        refund(2, "1"),
        patch(3, status="open"),
        patch(4, status="won"),
        refund(4, "10"),
        refund(5, "20.50", currency="EUR"),
        refund(6, "40", currency="USD"),
    )
    assert (deal.refunded_minor, deal.refunds_ignored) == (3_050, 2)


def test_refunds_take_no_more_than_the_amount() -> None:
    deal = fold(patch(1, amount="100", status="won"), refund(2, "70"), refund(3, "70"))
    assert (deal.refunded_minor, deal.refunds_ignored) == (10_000, 0)


def test_refunds_on_a_deal_that_is_not_won_change_nothing() -> None:
    deal = fold(patch(1, amount="100"), refund(2, "70"))
    assert (deal.refunded_minor, deal.refunds_ignored) == (0, 1)


def test_an_unnamed_pipeline_is_the_first_that_has_the_latest_stage() -> None:
    assert fold(patch(1, stage="qualifiedtobuy")).pipeline == "hubspot"
    assert fold(patch(1, stage="qualifiedtobuy"), patch(2, stage="contract_sent")).pipeline == "default"
    assert fold(patch(1, stage="qualifiedtobuy"), patch(2, pipeline="default")).pipeline == "default"


def test_the_kind_of_a_stage_is_that_of_the_deals_own_pipeline() -> None:
    twins = CoreConfig(
        pipelines=(
            Pipeline("a", (Stage("start"), Stage("end", kind="won"))),
            Pipeline("b", (Stage("start"), Stage("end", kind="lost"))),
        )
    )
    assert fold(patch(1, stage="end"), config=twins).status == "won"
    assert fold(patch(1, pipeline="b", stage="end"), config=twins).status == "lost"
    assert fold(patch(1, pipeline="b"), patch(2, stage="end"), config=twins).status == "lost"


@pytest.mark.parametrize("as_of", [0.5, 1, 2.5, 4, 9])
def test_the_view_at_an_instant_is_the_fold_of_the_facts_up_to_it(as_of: float) -> None:
    facts = [
        patch(0, stage="qualification", amount="10"),
        deletion(1),
        patch(2, status="won"),
        refund(3, "4"),
        patch(4, amount="20"),
    ]
    earlier = [each for each in facts if each.at <= day(as_of)]
    assert fold(*facts, as_of=day(as_of)) == fold(*earlier)
