"""Models whose channel values are learned from finished journeys (R32)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from revenue_core.paths import Path


def channel_weights(values: Mapping[str, float], path: Path) -> list[int] | list[float]:
    """One weight per touch of the untransformed path (R32).

    A channel on the path weighs its value, at least 0; unknown channels have 0. Its weight is split equally
    over its touches. Without any value above 0 the weights are equal.
    """
    known = {touch.channel: max(0.0, values.get(touch.channel, 0.0)) for touch in path.touches}
    touches = path.untransformed
    counts = Counter(touch.channel for touch in touches)
    weights = [known.get(touch.channel, 0.0) / counts[touch.channel] for touch in touches]
    return weights if any(weights) else [1] * len(touches)
