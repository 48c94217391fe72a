"""What two sets of credit rows say of money: by conversion, by channel, by deal. Whole minor units throughout."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, TypeAlias

from streams.diff_rows import AMOUNT, Pair, Row

WON = "won"
RECURRING = "recurring"
MOVEMENTS = 5
"""The largest movements between channels that are told of a deal."""

Place: TypeAlias = "tuple[str, str]"
"""(currency, channel)"""
Amounts: TypeAlias = "dict[Place, list[int]]"
"""Minor units per model, in the order of the models."""


class Movement(NamedTuple):
    """A channel's won credit by one model on two sides, in minor units; None where a side lacks the model."""

    model: str
    currency: str
    channel: str
    a_minor: int | None
    b_minor: int | None

    @property
    def difference_minor(self) -> int:
        """What b has more; of a model that one side lacks what the other has."""
        return (self.b_minor or 0) - (self.a_minor or 0)

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {**self._asdict(), "difference_minor": self.difference_minor}


class Models:
    """The models of two sides, and what a row has of each."""

    def __init__(self, a: Sequence[str], b: Sequence[str], only: Sequence[str] = ()) -> None:
        wanted = [*a, *(name for name in b if name not in a)]
        self.names = [name for name in wanted if not only or name in only]
        self.only_a = [name for name in self.names if b and name not in b]
        self.only_b = [name for name in self.names if a and name not in a]
        self._columns = [f"{name}{AMOUNT}" for name in self.names]

    def amounts(self, row: Row | None) -> list[int]:
        """Minor units per model; 0 where there is no row, or no such model."""
        if row is None:
            return [0] * len(self._columns)
        return [row.get(column, 0) for column in self._columns]

    def movements(self, a: Amounts, b: Amounts) -> Iterator[Movement]:
        """Every model, currency and channel that has money on a side, in this order."""
        places, none = sorted({*a, *b}), [0] * len(self.names)
        for index, name in enumerate(self.names):
            for place in places:
                ours, theirs = a.get(place, none)[index], b.get(place, none)[index]
                if ours or theirs:
                    a_minor = None if name in self.only_b else ours
                    b_minor = None if name in self.only_a else theirs
                    yield Movement(name, *place, a_minor, b_minor)


def add(amounts: Amounts, models: Models, row: Row | None) -> None:
    """Add what a row says of won money to its channel's."""
    if row is None or row["conversion"] != WON:
        return
    place = row["currency"], row["channel"]
    added, known = models.amounts(row), amounts.get(place)
    amounts[place] = added if known is None else [x + y for x, y in zip(known, added, strict=True)]


