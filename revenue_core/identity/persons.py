"""Persons: contacts and e-mail addresses linked with each other, and where they stood when (R37, 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from revenue_core.identity.links import View
from revenue_core.identity.observations import MIN, Observation, Timeline, fact_order, first_of
from revenue_core.identity.timelines import Relation, constant, in_force


class Person(NamedTuple):
    """A connected set of contacts and e-mail addresses."""

    members: tuple[str, ...]
    """Sorted keys; the first is the node of a person without account and domain."""
    facts: Sequence[Observation]
    """Facts that carry any of them, in fact order."""


class Relations(NamedTuple):
    """What decides about a person, the strongest first."""

    accounts: Relation
    mail: Relation
    sites: Relation


def neighbours(view: View, key: str, facts: Iterable[Observation]) -> Iterator[str]:
    """Contacts linked with an e-mail address by these facts, or addresses linked with a contact."""
    if key[0] == "e":
        if "c" not in view.shared(key):
            yield from filter(None, (first_of(fact.ids, "c") for fact in facts))
    else:
        for fact in facts:
            mail = first_of(fact.ids, "e")
            if mail and "c" not in view.shared(mail):
                yield mail


def person_of(view: View, key: str) -> Person:
    """The person an identifier (``c:`` or ``e:``) belongs to."""
    facts = view.facts(key)
    found = {key, *neighbours(view, key, facts)}
    if len(found) == 1:
        return Person((key,), facts)
    by_member = {key: facts}
    waiting = found - {key}
    while waiting:
        each = waiting.pop()
        by_member[each] = view.facts(each)
        new = set(neighbours(view, each, by_member[each])) - found
        found |= new
        waiting |= new
    together = {fact for facts in by_member.values() for fact in facts}
    return Person(tuple(sorted(found)), sorted(together, key=fact_order))


def relations(view: View, person: Person) -> Relations:
    """What the facts of a person say about its account, its mail domains and its website domains (R37, R40)."""
    members = set(person.members)
    voiceless = {each for each in person.members if "A" in view.shared(each)}
    found = Relations([], [], [])
    for fact in person.facts:
        at, ids = fact.at, fact.ids
        account = site = ""
        speaks = writes = False
        for each in ids:
            kind = each[0]
            if kind == "A":
                account = each
            elif kind == "w":
                site = each
            elif kind in "ce" and each in members:
                speaks = speaks or each not in voiceless
                writes = writes or kind == "e"
        if account and speaks:
            found.accounts.append((at, account, fact))
        if writes and fact.email_domain:
            found.mail.append((at, "w:" + fact.email_domain, fact))
        if site:
            found.sites.append((at, site, fact))
    return found


def person_timeline(person: Person, found: Relations) -> Timeline:
    """Account in force; if it never had one mail domain, if none website domain, if none the person itself."""
    strongest = found.accounts or found.mail or found.sites
    return in_force(strongest) if strongest else constant(person.members[0])


def resolved(view: View, key: str) -> Timeline:
    """Where a contact or an e-mail address stands, as if it had never been erased."""
    person = person_of(view, key)
    return person_timeline(person, relations(view, person))


def moves(person: Person, found: Relations) -> bool:
    """Whether any of a person's dated relations may ever have had two partners, so that all dates matter."""
    if len(person.facts) < 2:
        return False
    accounts = {first_of(fact.ids, "A") for fact in person.facts} - {""}
    return len(accounts) > 1 or any(
        len({entry[1] for entry in each}) > 1 for each in (found.mail, found.sites)
    )


def default(key: str, email_domain: str = "") -> Timeline:
    """The timeline of a native key that no observation mentions."""
    if key[0] == "a":
        return ((MIN, ""),)
    return constant("w:" + email_domain if key[0] == "e" and email_domain else key)
