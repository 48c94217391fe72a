"""What lies between a worker and the broker: one lane for each partition it writes to.

Batches of one lane arrive in order and whole, and one run's records may be cut into several; lanes are independent of
each other. An acknowledgement travels back by itself. The producer is idempotent, so a retry writes nothing twice;
but a batch that the broker recognised as a repeated one may be acknowledged without its offset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from streams.engine.batches import Appended, Delivery, Item
from streams.engine.executor import UNKNOWN
from tests.simulation.broker import Broker

Place = tuple[str, int]
"""Topic and partition."""
ONE_BATCH = 0.5
"""How often a run's records of one partition travel in one batch."""
OFFSET_UNKNOWN = 0.01


class Batch(NamedTuple):
    """Records under way."""

    items: Sequence[Item]
    now_ms: int
    delivery: Delivery


class Lane:
    """Batches to one partition, and those whose acknowledgement is on its way back."""

    __slots__ = ("arrived", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Batch] = deque()
        self.arrived: deque[tuple[Batch, int]] = deque()


class Network:
    """The lanes of one process (``streams.engine.executor.Appender``)."""

    def __init__(self, writer: int, broker: Broker, random: Random) -> None:
        self.writer, self.broker, self.random = writer, broker, random
        self.lanes: dict[Place, Lane] = {}

    def append(
        self, topic: str, partition: int, items: Sequence[Item], now_ms: int, *, patient: bool = False
    ) -> Sequence[Appended]:
        """Put records on their way, in one batch or several."""
        lane = self.lanes.get((topic, partition))
        if lane is None:
            lane = self.lanes[topic, partition] = Lane()
        found = []
        for part in self._cut(items):
            batch = Batch(part, now_ms, Delivery(0.0))
            lane.waiting.append(batch)
            found.append(Appended(batch.delivery, 0, len(part)))
        return found

    def _cut(self, items: Sequence[Item]) -> list[Sequence[Item]]:
        if len(items) < 2 or self.random.random() < ONE_BATCH:
            return [items]
        at = self.random.randrange(1, len(items))
        return [items[:at], *self._cut(items[at:])]

    def waiting(self) -> list[Place]:
        """Lanes on which something has not arrived."""
        return [place for place, lane in self.lanes.items() if lane.waiting]

    def unacknowledged(self) -> list[Place]:
        """Lanes on which an acknowledgement is on its way back."""
        return [place for place, lane in self.lanes.items() if lane.arrived]

    def deliver(self, place: Place) -> int:
        """Let the first batch of a lane arrive; returns its number of records."""
        lane = self.lanes[place]
        batch = lane.waiting.popleft()
        base = self.broker.partition(*place).append(batch.items, batch.now_ms, self.writer)
        unknown = self.random.random() < OFFSET_UNKNOWN
        lane.arrived.append((batch, UNKNOWN if unknown else base))
        return len(batch.items)

    def acknowledge(self, place: Place) -> None:
        """Let the first acknowledgement of a lane come back, and the worker go on."""
        batch, base = self.lanes[place].arrived.popleft()
        batch.delivery.settle(base)

    def lose(self, late: bool) -> None:
        """The process ends: what was under way is lost, but for a random prefix of every lane.

        With ``late``, what is left of a lane's first batch arrives some day.
        """
        for place, lane in self.lanes.items():
            for _ in range(self.random.randint(0, len(lane.waiting))):
                self.deliver(place)
            lane.arrived.clear()
            kept = list(lane.waiting)[:1] if late else []
            lane.waiting = deque(kept)
