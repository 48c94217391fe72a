"""Accounts whose explanations are tested, and what to look up in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from revenue_core.attribution.workings import Working
from revenue_core.config import AttributionConfig, CoreConfig, CustomModel, PathProfile
from revenue_core.explain import ConversionView, Explanation, explain_account
from revenue_core.facts import DAY_MS
from revenue_core.journey import State
from streams import codec, translate
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from tests import builders

START = 1_772_323_200_000  # 2026-03-01T00:00:00Z
DECAYED = {"time_decay", "time_decay_long"}
VARIED = CoreConfig(
    attribution=AttributionConfig(
        rules=PathProfile(60 * DAY_MS, direct="inherit_7d", transform="unique"),
        data_driven=PathProfile(20 * DAY_MS, direct="drop_if_not_all", transform="first"),
        half_life_ms=3 * DAY_MS,
        custom=(
            CustomModel("early", {"first_touch": "62.5", "stage:qualification": "12.5", "middle": "25"}),
            CustomModel("middle", {"middle": "100"}),
        ),
        exclude_types=frozenset({"ad_impression"}),
        path_cap=4,
    ),
    currency_exponents=builders.config().currency_exponents,
)


def accounts(events: Iterable[builders.Event]) -> dict[str, State]:
    """account_id -> stored state after these events, by the service's own way."""
    made = builders.service()
    log = MemoryLog()
    executor = MemoryExecutor(made.agents, log, lambda: made.ingest.latest, followers=made.followers)
    for kind, message in events:
        log.append(kind, None, orjson.dumps(message), made.ingest.latest)
        executor.drain()
    table = executor.tables["journey", 0]
    names = [(key.decode(), raw) for key, raw in table.items() if key[:1] != b"\0"]
    found = {key: translate.account_id(key) for key, _ in names}
    return {found[key]: codec.read(key, found[key], raw, table.get) for key, raw in names}


def at(day: float) -> int:
    return START + round(day * DAY_MS)


def event(kind: str, day: float, type_: str, **fields: Any) -> builders.Event:
    known = {"event_id": f"{type_}-{day}", "account_id": "acme", "type": type_, "occurred_at": at(day)}
    return kind, known | fields


def touch(day: float, type_: str = "page_view", **fields: Any) -> builders.Event:
    return event("touchpoints", day, type_, event_id=f"t{day}", **fields)


def deal(day: float, **fields: Any) -> builders.Event:
    return event("deals", day, "deal_updated", **{"deal_id": "D1", "event_id": f"d{day}", **fields})


WORKED = [
    touch(0, url="https://acme.com/?utm_source=google&utm_medium=cpc&utm_campaign=spring"),
    deal(0, amount="12000", stage="lead_capture"),
    touch(5, "form_submit", contact_id="c1"),
    event("leads", 5, "lead_created", lead_id="L1"),
    touch(12, "email_click"),
    touch(30, "meeting"),
    touch(38, "email_reply"),
    deal(38, status="won", lead_ids=["L1"]),
]


def explained(
    events: Iterable[builders.Event], *, account: str = "acme", now: int = 0, config: CoreConfig | None = None
) -> Explanation:
    return explain_account(accounts(events)[account].account, config or builders.config(), now)


def conversion(explanation: Explanation, conversion_id: str) -> ConversionView:
    return {each.conversion_id: each for each in explanation.conversions}[conversion_id]


def model(explanation: Explanation, conversion_id: str, name: str) -> Working:
    return {each.model: each for each in conversion(explanation, conversion_id).models}[name]


def amounts(working: Working) -> list[int]:
    return [part.amount_minor for part in working.parts]
