"""What an event costs against how much an account has had, and against how many accounts there are."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from statistics import median
from typing import NamedTuple

import orjson

from streams.clock import now_ms
from streams.topology import JOURNEYS
from tests.bench import data
from tests.bench.cluster import PARTITIONS, Found
from tests.bench.figures import BenchError, Sample, rate_of
from tests.bench.product import MINUTE_MS, WORKER, answered_touches, check_of, installed, quiet, tree_of
from tests.bench.programs import Tree, watch
from tests.bench.report import table
from tests.bench.setup import SEED, Bench
from tests.bench.steps import Rounds, Steps
from tests.integration.live import Live, LiveWorker

WARM = 0.1
"""The share of the touches that is not measured."""
WARM_UP, WARM_UP_DEPTH = "warm", 100
"""Accounts whose touches come first of all: a new worker settles the first runs touch by touch."""


class Kind(NamedTuple):
    """What is measured."""

    accounts: int
    depth: int
    met: int
    """Accounts that the measured touches are about."""

    def __str__(self) -> str:
        met = "" if self.met == self.accounts else f", {self.met:,} of them met"
        return f"{self.accounts:,} accounts, {self.depth:,} touches each{met}"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one burst."""

    kind: Kind
    per_second: float
    cpu_us: float
    rows_per_event: float
    """Rows of account-journeys: a run answers the touches of an account in one."""
    rss_mb: float

    def __str__(self) -> str:
        return (
            f"{self.kind}: {self.per_second:,.0f} events/s, {self.cpu_us:.1f} us of CPU per event, "
            f"{self.rows_per_event:.2f} rows per event, {self.rss_mb:.0f} MB"
        )


class Burst(NamedTuple):
    """What was seen of one."""

    kind: Kind
    touches: Sequence[data.Touch]
    starts: tuple[int, ...]
    """End offsets before it."""
    samples: Sequence[Sample]
    rss_mb: float


def kinds_of(accounts: int, depth: int, met: int) -> list[Kind]:
    """The bursts that one worker gets: about some of its accounts, then about all."""
    return [Kind(accounts, depth, some) for some in dict.fromkeys((min(met, accounts), accounts))]


async def bursts(bench: Bench, accounts: int, depth: int, number: int) -> list[Cost]:
    """A worker handles the history, is quiet, and then gets the measured touches at once. Raises BenchError."""
    cluster, sizes = bench.cluster, bench.sizes
    async with installed(bench, f"cost-{accounts}-{depth}-{number}") as live:
        output = live.prefix + JOURNEYS
        warm = await load_history(bench, live, accounts, depth)
        worker = live.worker(**WORKER).start()
        tree, least = tree_of(worker), accounts + warm // WARM_UP_DEPTH
        await watch(
            cluster, output, tree, check_of(worker), lambda s: quiet(s, least, worker), sizes.deadline_s
        )
        seen = [
            await burst(bench, live, worker, tree, kind)
            for kind in kinds_of(accounts, depth, sizes.met_accounts)
        ]
        worker.end(signal.SIGKILL)
        rows = await cluster.read(output)
    problem = differences(rows, accounts, depth, seen)
    if problem:
        raise BenchError(f"wrong answers: {problem}")
    answered = answered_touches(rows)
    return [cost_of(each, answered(each.starts), answered, sizes.burst) for each in seen]


async def load_history(bench: Bench, live: Live, accounts: int, depth: int) -> int:
    """Append the touches of the day before, those of the warm-up first; returns how many those are."""
    now = now_ms()
    warm_accounts = bench.sizes.backlog // WARM_UP_DEPTH
    warm = warm_accounts * WARM_UP_DEPTH
    begin, middle, end = now - data.DAY_MS, now - data.DAY_MS // 2, now - MINUTE_MS
    first = data.histories(SEED, warm_accounts, WARM_UP_DEPTH, data.evenly(warm, begin, middle), WARM_UP)
    rest = data.histories(SEED, accounts, depth, data.evenly(accounts * depth, middle, end))
    await bench.cluster.load(f"{live.prefix}touchpoints", chain(first, rest))
    return warm


async def burst(bench: Bench, live: Live, worker: LiveWorker, tree: Tree, kind: Kind) -> Burst:
    """Send the touches at once, and look on until all is quiet again."""
    cluster, sizes, output = bench.cluster, bench.sizes, live.prefix + JOURNEYS
    at_once = data.visits(SEED + kind.met, kind.met, lambda _: now_ms())
    touches = list(islice(at_once, sizes.burst))
    starts = await cluster.ends(output)
    least = sum(starts) + 1
    looking = asyncio.ensure_future(
        watch(cluster, output, tree, check_of(worker), lambda s: quiet(s, least, worker), sizes.deadline_s)
    )
    try:
        await cluster.load(f"{live.prefix}touchpoints", touches)
        samples = await looking
    finally:
        looking.cancel()
    return Burst(kind, touches, starts, samples, tree.rss_mb)


