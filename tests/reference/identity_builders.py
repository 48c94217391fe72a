"""Messages for worked examples of identity, and what the reference says of them."""

from __future__ import annotations

from typing import Any

from tests.reference import identity_random
from tests.reference.identity import Answer, Message, Place, resolve
from tests.reference.identity_links import DAY, Config

FOREVER = 10_000 * DAY
A1, A2, A3 = (("account", name) for name in ("A1", "A2", "A3"))
C1: Place = ("person", "c:c1")
ACME: Place = ("domain", "acme.com")
FIELDS = {
    "A": "account_id", "c": "contact_id", "e": "email", "a": "anonymous_id", "w": "domain", "l": "lead_id",
    "d": "deal_id",
}  # fmt: skip


def fact(topic: str, kind: str, day: float, ids: str, event_id: str = "", **fields: Any) -> Message:
    """A message; ``ids`` are kinds with values, such as ``a:v1 c:c1``."""
    named = dict(each.split(":") for each in ids.split())
    found = {FIELDS[short]: value for short, value in named.items()}
    content = {"type": kind, "occurred_at": round(day * DAY), "source": "native", **found, **fields}
    # an id of its own, whatever the order of arrival
    return topic, {"event_id": event_id or f"{kind} {day} {ids} {sorted(fields.items())}", **content}


def touch(day: float, ids: str, event_id: str = "", **fields: Any) -> Message:
    return fact("touchpoints", "page_view", day, ids, event_id, **fields)


def lead(day: float, ids: str, event_id: str = "") -> Message:
    return fact("leads", "lead_feedback", day, ids, event_id)


def deal(day: float, ids: str, event_id: str = "") -> Message:
    return fact("deals", "deal_updated", day, ids, event_id)


def known(day: float, ids: str, event_id: str = "", **fields: Any) -> Message:
    return fact("leads", "contact_identified", day, ids, event_id, **fields)


def claim(day: float, account: str, *domains: str) -> Message:
    return fact("leads", "account_updated", day, f"A:{account}", domains=list(domains))


def merge(day: float, account: str, into: str, event_id: str = "") -> Message:
    return fact("leads", "account_merged", day, f"A:{account}", event_id, into_account_id=into)


def unmerge(day: float, account: str) -> Message:
    return fact("leads", "account_unmerged", day, f"A:{account}")


def erase(day: float, ids: str) -> Message:
    return fact("leads", "person_erased", day, ids)


def answer(*messages: Message, max_links: int = 10, ttl: int = FOREVER) -> Answer:
    return resolve(messages, Config(max_links, ttl, identity_random.is_free))


def place(asked: Message, *others: Message, max_links: int = 10, ttl: int = FOREVER) -> Place:
    """Whose a message is, among others."""
    return answer(asked, *others, max_links=max_links, ttl=ttl).messages[0]
