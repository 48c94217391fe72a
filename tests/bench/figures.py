"""What is measured, and the arithmetic on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one entry in one round, milliseconds."""

    line: str
    per_second: float
    """Events that were sent per second, measured."""
    p50_ms: float
    p99_ms: float
    own_p50_ms: float | None = None
    """From the entry's own histogram over the same time."""
    own_p99_ms: float | None = None


def second_half(
    line: str, events: int, samples: Sequence[Sample], progress: Callable[[Sequence[int]], float]
) -> Throughput:
    """Rate between the first look that shows half of the outputs and the first that shows them all.

    The first half is warm-up for everybody. ``progress`` turns end offsets into the share of the work that is
    visible, 0 to 1. When the second half came between two looks, the earlier one begins it. Raises BenchError when
    the outputs were never all visible.
    """
    done_by = [progress(sample.ends) for sample in samples]
    if not samples or done_by[-1] < 1.0:
        raise BenchError(f"{done_by[-1] if samples else 0:.1%} of the outputs came in time")
    last = next(n for n, done in enumerate(done_by) if done >= 1.0)
    first = min(next(n for n, done in enumerate(done_by) if done >= 0.5), last - 1)
    if first < 0:
        raise BenchError("the outputs were all there at the first look")
    half, whole = samples[first], samples[last]
    done = events * (progress(whole.ends) - progress(half.ends))
    return Throughput(line, events, done / (whole.at_s - half.at_s), (whole.cpu_s - half.cpu_s) / done * 1e6)


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a share ``q`` of all does not exceed (nearest rank). ``values`` must not be empty."""
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


def spread(values: Sequence[float], digits: int = 0) -> str:
    """``median (least-most)``, or the value alone when there is one."""
    middle = f"{median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def per_round(these: Sequence[float], those: Sequence[float]) -> list[float]:
    """Ratios of values of the same round; a round that lacks one is left out."""
    return [this / that for this, that in zip(these, those, strict=False)]
