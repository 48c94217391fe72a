"""The only place that reads the clock. Everything else is handed an instant, so that it can be repeated."""

from __future__ import annotations

import time


def now_ms() -> int:
    """The wall clock, epoch milliseconds."""
    return int(time.time() * 1000)  # noqa: TID251 - the one reading that the ban leaves room for
