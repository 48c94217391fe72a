"""Touches, deals and conversions for the tests of attribution; days count from START."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from revenue_core.config import CoreConfig
from revenue_core.credits import credit_rows
from revenue_core.deals import Conversion, Deal, StageEntry
from revenue_core.facts import DAY_MS, Journey, Touch

START = 1_700_006_400_000  # 2023-11-15T00:00:00Z


def day(number: float) -> int:
    return START + round(number * DAY_MS)


def touch(at_day: float, channel: str = "Email", name: str = "", **fields: Any) -> Touch:
    """An inbound page view; its id is ``native:<name>``, by default after its day."""
    known = {"type": "page_view", "inbound": True}
    return Touch(day(at_day), f"native:{name or at_day}", channel=channel, **(known | fields))


def deal(deal_id: str = "d1", created: float = 0, won: float | None = None, **fields: Any) -> Deal:
    """A deal created on a day and, perhaps, won on another."""
    won_at = None if won is None else day(won)
    known: dict[str, Any] = {
        "pipeline": "default",
        "stage": "",
        "open_stage": "",
        "stage_since": day(created),
        "status": "open" if won is None else "won",
        "deleted": False,
        "amount_minor": 0,
        "currency": "EUR",
        "won_at": won_at,
        "lost_at": None,
        "won_instants": () if won_at is None else (won_at,),
        "entries": (),
        "visits": (),
        "refunded_minor": 0,
        "refunds_ignored": 0,
        "last_fact_at": day(created),
    }
    return Deal(deal_id=deal_id, created_at=day(created), **(known | fields))


def entries(**days: float) -> tuple[StageEntry, ...]:
    return tuple(StageEntry(stage, day(number)) for stage, number in days.items())


def conversion(of: Deal | None, kind: str = "won", at: float | None = None, **fields: Any) -> Conversion:
    """A conversion of a deal on a day, by default that of its win."""
    if at is None:
        assert of is not None
        assert of.won_at is not None
        instant = of.won_at
    else:
        instant = day(at)
    known: dict[str, Any] = {
        "conversion_id": f"deal:{of.deal_id}:{kind}" if of else f"lead:l1:{kind}",
        "measure": "deal" if of else "count",
        "amount_minor": 0,
        "currency": "EUR",
        "provisional": False,
        "path_at": instant,
    }
    return Conversion(conversion=kind, at=instant, deal=of, **(known | fields))


def movement(of: Deal | None, kind: str, at: float, **fields: Any) -> Conversion:
    """A movement of recurring revenue; its path is set by ``path_at`` and ``path_after``."""
    known = {"conversion_id": f"recurring:native:{kind}", "measure": "mrr", "movement": kind}
    return conversion(of, "recurring", at, **(known | fields))


def credits(
    touches: Iterable[Touch],
    converted: Conversion,
    *,
    deals: Iterable[Deal] = (),
    lead: float | None = None,
    config: CoreConfig | None = None,
) -> list[dict[str, Any]]:
    """The rows of one conversion of the account ``acme``."""
    known = {each.deal_id: each for each in (*deals, *([converted.deal] if converted.deal else []))}
    journey = Journey("acme", touches=sorted(touches))
    first_lead_at = None if lead is None else day(lead)
    return list(credit_rows(journey, known, [converted], first_lead_at, config or CoreConfig()).values())
