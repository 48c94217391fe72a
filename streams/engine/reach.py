"""Whether brokers answer.

A fetch or a heartbeat is answered every second or so, and aiokafka notes when. Where none was due, as while the group
rebalances, a request for metadata tells a broker that is silent from one that was not asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

ASK_AFTER_S = 2.0
"""Of silence: then somebody is asked."""
AWAY_AFTER_S = 5.0
"""Of silence: then no broker answers."""
REMIND_S = 60.0
ASLEEP_S = 3.0
"""A look that comes so long after the last one means that this process did not run: that is no silence of theirs."""


class Reach:
    """When a broker was last heard. ``clients`` gives the aiokafka clients that there are."""

    def __init__(self, clients: Callable[[], Sequence[Any]], say: Callable[[str], None]) -> None:
        self._clients, self._say = clients, say
        self._heard = self._looked = monotonic()
        self._away_since: float | None = None
        self._said = -REMIND_S
        self._question: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        """Whether no broker answered at the last look."""
        return self._away_since is not None

    def silent_s(self) -> float:
        """How long no broker has been heard; 0 while that is too short to mean anything."""
        silent = monotonic() - self._latest()
        return silent if silent >= AWAY_AFTER_S and monotonic() - self._looked < ASLEEP_S else 0.0

    def look(self) -> None:
        """Ask when in doubt, and say when it changed; called every second."""
        now = monotonic()
        if now - self._looked > ASLEEP_S:
            self._heard = now
        self._looked = now
        silent = now - self._latest()
        if silent >= ASK_AFTER_S and (self._question is None or self._question.done()):
            self._question = asyncio.create_task(self._ask())
        if silent >= AWAY_AFTER_S:
            if self._away_since is None:
                self._away_since, self._said = now - silent, -REMIND_S
            if now - self._said >= REMIND_S:
                self._said = now
                self._say(f"no broker has answered for {silent:.0f} s: trying on, nothing is lost meanwhile")
        elif self._away_since is not None:
            self._say(f"brokers answer again, after {self._heard - self._away_since:.0f} s")
            self._away_since = None

    def close(self) -> None:
        """Take back a question that is under way."""
        if self._question is not None:
            self._question.cancel()

    def _latest(self) -> float:
        for client in self._clients():
            for connection in list(client._conns.values()):
                self._heard = max(self._heard, connection._last_action)
        return self._heard

    async def _ask(self) -> None:
        for client in self._clients()[:1]:
            with contextlib.suppress(Exception):
                if await client.fetch_all_metadata() is not None:
                    self._heard = max(self._heard, monotonic())
