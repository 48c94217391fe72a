"""Keys of messages on source topics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_IDENTIFIERS = ("account_id", "deal_id", "lead_id", "contact_id", "email", "anonymous_id", "domain")
"""The most lasting first."""


def message_key(fields: Mapping[str, Any]) -> str:
    """The account of an event, else the first identifier it carries; empty when there is none, as for spend.

    Ingest re-keys everything, so this only keeps an account's events in the order they were sent in.
    """
    return next((str(fields[name]) for name in _IDENTIFIERS if fields.get(name)), "")


def names_no_account(kind: str, event: Mapping[str, Any]) -> bool:
    """Whether a fact about a deal or lead says nothing of its account.

    Until identities are linked it then stands under an id of its own, apart from the account's touches.
    """
    return "account_id" not in event and (kind == "deals" or event["type"].startswith("lead_"))


def no_account_warning(count: int) -> str:
    """What people are told of so many of them."""
    return (
        f"{count:,} deal and lead events name no account_id: they stand under ids of their own (deal:..., lead:...), "
        "apart from their account's touches. Until identities are linked, every event must name its account"
    )
