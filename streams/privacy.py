"""E-mail addresses leave events where events become facts: behind that they are known by their keyed hash only."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from schemas.addresses import replaced
from streams.translate import email_hash

EMAIL = "email"


def without_addresses(event: Mapping[str, Any], key: bytes) -> Mapping[str, Any]:
    """``event`` with the hash in place of every e-mail address in any text but ``email`` itself.

    Trackers put addresses wherever there is room: into ids of people, addresses of pages, names of deals, objects of
    their own. The hash keeps what is equal equal, so that an address used as an id still joins what carries it.
    """
    changed: dict[str, Any] = {}
    for name, value in event.items():
        if name == EMAIL:
            continue
        if type(value) is str:
            if "@" in value or "%40" in value or "＠" in value:
                changed[name] = replaced(value, partial(email_hash, key=key))
        elif type(value) is list or type(value) is dict:
            changed[name] = _inside(value, key)
    return {**event, **changed} if changed else event


def _inside(value: Any, key: bytes) -> Any:
    if type(value) is str:
        return replaced(value, partial(email_hash, key=key))
    if type(value) is list:
        return [_inside(element, key) for element in value]
    if type(value) is dict:
        return {_inside(name, key): _inside(element, key) for name, element in value.items()}
    return value
