"""The tables of a run as Markdown."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from tests.bench.cluster import PARTITIONS
from tests.bench.figures import Latency, Throughput, per_round, spread
from tests.bench.hop import ENGINE, ENTRIES, FAUST, LOOP
from tests.bench.job import KEEP
from tests.bench.latency import FLOOR, PRODUCT
from tests.bench.product import CONVERSIONS, IN_ORDER
from tests.bench.setup import Sizes

WIDTH = 118
PACKAGES = ("faust-streaming", "aiokafka", "orjson", "pydantic")


@dataclass(slots=True)
class Results:
    """Everything that a run has measured, round by round."""

    hop: list[Throughput] = field(default_factory=list)
    product: list[Throughput] = field(default_factory=list)
    latency: list[Latency] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, figure: Throughput | Latency) -> None:
        """Keep a figure where it belongs."""
        if isinstance(figure, Latency):
            self.latency.append(figure)
        elif figure.line in (IN_ORDER, CONVERSIONS):
            self.product.append(figure)
        else:
            self.hop.append(figure)


def describe(figure: Throughput | Latency) -> str:
    """One line for the terminal."""
    if isinstance(figure, Latency):
        own = (
            ""
            if figure.own_p50_ms is None
            else f", by itself {figure.own_p50_ms:.1f} / {figure.own_p99_ms:.1f} ms"
        )
        return (
            f"{figure.line}: p50 {figure.p50_ms:.1f} ms, p99 {figure.p99_ms:.1f} ms "
            f"at {figure.per_second:,.0f} events/s{own}"
        )
    return f"{figure.line}: {figure.per_second:,.0f} events/s, {figure.cpu_us:.1f} us of CPU per event"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def machine(broker: str, idle: float) -> str:
    """What the figures depend on. ``idle``: share of the CPUs that nobody used just before."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} CPU cores ({platform.machine()}, {platform.system()}), {idle:.0%} idle before the run;\n"
        f"{platform.python_implementation()} {platform.python_version()}; {broker};\n{packages}.\n"
        "The broker, the entry and the measuring processes share these cores."
    )


def hop_table(figures: Sequence[Throughput]) -> str:
    """Part 1: rates, CPU, and ratios to the two others."""

    def of(line: str, column: Callable[[Throughput], float]) -> list[float]:
        return [column(figure) for figure in figures if figure.line == line]

    def rate(line: str) -> list[float]:
        return of(line, lambda figure: figure.per_second)

    rows = []
    for entry in ENTRIES:
        found = [figure for figure in figures if figure.line == entry.line]
        if not found:
            continue
        ratios = [ratio(rate(entry.line), rate(other), 2) for other in (LOOP, FAUST)]
        cpu = spread(of(entry.line, lambda figure: figure.cpu_us), 1)
        rows.append([entry.line, f"{found[0].events:,}", spread(rate(entry.line)), *ratios, cpu])
    return table(["entry", "events", "events/s", f"x {LOOP}", f"x {FAUST}", "CPU us/event"], rows)


def ratio(these: Sequence[float], those: Sequence[float], digits: int) -> str:
    """Median and range of the ratios round by round; a dash where there is nothing to compare."""
    found = per_round(these, those)
    return spread(found, digits) if found else "-"


def product_table(figures: Sequence[Throughput]) -> str:
    """Part 2: what a worker takes."""
    rows = []
    for line in (IN_ORDER, CONVERSIONS):
        found = [figure for figure in figures if figure.line == line]
        if found:
            rates = spread([figure.per_second for figure in found])
            rows.append([line, f"{found[0].events:,}", rates, spread([figure.cpu_us for figure in found], 1)])
    return table(["input", "events", "events/s", "CPU us/event"], rows)


