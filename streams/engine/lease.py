"""A worker that did not run for longer than its group waits must not send: its partitions may have a new owner.

No broker fences it. What it had ready when it was frozen, retries included, would follow the rows of the new owner
on the log: their versions are lower, but whoever keeps the last record of a key would keep the older row. So every
request that writes is checked against the time since the process last ran, and when that is too long the process ends
on the spot; what it had not sent is handled again by the new owner. Only what the operating system already had goes
out; the versions and the repair of state (``foreign``) are for that.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from time import monotonic
from typing import Any

log = logging.getLogger(__name__)

BEAT_S = 0.25
CRASHED = 1


def longest_pause_s(session_timeout_ms: int, heartbeat_interval_ms: int) -> float:
    """After how long without running a partition may be somebody else's (s).

    The last heartbeat before the pause may have been one interval before it, and half of one is kept in reserve.
    """
    return (session_timeout_ms - 1.5 * heartbeat_interval_ms) / 1000.0


def end_process(seconds: float) -> None:
    """End without sending, committing or closing anything."""
    log.critical(
        "this process did not run for %.1f s, so the group may have given its partitions away: it ends without "
        "sending what it had ready, to be started again. If nobody suspended it, the machine is short of CPU or "
        "memory",
        seconds,
    )
    logging.shutdown()
    os._exit(CRASHED)


class Lease:
    """Remembers when the event loop last ran. ``expired`` is told the length (s) of a pause that was too long."""

    def __init__(
        self,
        longest_s: float,
        expired: Callable[[float], None] = end_process,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._longest_s, self._expired, self._clock = longest_s, expired, clock
        self._ran_at: float | None = None

    def begin(self) -> None:
        """The worker starts: what lies before does not count."""
        self._ran_at = self._clock()

    def check(self) -> None:
        """Take note that the loop runs, or report that it did not for too long since it began."""
        if self._ran_at is None:
            return
        now = self._clock()
        pause, self._ran_at = now - self._ran_at, now
        if pause > self._longest_s:
            self._expired(pause)

    async def beat(self, stopped: Callable[[], bool]) -> None:
        """Check from time to time, so that a pause is one of the process and not one of the traffic."""
        self.begin()
        while not stopped():
            await asyncio.sleep(BEAT_S)
            self.check()

    def guard(self, client: Any) -> None:
        """Check before every request of an aiokafka client, retries included."""
        send = client.send

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            self.check()
            return await send(*args, **kwargs)

        client.send = guarded
