"""Costs, what came of them by first touch, and what the CRM says of it: integers that add up (R19, R52).

Metrics:

``cost`` (segment kind, channel, campaign, currency)
    facts of spending, cost in minor units, credited won amount in minor units (``revenue_sums``).
``cost`` (segment kind, channel, campaign, "")
    leads, opportunities and wins whose first touch is of the channel or of the campaign in it.
``source_disagreement`` (segment kind, segment)
    deals and leads with a CRM source; then for each of deals and leads: compared, disagreeing, without a touch.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from revenue_core.config import CoreConfig
from revenue_core.deals import Deal
from revenue_core.facts import Fact, Journey, Touch
from revenue_core.money import rounded
from revenue_core.revenue_sums import ALL, cost_metrics
from revenue_core.sums import Sums

LEADS, OPPORTUNITIES, WINS = range(3)
DEAL, LEAD = 1, 4
"""Where the counts of deals and of leads begin in ``source_disagreement``."""
CRM_SOURCE = "crm_source"


def spend_sums(bodies: Iterable[Mapping[str, Any]], config: CoreConfig) -> Sums:
    """What facts of spending add, from their normalised fields."""
    sums: dict[tuple[str, ...], list[int]] = {}
    for body in bodies:
        currency = body.get("currency") or config.default_currency
        cost = rounded(body["cost"], currency, config.currency_exponents)
        for metric in cost_metrics(body["channel"], body.get("campaign", ""), currency):
            known = sums.setdefault(metric, [0, 0, 0])
            known[0] += 1
            known[1] += cost
    return {metric: tuple(values) for metric, values in sums.items()}


def first_touch_sums(journey: Journey, deals: Mapping[str, Deal], config: CoreConfig) -> Sums:
    """An account's leads and deals by the first touch that the account had when they came about.

    That is the account's earliest touch in the lookback of the profile ``rules`` up to the instant (R19), without
    the types in ``attribution.exclude_types``; options and transforms of the paths (R36) do not touch it.
    """
    sums: dict[tuple[str, ...], list[int]] = {}
    for lead in _leads(journey):
        touch = _first_touch(journey, lead.at, config)
        _count(sums, touch, LEADS)
        _compare(sums, LEAD, lead.body.get(CRM_SOURCE, ""), touch)
    for deal in deals.values():
        if deal.exists:
            touch = _first_touch(journey, deal.created_at, config)
            _count(sums, touch, OPPORTUNITIES)
            _compare(sums, DEAL, deal.crm_source, touch)
            if deal.won_at is not None:
                _count(sums, _first_touch(journey, deal.won_at, config), WINS)
    return {metric: tuple(values) for metric, values in sums.items()}


def comparable(source: str) -> str:
    """A source as it is compared: case folded, without outer blanks, a run of blanks as one."""
    return " ".join(source.casefold().split())


def _leads(journey: Journey) -> Iterator[Fact]:
    """The earliest ``lead_created`` of each lead (R28)."""
    seen = set()
    for fact in journey.leads:
        if fact.type == "lead_created" and fact.body["lead_id"] not in seen:
            seen.add(fact.body["lead_id"])
            yield fact


def _first_touch(journey: Journey, at: int, config: CoreConfig) -> Touch | None:
    touches, attribution = journey.touches, config.attribution
    start = bisect_left(touches, at - attribution.rules.lookback_ms, key=lambda touch: touch.at)
    for index in range(start, len(touches)):
        touch = touches[index]
        if touch.at > at:
            return None
        if touch.type not in attribution.exclude_types:
            return touch
    return None


def _count(sums: dict[tuple[str, ...], list[int]], touch: Touch | None, index: int) -> None:
    if touch is not None:
        for metric in cost_metrics(touch.channel, touch.campaign, ""):
            sums.setdefault(metric, [0, 0, 0])[index] += 1


def _compare(
    sums: dict[tuple[str, ...], list[int]], first: int, crm_source: str, touch: Touch | None
) -> None:
    said = comparable(crm_source)
    if not said:
        return
    for metric in (("source_disagreement", ALL, ALL), ("source_disagreement", CRM_SOURCE, said)):
        known = sums.setdefault(metric, [0] * 7)
        known[0] += 1
        if touch is None:
            known[first + 2] += 1
        else:
            known[first] += 1
            known[first + 1] += said not in {comparable(touch.channel), comparable(touch.source)}
