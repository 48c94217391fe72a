"""Shapley values of channels (Shapley: A value for n-person games, 1953).

The players are channels, and the worth v(S) of a set of channels is the conversion rate of the journeys whose
channels all lie in S, journeys that ended in nothing included; 0 where there is none. A channel's value is what it
adds to the worth when channels come one after another, on average over all orders:

    value(c) = sum over S without c of |S|! (n - |S| - 1)! / n! x (v(S + c) - v(S))

The values sum to v(all channels), the conversion rate of all journeys. One may be negative: journeys with the
channel convert less often than those without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import comb, fsum, sqrt
from operator import add, truediv
from typing import NamedTuple

from revenue_core.attribution.journeys import JourneyCounts

EXACT_CHANNELS = 12
"""Up to so many channels every set of them is counted."""
ROUNDS = 32
"""How often orders of them are sampled when there are more."""

_MASK = 2**64 - 1


class Estimate(NamedTuple):
    """Values by channel."""

    values: dict[str, float]
    standard_errors: dict[str, float]
    """Of the values; 0 where they are exact."""


def shapley_values(counts: JourneyCounts) -> Estimate:
    """Exact up to 12 channels, above that sampled; a function of the counts, bit for bit.

    Without a conversion every value is 0; the only channel has the conversion rate.
    """
    channels = counts.channels()
    if len(channels) > EXACT_CHANNELS:
        return sampled_values(counts)
    return Estimate(exact_values(counts), dict.fromkeys(channels, 0.0))


def exact_values(counts: JourneyCounts) -> dict[str, float]:
    """Channel -> value, in O(n 2^n) for n channels."""
    channels = counts.channels()
    bit = {channel: 1 << number for number, channel in enumerate(channels)}
    won, ended = [0] * (1 << len(channels)), [0] * (1 << len(channels))
    for members, conversions, nulls in counts.sets():
        mask = sum(bit[channel] for channel in members)
        won[mask] += conversions
        ended[mask] += conversions + nulls
    _sum_subsets(won)
    _sum_subsets(ended)
    worth = [truediv(*pair) if pair[1] else 0.0 for pair in zip(won, ended, strict=True)]
    return dict(zip(channels, _solve(worth), strict=True))


def game_values(worth: Mapping[frozenset[str], float]) -> dict[str, float]:
    """Player -> Shapley value of any game, players sorted, in O(n 2^n).

    ``worth``: coalition -> its worth; coalitions that are left out are worth 0. The values sum to what all players
    are worth together.

    >>> both = frozenset({"left", "right"})
    >>> game_values({both: 1.0})
    {'left': 0.5, 'right': 0.5}
    """
    players = sorted(frozenset().union(*worth))
    bit = {player: 1 << number for number, player in enumerate(players)}
    by_mask = [0.0] * (1 << len(players))
    for coalition, value in worth.items():
        by_mask[sum(bit[player] for player in coalition)] = value
    return dict(zip(players, _solve(by_mask), strict=True))


def sampled_values(counts: JourneyCounts, rounds: int = ROUNDS, seed: int = 0) -> Estimate:
    """The mean over ``rounds`` (at least 2), and its standard error.

    A round is a random order in all its rotations, so that every channel comes first, second and so on equally often
    (stratified by position: Castro, Gomez, Molina, Tejada: Improving polynomial estimation of the Shapley value by
    stratified random sampling, 2017), and all these in reverse, which deviate in the opposite direction (antithetic:
    Mitchell, Cooper, Frank, Holmes: Sampling permutations for Shapley value estimation, 2022). The values of each
    order sum to v(all), and so do their means. The orders depend on the seed and the number of channels alone, so
    that two fits differ by their journeys and not by chance.
    """
    channels = counts.channels()
    size = len(channels)
    added = _Walks(counts, channels)
    samples: list[list[float]] = [[] for _ in channels]
    source = random_bits(seed)
    for _ in range(rounds):
        order = shuffled(size, source)
        rotated = [order[turn:] + order[:turn] for turn in range(size)]
        walks = [added(way) for each in rotated for way in (each, each[::-1])]
        for found, values in zip(samples, zip(*walks, strict=True), strict=True):
            found.append(fsum(values) / (2 * size))
    means = [fsum(found) / rounds for found in samples]
    squares = [fsum((each - mean) ** 2 for each in found) for found, mean in zip(samples, means, strict=True)]
    errors = [sqrt(square / (rounds - 1) / rounds) for square in squares]
    return Estimate(dict(zip(channels, means, strict=True)), dict(zip(channels, errors, strict=True)))


def random_bits(seed: int) -> Iterator[int]:
    """64 random bits at a time, the same on every machine (SplitMix64: Steele, Lea, Flood: Fast splittable
    pseudorandom number generators, 2014)."""
    state = seed & _MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        yield mixed ^ (mixed >> 31)


def shuffled(size: int, source: Iterator[int]) -> list[int]:
    """0 to size - 1 in random order (Fisher and Yates)."""
    order = list(range(size))
    for last in range(size - 1, 0, -1):
        chosen = (next(source) * (last + 1)) >> 64
        order[last], order[chosen] = order[chosen], order[last]
    return order


class _Walks:
    """What each channel adds along an order of all.

    Sets of channels are numbered, and a set of such numbers is the bits of one integer: taking a channel away from
    all sets that are still whole is then a few operations on long integers, however many sets there are.
    """

    def __init__(self, counts: JourneyCounts, channels: Sequence[str]) -> None:
        # Frequent sets first: the high bits of the counts then stand in short integers.
        sets = sorted(counts.sets(), key=lambda each: -(each[1] + each[2]))
        self._all = (1 << len(sets)) - 1
        holding: dict[str, list[int]] = {channel: [] for channel in channels}
        for number, (members, _, _) in enumerate(sets):
            for channel in members:
                holding[channel].append(number)
        self._holding = [_bitmap(holding[channel]) for channel in channels]
        self._won = _planes([conversions for _, conversions, _ in sets])
        self._ended = _planes([conversions + nulls for _, conversions, nulls in sets])

    def __call__(self, order: Sequence[int]) -> list[float]:
        """By channel, for an order of the channels' numbers: the last one is taken away first."""
        whole, added = self._all, [0.0] * len(order)
        won, ended = _weigh(whole, self._won), _weigh(whole, self._ended)
        worth = won / ended if ended else 0.0
        for channel in reversed(order):
            broken = whole & self._holding[channel]
            if not broken:
                continue
            whole ^= broken
            won -= _weigh(broken, self._won)
            ended -= _weigh(broken, self._ended)
            left = won / ended if ended else 0.0
            added[channel] = worth - left
            worth = left
        return added


