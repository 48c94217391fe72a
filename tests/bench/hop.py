"""The engine's job in one hop, against plain Faust and loops by hand."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import orjson

from tests.bench import data, job
from tests.bench.cluster import PARTITIONS
from tests.bench.figures import BenchError, Sample, Throughput, rate_of
from tests.bench.programs import ROOT, running, watch
from tests.bench.report import table
from tests.bench.setup import SEED, Bench, JobSet
from tests.bench.steps import Rounds, Steps

FAUST, LOOP, ENGINE = "plain Faust", "bare aiokafka", "headwater engine"
COMPACT_LOOP, COMPACT_CONFLUENT = "bare aiokafka, compact state", "bare confluent-kafka, compact state"
CONFLUENT = "bare confluent-kafka"
EXTRA_S = 0.5
"""How long to wait for outputs beyond the expected ones."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A program that does the job."""

    line: str
    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    small: bool = False


def _by_hand(line: str, client: str, state: str) -> Entry:
    return Entry(
        line, f"{client}-{state}", ("-m", f"tests.bench.entries.bare_{client}"), {"BENCH_STATE": state}
    )


ENTRIES = (
    Entry(
        FAUST,
        "faust",
        ("-m", "tests.bench.entries.plain_faust", "worker", "--without-web", "-l", "warn"),
        small=True,
    ),
    _by_hand(LOOP, "aiokafka", "json"),
    _by_hand(CONFLUENT, "confluent", "json"),
    _by_hand(COMPACT_LOOP, "aiokafka", "compact"),
    _by_hand(COMPACT_CONFLUENT, "confluent", "compact"),
    Entry(ENGINE, "engine", (str(ROOT / "tests" / "bench" / "journey" / "app.py"),)),
)
BY_LINE = {entry.line: entry for entry in ENTRIES}


class Input:
    """An input topic and the right answers, made once for all rounds."""

    def __init__(self, bench: Bench, chosen: JobSet, events: int) -> None:
        self.bench, self.chosen, self.events = bench, chosen, events
        self.topic = f"{bench.prefix}job-{chosen.name}-{chosen.keep}-{events}"
        self.wanted: dict[str, job.Row] = {}

    async def prepare(self) -> str:
        """Load it, and read it back: brokers are slow at first."""
        chosen, cluster = self.chosen, self.bench.cluster
        exponent = 0.0 if chosen.name == "deep" else data.ZIPF
        await cluster.create(self.topic)
        whole = data.touches(SEED, chosen.events, chosen.accounts, exponent)
        records = list(islice(whole, self.events))
        await cluster.load(self.topic, records)
        self.wanted = job.reference(records, chosen.keep)
        if len(await cluster.read(self.topic)) != self.events:
            raise BenchError("the input is not what was sent")
        return f"{chosen.name}: {self.events:,} touches of {len(self.wanted):,} accounts"


def environment_of(
    bench: Bench, entry: Entry, app_id: str, source: str, output: str, keep: int
) -> dict[str, str]:
    """What an entry is told."""
    state = bench.folder / app_id
    state.mkdir()
    return {
        "BENCH_BROKER": bench.cluster.broker,
        "BENCH_APP_ID": app_id,
        "BENCH_INPUT": source,
        "BENCH_OUTPUT": output,
        "BENCH_PARTITIONS": str(PARTITIONS),
        "BENCH_STATE_DIR": str(state),
        "BENCH_SESSION_TIMEOUT_MS": "10000",
        "BENCH_KEEP": str(keep),
        **entry.environment,
    }


def log_of(bench: Bench, app_id: str) -> Path:
    """Where an entry's output goes."""
    return bench.folder / f"{app_id}.log"


