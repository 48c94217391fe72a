"""Who is to be forgotten, and until when (R42)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from revenue_core.identity.links import FactsBy, View
from revenue_core.identity.observations import Observation, fact_order, first_of
from revenue_core.identity.persons import neighbours

ERASURE = "person_erased"
Moved = tuple[int | None, int | None]


class Erasures:
    """The erasures and whom each of them reaches.

    Each one counts by itself, by the links as they were said: whom it reaches does not depend on other erasures.
    """

    __slots__ = ("_reached", "_reaching", "until")

    def __init__(self) -> None:
        self._reached: dict[Observation, frozenset[str]] = {}
        self._reaching: dict[str, set[Observation]] = {}
        self.until: dict[str, int] = {}
        """Identifier -> its touch and lead facts at or before this instant are forgotten."""

    def update(
        self, view: View, removed: Iterable[Observation], added: Iterable[Observation]
    ) -> dict[str, Moved]:
        """Take changed facts into account; the identifiers whose ``until`` changed: (before, now).

        ``view``: all facts, the erased ones too, as they now are.
        """
        stale: set[Observation] = set()
        for fact in (*removed, *added):
            for each in fact.ids:
                stale |= self._reaching.get(each, set())
        touched: set[str] = set()
        for erasure in stale:
            touched |= self._forget(erasure)
        stale = (stale - set(removed)) | {fact for fact in added if fact.type == ERASURE}
        for erasure in stale:
            reached = self._reached[erasure] = reach(view, erasure)
            for each in reached:
                self._reaching.setdefault(each, set()).add(erasure)
            touched |= reached
        return self._settle(touched)

    def erasure_of(self, identifier: str) -> Observation:
        """The latest erasure that reaches an identifier."""
        return max(self._reaching[identifier], key=fact_order)

    def until_by(self, identifier: str, before: int) -> int | None:
        """``until`` by the erasures dated before an instant alone."""
        erasures = self._reaching.get(identifier, ())
        return max((erasure.at for erasure in erasures if erasure.at < before), default=None)

    def _forget(self, erasure: Observation) -> frozenset[str]:
        reached = self._reached.pop(erasure)
        for each in reached:
            self._reaching[each].discard(erasure)
            if not self._reaching[each]:
                del self._reaching[each]
        return reached

    def _settle(self, touched: set[str]) -> dict[str, Moved]:
        changed: dict[str, Moved] = {}
        for each in touched:
            until = max((erasure.at for erasure in self._reaching.get(each, ())), default=None)
            before = self.until.get(each)
            if until == before:
                continue
            changed[each] = before, until
            if until is None:
                del self.until[each]
            else:
                self.until[each] = until
        return changed


def reach(view: View, erasure: Observation) -> frozenset[str]:
    """The persons and visitors linked, by facts at or before its instant, with the identifiers of an erasure."""
    at = erasure.at

    def facts(key: str) -> list[Observation]:
        return [fact for fact in view.facts(key) if fact.at <= at]

    visitors = {each for each in erasure.ids if each[0] == "a"}
    waiting = {each for each in erasure.ids if each[0] in "ce"}
    for visitor in visitors:
        void = view.shared(visitor)
        waiting.update(
            each for fact in facts(visitor) for each in fact.ids if each[0] in "ce" and each[0] not in void
        )
    members = set(waiting)
    while waiting:
        key = waiting.pop()
        linked = facts(key)
        new = set(neighbours(view, key, linked)) - members
        members |= new
        waiting |= new
        near = {first_of(fact.ids, "a") for fact in linked} - visitors - {""}
        visitors.update(each for each in near if key[0] not in view.shared(each))
    return frozenset(members | visitors)


class Past(View):
    """Facts as they link for a patch, which erasures of its instant or later do not concern: deals stay (R42)."""

    __slots__ = ("_before", "_erasures", "differs", "read")

    def __init__(self, index: FactsBy, max_links: int, erasures: Erasures, before: int) -> None:
        super().__init__(index, max_links, erasures.until)
        self._erasures, self._before = erasures, before
        self.differs = False
        """Whether anything that was asked is no longer so."""
        self.read: set[str] = set()
        """Identifiers the answers rest on."""

    def facts(self, identifier: str) -> Sequence[Observation]:
        """Facts that carry an identifier, in fact order."""
        self.read.add(identifier)
        return super().facts(identifier)

    def forgotten(self, identifier: str, at: int) -> bool:
        """Whether an identifier did not link in a fact of this instant."""
        if self.erased.get(identifier, self._before - 1) >= self._before:
            self.differs = True
        until = self._erasures.until_by(identifier, self._before)
        return until is not None and at <= until
