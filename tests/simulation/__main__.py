"""Runs schedules by the thousand, or one of them with every step: ``python -m tests.simulation --help``."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter

from tests.simulation.schedule import Result, run, summary

PROGRESS_S = 10.0
CHUNK = 50
SHOWN = 5


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=2_000, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="first seed (%(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: print every step")
    return parser.parse_args()


def _one(seed: int, trace: bool) -> int:
    result = run(seed, trace=print if trace else None)
    print(*result.problems or ["nothing is wrong"], sep="\n")
    print(summary(result.stats))
    return 1 if result.problems else 0


def _results(seeds: range, jobs: int) -> Iterator[Result]:
    if jobs == 1:
        yield from map(run, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run, seeds, chunksize=CHUNK)


def _many(first: int, schedules: int, jobs: int) -> int:
    stats: Counter[str] = Counter()
    failed: list[int] = []
    began = said = perf_counter()
    for done, result in enumerate(_results(range(first, first + schedules), jobs), 1):
        stats += result.stats
        if result.problems:
            failed.append(result.seed)
            print(
                f"seed {result.seed}: {len(result.problems)} problems, first: {result.problems[0]}",
                flush=True,
            )
        if perf_counter() - said > PROGRESS_S:
            said = perf_counter()
            print(f"{done} of {schedules} schedules, {said - began:.0f} s, {len(failed)} failed", flush=True)
    print(summary(stats))
    if failed:
        print(f"FAILED: {len(failed)} seeds: {failed[:SHOWN]}; see: --seed {failed[0]} --trace")
    return 1 if failed else 0


def main() -> int:
    """The command."""
    options = _parse()
    if options.seed is not None:
        return _one(options.seed, options.trace)
    return _many(options.first, options.schedules, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
