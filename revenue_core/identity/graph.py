"""The identity graph: told observations in any order, it says where every native key belongs, and what changed.

What it answers is a pure function of the set of observations (R37 to R43); ``watched`` alone remembers, because what
was once asked for goes on being reported. Adding one costs what the persons, visitors, leads, deals, domains and
merges it touches are big, not what the graph is big: an account or domain that moves is one redirect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from sys import intern

from revenue_core.identity.domains import Domains, claims_of
from revenue_core.identity.erasures import ERASURE, Erasures, Past
from revenue_core.identity.explaining import explain
from revenue_core.identity.folding import Facts
from revenue_core.identity.links import NOTHING, STRONGER, FactsBy, View, crowded, insert, remove
from revenue_core.identity.merges import Merges
from revenue_core.identity.observations import (
    FALLBACK,
    HELD,
    Changes,
    Counts,
    Event,
    GraphConfig,
    Observation,
    Step,
    Timeline,
    event_of,
    fact_order,
    first_of,
)
from revenue_core.identity.persons import (
    Person,
    default,
    moves,
    person_of,
    person_timeline,
    relations,
    resolved,
)
from revenue_core.identity.records import Target, named, target
from revenue_core.identity.timelines import constant, erased_until
from revenue_core.identity.visitors import ties, visitor_timeline, wavers

MERGES = frozenset({"account_merged", "account_unmerged"})
PATCH = "deal_updated"


class Graph:
    """The links, and what follows from them."""

    def __init__(self, config: GraphConfig) -> None:
        self.config = config
        self.watched: set[str] = set()
        """Identifiers of which every message matters: a dated relation of theirs has had two partners."""
        self.merges = Merges()
        self.domains = Domains()
        self.erasures = Erasures()
        self._facts = Facts()
        self._index: FactsBy = {}
        self._shared: dict[str, frozenset[str]] = {}
        self.view = View(self._index, config.max_links, self.erasures.until, self._shared)
        """Facts as they link."""
        self.said = View(self._index, config.max_links, {})
        """Facts as they would link had nobody been erased: deal facts stay where they were (R42)."""
        self._merging: dict[str, list[Observation]] = {}
        self._members: dict[str, tuple[str, ...]] = {}
        """Contact or address -> its person, when that has two members or more."""
        self._timelines: dict[str, Timeline] = {}
        self._companies: dict[str, str] = {}
        """Domains of addresses in messages that proved to be no facts: an address says its domain all the same."""
        self._through: dict[str, int] = {}
        """Domain -> how many native keys resolve through it at some instant."""
        self._resting_on: dict[str, set[str]] = {}
        """Domain -> leads and deals whose place rests on whether it is ambiguous; identifier -> deals whose place
        rests on what it was before somebody was erased.
        """

    def add(self, observation: Observation) -> Changes:
        """Take one message into account."""
        at, source, event_id, digest, kind, type_, ids, mail, claims, into = observation
        ids = tuple(map(intern, ids))
        message = Observation(
            at, intern(source), event_id, digest, intern(kind), intern(type_), ids, intern(mail), claims, into
        )
        removed, added, kept = self._facts.add(message)
        changes = Changes(kept)
        if added or removed:
            self._file(removed, added)
            flipped = self._root(removed, added, changes)
            touched, always = self._erase(removed, added, changes)
            self._settle(touched - self._unmoved(removed, added), flipped, changes, always=always)
        return changes

    def messages(self) -> Iterator[Observation]:
        """Every message that matters: adding these to a new graph gives this one again, ``watched`` aside."""
        return self._facts.messages()

    def messages_of(self, kind: str, source: str, event_id: str) -> list[Observation]:
        """Those of one identity."""
        return self._facts.messages_of(kind, source, event_id)

    def seen_with(self, identifier: str) -> set[str]:
        """Every identifier that a fact carries together with this one, also where the link is void or erased."""
        return {each for fact in self.said.facts(identifier) for each in fact.ids} - {identifier}

    def erased_until(self, identifier: str) -> int | None:
        """Until when its touches and lead facts are to be forgotten."""
        return self.erasures.until.get(identifier)

    def timeline(self, key: str, email_domain: str = "") -> Timeline:
        """Where facts with a native key belong, and since when; ``email_domain`` of an address nobody mentioned."""
        return self._timelines.get(key) or default(key, email_domain)

    def redirect(self, node: str) -> str:
        """The root of a node: where its facts live."""
        if node[:2] == "A:":
            return self.merges.root(node)
        return self.domains.root(node) if node[:2] == "w:" else node

    def partners(self, identifier: str) -> dict[str, Event]:
        """The first fact that links an identifier with each other one; of a domain the accounts that claim it."""
        if identifier[:2] == "w:":
            claims = self.domains.claimants(identifier)
            return {account: event_of(fact) for account, fact in claims.items()}
        found: dict[str, Event] = {}
        for fact in self.view.facts(identifier):
            for each in fact.ids:
                if each != identifier and each not in found:
                    found[each] = event_of(fact)
        return found

    def shared(self, identifier: str) -> frozenset[str]:
        """The stronger kinds (``e``, ``c``, ``A``) towards which an identifier's links are void (R40)."""
        return self._shared.get(identifier, NOTHING)

    def shared_identifiers(self) -> Mapping[str, frozenset[str]]:
        """Every identifier with more partners than the cap allows."""
        return self._shared

    def ambiguous(self) -> dict[str, tuple[tuple[str, ...], int]]:
        """Domain claimed by several -> (the accounts that claim it, how many native keys are held by it)."""
        return {
            domain: (
                tuple(sorted(self.domains.claimants(domain))),
                self._through.get(domain, 0),
            )
            for domain in sorted(self.domains.ambiguous)
        }

    def counts(self) -> Counts:
        """How much is in doubt."""
        held = sum(self._through.get(domain, 0) for domain in self.domains.ambiguous)
        return Counts(len(self.domains.ambiguous), held, len(self._shared), len(self.merges.refused))

    def explain(self, key: str, at: int, website: str = "") -> list[Step]:
        """The steps from a native key to the root of its facts at an instant; ``website``: bare domain they name."""
        return explain(self, key, at, website)

    def believed(self, key: str) -> Timeline:
        """Where a contact or address stands, as if it had never been erased."""
        known = None if key in self.erasures.until else self._timelines.get(key)
        return known or resolved(self.view, key)

    def target(self, key: str) -> Target:
        """Where a lead or a deal belongs, and by which fact."""
        if key[0] == "l":
            facts = reversed(self.view.facts(key))
            return target(key, ((fact, named(fact, self.timeline)) for fact in facts), self.redirect)
        # patches decide (R16); where none says, whatever else about the deal names somebody
        said = [fact for fact in reversed(self._index.get(key, ())) if fact.kind == "deals"]
        said.sort(key=lambda fact: fact.type != PATCH)
        return target(key, ((fact, self._named(key, fact)) for fact in said), self.redirect)

    def _named(self, deal: str, patch: Observation) -> str:
        """What a patch names; it does not see who was erased at its instant or later (R42)."""
        if not self.erasures.until:
            return named(patch, self.timeline)
        past = Past(self._index, self.config.max_links, self.erasures, patch.at)

        def stood(key: str) -> Timeline:
            if key[0] != "a":
                return resolved(past, key)
            ttl = self.config.anonymous_ttl_ms
            return visitor_timeline(ties(past, key), ttl, lambda each: resolved(past, each))

        node = named(past.effective(patch), stood)
        if past.differs:
            for each in past.read:
                self._resting_on.setdefault(each, set()).add(deal)
        return node

    # -- adding, step by step

    def _file(self, removed: Iterable[Observation], added: Iterable[Observation]) -> None:
        for fact in removed:
            remove(self._index, fact)
            self.domains.remove(fact)
            if fact.email_domain:
                self._companies[first_of(fact.ids, "e")] = fact.email_domain
            if fact.type in MERGES:
                self._merging[first_of(fact.ids, "A")].remove(fact)
        for fact in added:
            insert(self._index, fact)
            self.domains.add(fact)
            if fact.type in MERGES:
                self._merging.setdefault(first_of(fact.ids, "A"), []).append(fact)

    def _erase(
        self, removed: list[Observation], added: list[Observation], changes: Changes
    ) -> tuple[set[str], bool]:
        """Find the erasures anew; the identifiers of all facts that are new, gone, or link in another way.

        And whether deals may move though nothing seems to: these remember links that erasures have taken.
        """
        facts = [*removed, *added]
        if not self.erasures.until and ERASURE not in [fact.type for fact in facts]:
            return {each for fact in facts for each in fact.ids}, False
        for each, (before, now) in self.erasures.update(self.said, removed, added).items():
            changes.watched.add(each)
            if now is not None and (before is None or now > before):
                changes.erased[each] = now
            facts.extend(self._index.get(each, ()))
        found = {each for fact in facts for each in fact.ids}
        hidden = any(self.view.effective(fact) is not fact for fact in (*removed, *added))
        return found.union(changes.watched), hidden or bool(changes.watched)

    def _unmoved(self, removed: list[Observation], added: list[Observation]) -> set[str]:
        """The person of a fact that says nothing new of it: it names but one contact or address, and no account or
        domain, of a person that always stood in one place. Thousands of visitors may have been seen with one address.
        """
        if removed or len(added) != 1 or self.erasures.until:
            return set()
        (fact,) = added
        people = {each for each in fact.ids if each[0] in "ce"}
        if len(people) != 1 or any(each[0] in "Aw" for each in fact.ids):
            return set()
        return people if all(len(self._timelines.get(each, ())) == 1 for each in people) else set()

    def _root(self, removed: list[Observation], added: list[Observation], changes: Changes) -> set[str]:
        """Find the roots of accounts and domains anew; the domains that are, or were, ambiguous."""
        domains: set[str] = set()
        for fact in (*removed, *added):
            domains.update(domain for domain, _ in claims_of(fact))
            if fact.type in MERGES:
                account = first_of(fact.ids, "A")
                for each, roots in self.merges.decide(account, self._decision(account)).items():
                    self._redirect(each, roots, changes)
                    domains |= self.domains.of(each)
        found = set()
        for domain in domains:
            roots = self.domains.settle(domain, self.merges.root)
            self._redirect(domain, roots, changes)
            if roots[0].startswith(HELD) != roots[1].startswith(HELD):
                found.add(domain)
        return found

    def _decision(self, account: str) -> tuple[Event, str] | None:
        facts = self._merging[account]
        last = max(facts, key=fact_order) if facts else None
        return (event_of(last), "A:" + last.into) if last and last.into else None

    @staticmethod
    def _redirect(node: str, roots: tuple[str, str], changes: Changes) -> None:
        first = changes.redirects.pop(node, roots)[0]
        if first != roots[1]:
            changes.redirects[node] = (first, roots[1])

    def _settle(self, touched: set[str], flipped: set[str], changes: Changes, *, always: bool) -> None:
        """Find everything anew that rests on the links of these identifiers."""
        near: set[str] = set()
        waiting: set[str] = set()
        for each in touched:
            kind = each[0]
            if kind in STRONGER:
                kinds = crowded(each, self.view.facts(each), self.config.max_links)
                if kinds:
                    self._shared[each] = kinds
                else:
                    self._shared.pop(each, None)
            if kind in "ce":
                waiting.update(self._members.get(each, (each,)))
            elif kind in "ald":
                near.add(each)
        for each in touched | flipped:
            near.update(self._resting_on.pop(each, ()))
        while waiting:
            self._settle_person(person_of(self.view, waiting.pop()), waiting, near, changes, always=always)
        for each in [each for each in near if each[0] == "a"]:
            self._settle_visitor(each, near, changes, always=always)
        for each in near:
            if each[0] in "ld":
                self._settle_record(each, changes)
        changes.watched -= self.watched
        self.watched |= changes.watched

    def _settle_person(
        self, person: Person, waiting: set[str], near: set[str], changes: Changes, *, always: bool
    ) -> None:
        """Find where a person stands; ``near`` takes its visitors, leads and deals when that changed."""
        members, until = person.members, self.erasures.until
        waiting.difference_update(members)
        found = relations(self.view, person)
        stands = person_timeline(person, found) if person.facts else self._default(members[0])
        changed = always
        for each in members:
            if len(members) > 1:
                self._members[each] = members
            else:
                self._members.pop(each, None)
            if each in until:
                changed = True
                self._record(each, erased_until(stands, until[each]), changes)
            else:
                changed = self._record(each, stands, changes) or changed
        if moves(person, found) or not until.keys().isdisjoint(members):
            changes.watched.update(members)
        if changed:
            near.update(each for fact in person.facts for each in fact.ids if each[0] in "ald")

    def _settle_visitor(self, visitor: str, near: set[str], changes: Changes, *, always: bool) -> None:
        found = ties(self.view, visitor)
        stands = visitor_timeline(found, self.config.anonymous_ttl_ms, self.believed)
        until = self.erasures.until.get(visitor)
        if until is not None:
            stands = erased_until(stands, until)
        if wavers(found) or until is not None:
            changes.watched.add(visitor)
        if self._record(visitor, stands, changes) or always:
            near.update(each for fact in self.view.facts(visitor) for each in fact.ids if each[0] in "ld")

    def _settle_record(self, key: str, changes: Changes) -> None:
        found = self.target(key)
        for domain in found.domains:
            self._resting_on.setdefault(domain, set()).add(key)
        self._record(key, constant(found.node), changes)

    def _record(self, key: str, timeline: Timeline, changes: Changes) -> bool:
        """Keep a timeline; whether it is another one than before."""
        before = self._timelines.get(key)
        self._timelines[key] = timeline
        if before == timeline:
            return False
        for node in _domains(timeline):
            self._through[node] = self._through.get(node, 0) + 1
        for node in _domains(before or ()):
            self._through[node] -= 1
        if before is None:
            before = self._default(key)
        if before == timeline:
            return False
        changes.timelines[key] = (before, timeline)
        return True

    def _default(self, key: str) -> Timeline:
        facts = self._index.get(key, ()) if key[0] == "e" else ()
        known = next((fact.email_domain for fact in facts if fact.email_domain), "")
        return default(key, known or self._companies.get(key, ""))


def _domains(timeline: Sequence[tuple[int, str]]) -> set[str]:
    """The domains that facts go through, a visitor's with a site of its own aside."""
    found = set()
    for _, node in timeline:
        if node[:2] == "w:":
            found.add(node)
        elif node[:4] == FALLBACK + "w:":
            found.add(node[2:])
    return found
