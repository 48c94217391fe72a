"""Facts by the identifiers they carry, and which of these link: erased and shared ones do not (R40, R42)."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence

from revenue_core.identity.observations import Observation, fact_order, first_of

INDEXED = frozenset("ceald")
NOTHING: frozenset[str] = frozenset()
STRONGER = {"a": frozenset("ecA"), "e": frozenset("cA"), "c": frozenset("A")}
"""Kinds by strength: visitor < e-mail < contact < account (R40)."""

FactsBy = dict[str, list[Observation]]


def insert(index: FactsBy, fact: Observation) -> None:
    """File a fact under each of its identifiers, in fact order."""
    for each in fact.ids:
        if each[0] in INDEXED:
            facts = index.get(each)
            if facts is None:
                index[each] = [fact]
            elif facts[-1][:3] < fact[:3]:
                facts.append(fact)
            else:
                insort(facts, fact, key=fact_order)


def remove(index: FactsBy, fact: Observation) -> None:
    """The inverse of ``insert``."""
    for each in fact.ids:
        if each[0] in INDEXED:
            facts = index[each]
            facts.remove(fact)
            if not facts:
                del index[each]


def crowded(identifier: str, facts: Sequence[Observation], max_links: int) -> frozenset[str]:
    """The stronger kinds (one letter each) of which an identifier has too many partners (R40)."""
    if len(facts) <= max_links:
        return NOTHING
    found = set()
    for kind in STRONGER.get(identifier[0], NOTHING):
        partners: set[str] = set()
        for fact in facts:
            partners.add(first_of(fact.ids, kind))
            if len(partners) > max_links + 1:
                break
        if len(partners - {""}) > max_links:
            found.add(kind)
    return frozenset(found) if found else NOTHING


def without_others(fact: Observation, ids: tuple[str, ...]) -> Observation:
    """A fact with only these of its identifiers."""
    return fact._replace(ids=ids, email_domain=fact.email_domain if first_of(ids, "e") else "")


class View:
    """Facts as they link.

    ``erased`` and ``shared`` are read as they stand at each call; without ``shared`` it is found from the facts.
    """

    __slots__ = ("_index", "_max_links", "_shared", "erased")

    def __init__(
        self,
        index: FactsBy,
        max_links: int,
        erased: Mapping[str, int],
        shared: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._index, self._max_links, self._shared, self.erased = index, max_links, shared, erased

    def effective(self, fact: Observation) -> Observation:
        """What of a fact links: not the identifiers that were erased later than it, but all others (R42)."""
        erased = self.erased
        if not erased or erased.keys().isdisjoint(fact.ids):
            return fact
        left = tuple(each for each in fact.ids if not self.forgotten(each, fact.at))
        return fact if len(left) == len(fact.ids) else without_others(fact, left)

    def forgotten(self, identifier: str, at: int) -> bool:
        """Whether an identifier no longer links in a fact of this instant."""
        until = self.erased.get(identifier)
        return until is not None and at <= until

    def facts(self, identifier: str) -> Sequence[Observation]:
        """Facts that carry an identifier, in fact order."""
        facts = self._index.get(identifier, ())
        if not self.erased:
            return facts
        left = (self.effective(fact) for fact in facts)
        return [fact for fact in left if identifier in fact.ids]

    def shared(self, identifier: str) -> frozenset[str]:
        """The kinds towards which an identifier's links are void."""
        if self._shared is not None:
            return self._shared.get(identifier, NOTHING)
        return crowded(identifier, self.facts(identifier), self._max_links)
