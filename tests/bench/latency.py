"""Part 2: how late the answer to a touch is at a steady rate, beside two hops by hand."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaProducer

from streams.clock import now_ms
from streams.partitioning import partition_of
from streams.topology import JOURNEYS
from tests.bench.cluster import PARTITIONS
from tests.bench.data import Touch, visits
from tests.bench.figures import BenchError, Latency, bucket_quantile, quantile
from tests.bench.product import WORKER, check_of, installed
from tests.bench.programs import Program, running
from tests.bench.setup import SEED, Bench
from tests.integration.live import LiveWorker

FLOOR, PRODUCT = "two hops by hand (aiokafka)", "headwater worker"
HISTOGRAM = "headwater_end_to_end_latency_seconds_bucket"
TICK_S = 0.001
"""Shortest sleep: what falls due meanwhile is sent together."""
Buckets = dict[float, float]


class Paced(NamedTuple):
    """Touches sent at a rate."""

    sent: list[tuple[int, str, int]]
    """(nanoseconds of the monotonic clock just before, account, number of the touch within it)"""
    per_second: float
    measured_from: int
    """Index of the first one that counts."""


async def floor(bench: Bench, number: int) -> Latency:
    """The two loops. Raises BenchError."""
    app_id = f"{bench.prefix}hops-{number}"
    source, output = f"{app_id}-in", f"{app_id}-out"
    environment = {
        "BENCH_BROKER": bench.cluster.broker,
        "BENCH_APP_ID": app_id,
        "BENCH_INPUT": source,
        "BENCH_OUTPUT": output,
    }
    try:
        await bench.cluster.create(source, output)
        arguments = ("-m", "tests.bench.entries.two_hops")
        async with running(arguments, bench.folder / f"{app_id}.log", environment) as program:
            waits, paced = await measure(bench, source, output, program.check, lambda: None, number)
    finally:
        await bench.cluster.delete(f"{app_id}-")
    return Latency(FLOOR, paced.per_second, quantile(waits, 0.50), quantile(waits, 0.99))


async def product(bench: Bench, number: int) -> Latency:
    """A worker, and what it says of itself. Raises BenchError."""
    readings: list[Buckets] = []
    async with installed(bench, f"paced-{number}") as live:
        worker = live.worker(**WORKER).start()
        source, output = f"{live.prefix}touchpoints", live.prefix + JOURNEYS
        waits, paced = await measure(
            bench, source, output, check_of(worker), lambda: readings.append(own_buckets(worker)), number
        )
    before, after = readings
    own = {bound: count - before.get(bound, 0.0) for bound, count in after.items()}
    p50, p99 = (bucket_quantile(own, q) * 1000 for q in (0.50, 0.99))
    return Latency(PRODUCT, paced.per_second, quantile(waits, 0.50), quantile(waits, 0.99), p50, p99)


async def measure(
    bench: Bench,
    source: str,
    output: str,
    check: Callable[[], None],
    look: Callable[[], None],
    number: int,
) -> tuple[list[float], Paced]:
    """Milliseconds from just before produce to receipt, of every touch of the measured time.

    A backlog first, so that nothing is cold; then touches at the rate, to an observer in another process.
    ``look`` is called when the measured time begins and when all is answered.
    """
    sizes = bench.sizes
    touches = visits(SEED + number, sizes.accounts, lambda _: now_ms())
    had: Counter[str] = Counter()
    backlog = list(islice(touches, sizes.backlog))
    had.update(touch.key.decode() for touch in backlog)
    await bench.cluster.load(source, backlog)
    paced_count = int(sizes.rate * (sizes.settle_s + sizes.measured_s))
    seen_file = bench.folder / f"{output}.json"
    arguments = ["-m", "tests.bench.entries.observe", bench.cluster.broker, output, str(PARTITIONS)]
    arguments += [str(len(backlog)), str(len(backlog) + paced_count), str(seen_file)]
    async with running(arguments, bench.folder / f"{output}-observer.log", {}) as observer:
        await until(lambda: "caught up" in observer.said(), (check, observer.check), sizes.deadline_s)
        paced = await pace(bench, source, islice(touches, paced_count), had, look)
        await until(lambda: observer.process.poll() is not None, (check,), sizes.deadline_s)
        look()
        waits = waits_of(paced, seen_file, observer)
    return waits, paced


async def until(reached: Callable[[], bool], checks: Iterable[Callable[[], None]], deadline_s: float) -> None:
    """Wait for a condition. Raises BenchError after the deadline, or what a check raises."""
    deadline = time.monotonic() + deadline_s
    while not reached():
        for check in checks:
            check()
        if time.monotonic() > deadline:
            raise BenchError(f"not all touches were answered in {deadline_s:.0f} s")
        await asyncio.sleep(0.05)


async def pace(
    bench: Bench, topic: str, touches: Iterator[Touch], had: Counter[str], look: Callable[[], None]
) -> Paced:
    """Send at the rate; ``had`` counts the touches of each account before."""
    rate, first_measured = bench.sizes.rate, int(bench.sizes.rate * bench.sizes.settle_s)
    sent: list[tuple[int, str, int]] = []
    producer = AIOKafkaProducer(bootstrap_servers=bench.cluster.broker, acks="all", linger_ms=0)
    looking: asyncio.Future[None] | None = None
    async with producer:
        began = time.monotonic()
        for number, (key, value) in enumerate(touches):
            early = began + number / rate - time.monotonic()
            if early > 0:
                await asyncio.sleep(max(early, TICK_S))
            if number == first_measured:  # beside the sending, which must keep its rate
                looking = asyncio.ensure_future(asyncio.to_thread(look))
            account = key.decode()
            had[account] += 1
            sent.append((time.monotonic_ns(), account, had[account]))
            await producer.send(topic, value, key=key, partition=partition_of(key, PARTITIONS))
        took = time.monotonic() - began
        await producer.flush()
    if looking is not None:
        await looking
    return Paced(sent, len(sent) / took, first_measured)


def waits_of(paced: Paced, seen_file: Path, observer: Program) -> list[float]:
    """Milliseconds; the answer to a touch is the first row that counts it."""
    if observer.process.returncode != 0:
        raise BenchError(f"the observer ended with {observer.process.returncode}")
    return match_answers(paced.sent[paced.measured_from :], orjson.loads(seen_file.read_bytes()))


def match_answers(sent: Iterable[tuple[int, str, int]], seen: Iterable[tuple[int, str, int]]) -> list[float]:
    """Milliseconds between a touch (instant in ns, account, number) and the first row that counts it, each.

    Rows (instant in ns, account, touches) are in order per account. Raises BenchError for a touch without one.
    """
    rows: dict[str, list[tuple[int, int]]] = {}
    for at, account, touches in seen:
        rows.setdefault(account, []).append((touches, at))
    waits = []
    position: dict[str, int] = {}
    for at, account, number in sent:
        answers = rows.get(account, [])
        index = position.get(account, 0)
        while index < len(answers) and answers[index][0] < number:
            index += 1
        if index == len(answers):
            raise BenchError(f"touch {number} of {account} was never answered")
        position[account] = index
        waits.append((answers[index][1] - at) / 1e6)
    return waits


def own_buckets(worker: LiveWorker) -> Buckets:
    """The worker's histogram of account-journeys: upper bound in seconds -> count at or below it."""
    found: Mapping[tuple[str, tuple[tuple[str, str], ...]], Any] = worker.metrics() or {}
    buckets = {}
    for (name, labels), value in found.items():
        if name == HISTOGRAM and dict(labels)["output"] == JOURNEYS:
            buckets[float(dict(labels)["le"])] = float(value)
    return buckets
