"""The whole product as processes: topics, workers and traffic on a broker, and what came out of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import yaml
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from streams.topics import create_topics, declared_topics, kept_for_ever
from streams.topology import ALERTS, ANSWERS, CONTROL, DEAD_LETTERS
from tests.builders import compacted, stable
from tests.integration.engine_harness import consumer, evict

READY_S = 60.0
DONE_TIMES = 5


class Sent(NamedTuple):
    """An input record."""

    topic: str
    key: bytes
    value: bytes


class LiveWorker:
    """``headwater worker`` as a process of its own."""

    def __init__(self, config: Path, log: Path) -> None:
        self.config, self.log = config, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> LiveWorker:
        with self.log.open("wb") as out:  # only what this process says counts
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "streams.cli.main",
                    "worker",
                    "--config",
                    str(self.config),
                    "--port",
                    "0",
                ],
                stdout=out,
                stderr=out,
                env={**os.environ, "PYTHONWARNINGS": "default"},
            )
        return self

    def end(self, number: signal.Signals, deadline_s: float = 30.0) -> int:
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def ended(self, deadline_s: float = 30.0) -> int:
        """Wait until it ends by itself; returns the exit code."""
        assert self.process is not None
        code = self.process.wait(deadline_s)
        self.process = None
        return code

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open and it does nothing."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End a freeze."""
        self.signal(signal.SIGCONT)

    def runs(self) -> bool:
        """Whether its process has not ended."""
        return self.process is not None and self.process.poll() is None

    def address(self) -> str | None:
        """Of its probes and metrics, once it has said so (the last start counts)."""
        said = re.findall(r"http://[\d.]+:\d+", self.said())
        return said[-1] if said else None

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float] | None:
        """(name, labels) -> value, or None while it does not answer."""
        address = self.address()
        if address is None or self.process is None:
            return None
        try:
            with urlopen(f"{address}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except (URLError, OSError):
            return None
        families = text_string_to_metric_families(text)
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}

    def total(self, name: str, **labels: str) -> float:
        """Sum of a metric over the samples that carry these labels; 0 while it does not answer."""
        found = self.metrics() or {}
        return sum(v for (n, has), v in found.items() if n == name and labels.items() <= dict(has).items())

    def not_ready(self) -> list[str] | None:
        """What keeps it from being ready; None while it does not answer."""
        address = self.address()
        if address is None or self.process is None:
            return None
        try:
            with urlopen(f"{address}/readyz", timeout=5) as answer:
                body = answer.read()
        except HTTPError as error:
            body = error.read()
        except (URLError, OSError):
            return None
        return list(json.loads(body)["reasons"])


