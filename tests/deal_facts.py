"""Facts about deals and leads for the tests of folds and conversions; days count from START."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from revenue_core.config import CoreConfig
from revenue_core.conversions import conversions
from revenue_core.deal_fold import fold_deal
from revenue_core.deals import Conversion, Deal
from revenue_core.facts import DAY_MS, Fact, Journey, Touch

START = 1_700_006_400_000  # 2023-11-15T00:00:00Z
CONFIG = CoreConfig()

_numbers = count(1)

OPEN_DEAL = Deal(
    deal_id="d1",
    created_at=START,
    pipeline="default",
    stage="",
    open_stage="",
    stage_since=START,
    status="open",
    deleted=False,
    amount_minor=0,
    currency="EUR",
    won_at=None,
    lost_at=None,
    won_instants=(),
    entries=(),
    visits=(),
    refunded_minor=0,
    refunds_ignored=0,
    last_fact_at=START,
)
"""The fold of a deal of which only the creation is known."""


def day(number: float) -> int:
    return START + round(number * DAY_MS)


def fact(at_day: float, kind: str, event_id: str = "", source: str = "native", **fields: Any) -> Fact:
    """A fact of a day; later made facts of one instant come later in fact order."""
    name = event_id or f"e{next(_numbers):06}"
    return Fact(day(at_day), source, name, kind, f"{source}:{name}", fields)


def patch(at_day: float, deal_id: str = "d1", **fields: Any) -> Fact:
    return fact(at_day, "deal_updated", deal_id=deal_id, **fields)


def deletion(at_day: float, deal_id: str = "d1") -> Fact:
    return fact(at_day, "deal_deleted", deal_id=deal_id)


def refund(at_day: float, amount: str, deal_id: str = "d1", **fields: Any) -> Fact:
    return fact(at_day, "refund", deal_id=deal_id, amount=amount, **fields)


def movement(at_day: float, kind: str, amount: str, **fields: Any) -> Fact:
    return fact(at_day, "mrr_movement", movement=kind, amount=amount, **fields)


def lead(at_day: float, kind: str = "created", lead_id: str = "l1", **fields: Any) -> Fact:
    return fact(at_day, f"lead_{kind}", lead_id=lead_id, **fields)


def touch(at_day: float, kind: str = "page_view") -> Touch:
    return Touch(day(at_day), f"native:t{at_day}", kind, True, "Email")


def fold(*facts: Fact, as_of: int | None = None, config: CoreConfig = CONFIG) -> Deal:
    """The deal d1 that the facts make."""
    found = fold_deal("d1", facts, config, as_of)
    assert found is not None
    return found


def journey(*facts: Fact | Touch) -> Journey:
    """An account that consists of these facts, given in any order."""
    ordered = sorted((f for f in facts if isinstance(f, Fact)), key=lambda f: f[:3])
    deals: dict[str, list[Fact]] = {}
    for each in ordered:
        if each.type.startswith("deal_") or each.type == "refund":
            deals.setdefault(each.body["deal_id"], []).append(each)
    return Journey(
        "acme",
        touches=sorted(f for f in facts if isinstance(f, Touch)),
        leads=[f for f in ordered if f.type.startswith("lead_")],
        deals=deals,
        movements=[f for f in ordered if f.type == "mrr_movement"],
    )


def folds(of: Journey, config: CoreConfig = CONFIG) -> dict[str, Deal]:
    found = {deal_id: fold_deal(deal_id, facts, config) for deal_id, facts in of.deals.items()}
    return {deal_id: deal for deal_id, deal in found.items() if deal is not None}


def found(*facts: Fact | Touch, config: CoreConfig = CONFIG) -> dict[str, Conversion]:
    """conversion_id -> conversion of the account that the facts make."""
    made = journey(*facts)
    return by_id(conversions(made, folds(made, config), config))


def by_id(each: Iterable[Conversion]) -> dict[str, Conversion]:
    each = list(each)
    known = {conversion.conversion_id: conversion for conversion in each}
    assert len(known) == len(each)
    return known
