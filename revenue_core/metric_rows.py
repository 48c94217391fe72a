"""Rows of ``funnel-metrics`` from metrics that have been added up (R52)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from revenue_core.attribution.models import model_names
from revenue_core.config import CoreConfig
from revenue_core.cost_sums import DEAL, LEAD, LEADS, OPPORTUNITIES, WINS
from revenue_core.funnel import StageCount, stage_row
from revenue_core.revenue_sums import ALL, MILLION, OUTCOMES, TEAMS
from revenue_core.row_ids import joined, parts_of

PUBLISHED = frozenset({"stage", "revenue", "stage_teams", "models", "cost", "source_disagreement"})
"""Metrics that rows are made of; the others are gauges of a worker."""


class Place(NamedTuple):
    """A row, and where in the sums of a metric the count stands that says whether it exists (above 0)."""

    row_id: str
    column: int


def published(metric: tuple[str, ...]) -> tuple[str, str] | None:
    """The name under which partitions add a metric up, and which part of it this is; None for a gauge.

    Only costs have parts: one per currency, and the counts, which belong to all of them, under the empty one.
    """
    if metric[0] not in PUBLISHED:
        return None
    return (joined(*metric[:-1]), metric[-1]) if metric[0] == "cost" else (joined(*metric), "")


class MetricRows:
    """Makes rows under a configuration."""

    def __init__(self, config: CoreConfig) -> None:
        self.config, self.names = config, model_names(config)
        width = len(self.names)
        self.sizes = {
            "stage": len(StageCount._fields),
            "revenue": 1 + len(OUTCOMES) * width,
            "stage_teams": len(TEAMS) * (1 + width),
            "models": 1 + 2 * width,
            "cost": 3,
            "source_disagreement": 7,
        }

    def places(self, name: str, part: str) -> list[Place]:
        """The rows that one part of a metric decides on. Raises LookupError or ValueError for what is no metric."""
        kind, *labels = parts_of(name)
        if part and kind != "cost":
            raise ValueError(f"{kind} has no parts")
        if kind == "stage":
            pipeline, stage = labels
            return [Place(f"stage|all|all|all|{pipeline}|{stage}", StageCount._fields.index("deals"))]
        if kind == "stage_teams":
            pipeline, stage, currency = labels
            step = 1 + len(self.names)
            return [
                Place(joined("revenue", ALL, "team", team, pipeline, stage, currency), index * step)
                for index, team in enumerate(TEAMS)
            ]
        if kind == "cost":
            segment_kind, channel, campaign = labels
            return [Place(_cost_id(segment_kind, channel, campaign, part), 0)] if part else []
        if kind == "source_disagreement":
            segment_kind, segment = labels
            return [Place(joined(kind, ALL, segment_kind, segment, "", ""), 0)]
        segment_kind, segment, currency = labels if kind == "revenue" else ("channel", *labels)
        return [Place(joined(kind, ALL, segment_kind, segment, "", "", currency), 0)]

    def size(self, name: str) -> int:
        """How many sums a metric has. Raises LookupError for what is no metric."""
        return self.sizes[name.split("|", 1)[0]]

    def rows(self, name: str, totals: Mapping[str, Sequence[int]]) -> Iterator[dict[str, Any]]:
        """The rows of a metric from the sums of its parts, also those that do not exist, in the order of ``places``.

        Without ``version`` and ``is_deleted``.
        """
        kind, *labels = parts_of(name)
        if kind == "cost":
            segment_kind, channel, campaign = labels
            counts = totals.get("", (0, 0, 0))
            for currency in sorted(totals.keys() - {""}):
                yield self._cost(segment_kind, channel, campaign, currency, totals[currency], counts)
            return
        sums = totals[""]
        if kind == "stage":
            yield stage_row(labels[0], labels[1], StageCount(*sums), self.config)
        elif kind == "revenue":
            yield self._revenue(labels[0], labels[1], labels[2], sums)
        elif kind == "stage_teams":
            yield from self._stage_teams(labels[0], labels[1], labels[2], sums)
        elif kind == "models":
            yield self._models(labels[0], labels[1], sums)
        else:
            yield _source_disagreement(labels[0], labels[1], sums)

    def _revenue(self, segment_kind: str, segment: str, currency: str, sums: Sequence[int]) -> dict[str, Any]:
        row_id = joined("revenue", ALL, segment_kind, segment, "", "", currency)
        row = _head(row_id, "revenue", segment_kind, segment) | {"currency": currency, "credits": sums[0]}
        width = len(self.names)
        for index, name in enumerate(self.names, 1):
            for outcome, word in enumerate(OUTCOMES):
                row[f"{name}_{word}_minor"] = sums[outcome * width + index]
        return row

    def _stage_teams(
        self, pipeline: str, stage: str, currency: str, sums: Sequence[int]
    ) -> Iterator[dict[str, Any]]:
        step = 1 + len(self.names)
        for number, team in enumerate(TEAMS):
            row_id = joined("revenue", ALL, "team", team, pipeline, stage, currency)
            row = _head(row_id, "revenue", "team", team, pipeline, stage)
            row |= {"currency": currency, "credits": sums[number * step]}
            for index, name in enumerate(self.names, 1):
                amount, whole = sums[number * step + index], sum(sums[index::step])
                row[f"{name}_entered_minor"] = amount
                if whole:
                    row[f"{name}_share"] = amount / whole
            yield row

    def _models(self, channel: str, currency: str, sums: Sequence[int]) -> dict[str, Any]:
        row_id = joined("models", ALL, "channel", channel, "", "", currency)
        row = _head(row_id, "models", "channel", channel) | {"currency": currency, "won_conversions": sums[0]}
        width = len(self.names)
        for index, name in enumerate(self.names, 1):
            row[f"{name}_won_minor"] = sums[index]
            row[f"{name}_conversions"] = sums[width + index] / MILLION
        return row

    def _cost(
        self,
        segment_kind: str,
        channel: str,
        campaign: str,
        currency: str,
        sums: Sequence[int],
        counts: Sequence[int],
    ) -> dict[str, Any]:
        segment = channel if segment_kind == "channel" else joined(channel, campaign)
        row = _head(_cost_id(segment_kind, channel, campaign, currency), "cost", segment_kind, segment)
        spends, cost, revenue = sums
        row |= {
            "channel": channel, "campaign": campaign, "currency": currency, "spends": spends, "cost_minor": cost,
            "leads": counts[LEADS], "opportunities": counts[OPPORTUNITIES], "wins": counts[WINS],
        }  # fmt: skip
        for word, count in zip(("lead", "opportunity", "win"), counts, strict=True):
            if count:
                row[f"cost_per_{word}_minor"] = _nearest(cost, count)
        row |= {"model": self.config.metrics.cost_model, "revenue_minor": revenue}
        if cost:
            row["roas"] = revenue / cost
        return row


def _head(
    row_id: str, kind: str, segment_kind: str, segment: str, pipeline: str = "", stage: str = ""
) -> dict[str, Any]:
    return {
        "row_id": row_id, "kind": kind, "window": ALL, "segment_kind": segment_kind, "segment": segment,
        "pipeline": pipeline, "stage": stage,
    }  # fmt: skip


def _cost_id(segment_kind: str, channel: str, campaign: str, currency: str) -> str:
    segment = channel if segment_kind == "channel" else joined(channel, campaign)
    return joined("cost", ALL, segment_kind, segment, "", "", currency)


def _nearest(amount: int, count: int) -> int:
    """Amount per piece in minor units, half to even."""
    whole, rest = divmod(amount, count)
    return whole + (2 * rest > count or (2 * rest == count and whole % 2 == 1))


def _source_disagreement(segment_kind: str, segment: str, sums: Sequence[int]) -> dict[str, Any]:
    row_id = joined("source_disagreement", ALL, segment_kind, segment, "", "")
    row = _head(row_id, "source_disagreement", segment_kind, segment) | {"subjects": sums[0]}
    for word, first in (("deals", DEAL), ("leads", LEAD)):
        compared, disagreeing, without = sums[first : first + 3]
        row |= {
            f"{word}_compared": compared, f"{word}_disagreeing": disagreeing, f"{word}_without_touch": without,
        }  # fmt: skip
        if compared:
            row[f"{word}_disagreement_rate"] = disagreeing / compared
    return row
