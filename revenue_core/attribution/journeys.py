"""What finished journeys leave behind for the learned models: counts that add up (R33).

A journey is its channels in order and whether it converted, of weight 1. Its counts are integers under keys, so
that they can be kept as journeys come and go, summed over partitions in any order, and taken back exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

Key = tuple[str, ...]
"""(kind, *channels). The kind stands apart, so that a channel may have any name, also that of a kind."""

START, NEXT = "start", "next"
"""``(START, channel)`` and ``(NEXT, channel, channel)``: transitions from the start and between channels."""
WON, NULL = "won", "null"
"""``(WON, channel)`` and ``(NULL, channel)``: transitions to the two ends."""
WON_SET, NULL_SET = "won_set", "null_set"
"""``(WON_SET, *channels)`` and ``(NULL_SET, *channels)``: journeys by the set of their channels, sorted."""

_TRANSITIONS = frozenset({START, NEXT, WON, NULL})
_SETS = frozenset({WON_SET, NULL_SET})


def journey_keys(channels: Sequence[str], converted: bool) -> Iterator[Key]:
    """What a journey counts, 1 each time a key comes; an empty path counts nothing (R33).

    >>> list(journey_keys(["Email", "Events", "Email"], True))  # doctest: +NORMALIZE_WHITESPACE
    [('start', 'Email'), ('next', 'Email', 'Events'), ('next', 'Events', 'Email'), ('won', 'Email'),
     ('won_set', 'Email', 'Events')]
    """
    if not channels:
        return
    yield START, channels[0]
    for pair in pairwise(channels):
        yield NEXT, *pair
    yield WON if converted else NULL, channels[-1]
    yield WON_SET if converted else NULL_SET, *sorted(set(channels))


class JourneyCounts:
    """Counts of a set of journeys.

    Equal sets of journeys have equal counts, however they came about: a key whose count is 0 is not kept. Between
    a removal and the addition that it belongs to, counts may be negative.
    """

    __slots__ = ("_sets", "_transitions")

    def __init__(self, counts: Mapping[Key, int] | None = None) -> None:
        """``counts``: key -> journeys or transitions."""
        self._transitions: dict[Key, int] = {}
        self._sets: dict[Key, int] = {}
        for key, number in (counts or {}).items():
            self.change(key, number)

    def add(self, channels: Sequence[str], converted: bool) -> None:
        """Count a journey."""
        for key in journey_keys(channels, converted):
            self.change(key, 1)

    def remove(self, channels: Sequence[str], converted: bool) -> None:
        """Take a journey back: the exact inverse of ``add``."""
        for key in journey_keys(channels, converted):
            self.change(key, -1)

    def merge(self, other: JourneyCounts) -> None:
        """Count the journeys of another partition too."""
        for key, number in list(other.items()):
            self.change(key, number)

    def subtract(self, other: JourneyCounts) -> None:
        """Take the journeys of another set back: the exact inverse of ``merge``."""
        for key, number in list(other.items()):
            self.change(key, -number)

    def change(self, key: Key, difference: int) -> None:
        """Move one count. Raises ValueError for a key of no kind."""
        kind = key[0]
        if kind in _TRANSITIONS:
            counts = self._transitions
        elif kind in _SETS:
            counts = self._sets
        else:
            raise ValueError(f"{kind!r} is no kind of count")
        number = counts.get(key, 0) + difference
        if number:
            counts[key] = number
        else:
            counts.pop(key, None)

    def items(self) -> Iterator[tuple[Key, int]]:
        """Every (key, count), in no order."""
        return chain(self._transitions.items(), self._sets.items())

    def transitions(self) -> ItemsView[Key, int]:
        """Those of the transitions alone, in no order."""
        return self._transitions.items()

    def rows(self) -> list[list[str | int]]:
        """``[*key, count]`` by key: one form for equal counts, ready for JSON."""
        return [[*key, number] for key, number in sorted(self.items())]

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[Any]]) -> JourneyCounts:
        """The counts that ``rows`` gave; those of several partitions, one after another, add up."""
        counts = cls()
        for *key, number in rows:
            counts.change(tuple(key), number)
        return counts

    @property
    def conversions(self) -> int:
        """How many journeys converted."""
        return self._total(WON)

    @property
    def nulls(self) -> int:
        """How many did not."""
        return self._total(NULL)

    def channels(self) -> list[str]:
        """Every channel of a journey, sorted: the order of all sums over channels."""
        return sorted({channel for _, *channels in self._transitions for channel in channels})

    def sets(self) -> list[tuple[Key, int, int]]:
        """(channels, conversions, nulls) for each set of channels, sorted."""
        found: dict[Key, list[int]] = {}
        for key, number in self._sets.items():
            found.setdefault(key[1:], [0, 0])[key[0] == NULL_SET] = number
        return [(channels, won, null) for channels, (won, null) in sorted(found.items())]

    def check(self) -> None:
        """Raises ValueError where these cannot be counts of whole journeys: some of their keys are missing."""
        for key, number in self.items():
            if number < 0:
                raise ValueError(f"{number} is no count of {key}")
        balance: Counter[str] = Counter()
        for (kind, *channels), number in self._transitions.items():
            if kind in {START, NEXT}:
                balance[channels[-1]] += number
            if kind != START:
                balance[channels[0]] -= number
        torn = {channel for channel, difference in balance.items() if difference}
        torn.update(channel for _, *channels in self._sets for channel in channels if channel not in balance)
        if torn:
            raise ValueError(f"not the counts of whole journeys: {', '.join(sorted(torn))}")
        sets = self.sets()
        if [self.conversions, self.nulls] != [
            sum(won for _, won, _ in sets),
            sum(null for _, _, null in sets),
        ]:
            raise ValueError("not the counts of whole journeys: their sets differ from their ends")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, JourneyCounts)
            and self._transitions == other._transitions
            and self._sets == other._sets
        )

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._transitions) + len(self._sets)

    def __repr__(self) -> str:
        return f"JourneyCounts({dict(self.items())!r})"

    def _total(self, kind: str) -> int:
        return sum(number for key, number in self._transitions.items() if key[0] == kind)
