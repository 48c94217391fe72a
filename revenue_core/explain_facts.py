"""Leads and deals of an account with what happened to them, for ``explain``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from revenue_core.config import CoreConfig
from revenue_core.deal_fold import fold_deal
from revenue_core.deals import Deal
from revenue_core.facts import DAY_MS, Fact, Journey
from revenue_core.instants import iso_z
from revenue_core.journey import Known


@dataclass(frozen=True, slots=True)
class LeadView:
    """One lead."""

    lead_id: str
    created_at: str
    """Empty when only later facts of it are known."""
    level: str
    """``lead`` | ``mql`` | ``sql``."""
    open: bool
    reason: str
    """Why it is open or closed (R45)."""


@dataclass(frozen=True, slots=True)
class Event:
    """What one fact did to a deal."""

    at: str
    at_ms: int
    fact_id: str
    type: str
    what: str
    """``stage qualification -> contract_sent; amount 0.00 -> 500.00 EUR``."""


@dataclass(frozen=True, slots=True)
class DealView:
    """One deal as folded up to the as-of instant."""

    deal_id: str
    name: str
    owner_id: str
    pipeline: str
    stage: str
    status: str
    """``open`` | ``won`` | ``lost`` | ``deleted``."""
    created_at: str
    won_at: str
    lost_at: str
    amount_minor: int
    refunded_minor: int
    refunds_ignored: int
    currency: str
    lead_ids: list[str]
    contact_ids: list[str]
    history: list[Event]


def major(minor: int, currency: str, exponents: Mapping[str, int]) -> str:
    """Minor units as people write them.

    >>> major(-1234567, "EUR", {"EUR": 2}), major(500, "JPY", {"JPY": 0})
    ('-12,345.67 EUR', '500 JPY')
    """
    return f"{number(minor, currency, exponents)} {currency}"


def number(minor: int, currency: str, exponents: Mapping[str, int]) -> str:
    """``major`` without the currency."""
    places = exponents.get(currency, 0)
    whole, part = divmod(abs(minor), 10**places)
    return f"{'-' if minor < 0 else ''}{whole:,}" + (f".{part:0{places}d}" if places else "")


def lead_views(journey: Journey, known: Known, config: CoreConfig) -> list[LeadView]:
    """Every lead of the account, by lead id."""
    by_lead: dict[str, list[Fact]] = {}
    for fact in journey.leads:
        by_lead.setdefault(fact.body["lead_id"], []).append(fact)
    return [_lead_view(lead_id, facts, known, config) for lead_id, facts in sorted(by_lead.items())]


def _lead_view(lead_id: str, facts: Sequence[Fact], known: Known, config: CoreConfig) -> LeadView:
    created = next((fact.at for fact in facts if fact.type == "lead_created"), None)
    level = next((f.body["level"] for f in reversed(facts) if f.type == "lead_qualified"), "lead")
    is_open = any(lead.lead_id == lead_id for lead in known.leads)
    return LeadView(
        lead_id,
        iso_z(created) if created is not None else "",
        level,
        is_open,
        _lead_reason(lead_id, facts, created, is_open, known, config),
    )


def _lead_reason(
    lead_id: str, facts: Sequence[Fact], created: int | None, is_open: bool, known: Known, config: CoreConfig
) -> str:
    if created is None:
        return "was never created"
    expires = iso_z(created + config.attribution.longest_lookback_ms)
    if is_open:
        return f"until a deal names it, it is disqualified, or {expires}"
    deals = [deal.deal_id for deal in known.deals.values() if deal.exists and lead_id in deal.lead_ids]
    if deals:
        return f"deal {', '.join(deals)} names it"
    for fact in facts:
        if fact.type == "lead_disqualified" and fact.at >= created:
            reason = fact.body.get("reason", "")
            return f"disqualified at {iso_z(fact.at)}" + (f": {reason}" if reason else "")
    days = config.attribution.longest_lookback_ms / DAY_MS
    return f"expired at {expires}, {days:g} days after its creation"


def deal_view(deal: Deal, facts: Sequence[Fact], config: CoreConfig) -> DealView:
    """A deal with what each of its facts did to it."""
    return DealView(
        deal_id=deal.deal_id,
        name=deal.name,
        owner_id=deal.owner_id,
        pipeline=deal.pipeline,
        stage=deal.stage,
        status="deleted" if deal.deleted else deal.status,
        created_at=iso_z(deal.created_at),
        won_at=iso_z(deal.won_at) if deal.won_at is not None else "",
        lost_at=iso_z(deal.lost_at) if deal.lost_at is not None else "",
        amount_minor=deal.amount_minor,
        refunded_minor=deal.refunded_minor,
        refunds_ignored=deal.refunds_ignored,
        currency=deal.currency,
        lead_ids=list(deal.lead_ids),
        contact_ids=list(deal.contact_ids),
        history=list(_history(deal.deal_id, facts, config)),
    )


def _history(deal_id: str, facts: Sequence[Fact], config: CoreConfig) -> Iterator[Event]:
    before: dict[str, str] = {}
    for count, fact in enumerate(facts, 1):
        folded = fold_deal(deal_id, facts[:count], config)
        after = _state(folded, config) if folded else {}
        changes = [
            f"{name} {before[name]} -> {value or 'none'}" if before.get(name) else f"{name} {value}"
            for name, value in after.items()
            if value != before.get(name, "")
        ]
        yield Event(
            iso_z(fact.at),
            fact.at,
            fact.fact_id,
            fact.type,
            "; ".join(changes) or "no change of these",
        )
        before = after


def _state(deal: Deal, config: CoreConfig) -> dict[str, str]:
    """What the history tells of a deal."""
    amount = major(deal.amount_minor, deal.currency, config.currency_exponents)
    refunded = major(deal.refunded_minor, deal.currency, config.currency_exponents)
    return {
        "stage": deal.stage,
        "status": "deleted" if deal.deleted else deal.status,
        "amount": amount,
        "refunded": refunded if deal.refunded_minor else "",
    }
