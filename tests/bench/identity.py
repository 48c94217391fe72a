"""What identities cost: ordinary traffic that names contacts, a stitch, a large move, and a crowd of visitors."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from revenue_core.identity.observations import GraphConfig
from streams.agents.coordinator import read_control
from streams.agents.links import Links
from streams.clock import now_ms
from streams.effects import Effects
from streams.topology import CONTROL, IDENTITY, JOURNAL, JOURNEYS
from tests.bench import data
from tests.bench.cluster import PARTITIONS, Found
from tests.bench.data import Touch
from tests.bench.figures import BenchError, Latency, Sample, quantile
from tests.bench.flow import steady
from tests.bench.latency import summary
from tests.bench.moves import (
    ORDINARY,
    STITCHED,
    Moving,
    Stitch,
    account_itself,
    contact_of,
    identified,
    moving,
    naming,
    stitches,
    until_nothing_lags,
)
from tests.bench.product import WORKER, check_of, installed, quiet, tree_of
from tests.bench.programs import ROOT, watch
from tests.bench.report import table
from tests.bench.setup import SEED, Bench
from tests.bench.steps import Rounds, Steps
from tests.builders import compacted

IDLE, KNOWN = "names its account", "names a known contact"
SHARE = 50
"""One visitor in so many identifies: 2 %."""
PER_ACCOUNT = 4
"""People that identify for one account."""
DEADLINE_S = 1_200.0
"""Of the crowd and of a move."""


async def ordinary(bench: Bench, line: str, number: int) -> Latency:
    """Latency of touches that name their account, or a contact that the replica knows. Raises BenchError."""
    sizes = bench.sizes
    touches = naming(
        data.visits(SEED + number, sizes.accounts, lambda _: now_ms()),
        contact_of if line == KNOWN else account_itself,
    )
    async with installed(bench, f"ordinary-{line == KNOWN:d}-{number}") as live:
        if line == KNOWN:
            accounts = [f"{data.ACCOUNT}-{n:06}" for n in range(sizes.accounts)]
            known = (identified(n, now_ms(), a, **contact_of(a)) for n, a in enumerate(accounts))
            await bench.cluster.load(f"{live.prefix}leads", known)
        worker = live.worker(**WORKER).start()
        await until_nothing_lags(worker, deadline_s=sizes.deadline_s)
        source, output = f"{live.prefix}touchpoints", live.prefix + JOURNEYS
        async with steady(
            bench, source, output, touches, rate=sizes.rate, check=check_of(worker), backlog=sizes.backlog
        ) as flow:
            await flow.last(sizes.settle_s)
            begin = time.monotonic_ns()
            await flow.last(sizes.measured_s)
            return summary(line, flow, await flow.finish(), begin)


class Crowd(NamedTuple):
    """Many visitors, few of whom identify."""

    events: int
    per_second: float
    rss_mb: float
    journal: float
    """Records per event."""
    control: float
    """Records per 1,000 events,"""
    control_bytes: float
    """and their bytes."""
    published: int
    """Records of the table of identities."""
    links: int
    graph_mb: float
    """What the coordinator holds for the links, its observations in the state left out."""

    def __str__(self) -> str:
        return (
            f"{self.events:,} events: {self.per_second:,.0f}/s, {self.rss_mb:.0f} MB, {self.journal:.2f} journal "
            f"records each; for 1,000 {self.control:.1f} control records, {self.control_bytes:,.0f} bytes; "
            f"{self.published:,} identity records, {self.links:,} links in {self.graph_mb:.1f} MB"
        )


def crowd_events(visitors: int, begin: int, end: int) -> Iterator[tuple[str, Touch]]:
    """(topic, record): a touch of every visitor; one in ``SHARE`` says who it is some visitors later."""
    at_ms = data.evenly(visitors, begin, end)
    touches = naming(data.histories(SEED, visitors, 1, at_ms), lambda _: {})
    for number, touch in enumerate(touches):
        event = {**orjson.loads(touch.value), "anonymous_id": f"visitor-{number:07}"}
        yield "touchpoints", Touch(b"visitor-%07d" % number, orjson.dumps(event))
        if number % SHARE == SHARE - 1:
            who = number - number % SHARE
            ids = {"anonymous_id": f"visitor-{who:07}", "contact_id": f"contact-{who:07}"}
            account = f"acc-{who // SHARE // PER_ACCOUNT:06}"
            yield "leads", identified(number, at_ms(number), account, **ids)


async def crowd(bench: Bench, visitors: int) -> Crowd:
    """One worker on the whole of it. Raises BenchError."""
    cluster = bench.cluster
    async with installed(bench, "crowd") as live:
        now = now_ms()
        for topic in ("leads", "touchpoints"):
            chosen = (e for t, e in crowd_events(visitors, now - data.DAY_MS, now) if t == topic)
            await cluster.load(live.prefix + topic, chosen)
        worker = live.worker(**WORKER).start()
        tree = tree_of(worker)
        topics = [live.prefix + JOURNAL, live.prefix + JOURNEYS]

        def finished(samples: Sequence[Sample]) -> bool:
            return sum(samples[-1].ends[:PARTITIONS]) >= visitors and quiet(samples, visitors, worker)

        samples = await watch(cluster, topics, tree, check_of(worker), finished, DEADLINE_S)
        worker.end(signal.SIGKILL)
        rows = await cluster.read(live.prefix + JOURNEYS)
        control = await read_one(bench, live.prefix + CONTROL)
        published = len(await read_one(bench, live.prefix + IDENTITY))
        journal = sum(await cluster.ends(live.prefix + JOURNAL))
    known = compacted(JOURNEYS, [row.value for row in rows if row.value])
    people = visitors // SHARE
    if (found := sum(row["touches"] for row in known.values())) != people:
        raise BenchError(f"wrong answers: {found} touches of {people} people in accounts")
    events = visitors + people
    begin = next(sample for sample in samples if any(sample.ends))
    seconds = samples[-1].at_s - begin.at_s
    links, graph_mb = graph_of(control)
    size = sum(len(record.value or b"") for record in control)
    return Crowd(
        events, events / seconds, tree.rss_mb, journal / events, len(control) / events * 1000,
        size / events * 1000, published, links, graph_mb,
    )  # fmt: skip


async def read_one(bench: Bench, topic: str) -> list[Found]:
    """Every record of a topic of one partition."""
    found: list[Found] = []
    async with AIOKafkaConsumer(bootstrap_servers=bench.cluster.broker, enable_auto_commit=False) as reader:
        tp = TopicPartition(topic, 0)
        reader.assign([tp])
        await reader.seek_to_beginning(tp)
        end = (await reader.end_offsets([tp]))[tp]
        while await reader.position(tp) < end:
            for record in (await reader.getmany(timeout_ms=500)).get(tp, []):
                found.append(Found(0, record.key, record.value))
    return found


def graph_of(control: Sequence[Found]) -> tuple[int, float]:
    """(links, megabytes that they take in the coordinator): folded again, as the next owner of the topic does."""
    links = Links(GraphConfig(max_links=10, anonymous_ttl_ms=365 * data.DAY_MS))
    count = 0
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for offset, record in enumerate(control):
            said = read_control(record.value)
            if isinstance(said, list):
                count += len(said)
                links.handle(offset, said, Effects())
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return count, (after - before) / 1e6


async def replica(entries: int) -> str:
    """What ``tests.bench.replica`` prints. Raises BenchError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.replica", "--entries", str(entries),
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    if process.returncode:
        raise BenchError("the replica could not be measured")
    return said.decode()


