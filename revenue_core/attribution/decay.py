"""Models in which a touch's credit halves with its age."""

from __future__ import annotations

from math import exp2

from revenue_core.paths import Path


def time_decay(half_life_ms: float, path: Path) -> list[float]:
    """Weights 2^(-age / half-life), doubles; normalised they are the shares.

    Ages are counted back from the path's last touch, not from the conversion: the shares are the same, and the
    last touch weighs 1 however long before the conversion it was, so that the sum never vanishes.
    """
    latest = path.touches[-1].at
    return [exp2((touch.at - latest) / half_life_ms) for touch in path.touches]
