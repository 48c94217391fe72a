"""Faust's producer on lanes of pre-built batches."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver

from streams.engine.batches import Appended, Delivery, Item
from streams.engine.lanes import Lane, LaneSender
from streams.engine.settings import EngineSettings


class EngineProducer(driver.Producer):
    """Faust's producer with an idempotent client and lanes. Batches are retried until they are written."""

    def __post_init__(self) -> None:
        """Prepare the lanes."""
        super().__post_init__()
        self._lanes: dict[tuple[str, int], tuple[TopicPartition, Lane]] = {}
        self._sender: LaneSender | None = None

    async def on_start(self) -> None:
        """Start the client; from here on it sends only while the worker may own what it writes for."""
        await super().on_start()
        self.app.lease.guard(self._ensure_producer().client)

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def append(
        self, topic: str, partition: int, items: Sequence[Item], now_ms: int, *, patient: bool = False
    ) -> list[Appended]:
        """Append items to one partition; see ``Lane.append`` and ``LaneSender.offer``. Raises ``RecordTooLarge``."""
        found = self._lanes.get((topic, partition))
        sender = self._sender
        if sender is None or found is None:
            sender, found = self._open(topic, partition)
        place, lane = found
        appended = lane.append(items, now_ms)
        sender.offer(place, lane, patient=patient)
        return appended

    def _open(self, topic: str, partition: int) -> tuple[LaneSender, tuple[TopicPartition, Lane]]:
        sender = self._sender
        if sender is None:
            sender = self._sender = LaneSender(self._ensure_producer())
        conf: EngineSettings = self.app.settings
        lane = Lane(topic, conf.batch_bytes, conf.max_request_bytes, sender.codec)
        found = self._lanes[topic, partition] = TopicPartition(topic, partition), lane
        return sender, found

    def written(self, topic: str, partition: int) -> int:
        """Offset after the last record that this producer wrote to a partition; 0 without one."""
        found = self._lanes.get((topic, partition))
        return found[1].end if found is not None else 0

    def oldest_batch_s(self) -> float:
        """Age of the oldest batch that is not acknowledged; 0 without one."""
        oldest = [next(iter(lane.open)).since for _, lane in self._lanes.values() if lane.open]
        return monotonic() - min(oldest) if oldest else 0.0

    async def flush(self) -> None:
        """Wait for every batch appended before this call. Failures are reported where the batch was appended.

        After a crash nothing is waited for: what is not acknowledged is not committed either.
        """
        if self.app.crashed:
            return
        for _, lane in list(self._lanes.values()):
            for delivery in list(lane.open):
                await _settled(delivery)


async def _settled(delivery: Delivery) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    delivery.then(lambda _: None if future.done() else future.set_result(None))
    await future
