"""What one account adds to the metrics of its journal partition: integers that add up across accounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from revenue_core.attribution.models import model_names
from revenue_core.config import CoreConfig
from revenue_core.deals import Deal
from revenue_core.funnel import stage_counts
from revenue_core.probability.rows import expected_value

Sums = dict[tuple[str, ...], tuple[int, ...]]
"""(metric, *labels) -> integers.

``stage`` (pipeline, stage): reached, converted, lost, deals in the pipeline · ``open_deals`` (pipeline, stage):
deals · ``pipeline`` (pipeline, stage, currency): amount, expected value in minor units · ``credited`` (model,
channel, currency): won amount in minor units · ``accounts`` (temperature): accounts. Those of ``revenue_sums`` and
``cost_sums`` are told there.
"""


def account_sums(deals: Mapping[str, Deal], config: CoreConfig) -> Sums:
    """The parts of an account that its deals make; others add its credits and its temperature."""
    sums: dict[tuple[str, ...], list[int]] = {}
    for (pipeline, stage), counts in stage_counts(deals.values(), config).items():
        sums["stage", pipeline, stage] = list(counts)
    for deal in deals.values():
        if deal.exists and deal.status == "open":
            _add(sums, ("open_deals", deal.pipeline, deal.open_stage), 1)
            value = expected_value(deal, deal.last_fact_at, config)
            _add(sums, ("pipeline", deal.pipeline, deal.open_stage, deal.currency), deal.amount_minor, value)
    return {metric: tuple(values) for metric, values in sums.items()}


def phase_sums(temperature: str) -> Sums:
    """The account's part of the count of accounts by temperature; none when it gives no outputs."""
    return {("accounts", temperature): (1,)} if temperature else {}


def difference(before: Sums, after: Sums) -> Sums:
    """What has to be added to get from one to the other; metrics that stay are left out.

    A metric that appears with zeros is kept: its row exists from then on.
    """
    changed: Sums = {}
    for metric in before.keys() | after.keys():
        old, new = before.get(metric), after.get(metric)
        if old != new:
            size = len(old or new or ())
            zeros = (0,) * size
            changed[metric] = tuple(n - o for o, n in zip(old or zeros, new or zeros, strict=True))
    return changed


def _add(sums: dict[tuple[str, ...], list[int]], metric: tuple[str, ...], *values: int) -> None:
    known = sums.setdefault(metric, [0] * len(values))
    for index, value in enumerate(values):
        known[index] += value


def credited_sums(credits: Iterable[Mapping[str, Any]], config: CoreConfig) -> Sums:
    """Won amounts by model, channel and currency: one measure only, so that they may be added (R23)."""
    columns = [(model, f"{model}_amount_minor") for model in model_names(config)]
    sums: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for row in credits:
        if row["conversion"] == "won":
            for model, column in columns:
                if row[column]:
                    sums["credited", model, row["channel"], row["currency"]] += row[column]
    return {metric: (amount,) for metric, amount in sums.items()}
