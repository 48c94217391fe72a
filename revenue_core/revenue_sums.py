"""Credit added up by segment, stage and channel: integers that add up over conversions and accounts (R23, R52).

Metrics, with M models in column order:

``revenue`` (segment kind, segment, currency)
    credit rows with money, then the amounts of M models each: won, open, lost, recurring.
``stage_teams`` (pipeline, stage, currency)
    for each of ``TEAMS`` the credit rows with money of entries of the stage, and the amounts of M models.
``models`` (channel, currency)
    won conversions with the channel on a path, amounts of M models, credited conversions of M models in millionths.
``cost`` (segment kind, channel, campaign, currency)
    the third of ``cost_sums``: the won amount by the model that costs are compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from revenue_core.attribution.models import model_names
from revenue_core.config import CoreConfig
from revenue_core.credits import Draft
from revenue_core.money import apportion_shares
from revenue_core.sums import Sums, credited_sums

Row = Mapping[str, Any]

SEGMENT_COLUMNS = {
    "channel": "channel", "campaign": "campaign", "keyword": "keyword", "content": "content",
    "contact": "contact_id", "rep": "rep_id", "team": "team",
}  # fmt: skip
"""Segment kind -> column of a credit row."""
ALL = "all"
OUTCOMES = ("won", "open", "lost", "recurring")
"""What ``revenue`` keeps apart: no two of them may be added (R23)."""
TEAMS = ("", "marketing", "sales")
STAGE_ENTERED = "stage_entered:"
MILLION = 1_000_000


def credit_sums(drafts: Mapping[str, Draft], rows: Iterable[Row], config: CoreConfig) -> Sums:
    """All that the rows of these conversions add, the worker's gauge ``credited`` too.

    ``rows`` are those of ``rows_of(drafts, config)``, in its order: by conversion, then by touch.
    """
    listed = list(rows)
    if not listed:
        return {}
    names = model_names(config)
    sums: dict[tuple[str, ...], list[int]] = {}
    _add_revenue(sums, drafts, listed, names, config)
    won = [row for row in listed if row["conversion"] == "won"]
    for _, of_conversion in groupby(won, key=lambda row: str(row["conversion_id"])):
        _add_models(sums, list(of_conversion), names)
    _add_return(sums, won, config.metrics.cost_model)
    return {**{metric: tuple(values) for metric, values in sums.items()}, **credited_sums(won, config)}


def outcome_of(conversion: str, draft: Draft) -> int | None:
    """Index into ``OUTCOMES`` of what a conversion counts as; None when ``revenue`` does not count it."""
    if conversion in OUTCOMES:
        return OUTCOMES.index(conversion)
    return OUTCOMES.index("open") if draft.is_current else None


def _add_revenue(
    sums: dict[tuple[str, ...], list[int]],
    drafts: Mapping[str, Draft],
    rows: Sequence[Row],
    names: Sequence[str],
    config: CoreConfig,
) -> None:
    columns = [f"{name}_amount_minor" for name in names]
    segments = [each for each in SEGMENT_COLUMNS.items() if each[0] in config.metrics.segment_kinds]
    width = len(names)
    for row in rows:
        amounts = [row[column] for column in columns]
        if not any(amounts):
            continue
        conversion, currency = row["conversion"], row["currency"]
        draft = drafts[row["conversion_id"]]
        if conversion.startswith(STAGE_ENTERED):
            stage, team = conversion.removeprefix(STAGE_ENTERED), row["team"]
            metric = "stage_teams", draft.pipeline, stage, currency
            _add(sums, metric, TEAMS.index(team) * (1 + width), (1, *amounts), len(TEAMS) * (1 + width))
        outcome = outcome_of(conversion, draft)
        if outcome is None:
            continue
        first, size = 1 + outcome * width, 1 + len(OUTCOMES) * width
        for kind, segment in ((ALL, ALL), *((kind, row[column]) for kind, column in segments)):
            metric = "revenue", kind, segment, currency
            _add(sums, metric, first, amounts, size)
            sums[metric][0] += 1


def _add_models(sums: dict[tuple[str, ...], list[int]], rows: Sequence[Row], names: Sequence[str]) -> None:
    """The rows of one won conversion."""
    width = len(names)
    parts = zip(
        *(apportion_shares(MILLION, [row[f"{name}_share"] for row in rows]) for name in names), strict=True
    )
    counted = set()
    for row, millionths in zip(rows, parts, strict=True):
        channel = row["channel"]
        amounts = [row[f"{name}_amount_minor"] for name in names]
        known = channel in counted
        counted.add(channel)
        metric = "models", channel, row["currency"]
        _add(sums, metric, 0, (int(not known), *amounts, *millionths), 1 + 2 * width)


def _add_return(sums: dict[tuple[str, ...], list[int]], rows: Iterable[Row], model: str) -> None:
    column = f"{model}_amount_minor"
    for row in rows:
        if row[column]:
            for metric in cost_metrics(row["channel"], row["campaign"], row["currency"]):
                _add(sums, metric, 2, (row[column],), 3)


def cost_metrics(channel: str, campaign: str, currency: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The metrics of the channel and of the campaign in it; counts stand under no currency."""
    return ("cost", "channel", channel, "", currency), ("cost", "campaign", channel, campaign, currency)


def _add(
    sums: dict[tuple[str, ...], list[int]],
    metric: tuple[str, ...],
    first: int,
    values: Sequence[int],
    size: int,
) -> None:
    """Add values to a metric of a size, from an index on."""
    known = sums.get(metric)
    if known is None:
        known = sums[metric] = [0] * size
    for index, value in enumerate(values, first):
        known[index] += value