class ByConversion:
    """Sums of the credits that differ per kind of conversion and currency: never added over kinds (R23)."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self._sums: dict[tuple[str, str], list[list[int]]] = {}

    def add(self, pair: Pair, columns: Collection[str]) -> None:
        """Take the money of a pair whose rows differ in these columns; amounts that do not differ are left out."""
        amounts = self.models.amounts(pair.a), self.models.amounts(pair.b)
        if pair.a is not None and pair.b is not None and _kind(pair.a) == _kind(pair.b):
            for index, name in enumerate(self.models.names):
                if f"{name}{AMOUNT}" not in columns:
                    amounts[0][index] = amounts[1][index] = 0
            moved = [abs(y - x) for x, y in zip(*amounts, strict=True)]
            self._add(_kind(pair.a), *amounts, moved)
            return
        none = self.models.amounts(None)
        if pair.a is not None:
            self._add(_kind(pair.a), amounts[0], none, [abs(each) for each in amounts[0]])
        if pair.b is not None:
            self._add(_kind(pair.b), none, amounts[1], [abs(each) for each in amounts[1]])

    def _add(self, kind: tuple[str, str], *added: list[int]) -> None:
        known = self._sums.get(kind)
        if known is None:
            self._sums[kind] = [list(each) for each in added]
            return
        for sums, each in zip(known, added, strict=True):
            sums[:] = [x + y for x, y in zip(sums, each, strict=True)]

    def changed(self) -> list[dict[str, Any]]:
        """Per conversion, currency and model with any difference: both sums, their difference, and what moved.

        ``moved_minor`` is the sum of the rows' differences without their signs: what one channel loses and another
        gains does not cancel out.
        """
        return [
            {
                "conversion": conversion, "currency": currency, "model": name, "a_minor": a[index],
                "b_minor": b[index], "difference_minor": b[index] - a[index], "moved_minor": moved[index],
            }
            for (conversion, currency), (a, b, moved) in sorted(self._sums.items())
            for index, name in enumerate(self.models.names)
            if moved[index]
        ]  # fmt: skip


def _kind(row: Row) -> tuple[str, str]:
    return row["conversion"], row["currency"]


@dataclass(frozen=True, slots=True)
class DealSide:
    """What the rows of one side say of a deal; ``amount_minor`` is that of ``won``, where it is won (R23)."""

    status: str
    stage: str
    currency: str
    amount_minor: int


@dataclass(slots=True)
class Deal:
    """A deal whose rows differ between two sides."""

    deal_id: str
    account_id: str = ""
    a: DealSide | None = None
    b: DealSide | None = None
    won_a: Amounts = field(default_factory=dict)
    won_b: Amounts = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    """The largest between channels, largest first."""
    moved_minor: int = 0
    """By the model in which most changes: the sum of its channels' differences without their signs."""

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "deal_id": self.deal_id,
            "account_id": self.account_id,
            "a": self.a and asdict(self.a),
            "b": self.b and asdict(self.b),
            "moved_minor": self.moved_minor,
            "movements": [movement.to_json() for movement in self.movements],
        }


class Deals:
    """The deals that differ most. Rows of a deal's own conversions must come together, as ``pairs`` gives them."""

    def __init__(self, models: Models, limit: int) -> None:
        self.models, self.limit = models, limit
        self.different = 0
        """How many deals differ in status, stage, amount, currency, or in a channel's won credit."""
        self._now = Deal("")
        self._top: list[tuple[int, int, Deal]] = []

    def add(self, pair: Pair) -> None:
        """Take the rows of a pair."""
        row = pair.b if pair.b is not None else pair.a
        assert row is not None
        if not row["deal_id"] or row["conversion"] == RECURRING:
            return
        if row["deal_id"] != self._now.deal_id:
            self._finish()
            self._now = Deal(row["deal_id"])
        deal = self._now
        deal.account_id = row["account_id"]
        deal.a, deal.b = _side(deal.a, pair.a), _side(deal.b, pair.b)
        add(deal.won_a, self.models, pair.a)
        add(deal.won_b, self.models, pair.b)

    def largest(self) -> list[Deal]:
        """The deals in which most money moved, most first; those in which only a status changed come last."""
        self._finish()
        self._now = Deal("")
        return [deal for _, _, deal in sorted(self._top, key=lambda each: (-each[0], -each[1]))]

    def _finish(self) -> None:
        deal = self._now
        if not deal.deal_id:
            return
        found = [each for each in self.models.movements(deal.won_a, deal.won_b) if each.difference_minor]
        if not found and deal.a == deal.b:
            return
        self.different += 1
        deal.moved_minor = max(_moved(found, self.models.names), default=0)
        deal.movements = heapq.nlargest(MOVEMENTS, found, key=lambda each: abs(each.difference_minor))
        entry = deal.moved_minor, -self.different, deal
        if len(self._top) < self.limit:
            heapq.heappush(self._top, entry)
        else:
            heapq.heappushpop(self._top, entry)


def _side(known: DealSide | None, row: Row | None) -> DealSide | None:
    if row is None or (known is not None and row["conversion"] != WON):
        return known
    return DealSide(row["status"], row["stage"], row["currency"], row["amount_minor"])


def _moved(movements: Iterable[Movement], names: Iterable[str]) -> Iterator[int]:
    sums = dict.fromkeys(names, 0)
    for movement in movements:
        sums[movement.model] += abs(movement.difference_minor)
    return iter(sums.values())
