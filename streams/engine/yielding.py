"""Which topics wait while others of the same worker lag: catching up must not bury live traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from streams.engine.settings import AgentSpec


class Yielding:
    """Keeps an agent's topics back while those that it yields to lag by more than ``limit`` records.

    They go on when the lag is down to half of that. ``lag_of`` gives the known lag of a topic in this worker.
    """

    def __init__(self, specs: Iterable[AgentSpec], limit: int, lag_of: Callable[[str], int]) -> None:
        self._specs = [spec for spec in specs if spec.yields_to]
        self._limit, self._lag_of = limit, lag_of
        self._waiting: set[str] = set()

    def waiting(self) -> frozenset[str]:
        """The topics that wait now."""
        found: list[str] = []
        for spec in self._specs:
            lag = sum(map(self._lag_of, spec.yields_to))
            if lag > self._limit:
                self._waiting.add(spec.name)
            elif 2 * lag <= self._limit:
                self._waiting.discard(spec.name)
            if spec.name in self._waiting:
                found += spec.topics
        return frozenset(found)