async def section(bench: Bench, steps: Steps) -> str:
    """All of it."""
    sizes = bench.sizes
    late: Rounds[Latency] = Rounds()
    moves: Rounds[Moving] = Rounds()
    for number in range(1, bench.rounds + 1):
        for line in (IDLE, KNOWN):
            late.add(line, number, await steps.take(line, ordinary(bench, line, number)))
    for number in range(1, bench.few + 1):
        moves.add("move", number, await steps.take("move", moving(bench, number)))
    stitch = await steps.take("stitch", stitches(bench, sizes.stitches))
    longer = Steps(max(steps.limit_s, DEADLINE_S))
    longer.failures = steps.failures
    many = await longer.take("crowd", crowd(bench, sizes.visitors))
    said = await steps.take("replica", replica(sizes.replica))
    return f"""\
{ordinary_table(late)}

{sizes.rate:,} touches per second, each of which names its account, or a contact that is known to belong to it, in
turn; after a backlog of {sizes.backlog:,} and {sizes.settle_s:g} s at that rate, {sizes.measured_s:g} s are measured,
from just before the producer is called until another process has the first row that counts the touch. There are
{sizes.accounts:,} accounts with one contact each.

{moves_table(moves)}

Touches of other accounts in the journal partition of the account that moves, {max(sizes.rate // ORDINARY, 50):,} per
second. Seconds are from the merge to the row of the other account that counts all touches.

{stitch_table(stitch)}

A visitor of {STITCHED} touches identifies for an account that has one won deal: from just before the producer is
called to the last credit row of that deal, when all {STITCHED} touches have one. One after another, one worker.

{crowd_table(many)}

Every visitor has one touch, one in {SHARE} says who it is within the next {SHARE} visitors, {PER_ACCOUNT} people for
an account. All lies preloaded, the identifications are read beside the touches, and one worker reads as fast as it
can, coordinator and all: events per second count to the last row, the {WORKER["source_idle_s"]:g} s in which event
time waits for silent sources included; MB is its most resident memory. Journal records include what
accounts are told and hand over. The memory of the links is that of folding the control topic again.

{listed(said)}

A copy of the table of identities in one process, by `python -m tests.bench.replica`."""


