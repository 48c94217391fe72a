"""Random histories: a few accounts with everything that can happen to them, in a narrow time."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.builders import Event

START_MS = 1_790_000_000_000
HOUR = 3_600_000
DAYS = 110

accounts = st.sampled_from(["acme", "globex"])
instants = st.integers(0, DAYS * 24).map(lambda hours: START_MS + hours * HOUR)
ids = st.integers(0, 25).map(lambda n: f"e{n}")
amounts = st.sampled_from(["0", "100", "99.99", "12000.00", "0.005", "7"])
currencies = st.sampled_from(["EUR", "USD", "JPY"])

touch_types = st.sampled_from(
    ["page_view", "ad_click", "ad_impression", "email_open", "email_reply", "demo_request", "meeting", "email_sent",
     "call_attempt", "form_submit"]
)  # fmt: skip
channels = st.sampled_from(["Direct", "Email", "Paid Search", "Organic Search"])
stages = st.sampled_from(
    [
        "lead_capture",
        "qualification",
        "meeting_scheduled",
        "contract_sent",
        "closed",
        "closedlost",
        "qualifiedtobuy",
    ]
)


def _event(kind: str, **fields: Any) -> st.SearchStrategy[Event]:
    """An event of topic ``kind``; optional fields are None when left out."""
    return st.fixed_dictionaries(
        {"event_id": ids, "occurred_at": instants, "account_id": accounts, **fields}
    ).map(lambda message: (kind, _of_account(message)))


def _of_account(message: dict[str, Any]) -> dict[str, Any]:
    """Leads and deals are of one account: their ids carry its name."""
    account = message["account_id"]
    named = {name: f"{account}-{message[name]}" for name in ("lead_id", "deal_id") if message.get(name)}
    if message.get("lead_ids"):
        named["lead_ids"] = [f"{account}-{lead_id}" for lead_id in message["lead_ids"]]
    if message["type"] == "mrr_movement":  # its conversion id carries no account (R51)
        named["event_id"] = f"{account}-{message['event_id']}"
    return {name: value for name, value in {**message, **named}.items() if value is not None}


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


touches = _event(
    "touchpoints", type=touch_types, channel=channels, contact_id=_maybe(st.sampled_from(["c1", "c2"])),
)  # fmt: skip
lead_ids = st.sampled_from(["L1", "L2"])
lead_facts = st.one_of(
    _event("leads", type=st.just("lead_created"), lead_id=lead_ids),
    _event("leads", type=st.just("lead_qualified"), lead_id=lead_ids, level=st.sampled_from(["mql", "sql"])),
    _event("leads", type=st.just("lead_disqualified"), lead_id=lead_ids),
)
deal_ids = st.sampled_from(["D1", "D2"])
patches = _event(
    "deals",
    type=st.just("deal_updated"),
    deal_id=deal_ids,
    stage=_maybe(stages),
    status=_maybe(st.sampled_from(["open", "won", "lost"])),
    amount=_maybe(amounts),
    currency=_maybe(currencies),
    lead_ids=_maybe(st.lists(lead_ids, max_size=1)),
)
deal_facts = st.one_of(
    patches,
    patches,
    _event("deals", type=st.just("deal_deleted"), deal_id=deal_ids),
    _event("deals", type=st.just("refund"), deal_id=deal_ids, amount=amounts, currency=_maybe(currencies)),
    _event(
        "deals",
        type=st.just("mrr_movement"),
        deal_id=_maybe(deal_ids),
        movement=st.sampled_from(["new", "expansion", "contraction", "churn", "reactivation"]),
        amount=amounts,
    ),
)
spends = st.fixed_dictionaries({
    "event_id": ids, "occurred_at": instants, "type": st.just("spend"), "channel": channels, "cost": amounts,
}).map(lambda message: ("touchpoints", message))  # fmt: skip
histories = st.lists(
    st.one_of(touches, touches, touches, lead_facts, deal_facts, deal_facts, spends), min_size=1, max_size=40
)
