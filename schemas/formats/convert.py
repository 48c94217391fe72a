"""Values of databases as native messages want them: times in epoch milliseconds, decimals as text."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from decimal import Decimal

UNITS: Mapping[str, Decimal] = {
    "s": Decimal(1000), "ms": Decimal(1), "us": Decimal("0.001"), "ns": Decimal("0.000001"),
    "d": Decimal(86_400_000),
}  # fmt: skip
"""Unit of a number that stands for a time since 1970 -> milliseconds."""
MOST_SCALE = 100
_LONGEST_DECIMAL = 128
"""Bytes; no database knows a longer one."""
_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_LARGEST = 1e18


def milliseconds(value: object, unit: str) -> object:
    """Epoch milliseconds, finer digits cut off (R05), of a number in ``unit``; anything else stays as it is."""
    if type(value) is int or (isinstance(value, float) and abs(value) < _LARGEST):
        number = Decimal(value) if type(value) is int else Decimal(repr(value))
    elif isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = Decimal(value.strip())
    else:
        return value
    return int(number * UNITS[unit])


def decimal_text(value: object, scale: int) -> str:
    """Decimal text of base64, big-endian two's complement, as Kafka Connect writes a decimal of ``scale``.

    Raises ValueError for what is not that.
    """
    if not isinstance(value, str) or abs(scale) > MOST_SCALE:
        raise ValueError("no base64 text")
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("no base64 text") from None
    if not 0 < len(raw) <= _LONGEST_DECIMAL:
        raise ValueError("no number in base64")
    unscaled = int.from_bytes(raw, "big", signed=True)
    sign, digits = "-" if unscaled < 0 else "", str(abs(unscaled))
    if scale <= 0:
        return f"{sign}{digits}{'0' * -scale}" if unscaled else "0"
    digits = digits.rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"
