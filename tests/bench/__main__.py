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
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError

from streams.clock import now_ms
from streams.topics import BrokerUnreachable
from tests.bench import hop, latency, product, report
from tests.bench.cluster import Cluster
from tests.bench.figures import BenchError, Latency, Throughput
from tests.bench.programs import ROOT
from tests.bench.setup import FULL, QUICK, Bench
from tests.integration import kafka_local

STEP_S = 240.0
"""Longest time of a step with its preparation, check and cleaning up."""
PAGE = ROOT / "docs" / "performance.md"
GIVEN = "a broker given by --broker"
Step = tuple[str, Callable[[], Awaitable[Throughput | Latency]]]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="tiny data, to see that it works; the figures mean nothing"
    )
    parser.add_argument("--rounds", type=int, help="of every entry, in turn; 2 unless --quick")
    parser.add_argument("--broker", metavar="HOST:PORT", help="use this broker instead of starting one")
    parser.add_argument("--write", action="store_true", help=f"write the result to {PAGE.relative_to(ROOT)}")
    given = parser.parse_args()
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


async def measure(bench: Bench, rounds: int) -> report.Results:
    """Every step of every round. A step that fails is noted, and the next one goes on."""
    results = report.Results()
    inputs = hop.Inputs(bench)
    try:
        await inputs.prepare()
        for number in range(1, rounds + 1):
            for entry in hop.ENTRIES:
                await take(results, entry.line, hop.run_entry(inputs, entry, number))
    finally:
        await bench.cluster.delete(bench.prefix)
    traffics = [product.in_order(bench), product.with_conversions(bench)]
    for number in range(1, rounds + 1):
        for traffic in traffics:
            await take(results, traffic.line, product.throughput(bench, traffic, number))
    for number in range(1, rounds + 1):
        await take(results, latency.FLOOR, latency.floor(bench, number))
        await take(results, latency.PRODUCT, latency.product(bench, number))
    return results


async def take(results: report.Results, line: str, step: Awaitable[Throughput | Latency]) -> None:
    """Await a step; say and keep what it gave."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(STEP_S):
            figure = await step
    except (BenchError, BrokerUnreachable, KafkaError, TimeoutError) as error:
        results.failures.append(line)
        print(f"{line}: FAILED: {error!s:.3000} ({type(error).__name__})", file=sys.stderr, flush=True)
        return
    results.add(figure)
    print(f"{report.describe(figure)}  [{time.monotonic() - began:.0f} s]", flush=True)


async def run(address: str, about: str, idle: float, folder: Path, given: argparse.Namespace) -> int:
    """Measure, print, write. Returns the exit code."""
    sizes, rounds = (QUICK, given.rounds or 1) if given.quick else (FULL, given.rounds or 2)
    facts = report.machine(about, idle)
    results = await measure(Bench(Cluster(address), sizes, folder, f"bench{now_ms()}-"), rounds)
    page = report.document(results, sizes, rounds, facts)
    print(f"\n{page}")
    if results.failures:
        print(f"failed: {', '.join(results.failures)}", file=sys.stderr)
        return 1
    if given.write:
        PAGE.write_text(page)
    return 0


def main() -> int:
    """0 when every step came to its end with right answers, else 1; 2 for wrong usage; 4 without a broker."""
    given = arguments()
    began = time.monotonic()
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # as Ctrl-C: topics and processes are cleaned up
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # what matters it raises
    idle = 1 - psutil.cpu_percent(interval=1.0) / 100
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as made:
        folder = Path(made)
        try:
            with broker(given.broker, folder) as (address, about):
                code = asyncio.run(run(address, about, idle, folder, given))
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except kafka_local.KafkaUnavailableError as error:
            print(f"Apache Kafka cannot be started: {error}; or give --broker HOST:PORT", file=sys.stderr)
            return 1
        except BrokerUnreachable as error:
            print(error, file=sys.stderr)
            return 4
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
