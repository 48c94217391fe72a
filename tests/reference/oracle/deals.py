"""Deals as folds, and funnel rows (R16, R20 to R25, R27, R50, R52)."""

from collections import defaultdict
from dataclasses import dataclass, field

from tests.reference.oracle.facts import (
    CLOSED_STAGES,
    DEFAULT_CURRENCY,
    OPEN_STAGES,
    PRIORS,
    minor,
)


@dataclass
class Deal:
    deal_id: str
    created: int
    fields: dict = field(default_factory=dict)
    status: str = "open"
    became: int = 0
    """When the status became what it is."""
    entries: list = field(default_factory=list)
    wins: list = field(default_factory=list)
    """Every instant the status became won."""
    visits: list = field(default_factory=list)
    """[stage, start, end or None] while open."""
    deleted: bool = False
    refunded: int = 0

    @property
    def stage(self):
        return self.fields.get("stage", "")

    @property
    def pipeline(self):
        if "pipeline" in self.fields:
            return self.fields["pipeline"]
        return pipeline_of(self.stage) or "default"

    @property
    def currency(self):
        return self.fields.get("currency", DEFAULT_CURRENCY)

    @property
    def amount(self):
        return minor(self.fields.get("amount", "0"), self.currency)

    @property
    def won_at(self):
        return self.became if self.status == "won" else None

    @property
    def counted_stage(self):
        """The open stage it counts in (R20)."""
        if kind(self.stage) == "open":
            return self.stage
        return self.entries[-1][0] if self.entries else OPEN_STAGES[self.pipeline][0]

    @property
    def since(self):
        return self.entries[-1][1] if self.entries else self.created

    @property
    def prior(self):
        stage = self.counted_stage
        return PRIORS[self.pipeline].get(stage, PRIORS[pipeline_of(stage)][stage])


def pipeline_of(stage):
    """The first configured pipeline that has the stage."""
    return next(
        (name for name in OPEN_STAGES if stage in OPEN_STAGES[name] or stage in CLOSED_STAGES[name]), None
    )


def kind(stage):
    for name in OPEN_STAGES:
        if stage in OPEN_STAGES[name]:
            return "open"
        if stage in CLOSED_STAGES[name]:
            return CLOSED_STAGES[name][stage]
    return None


def fold(facts, until=None):
    """deal_id -> deal, of an account's deal facts in fact order, up to an instant."""
    of = defaultdict(list)
    for fact in facts:
        if fact.body["type"] != "mrr_movement" and (until is None or fact.at <= until):
            of[fact.body["deal_id"]].append(fact)
    folded = {deal_id: fold_one(deal_id, of[deal_id]) for deal_id in of}
    return {deal_id: deal for deal_id, deal in folded.items() if deal is not None}


def fold_one(deal_id, facts):
    patches = [fact for fact in facts if fact.body["type"] == "deal_updated"]
    if not patches:
        return None
    deal = Deal(deal_id, patches[0].at)
    for patch in patches:
        apply(deal, patch)
    deal.deleted = [f for f in facts if f.body["type"] != "refund"][-1].body["type"] == "deal_deleted"
    if deal.status == "won":
        counted = [
            minor(fact.body["amount"], deal.currency)
            for fact in facts
            if fact.body["type"] == "refund"
            and fact.at >= deal.became
            and fact.body.get("currency", deal.currency) == deal.currency
        ]
        deal.refunded = min(sum(counted), deal.amount)
    return deal


def apply(deal, patch):
    before, status = deal.stage, deal.status
    deal.fields.update(patch.body)
    moved = deal.stage != before
    if "status" in patch.body:
        deal.status = patch.body["status"]
    elif moved:
        deal.status = kind(deal.stage)
    if moved and kind(deal.stage) == "open":
        deal.entries.append((deal.stage, patch.at))
    changed = deal.status != status
    if changed:
        deal.became = patch.at
        if deal.status == "won":
            deal.wins.append(patch.at)
    visit(deal, patch.at, moved, changed)


def visit(deal, at, moved, changed):
    """A visit lasts to the next stage or status change (R50)."""
    if not moved and not changed:
        return
    if deal.visits and deal.visits[-1][2] is None:
        deal.visits[-1][2] = at
    entered = moved and kind(deal.stage) == "open"
    if deal.status == "open" and deal.stage and (entered or changed):
        deal.visits.append([deal.counted_stage, at, None])


def funnel_rows(deals):
    """row_id -> row over the deals of all accounts (R52)."""
    rows = {}
    deals = [deal for deal in deals if not deal.deleted]
    for pipeline, stages in OPEN_STAGES.items():
        here = [deal for deal in deals if deal.pipeline == pipeline]
        if not here:
            continue
        counts = []
        for index in range(len(stages)):
            later = set(stages[index:])
            counts.append(sum(d.status == "won" or bool(later & {s for s, _ in d.entries}) for d in here))
        counts.append(sum(deal.status == "won" for deal in here))
        for index, stage in enumerate(stages):
            row_id = f"stage|all|all|all|{pipeline}|{stage}"
            rows[row_id] = {
                "row_id": row_id, "kind": "stage", "window": "all", "segment_kind": "all", "segment": "all",
                "pipeline": pipeline, "stage": stage, "stage_order": index + 1, "reached": counts[index],
                "converted": counts[index + 1],
                "lost": sum(d.status == "lost" and bool(d.entries) and d.entries[-1][0] == stage for d in here),
                "is_deleted": 0,
            }  # fmt: skip
            if counts[index]:
                rows[row_id]["conversion_rate"] = counts[index + 1] / counts[index]
    return rows
