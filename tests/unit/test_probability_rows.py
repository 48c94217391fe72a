"""Probability rows from the configured priors (R45)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from revenue_core.config import CoreConfig, Pipeline, Stage
from revenue_core.conversions import OpenLead
from revenue_core.deal_fold import fold_deal
from revenue_core.deals import Deal
from revenue_core.facts import DAY_MS, Fact, Journey
from revenue_core.probability.priors import deal_prior, lead_prior
from revenue_core.probability.rows import expected_value, probability_rows
from tests.deal_facts import OPEN_DEAL, START

CONFIG = CoreConfig()

COLUMNS = [
    "subject_id", "subject_kind", "deal_id", "lead_id", "account_id", "pipeline", "stage",
    "age_in_stage_days", "as_of", "as_of_ms", "p_win", "p_win_low", "p_win_high", "p_win_30d", "p_win_90d",
    "p_lost", "n_observations", "amount_minor", "currency", "expected_value_minor", "reason_stage",
    "reason_age", "reason_engagement", "reason_source", "reason_other", "params_version",
]  # fmt: skip

DEAL = replace(
    OPEN_DEAL,
    stage="qualification",
    open_stage="qualification",
    stage_since=START + DAY_MS,
    amount_minor=1_200_000,
    currency="USD",
    last_fact_at=START + DAY_MS,
)
LEAD = OpenLead(
    lead_id="l1", level="mql", created_at=START, level_since=START + DAY_MS, expires_at=START + 365 * DAY_MS
)


def rows(*deals: Deal, leads: tuple[OpenLead, ...] = (), as_of: int = START + 4 * DAY_MS) -> dict[str, Any]:
    return probability_rows(Journey("acme"), {deal.deal_id: deal for deal in deals}, leads, CONFIG, as_of)


def test_an_open_deal_has_a_row_with_the_prior_of_its_stage() -> None:
    row = rows(DEAL, as_of=START + 3 * DAY_MS + DAY_MS // 2)["deal:d1"]
    assert list(row) == COLUMNS
    assert (row["subject_kind"], row["deal_id"], row["lead_id"]) == ("deal", "d1", "")
    assert (row["account_id"], row["pipeline"], row["stage"]) == ("acme", "default", "qualification")
    assert row["age_in_stage_days"] == 2.5
    assert (row["as_of"], row["as_of_ms"]) == ("2023-11-18T12:00:00.000Z", START + 3 * DAY_MS + DAY_MS // 2)
    assert row["p_win"] == row["p_win_30d"] == row["p_win_90d"] == 0.15
    assert row["p_lost"] == 0.85
    assert (row["p_win_low"], row["p_win_high"], row["n_observations"]) == (0.0, 1.0, 0)
    assert (row["amount_minor"], row["currency"], row["expected_value_minor"]) == (1_200_000, "USD", 180_000)
    assert {row[column] for column in COLUMNS if column.startswith("reason_")} == {0.0}
    assert row["params_version"] == 0


def test_an_open_lead_has_a_row_with_the_prior_of_its_level() -> None:
    row = rows(leads=(LEAD,))["lead:l1"]
    assert list(row) == COLUMNS
    assert (row["subject_kind"], row["deal_id"], row["lead_id"]) == ("lead", "", "l1")
    assert (row["pipeline"], row["stage"], row["age_in_stage_days"]) == ("", "mql", 3.0)
    assert (row["p_win"], row["p_lost"]) == (0.05, 0.95)
    assert (row["amount_minor"], row["currency"], row["expected_value_minor"]) == (0, "EUR", 0)


def test_closed_and_deleted_deals_have_no_row() -> None:
    gone = (replace(DEAL, status="won"), replace(DEAL, status="lost"), replace(DEAL, deleted=True))
    for deal in gone:
        assert rows(deal) == {}


def test_every_open_subject_has_exactly_one_row() -> None:
    found = rows(DEAL, replace(DEAL, deal_id="d2"), leads=(LEAD, LEAD._replace(lead_id="l2")))
    assert list(found) == ["deal:d1", "deal:d2", "lead:l1", "lead:l2"]
    assert all(row["subject_id"] == subject_id for subject_id, row in found.items())


@pytest.mark.parametrize("stage", ["lead_capture", "qualification", "meeting_scheduled", "contract_sent"])
def test_rows_keep_the_order_of_the_chances(stage: str) -> None:
    row = rows(replace(DEAL, stage=stage, open_stage=stage))["deal:d1"]
    assert 0 <= row["p_win_30d"] <= row["p_win_90d"] <= row["p_win"] <= 1
    assert row["p_win"] + row["p_lost"] <= 1 + 1e-9
    assert row["p_win_low"] <= row["p_win"] <= row["p_win_high"]


def test_a_reopened_deal_counts_in_the_last_open_stage_that_it_entered() -> None:
    row = rows(replace(DEAL, stage="closed", open_stage="contract_sent"))["deal:d1"]
    assert (row["stage"], row["p_win"]) == ("contract_sent", 0.75)


def test_a_deal_without_a_stage_has_the_chance_of_its_pipelines_first() -> None:
    for body, prior in (({}, 0.05), ({"pipeline": "hubspot"}, 0.2)):
        fact = Fact(START, "native", "e1", "deal_updated", "native:e1", {"deal_id": "d1", **body})
        deal = fold_deal("d1", [fact], CONFIG)
        assert deal is not None
        assert deal.stage == ""
        assert rows(deal)["deal:d1"]["p_win"] == prior


def test_priors_are_those_shipped_and_of_the_deals_own_pipeline() -> None:
    assert [stage.prior for stage in CONFIG.pipelines[1].stages[:5]] == [0.2, 0.4, 0.6, 0.8, 0.9]
    assert [lead_prior(level, CONFIG) for level in ("lead", "mql", "sql")] == [0.02, 0.05, 0.10]
    twins = CoreConfig(
        pipelines=(Pipeline("a", (Stage("same", prior=0.1),)), Pipeline("b", (Stage("same", prior=0.9),)))
    )
    assert deal_prior(replace(DEAL, pipeline="b", open_stage="same"), twins) == 0.9
    assert deal_prior(replace(DEAL, pipeline="a", open_stage="same"), twins) == 0.1


def test_the_expected_value_is_rounded_from_the_exact_product() -> None:
    assert expected_value(replace(DEAL, open_stage="contract_sent", amount_minor=10), START, CONFIG) == 8
    assert expected_value(replace(DEAL, open_stage="contract_sent", amount_minor=6), START, CONFIG) == 4
    row = rows(replace(DEAL, open_stage="contract_sent", amount_minor=10))["deal:d1"]
    assert row["expected_value_minor"] == 8