class Live:
    """An installation on a broker under a topic prefix."""

    def __init__(
        self, broker: str, prefix: str, folder: Path, *, embedded: bool, partitions: int = 3
    ) -> None:
        self.broker, self.prefix, self.folder = broker, prefix, folder
        self.embedded, self.partitions = embedded, partitions
        self.workers: list[LiveWorker] = []
        self.changelog_config: dict[str, str] = {}
        """Settings of the changelogs that differ from the declared ones."""
        self.sent: list[Sent] = []
        """Every record that was sent, in order."""

    @property
    def group(self) -> str:
        """Consumer group of the workers, and beginning of the changelogs' names."""
        return f"{self.prefix}headwater"

    def worker(self, via: str | None = None, **engine: Any) -> LiveWorker:
        """A worker that is not started yet; ``via`` is the address at which it reaches the broker."""
        number = len(self.workers)
        config = self.folder / f"worker{number}.yaml"
        settings = {
            "kafka": {"brokers": via or self.broker},
            "topic_prefix": self.prefix,
            "identity": {"hash_key": "0123456789abcdef0123456789abcdef"},
            "worker": {
                "data_dir": str(self.folder / f"data{number}"),
                "session_timeout_ms": 6000,
                "heartbeat_interval_ms": 1000,
                "tick_ms": 200,
                "source_idle_s": 2.0,
                **engine,
            },
        }
        config.write_text(yaml.safe_dump(settings))
        made = LiveWorker(config, self.folder / f"worker{number}.log")
        self.workers.append(made)
        return made

    async def create_topics(self) -> None:
        declared = [
            replace(d, config={**d.config, **self.changelog_config}) if d.name.endswith("-changelog") else d
            for d in kept_for_ever(declared_topics("headwater"))
        ]
        await create_topics(self.broker, declared, prefix=self.prefix, partitions=self.partitions)

    async def send(self, records: Iterable[Sent], *, per_second: float | None = None) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.broker, acks="all", linger_ms=5)
        await producer.start()
        began = time.monotonic()
        try:
            for number, record in enumerate(records):
                await producer.send(self.prefix + record.topic, record.value, key=record.key)
                self.sent.append(record)
                if per_second is not None and not number % 50:
                    await asyncio.sleep(max(0.0, began + number / per_second - time.monotonic()))
            await producer.flush()
        finally:
            await producer.stop()

    async def kill(self, worker: LiveWorker) -> None:
        """SIGKILL. The embedded broker never ends the session of a dead member, so this does it for it."""
        worker.end(signal.SIGKILL)
        if self.embedded:
            await evict(self.broker, self.group, self.group)

    async def until(
        self, ask: Callable[[], Any], what: str, deadline_s: float = 40.0, *, every_s: float = 0.05
    ) -> None:
        """Ask in a thread, again and again, until the answer is true; fails with the logs at the deadline."""
        end = time.monotonic() + deadline_s
        while not await asyncio.to_thread(ask):
            if time.monotonic() > end:
                said = "\n".join(f"--- {w.log.name}\n{w.said()[-4000:]}" for w in self.workers)
                raise AssertionError(f"not within {deadline_s} s: {what}\n{said}")
            await asyncio.sleep(every_s)

    async def until_ready(self, *workers: LiveWorker, deadline_s: float = 40.0) -> None:
        """Wait until the workers say that they are ready."""
        for worker in workers:
            await self.until(partial(_is_ready, worker), f"{worker.log.name} is ready", deadline_s)

    def owner_of(self, topic: str) -> LiveWorker | None:
        """The worker that reads a topic's first partition."""
        for worker in self.workers:
            found = worker.metrics() or {} if worker.runs() else {}
            if any(
                k[0] == "headwater_consumer_lag_records"
                and dict(k[1])["topic"] == topic
                and dict(k[1])["partition"] == "0"
                for k in found
            ):
                return worker
        return None

    def coordinator(self) -> LiveWorker | None:
        """The worker that owns the control topic."""
        return self.owner_of(CONTROL)

    async def until_more_credits(self, worker: LiveWorker, deadline_s: float = 60.0) -> None:
        """Wait until this process of the worker has sent credit rows."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            if await asyncio.to_thread(worker.total, "headwater_credits_emitted_total") > 0:
                return
            assert worker.process is not None and worker.process.poll() is None, worker.said()[-4000:]
            await asyncio.sleep(0.05)
        raise AssertionError(f"no credits within {deadline_s} s; the worker said:\n{worker.said()[-4000:]}")

    async def until_done(self, watermark_ms: int, deadline_s: float = 90.0) -> None:
        """Wait until nothing lags and every journal partition has come to the instant.

        Seen several times in a row: what one agent has just written lags only once the next has fetched.
        """
        end, seen = time.monotonic() + deadline_s, 0
        while True:
            running = [worker for worker in self.workers if worker.process is not None]
            answers = [await asyncio.to_thread(worker.metrics) for worker in running]
            found = [answer or {} for answer in answers]
            seen = seen + 1 if self._done(found, watermark_ms) else 0
            if seen == DONE_TIMES:
                return
            ended = [w for w in self.workers if w.process is not None and w.process.poll() is not None]
            if ended or time.monotonic() > end:
                said = "\n".join(f"--- {w.log.name}\n{w.said()[-4000:]}" for w in self.workers)
                raise AssertionError(f"not done after {deadline_s} s: {self._progress(found)}\n{said}")
            await asyncio.sleep(0.1)

    def _progress(self, found: Sequence[Mapping[tuple[str, Any], float]]) -> dict[str, Any]:
        lag = {f"{k[0]} {dict(k[1])}": v for m in found for k, v in m.items() if "lag" in k[0] and v}
        marks = [v for m in found for k, v in m.items() if k[0] == "headwater_watermark_timestamp_seconds"]
        return {"lag": lag, "watermarks": marks}

    def _done(self, found: Sequence[Mapping[tuple[str, Any], float]], watermark_ms: int) -> bool:
        lags = [v for m in found for k, v in m.items() if k[0] == "headwater_consumer_lag_records"]
        marks = [v for m in found for k, v in m.items() if k[0] == "headwater_watermark_timestamp_seconds"]
        # sources, control, journal and partials; identity, which every worker follows
        expected = 3 * self.partitions + 1 + 2 * self.partitions + len(found)
        return (
            len(lags) == expected
            and not any(lags)
            and len(marks) == self.partitions
            and min(marks) >= watermark_ms / 1000
        )

    async def read(self, topic: str) -> list[Any]:
        """Every record of a topic, partition by partition."""
        from aiokafka import TopicPartition

        async with consumer(self.broker) as reader:
            await reader._client.force_metadata_update()
            numbers = sorted(reader.partitions_for_topic(self.prefix + topic) or range(self.partitions))
            tps = [TopicPartition(self.prefix + topic, p) for p in numbers]
            ends = await reader.end_offsets(tps)
            reader.assign(tps)
            await reader.seek_to_beginning(*tps)
            found: dict[TopicPartition, list[Any]] = {tp: [] for tp in tps}
            end = time.monotonic() + 30.0
            while any([await reader.position(tp) < ends[tp] for tp in tps]):
                assert time.monotonic() < end, "the topic could not be read"
                for tp, records in (await reader.getmany(timeout_ms=200)).items():
                    found[tp] += records
            return [record for tp in tps for record in found[tp]]

    async def count(self, topic: str) -> int:
        """Offsets that a topic has come to, all partitions together."""
        from aiokafka import TopicPartition

        async with consumer(self.broker) as reader:
            tps = [TopicPartition(self.prefix + topic, p) for p in range(self.partitions)]
            return sum((await reader.end_offsets(tps)).values())

    async def by_version(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """What a sink holds that keeps the highest version per key."""
        views = {}
        for topic in ANSWERS:
            views[topic] = compacted(topic, [r.value for r in await self.read(topic) if r.value])
        return views

    async def by_last(self) -> dict[str, dict[str, Mapping[str, Any]]]:
        """What compaction leaves: the last record per key."""
        views = {}
        for topic in ANSWERS:
            views[topic] = last_per_key(topic, await self.read(topic))
        return views

    async def dead_letters(self) -> list[str]:
        """Codes, sorted."""
        found = await self.read(DEAD_LETTERS)
        return sorted(dict(record.headers)["headwater.error.code"].decode() for record in found)

    def stop_all(self) -> None:
        for worker in self.workers:
            if worker.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    worker.end(signal.SIGKILL)


def _is_ready(worker: LiveWorker) -> bool:
    return worker.not_ready() == []


def last_per_key(topic: str, records: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    """The last record per key, tombstones and deleted or retracted rows left out."""
    import orjson

    last: dict[str, Any] = {}
    for record in records:
        row = orjson.loads(record.value) if record.value else None
        key = row["alert_id"] if row and topic == ALERTS else record.key.decode()
        last[key] = row
    return {
        key: stable(row)
        for key, row in last.items()
        if row and not row.get("is_deleted") and row.get("status") != "retracted"
    }


@asynccontextmanager
async def installed(live: Live) -> AsyncIterator[Live]:
    """The installation with its topics; its workers end with it."""
    await live.create_topics()
    try:
        yield live
    finally:
        live.stop_all()
