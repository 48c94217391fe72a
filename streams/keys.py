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
