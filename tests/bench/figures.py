"""What is measured, and the arithmetic on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import NamedTuple


class BenchError(Exception):
    """A step did not come to its end, or gave wrong answers."""


class Sample(NamedTuple):
    """One look from outside."""

    at_s: float
    """On the monotonic clock."""
    ends: tuple[int, ...]
    """End offset of each partition of the output topic."""
    cpu_s: float
    """User and system time that the process tree has used."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """Of one entry in one round."""

    line: str
    events: int
    per_second: float
    cpu_us: float
    """Microseconds of the process tree per event."""
    rss_mb: float = 0.0
    """Most resident memory of the process tree, megabytes (10^6 bytes)."""

    def __str__(self) -> str:
        return (
            f"{self.line}: {self.per_second:,.0f} events/s, {self.cpu_us:.1f} us of CPU per event, "
            f"{self.rss_mb:.0f} MB"
        )


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one entry in one round, milliseconds."""

    line: str
    per_second: float
    """Events that were sent per second, measured."""
    p50_ms: float
    p99_ms: float
    p999_ms: float
    own_p50_ms: float | None = None
    """From the entry's own histogram over the same time."""
    own_p99_ms: float | None = None

    def __str__(self) -> str:
        own = "" if self.own_p99_ms is None else f", p99 by itself {self.own_p99_ms:.1f} ms"
        return (
            f"{self.line}: p50 {self.p50_ms:.1f}, p99 {self.p99_ms:.1f}, p99.9 {self.p999_ms:.1f} ms "
            f"at {self.per_second:,.0f} events/s{own}"
        )


def rate_of(
    line: str,
    events: int,
    samples: Sequence[Sample],
    progress: Callable[[Sequence[int]], float],
    *,
    after: float = 0.5,
    rss_mb: float = 0.0,
) -> Throughput:
    """Rate between the first look that shows ``after`` of the outputs and the first that shows them all.

    What comes before is warm-up for everybody. ``progress`` turns end offsets into the share of the work that is
    visible, 0 to 1. When all the rest came between two looks, the earlier one begins it. Raises BenchError when
    the outputs were never all visible.
    """
    done_by = [progress(sample.ends) for sample in samples]
    if not samples or done_by[-1] < 1.0:
        raise BenchError(f"{done_by[-1] if samples else 0:.1%} of the outputs came in time")
    last = next(n for n, done in enumerate(done_by) if done >= 1.0)
    first = min(next(n for n, done in enumerate(done_by) if done >= after), last - 1)
    if first < 0:
        raise BenchError("the outputs were all there at the first look")
    begin, whole = samples[first], samples[last]
    done = events * (done_by[last] - done_by[first])
    seconds, cpu_s = whole.at_s - begin.at_s, whole.cpu_s - begin.cpu_s
    return Throughput(line, events, done / seconds, cpu_s / done * 1e6, rss_mb)


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a share ``q`` of all does not exceed (nearest rank). Raises BenchError without values."""
    if not values:
        raise BenchError("nothing was measured")
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


def bucket_quantile(buckets: Mapping[float, float], q: float) -> float:
    """Quantile from cumulative counts by upper bound, linear within a bucket, as PromQL's histogram_quantile.

    Above the largest finite bound, that bound. Raises BenchError when nothing was counted.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        raise BenchError("the histogram is empty")
    for below, bound in pairwise([0.0, *bounds]):
        reached, before = buckets[bound], buckets.get(below, 0.0)
        if reached >= q * total:
            if bound == float("inf"):
                return below
            return below + (bound - below) * (q * total - before) / (reached - before)
    raise AssertionError("cumulative counts end with their total")


def resumed(instants: Iterable[int], since: int, until: int) -> int:
    """When the longest silence within a span ended; instants rise, and the span's beginning counts as one.

    Raises BenchError when nothing came within the span.
    """
    within = [since, *(at for at in instants if since < at <= until)]
    if len(within) < 2:
        raise BenchError("nothing came any more")
    return max(pairwise(within), key=lambda pair: pair[1] - pair[0])[1]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """``median (least-most)``, or the value alone when there is one."""
    middle = f"{median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def per_round(these: Sequence[float], those: Sequence[float]) -> list[float]:
    """Ratios of values of the same round; a round that lacks one is left out."""
    return [this / that for this, that in zip(these, those, strict=False)]
