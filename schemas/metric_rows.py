"""The rows of ``funnel-metrics``, column by column (R52)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, model_validator

from schemas.outbound import MODELS
from schemas.row import Count, Currency, IsDeleted, Key, Minor, Row, Share, Version


class FunnelStage(Row):
    """One open stage of a pipeline (R52). Key ``row_id``."""

    row_id: Key
    kind: Literal["stage"]
    window: Key
    segment_kind: Key
    segment: str
    pipeline: Key
    stage: Key
    stage_order: Count
    reached: Count
    converted: Count
    conversion_rate: Share | None = None
    lost: Count
    median_days: float | None = None
    p90_days: float | None = None
    version: Version
    is_deleted: IsDeleted

    @model_validator(mode="after")
    def _key_names_the_row(self) -> Self:
        parts = (self.kind, self.window, self.segment_kind, self.segment, self.pipeline, self.stage)
        if self.row_id != "|".join(parts):
            raise ValueError(f"row_id {self.row_id!r} is not {'|'.join(parts)!r} (R52)")
        return self


def _per_model(*endings: str, optional: bool = False) -> ConfigDict:
    """Rows with one column per model and ending: money (``_minor``) is whole, the rest is a number from 0 on."""

    def describe(schema: dict[str, Any]) -> None:
        for ending in endings:
            kind: dict[str, Any] = {"type": "integer"}
            if not ending.endswith("_minor"):
                kind = {"type": "number", "minimum": 0}
            for model in MODELS:
                schema["properties"][model + ending] = kind
                if ending.endswith("_minor") or not optional:
                    schema["required"].append(model + ending)
            schema.setdefault("patternProperties", {})[f"^custom_.+{ending}$"] = kind
        schema["additionalProperties"] = False

    return ConfigDict(extra="allow", json_schema_extra=describe)


class Metric(Row):
    """A row of ``funnel-metrics`` other than ``stage``. Key ``row_id``: its parts, with ``%`` and ``|`` escaped."""

    ENDINGS: ClassVar[tuple[str, ...]] = ()
    """Of the columns that there are per model."""
    OPTIONAL: ClassVar[frozenset[str]] = frozenset()

    row_id: Key
    kind: Key
    window: Key
    segment_kind: Key
    segment: str
    pipeline: str
    stage: str

    @model_validator(mode="after")
    def _key_names_the_row(self) -> Self:
        parts = [self.kind, self.window, self.segment_kind, self.segment, self.pipeline, self.stage]
        currency = getattr(self, "currency", None)
        if currency is not None:
            parts.append(currency)
        row_id = "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)
        if self.row_id != row_id:
            raise ValueError(f"row_id {self.row_id!r} is not {row_id!r} (R52)")
        return self

    @model_validator(mode="after")
    def _columns_of_models(self) -> Self:
        extra = self.model_extra or {}
        for name, value in extra.items():
            ending = next((ending for ending in self.ENDINGS if name.endswith(ending)), None)
            model = name.removesuffix(ending) if ending else ""
            if ending is None or not (model in MODELS or model.startswith("custom_")):
                raise ValueError(f"unknown column {name}")
            if ending.endswith("_minor"):
                if type(value) is not int:
                    raise ValueError(f"{name} is {value!r}: an amount is a whole number of minor units")
            elif type(value) not in {int, float} or value < 0:
                raise ValueError(f"{name} is {value!r}: a number from 0 on is needed")
        needed = [
            model + ending for model in MODELS for ending in self.ENDINGS if ending not in self.OPTIONAL
        ]
        missing = [name for name in needed if name not in extra]
        if missing:
            raise ValueError(f"column {', '.join(missing)} is missing")
        return self


class Revenue(Metric):
    """Credit of a segment, per model: of won, open and lost deals, and of movements of recurring revenue.

    Add over segments of one kind and currency; never over models, outcomes, kinds of segment or currencies (R23).
    """

    ENDINGS = ("_won_minor", "_open_minor", "_lost_minor", "_recurring_minor")
    model_config = _per_model(*ENDINGS)

    kind: Literal["revenue"]
    pipeline: Literal[""]
    stage: Literal[""]
    currency: Currency
    credits: Count
    version: Version
    is_deleted: IsDeleted


class StageTeam(Metric):
    """Credit of a team for the entries of a stage, per model, and its share of all teams'."""

    ENDINGS = ("_entered_minor", "_share")
    OPTIONAL = frozenset({"_share"})
    model_config = _per_model(*ENDINGS, optional=True)

    kind: Literal["revenue"]
    segment_kind: Literal["team"]
    segment: Literal["", "marketing", "sales"]
    pipeline: Key
    stage: Key
    currency: Currency
    credits: Count
    version: Version
    is_deleted: IsDeleted


class Models(Metric):
    """What each model gives a channel of the won deals: amounts, and conversions in parts."""

    ENDINGS = ("_won_minor", "_conversions")
    model_config = _per_model(*ENDINGS)

    kind: Literal["models"]
    segment_kind: Literal["channel"]
    segment: Key
    pipeline: Literal[""]
    stage: Literal[""]
    currency: Currency
    won_conversions: Count
    version: Version
    is_deleted: IsDeleted


class Cost(Metric):
    """What a channel, or a campaign in it, cost, and what came of it."""

    kind: Literal["cost"]
    segment_kind: Literal["channel", "campaign"]
    pipeline: Literal[""]
    stage: Literal[""]
    channel: Key
    campaign: str
    currency: Currency
    spends: Count
    cost_minor: Minor
    leads: Count
    opportunities: Count
    wins: Count
    cost_per_lead_minor: Minor | None = None
    cost_per_opportunity_minor: Minor | None = None
    cost_per_win_minor: Minor | None = None
    model: Key
    revenue_minor: Minor
    roas: float | None = None
    version: Version
    is_deleted: IsDeleted


class SourceDisagreement(Metric):
    """How often a CRM source is not that of the computed first touch."""

    kind: Literal["source_disagreement"]
    segment_kind: Literal["all", "crm_source"]
    segment: Key
    pipeline: Literal[""]
    stage: Literal[""]
    subjects: Count
    deals_compared: Count
    deals_disagreeing: Count
    deals_without_touch: Count
    deals_disagreement_rate: Share | None = None
    leads_compared: Count
    leads_disagreeing: Count
    leads_without_touch: Count
    leads_disagreement_rate: Share | None = None
    version: Version
    is_deleted: IsDeleted
