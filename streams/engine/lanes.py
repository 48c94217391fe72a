"""Batches on their way to the broker: a lane for each partition that is written to, and the sender that empties them.

aiokafka has one request under way for each broker. Its own queue takes a batch as it is, however small, and hands
it to the next request; here the sender takes batches out of the lanes at the moment it writes a request, so all that
was appended while the request before was under way travels together, without a task or a timer for each lane.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, ProducerClosed
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.structs import TopicPartition

from streams.engine.batches import Appended, Delivery, Item, Slot, check_size
from streams.engine.errors import BatchRefused

PATIENCE_S = 0.005
"""How long state waits for a request with outputs. Only a commit waits for state, and the next run is near."""


class Lane:
    """Batches for one partition, in order, that the sender has not taken yet.

    What is appended goes into the last one, so many small runs become few batches. A run's items stay together in
    one batch where they fit.
    """

    __slots__ = ("_batch_bytes", "_codec", "_limit", "end", "open", "topic", "waiting")

    def __init__(self, topic: str, batch_bytes: int, limit: int, codec: int) -> None:
        self.topic, self._batch_bytes, self._limit, self._codec = topic, batch_bytes, limit, codec
        self.waiting: deque[Slot] = deque()
        self.open: dict[Delivery, None] = {}
        """Not yet acknowledged, the oldest first."""
        self.end = 0
        """Offset after the last acknowledged record: so far the partition reaches at least."""

    def append(self, items: Sequence[Item], now_ms: int) -> list[Appended]:
        """Append items; returns the batches they went into. Raises ``RecordTooLarge``."""
        total = check_size(self.topic, items, self._limit)
        used: list[Appended] = []
        at = 0
        while at < len(items):
            slot = self.waiting[-1] if self.waiting and not used else None
            if slot is None or not slot.room_for(total, self._batch_bytes):
                slot = self._new_slot()
            start = slot.count
            at = slot.fill(items, at, now_ms)
            used.append(Appended(slot.delivery, start, slot.count))
        return used

    def _new_slot(self) -> Slot:
        delivery = Delivery(monotonic())
        slot = Slot(self._batch_bytes, self._codec, delivery)
        self.open[delivery] = None
        delivery.then(self._settled)
        self.waiting.append(slot)
        return slot

    def _settled(self, delivery: Delivery) -> None:
        self.open.pop(delivery, None)

    def take(self) -> Slot:
        """The first batch, closed: nothing is added any more."""
        slot = self.waiting.popleft()
        slot.builder.close()
        return slot

    def fail(self, error: BaseException) -> None:
        """What waits will not be sent."""
        while self.waiting:
            self.waiting.popleft().delivery.settle(None, error)


class LaneBatch(MessageBatch):
    """A batch in aiokafka's hands. Its delivery is told within the handling of the response, not a turn later."""

    def __init__(self, place: TopicPartition, lane: Lane, ttl_s: float) -> None:
        slot = lane.take()
        super().__init__(place, slot.builder, ttl_s, 0)
        self._lane = lane
        self._size = int(slot.builder.size())
        self._delivery = slot.delivery

    def done(self, base_offset: int, timestamp: Any = None, log_start_offset: Any = None) -> None:
        """The broker has it."""
        if not self.future.done():
            self.future.set_result(None)
        if base_offset >= 0:  # else it was written before, and the broker does not say where
            self._lane.end = max(self._lane.end, base_offset + self.record_count)
        self._delivery.settle(base_offset)

    def failure(self, exception: BaseException) -> None:
        """The broker will never have it."""
        super().failure(exception)
        self.future.exception()
        if isinstance(exception, MessageSizeTooLargeError):
            exception = BatchRefused(self.tp.topic, self._size)
        self._delivery.settle(None, exception)


class LaneSender:
    """Joins lanes to one aiokafka producer.

    It stands in for two functions of the producer's accumulator: ``drain_by_nodes``, by which the sender asks for
    what to send, and ``fail_all``, by which it says that it has ended.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self._accumulator, self._in_flight = client._message_accumulator, client._sender._in_flight
        self._cluster, self._ttl_s = client.client.cluster, self._accumulator._batch_ttl
        self._drain, self._fail = self._accumulator.drain_by_nodes, self._accumulator.fail_all
        self._accumulator.drain_by_nodes, self._accumulator.fail_all = self._drain_lanes, self._fail_lanes
        self._ready: dict[TopicPartition, Lane] = {}
        """Lanes with something to take."""
        self._patient: dict[TopicPartition, Lane] = {}
        """The same, but not worth a request of their own yet."""
        self._known: set[str] = set()
        """Topics that the producer has metadata of."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def codec(self) -> int:
        """How batches are compressed, as their builder wants it."""
        return int(self._accumulator._compression_type)

    def offer(self, place: TopicPartition, lane: Lane, *, patient: bool = False) -> None:
        """Something was appended to a lane: have it sent; with ``patient`` by a request that goes out anyway, if
        there is one within ``PATIENCE_S``.
        """
        if (patient and place in self._patient) or place in self._ready:
            return
        if self._accumulator._exception is not None or self._accumulator._closed:
            lane.fail(self._accumulator._exception or ProducerClosed())
        elif place.topic not in self._known:
            task = asyncio.create_task(self._learn(place, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif patient:
            self._patient[place] = lane
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._lose_patience)
        else:
            self._ready[place] = lane
            if self._cluster.leader_for_partition(place) not in self._in_flight:
                self._wake()  # a request under way to that broker would be followed by another look anyway

    def _hurry(self) -> None:
        """What was patient waits no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ready |= self._patient
        self._patient.clear()

    def _lose_patience(self) -> None:
        self._hurry()
        self._wake()

    def _wake(self) -> None:
        waiter = self._accumulator.waiter()
        if not waiter.done():
            waiter.set_result(None)

    async def _learn(self, place: TopicPartition, lane: Lane) -> None:
        """Ask for a topic's metadata, once: without it the sender has no leader to send to."""
        try:
            await self.client.client._wait_on_metadata(place.topic)
        except Exception as error:
            lane.fail(error)
            return
        self._known.add(place.topic)
        if lane.waiting:
            self.offer(place, lane)

    def _drain_lanes(self, ignore_nodes: Any, muted_partitions: Any = frozenset()) -> Any:
        if self._ready:
            self._hurry()
        queued, leader_of = self._accumulator._batches, self._cluster.leader_for_partition
        for place, lane in list(self._ready.items()):
            if place in queued or place in muted_partitions or leader_of(place) in ignore_nodes:
                continue
            queued[place].append(LaneBatch(place, lane, self._ttl_s))
            if not lane.waiting:
                del self._ready[place]
        return self._drain(ignore_nodes, muted_partitions)

    def _fail_lanes(self, exception: BaseException) -> None:
        self._fail(exception)
        self._hurry()
        for lane in self._ready.values():
            lane.fail(exception)
        self._ready.clear()
