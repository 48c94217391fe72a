"""The demo: embedded broker, topics, one worker, seeded journeys, and what comes out of them.

The worker is a process of its own, started as a user would start it; this process plays the trackers and the
sink.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import orjson
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from streams.clock import now_ms
from streams.embedded import EmbeddedBroker, end, spawn
from streams.generator import generate
from streams.generator_world import DAY_MS
from streams.topics import create_topics, declared_topics, kept_for_ever
from streams.topology import ALERTS, ANSWERS, CREDITS, DEAD_LETTERS, SOURCES

PARTITIONS = 4
TICK_MS = 250
IDLE_S = 2.0
"""How long a source must be silent before it holds nobody back: short, since a demo ends."""
START_DEADLINE_S = 60.0
STILL_S = IDLE_S + 2.5
"""Nothing lags and event time has stood still for so long: the coordinator has had its last say."""
OF_INGEST = frozenset({"ok", "bot", "null", "invalid", "future"})
"""Outcomes of which every source event has exactly one; the journey agent adds its own to some of them."""
STALL_S = 60.0
"""Without any progress for so long, waiting for the end is given up."""
WEEK_MS = 7 * DAY_MS


class DemoFailed(Exception):
    """The demo could not run to its end."""


@dataclass(slots=True)
class Tally:
    """What a sink has seen so far."""

    rows: Counter[str] = field(default_factory=Counter)
    alerts: Counter[tuple[str, str]] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    credits: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)
    """credit_id -> (version, row) of the newest version; deleted ones too."""
    keep: bool = True
    """False in an endless demo, where rows would pile up."""

    def take(self, topic: str, record: Any) -> dict[str, Any] | None:
        """Count a record; returns its row."""
        if topic == DEAD_LETTERS:
            self.dead_letters[dict(record.headers)["headwater.error.code"].decode()] += 1
            return None
        if record.value is None:
            return None
        self.rows[topic] += 1
        row: dict[str, Any] = orjson.loads(record.value)
        if topic == ALERTS:
            self.alerts[row["kind"], row["status"]] += 1
        elif topic == CREDITS and self.keep:
            known = self.credits.get(row["credit_id"])
            if known is None or known[0] <= row["version"]:
                self.credits[row["credit_id"]] = row["version"], row
        return row

    def live_credits(self) -> Iterator[dict[str, Any]]:
        """Rows that stand."""
        return (row for _, row in self.credits.values() if not row["is_deleted"])


@dataclass(slots=True)
class Demo:
    """One run. ``rate`` is in events per second, 0 for as fast as possible."""

    events: int
    seed: int
    rate: float
    folder: Path
    broker: EmbeddedBroker = field(default_factory=EmbeddedBroker)
    tally: Tally = field(default_factory=Tally)
    sent: int = 0
    worker: subprocess.Popen[bytes] | None = None
    web: str = ""
    """Address of the worker's probes and metrics."""
    counted: dict[str, float] = field(default_factory=dict)
    """Source events by outcome, as the worker counts them."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Demo]:
        """The stack, ready to take events; everything ends with the block. Raises DemoFailed."""
        await asyncio.to_thread(self.broker.start)
        try:
            declared = kept_for_ever(declared_topics("headwater"))
            await create_topics(self.broker.address, declared, partitions=PARTITIONS)
            config = self.folder / "worker.yaml"
            config.write_text(yaml.safe_dump(self._settings()))
            command = [
                sys.executable,
                "-m",
                "streams.cli.main",
                "worker",
                "--config",
                str(config),
                "--port",
                "0",
            ]
            worker = self.worker = spawn(command, self.folder / "worker.log")
            try:
                self.web = await self._ready(worker)
                yield self
            finally:
                await asyncio.to_thread(end, worker)
        finally:
            self.broker.stop()

    def _settings(self) -> dict[str, Any]:
        return {
            "kafka": {"brokers": self.broker.address},
            "topics": {"partitions": PARTITIONS},
            "identity": {"hash_key": "only for the demo, do not use"},
            "worker": {
                "data_dir": str(self.folder / "data"),
                "compression": "gzip",  # the embedded broker keeps everything in memory
                "session_timeout_ms": 6_000,
                "heartbeat_interval_ms": 1_000,
                "tick_ms": TICK_MS,
                "source_idle_s": IDLE_S,
            },
        }

    async def _ready(self, worker: subprocess.Popen[bytes]) -> str:
        deadline = monotonic() + START_DEADLINE_S
        while monotonic() < deadline:
            said = self._said()
            if worker.poll() is not None:
                raise DemoFailed(f"the worker ended while starting; it said:\n{said}")
            found = re.search(r"(http://\S+)/metrics", said)
            if found and await self._get(f"{found[1]}/readyz") is not None:
                return found[1]
            await asyncio.sleep(0.05)
        raise DemoFailed(f"the worker was not ready after {START_DEADLINE_S:.0f} s; it said:\n{self._said()}")

    def _said(self) -> str:
        """The end of the worker's log."""
        log = self.folder / "worker.log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""

    async def _get(self, url: str) -> str | None:
        """Body of a good answer, else None."""
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
                return await answer.text() if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def feed(self) -> None:
        """Send the generated events."""
        producer = AIOKafkaProducer(bootstrap_servers=self.broker.address, acks="all", linger_ms=5)
        await producer.start()
        began = monotonic()
        try:
            for message in generate(self.seed, self.events, end_of_world(now_ms())):
                await producer.send(message.topic, message.value, key=message.key)
                self.sent += 1
                if self.rate and self.sent % 20 == 0:
                    await asyncio.sleep(max(0.0, began + self.sent / self.rate - monotonic()))
                elif self.sent % 500 == 0:
                    await asyncio.sleep(0)
            await producer.flush()
        finally:
            await producer.stop()

    async def watch(self, show: Callable[[str, dict[str, Any]], None], stop: asyncio.Event) -> None:
        """Read the output topics until ``stop`` is set and nothing is left; ``show`` gets every row."""
        reader = AIOKafkaConsumer(bootstrap_servers=self.broker.address, enable_auto_commit=False)
        await reader.start()
        try:
            topics = (*ANSWERS, DEAD_LETTERS)
            places = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
            reader.assign(places)
            await reader.seek_to_beginning(*places)
            while True:
                ending = stop.is_set()
                found = await reader.getmany(timeout_ms=100, max_records=2_000)
                for place, records in found.items():
                    for record in records:
                        row = self.tally.take(place.topic, record)
                        if row is not None:
                            show(place.topic, row)
                if ending and not found:
                    return
        finally:
            await reader.stop()

    async def finished(self) -> None:
        """Wait until the worker has handled everything and event time stands still. Raises DemoFailed."""
        last, since = None, monotonic()
        while True:
            samples = await self._samples()
            progress = self._progress(samples)
            if progress != last:
                last, since = progress, monotonic()
            elif progress is not None and progress[0] == 0 and monotonic() - since > STILL_S:
                self.counted = outcomes(samples)
                return
            elif monotonic() - since > STALL_S:
                raise DemoFailed(f"nothing moved for {STALL_S:.0f} s; the worker said:\n{self._said()}")
            if self.worker is not None and self.worker.poll() is not None:
                raise DemoFailed(f"the worker ended; it said:\n{self._said()}")
            await asyncio.sleep(0.1)

    async def _samples(self) -> list[Any]:
        text = await self._get(f"{self.web}/metrics")
        if text is None:
            return []
        return [s for family in text_string_to_metric_families(text) for s in family.samples]

    def _progress(self, samples: list[Any]) -> tuple[float, ...] | None:
        """(records of lag, watermark of each journal partition, events counted); None before there is a lag."""
        lags = [s.value for s in samples if s.name == "headwater_consumer_lag_records"]
        marks = [s.value for s in samples if s.name == "headwater_watermark_timestamp_seconds"]
        sources = {s.labels["topic"] for s in samples if s.name == "headwater_consumer_lag_records"}
        if not sources >= set(SOURCES):
            return None
        return sum(lags), *marks, sum(outcomes(samples).values())


@asynccontextmanager
async def started(events: int, seed: int, rate: float) -> AsyncIterator[Demo]:
    """A demo in a folder of its own that goes when it ends."""
    with tempfile.TemporaryDirectory(prefix="headwater-demo-") as folder:
        async with Demo(events, seed, rate, Path(folder)).running() as demo:
            yield demo


def end_of_world(now: int) -> int:
    """Where the events of a demo end: at the start of this week, counted from the epoch (Thursday, 0:00 UTC).

    Events stay near to now, and the same seed gives the same world at every hour of a week; in other weeks it is the
    same one moved by whole weeks, since people keep their weekdays and hours.
    """
    return now - now % WEEK_MS


def outcomes(samples: Iterable[Any]) -> dict[str, float]:
    """Source events by what ingest made of them, from the worker's metrics."""
    found: Counter[str] = Counter()
    for sample in samples:
        if sample.name == "headwater_events_total" and sample.labels["outcome"] in OF_INGEST:
            found[sample.labels["outcome"]] += sample.value
    return dict(found)
