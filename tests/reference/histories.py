"""Random histories with everything that the reference knows, dense in ties, retries and second cycles."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.builders import Event

START_MS = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR

_hours = st.sampled_from([0, 1, 2, 24, 24, 25, 48, 7 * 24, 28 * 24, 29 * 24, 30 * 24]) | st.integers(
    0, 90 * 24
)
_steps = st.tuples(st.integers(0, 5), _hours, st.sampled_from([0, 0, 0, 0, 1, -1]))
instants = _steps.map(lambda step: START_MS + step[0] * 90 * DAY + step[1] * HOUR + step[2])
"""Five quarters: longer than the lookback; round hours, so that many are equal, and their neighbours."""

accounts = st.sampled_from(["acme", "acme", "acme", "Globex AG", "zürich"])
sources = st.sampled_from([None, None, None, "crm", "web-1"])
ids = st.integers(0, 60).map(lambda n: f"e{n}") | st.integers(0, 9)
amounts = st.sampled_from(
    ["0", "100", "99.99", "12000.01", "0.005", "0.015", "7", 1234.5, 10, "-3.335", "1e3"]
)
positive = amounts.filter(lambda amount: not str(amount).startswith("-"))
currencies = st.sampled_from(["EUR", "usd", "JPY", "KWD"])
stages = st.sampled_from(
    ["lead_capture", "qualification", "meeting_scheduled", "contract_sent", "closed", "closedlost", "closedwon",
     "qualifiedtobuy", "contractsent"]
)  # fmt: skip
lead_ids = st.sampled_from(["L1", "L2", "L3"])
deal_ids = st.sampled_from(["D1", "D2", "D3"])


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _event(kind: str, **fields: Any) -> st.SearchStrategy[Event]:
    common = {"event_id": ids, "source": sources, "occurred_at": instants, "account_id": accounts}
    return st.fixed_dictionaries({**common, **fields}).map(lambda message: (kind, _of_account(message)))


def _of_account(message: dict[str, Any]) -> dict[str, Any]:
    """Leads and deals are of one account, and so are movements, whose conversions carry no account (R51)."""
    account = message["account_id"]
    named = {name: f"{account}-{message[name]}" for name in ("lead_id", "deal_id") if message.get(name)}
    if message.get("lead_ids"):
        named["lead_ids"] = [f"{account}-{lead_id}" for lead_id in message["lead_ids"]]
    if message["type"] == "mrr_movement":
        named["event_id"] = f"{account}-{message['event_id']}"
    return {name: value for name, value in {**message, **named}.items() if value is not None}


def _given(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None}


_contacts = _maybe(st.sampled_from(["c1", "c2", "c3", 4]))
_touch_fields = {
    "channel": _maybe(st.sampled_from(["Direct", "Email", "Paid Search", "direct", "Ours"])),
    "campaign": _maybe(st.sampled_from(["spring", "Q2 & more", "50%|off"])),
    "contact_id": _contacts,
    "rep_id": _maybe(st.just("r1")),
    "team": _maybe(st.sampled_from(["marketing", "sales"])),
}
plain_touches = _event(
    "touchpoints",
    type=st.sampled_from(
        ["page_view", "ad_click", "ad_impression", "email_open", "email_click", "email_reply", "call_answered",
         "meeting", "form_submit", "demo_request", "webinar", "download", "chat", "event_attended", "email_sent",
         "call_attempt", "message_sent"]
    ),
    **_touch_fields,
)  # fmt: skip
other_touches = _event(
    "touchpoints", type=st.just("other"), direction=st.sampled_from(["inbound", "outbound"]), **_touch_fields
)
utm_touches = _event(
    "touchpoints",
    type=st.sampled_from(["page_view", "demo_request"]),
    utm=st.sampled_from([("google", "cpc"), ("news", "email")]),
    utm_campaign=_maybe(st.just("brand")),
    utm_term=_maybe(st.just("crm")),
    utm_content=_maybe(st.just("b")),
).map(lambda event: (event[0], _with_utm(**event[1])))


def _with_utm(utm: tuple[str, str], **message: Any) -> dict[str, Any]:
    return {**message, "utm_source": utm[0], "utm_medium": utm[1]}


outreach = _event(
    "touchpoints", type=st.sampled_from(["email_sent", "call_attempt"]), rep_id=_maybe(st.just("r2"))
)
hot = _event("touchpoints", type=st.sampled_from(["meeting", "demo_request", "email_reply", "form_submit"]))
crm_sources = _maybe(st.sampled_from(["Email", " paid  SEARCH ", "google", "Trade show", "direct"]))
spends = st.fixed_dictionaries({
    "event_id": ids, "source": sources, "occurred_at": instants, "type": st.just("spend"),
    "channel": st.sampled_from(["Email", "Paid Search", "Ours"]), "campaign": _touch_fields["campaign"],
    "cost": positive, "currency": _maybe(currencies),
}).map(lambda message: ("touchpoints", _given(message)))  # fmt: skip
lead_facts = st.one_of(
    _event(
        "leads",
        type=st.just("lead_created"),
        lead_id=lead_ids,
        contact_id=_contacts,
        crm_source=crm_sources,
    ),
    _event("leads", type=st.just("lead_qualified"), lead_id=lead_ids, level=st.sampled_from(["mql", "sql"])),
    _event("leads", type=st.just("lead_disqualified"), lead_id=lead_ids, reason=_maybe(st.just("budget"))),
    _event("leads", type=st.just("lead_feedback"), lead_id=lead_ids, accepted=_maybe(st.booleans())),
)
patches = _event(
    "deals",
    type=st.just("deal_updated"),
    deal_id=deal_ids,
    pipeline=st.sampled_from([None, None, None, "default", "hubspot"]),
    stage=_maybe(stages),
    status=st.sampled_from([None, None, "open", "won", "lost"]),
    amount=_maybe(positive),
    currency=_maybe(currencies),
    lead_ids=_maybe(st.lists(lead_ids, max_size=2)),
    name=_maybe(st.just("Grüße")),
    crm_source=crm_sources,
).map(lambda event: (event[0], _in_its_pipeline(**event[1])))


def _in_its_pipeline(**message: Any) -> dict[str, Any]:
    """A patch that names both names a stage of the pipeline (R27)."""
    stage, pipeline = message.get("stage"), message.get("pipeline")
    if stage is not None and pipeline is not None:
        of_hubspot = stage in ("closedlost", "closedwon", "qualifiedtobuy", "contractsent")
        message["pipeline"] = "hubspot" if of_hubspot else "default"
    return message


wins = _event(
    "deals", type=st.just("deal_updated"), deal_id=deal_ids, status=st.just("won"), amount=_maybe(positive)
)
money_facts = st.one_of(
    _event("deals", type=st.just("refund"), deal_id=deal_ids, amount=positive, currency=_maybe(currencies)),
    _event(
        "deals",
        type=st.just("mrr_movement"),
        deal_id=_maybe(deal_ids),
        movement=st.sampled_from(["new", "expansion", "contraction", "churn", "reactivation"]),
        amount=amounts,
        currency=_maybe(currencies),
    ),
)
deletions = _event("deals", type=st.just("deal_deleted"), deal_id=deal_ids)
events = st.one_of(
    plain_touches, plain_touches, other_touches, utm_touches, outreach, hot, hot, lead_facts, patches, patches,
    wins, money_facts, money_facts, deletions, spends,
)  # fmt: skip


@st.composite
def courtships(draw: st.DrawFn) -> list[Event]:
    """One account warms up within days, then is written to, and perhaps answers."""
    account, at = draw(accounts), draw(instants)
    found = []
    for days, kind in [
        *((day, draw(st.sampled_from(["meeting", "form_submit", "chat"]))) for day in (0, 0, 1)),
        *((draw(st.integers(2, 40)), "email_sent") for _ in range(draw(st.integers(0, 4)))),
        *((draw(st.integers(10, 90)), "demo_request") for _ in range(draw(st.integers(0, 2)))),
        *((draw(st.integers(10, 90)), "form_submit") for _ in range(draw(st.integers(0, 3)))),
    ]:
        message = {"event_id": f"c{at}-{len(found)}", "type": kind, "account_id": account}
        found.append(("touchpoints", {**message, "occurred_at": at + days * DAY}))
    return found


_retry_after = st.sampled_from([0, 0, 1, HOUR, DAY - 1, DAY, DAY + 1, 2 * DAY])


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Some events, and some of them again: as they were, a little later, or more than a day later (R02)."""
    found = draw(st.lists(events, min_size=draw(st.sampled_from([1, 20, 45])), max_size=60))
    for courtship in draw(st.lists(courtships(), max_size=2)):
        found += courtship
    found = draw(st.permutations(found))
    for kind, message in draw(st.lists(st.sampled_from(found), max_size=6)):
        again = {**message, "occurred_at": message["occurred_at"] + draw(_retry_after)}
        found.insert(draw(st.integers(0, len(found))), (kind, again))
    return found