async def run_entry(given: Input, entry: Entry, number: int) -> Throughput:
    """One entry once: started, watched, checked, cleaned up. Raises BenchError."""
    bench, events, keep = given.bench, given.events, given.chosen.keep
    app_id = f"{bench.prefix}{given.chosen.name}-{keep}-{entry.name}-{number}"
    output = f"{app_id}-out"
    await bench.cluster.create(output)

    def finished(samples: Sequence[Sample]) -> bool:
        return sum(samples[-1].ends) >= events and time.monotonic() - samples[-1].at_s > EXTRA_S

    try:
        environment = environment_of(bench, entry, app_id, given.topic, output, keep)
        async with running(entry.arguments, log_of(bench, app_id), environment) as program:
            samples = await watch(
                bench.cluster, output, program.tree, program.check, finished, bench.sizes.deadline_s
            )
            rss_mb = program.tree.rss_mb
        rows = (orjson.loads(record.value or b"") for record in await bench.cluster.read(output))
        problem = job.differences(rows, events, given.wanted)
    finally:
        await bench.cluster.delete(f"{app_id}-")
    if problem:
        raise BenchError(f"wrong answers: {problem}")
    return rate_of(entry.line, events, samples, lambda ends: sum(ends) / events, rss_mb=rss_mb)


async def section(bench: Bench, steps: Steps) -> str:
    """Every entry on every set, in turn."""
    parts = []
    for position, chosen in enumerate(bench.sizes.sets):
        whole, first = Input(bench, chosen, chosen.events), None
        figures: Rounds[Throughput] = Rounds()
        try:
            if await steps.take(f"input {chosen.name}", whole.prepare()) is None:
                continue
            if position == 0:
                first = Input(bench, chosen, bench.sizes.faust_events)
                await steps.take(f"input of {FAUST}", first.prepare())
            for number in range(1, (bench.few if chosen.few else bench.rounds) + 1):
                for entry in ENTRIES:
                    given = first if entry.small else whole
                    if given is not None and given.wanted:
                        line = f"{chosen.name}, {entry.line}"
                        figures.add(
                            entry.line, number, await steps.take(line, run_entry(given, entry, number))
                        )
        finally:
            await bench.cluster.delete(f"{bench.prefix}job-")
        parts.append(f"{described(chosen)}\n\n{hop_table(figures)}")
    return "\n\n".join([*parts, prose(bench)])


def described(chosen: JobSet) -> str:
    """A set in words."""
    order = "all as often" if chosen.name == "deep" else "Zipf"
    return (
        f"`{chosen.name}`: {chosen.events:,} touches of up to {chosen.accounts:,} accounts ({order}), "
        f"the last {chosen.keep:,} of an account kept."
    )


def hop_table(figures: Rounds[Throughput]) -> str:
    """Rates, CPU, and ratios to the floors and to plain Faust."""
    rows = []
    for entry in ENTRIES:
        found = figures.of(entry.line)
        if found:
            ratios = [
                figures.ratio(entry.line, other, lambda f: f.per_second)
                for other in (LOOP, COMPACT_LOOP, FAUST)
            ]
            rate = figures.spread(entry.line, lambda f: f.per_second)
            cpu = figures.spread(entry.line, lambda f: f.cpu_us, 1)
            memory = figures.spread(entry.line, lambda f: f.rss_mb)
            rows.append([entry.line, f"{found[0].events:,}", rate, *ratios, cpu, memory])
    head = [
        "entry",
        "events",
        "events/s",
        f"x {LOOP}",
        f"x {COMPACT_LOOP}",
        f"x {FAUST}",
        "CPU us/event",
        "MB",
    ]
    return table(head, rows)


def prose(bench: Bench) -> str:
    """What was measured."""
    return f"""\
One event in, one row out: keep the account's last touches, its energy and its shares by channel; the state is
written durably in the entry's own way. The input is preloaded: about 290 bytes a touch, 1 % duplicates. {FAUST} gets
the first {bench.sizes.faust_events:,} of the first set, which favours it: its accounts are shorter. The rate is
that of the second half of the outputs, seen from outside by their end offsets; CPU is that of the entry's
processes over
the same time, MB the most resident memory seen. Every entry's outputs are counted, and the last row of every account
is compared with a reference.

- **{FAUST}**: one agent, one table in memory with its changelog, one awaited send per event.
- **{LOOP}**, **{CONFLUENT}**: a loop by hand in runs of up to 2,000. The whole state of each account that a run
  touched goes to a compacted topic as JSON; offsets are committed behind the acknowledgements. They restore no
  state and handle no rebalance.
- **compact state**: the same loops with the engine's entry's binary state and fold: what the client alone costs.
- **{ENGINE}**: the job on `streams/engine` with compact binary state, in runs of up to 2,000. Offsets are
  committed behind the acknowledgements; it restores state and handles rebalances."""
