"""Catching up with a history: how fast, and how many rows more than the same events gave one by one, in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from streams.generator import SPAN_MS, generate
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from streams.service import Timing
from streams.topology import ANSWERS, CREDITS, JOURNAL, JOURNEYS, PARTIALS
from tests.bench import data
from tests.bench.cluster import PARTITIONS
from tests.bench.figures import BenchError
from tests.bench.product import WORKER, View, check_of, differences, installed, quiet, tree_of
from tests.bench.programs import watch
from tests.bench.report import table
from tests.bench.setup import SEED, Bench
from tests.bench.steps import Rounds, Steps
from tests.builders import compacted, service
from tests.integration.live import Sent

SHUFFLED, STRAIGHT = "90 days, hours shuffled", "90 days as they arrived"
DAYS = 90
HOUR_MS = 3_600_000
RUN = 500
COLUMNS = ("touches", "contacts", "open_deals", "won_deals")
IN_ORDER = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)


@dataclass(frozen=True, slots=True)
class InOrder:
    """What the same events give in the order in which they arrived."""

    rows: Mapping[str, int]
    """Topic -> records."""
    journeys: View
    credits: View


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Of one run."""

    line: str
    events: int
    per_second: float
    cpu_us: float
    rss_mb: float
    rows: Mapping[str, int]

    def __str__(self) -> str:
        return (
            f"{self.line}: {self.per_second:,.0f} events/s, {self.cpu_us:.1f} us of CPU per event, "
            f"{sum(self.rows.values()):,} rows, {self.rss_mb:.0f} MB"
        )


