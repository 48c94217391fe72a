"""The aiokafka consumer on the worker's own event loop, and how records are taken from it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.utils.futures import maybe_async

from streams.engine.pacing import PacedFetches

if TYPE_CHECKING:
    from streams.engine.consumer import EngineConsumer

FETCH_PACE_S = 0.004
"""Between the answer to a fetch and the next one while fetches bring less than a run."""


class InlineConsumerThread(driver.AIOKafkaConsumerThread):
    """Owner of the aiokafka consumer, on the worker's own event loop instead of in a thread.

    With a thread, every fetch crosses to it and back and the two compete for the interpreter. A run holds the loop
    for milliseconds, far below the session timeout; and a loop that hangs for longer loses its partitions, as it
    should, while a thread would go on sending heartbeats for it.
    """

    consumer: EngineConsumer

    def __init__(self, consumer: EngineConsumer, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **kwargs)
        self._paced: Any = None
        self._taken = 0
        """Records handed out by the fetcher."""

    async def start(self) -> None:
        """Start as a plain service."""
        self._thread_started.set()
        await self._default_start()

    async def stop(self) -> None:
        """Stop as a plain service."""
        if self._started.is_set() and not self._stopped.is_set():
            self._stopped.set()
            await self.on_thread_stop()
            await self._default_stop_children()
            await self._default_stop_futures()
            await self._default_stop_exit_stacks()

    async def crash(self, reason: BaseException) -> None:
        """Crash as a plain service."""
        await Service.crash(self, reason)

    async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        """Call where we are."""
        return await maybe_async(fun(*args, **kwargs))

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust hard-codes 1500 ms. Kafka answers at the first byte anyway; embedded brokers may not.
        consumer._fetch_max_wait_ms = self.app.settings.fetch_max_wait_ms
        return consumer

    async def getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109
        """Runs by partition."""
        return await self._fetch_records(self._ensure_consumer(), active_partitions, timeout=timeout)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109
        max_records: int | None = None,
    ) -> dict[TP, list[Any]]:
        """At most one run of every partition that has data.

        aiokafka's ``fetched_records(max_records)`` empties one partition's fetch before it looks at the next.
        """
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if fetcher is not self._paced:
            self._paced = fetcher
            PacedFetches(fetcher, FETCH_PACE_S, self.app.settings.batch_max, lambda: self._taken)
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError()
        found: dict[TP, list[Any]] = {}
        with fetcher._subscriptions.fetch_context():
            await self._collect(fetcher, active_partitions, found)
            if not found and timeout:
                found = await fetcher.fetched_records(
                    active_partitions, timeout=timeout, max_records=self.app.settings.batch_max
                )
                await self._collect(fetcher, active_partitions, found)
        self._taken += sum(map(len, found.values()))
        return found

    async def _collect(self, fetcher: Any, active: Any, found: dict[TP, list[Any]]) -> None:
        for tp in list(fetcher._records):
            if tp in active and tp not in found:
                size = self.consumer.run_size(tp)
                found.update(await fetcher.fetched_records([tp], 0, max_records=size))