def ordinary_table(late: Rounds[Latency]) -> str:
    """How late the answers are."""
    rows = [
        [
            line,
            late.spread(line, lambda f: f.per_second),
            late.spread(line, lambda f: f.p50_ms, 1),
            late.spread(line, lambda f: f.p99_ms, 1),
            late.ratio(line, IDLE, lambda f: f.p50_ms),
            late.ratio(line, IDLE, lambda f: f.p99_ms),
        ]
        for line in (IDLE, KNOWN)
        if late.of(line)
    ]
    return table(["a touch", "events/s", "p50 ms", "p99 ms", "x p50", "x p99"], rows)


def moves_table(moves: Rounds[Moving]) -> str:
    """An account that moves."""
    columns = [
        moves.spread("move", lambda f: f.touches),
        moves.spread("move", lambda f: f.seconds, 1),
        moves.spread("move", lambda f: f.before_ms, 1),
        moves.spread("move", lambda f: f.meanwhile_ms, 1),
    ]
    head = ["an account moves", "touches", "s", "others: p99 ms before", "others: p99 ms meanwhile"]
    return table(head, [["merge", *columns]])


def stitch_table(stitch: Stitch | None) -> str:
    """Seconds until credits are revised."""
    if stitch is None:
        return "Stitching: not measured."
    p50, most = quantile(stitch.seconds, 0.5), max(stitch.seconds)
    return table(
        ["stitch", "times", "p50 s", "longest s"],
        [[f"{STITCHED} touches", f"{len(stitch.seconds)}", f"{p50:.2f}", f"{most:.2f}"]],
    )


def crowd_table(many: Crowd | None) -> str:
    """The visitors."""
    if many is None:
        return "Visitors: not measured."
    rows = [
        ["events", f"{many.events:,}"],
        ["events/s", f"{many.per_second:,.0f}"],
        ["worker, MB", f"{many.rss_mb:.0f}"],
        ["journal records per event", f"{many.journal:.3f}"],
        ["control records per 1,000 events", f"{many.control:.1f}"],
        ["control bytes per 1,000 events", f"{many.control_bytes:,.0f}"],
        ["records of the table of identities", f"{many.published:,}"],
        ["links reported", f"{many.links:,}"],
        ["memory of the links in the coordinator, MB", f"{many.graph_mb:.1f}"],
    ]
    return table(["visitors", "value"], rows)


def listed(said: str | None) -> str:
    """The lines of a program as a list."""
    if said is None:
        return "The copy: not measured."
    head, *lines = said.strip().splitlines()
    return "\n".join([f"- {head}", *(f"- {' '.join(line.split())}" for line in lines)])
