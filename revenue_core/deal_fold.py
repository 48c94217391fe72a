"""The fold of a deal's facts (R16, R20 to R25, R27, R50)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from revenue_core.config import CoreConfig, Pipeline, Stage
from revenue_core.deals import Deal, StageEntry, Visit
from revenue_core.facts import Fact
from revenue_core.money import rounded

OPEN, WON, LOST = "open", "won", "lost"
TEXTS = ("owner_id", "name", "crm_source", "lost_reason")


@dataclass(slots=True)
class _Fold:
    """A deal on the way through its patches."""

    config: CoreConfig
    fields: dict[str, Any] = field(default_factory=dict)
    status: str = OPEN
    entries: list[StageEntry] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    won_instants: list[int] = field(default_factory=list)
    status_since: int = 0

    def patch(self, fact: Fact) -> None:
        """Fold one patch in: present fields are set, stage and status move (R20)."""
        stage = self.fields.get("stage", "")
        status = self.status
        self.fields.update(fact.body)
        moved = self.fields.get("stage", "") != stage
        kind = self._kind() if moved else ""
        self.status = fact.body.get("status") or kind or status
        if self.status != status:
            self.status_since = fact.at
            if self.status == WON:
                self.won_instants.append(fact.at)
        entered = moved and kind == OPEN
        if entered:
            self.entries.append(StageEntry(self.fields["stage"], fact.at))
        if moved or self.status != status:
            self._visit(fact.at, begins=self.status == OPEN and (entered or status != OPEN))

    def _visit(self, at: int, *, begins: bool) -> None:
        if self.visits and self.visits[-1].end is None:
            self.visits[-1] = self.visits[-1]._replace(end=at)
        stage = self.open_stage()
        if begins and stage:
            self.visits.append(Visit(stage, at, None))

    def _kind(self) -> str:
        """Kind of the folded stage."""
        found = find_stage(self.config, self.fields.get("pipeline", ""), self.fields.get("stage", ""))
        return found.kind if found else OPEN

    def open_stage(self) -> str:
        """The open stage the deal counts in: its own, else the last open one it entered, else the pipeline's
        first (R20); empty as long as it has no stage at all."""
        stage: str = self.fields.get("stage", "")
        if not stage or self._kind() == OPEN:
            return stage
        if self.entries:
            return self.entries[-1].stage
        return first_open(pipeline_of(self.config, self.fields.get("pipeline", ""), stage))


def fold_deal(
    deal_id: str, facts: Sequence[Fact], config: CoreConfig, as_of: int | None = None
) -> Deal | None:
    """The deal that its facts make, in fact order; with ``as_of`` (ms) only those up to then.

    None when no patch is among them: a deletion or a refund alone says nothing of a deal.
    """
    if as_of is not None:
        facts = [fact for fact in facts if fact.at <= as_of]
    fold = _Fold(config)
    created_at: int | None = None
    deleted = False
    for fact in facts:
        if fact.type == "deal_updated":
            created_at = fact.at if created_at is None else created_at
            fold.patch(fact)
            deleted = False
        elif fact.type == "deal_deleted":
            deleted = True
    return None if created_at is None else _finish(deal_id, facts, fold, created_at, deleted)


def _finish(deal_id: str, facts: Sequence[Fact], fold: _Fold, created_at: int, deleted: bool) -> Deal:
    config, get = fold.config, fold.fields.get
    currency = get("currency") or config.default_currency
    # an amount within the limit may be beyond it in the currency of a later patch; the fold takes it as it is
    amount = rounded(get("amount", "0"), currency, config.currency_exponents)
    won_at = fold.status_since if fold.status == WON else None
    refunded, ignored = _refunds(facts, currency, won_at, config)
    pipeline = pipeline_of(config, get("pipeline", ""), get("stage", ""))
    open_stage = fold.open_stage() or first_open(pipeline)
    since = max((entry.at for entry in fold.entries if entry.stage == open_stage), default=created_at)
    texts = {name: get(name, "") for name in TEXTS}
    return Deal(
        deal_id=deal_id,
        created_at=created_at,
        pipeline=pipeline.name,
        stage=get("stage", ""),
        open_stage=open_stage,
        stage_since=since,
        status=fold.status,
        deleted=deleted,
        amount_minor=amount,
        currency=currency,
        won_at=won_at,
        lost_at=fold.status_since if fold.status == LOST else None,
        won_instants=tuple(fold.won_instants),
        entries=tuple(fold.entries),
        visits=tuple(fold.visits),
        refunded_minor=min(refunded, amount),
        refunds_ignored=ignored,
        last_fact_at=facts[-1].at,
        expected_close_at=get("expected_close_date"),
        contact_ids=tuple(get("contact_ids", ())),
        lead_ids=tuple(get("lead_ids", ())),
        **texts,
    )


def _refunds(facts: Sequence[Fact], currency: str, won_at: int | None, config: CoreConfig) -> tuple[int, int]:
    """(sum of the refunds that count, how many do not) (R25)."""
    total = ignored = 0
    for fact in facts:
        if fact.type == "refund":
            counts = (
                won_at is not None and fact.at >= won_at and fact.body.get("currency", currency) == currency
            )
            if counts:
                total += rounded(fact.body["amount"], currency, config.currency_exponents)
            else:
                ignored += 1
    return total, ignored


def find_stage(config: CoreConfig, pipeline: str, stage: str) -> Stage | None:
    """The stage of a pipeline; when the pipeline is not named or lacks it, of the first one that has it (R27)."""
    found = None
    for candidate in config.pipelines:
        for each in candidate.stages:
            if each.name == stage:
                if candidate.name == pipeline:
                    return each
                found = found or each
    return found


def pipeline_of(config: CoreConfig, named: str, stage: str) -> Pipeline:
    """The pipeline a deal is in (R27): the one named, else the first that has its stage, else the first."""
    for candidate in config.pipelines:
        if candidate.name == named:
            return candidate
    for candidate in config.pipelines:
        if any(each.name == stage for each in candidate.stages):
            return candidate
    return config.pipelines[0]


def first_open(pipeline: Pipeline) -> str:
    """Name of the pipeline's first stage of kind open; empty when it has none."""
    return next((stage.name for stage in pipeline.stages if stage.kind == OPEN), "")
