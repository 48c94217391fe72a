"""Random histories of people: visitors, contacts and addresses that turn out to belong to accounts, or to others."""

from __future__ import annotations

from random import Random
from typing import Any

ACCOUNTS = ("A1", "A2", "A3")
CONTACTS = ("c1", "c2", "c3", "c4")
ADDRESSES = ("ann@one.com", "bob@one.com", "cat@two.com", "dan@gmail.com")
VISITORS = ("v1", "v2", "v3")
DOMAINS = ("one.com", "two.com", "three.com")
DEALS = ("D1", "D2", "D3")

CARRIED = {
    "touchpoints": (
        ("anonymous_id",), ("anonymous_id",), ("anonymous_id", "domain"), ("anonymous_id", "contact_id"),
        ("anonymous_id", "email"), ("contact_id",), ("contact_id", "email"), ("email",), ("contact_id", "account_id"),
        ("account_id",), ("domain",), ("contact_id", "domain"), ("anonymous_id", "account_id"),
    ),
    "leads": (
        ("lead_id",), ("lead_id", "contact_id"), ("lead_id", "email"), ("lead_id", "account_id"),
        ("lead_id", "anonymous_id"),
    ),
    "deals": (
        ("deal_id",), ("deal_id",), ("deal_id", "account_id"), ("deal_id", "account_id"), ("deal_id", "contact_id"),
        ("deal_id", "email"), ("deal_id", "domain"),
    ),
}  # fmt: skip
"""Topic kind -> which identifiers a message may carry together."""
VALUES = {
    "anonymous_id": VISITORS, "contact_id": CONTACTS, "email": ADDRESSES, "account_id": ACCOUNTS, "domain": DOMAINS,
    "lead_id": ("",), "deal_id": DEALS,
}  # fmt: skip
IDENTIFIED = (
    ("anonymous_id", "contact_id"), ("anonymous_id", "email"), ("contact_id", "email"), ("contact_id", "account_id"),
    ("email", "account_id"), ("anonymous_id", "contact_id", "email", "account_id"), ("account_id", "domain"),
)  # fmt: skip


def carried(random: Random, kind: str, message: dict[str, Any], number: int) -> dict[str, Any]:
    """A message with other identifiers than it was made with.

    A lead is told of once and in one way: conversion ids of leads carry no account, so two accounts with events of
    one kind about one lead would write the same rows.
    """
    for name in VALUES:
        message.pop(name, None)
    found = _ids(random, random.choice(CARRIED[kind]))
    if kind == "leads":
        found["lead_id"] = f"L{number}"
    return message | found


def told(random: Random) -> dict[str, Any]:
    """What a message of the topic ``leads`` says of identities, without id and instant."""
    kinds = ("contact_identified", "account_updated", "account_merged", "account_unmerged", "person_erased")
    kind = random.choices(kinds, (10, 2, 3, 1, 1))[0]
    if kind == "contact_identified":
        return {"type": kind, **_ids(random, random.choice(IDENTIFIED))}
    if kind == "account_updated":
        domains = random.sample(DOMAINS, random.randint(1, 2))
        return {"type": kind, "account_id": random.choice(ACCOUNTS), "domains": domains}
    if kind == "account_merged":
        return {
            "type": kind,
            "account_id": random.choice(ACCOUNTS),
            "into_account_id": random.choice(ACCOUNTS),
        }
    if kind == "account_unmerged":
        return {"type": kind, "account_id": random.choice(ACCOUNTS)}
    return {"type": kind, **_ids(random, (random.choice(("contact_id", "email", "anonymous_id")),))}


def _ids(random: Random, names: tuple[str, ...]) -> dict[str, str]:
    return {name: random.choice(VALUES[name]) for name in names}
