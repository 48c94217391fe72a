"""How late answers are while a second worker joins, and after one of the two is killed."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from streams.clock import now_ms
from streams.partitioning import partition_of
from streams.topology import JOURNEYS
from tests.bench.cluster import PARTITIONS
from tests.bench.data import visits
from tests.bench.figures import BenchError, resumed
from tests.bench.flow import Answered, Flow, p99, steady, waits
from tests.bench.product import WORKER, check_of, installed
from tests.bench.report import table
from tests.bench.setup import SEED, Bench
from tests.bench.steps import Rounds, Steps
from tests.integration.live import LiveWorker

LINE = "headwater worker"
SESSION_S = WORKER["session_timeout_ms"] / 1000
MARK = "headwater_watermark_timestamp_seconds"
SECOND_NS = 1e9
APART_S = 1.0
"""Touches sent so shortly before the death may wait for it, and do not count for the rebalance."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A second worker joined, then one of the two was killed."""

    per_second: float
    calm_p99_ms: float
    join_p99_ms: float
    join_longest_s: float
    """Longest that any touch waited in the rebalance."""
    death_p99_s: float
    """Over all touches from the death on, of all partitions."""
    resumed_s: float
    """From the death to the first new row of the last partition taken over, the session timeout left out."""

    def __str__(self) -> str:
        return (
            f"p99 {self.calm_p99_ms:.1f} ms calm, {self.join_p99_ms:.0f} ms with the rebalance "
            f"(longest {self.join_longest_s:.1f} s), {self.death_p99_s:.1f} s with the death; "
            f"rows again {self.resumed_s:.1f} s beyond the session timeout"
        )


def partitions_of(worker: LiveWorker) -> set[int]:
    """Journal partitions that it owns, by its own account."""
    found = worker.metrics() or {}
    return {int(dict(labels)["partition"]) for name, labels in found if name == MARK}


def owns(worker: LiveWorker, count: int) -> bool:
    """Whether it is ready and owns at least so many partitions."""
    found = worker.metrics() or {}
    ready = found.get(("headwater_ready", ()), 0.0) > 0
    return ready and sum(name == MARK for name, _ in found) >= count


def rows_again(answers: list[Answered], partitions: set[int], since_ns: int, until_ns: int) -> float:
    """Seconds from an instant until answers came again on the last of these partitions."""
    ends = []
    for partition in partitions:
        instants = sorted(
            answer.seen_ns
            for answer in answers
            if partition_of(answer.account.encode(), PARTITIONS) == partition
        )
        ends.append(resumed(instants, since_ns, until_ns))
    if not ends:
        raise BenchError("the killed worker owned no partition")
    return (max(ends) - since_ns) / SECOND_NS


async def join_and_death(bench: Bench, number: int) -> Fault:
    """One worker, then two, then one. Raises BenchError."""
    sizes = bench.sizes
    touches = visits(SEED + number, sizes.accounts, lambda _: now_ms())
    async with installed(bench, f"faults-{number}") as live:
        first, second = live.worker(**WORKER).start(), live.worker(**WORKER)
        source, output = f"{live.prefix}touchpoints", live.prefix + JOURNEYS
        async with steady(
            bench, source, output, touches, rate=sizes.rate, check=check_of(first), backlog=sizes.backlog
        ) as flow:
            await flow.last(sizes.settle_s)
            begin = time.monotonic_ns()
            await flow.last(sizes.measured_s / 2)
            joined = time.monotonic_ns()
            second.start()
            flow.check = check_of(first, second)
            await flow.until(lambda: owns(second, 1), sizes.deadline_s)
            await flow.last(max(sizes.join_s - (time.monotonic_ns() - joined) / SECOND_NS, 1.0))
            theirs = partitions_of(second)
            apart = time.monotonic_ns()
            await flow.last(APART_S)
            died = kill(flow, second, first)
            await flow.until(lambda: owns(first, PARTITIONS), sizes.deadline_s)
            await flow.last(max(SESSION_S + sizes.death_s - (time.monotonic_ns() - died) / SECOND_NS, 2.0))
            end = time.monotonic_ns()
            answers = await flow.finish()
    return Fault(
        per_second=flow.per_second(begin),
        calm_p99_ms=p99(answers, begin, joined),
        join_p99_ms=p99(answers, joined, apart),
        join_longest_s=max(waits(answers, joined, apart)) / 1000,
        death_p99_s=p99(answers, died, end) / 1000,
        resumed_s=rows_again(answers, theirs, died, end) - SESSION_S,
    )


def kill(flow: Flow, victim: LiveWorker, survivor: LiveWorker) -> int:
    """SIGKILL; returns when, in nanoseconds of the monotonic clock."""
    flow.check = check_of(survivor)
    died = time.monotonic_ns()
    victim.end(signal.SIGKILL)
    return died


async def section(bench: Bench, steps: Steps) -> str:
    """A rebalance and a death under load."""
    figures: Rounds[Fault] = Rounds()
    for number in range(1, bench.few + 1):
        figures.add(LINE, number, await steps.take("rebalance and death", join_and_death(bench, number)))
    sizes = bench.sizes
    rows = []
    if figures.of(LINE):
        rows = [
            ["one worker, nothing happens: p99 ms", figures.spread(LINE, lambda f: f.calm_p99_ms, 1)],
            ["a second worker joins: p99 ms", figures.spread(LINE, lambda f: f.join_p99_ms)],
            ["a second worker joins: longest wait, s", figures.spread(LINE, lambda f: f.join_longest_s, 1)],
            ["one of two is killed: p99 s", figures.spread(LINE, lambda f: f.death_p99_s, 1)],
            [
                "one of two is killed: s to new rows beyond the session timeout",
                figures.spread(LINE, lambda f: f.resumed_s, 1),
            ],
        ]
    return f"""\
{table(["event", "value"], rows)}

{sizes.rate:,} touches per second flow all the time, of {sizes.accounts:,} accounts. p99 is over all touches
sent from the
start of the second worker's process for {sizes.join_s:g} s or more, and from the kill (-9) for
{SESSION_S + sizes.death_s:g} s or more: the window decides it. The session timeout is {SESSION_S:g} s, and the broker
counts it from the last heartbeat, up to {WORKER["heartbeat_interval_ms"] / 1000:g} s before the kill, so that
new rows
may come before it is over. New rows: on the last of the partitions that the killed worker had."""
