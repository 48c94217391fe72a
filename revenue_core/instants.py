"""Instants as text."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from revenue_core.facts import DAY_MS, HOUR_MS

_EPOCH = date(1970, 1, 1).toordinal()


def iso_z(ms: int) -> str:
    """Epoch milliseconds as ``YYYY-MM-DDTHH:MM:SS.mmmZ`` (R62), for the years 1 to 9999; else ``ValueError``."""
    day, rest = divmod(ms, DAY_MS)
    hours, rest = divmod(rest, HOUR_MS)
    minutes, rest = divmod(rest, 60_000)
    seconds, milliseconds = divmod(rest, 1_000)
    return f"{_date(day)}T{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}Z"


@lru_cache(maxsize=4_096)
def _date(day: int) -> str:
    return date.fromordinal(_EPOCH + day).isoformat()
