"""Who a tracker's user id is: the one place that tells an e-mail address from an id.

Sites use either as the user id. An address is an ``email`` and nothing else: as a ``contact_id`` it would be
kept readable, where addresses are kept only as keyed hashes.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.addresses import NotAnAddress, address
from schemas.fields import absent


def is_address(value: object) -> bool:
    """Whether a value is an e-mail address, as native messages take them."""
    return _normal(value) is not None


def same_address(one: object, other: object) -> bool:
    """Whether two values are one e-mail address, however it is written."""
    found = _normal(one)
    return found is not None and found == _normal(other)


def person(user: object, addresses: Sequence[object] = (), *, strict: bool = False) -> dict[str, object]:
    """``email`` and ``contact_id`` of the person with this user id; ``addresses`` are what else is known of them.

    A native message has one ``email``. The user id goes before the others, since every later call carries it. Of
    the others the first that is an address counts; when ``strict``, because the message is about who they are,
    the first at all, so that one that is no address is refused and not lost.
    """
    found: dict[str, object] = {}
    if is_address(user):
        found["email"] = user
    else:
        given = [value for value in addresses if not absent(value) and (strict or is_address(value))]
        if given:
            found["email"] = given[0]
        if not absent(user):
            found["contact_id"] = user
    return found


def _normal(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return address(value)
    except NotAnAddress:
        return None
