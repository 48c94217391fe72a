"""The learned models as they are defined, in exact fractions and without regard to cost.

Nothing here is shared with the core. States are tuples, so that no channel can be taken for one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import pairwise, permutations

Journeys = Sequence[tuple[Sequence[str], bool]]
"""(channels in order, never none; whether it converted)."""
State = tuple[str, ...]
Transitions = Counter[tuple[State, State]]

START, WON, NULL = ("start",), ("won",), ("null",)


def transitions_of(journeys: Journeys) -> Transitions:
    found: Transitions = Counter()
    for channels, converted in journeys:
        states = [START, *(("channel", each) for each in channels), WON if converted else NULL]
        found.update(pairwise(states))
    return found


def states_of(transitions: Transitions) -> list[State]:
    return sorted({state for pair in transitions for state in pair} - {WON, NULL})


def probabilities(transitions: Transitions, without: str | None) -> dict[tuple[State, State], Fraction]:
    """Of each transition; what enters the channel ``without`` goes to null."""
    removed = ("channel", without)
    out: Counter[State] = Counter()
    for (state, _), count in transitions.items():
        out[state] += count
    found: dict[tuple[State, State], Fraction] = {}
    for (state, to), count in transitions.items():
        if state != removed or without is None:
            target = NULL if without is not None and to == removed else to
            found[state, target] = found.get((state, target), Fraction(0)) + Fraction(count, out[state])
    return found


def conversion_probability(transitions: Transitions, without: str | None = None) -> Fraction:
    """P(conversion | start): the linear equations of the chain, solved by Gauss and Jordan."""
    chances = probabilities(transitions, without)
    states = [each for each in states_of(transitions) if without is None or each != ("channel", without)]
    rows = [
        [Fraction(int(state == to)) - chances.get((state, to), Fraction(0)) for to in states]
        + [chances.get((state, WON), Fraction(0))]
        for state in states
    ]
    for column in range(len(rows)):
        pivot = next(number for number in range(column, len(rows)) if rows[number][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [each / rows[column][column] for each in rows[column]]
        for number, row in enumerate(rows):
            if number != column and row[column]:
                rows[number] = [a - row[column] * b for a, b in zip(row, rows[column], strict=True)]
    return rows[states.index(START)][-1] if rows else Fraction(0)


def walked(transitions: Transitions, without: str | None = None, steps: int = 3_000) -> float:
    """The same by walking: where all journeys are after each step, until they have ended."""
    chances = {pair: float(chance) for pair, chance in probabilities(transitions, without).items()}
    at: dict[State, float] = {START: 1.0}
    won = 0.0
    for _ in range(steps):
        following: dict[State, float] = {}
        for (state, to), chance in chances.items():
            if state in at:
                following[to] = following.get(to, 0.0) + at[state] * chance
        won += following.pop(WON, 0.0)
        following.pop(NULL, None)
        at = following
    return won


def removal_effects(transitions: Transitions) -> dict[str, Fraction]:
    channels = sorted({state[1] for pair in transitions for state in pair if state[0] == "channel"})
    whole = conversion_probability(transitions)
    if not whole:
        return dict.fromkeys(channels, Fraction(0))
    return {each: 1 - conversion_probability(transitions, each) / whole for each in channels}


def rate(journeys: Journeys, channels: Iterable[str]) -> Fraction:
    """v(S): of the journeys that kept to these channels, the part that converted; 0 when there is none."""
    allowed = set(channels)
    ended = [converted for found, converted in journeys if set(found) <= allowed]
    return Fraction(sum(ended), len(ended)) if ended else Fraction(0)


def average_of_orders(
    players: Iterable[str], worth: Callable[[frozenset[str]], Fraction]
) -> dict[str, Fraction]:
    """The Shapley value of a game by its first definition: the mean of what is added, over every order."""
    orders = list(permutations(sorted(players)))
    added = dict.fromkeys(sorted(players), Fraction(0))
    for order in orders:
        for number, player in enumerate(order):
            before = frozenset(order[:number])
            added[player] += worth(before | {player}) - worth(before)
    return {player: total / len(orders) for player, total in added.items()}


def shapley_values(journeys: Journeys) -> dict[str, Fraction]:
    channels = {channel for found, _ in journeys for channel in found}
    known: dict[frozenset[str], Fraction] = {}

    def worth(chosen: frozenset[str]) -> Fraction:
        if chosen not in known:
            known[chosen] = rate(journeys, chosen)
        return known[chosen]

    return average_of_orders(channels, worth)
