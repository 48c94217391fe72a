"""Visitors: which person claims their facts, and what else is in force for them (R37, 3 and 5; R39)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from revenue_core.identity.links import View
from revenue_core.identity.observations import FALLBACK, MIN, Timeline
from revenue_core.identity.timelines import Relation, cut, in_force, joined


class Ties(NamedTuple):
    """What decides about a visitor."""

    persons: Relation
    """Contact, else e-mail address."""
    accounts: Relation
    sites: Relation


def ties(view: View, visitor: str) -> Ties:
    """What the facts of a visitor say, without void links (R40)."""
    shared = view.shared(visitor)
    found = Ties([], [], [])
    for fact in view.facts(visitor):
        at = fact.at
        contact = mail = ""
        for each in fact.ids:
            kind = each[0]
            if kind == "c":
                contact = each
            elif kind == "e":
                mail = each
            elif kind == "w":
                found.sites.append((at, each, fact))
            elif kind == "A" and "A" not in shared:
                found.accounts.append((at, each, fact))
        person = contact or mail
        if person and person[0] not in shared:
            found.persons.append((at, person, fact))
    return found


def fallback(found: Ties, ttl: int) -> Timeline:
    """The account, else the domain, in force for a visitor nobody claims (R37, 5)."""
    layer: Timeline = ((MIN, ""),)
    for relation in (found.sites, found.accounts):
        if relation:
            start = relation[0][0] - ttl
            marked = in_force([(at, FALLBACK + partner, fact) for at, partner, fact in relation])
            layer = joined([*cut(layer, MIN, start), *cut(marked, start, None)])
    return layer


def visitor_timeline(found: Ties, ttl: int, resolve: Callable[[str], Timeline]) -> Timeline:
    """Person in force, then what else is in force. ``resolve`` gives the timeline of a contact or address."""
    layer = fallback(found, ttl) if found.sites or found.accounts else ((MIN, ""),)
    claims = found.persons
    if not claims:
        return layer
    start = claims[0][0] - ttl
    steps = cut(layer, MIN, start)
    for person, since, until in spans(claims, start):
        steps += cut(resolve(person), since, until)
    return joined(steps)


def spans(claims: Relation, start: int) -> list[tuple[str, int, int | None]]:
    """(person, since, until) in order, the first one since ``start``; until None: still."""
    found: list[tuple[str, int, int | None]] = []
    for at, person in in_force(claims):
        since = max(at, start)
        if found:
            found[-1] = (found[-1][0], found[-1][1], since)
        found.append((person, since, None))
    return found


def wavers(found: Ties) -> bool:
    """Whether any dated relation has two partners, so that all dates matter."""
    return any(len(each) > 1 and len({entry[1] for entry in each}) > 1 for each in found)


def claimed(relation: Relation, at: int, ttl: int) -> bool:
    """Whether a relation is in force at an instant: a first link that came too late claims nothing (R39)."""
    return bool(relation) and relation[0][0] <= at + ttl
