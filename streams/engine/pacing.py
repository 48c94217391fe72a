"""Fetches that wait for a little more, while there is little.

Kafka answers a fetch at the first record, so a worker that keeps up runs for two or three records at a time and pays
for each run: a fetch, a handler's turn, a produce request. A few milliseconds between fetches make runs several times
as large at a steady rate of small events, and leave an event that comes alone and large backlogs as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any


class PacedFetches:
    """Stands in for a fetcher's ``_proc_fetch_request``, which sends one fetch to one broker.

    ``taken`` counts the records that were taken from the fetcher so far. A fetch is sent no sooner than ``pace_s``
    after the answer to the one before, if what was taken meanwhile is something, but less than ``enough``.
    """

    def __init__(self, fetcher: Any, pace_s: float, enough: int, taken: Callable[[], int]) -> None:
        self._fetch = fetcher._proc_fetch_request
        fetcher._proc_fetch_request = self._paced
        self._pace_s, self._enough, self._taken = pace_s, enough, taken
        self._answered: dict[Any, tuple[float, int]] = {}
        """Broker -> when it answered last, and what had been taken by then."""

    async def _paced(self, assignment: Any, node_id: Any, request: Any) -> Any:
        at, before = self._answered.get(node_id, (0.0, 0))
        if 0 < self._taken() - before < self._enough:
            wait = at + self._pace_s - monotonic()
            if wait > 0:
                try:
                    await asyncio.sleep(wait)
                except asyncio.CancelledError:
                    return False  # as the fetcher itself does: nobody is interested any more
        found = await self._fetch(assignment, node_id, request)
        self._answered[node_id] = monotonic(), self._taken()
        return found
