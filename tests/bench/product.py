"""Part 2: a real ``headwater worker``, from touchpoint in to acknowledged rows out; how much it takes."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import orjson

from streams.generator import generate
from streams.service import Timing
from streams.topology import CREDITS, JOURNEYS
from tests.bench import data
from tests.bench.cluster import PARTITIONS
from tests.bench.figures import BenchError, Sample, Throughput, second_half
from tests.bench.programs import SAID, Tree, watch
from tests.bench.setup import SEED, Bench
from tests.builders import compacted, final_view
from tests.integration.live import Live, LiveWorker, Sent

IN_ORDER, CONVERSIONS = "touches in order", "generated journeys with conversions"
WORKER = {
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 3_000,
    "tick_ms": 1_000,
    "source_idle_s": 2.0,
}
"""The product's defaults, except that event time waits 2 s for the silent lead and deal topics, not 30 s."""
QUIET_S = 1.5
RUN = 500
View = Mapping[str, Mapping[str, Any]]
"""Key -> row."""


class Traffic:
    """Input and the right answers to it."""

    def __init__(self, line: str, name: str, records: Sequence[Sent], journeys: View, credits_: View) -> None:
        self.line, self.name, self.records = line, name, records
        self.journeys, self.credits = journeys, credits_
        self.touches = sum(row["touches"] for row in journeys.values())


def in_order(bench: Bench) -> Traffic:
    """Touches of many accounts in order, nothing bought."""
    sizes, records = bench.sizes, []
    wanted: dict[str, dict[str, Any]] = {}
    touches = data.visits(SEED, sizes.accounts, data.spread_over_span(sizes.visits))
    for key, value in islice(touches, sizes.visits):
        records.append(Sent("touchpoints", key, value))
        at = orjson.loads(value)["occurred_at"]
        row = wanted.setdefault(key.decode(), {"touches": 0, "first_touch_at_ms": at})
        row |= {"touches": row["touches"] + 1, "last_touch_at_ms": at}
    return Traffic(IN_ORDER, "visits", records, wanted, {})


def with_conversions(bench: Bench) -> Traffic:
    """What the demo sends; the answers are the in-memory executor's."""
    records = [Sent(m.topic, m.key, m.value) for m in generate(SEED, bench.sizes.generated, data.END_MS)]
    in_runs = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)
    events = [(record.topic, record.value) for record in records]
    view = final_view(events, timing=in_runs, run_max=RUN, drain_every=RUN, scored=False)
    columns = ("touches", "contacts", "open_deals", "won_deals")
    journeys = {key: {name: row[name] for name in columns} for key, row in view[JOURNEYS].items()}
    return Traffic(CONVERSIONS, "journeys", records, journeys, view[CREDITS])


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


def check_of(worker: LiveWorker) -> Callable[[], None]:
    """Raises BenchError when the worker has ended."""

    def check() -> None:
        if worker.process is None or worker.process.poll() is not None:
            raise BenchError("the worker has ended")

    return check


async def throughput(bench: Bench, traffic: Traffic, number: int) -> Throughput:
    """One worker on preloaded input, until nothing lags. Raises BenchError."""
    cluster = bench.cluster
    async with installed(bench, f"{traffic.name}-{number}") as live:
        for topic in sorted({record.topic for record in traffic.records}):
            await cluster.load(
                live.prefix + topic, ((key, value) for of, key, value in traffic.records if of == topic)
            )
        worker = live.worker(**WORKER).start()
        assert worker.process is not None
        tree = Tree(worker.process.pid)

        def finished(samples: Sequence[Sample]) -> bool:
            quiet = any(samples[-1].ends) and time.monotonic() - samples[-1].at_s > QUIET_S
            return quiet and nothing_lags(worker)

        samples = await watch(
            cluster, live.prefix + JOURNEYS, tree, check_of(worker), finished, bench.sizes.deadline_s
        )
        worker.end(signal.SIGKILL)
        rows = await cluster.read(live.prefix + JOURNEYS)
        credits_ = await cluster.read(live.prefix + CREDITS)
    problem = differences(traffic, rows, credits_)
    if problem:
        raise BenchError(f"wrong answers: {problem}")
    answered = answered_touches(rows)
    return second_half(
        traffic.line, len(traffic.records), samples, lambda ends: answered(ends) / traffic.touches
    )


def nothing_lags(worker: LiveWorker) -> bool:
    """By the worker's own account: everything read is answered and committed."""
    found = worker.metrics() or {}
    lags = [value for (name, _), value in found.items() if name == "headwater_consumer_lag_records"]
    return bool(lags) and not any(lags)


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


def differences(traffic: Traffic, rows: Iterable[Any], credits_: Iterable[Any]) -> str:
    """What is wrong with the last rows; empty when nothing is."""
    problems = []
    for topic, wanted, records in ((JOURNEYS, traffic.journeys, rows), (CREDITS, traffic.credits, credits_)):
        found = compacted(topic, [record.value for record in records if record.value])
        wrong = [
            key
            for key in sorted(wanted.keys() | found.keys())
            if key not in wanted or key not in found or not wanted[key].items() <= found[key].items()
        ]
        if wrong:
            problems.append(f"{len(wrong)} of {len(wanted)} keys of {topic} end wrong, such as {wrong[:3]}")
    return "; ".join(problems)
