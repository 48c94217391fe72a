"""Workers as processes, traffic for them, and the audit of what they did."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.group import LeaveGroupRequest

APP = Path(__file__).with_name("engine_app.py")
INPUT_PARTITIONS, OUTPUT_PARTITIONS = 4, 3
KEYS = 97


class Worker:
    """One worker process of a job."""

    def __init__(self, env: dict[str, str], progress: Path, log: Path, *, embedded: bool) -> None:
        self._env, self.progress, self._log, self._embedded = env, progress, log, embedded
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **env: str) -> Worker:
        assert self.process is None
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(APP)],
                env={**os.environ, **self._env, **env, "PROGRESS": str(self.progress)},
                stdout=log,
                stderr=log,
            )
        return self

    def end(self, number: signal.Signals, deadline_s: float = 20.0) -> int:
        """Send a signal and wait; returns the exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        process.send_signal(number)
        return process.wait(deadline_s)

    async def kill(self) -> None:
        """End the process at once.

        The embedded broker never ends the session of a member that is gone, so this takes it out of the group.
        """
        self.end(signal.SIGKILL)
        if self._embedded:
            await evict(self._env["BROKER"], self._env["APP"], self._env["CLIENT"])

    def terminate(self) -> int:
        return self.end(signal.SIGTERM)

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def exit_code(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of its progress file, of every process it ever was."""
        if not self.progress.exists():
            return []
        lines = [json.loads(line) for line in self.progress.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


class Job:
    """Input, output and changelog of one application, and its workers."""

    def __init__(self, broker: str, name: str, folder: Path, *, embedded: bool = True) -> None:
        self.broker, self.name, self._folder, self._embedded = broker, name, folder, embedded
        self.input, self.output, self.changelog = f"{name}-in", f"{name}-out", f"{name}-counts-changelog"
        self.workers: list[Worker] = []
        self.fed = 0

    async def create_topics(self) -> None:
        await self.create({self.input: INPUT_PARTITIONS, self.output: OUTPUT_PARTITIONS})

    async def create(self, topics: dict[str, int]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()])
        finally:
            await admin.close()

    def worker(self, **env: str) -> Worker:
        """A worker that is not started yet."""
        number = len(self.workers)
        settings = {
            "APP": self.name,
            "CLIENT": f"{self.name}-{number}",
            "BROKER": self.broker,
            "DATA": str(self._folder / f"data{number}"),
            "INPUT": self.input,
            "OUTPUT": self.output,
        }
        found = Worker(
            {**settings, **env},
            self._folder / f"progress{number}",
            self._folder / f"worker{number}.log",
            embedded=self._embedded,
        )
        self.workers.append(found)
        return found

    async def feed(self, count: int, *, per_second: int | None = None) -> None:
        """Append records, numbered from the last one on; each key has one partition."""
        producer = AIOKafkaProducer(bootstrap_servers=self.broker, acks="all")
        await producer.start()
        began, first = time.monotonic(), self.fed
        try:
            for number in range(first, first + count):
                key = number % KEYS
                await producer.send(
                    self.input, b"%d" % number, key=b"k%d" % key, partition=key % INPUT_PARTITIONS
                )
                self.fed = number + 1
                if per_second is not None and not (number - first) % 20:
                    await asyncio.sleep(max(0.0, began + (number - first) / per_second - time.monotonic()))
            await producer.flush()
        finally:
            await producer.stop()

    async def end_offsets(self, topic: str, partitions: int) -> dict[int, int]:
        async with consumer(self.broker) as reader:
            tps = [TopicPartition(topic, p) for p in range(partitions)]
            return {tp.partition: end for tp, end in (await reader.end_offsets(tps)).items()}

    async def output_count(self) -> int:
        return sum((await self.end_offsets(self.output, OUTPUT_PARTITIONS)).values())

    async def committed(self) -> dict[int, int]:
        async with consumer(self.broker, self.name) as reader:
            offsets = {}
            for partition in range(INPUT_PARTITIONS):
                offsets[partition] = await reader.committed(TopicPartition(self.input, partition)) or 0
            return offsets

    async def until_outputs(self, count: int, deadline_s: float = 20.0) -> None:
        await self.until(self.output_count, lambda found: found >= count, deadline_s)

    async def until_done(self, deadline_s: float = 25.0) -> None:
        """Wait until the group has committed everything that was fed."""
        ends = await self.end_offsets(self.input, INPUT_PARTITIONS)
        await self.until(self.committed, lambda found: found == ends, deadline_s)

    async def until(
        self, ask: Callable[[], Any], enough: Callable[[Any], bool], deadline_s: float = 20.0
    ) -> None:
        """Ask again until the answer will do; fails with the workers' logs at the deadline."""
        end = time.monotonic() + deadline_s
        while True:
            answer = ask()
            if asyncio.iscoroutine(answer):
                answer = await answer
            if enough(answer):
                return
            if time.monotonic() > end:
                logs = "\n".join(worker.log()[-3000:] for worker in self.workers)
                raise AssertionError(f"still {answer!r} after {deadline_s} s; workers said:\n{logs}")
            await asyncio.sleep(0.02)

    async def read(self, topic: str, partitions: int) -> list[Any]:
        """All records of a topic, partition by partition."""
        async with consumer(self.broker) as reader:
            tps = [TopicPartition(topic, p) for p in range(partitions)]
            ends = await reader.end_offsets(tps)
            reader.assign(tps)
            await reader.seek_to_beginning(*tps)
            found: dict[TopicPartition, list[Any]] = {tp: [] for tp in tps}
            end = time.monotonic() + 20.0
            while any([await reader.position(tp) < ends[tp] for tp in tps]):
                assert time.monotonic() < end, "the topic could not be read"
                for tp, records in (await reader.getmany(timeout_ms=200)).items():
                    found[tp] += records
            return [record for tp in tps for record in found[tp]]

    async def outputs(self) -> list[Any]:
        return await self.read(self.output, OUTPUT_PARTITIONS)

    async def table(self) -> dict[bytes, int]:
        """Counts per key as the changelog has them."""
        records = await self.read(self.changelog, INPUT_PARTITIONS)
        last = {record.key: record.value for record in records}
        return {key: int(value.split()[0]) for key, value in last.items() if value is not None}

    def true_table(self) -> dict[bytes, int]:
        return dict(Counter(b"k%d" % (number % KEYS) for number in range(self.fed)))

    async def audit(self) -> int:
        """No output lost, table exact; returns how many outputs came more than once."""
        numbers = Counter(int(record.value.split()[0]) for record in await self.outputs())
        lost = set(range(self.fed)) - numbers.keys()
        assert not lost, f"{len(lost)} of {self.fed} outputs lost, the first is {min(lost)}"
        assert numbers.keys() == set(range(self.fed))
        assert await self.table() == self.true_table()
        return sum(numbers.values()) - self.fed

    def stop_all(self) -> None:
        for worker in self.workers:
            if worker.process is not None:
                worker.end(signal.SIGKILL)


@asynccontextmanager
async def started(job: Job) -> AsyncIterator[Job]:
    """The job with its topics; its workers end with it."""
    await job.create_topics()
    try:
        yield job
    finally:
        job.stop_all()


@asynccontextmanager
async def consumer(broker: str, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
    reader = AIOKafkaConsumer(bootstrap_servers=broker, group_id=group, enable_auto_commit=False)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


async def evict(broker: str, group: str, client: str) -> None:
    """Take a client's members out of a group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        coordinator = await admin.find_coordinator(group)
        (described,) = await admin.describe_consumer_groups([group])
        for member_id, client_id, *_ in described.groups[0][5]:
            if client_id == client:
                await admin._client.send(coordinator, LeaveGroupRequest(group, member_id))
    finally:
        await admin.close()


def pids(events: Iterable[dict[str, Any]]) -> set[int]:
    """Processes that wrote these lines."""
    return {event["pid"] for event in events}
