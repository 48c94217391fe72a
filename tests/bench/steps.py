"""Steps of a section: each has its time, and one that fails does not end the others."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from streams.topics import BrokerUnreachable
from tests.bench.figures import BenchError, per_round, spread

T = TypeVar("T")
FAILURES = (BenchError, BrokerUnreachable, KafkaError, KafkaException, TimeoutError, OSError, AssertionError)


class Steps:
    """Runs steps, says what they gave and keeps count of those that failed."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self.failures: list[str] = []

    async def take(self, line: str, step: Awaitable[T]) -> T | None:
        """What the step gives, or None when it failed or took too long."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.limit_s):
                found = await step
        except FAILURES as error:
            self.fail(line, error)
            return None
        said = "\n".join(map(str, found)) if isinstance(found, list) else found or "done"
        print(f"{said}  [{time.monotonic() - began:.0f} s]", flush=True)
        return found

    def fail(self, line: str, error: BaseException) -> None:
        """Note a failure."""
        self.failures.append(line)
        print(f"{line}: FAILED: {error!s:.3000} ({type(error).__name__})", file=sys.stderr, flush=True)


class Rounds(Generic[T]):
    """Figures of lines, round by round."""

    def __init__(self) -> None:
        self.found: dict[str, dict[int, T]] = {}

    def add(self, line: str, number: int, figure: T | None) -> None:
        """Keep a figure; None is a step that failed."""
        if figure is not None:
            self.found.setdefault(line, {})[number] = figure

    def of(self, line: str) -> list[T]:
        """A line's figures."""
        return list(self.found.get(line, {}).values())

    def spread(self, line: str, column: Callable[[T], float], digits: int = 0) -> str:
        """Median and range of a column; a dash where there is nothing."""
        values = [column(figure) for figure in self.of(line)]
        return spread(values, digits) if values else "-"

    def ratio(self, line: str, other: str, column: Callable[[T], float]) -> str:
        """Median and range of the ratios of rounds that both have; a dash where there is nothing to compare."""
        these, those = self.found.get(line, {}), self.found.get(other, {})
        both = sorted(these.keys() & those.keys())
        ratios = per_round([column(these[n]) for n in both], [column(those[n]) for n in both])
        return spread(ratios, 2) if ratios else "-"
