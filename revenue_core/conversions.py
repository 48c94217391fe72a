"""What an account gets credit for, and which of its leads are open (R21 to R28, R45, R51)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from revenue_core.config import CoreConfig
from revenue_core.deals import Conversion, Deal
from revenue_core.facts import Fact, Journey, Touch
from revenue_core.money import rounded

NEGATIVE = frozenset({"contraction", "churn"})
OWN_TOUCHES = frozenset({"expansion", "reactivation"})
"""Movements credited to the touches since the deal's previous movement (R26)."""


class OpenLead(NamedTuple):
    """A lead that may still become a deal (R45)."""

    lead_id: str
    level: str
    """``lead`` | ``mql`` | ``sql``."""
    created_at: int
    level_since: int
    expires_at: int


def conversions(journey: Journey, deals: Mapping[str, Deal], config: CoreConfig) -> list[Conversion]:
    """Every conversion of the account, from its facts and the folds of its deals (deleted ones included)."""
    found = list(_lead_conversions(journey, config))
    for deal in deals.values():
        if deal.exists:
            found += _deal_conversions(deal)
    found += _movements(journey, deals, config)
    return found


def first_lead_at(journey: Journey) -> int | None:
    """Instant of the account's first lead creation (ms), or None."""
    return min((fact.at for fact in journey.leads if fact.type == "lead_created"), default=None)


def open_leads(journey: Journey, deals: Mapping[str, Deal], config: CoreConfig, now: int) -> list[OpenLead]:
    """Leads that are open at ``now`` (ms), by lead id.

    A lead is open from its first ``lead_created`` until a deal of the account names it, it is disqualified, or
    the longest lookback has passed.
    """
    taken = {lead_id for deal in deals.values() if deal.exists for lead_id in deal.lead_ids}
    lookback = config.attribution.longest_lookback_ms
    by_lead: dict[str, list[Fact]] = {}
    for fact in journey.leads:
        by_lead.setdefault(fact.body["lead_id"], []).append(fact)
    found = []
    for lead_id, facts in sorted(by_lead.items()):
        created = next((fact.at for fact in facts if fact.type == "lead_created"), None)
        if created is None or lead_id in taken or created + lookback <= now:
            continue
        if any(fact.type == "lead_disqualified" and fact.at >= created for fact in facts):
            continue
        level, since = _level(facts, created)
        found.append(OpenLead(lead_id, level, created, since, created + lookback))
    return found


def next_lead_expiry(leads: Sequence[OpenLead]) -> int | None:
    """When the first of the open leads expires (ms), or None."""
    return min((lead.expires_at for lead in leads), default=None)


def _level(facts: Sequence[Fact], created_at: int) -> tuple[str, int]:
    """The lead's level and since when: the last qualification counts, a repeated one changes nothing (R58)."""
    level, since = "lead", created_at
    for fact in facts:
        if fact.type == "lead_qualified" and fact.body["level"] != level:
            level, since = fact.body["level"], max(fact.at, created_at)
    return level, since


def _lead_conversions(journey: Journey, config: CoreConfig) -> Iterator[Conversion]:
    seen = set()
    for fact in journey.leads:  # in fact order, so the first of each kind comes first (R28)
        lead_id = fact.body["lead_id"]
        if fact.type == "lead_created":
            conversion_id, name = f"lead:{lead_id}", "lead_created"
        elif fact.type == "lead_qualified":
            level = fact.body["level"]
            conversion_id, name = f"lead:{lead_id}:qualified:{level}", f"lead_qualified:{level}"
        else:
            continue
        if conversion_id not in seen:
            seen.add(conversion_id)
            yield Conversion(
                conversion_id, name, fact.at, "count", 0, config.default_currency, False, None, lead_id,
                path_at=fact.at,
            )  # fmt: skip


def _deal_conversions(deal: Deal) -> Iterator[Conversion]:
    """Stage entries at their last instant, and the win or loss of the deal (R21 to R23)."""
    last = {entry.stage: entry.at for entry in deal.entries}
    amount = 0 if deal.status == "lost" else deal.amount_minor
    for stage, at in last.items():
        yield _of_deal(deal, f"stage:{stage}", f"stage_entered:{stage}", at, amount, deal.status == "open")
    if deal.won_at is not None:
        yield _of_deal(deal, "won", "won", deal.won_at, deal.amount_minor - deal.refunded_minor, False)
    if deal.lost_at is not None:
        yield _of_deal(deal, "lost", "lost", deal.lost_at, deal.amount_minor, False)


def _of_deal(deal: Deal, suffix: str, name: str, at: int, amount: int, provisional: bool) -> Conversion:
    return Conversion(
        f"deal:{deal.deal_id}:{suffix}",
        name,
        at,
        "deal",
        amount,
        deal.currency,
        provisional,
        deal,
        path_at=at,
    )


def _movements(journey: Journey, deals: Mapping[str, Deal], config: CoreConfig) -> Iterator[Conversion]:
    """MRR movements (R26); those of a deleted deal are gone with it (R22)."""
    previous: dict[str, int] = {}
    for fact in journey.movements:
        deal = _deal_of(fact, deals)
        if _is_deleted(fact.body.get("deal_id", ""), deal, journey):
            continue
        currency = fact.body.get("currency") or (deal.currency if deal else config.default_currency)
        amount = abs(rounded(fact.body["amount"], currency, config.currency_exponents))
        movement = fact.body["movement"]
        path_at, path_after = fact.at, None
        if deal is not None:
            path_at, path_after = _path(fact, deal, previous.get(deal.deal_id), journey.touches, config)
            previous[deal.deal_id] = fact.at
        yield Conversion(
            f"recurring:{fact.fact_id}",
            "recurring",
            fact.at,
            "mrr",
            -amount if movement in NEGATIVE else amount,
            currency,
            False,
            deal,
            movement=movement,
            path_at=path_at,
            path_after=path_after,
        )


def _deal_of(fact: Fact, deals: Mapping[str, Deal]) -> Deal | None:
    """The deal a movement names, else the one of the account that was won last at or before it."""
    named = fact.body.get("deal_id")
    if named:
        return deals.get(named)
    won = [d for d in deals.values() if d.exists and d.won_at is not None and d.won_at <= fact.at]
    return max(won, key=lambda deal: (deal.won_at, deal.deal_id), default=None)


def _is_deleted(named: str, deal: Deal | None, journey: Journey) -> bool:
    """Whether a movement's deal does not exist (R22); a deal without any patch may have been deleted, too."""
    if deal is not None:
        return deal.deleted
    return any(fact.type == "deal_deleted" for fact in journey.deals.get(named, ()))


def _path(
    fact: Fact, deal: Deal, previous: int | None, touches: Sequence[Touch], config: CoreConfig
) -> tuple[int, int | None]:
    """(path_at, path_after) of a movement: its own touches if it has any, else the path of the deal's win."""
    won_at = deal.won_at if deal.won_at is not None else fact.at
    if fact.body["movement"] not in OWN_TOUCHES:
        return won_at, None
    since = previous
    if since is None:
        since = deal.won_at if deal.won_at is not None else deal.created_at
    earliest = max(since, fact.at - config.attribution.longest_lookback_ms - 1)
    first = bisect_right(touches, earliest, key=lambda touch: touch.at)
    end = bisect_right(touches, fact.at, key=lambda touch: touch.at)
    own = any(touch.type not in config.attribution.exclude_types for touch in touches[first:end])
    return (fact.at, since) if own else (won_at, None)
