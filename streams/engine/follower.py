"""Topics that every worker reads whole and then keeps up with: tables that are looked things up in, not owned.

No group and no commits: each start reads from the beginning. What is there at the start has to be read before the
agents that look things up may begin; what comes later arrives when it arrives.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams.engine.settings import EngineSettings

log = logging.getLogger(__name__)

Pair = tuple[bytes | None, bytes | None]
"""Key and value of a record; no value: the key is gone."""
SLICE_S = 0.005
"""How long the records handed over at once should take; then others have their turn."""
FIRST_SLICE, LARGEST_SLICE = 200, 2_000
"""Records; to take so many out of a fetch takes as long again."""
GROWTH = 2
"""A slice is at most so many times as large as the one before."""
POLL_MS = 200
RETRY_S = 1.0
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FollowerSpec:
    """A topic to be followed."""

    name: str
    topic: str
    """Its partitions are those it has when the worker starts."""
    take: Callable[[Iterable[Pair]], None]
    """Takes records, those of a partition in order, on the event loop; must not raise.

    After the loss of a topic, records that it has had already may come again.
    """
    readers: tuple[str, ...] = ()
    """Agents that get nothing to handle before what is there at the start has been read."""


def follower_problems(followers: Sequence[FollowerSpec], agents: Iterable[str]) -> list[str]:
    """What is wrong with followers, in words."""
    known, names = set(agents), [follower.name for follower in followers]
    found = [f"follower {name!r} is used twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for follower in followers:
        unknown = sorted(set(follower.readers) - known)
        found += [
            f"follower {follower.name!r} is to be read by {name!r}, which is no agent" for name in unknown
        ]
    return found


class Follower:
    """Reads one topic for as long as the worker runs."""

    def __init__(self, spec: FollowerSpec, settings: EngineSettings) -> None:
        self.spec, self._settings = spec, settings
        self.ready = False
        """Whether everything has been read that was there at the start."""
        self.records = 0
        """Read since the start."""
        self.longest_s = 0.0
        """The longest that records handed over at once have held the event loop."""
        self._missing = "no broker has been asked yet"
        self._goals: dict[TopicPartition, int] | None = None
        """Offsets at which it is ready."""
        self._next: dict[TopicPartition, int] = {}
        """Offset of the next record of each partition."""
        self._ends: dict[TopicPartition, int] = {}
        self._size = FIRST_SLICE
        self._began = monotonic()

    def reason(self) -> str | None:
        """Why it is not ready; None when it is."""
        if self.ready:
            return None
        if self._goals is None:
            return f"topic {self.spec.topic} is not being read: {self._missing}"
        left = sum(max(goal - self._next.get(tp, 0), 0) for tp, goal in self._goals.items())
        return f"topic {self.spec.topic} is being read: {left} records to go at most"

    def lag(self) -> Mapping[tuple[str, int], int]:
        """(Topic, partition) -> records that are known to wait."""
        return {
            (tp.topic, tp.partition): max(end - self._next.get(tp, 0), 0) for tp, end in self._ends.items()
        }

    async def run(self, stopped: Callable[[], bool]) -> None:
        """Read until told to stop; connect again whenever that fails."""
        while not stopped():
            try:
                async with self._consumer() as consumer:
                    if await self._begin(consumer):
                        while not stopped():
                            await self._step(consumer)
            except (KafkaError, OSError, TimeoutError) as error:
                self._wait_for(f"{type(error).__name__}: {error}")
            if not stopped():
                await asyncio.sleep(RETRY_S)

    def _wait_for(self, missing: str) -> None:
        if missing != self._missing:
            log.warning("%s: topic %s: %s; trying on", self.spec.name, self.spec.topic, missing)
        self._missing = missing

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        settings = self._settings
        consumer = AIOKafkaConsumer(
            bootstrap_servers=[host.strip() for host in settings.brokers.split(",") if host.strip()],
            client_id=settings.client_id or settings.app_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            check_crcs=settings.check_crcs,
            fetch_max_wait_ms=settings.fetch_max_wait_ms,
            max_partition_fetch_bytes=settings.fetch_max_bytes,
            request_timeout_ms=settings.request_timeout_ms,
            **credentials_to_aiokafka_auth(settings.security.credentials(), None),
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await _close(consumer)

    async def _begin(self, consumer: Any) -> bool:
        """Go to where reading is to go on; False when there is no such topic."""
        cluster = await consumer._client.fetch_all_metadata()
        partitions = cluster.partitions_for_topic(self.spec.topic)
        if not partitions:
            self._wait_for("no broker knows it")
            return False
        tps = [TopicPartition(self.spec.topic, number) for number in sorted(partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        begins = await consumer.beginning_offsets(tps)
        for tp in tps:
            self._next.setdefault(tp, begins[tp])
            consumer.seek(tp, self._next[tp])
        self._ends = dict(ends)
        # a topic that was made anew meanwhile may end before
        self._goals = {tp: min(end, (self._goals or ends).get(tp, end)) for tp, end in ends.items()}
        self._missing = ""
        self._look()
        return True

    async def _step(self, consumer: Any) -> None:
        """Hand one slice over, if there is something."""
        found = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._size)
        began, count = monotonic(), 0
        for records in found.values():
            count += len(records)
            self.spec.take([(record.key, record.value) for record in records])
        assignment = consumer._subscription.subscription.assignment
        for tp in self._ends:
            state = assignment.state_value(tp)
            if state.has_valid_position:  # beyond the last record where compaction has left none
                self._next[tp] = state.position
            self._ends[tp] = max(consumer.highwater(tp) or 0, self._next[tp])
        if count:
            self.records += count
            self._measure(count, monotonic() - began)
        self._look()
        await asyncio.sleep(0)

    def _measure(self, count: int, seconds: float) -> None:
        self.longest_s = max(self.longest_s, seconds)
        fitting = int(count * SLICE_S / max(seconds, 1e-6))
        self._size = max(1, min(fitting, GROWTH * self._size, LARGEST_SLICE))

    def _look(self) -> None:
        """Note when what was there at the start has been read."""
        if self.ready or self._goals is None:
            return
        self.ready = all(self._next[tp] >= goal for tp, goal in self._goals.items())
        if self.ready:
            log.info(
                "%s: %d records of topic %s read in %.1f s",
                self.spec.name,
                self.records,
                self.spec.topic,
                monotonic() - self._began,
            )


async def _close(consumer: Any) -> None:
    """Stop an aiokafka consumer.

    Its own ``stop`` ends half-way, as if the caller had been cancelled, when it meets a fetch that waits for its next
    try; so it gets a task of its own, and what it left is ended here.
    """
    closing = asyncio.create_task(consumer.stop())
    await asyncio.wait({closing})
    if closing.cancelled() or closing.exception() is not None:
        for fetch in list(consumer._fetcher._pending_tasks if consumer._fetcher is not None else ()):
            fetch.cancel()
        await consumer._client.close()


class Following:
    """All the topics that a worker follows."""

    def __init__(
        self, specs: Sequence[FollowerSpec], topics_of: Mapping[str, Sequence[str]], settings: EngineSettings
    ) -> None:
        self.followers = [Follower(spec, settings) for spec in specs]
        self._readers = {
            spec.name: frozenset(topic for reader in spec.readers for topic in topics_of[reader])
            for spec in specs
        }

    def held_back(self) -> frozenset[str]:
        """Source topics of agents that have to wait for what they look up."""
        waiting = [self._readers[each.spec.name] for each in self.followers if not each.ready]
        return NONE.union(*waiting) if waiting else NONE

    def reasons(self) -> list[str]:
        """Why the worker is not ready, as far as it is for these."""
        return [reason for each in self.followers if (reason := each.reason()) is not None]

    def lag(self) -> dict[tuple[str, int], int]:
        """(Topic, partition) -> records that are known to wait."""
        return {place: records for each in self.followers for place, records in each.lag().items()}