def _bitmap(numbers: Iterable[int]) -> int:
    bits = bytearray()
    for number in numbers:
        while len(bits) <= number >> 3:
            bits.append(0)
        bits[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(bits, "little")


def _planes(weights: Sequence[int]) -> list[int]:
    """Bit by bit of the weights: the numbers of those that have it."""
    return [
        _bitmap(number for number, weight in enumerate(weights) if weight >> place & 1)
        for place in range(max(weights, default=0).bit_length())
    ]


def _weigh(numbers: int, planes: Sequence[int]) -> int:
    return sum((numbers & plane).bit_count() << place for place, plane in enumerate(planes))


def _sum_subsets(counts: list[int]) -> None:
    """Turn the count of each set, by bit mask, into the sum over its subsets."""
    width = 1
    while width < len(counts):
        for low in range(0, len(counts), 2 * width):
            high = low + width
            counts[high : high + width] = map(add, counts[low:high], counts[high : high + width])
        width *= 2


def _solve(worth: Sequence[float]) -> list[float]:
    """The value of each player, from the worth by bit mask; sums are rounded once, so equals get the same."""
    players = (len(worth) - 1).bit_length()
    by_size = [1 / (players * comb(players - 1, size)) for size in range(players)]
    weights = [by_size[mask.bit_count()] for mask in range(len(worth) - 1)]
    return [
        fsum(
            weights[mask] * (worth[mask | player] - worth[mask])
            for mask in range(len(worth) - 1)
            if not mask & player
        )
        for player in (1 << number for number in range(players))
    ]
