"""Parameters that have been learned, and which of them are in force when (R44)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import NamedTuple

ENOUGH_WON_JOURNEYS = 200
ALWAYS = -(2**62)
"""Since when parameters are in force that hold for every conversion (ms)."""


class Learned(NamedTuple):
    """One version of the parameters."""

    version: int
    won_journeys: int
    """How many won journeys they were fitted from."""
    markov: Mapping[str, float]
    """Channel -> removal effect."""
    shapley: Mapping[str, float]
    """Channel -> Shapley value; it may be negative."""

    @property
    def low_data(self) -> bool:
        """True below 200 won journeys (R33)."""
        return self.won_journeys < ENOUGH_WON_JOURNEYS


class InForce(NamedTuple):
    """Parameters and the event time (ms) from which on a conversion uses them, until the next ones."""

    since: int
    learned: Learned


ParameterLog = tuple[InForce, ...]
"""In the order of ``since``."""


def always(learned: Learned) -> ParameterLog:
    """The log by which every conversion uses these parameters."""
    return (InForce(ALWAYS, learned),)


def in_force(log: ParameterLog, at: int) -> Learned | None:
    """The parameters of a conversion at an instant (ms); None before the first ones."""
    position = bisect_right(log, at, key=lambda each: each.since)
    return log[position - 1].learned if position else None
