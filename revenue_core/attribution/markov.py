"""Removal effects in the first-order Markov chain over channels.

A journey starts, goes from channel to channel and ends in conversion or null; the probability of a transition is
its count over all that leave the same state (Anderl, Becker, von Wangenheim, Schumann: Mapping the customer
journey, International Journal of Research in Marketing 33, 2016). The removal effect of a channel c is the part of
all conversions that is lost when whatever enters c goes to null instead:

    RE(c) = 1 - P(conversion without c) / P(conversion) = P(reach c) x P(conversion from c) / P(conversion)

The chain is solved exactly by eliminating its states. Taking a channel out of the chain, each of its inflows
handed on to where it goes next, changes no probability of reaching another state; when c alone is left, RE(c) can
be read off. Halves of the channels are eliminated together, so that all n effects take O(n^3) steps, as many as one
inversion. There is no subtraction anywhere (Grassmann, Taksar, Heyman: Regenerative analysis and steady state
distributions for Markov chains, Operations Research 33, 1985): every effect is right to about n roundings,
however nearly closed a group of channels is. A transition from a channel to itself plays no part at all.
"""

from __future__ import annotations

from math import fsum

from revenue_core.attribution.journeys import NEXT, NULL, START, JourneyCounts

Chain = list[list[float]]
"""Transitions out of the start and out of each channel: to conversion, to null, to each channel in the same order."""


def removal_effects(counts: JourneyCounts) -> dict[str, float]:
    """Channel -> removal effect, 0 to 1, in the order of the channels; a function of the counts, bit for bit.

    Without a conversion every effect is 0; a channel that every way to conversion leads through has exactly 1, and
    so has the only one. Raises ValueError where a channel has no way out, which no whole journey leaves behind.
    """
    channels = counts.channels()
    if not counts.conversions:
        return dict.fromkeys(channels, 0.0)
    return dict(zip(channels, _effects(_chain(counts, channels)), strict=True))


def _chain(counts: JourneyCounts, channels: list[str]) -> Chain:
    rows = [[0.0] * (len(channels) + 2) for _ in range(len(channels) + 1)]
    place = {channel: number for number, channel in enumerate(channels, 1)}
    for (kind, *states), number in counts.transitions():
        if kind == START:
            rows[0][place[states[0]] + 1] = float(number)
        elif kind == NEXT:
            rows[place[states[0]]][place[states[1]] + 1] = float(number)
        else:
            rows[place[states[0]]][kind == NULL] = float(number)
    return rows


def _effects(chain: Chain) -> list[float]:
    """One per channel of the chain, in order."""
    size = len(chain) - 1
    if size == 1:
        return [_effect(*chain)]
    half = size // 2
    return _effects(_first(chain, half)) + _effects(_first(_rotated(chain, half), size - half))


def _effect(start: list[float], channel: list[float]) -> float:
    """Of the only channel that is left."""
    without, _, inflow = start
    won, null, _ = channel
    through = inflow * won / _leaving([won, null])
    return through / (without + through)


def _first(chain: Chain, keep: int) -> Chain:
    """The chain with all but its first channels eliminated, the last one first."""
    rows = [list(row) for row in chain]
    while len(rows) > keep + 1:
        last = rows.pop()[:-1]
        leaving = _leaving(last)
        for row in rows:
            inflow = row.pop()
            if inflow:
                part = inflow / leaving
                row[:] = [direct + part * onward for direct, onward in zip(row, last, strict=True)]
    return rows


def _rotated(chain: Chain, count: int) -> Chain:
    """The chain with its first channels put behind the others."""
    rows = [chain[0], *chain[count + 1 :], *chain[1 : count + 1]]
    return [[*row[:2], *row[count + 2 :], *row[2 : count + 2]] for row in rows]


def _leaving(outflows: list[float]) -> float:
    # fsum, because the built-in sum rounds differently from one Python version to another.
    total = fsum(outflows)
    if not total:
        raise ValueError("a channel has no way out: these are not the counts of whole journeys")
    return total
