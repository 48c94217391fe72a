"""From the wire to the mathematics: the one module that knows both.

A normalised event (``schemas``) becomes a touch or a fact body (``revenue_core``), its identifiers, and the
journal key of the account it belongs to.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from revenue_core.channels import ChannelTables, Evidence, classify
from revenue_core.facts import INBOUND_TYPES, Touch
from schemas.fields import bare_domain

INBOUND = frozenset(INBOUND_TYPES)
IDENTIFIERS = ("account_id", "contact_id", "anonymous_id", "domain", "lead_id", "deal_id")
OPAQUE_DIGITS = 32


def email_hash(address: str, key: bytes) -> str:
    """Keyed hash under which an address is known everywhere behind ingest (HMAC-SHA256, hex)."""
    return hmac.new(key, address.strip().lower().encode(), hashlib.sha256).hexdigest()


def identifiers(event: Mapping[str, Any], hash_key: bytes) -> dict[str, str]:
    """The identifiers an event carries, domains as they are compared (R38); of an e-mail address the keyed hash
    and the readable domain.

    An address without ``@`` is still a person, known by the hash of the whole text, but says no domain.
    """
    found = {name: event[name] for name in IDENTIFIERS if name in event}
    if "domain" in found:
        found["domain"] = bare_domain(found["domain"])
    email = event.get("email")
    if email:
        found["email_hash"] = email_hash(email, hash_key)
        _, at, host = email.strip().rpartition("@")
        domain = bare_domain(host) if at else ""
        if domain:
            found["email_domain"] = domain
    return found


def keys(kind: str, ids: Mapping[str, str], is_free: Callable[[str], bool]) -> tuple[tuple[str, ...], str]:
    """The identifiers of an event as keys, the native one first, and the domain of a company's e-mail address.

    The native key is whom the event is about: its deal (facts of the topic kind ``deals``), else whoever it names
    first. Prefixes: ``A:`` account, ``d:`` deal, ``c:`` contact, ``e:`` e-mail hash, ``a:`` visitor, ``w:`` website
    domain, ``l:`` lead. A free-mail domain names nobody (R38), unless there is nothing else.
    """
    found = [prefix + ids[name] for prefix, name in (DEAL_KEYS if kind == "deals" else KEYS) if name in ids]
    if not found:
        raise ValueError("an event without identifiers has no key")
    domain = ids.get("domain")
    if domain is not None and len(found) > 1 and is_free(domain):
        found.remove(f"w:{domain}")
    email_domain = ids.get("email_domain", "")
    return tuple(found), "" if email_domain and is_free(email_domain) else email_domain


ACCOUNT, DEAL = ("A:", "account_id"), ("d:", "deal_id")
PEOPLE = (
    ("c:", "contact_id"),
    ("e:", "email_hash"),
    ("a:", "anonymous_id"),
    ("w:", "domain"),
    ("l:", "lead_id"),
)
KEYS = (ACCOUNT, *PEOPLE, DEAL)
DEAL_KEYS = (DEAL, ACCOUNT, *PEOPLE)
HELD = "h:"


def account_id(key: str) -> str:
    """The outward account id of a journal key (R43)."""
    kind, value = key[:2], key[2:]
    if kind == "A:":
        return value
    if kind == HELD:
        return f"held:{value[2:]}"
    if kind in READABLE:
        return f"{READABLE[kind]}:{value}"
    return f"{'visitor' if kind == 'a:' else 'person'}:{opaque(key)}"


READABLE = {"d:": "deal", "w:": "domain", "l:": "lead"}


def gives_outputs(key: str) -> bool:
    """False for visitors nobody has claimed, leads without any account and what an ambiguous domain holds (R37)."""
    return key[:2] not in {"a:", "l:", HELD}


def opaque(key: str) -> str:
    """A stable name for a key that must not be read back."""
    return hashlib.sha256(key.encode()).hexdigest()[:OPAQUE_DIGITS]


def touch(event: Mapping[str, Any], tables: ChannelTables) -> Touch:
    """The touch an event of topic ``touchpoints`` describes, with its channel classified (R34, R62)."""
    get = event.get
    kind = event["type"]
    found = classify(
        Evidence(
            channel=get("channel", ""),
            type=kind,
            url=get("url", ""),
            referrer=get("referrer", ""),
            utm_source=get("utm_source", ""),
            utm_medium=get("utm_medium", ""),
            utm_campaign=get("utm_campaign", ""),
            utm_term=get("utm_term", ""),
            utm_content=get("utm_content", ""),
            click_id=get("click_id", ""),
            click_id_type=get("click_id_type", ""),
            campaign=get("campaign", ""),
            keyword=get("keyword", ""),
            content=get("content", ""),
        ),
        tables,
    )
    return Touch(
        event["occurred_at"],
        f"{event['source']}:{event['event_id']}",
        kind,
        get("direction") == "inbound" if kind == "other" else kind in INBOUND,
        found.channel,
        found.campaign,
        found.keyword,
        found.content,
        found.source,
        found.medium,
        get("contact_id", ""),
        get("rep_id", ""),
        get("team", ""),
        get("anonymous_id", ""),
        found.rule,
    )
