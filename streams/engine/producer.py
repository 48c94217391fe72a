"""A producer of pre-built batches: one lane for each partition that is written to."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import Any

from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from faust.transport.drivers import aiokafka as driver

from streams.engine.batches import Appended, Item, Slot, check_size
from streams.engine.errors import BatchRefused
from streams.engine.settings import EngineSettings

log = logging.getLogger(__name__)

SendBatch = Callable[[Any], Awaitable[asyncio.Future[Any]]]
"""Hands a batch to aiokafka; waits until the partition's waiting place is free."""


class Lane:
    """Batches on their way to one partition, in order.

    aiokafka takes one waiting batch for each partition and has one request under way for each broker. What is
    appended while a lane waits for that place goes into the batch that waits in front of it, so many small runs
    become few batches. A run's items stay together in one batch where they fit.
    """

    __slots__ = ("_batch_bytes", "_codec", "_limit", "_send", "_task", "_topic", "open", "waiting")

    def __init__(self, topic: str, batch_bytes: int, limit: int, codec: int, send: SendBatch) -> None:
        self._topic, self._batch_bytes, self._limit, self._codec, self._send = (
            topic,
            batch_bytes,
            limit,
            codec,
            send,
        )
        self._task: asyncio.Task[None] | None = None
        self.waiting: deque[Slot] = deque()
        """Not yet handed to aiokafka."""
        self.open: dict[asyncio.Future[int], float] = {}
        """Not yet acknowledged, with the time since when."""

    def append(self, items: Sequence[Item], now_ms: int) -> list[Appended]:
        """Append items; returns the batches they went into."""
        total = check_size(self._topic, items, self._limit)
        used: list[Appended] = []
        at = 0
        while at < len(items):
            slot = self.waiting[-1] if self.waiting and not used else None
            if slot is None or not slot.room_for(total, self._batch_bytes):
                slot = self._new_slot()
            start = slot.count
            at = slot.fill(items, at, now_ms)
            used.append(Appended(slot.future, start, slot.count))
        if self._task is None:
            self._task = asyncio.create_task(self._hand_over())
        return used

    def _new_slot(self) -> Slot:
        future = asyncio.get_running_loop().create_future()
        slot = Slot(self._batch_bytes, self._codec, future, monotonic())
        self.open[future] = slot.since
        future.add_done_callback(self._settled)
        self.waiting.append(slot)
        return slot

    def _settled(self, future: asyncio.Future[int]) -> None:
        self.open.pop(future, None)
        if not future.cancelled():
            future.exception()

    async def _hand_over(self) -> None:
        try:
            while self.waiting:
                slot = self.waiting[0]
                delivery = await self._place(slot)
                # Nothing ran since the place became free: until now the slot took items, from here on it is sent.
                self.waiting.popleft()
                slot.builder.close()
                size = int(slot.builder.size())
                delivery.add_done_callback(partial(_copy_result, slot.future, self._topic, size))
        except Exception as error:
            for slot in self.waiting:
                slot.future.set_exception(error)
            self.waiting.clear()
        finally:
            self._task = None

    async def _place(self, slot: Slot) -> asyncio.Future[Any]:
        while True:
            try:
                return await self._send(slot.builder)
            except KafkaTimeoutError:
                log.warning(
                    "%s: the batch before has waited %.0f s for the broker",
                    self._topic,
                    monotonic() - slot.since,
                )


def _copy_result(future: asyncio.Future[int], topic: str, size: int, delivery: asyncio.Future[Any]) -> None:
    if future.done():
        return
    if delivery.cancelled():
        future.cancel()
    elif isinstance(delivery.exception(), MessageSizeTooLargeError):
        future.set_exception(BatchRefused(topic, size))
    elif (error := delivery.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(delivery.result().offset)


class EngineProducer(driver.Producer):
    """Faust's producer with an idempotent client and lanes. Batches are retried until they are written."""

    def __post_init__(self) -> None:
        """Prepare the lanes."""
        super().__post_init__()
        self._lanes: dict[tuple[str, int], Lane] = {}

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def append(self, topic: str, partition: int, items: Sequence[Item], now_ms: int) -> list[Appended]:
        """Append items to one partition; see ``Lane.append``. Raises ``RecordTooLarge``."""
        lane = self._lanes.get((topic, partition))
        if lane is None:
            client = self._ensure_producer()

            async def send(builder: Any) -> asyncio.Future[Any]:
                return await client.send_batch(builder, topic, partition=partition)  # type: ignore[no-any-return]

            conf: EngineSettings = self.app.settings
            codec = client._message_accumulator._compression_type
            lane = Lane(topic, conf.batch_bytes, conf.max_request_bytes, codec, send)
            self._lanes[topic, partition] = lane
        return lane.append(items, now_ms)

    def oldest_batch_s(self) -> float:
        """Age of the oldest batch that is not acknowledged; 0 without one."""
        starts = [since for lane in self._lanes.values() for since in lane.open.values()]
        return monotonic() - min(starts) if starts else 0.0

    async def flush(self) -> None:
        """Wait for every batch appended before this call. Failures are reported where the batch was appended.

        After a crash nothing is waited for: what is not acknowledged is not committed either.
        """
        if self.app.crashed:
            return
        futures = [future for lane in self._lanes.values() for future in lane.open]
        if futures:
            await asyncio.wait(futures)
