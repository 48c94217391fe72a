"""Part 1: the engine's job in one hop, against plain Faust and a loop by hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import orjson

from tests.bench import data, job
from tests.bench.figures import BenchError, Sample, Throughput, second_half
from tests.bench.programs import ROOT, running, watch
from tests.bench.setup import SEED, Bench

FAUST, LOOP, ENGINE = "plain Faust", "bare aiokafka", "headwater engine"
EXTRA_S = 0.5
"""How long to wait for outputs beyond the expected ones."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A program that does the job."""

    line: str
    name: str
    arguments: tuple[str, ...]
    small: bool = False


ENTRIES = (
    Entry(
        FAUST,
        "faust",
        ("-m", "tests.bench.entries.plain_faust", "worker", "--without-web", "-l", "warn"),
        True,
    ),
    Entry(LOOP, "loop", ("-m", "tests.bench.entries.bare_aiokafka")),
    Entry(ENGINE, "engine", (str(ROOT / "tests" / "bench" / "journey" / "app.py"),)),
)


class Inputs:
    """The input topics and the right answers, made once for all rounds."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.sizes = {True: bench.sizes.faust_events, False: bench.sizes.events}
        self.topics = {True: f"{bench.prefix}small", False: f"{bench.prefix}whole"}
        self.wanted: dict[bool, dict[str, job.Row]] = {}

    async def prepare(self) -> None:
        """Load both, and read the larger one back: brokers are slow at first."""
        sizes, cluster = self.bench.sizes, self.bench.cluster
        await cluster.create(*self.topics.values())
        for small, topic in self.topics.items():
            records = list(islice(data.touches(SEED, sizes.events, sizes.accounts), self.sizes[small]))
            await cluster.load(topic, records)
            self.wanted[small] = job.reference(records)
        if len(await cluster.read(self.topics[False])) != sizes.events:
            raise BenchError("the input is not what was sent")


async def run_entry(inputs: Inputs, entry: Entry, number: int) -> Throughput:
    """One entry once: started, watched, checked, cleaned up. Raises BenchError."""
    bench, events = inputs.bench, inputs.sizes[entry.small]
    app_id = f"{bench.prefix}{entry.name}-{number}"
    output, state = f"{app_id}-out", bench.folder / app_id
    await bench.cluster.create(output)
    state.mkdir()
    environment = {
        "BENCH_BROKER": bench.cluster.broker,
        "BENCH_APP_ID": app_id,
        "BENCH_INPUT": inputs.topics[entry.small],
        "BENCH_OUTPUT": output,
        "BENCH_STATE_DIR": str(state),
        "BENCH_SESSION_TIMEOUT_MS": "10000",
        "BENCH_KEEP": str(job.KEEP),
    }

    def finished(samples: Sequence[Sample]) -> bool:
        return sum(samples[-1].ends) >= events and time.monotonic() - samples[-1].at_s > EXTRA_S

    try:
        async with running(entry.arguments, bench.folder / f"{app_id}.log", environment) as program:
            samples = await watch(
                bench.cluster, output, program.tree, program.check, finished, bench.sizes.deadline_s
            )
        rows = (orjson.loads(record.value) for record in await bench.cluster.read(output))
        problem = job.differences(rows, events, inputs.wanted[entry.small])
    finally:
        await bench.cluster.delete(f"{app_id}-")
    if problem:
        raise BenchError(f"wrong answers: {problem}")
    return second_half(entry.line, events, samples, lambda ends: sum(ends) / events)
