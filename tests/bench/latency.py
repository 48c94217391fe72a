"""How late the answer to a touch is at a steady rate: one hop and two, each beside loops by hand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from streams.clock import now_ms
from streams.topology import JOURNEYS
from tests.bench.data import steady_touches, visits
from tests.bench.figures import Latency, bucket_quantile, quantile
from tests.bench.flow import Answered, Flow, steady, waits
from tests.bench.hop import BY_LINE, COMPACT_LOOP, ENGINE, LOOP, Entry, environment_of, log_of
from tests.bench.product import WORKER, check_of, installed
from tests.bench.programs import running
from tests.bench.report import table
from tests.bench.setup import SEED, Bench
from tests.bench.steps import Rounds, Steps
from tests.integration.live import LiveWorker

HOPS, PRODUCT = "two hops by hand (aiokafka)", "headwater worker"
HOPS_ENTRY = Entry(HOPS, "hops", ("-m", "tests.bench.entries.two_hops"))
HISTOGRAM = "headwater_end_to_end_latency_seconds_bucket"
KEEP = 50
Buckets = dict[float, float]


async def of_entry(bench: Bench, entry: Entry, number: int) -> Latency:
    """An entry that reads one topic and writes another. Raises BenchError."""
    app_id = f"{bench.prefix}paced-{entry.name}-{number}"
    source, output = f"{app_id}-in", f"{app_id}-out"
    sizes = bench.sizes
    make = visits if entry is HOPS_ENTRY else steady_touches
    touches = make(SEED + number, sizes.accounts, lambda _: now_ms())
    try:
        await bench.cluster.create(source, output)
        environment = environment_of(bench, entry, app_id, source, output, KEEP)
        async with (
            running(entry.arguments, log_of(bench, app_id), environment) as program,
            steady(
                bench, source, output, touches, rate=sizes.rate, check=program.check, backlog=sizes.backlog
            ) as flow,
        ):
            await flow.last(sizes.settle_s)
            begin = time.monotonic_ns()
            await flow.last(sizes.measured_s)
            figure = summary(entry.line, flow, await flow.finish(), begin)
    finally:
        await bench.cluster.delete(f"{app_id}-")
    return figure


async def of_product(bench: Bench, number: int) -> Latency:
    """A worker, and what it says of itself. Raises BenchError."""
    sizes = bench.sizes
    touches = visits(SEED + number, sizes.accounts, lambda _: now_ms())
    async with installed(bench, f"paced-{number}") as live:
        worker = live.worker(**WORKER).start()
        source, output = f"{live.prefix}touchpoints", live.prefix + JOURNEYS
        async with steady(
            bench, source, output, touches, rate=sizes.rate, check=check_of(worker), backlog=sizes.backlog
        ) as flow:
            await flow.last(sizes.settle_s)
            before: Buckets = own_buckets(worker)
            begin = time.monotonic_ns()
            await flow.last(sizes.measured_s)
            answers = await flow.finish()
            after = own_buckets(worker)
    own = {bound: count - before.get(bound, 0.0) for bound, count in after.items()}
    p50, p99 = (bucket_quantile(own, q) * 1000 for q in (0.50, 0.99))
    return summary(PRODUCT, flow, answers, begin, p50, p99)


def summary(
    line: str,
    flow: Flow,
    answers: list[Answered],
    since_ns: int,
    own_p50: float | None = None,
    own_p99: float | None = None,
) -> Latency:
    """Of all touches sent since an instant."""
    took = waits(answers, since_ns, time.monotonic_ns())
    p50, p99, p999 = (quantile(took, q) for q in (0.50, 0.99, 0.999))
    return Latency(line, flow.per_second(since_ns), p50, p99, p999, own_p50, own_p99)


def own_buckets(worker: LiveWorker) -> Buckets:
    """The worker's histogram of account-journeys: upper bound in seconds -> count at or below it."""
    found: Mapping[tuple[str, tuple[tuple[str, str], ...]], Any] = worker.metrics() or {}
    buckets = {}
    for (name, labels), value in found.items():
        if name == HISTOGRAM and dict(labels)["output"] == JOURNEYS:
            buckets[float(dict(labels)["le"])] = float(value)
    return buckets


async def section(bench: Bench, steps: Steps) -> str:
    """One hop and two, floors and ours in turn."""
    figures: Rounds[Latency] = Rounds()
    for number in range(1, bench.rounds + 1):
        for line in (LOOP, COMPACT_LOOP, ENGINE):
            figures.add(line, number, await steps.take(line, of_entry(bench, BY_LINE[line], number)))
        figures.add(HOPS, number, await steps.take(HOPS, of_entry(bench, HOPS_ENTRY, number)))
        figures.add(PRODUCT, number, await steps.take(PRODUCT, of_product(bench, number)))
    sizes = bench.sizes
    return f"""\
One hop, the journey job:

{latency_table(figures, (LOOP, COMPACT_LOOP, ENGINE))}

Two hops, the product with its journal:

{latency_table(figures, (HOPS, PRODUCT))}

{sizes.rate:,} touches per second, one by one and spread as evenly over {sizes.accounts:,} accounts, after a
backlog of
{sizes.backlog:,} and {sizes.settle_s:g} s at that rate. Measured are {sizes.measured_s:g} s, from just before
the producer is
called until a consumer in another process has the first row that counts the touch. "By itself" is the worker's
own `headwater_end_to_end_latency_seconds` of account-journeys (record timestamp to acknowledged output) over
the same time,
interpolated within its buckets. The two hops by hand read the input, write it to a keyed journal, read that,
and write
one row of like size and one changelog record per account and run, acknowledged before the commit: the same way, with
nothing decided on it."""


def latency_table(figures: Rounds[Latency], lines: tuple[str, ...]) -> str:
    """How late the answers are."""
    rows = []
    for line in lines:
        found = figures.of(line)
        if found:
            columns = [
                figures.spread(line, column, 1)
                for column in (lambda f: f.p50_ms, lambda f: f.p99_ms, lambda f: f.p999_ms)
            ]
            measured = found[0].own_p50_ms is not None
            own = [
                figures.spread(line, column, 1) if measured else "-"
                for column in (lambda f: f.own_p50_ms or 0.0, lambda f: f.own_p99_ms or 0.0)
            ]
            rows.append([line, figures.spread(line, lambda f: f.per_second), *columns, *own])
    return table(
        ["entry", "events/s", "p50 ms", "p99 ms", "p99.9 ms", "p50 ms by itself", "p99 ms by itself"], rows
    )
