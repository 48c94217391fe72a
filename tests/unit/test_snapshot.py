"""The account's snapshot row (R35, R52)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from revenue_core.deals import Deal
from revenue_core.facts import DAY_MS, Touch
from revenue_core.snapshot import account_phase, snapshot_row
from revenue_core.temperature import WARM, Temperature
from tests.deal_facts import OPEN_DEAL, START

FIRST = Touch(START, "native:e1", "page_view", True, "Organic Search")
LAST = Touch(START + DAY_MS, "native:e2", "meeting", True, "Sales Outreach")


def row(*deals: Deal, **changes: Any) -> dict[str, Any] | None:
    known: dict[str, Any] = {
        "first_touch": FIRST,
        "last_touch": LAST,
        "touches": 2,
        "contacts": 1,
        "has_lead": False,
        "temperature": Temperature(phase=WARM, energy=8.5, at=LAST.at, peak=8.5, inbound=2, days=2),
    }
    return snapshot_row("acme", deals={deal.deal_id: deal for deal in deals}, **(known | changes))


def test_the_row_has_the_columns_of_the_contract_in_order() -> None:
    found = row(
        OPEN_DEAL,
        replace(OPEN_DEAL, deal_id="d2", status="won"),
        replace(OPEN_DEAL, deal_id="d3", deleted=True),
    )
    assert found is not None
    assert list(found.items()) == [
        ("account_id", "acme"),
        ("phase", "decision"),
        ("temperature", "warm"),
        ("energy", 8.5),
        ("first_touch_at", "2023-11-15T00:00:00.000Z"),
        ("first_touch_at_ms", START),
        ("first_touch_channel", "Organic Search"),
        ("last_touch_at", "2023-11-16T00:00:00.000Z"),
        ("last_touch_at_ms", START + DAY_MS),
        ("last_touch_channel", "Sales Outreach"),
        ("touches", 2),
        ("contacts", 1),
        ("open_deals", 1),
        ("won_deals", 1),
    ]


def test_without_touches_times_are_absent_and_texts_empty() -> None:
    found = row(OPEN_DEAL, first_touch=None, last_touch=None, touches=0, temperature=Temperature())
    assert found is not None
    assert "first_touch_at" not in found
    assert "last_touch_at_ms" not in found
    assert (found["first_touch_channel"], found["last_touch_channel"]) == ("", "")
    assert (found["temperature"], found["energy"]) == ("new", 0.0)


def test_an_account_without_touch_lead_or_existing_deal_has_no_row() -> None:
    nothing: dict[str, Any] = {"first_touch": None, "last_touch": None, "touches": 0}
    assert row(replace(OPEN_DEAL, deleted=True), **nothing) is None
    assert row(**nothing, has_lead=True) is not None
    assert row(OPEN_DEAL, **nothing) is not None
    assert row() is not None


def test_the_phase_follows_leads_and_deals() -> None:
    assert account_phase(False, 0, 0) == "awareness"
    assert account_phase(True, 0, 0) == "consideration"
    assert account_phase(True, 1, 1) == "decision"
    assert account_phase(True, 0, 1) == "customer"


def test_lost_deals_leave_the_phase_to_the_leads() -> None:
    lost = replace(OPEN_DEAL, status="lost")
    assert [found["phase"] for found in (row(lost), row(lost, has_lead=True)) if found] == [
        "awareness",
        "consideration",
    ]
