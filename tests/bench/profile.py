"""Where a microsecond goes: the worker's stacks in the in-order run, sampled by py-spy, shared out by module path."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from streams.embedded import spawn
from streams.embedded.child import end
from tests.bench.figures import BenchError, Throughput
from tests.bench.product import throughput
from tests.bench.report import table
from tests.bench.setup import Bench
from tests.bench.steps import Steps
from tests.integration.live import LiveWorker

RATE = 200
"""Samples a second."""
LEAST = 50
"""Samples without which nothing is said."""
SLACK_S = 30.0
DEEPEST = 6
"""Functions of the list below the table."""


class Rule(NamedTuple):
    """Frames that belong to a part."""

    part: str
    paths: str
    """A pattern of module paths."""


INGEST = (Rule("decode and validate", r"/schemas/|/pydantic"),)
JOURNEY = (
    Rule("rows", r"/streams/agents/rows\.py|/schemas/"),
    Rule("state: decode and encode", r"/streams/(agents/slice|codec\w*|chunks?|segments?|state\w*)\.py"),
    Rule("journal: decode", r"/streams/(journal|translate)\.py"),
)
REST = (
    Rule("produce", r"/streams/engine/(producer|batches|executor|chains)\.py|/aiokafka/(producer|record)/"),
    Rule("fetch", r"/streams/engine/(consumer|ledger|runs|transport|fastpath)\.py|/aiokafka/consumer/"),
    Rule("Kafka connections", r"/aiokafka/"),
    Rule(
        "metrics, topic names, probes", r"/streams/(instrument|metrics|web)\.py|/prometheus_client/|/aiohttp/"
    ),
    Rule("engine, the rest", r"/streams/engine/"),
    Rule("Faust", r"/faust/|/mode/"),
    Rule("event loop", r"/asyncio/"),
)
AGENTS = (
    ("/streams/agents/ingest.py", INGEST, "classify, journal: encode"),
    ("/streams/agents/journey.py", JOURNEY, "fold"),
    ("/streams/agents/journey_run.py", JOURNEY, "fold"),
    ("/streams/agents/coordinator.py", (), "coordinator and totals"),
    ("/streams/agents/totals.py", (), "coordinator and totals"),
)
"""Everything below a frame of the agent: its rules from the leaf on, or the part named last."""


def part_of(stack: Sequence[str]) -> str:
    """The part that a stack (frames, root first) belongs to."""
    for path, rules, default in AGENTS:
        if any(path in frame for frame in stack):
            return first_match(stack, rules) or default
    return first_match(stack, REST) or "other"


def first_match(stack: Sequence[str], rules: Sequence[Rule]) -> str | None:
    """The part of the frame nearest to the leaf that a rule knows."""
    for frame in reversed(stack):
        for rule in rules:
            if re.search(rule.paths, frame):
                return rule.part
    return None


def shares(lines: Iterable[str]) -> tuple[Counter[str], Counter[str]]:
    """Samples by part, and by the function that ran, of py-spy's raw lines: ``frame;frame;frame count``."""
    parts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in lines:
        stacked, _, count = line.rpartition(" ")
        if stacked and count.strip().isdigit():
            stack = stacked.split(";")
            parts[part_of(stack)] += int(count)
            functions[short(stack[-1])] += int(count)
    return parts, functions


def short(frame: str) -> str:
    """``function (file.py)`` without folders and line."""
    name, _, place = frame.partition(" (")
    return f"{name} ({Path(place.partition(':')[0].rstrip(')')).name})"


async def sampled(worker: LiveWorker, seconds: int, file: Path) -> None:
    """Sample the worker for so long. Raises BenchError."""
    assert worker.process is not None
    command = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(worker.process.pid)]
    command += ["--rate", str(RATE), "--duration", str(seconds), "--format", "raw", "--full-filenames"]
    log = file.with_suffix(".log")
    process = await asyncio.to_thread(spawn, [*command, "--output", str(file)], log)
    try:
        await asyncio.to_thread(process.wait, seconds + SLACK_S)
    except subprocess.TimeoutExpired:
        raise BenchError("py-spy does not end") from None
    finally:
        end(process)
    if process.returncode != 0:
        raise BenchError(f"py-spy could not sample: {log.read_text(errors='replace')[-1000:]}")


async def section(bench: Bench, steps: Steps) -> str:
    """One run with the profiler beside it."""
    sizes, file = bench.sizes, bench.folder / "profile.raw"
    run = throughput(bench, 0, sizes.profile_visits, lambda worker: sampled(worker, sizes.profile_s, file))
    figure = await steps.take("profiled run", run)
    if figure is None:
        return "Not measured."
    parts, functions = shares(file.read_text().splitlines())
    total = parts.total()
    if total < LEAST:
        steps.fail("profile", BenchError(f"only {total} samples with work in them"))
        return "Not measured."
    return page(figure, parts, functions, sizes.profile_s)


def page(figure: Throughput, parts: Counter[str], functions: Counter[str], seconds: int) -> str:
    """Shares as a table, with the microseconds that they are of."""
    total = parts.total()
    rows = [
        [part, f"{count / total:.1%}", f"{figure.cpu_us * count / total:.1f}"]
        for part, count in parts.most_common()
    ]
    rows.append(["all", "100.0%", f"{figure.cpu_us:.1f}"])
    top = ", ".join(f"`{name}` {count / total:.1%}" for name, count in functions.most_common(DEEPEST))
    return f"""\
{table(["part", "share", "us/event"], rows)}

{figure.events:,} touches in order, as above; py-spy looks at the worker {RATE} times a second for {seconds} s
and counts the
stacks that run ({total:,}). What C code does counts where Python called it. A stack belongs to the agent that it runs
in, within that to the module nearest to its leaf, by path; outside the agents likewise. Microseconds are the share of
{figure.cpu_us:.1f} us of CPU per event, measured in this run, profiler attached.

Most often at the leaf: {top}."""
