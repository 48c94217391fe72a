"""Funnel counts per pipeline and stage (R52)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from revenue_core.config import CoreConfig, Pipeline
from revenue_core.deals import Deal


class StageCount(NamedTuple):
    """Deals of a pipeline at one stage."""

    reached: int
    converted: int
    lost: int
    deals: int
    """Deals in the pipeline, wherever they stand: the stage has a row as long as there is one."""


StageCounts = dict[tuple[str, str], StageCount]
"""(pipeline, stage) -> counts."""


def stage_counts(deals: Iterable[Deal], config: CoreConfig) -> StageCounts:
    """Counts over the deals, for every open stage of each pipeline that has one. Counts of accounts add up.

    A deal has reached a stage when it entered it or a later open stage of its pipeline, or was won; it was
    converted there when it reached the next one, at the last open stage when it was won. It is lost in the last
    open stage it entered, in none of its pipeline's when that was another pipeline's.
    """
    pipelines = {pipeline.name: pipeline for pipeline in config.pipelines}
    counts: dict[tuple[str, str], list[int]] = {}
    for deal in deals:
        if not deal.exists:
            continue
        stages = open_stages(pipelines[deal.pipeline])
        entered = [stages.index(entry.stage) for entry in deal.entries if entry.stage in stages]
        won = deal.status == "won"
        furthest = len(stages) if won else max(entered, default=-1)
        last = deal.entries[-1].stage if deal.entries else ""
        lost_in = stages.index(last) if deal.status == "lost" and last in stages else -1
        for index, stage in enumerate(stages):
            known = counts.setdefault((deal.pipeline, stage), [0, 0, 0, 0])
            known[0] += furthest >= index
            known[1] += furthest > index
            known[2] += lost_in == index
            known[3] += 1
    return {place: StageCount(*values) for place, values in counts.items()}


def stage_row(pipeline: str, stage: str, count: StageCount, config: CoreConfig) -> dict[str, Any]:
    """The ``funnel-metrics`` row of kind ``stage``, without ``version`` and ``is_deleted``."""
    stages = next((open_stages(each) for each in config.pipelines if each.name == pipeline), [])
    row: dict[str, Any] = {
        "row_id": f"stage|all|all|all|{pipeline}|{stage}",
        "kind": "stage",
        "window": "all",
        "segment_kind": "all",
        "segment": "all",
        "pipeline": pipeline,
        "stage": stage,
        "stage_order": stages.index(stage) + 1 if stage in stages else 0,
        "reached": count.reached,
        "converted": count.converted,
    }
    if count.reached:
        row["conversion_rate"] = count.converted / count.reached
    row["lost"] = count.lost
    return row


def open_stages(pipeline: Pipeline) -> list[str]:
    """Names of the pipeline's stages of kind open, in order."""
    return [stage.name for stage in pipeline.stages if stage.kind == "open"]
