"""Instants on the wire: RFC 3339 with an offset, or epoch milliseconds (R05)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

EARLIEST_MS = 946_684_800_000
"""2000-01-01T00:00:00Z. Anything earlier is usually seconds taken for milliseconds."""
LATEST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write."""

_LONGEST_COUNT = 400
"""Digits, leading zeros among them; Python refuses to read far longer integers."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.date()
_DAY_MS = 86_400_000
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LEAP_SECOND = slice(17, 19)


def instant(value: object) -> int:
    """Epoch milliseconds of a JSON value, digits finer than a millisecond cut off.

    Raises ValueError, also for what lies before the year 2000 or after the year 9999.
    """
    if type(value) is str:
        if _RFC3339.fullmatch(value):
            at = _rfc3339(value)
        elif value.isascii() and value.isdigit():
            at = int(value) if len(value) <= _LONGEST_COUNT else LATEST_MS + 1
        else:
            raise ValueError("not RFC 3339 with an offset")
    elif type(value) is int:
        at = value
    else:
        raise ValueError("neither text nor a whole number")
    if at < EARLIEST_MS:
        raise ValueError("before the year 2000")
    if at > LATEST_MS:
        raise ValueError("after the year 9999")
    return at


def date_or_instant(value: object) -> int:
    """Epoch milliseconds of a date (its UTC midnight) or of an instant. Raises ValueError."""
    if type(value) is str and _DATE.fullmatch(value):
        return instant((date.fromisoformat(value) - _EPOCH_DAY).days * _DAY_MS)
    return instant(value)


def _rfc3339(text: str) -> int:
    """Milliseconds of a text that matches the grammar. Raises ValueError for a day that does not exist."""
    leap_ms = 0
    if text[_LEAP_SECOND] == "60":
        text, leap_ms = f"{text[:17]}59{text[19:]}", 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        # the standard library knows neither a lower-case z
        moment = datetime.fromisoformat(text.upper())
    since: timedelta = moment - _EPOCH
    return since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000 + leap_ms