def cost_of(seen: Burst, had: int, answered: Callable[[Sequence[int]], int], events: int) -> Cost:
    """Rate and CPU from a tenth of the answers to the last."""
    found = rate_of(
        str(seen.kind),
        events,
        seen.samples,
        lambda ends: (answered(ends) - had) / events,
        after=WARM,
    )
    rows = (sum(seen.samples[-1].ends) - sum(seen.starts)) / events
    return Cost(seen.kind, found.per_second, found.cpu_us, rows, seen.rss_mb)


def differences(rows: Sequence[Found], accounts: int, depth: int, seen: Sequence[Burst]) -> str:
    """Whether every account had its history before the bursts, and has all now; empty when it is so."""
    gained = Counter(touch.key.decode() for each in seen for touch in each.touches)
    before = counted(within(rows, seen[0].starts))
    after = counted(rows)
    for count, more, when in ((before, Counter[str](), "before"), (after, gained, "after")):
        wrong = [account for account, had in count.items() if had != depth + more[account]]
        if len(count) != accounts or wrong:
            return f"{len(count)} accounts {when} the measured touches, {len(wrong)} of them not right"
    return ""


def within(rows: Sequence[Found], ends: Sequence[int]) -> list[Found]:
    """The rows, partition by partition in order, that lie before these offsets."""
    by_partition: list[list[Found]] = [[] for _ in range(PARTITIONS)]
    for row in rows:
        by_partition[row.partition].append(row)
    return [row for found, end in zip(by_partition, ends, strict=True) for row in found[:end]]


def counted(rows: Iterable[Found]) -> dict[str, int]:
    """Account -> touches by its last row; those of the warm-up left out."""
    last: dict[str, int] = {}
    for record in rows:
        if record.value is not None:
            row = orjson.loads(record.value)
            if not row["account_id"].startswith(WARM_UP):
                last[row["account_id"]] = row["touches"]
    return last


async def section(bench: Bench, steps: Steps) -> str:
    """Depths in turn, then numbers of accounts."""
    sizes, met = bench.sizes, bench.sizes.met_accounts
    figures: Rounds[Cost] = Rounds()
    states = [(accounts, depth) for accounts in sizes.deep_accounts for depth in sizes.depths]
    states += [(accounts, sizes.many_depth) for accounts in (met, *sizes.many_accounts)]
    for number in range(1, bench.few + 1):
        for accounts, depth in states:
            step = bursts(bench, accounts, depth, number)
            for cost in await steps.take(str(Kind(accounts, depth, accounts)), step) or ():
                figures.add(str(cost.kind), number, cost)
    deep = [
        cost_table(figures, [Kind(accounts, depth, accounts) for depth in sizes.depths])
        for accounts in sizes.deep_accounts
    ]
    some = [Kind(accounts, sizes.many_depth, met) for accounts in (met, *sizes.many_accounts)]
    every = [Kind(accounts, sizes.many_depth, accounts) for accounts in sizes.many_accounts]
    joined = "\n\n".join(deep)
    gained = " or ".join(f"{sizes.burst // accounts} (of {accounts:,})" for accounts in sizes.deep_accounts)
    return f"""\
Against the touches that an account has had:

{joined}

Against the number of accounts, with the measured touches about the same {met:,}:

{cost_table(figures, some)}

The same, with the measured touches about all accounts:

{cost_table(figures, every)}

Every account first gets its history through the worker itself, and is shown to have it. Once all is quiet,
{sizes.burst:,} touches come at once, spread evenly over the accounts they are about; each gains {gained} while it is
measured. A worker keeps the accounts used last decoded, a few hundred thousand touches in all: where the accounts
that are met have more, each is decoded again. Rate and CPU are those from a tenth of the answers to the last;
the last
column compares CPU per event with the table's first line. A run of up to 500 touches meets fewer accounts twice when
there are more, and then sends and stores more for each event: see rows per event. MB is the most resident memory so
far, history included. A touch on the path of a conversion costs a row per touch besides (R61): see catching up."""


def cost_table(figures: Rounds[Cost], kinds: Sequence[Kind]) -> str:
    """One line per kind, and how far it is from the first."""
    lines = [str(kind) for kind in kinds if figures.of(str(kind))]
    rows = [
        [
            line,
            figures.spread(line, lambda f: f.per_second),
            figures.spread(line, lambda f: f.cpu_us, 1),
            figures.spread(line, lambda f: f.rows_per_event, 2),
            figures.spread(line, lambda f: f.rss_mb),
            figures.ratio(line, lines[0], lambda f: f.cpu_us),
        ]
        for line in lines
    ]
    verdict = ""
    if len(rows) > 1:
        spans = [
            f"{name} within {max(middles) / min(middles) - 1:.0%}"
            for name, middles in (
                ("CPU per event", [median(f.cpu_us for f in figures.of(line)) for line in lines]),
                ("events per second", [median(f.per_second for f in figures.of(line)) for line in lines]),
            )
        ]
        verdict = f"\n\nFrom one end to the other: {', '.join(spans)}."
    return table(["state", "events/s", "CPU us/event", "rows/event", "MB", "CPU x"], rows) + verdict
