"""Rows of ``pipeline-probabilities``: one per open deal and open lead of an account (R45)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from revenue_core.config import CoreConfig
from revenue_core.conversions import OpenLead
from revenue_core.deals import Deal
from revenue_core.facts import DAY_MS, Journey
from revenue_core.instants import iso_z
from revenue_core.money import expected_minor
from revenue_core.probability.priors import deal_prior, lead_prior


def probability_rows(
    journey: Journey,
    deals: Mapping[str, Deal],
    open_leads: Iterable[OpenLead],
    config: CoreConfig,
    as_of: int,
) -> dict[str, dict[str, Any]]:
    """``subject_id`` -> row, deals before leads; without ``cause``, ``version`` and ``is_deleted``.

    ``deals`` are folded up to ``as_of`` (ms); closed and deleted ones have no row. Columns stand in the order
    of the contract; a number without a value is left out (R62).
    """
    at = iso_z(as_of)
    rows: dict[str, dict[str, Any]] = {}
    for deal in deals.values():
        if deal.status == "open" and not deal.deleted:
            subject_id = f"deal:{deal.deal_id}"
            rows[subject_id] = {
                "subject_id": subject_id,
                "subject_kind": "deal",
                "deal_id": deal.deal_id,
                "lead_id": "",
                "account_id": journey.account_id,
                "pipeline": deal.pipeline,
                "stage": deal.open_stage,
                "age_in_stage_days": (as_of - deal.stage_since) / DAY_MS,
                "as_of": at,
                "as_of_ms": as_of,
                **_estimate(deal_prior(deal, config), deal.amount_minor, deal.currency),
            }
    for lead in open_leads:
        subject_id = f"lead:{lead.lead_id}"
        rows[subject_id] = {
            "subject_id": subject_id,
            "subject_kind": "lead",
            "deal_id": "",
            "lead_id": lead.lead_id,
            "account_id": journey.account_id,
            "pipeline": "",
            "stage": lead.level,
            "age_in_stage_days": (as_of - lead.level_since) / DAY_MS,
            "as_of": at,
            "as_of_ms": as_of,
            **_estimate(lead_prior(lead.level, config), 0, config.default_currency),
        }
    return rows


def expected_value(deal: Deal, at: int, config: CoreConfig) -> int:
    """Expected value in minor units of the deal's currency of an open deal folded up to ``at`` (ms).

    Without learned parameters the chance of winning is the stage's prior at every age, so ``at`` decides
    nothing beyond the fold.
    """
    return expected_minor(deal_prior(deal, config), deal.amount_minor)


def _estimate(p_win: float, amount_minor: int, currency: str) -> dict[str, Any]:
    """The columns that follow from the chance of winning, when the prior is all that is known (R45)."""
    return {
        "p_win": p_win,
        "p_win_low": 0.0,
        "p_win_high": 1.0,
        "p_win_30d": p_win,
        "p_win_90d": p_win,
        "p_lost": 1.0 - p_win,
        "n_observations": 0,
        "amount_minor": amount_minor,
        "currency": currency,
        "expected_value_minor": expected_minor(p_win, amount_minor) if amount_minor else 0,
        "reason_stage": 0.0,
        "reason_age": 0.0,
        "reason_engagement": 0.0,
        "reason_source": 0.0,
        "reason_other": 0.0,
        "params_version": 0,
    }
