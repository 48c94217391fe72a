"""How fast state is restored: one of two workers is killed, then started again."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams.clock import now_ms
from streams.engine.settings import changelog_name
from streams.settings import Settings
from streams.topology import JOURNEYS
from tests.bench import data
from tests.bench.cluster import PARTITIONS
from tests.bench.faults import SESSION_S, kill, owns, partitions_of, rows_again
from tests.bench.figures import BenchError
from tests.bench.flow import Flow, steady
from tests.bench.product import MINUTE_MS, WORKER, check_of, installed, quiet, tree_of
from tests.bench.programs import watch
from tests.bench.report import table
from tests.bench.setup import SEED, Bench
from tests.bench.steps import Rounds, Steps
from tests.integration.live import Live, LiveWorker

AFTER_S = 3.0
"""How long to look on once the partitions have an owner."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Of one store in one round."""

    store: str
    takeover_s: float
    """From the kill to new rows on the last of its partitions, the session timeout left out."""
    takeover_records: int
    """In the changelog partitions that changed hands."""
    takeover_recovery_s: float
    """How long the survivor restored, by its own account."""
    start_s: float
    """From the start of a process to new rows on the last partition it is given."""
    start_records: int
    start_recovery_s: float
    rss_mb: float
    """Most memory of one of the two workers, with half of the accounts."""

    @property
    def per_second(self) -> float:
        """State records restored per second in the takeover."""
        return self.takeover_records / self.takeover_recovery_s

    def __str__(self) -> str:
        return (
            f"{self.store}: rows again {self.takeover_s:.1f} s beyond the session timeout, "
            f"{self.takeover_records:,} records in {self.takeover_recovery_s:.1f} s ({self.per_second:,.0f}/s); "
            f"started again: rows after {self.start_s:.1f} s, {self.start_records:,} records in "
            f"{self.start_recovery_s:.1f} s; {self.rss_mb:.0f} MB"
        )


def stores() -> Sequence[str]:
    """The stores that a worker can be told to use."""
    known = "store" in type(Settings().worker).model_fields
    return ("memory", "rocksdb") if known else ("memory",)


def engine_settings(store: str) -> Mapping[str, Any]:
    """Of a worker with this store."""
    return {**WORKER, "store": store} if len(stores()) > 1 else WORKER


async def filled(bench: Bench, live: Live, workers: Sequence[LiveWorker]) -> float:
    """A touch of every account, handled by both workers; returns the most memory of one of them, megabytes."""
    accounts, now = bench.sizes.restored, now_ms()
    history = data.histories(SEED, accounts, 1, data.evenly(accounts, now - 10 * MINUTE_MS, now))
    await bench.cluster.load(f"{live.prefix}touchpoints", history)
    trees = [tree_of(worker.start()) for worker in workers]

    def look() -> float:
        return max(tree.rss_mb for tree in trees if tree.cpu_s() >= 0)

    await watch(
        bench.cluster,
        live.prefix + JOURNEYS,
        trees[0],
        check_of(*workers),
        lambda found: look() > 0 and quiet(found, accounts, *workers),
        bench.sizes.deadline_s,
    )
    return look()


async def kill_and_start(bench: Bench, store: str, number: int) -> Recovery:
    """Two workers, one killed, one started again. Raises BenchError."""
    sizes = bench.sizes
    async with installed(bench, f"restored-{store}-{number}") as live:
        first, second = (live.worker(**engine_settings(store)) for _ in range(2))
        rss_mb = await filled(bench, live, (first, second))
        theirs = partitions_of(second)
        if not theirs or not partitions_of(first):
            raise BenchError("the partitions were not shared out between the two workers")
        changelog = changelog_name(f"{live.prefix}headwater", "journey")
        source, output = f"{live.prefix}touchpoints", live.prefix + JOURNEYS
        touches = data.visits(SEED + number, sizes.restored, lambda _: now_ms())
        async with steady(
            bench, source, output, touches, rate=sizes.trickle, check=check_of(first, second), known=1
        ) as flow:
            await flow.last(AFTER_S)
            records = await records_in(bench, changelog, theirs)
            died = kill(flow, second, first)
            restored_s = await settled(flow, first, PARTITIONS, sizes.deadline_s)
            started = time.monotonic_ns()
            second.start()
            flow.check = check_of(first, second)
            again_s = await settled(flow, second, 1, sizes.deadline_s)
            given = partitions_of(second)
            again = await records_in(bench, changelog, given)
            end = time.monotonic_ns()
            answers = await flow.finish()
    return Recovery(
        store,
        takeover_s=rows_again(answers, theirs, died, started) - SESSION_S,
        takeover_records=records,
        takeover_recovery_s=restored_s,
        start_s=rows_again(answers, given, started, end),
        start_records=again,
        start_recovery_s=again_s,
        rss_mb=rss_mb,
    )


async def settled(flow: Flow, worker: LiveWorker, partitions: int, deadline_s: float) -> float:
    """Wait until it owns so many partitions and goes on; returns how long it restored, by its own account."""
    await flow.until(lambda: owns(worker, partitions), deadline_s)
    await flow.last(AFTER_S)
    found = worker.metrics() or {}
    seconds = found.get(("headwater_recovery_seconds", ()))
    if not seconds:
        raise BenchError("the worker does not say how long it restored")
    return seconds


async def records_in(bench: Bench, topic: str, partitions: set[int]) -> int:
    """Records that were written to these partitions."""
    ends = await bench.cluster.ends(topic)
    return sum(ends[partition] for partition in partitions)


async def section(bench: Bench, steps: Steps) -> str:
    """Each store in turn."""
    figures: Rounds[Recovery] = Rounds()
    for number in range(1, bench.few + 1):
        for store in stores():
            figures.add(store, number, await steps.take(store, kill_and_start(bench, store, number)))
    columns = (
        ("records", lambda f: f.takeover_records, 0),
        ("s to restore them", lambda f: f.takeover_recovery_s, 1),
        ("records/s", lambda f: f.per_second, 0),
        ("s to new rows", lambda f: f.takeover_s, 1),
        ("started again: records", lambda f: f.start_records, 0),
        ("s to restore", lambda f: f.start_recovery_s, 1),
        ("s to new rows from its start", lambda f: f.start_s, 1),
        ("MB", lambda f: f.rss_mb, 0),
    )
    rows = [
        [store, *(figures.spread(store, column, digits) for _, column, digits in columns)]
        for store in stores()
        if figures.of(store)
    ]
    sizes = bench.sizes
    return f"""\
{table(["store", *(name for name, _, _ in columns)], rows)}

{sizes.restored:,} accounts over two workers, {sizes.trickle} touches per second. One worker is killed (-9);
the other restores
the journey table's records of its partitions. New rows: on the last of those partitions, from the kill, less
the session timeout of {SESSION_S:g} s (counted by the broker from the last heartbeat, up to
{WORKER["heartbeat_interval_ms"] / 1000:g} s before the kill). Then the killed one is started again, with what
its disk holds,
and is given partitions back: its time counts from the start of the process. Seconds to restore are the worker's
`headwater_recovery_seconds`, with the reading of every table and the handlers' preparation. The records are
those ever
written to the partitions' changelogs. MB is the most resident memory of one worker, half of the accounts in it."""