def history(events: int) -> list[tuple[int, Sent]]:
    """(hour of arrival, record) of the first 90 days of a generated world, in order of arrival."""
    begin = data.END_MS - SPAN_MS
    found: list[tuple[int, Sent]] = []
    now = begin
    for message in generate(SEED, events, data.END_MS):
        now = max(now, at_of(message.value))
        if now >= begin + DAYS * data.DAY_MS:
            break
        found.append((now // HOUR_MS, Sent(message.topic, message.key, message.value)))
    return found


def at_of(value: bytes) -> int:
    """Event time, epoch milliseconds; 0 of what cannot be read or lies behind the end of the world."""
    try:
        at = orjson.loads(value)["occurred_at"]
        at_ms = at if isinstance(at, int) else round(datetime.fromisoformat(at).timestamp() * 1000)
    except (ValueError, TypeError, KeyError):
        return 0
    return at_ms if at_ms <= data.END_MS else 0


def in_order(records: Sequence[Sent], drain_every: int) -> InOrder:
    """Handle them in memory, so many at a time."""
    made = service(IN_ORDER, PARTITIONS)
    log = MemoryLog({JOURNAL: PARTITIONS, PARTIALS: PARTITIONS})
    executor = MemoryExecutor(
        made.agents, log, lambda: made.ingest.latest, run_max=RUN, followers=made.followers
    )
    for number, record in enumerate(records, 1):
        log.append(record.topic, None, record.value, made.ingest.latest)
        if number % drain_every == 0:
            executor.drain()
    executor.drain()
    values = {topic: [r.value for r in log.topic(topic)] for topic in ANSWERS}
    views = {topic: compacted(topic, filter(None, values[topic])) for topic in (JOURNEYS, CREDITS)}
    journeys = {key: {name: row[name] for name in COLUMNS} for key, row in views[JOURNEYS].items()}
    return InOrder({topic: len(found) for topic, found in values.items()}, journeys, views[CREDITS])


async def catch_up(bench: Bench, line: str, records: Sequence[Sent], right: InOrder, number: int) -> CaughtUp:
    """One worker on the whole of it, until nothing lags. Raises BenchError."""
    cluster = bench.cluster
    async with installed(bench, f"backlog-{line == SHUFFLED:d}-{number}") as live:
        for topic in sorted({record.topic for record in records}):
            await cluster.load(f"{live.prefix}{topic}", of_topic(records, topic))
        worker = live.worker(**WORKER).start()
        tree = tree_of(worker)
        topics = [live.prefix + topic for topic in (JOURNAL, *ANSWERS)]
        samples = await watch(
            cluster,
            topics,
            tree,
            check_of(worker),
            lambda found: quiet(found, len(right.journeys), worker),
            bench.sizes.deadline_s,
        )
        worker.end(signal.SIGKILL)
        found = {topic: await cluster.read(live.prefix + topic) for topic in (JOURNEYS, CREDITS)}
        rows = {topic: sum(await cluster.ends(live.prefix + topic)) for topic in ANSWERS}
    problem = differences(JOURNEYS, right.journeys, found[JOURNEYS])
    problem = problem or differences(CREDITS, right.credits, found[CREDITS])
    if problem:
        raise BenchError(f"wrong answers: {problem}")
    begin, end = next(sample for sample in samples if any(sample.ends)), samples[-1]
    seconds, cpu_s = end.at_s - begin.at_s, end.cpu_s - begin.cpu_s
    return CaughtUp(line, len(records), len(records) / seconds, cpu_s / len(records) * 1e6, tree.rss_mb, rows)


def of_topic(records: Sequence[Sent], topic: str) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of a topic's records."""
    return ((record.key, record.value) for record in records if record.topic == topic)


async def section(bench: Bench, steps: Steps) -> str:
    """Reference first, then the rounds."""
    arrived = await asyncio.to_thread(history, bench.sizes.history)
    straight = [record for _, record in arrived]
    one_by_one = await asyncio.to_thread(in_order, straight, 1)
    in_runs = await asyncio.to_thread(in_order, straight, RUN)
    print(
        f"in order: {sum(one_by_one.rows.values()):,} rows one by one, {sum(in_runs.rows.values()):,} in runs"
    )
    inputs = {STRAIGHT: straight, SHUFFLED: list(data.shuffled_within(arrived, SEED))}
    figures: Rounds[CaughtUp] = Rounds()
    for number in range(1, bench.few + 1):
        for line, records in inputs.items():
            step = catch_up(bench, line, records, in_runs, number)
            figures.add(line, number, await steps.take(line, step))
    speed = [
        [
            line,
            f"{len(records):,}",
            figures.spread(line, lambda f: f.per_second),
            figures.spread(line, lambda f: f.cpu_us, 1),
            figures.spread(line, lambda f: f.rss_mb),
        ]
        for line, records in inputs.items()
        if figures.of(line)
    ]
    return f"""\
{table(["input", "events", "events/s", "CPU us/event", "MB"], speed)}

{rows_table(figures, one_by_one, in_runs)}

The demo's traffic of the first {DAYS} days, {len(straight):,} events: leads, deals, late and repeated events,
unreadable ones, credits by every model. They lie preloaded in their topics, as they arrived or with the events of
each hour shuffled, and one worker reads as fast as each comes. Events per second count from the first journal record
to the last row, the {WORKER["source_idle_s"]:g} s in which event time waits for sources that may have more included.
Amplification is the number of records of the shuffled backlog by that of the same events as they arrived, and by what
they give in memory in the order of their arrival: handled one by one, as live traffic is, and {RUN} at a time. The
last row of every account and every credit row is compared with the run in order."""


def rows_table(figures: Rounds[CaughtUp], one_by_one: InOrder, in_runs: InOrder) -> str:
    """Records by topic, and how many times as many as in order."""
    shuffled, straight = figures.of(SHUFFLED), figures.of(STRAIGHT)
    if not shuffled or not straight:
        return "Rows: not measured."
    counts = (shuffled[-1].rows, straight[-1].rows, one_by_one.rows, in_runs.rows)
    rows = []
    for topic in (*ANSWERS, ""):
        backlog, *others = [of.get(topic, 0) if topic else sum(of.values()) for of in counts]
        if any((backlog, *others)):
            times = [f"{backlog / other:.2f}" if other else "-" for other in others]
            rows.append([topic or "all", *(f"{count:,}" for count in (backlog, *others)), *times])
    names = ["as they arrived", "in order, one by one", f"in order, {RUN} at a time"]
    return table(["rows", "shuffled", *names, *(f"x {name}" for name in names)], rows)
