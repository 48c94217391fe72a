"""Models that give everything to one touch."""

from __future__ import annotations

from revenue_core.channel_data import DIRECT
from revenue_core.paths import Path


def first_touch(path: Path) -> list[int]:
    """All to the path's first touch."""
    return _only(0, len(path.touches))


def last_touch(path: Path) -> list[int]:
    """All to the path's last touch."""
    size = len(path.touches)
    return _only(size - 1, size)


def last_non_direct(path: Path) -> list[int]:
    """All to the last touch whose channel is not Direct; if all are, to the last touch."""
    touches = path.touches
    for index in range(len(touches) - 1, -1, -1):
        if touches[index].channel != DIRECT:
            return _only(index, len(touches))
    return last_touch(path)


def _only(index: int, size: int) -> list[int]:
    weights = [0] * size
    weights[index] = 1
    return weights
