"""What fitting the learned models costs, beside the same written as the textbook has it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import combinations, pairwise, permutations
from math import comb, factorial, isclose
from random import Random
from typing import NamedTuple, TypeVar

from revenue_core.attribution.journeys import JourneyCounts
from revenue_core.attribution.markov import removal_effects
from revenue_core.attribution.shapley import ROUNDS, exact_values, random_bits, sampled_values, shuffled
from tests.bench.figures import BenchError
from tests.bench.report import table
from tests.bench.setup import SEED, Bench
from tests.bench.steps import Rounds, Steps

T = TypeVar("T")
Journeys = Sequence[tuple[list[str], bool]]

CHAIN, SAMPLED, EXACT, FEW = 50, 20, 12, 8
"""Numbers of channels: of the chain, and of the games that are sampled, solved, and solved by all orders."""
ORDERS = 4
"""That the textbook samples: each takes it long."""
COUNTING, SOLVING = f"counting journeys of {CHAIN} channels", f"Markov, {CHAIN} channels: removing each"
FORMULA, ALL_ORDERS = f"Shapley, {EXACT} channels: by the formula", f"Shapley, {FEW} channels: by all orders"
ONE_ORDER = f"Shapley, {SAMPLED} channels: one order of them"
LINES = (COUNTING, SOLVING, FORMULA, ALL_ORDERS, ONE_ORDER)


class Timed(NamedTuple):
    """One thing done twice."""

    line: str
    ms: float
    textbook_ms: float
    note: str = ""

    def __str__(self) -> str:
        return f"{self.line}: {self.ms:.2f} ms, textbook {self.textbook_ms:.2f} ms{self.note}"


def generated(channels: int, size: int) -> Journeys:
    """Journeys of 1 to 8 touches; early channels are frequent, and late ones convert."""
    random = Random(SEED + channels)
    names = [f"channel {number:02}" for number in range(channels)]
    cumulated = [sum(1 / (rank + 1) for rank in range(number + 1)) for number in range(channels)]
    found = []
    for _ in range(size):
        path = random.choices(names, cum_weights=cumulated, k=random.randint(1, 8))
        found.append((path, random.random() < 0.1 + 0.2 * (path[-1] > names[channels // 2])))
    return found


def counted(journeys: Journeys) -> JourneyCounts:
    """What the product keeps."""
    counts = JourneyCounts()
    for channels, converted in journeys:
        counts.add(channels, converted)
    return counts


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """(what it gives, milliseconds)."""
    began = time.perf_counter()
    found = work()
    return found, (time.perf_counter() - began) * 1000


def compared(
    line: str, work: Callable[[], Mapping[str, float]], textbook: Callable[[], Mapping[str, float]]
) -> Timed:
    """Both timed. Raises BenchError where they differ."""
    own, own_ms = timed(work)
    other, other_ms = timed(textbook)
    if own.keys() != other.keys() or not all(isclose(own[c], other[c], abs_tol=1e-9) for c in own):
        raise BenchError(f"wrong answers: {line}")
    return Timed(line, own_ms, other_ms)


def plain_counts(journeys: Journeys) -> tuple[Counter[tuple[str, str]], Counter[tuple[frozenset[str], bool]]]:
    """Transitions, and sets of channels with their ends."""
    transitions: Counter[tuple[str, str]] = Counter()
    sets: Counter[tuple[frozenset[str], bool]] = Counter()
    for channels, converted in journeys:
        transitions.update(pairwise(["(start)", *channels, "(won)" if converted else "(null)"]))
        sets[frozenset(channels), converted] += 1
    return transitions, sets


def counting(journeys: Journeys) -> Timed:
    """Both count all journeys. Raises BenchError where they differ."""
    counts, ms = timed(lambda: counted(journeys))
    (transitions, sets), plain_ms = timed(lambda: plain_counts(journeys))
    if len(counts) != len(transitions) + len(sets):
        raise BenchError(f"wrong answers: {COUNTING}")
    return Timed(COUNTING, ms, plain_ms)


def solved(transitions: Mapping[tuple[str, str], int], channels: Iterable[str]) -> float:
    """P(conversion) of a chain of these channels, the others being null: Gauss with the largest pivots."""
    states = ["(start)", *channels]
    out: Counter[str] = Counter()
    for (state, _), number in transitions.items():
        out[state] += number
    rows = [
        [float(state == to) - transitions.get((state, to), 0) / out[state] for to in states]
        + [transitions.get((state, "(won)"), 0) / out[state]]
        for state in states
    ]
    size = len(states)
    for column in range(size):
        best = max(range(column, size), key=lambda number: abs(rows[number][column]))
        rows[column], rows[best] = rows[best], rows[column]
        top = rows[column]
        for row in rows[column + 1 :]:
            factor = row[column] / top[column]
            if factor:
                row[column:] = [a - factor * b for a, b in zip(row[column:], top[column:], strict=True)]
    chances = [0.0] * size
    for number in range(size - 1, -1, -1):
        known = sum(rows[number][later] * chances[later] for later in range(number + 1, size))
        chances[number] = (rows[number][-1] - known) / rows[number][number]
    return chances[0]


def solved_without_each(journeys: Journeys, channels: Sequence[str]) -> Callable[[], Mapping[str, float]]:
    """The chain solved anew without each channel."""
    transitions, _ = plain_counts(journeys)

    def work() -> Mapping[str, float]:
        whole = solved(transitions, channels)
        return {c: 1 - solved(transitions, [o for o in channels if o != c]) / whole for c in channels}

    return work


def worth_of(journeys: Journeys) -> Callable[[frozenset[str]], float]:
    """v(S), each counted by going through all sets of channels."""
    _, sets = plain_counts(journeys)

    def worth(members: frozenset[str]) -> float:
        ends = [(converted, number) for (found, converted), number in sets.items() if found <= members]
        ended = sum(number for _, number in ends)
        return sum(number for converted, number in ends if converted) / ended if ended else 0.0

    return worth


def by_formula(journeys: Journeys, channels: Sequence[str]) -> Mapping[str, float]:
    """The sum over all sets without the channel; what a set is worth is counted once."""
    worth, size = cache(worth_of(journeys)), len(channels)

    def value(channel: str) -> float:
        others = [each for each in channels if each != channel]
        return sum(
            (worth(frozenset(members) | {channel}) - worth(frozenset(members)))
            / (size * comb(size - 1, taken))
            for taken in range(size)
            for members in combinations(others, taken)
        )

    return {channel: value(channel) for channel in channels}


def by_all_orders(journeys: Journeys, channels: Sequence[str]) -> Mapping[str, float]:
    """The mean over every order; what a set is worth is counted once."""
    worth = cache(worth_of(journeys))
    added = walked(permutations(channels), worth)
    return {channel: total / factorial(len(channels)) for channel, total in added.items()}


def walked(orders: Iterable[Sequence[str]], worth: Callable[[frozenset[str]], float]) -> dict[str, float]:
    """What each channel adds, summed over the orders."""
    added: dict[str, float] = {}
    for order in orders:
        members, before = frozenset[str](), 0.0
        for channel in order:
            members |= {channel}
            after = worth(members)
            added[channel] = added.get(channel, 0.0) + after - before
            before = after
    return added


def one_order(journeys: Journeys, channels: Sequence[str]) -> Timed:
    """Of a sample, in both ways. Raises BenchError where the values do not sum to the conversion rate."""
    counts, worth, source = counted(journeys), worth_of(journeys), random_bits(SEED)
    (values, errors), ms = timed(lambda: sampled_values(counts))
    orders = [[channels[number] for number in shuffled(len(channels), source)] for _ in range(ORDERS)]
    added, textbook_ms = timed(lambda: walked(orders, worth))
    rate = sum(converted for _, converted in journeys) / len(journeys)
    if not all(isclose(each, rate) for each in (sum(values.values()), sum(added.values()) / ORDERS)):
        raise BenchError(f"wrong answers: {ONE_ORDER}")
    taken = 2 * ROUNDS * len(channels)
    note = f"; {taken:,} orders, {ms:.0f} ms, standard error at most {max(errors.values()):.5f} of {rate:.3f}"
    return Timed(ONE_ORDER, ms / taken, textbook_ms / ORDERS, note)


def works(size: int) -> dict[str, Callable[[], Timed]]:
    """Line -> what is timed for it, on ``size`` journeys."""
    data = {channels: generated(channels, size) for channels in (CHAIN, SAMPLED, EXACT, FEW)}
    counts = {channels: counted(data[channels]) for channels in (CHAIN, EXACT, FEW)}
    names = {channels: counted(data[channels]).channels() for channels in data}
    return {
        COUNTING: lambda: counting(data[CHAIN]),
        SOLVING: lambda: compared(
            SOLVING, lambda: removal_effects(counts[CHAIN]), solved_without_each(data[CHAIN], names[CHAIN])
        ),
        FORMULA: lambda: compared(
            FORMULA, lambda: exact_values(counts[EXACT]), lambda: by_formula(data[EXACT], names[EXACT])
        ),
        ALL_ORDERS: lambda: compared(
            ALL_ORDERS, lambda: exact_values(counts[FEW]), lambda: by_all_orders(data[FEW], names[FEW])
        ),
        ONE_ORDER: lambda: one_order(data[SAMPLED], names[SAMPLED]),
    }


async def section(bench: Bench, steps: Steps) -> str:
    """Every line in turn."""
    found: Rounds[Timed] = Rounds()
    all_works = await asyncio.to_thread(works, bench.sizes.journeys)
    for number in range(1, bench.rounds + 1):
        for line, work in all_works.items():
            found.add(line, number, await steps.take(line, asyncio.to_thread(work)))
    rows = [
        [
            line,
            found.spread(line, lambda each: each.ms, 2),
            found.spread(line, lambda each: each.textbook_ms, 2),
            found.spread(line, lambda each: each.textbook_ms / each.ms, 1),
        ]
        for line in LINES
    ]
    notes = [figure.note.removeprefix("; ") for figure in found.of(ONE_ORDER)[-1:]]
    return "\n\n".join(
        [
            f"{bench.sizes.journeys:,} journeys of 1 to 8 touches for each number of channels; milliseconds on one "
            "core, no broker. The textbook is plain Python without numpy too: counters of transitions and of sets; "
            "the chain solved anew without each channel; every set counted by going through all sets of channels "
            f"that occur. Both must give the same values. At {CHAIN} channels a new version takes counting (once, as "
            "journeys end) and solving.",
            table(["step", "ms", "textbook ms", "textbook x"], rows),
            *(f"The sample of {SAMPLED} channels: {note}." for note in notes),
        ]
    )
