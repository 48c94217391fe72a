"""The alert set of an account: cooled, rewarmed, stuck_deal, follow_up_missed (R46 to R50, R56).

The set is a pure function of the facts and of the instant up to which timers have fired. Whoever emits
compares it with the set emitted before: what is gone is retracted, what is new raised.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from revenue_core.config import CoreConfig
from revenue_core.deal_fold import find_stage, fold_deal
from revenue_core.deals import Deal, Visit
from revenue_core.facts import DAY_MS, Journey, Touch
from revenue_core.follow_up import FollowUp, Missed, follow_up_pass
from revenue_core.instants import iso_z
from revenue_core.temperature import Cooled, Rewarmed, Temperature, temperature_pass

ExpectedValueAt: TypeAlias = Callable[[Deal, int], int]
"""An open deal folded up to an instant, and that instant (ms) -> expected value in minor units."""

DEFAULT_STUCK_DAYS = 30.0

_when = itemgetter(0)  # Touch.at


class Alerts(NamedTuple):
    """What a full pass finds."""

    temperature: Temperature
    follow_up: FollowUp
    rows: dict[str, dict[str, Any]]
    """``alert_id`` -> row, by (``at_ms``, ``alert_id``) (R60)."""


class AtRisk(NamedTuple):
    """The open deals of an account as of an instant (R49)."""

    open_deals: int
    amount_minor: int
    expected_value_minor: int
    currency: str
    """That of the largest sum; the default without open deals."""
    left_out: int
    """Open deals in other currencies, in ``open_deals`` but not in the sums."""


class _Silence(NamedTuple):
    """What the touches up to an instant say."""

    last_inbound: Touch | None
    unanswered: int


def alerts(
    journey: Journey,
    deals: Mapping[str, Deal],
    config: CoreConfig,
    now: int,
    expected_value_at: ExpectedValueAt,
) -> Alerts:
    """Every alert of the account whose instant is at or before ``now``, and the states for the short way.

    ``deals`` are the account's deals folded up to ``now``, deleted ones included. ``now`` (ms) is at or after
    every fact of the account; timers due at or before it have fired. Rows lack ``detected_at``, ``late``,
    ``version`` and ``status``. A touch at or before the latest ``at_ms`` of the rows may change their content
    even when both states accept it: it needs a full pass.
    """
    wins = won_instants(deals)
    state, events = temperature_pass(journey.touches, wins, config.temperature, now)
    waiting, missed = follow_up_pass(journey.touches, config.temperature, now)
    table = _Table(journey, deals, wins, config, expected_value_at)
    rows = [table.temperature_row(event) for event in events]
    rows += [table.follow_up_row(each) for each in missed]
    rows += [table.stuck_row(deal, at) for deal in deals.values() for at in _stuck(deal, config, now)]
    rows.sort(key=itemgetter("at_ms", "alert_id"))
    return Alerts(state, waiting, {row["alert_id"]: row for row in rows})


def won_instants(deals: Mapping[str, Deal]) -> list[int]:
    """Every transition into won of the deals that exist, ascending (R46)."""
    return sorted(at for deal in deals.values() if deal.exists for at in deal.won_instants)


def deal_due(deals: Mapping[str, Deal], config: CoreConfig, now: int) -> int | None:
    """Earliest instant after ``now`` (ms) at which a deal becomes stuck if nothing happens, or None."""
    limits = [
        at
        for deal in deals.values()
        if deal.exists
        for visit in deal.visits
        if visit.end is None and (at := visit.start + _limit(deal, visit, config)) > now
    ]
    return min(limits, default=None)


def at_risk(
    journey: Journey,
    deals: Mapping[str, Deal],
    config: CoreConfig,
    at: int,
    expected_value_at: ExpectedValueAt,
) -> AtRisk:
    """The account's open deals folded up to ``at`` (ms). ``deals`` are later folds of the same facts.

    Sums are compared in minor units as they stand, nothing is converted (R59); a tie goes to the currency
    code that sorts first.
    """
    by_currency: dict[str, list[Deal]] = {}
    for deal in _open_at(journey, deals, config, at):
        by_currency.setdefault(deal.currency, []).append(deal)
    if not by_currency:
        return AtRisk(0, 0, 0, config.default_currency, 0)
    sums = {code: sum(deal.amount_minor for deal in group) for code, group in by_currency.items()}
    currency = min(sums, key=lambda code: (-sums[code], code))
    count = sum(len(group) for group in by_currency.values())
    counted = by_currency[currency]
    value = sum(expected_value_at(deal, at) for deal in counted)
    return AtRisk(count, sums[currency], value, currency, count - len(counted))


def _open_at(journey: Journey, deals: Mapping[str, Deal], config: CoreConfig, at: int) -> Iterator[Deal]:
    for deal_id, facts in journey.deals.items():
        deal = deals.get(deal_id)
        if deal is None or deal.last_fact_at > at:
            deal = fold_deal(deal_id, facts, config, as_of=at)
        if deal is not None and deal.exists and deal.status == "open":
            yield deal


def _limit(deal: Deal, visit: Visit, config: CoreConfig) -> int:
    stage = find_stage(config, deal.pipeline, visit.stage)
    return round((stage.stuck_days if stage else DEFAULT_STUCK_DAYS) * DAY_MS)


def _stuck(deal: Deal, config: CoreConfig, now: int) -> Iterator[int]:
    """Instants at which the deal had stayed for the limit and stayed on (R50)."""
    if not deal.exists:
        return
    for visit in deal.visits:
        at = visit.start + _limit(deal, visit, config)
        if at <= now and (visit.end is None or visit.end > at):
            yield at


def _silence(touches: Sequence[Touch], wins: Sequence[int], config: CoreConfig, at: int) -> _Silence:
    """The last inbound touch of weight above 0 at or before ``at``, and the outbound ones after it.

    A win forgets the outbound touches before it (R47), not the inbound one.
    """
    index = bisect_right(touches, at, key=_when)
    past_wins = bisect_right(wins, at)
    last_win = wins[past_wins - 1] if past_wins else -1
    weights = config.temperature.weights
    unanswered = 0
    while index:
        index -= 1
        touch = touches[index]
        if not touch.inbound:
            unanswered += touch.at > last_win
        elif weights.get(touch.type, 0.0) > 0:
            return _Silence(touch, unanswered)
    return _Silence(None, unanswered)


class _Table(NamedTuple):
    """Rows in the contract's columns, for one account."""

    journey: Journey
    deals: Mapping[str, Deal]
    wins: Sequence[int]
    config: CoreConfig
    expected_value_at: ExpectedValueAt

    def temperature_row(self, event: Cooled | Rewarmed) -> dict[str, Any]:
        kind = "cooled" if isinstance(event, Cooled) else "rewarmed"
        alert_id = f"{self.journey.account_id}:{kind}:{event.at}"
        return self._row(alert_id, kind, event.at, event=event)

    def follow_up_row(self, missed: Missed) -> dict[str, Any]:
        alert_id = f"{self.journey.account_id}:follow_up_missed:{missed.touch.touch_id}"
        return self._row(alert_id, "follow_up_missed", missed.at)

    def stuck_row(self, deal: Deal, at: int) -> dict[str, Any]:
        return self._row(f"{deal.deal_id}:stuck_deal:{at}", "stuck_deal", at, deal_id=deal.deal_id)

    def _row(
        self, alert_id: str, kind: str, at: int, *, deal_id: str = "", event: Cooled | Rewarmed | None = None
    ) -> dict[str, Any]:
        """Columns that belong to another kind take no value: texts are empty, numbers left out (R62)."""
        silence = _silence(self.journey.touches, self.wins, self.config, at)
        last = silence.last_inbound
        reviver = event.climb[0].touch if isinstance(event, Rewarmed) else None
        risk = at_risk(self.journey, self.deals, self.config, at, self.expected_value_at)
        row: dict[str, Any] = {
            "alert_id": alert_id,
            "account_id": self.journey.account_id,
            "deal_id": deal_id,
            "kind": kind,
            "at": iso_z(at),
            "at_ms": at,
            "reason": event.reason if event else "",
            "last_touch_id": last.touch_id if last else "",
            "last_touch_channel": last.channel if last else "",
            "unanswered": event.unanswered if event else silence.unanswered,
        }
        if last:
            row["days_silent"] = (at - last.at) // DAY_MS
        row["reviver_touch_id"] = reviver.touch_id if reviver else ""
        row["reviver_channel"] = reviver.channel if reviver else ""
        row["reviver_campaign"] = reviver.campaign if reviver else ""
        if isinstance(event, Rewarmed):
            row["days_cold"] = (at - event.cooled_at) // DAY_MS
        row["open_deals"] = risk.open_deals
        row["amount_at_risk_minor"] = risk.amount_minor
        row["expected_value_at_risk_minor"] = risk.expected_value_minor
        row["currency"] = risk.currency
        return row
