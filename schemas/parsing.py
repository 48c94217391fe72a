"""Bytes to JSON objects, fast when they are ordinary and exact when they are not."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

from schemas.errors import Rejected, shown

REGISTRY_MAGIC = 0
REGISTRY_PREFIX_BYTES = 5
_LONGEST_INTEGER = 400
"""Digits. A double overflows before that, and Python refuses to read far longer ones."""


def strip_registry_prefix(raw: bytes) -> bytes:
    """The payload behind a schema registry's prefix (a zero byte and a 4-byte id); no JSON begins with one."""
    return raw[REGISTRY_PREFIX_BYTES:] if raw and raw[0] == REGISTRY_MAGIC else raw


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in ``raw``, with whatever orjson makes of its numbers. Raises Rejected(invalid_json).

    Integers beyond 64 bits come as floats: ``parse_exact`` gives them whole, at ten times the cost.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return parse_exact(raw)
    if type(value) is not dict:
        raise _not_an_object(value)
    return value


def parse_value(raw: bytes) -> object:
    """As ``parse_object``, for a body that may be any JSON value. Raises Rejected(invalid_json)."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _exact(raw)


def parse_exact(raw: bytes) -> dict[str, Any]:
    """The JSON object in ``raw``; integers whole, numbers beyond a double infinite (R24).

    Raises Rejected(invalid_json), also for NaN, Infinity and text that no encoding can carry.
    """
    value = _exact(raw)
    if type(value) is not dict:
        raise _not_an_object(value)
    return value


def _exact(raw: bytes) -> object:
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant, parse_int=_integer)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate cannot be written again
    except UnicodeDecodeError as error:
        raise Rejected(
            "invalid_json", "", f"byte {error.start} is not UTF-8: send JSON as UTF-8 text"
        ) from None
    except (ValueError, RecursionError) as error:
        raise Rejected("invalid_json", "", f"not JSON ({error}): send one JSON object per message") from None
    return value


def _not_an_object(value: object) -> Rejected:
    return Rejected(
        "invalid_json", "", f"JSON but no object, {shown(value)}: send one JSON object per message"
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _LONGEST_INTEGER else float(text)