def latency_table(figures: Sequence[Latency]) -> str:
    """Part 2: how late its answers are."""
    rows = []
    for line in (FLOOR, PRODUCT):
        found = [figure for figure in figures if figure.line == line]
        if not found:
            continue
        own = [
            spread([v for v in values if v is not None], 1) if None not in values else "-"
            for values in ([f.own_p50_ms for f in found], [f.own_p99_ms for f in found])
        ]
        p50, p99 = spread([f.p50_ms for f in found], 1), spread([f.p99_ms for f in found], 1)
        rows.append([line, spread([f.per_second for f in found]), p50, p99, *own])
    return table(["entry", "events/s", "p50 ms", "p99 ms", "p50 ms by itself", "p99 ms by itself"], rows)


def wrapped(page: str) -> str:
    """The paragraphs filled to ``WIDTH``; headings, tables and lists as they stand."""
    blocks = [
        block
        if block.startswith(("#", "|", "- "))
        else textwrap.fill(block, WIDTH, break_long_words=False, break_on_hyphens=False)
        for block in page.strip().split("\n\n")
    ]
    return "\n\n".join(blocks) + "\n"


def document(results: Results, sizes: Sizes, rounds: int, facts: str) -> str:
    """The whole page."""
    return wrapped(f"""\
# Performance

Written by `.venv/bin/python -m tests.bench --write`: everything in one run on one broker, rounds: {rounds}, the
entries of a table in turn (A B C, A B C). A figure is the median of the rounds with its range; a ratio is the median
of the ratios round by round. Rates belong to the machine and the hour: compare ratios.

{facts}

## The engine's job: one hop

{hop_table(results.hop)}

One event in, one row out: keep the account's last {KEEP} touches, its energy and its shares by channel; the state is
written durably in the entry's own way. The input is preloaded: {sizes.events:,} touches of up to {sizes.accounts:,}
accounts (Zipf, about 290 bytes, 1 % duplicates). {FAUST} gets the first {sizes.faust_events:,} of them, which favours
it: its accounts are shorter. The rate is that of the second half of the outputs, seen from outside by their end
offsets; CPU is that of the entry's processes over the same time. Every entry's outputs are counted, and the last row
of every account is compared with a reference.

- **{FAUST}**: one agent, one table in memory with its changelog, one awaited send per event.
- **{LOOP}**: a loop by hand in runs of up to 2,000. The whole state of each account that a run touched goes to a
  compacted topic as JSON; offsets are committed behind the acknowledgements. It restores no state and handles no
  rebalance.
- **{ENGINE}**: the job on `streams/engine` with compact binary state, in runs of up to 2,000. Offsets
  are committed behind the acknowledgements; it restores state and handles rebalances.

## The product: two hops

{product_table(results.product)}

One `headwater worker`, {PARTITIONS} partitions, preloaded input: events are validated and classified, written to the
journal by account, folded, answered. The {IN_ORDER} are {sizes.visits:,}, spread evenly over {sizes.accounts:,}
accounts that buy nothing. The {CONVERSIONS} are the demo's traffic: leads, deals, late and repeated
events, unreadable ones, and credits by every model. Events per second are those of the second half of the answered
touches, with the other events in proportion. The last row of every account and every credit row is compared with the
reference.

{latency_table(results.latency)}

{sizes.rate:,} touches per second, one by one and spread as evenly, after a backlog of {sizes.backlog:,} and
{sizes.settle_s:g} s at that rate. Measured are {sizes.measured_s:g} s, from just before the producer is called until
a consumer in another process has the first row of account-journeys that counts the touch. "By itself" is the worker's
own `headwater_end_to_end_latency_seconds` (record timestamp to acknowledged output) over the same time, interpolated
within its buckets. The two hops by hand read the input, write it to a keyed journal, read that, and write one row of
like size and one changelog record per account and run, acknowledged before the commit: the same way, with nothing
decided on it.

`.venv/bin/python -m tests.bench` runs it again (Java 17 and Maven for Apache Kafka, or `--broker HOST:PORT`);
`--quick` only shows that it works.
""")
