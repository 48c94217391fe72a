"""A real ``headwater worker``, from touchpoint in to acknowledged rows out: how much it takes in order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import orjson

from streams.clock import now_ms
from streams.topology import CREDITS, JOURNEYS
from tests.bench import data
from tests.bench.cluster import PARTITIONS
from tests.bench.figures import BenchError, Sample, Throughput, rate_of
from tests.bench.programs import SAID, Tree, watch
from tests.bench.report import table
from tests.bench.setup import SEED, Bench
from tests.bench.steps import Rounds, Steps
from tests.builders import compacted
from tests.integration.live import Live, LiveWorker

IN_ORDER = "touches in order"
WORKER: Mapping[str, Any] = {
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 3_000,
    "tick_ms": 1_000,
    "source_idle_s": 2.0,
}
"""The product's defaults, except that event time waits 2 s for the silent lead and deal topics, not 30 s."""
QUIET_S = 4.0
"""Longer than event time waits for silent sources, with the tick behind it."""
MINUTE_MS = 60_000
View = Mapping[str, Mapping[str, Any]]
"""Key -> row."""


@asynccontextmanager
async def installed(bench: Bench, name: str) -> AsyncIterator[Live]:
    """An installation under a prefix of its own; its workers and topics end with the block."""
    prefix = f"{bench.prefix}{name}-"
    folder = bench.folder / name
    folder.mkdir()
    live = Live(bench.cluster.broker, prefix, folder, embedded=False, partitions=PARTITIONS)
    try:
        await live.create_topics()
        yield live
    except BenchError as error:
        said = "\n".join(worker.said()[-SAID:] for worker in live.workers)
        raise BenchError(f"{error}\n{said}".rstrip()) from None
    finally:
        live.stop_all()
        await bench.cluster.delete(prefix)


def check_of(*workers: LiveWorker) -> Callable[[], None]:
    """Raises BenchError when one of the workers has ended."""

    def check() -> None:
        for worker in workers:
            if worker.process is None or worker.process.poll() is not None:
                raise BenchError(f"a worker has ended: {worker.log.name}")

    return check


def tree_of(worker: LiveWorker) -> Tree:
    """Its processes."""
    assert worker.process is not None
    return Tree(worker.process.pid)


def nothing_lags(*workers: LiveWorker) -> bool:
    """By the workers' own account: everything read is answered and committed."""
    for worker in workers:
        found = worker.metrics() or {}
        lags = [value for (name, _), value in found.items() if name == "headwater_consumer_lag_records"]
        if not lags or any(lags):
            return False
    return True


def quiet(samples: Sequence[Sample], least: int, *workers: LiveWorker) -> bool:
    """Whether at least so many outputs are there, none has come for a while, and nothing lags."""
    there = sum(samples[-1].ends) >= max(least, 1)
    return there and time.monotonic() - samples[-1].at_s > QUIET_S and nothing_lags(*workers)


async def throughput(
    bench: Bench, number: int, visits: int, beside: Callable[[LiveWorker], Awaitable[None]] | None = None
) -> Throughput:
    """One worker on preloaded touches of accounts that buy nothing, until nothing lags. Raises BenchError.

    ``beside`` is begun with the first row and awaited.
    """
    cluster, sizes = bench.cluster, bench.sizes
    async with installed(bench, f"visits-{number}") as live:
        wanted = await load_visits(bench, live, visits)
        worker = live.worker(**WORKER).start()
        tree = tree_of(worker)
        output = live.prefix + JOURNEYS
        started: list[asyncio.Future[None]] = []

        def finished(samples: Sequence[Sample]) -> bool:
            if beside is not None and not started and any(samples[-1].ends):
                started.append(asyncio.ensure_future(beside(worker)))
            return quiet(samples, len(wanted), worker)

        try:
            samples = await watch(cluster, output, tree, check_of(worker), finished, sizes.deadline_s)
            for task in started:
                await task
        finally:
            for task in started:
                task.cancel()
        worker.end(signal.SIGKILL)
        rows = await cluster.read(output)
        problem = differences(JOURNEYS, wanted, rows) or differences(
            CREDITS, {}, await cluster.read(live.prefix + CREDITS)
        )
    if problem:
        raise BenchError(f"wrong answers: {problem}")
    answered = answered_touches(rows)
    return rate_of(IN_ORDER, visits, samples, lambda ends: answered(ends) / visits, rss_mb=tree.rss_mb)


