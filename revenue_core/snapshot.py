"""The row of ``account-journeys``: where an account stands, for writing back to a CRM (R35, R52)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from revenue_core.deals import Deal
from revenue_core.facts import Touch
from revenue_core.instants import iso_z
from revenue_core.temperature import Temperature


def account_phase(has_lead: bool, open_deals: int, won_deals: int) -> str:
    """``decision`` | ``customer`` | ``consideration`` | ``awareness`` (R35).

    An account whose deals are all lost stands where its leads put it.
    """
    if open_deals:
        return "decision"
    if won_deals:
        return "customer"
    return "consideration" if has_lead else "awareness"


def snapshot_row(
    account_id: str,
    *,
    first_touch: Touch | None,
    last_touch: Touch | None,
    touches: int,
    contacts: int,
    deals: Mapping[str, Deal],
    has_lead: bool,
    temperature: Temperature,
) -> dict[str, Any] | None:
    """The row without ``version`` and ``is_deleted``; None for an account without touch, lead or deal.

    ``touches`` counts all touches, ``contacts`` the distinct contacts on touches and leads. The cost does not
    depend on the length of the journey.
    """
    existing = [deal for deal in deals.values() if deal.exists]
    if first_touch is None and not has_lead and not existing:
        return None
    open_deals = sum(deal.status == "open" for deal in existing)
    won_deals = sum(deal.status == "won" for deal in existing)
    row: dict[str, Any] = {
        "account_id": account_id,
        "phase": account_phase(has_lead, open_deals, won_deals),
        "temperature": temperature.name,
        "energy": temperature.energy,
    }
    for which, touch in (("first", first_touch), ("last", last_touch)):
        if touch is not None:
            row[f"{which}_touch_at"] = iso_z(touch.at)
            row[f"{which}_touch_at_ms"] = touch.at
        row[f"{which}_touch_channel"] = touch.channel if touch is not None else ""
    row["touches"] = touches
    row["contacts"] = contacts
    row["open_deals"] = open_deals
    row["won_deals"] = won_deals
    return row
