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
from time import monotonic, process_time
from typing import Any

log = logging.getLogger(__name__)

BEAT_S = 0.25
BUSY_S = 1.0
"""A pause in which the process used so much CPU was work, however long it took."""
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
        "sending what it had ready, to be started again. If nobody suspended it, the machine lacks memory or CPU",
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
        cpu: Callable[[], float] = process_time,
    ) -> None:
        self._longest_s, self._expired, self._clock, self._cpu = longest_s, expired, clock, cpu
        self._ran_at: float | None = None
        self._used = 0.0

    def begin(self) -> None:
        """The worker starts: what lies before does not count."""
        self._ran_at, self._used = self._clock(), self._cpu()

    def check(self) -> None:
        """Take note that the loop runs, or report that it did not for too long since it began.

        One that was busy is only warned of: to end it would repeat the same work for ever.
        """
        if self._ran_at is None:
            return
        now, used = self._clock(), self._cpu()
        pause, busy = now - self._ran_at, used - self._used
        self._ran_at, self._used = now, used
        if pause <= self._longest_s:
            return
        if busy < BUSY_S:
            self._expired(pause)
        else:
            log.warning(
                "one piece of work held this worker for %.1f s, longer than its group may wait", pause
            )

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
