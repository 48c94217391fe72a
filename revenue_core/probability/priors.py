"""Configured chances of winning, for as long as nothing has been learned (R27, R45)."""

from __future__ import annotations

from revenue_core.config import CoreConfig
from revenue_core.deal_fold import find_stage
from revenue_core.deals import Deal


def deal_prior(deal: Deal, config: CoreConfig) -> float:
    """P(won) of an open deal by the stage it counts in (R20); 0 when its pipeline has no open stage."""
    stage = find_stage(config, deal.pipeline, deal.open_stage)
    return stage.prior if stage else 0.0


def lead_prior(level: str, config: CoreConfig) -> float:
    """P(deal) of an open lead of level ``lead`` | ``mql`` | ``sql``; 0 for a level without a prior."""
    return config.probability.lead_priors.get(level, 0.0)