async def load_visits(bench: Bench, live: Live, count: int) -> dict[str, dict[str, Any]]:
    """Touches of the last minutes; returns account -> what its last row must say."""
    wanted: dict[str, dict[str, Any]] = {}
    now = now_ms()
    at_ms = data.evenly(count, now - 5 * MINUTE_MS, now)

    def records() -> Iterable[tuple[bytes, bytes]]:
        for key, value in islice(data.visits(SEED, bench.sizes.accounts, at_ms), count):
            at = orjson.loads(value)["occurred_at"]
            row = wanted.setdefault(key.decode(), {"touches": 0, "first_touch_at_ms": at})
            row |= {"touches": row["touches"] + 1, "last_touch_at_ms": at}
            yield key, value

    await bench.cluster.load(f"{live.prefix}touchpoints", records())
    return wanted


def answered_touches(rows: Iterable[Any]) -> Callable[[Sequence[int]], int]:
    """End offsets of account-journeys -> touches answered by then, from all its records in order.

    A run answers the touches of an account in one row, which says how many touches the account has had.
    """
    known: dict[str, int] = {}
    until: dict[int, list[int]] = {partition: [0] for partition in range(PARTITIONS)}
    for record in rows:
        gained = 0
        if record.value is not None:
            row = orjson.loads(record.value)
            gained = max(row["touches"] - known.get(row["account_id"], 0), 0)
            known[row["account_id"]] = known.get(row["account_id"], 0) + gained
        until[record.partition].append(until[record.partition][-1] + gained)
    return lambda ends: sum(until[partition][end] for partition, end in enumerate(ends))


def differences(topic: str, wanted: View, records: Iterable[Any]) -> str:
    """What is wrong with the last rows of a topic; empty when nothing is."""
    found = compacted(topic, [record.value for record in records if record.value])
    wrong = [
        key
        for key in sorted(wanted.keys() | found.keys())
        if key not in wanted or key not in found or not wanted[key].items() <= found[key].items()
    ]
    return f"{len(wrong)} of {len(wanted)} keys of {topic} end wrong, such as {wrong[:3]}" if wrong else ""


async def section(bench: Bench, steps: Steps) -> str:
    """What a worker takes."""
    figures: Rounds[Throughput] = Rounds()
    for number in range(1, bench.rounds + 1):
        figures.add(
            IN_ORDER, number, await steps.take(IN_ORDER, throughput(bench, number, bench.sizes.visits))
        )
    rows = []
    for figure in figures.of(IN_ORDER)[:1]:
        columns = [
            figures.spread(IN_ORDER, lambda f: f.per_second),
            figures.spread(IN_ORDER, lambda f: f.cpu_us, 1),
            figures.spread(IN_ORDER, lambda f: f.rss_mb),
        ]
        rows.append([IN_ORDER, f"{figure.events:,}", *columns])
    sizes = bench.sizes
    return f"""\
{table(["input", "events", "events/s", "CPU us/event", "MB"], rows)}

One `headwater worker`, {PARTITIONS} partitions, preloaded input: events are validated and classified, written to the
journal by account, folded, answered. The touches are {sizes.visits:,}, of the last minutes, spread evenly over
{sizes.accounts:,} accounts that buy nothing. Events per second are those of the second half of the answered
touches; MB is
the worker's most resident memory. The last row of every account is compared with the reference. Conversions: see
catching up."""
