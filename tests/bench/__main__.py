"""The benchmark: ``python -m tests.bench``. Starts its own Apache Kafka unless a broker is given."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]

from streams.clock import now_ms
from streams.topics import BrokerUnreachable
from tests.bench import (
    backlog,
    cost,
    faults,
    hop,
    identity,
    latency,
    learned,
    product,
    profile,
    recovery,
    report,
)
from tests.bench.cluster import Cluster
from tests.bench.programs import ROOT
from tests.bench.setup import FULL, LONG, QUICK, Bench
from tests.bench.steps import Steps
from tests.integration import kafka_local

PAGE = ROOT / "docs" / "performance.md"
GIVEN = "a broker given by --broker"


class Section(NamedTuple):
    """A part of the page."""

    title: str
    measure: Callable[[Bench, Steps], Awaitable[str]]
    """Gives the text below the title."""


SECTIONS = {
    "engine": Section("The engine's job: one hop", hop.section),
    "latency": Section("Latency at a steady rate", latency.section),
    "faults": Section("Latency in a rebalance and after a death", faults.section),
    "recovery": Section("Restoring state", recovery.section),
    "product": Section("The product: two hops", product.section),
    "profile": Section("Where a microsecond goes", profile.section),
    "cost": Section("Cost per event against the size of the state", cost.section),
    "backlog": Section("Catching up with a history", backlog.section),
    "identity": Section("Identity: known contacts, stitches, moves and crowds", identity.section),
    "learned": Section("Fitting the learned models", learned.section),
}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"all, or some of: {', '.join(SECTIONS)}"
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help="tiny data, to see that it works; the figures mean nothing"
    )
    size.add_argument("--long", action="store_true", help="a million accounts where it says something too")
    parser.add_argument(
        "--rounds", type=int, help="of every entry, in turn, long steps half as many; 2 unless --quick"
    )
    parser.add_argument("--broker", metavar="HOST:PORT", help="use this broker instead of starting one")
    parser.add_argument(
        "--write", action="store_true", help=f"put the sections that ran into {PAGE.relative_to(ROOT)}"
    )
    given = parser.parse_args()
    unknown = [name for name in given.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section is called {', '.join(unknown)}: there are {', '.join(SECTIONS)}")
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds must be at least 1")
    if given.write and given.quick:
        parser.error("the figures of --quick are not worth writing down")
    return given


@contextlib.contextmanager
def broker(given: str | None, folder: Path) -> Iterator[tuple[str, str]]:
    """(address, what it is). Raises KafkaUnavailableError."""
    if given:
        yield given, GIVEN
        return
    with kafka_local.LocalKafka(folder / "kafka", heap="768m") as node:
        yield node.address, f"Apache Kafka {kafka_local.VERSION}, one node, started by the benchmark"


async def run(address: str, about: str, folder: Path, given: argparse.Namespace) -> int:
    """Measure section by section, print, write. Returns the exit code."""
    sizes = QUICK if given.quick else LONG if given.long else FULL
    rounds = given.rounds or (1 if given.quick else 2)
    failed = []
    for name in [each for each in SECTIONS if each in (given.sections or SECTIONS)]:
        began = time.monotonic()
        print(f"--- {name}", flush=True)
        idle = 1 - await asyncio.to_thread(psutil.cpu_percent, 1.0) / 100
        facts = report.machine(about, idle, now_ms(), rounds)
        made = folder / name
        made.mkdir()
        bench = Bench(Cluster(address), sizes, made, f"bench{now_ms()}-", rounds)
        steps = Steps(sizes.step_s)
        text = await measured(name, bench, steps, facts)
        print(f"\n{text}[{name}: {time.monotonic() - began:.0f} s]\n", flush=True)
        if steps.failures:
            failed.append(f"{name} ({', '.join(steps.failures)})")
        elif given.write:
            found = PAGE.read_text() if PAGE.exists() else ""
            PAGE.write_text(report.merged(found, {name: text}, list(SECTIONS)))
    if failed:
        print(f"failed, and not written: {'; '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


async def measured(name: str, bench: Bench, steps: Steps, facts: str) -> str:
    """A section's text; empty when it broke off. Whatever it is, the sections after it are measured."""
    section = SECTIONS[name]
    try:
        return report.part(section.title, facts, await section.measure(bench, steps))
    except Exception as error:
        traceback.print_exc()
        steps.fail(name, error)
        return ""
    finally:
        with contextlib.suppress(BrokerUnreachable):
            await bench.cluster.delete(bench.prefix)


def main() -> int:
    """0 when every step came to its end with right answers, else 1; 2 for wrong usage."""
    given = arguments()
    began = time.monotonic()
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as Ctrl-C: topics and processes are cleaned up
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # what matters it raises
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as made:
        folder = Path(made)
        try:
            with broker(given.broker, folder) as (address, about):
                code = asyncio.run(run(address, about, folder, given))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except kafka_local.KafkaUnavailableError as error:
            print(f"Apache Kafka cannot be started: {error}; or give --broker HOST:PORT", file=sys.stderr)
            return 1
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
