"""Models that look at positions only."""

from __future__ import annotations

from revenue_core.paths import Path


def linear(path: Path) -> list[int]:
    """Equal parts."""
    return [1] * len(path.touches)


def position_based(path: Path) -> list[int]:
    """40% to the first and the last touch, 20% in equal parts to those between; two touches halve."""
    middle = len(path.touches) - 2
    if middle < 1:
        return linear(path)
    return [2 * middle, *[1] * middle, 2 * middle]
