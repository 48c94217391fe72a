"""Why a native key belongs where it does: the chain of links, with their dates and the facts that made them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from revenue_core.identity.links import View
from revenue_core.identity.observations import ERASED, HELD, Event, Observation, Step, event_of, first_of
from revenue_core.identity.persons import neighbours, person_of, relations
from revenue_core.identity.timelines import Relation, deciding, node_at
from revenue_core.identity.visitors import claimed, ties

if TYPE_CHECKING:
    from revenue_core.identity.graph import Graph


def explain(graph: Graph, key: str, at: int, website: str = "") -> list[Step]:
    """The steps from a native key to the root of its facts at an instant; none for one that is its own root.

    ``website``: bare domain that the fact names, if any.
    """
    until = graph.erasures.until.get(key)
    if until is not None and at <= until:
        return [_step("R42", key, ERASED, event_of(graph.erasures.erasure_of(key)))]
    steps = list(_to_node(graph, key, at, website))
    steps.extend(_to_root(graph, steps[-1].to if steps else key))
    return steps


def _step(rule: str, frm: str, to: str, event: Event | None) -> Step:
    return Step(rule, frm, to, *event) if event else Step(rule, frm, to, None)


def _to_node(graph: Graph, key: str, at: int, website: str) -> Iterator[Step]:
    kind = key[0]
    if kind in "ce":
        yield from _of_person(graph, key, at)
    elif kind == "a":
        yield from _of_visitor(graph, key, at, website)
    elif kind in "ld":
        yield from _of_record(graph, key)


def _of_person(graph: Graph, key: str, at: int) -> Iterator[Step]:
    """Over linked addresses and contacts to the fact that decides (R37, 2)."""
    view = graph.view
    person = person_of(view, key)
    found = relations(view, person)
    strongest = found.accounts or found.mail or found.sites
    if not strongest and person.facts:
        yield from _path(view, key, {person.members[0]})
        return
    if not strongest:
        node = node_at(graph.timeline(key), at)
        if node != key:
            yield _step("R37.2", key, node, None)
        return
    fact = deciding(strongest, at)
    member_kind = "e" if strongest is found.mail else "ce"
    speakers = {each for each in fact.ids if each[0] in member_kind and each in person.members}
    if strongest is found.accounts:
        speakers = {each for each in speakers if "A" not in view.shared(each)}
    path = list(_path(view, key, speakers))
    yield from path
    to = _partner(strongest, fact)
    yield _step("R37.2", path[-1].to if path else key, to, event_of(fact))


def _partner(relation: Relation, fact: Observation) -> str:
    return next(partner for _, partner, each in relation if each is fact)


def _path(view: View, key: str, ends: set[str]) -> Iterator[Step]:
    """The shortest chain of links within a person, each with the first fact that made it."""
    came: dict[str, Step | None] = {key: None}
    waiting = [key]
    for each in waiting:
        if each in ends:
            break
        facts = view.facts(each)
        for other in neighbours(view, each, facts):
            if other not in came:
                event = event_of(next(fact for fact in facts if other in fact.ids))
                came[other] = _step("R37.2", each, other, event)
                waiting.append(other)
    steps = []
    step = came[next(each for each in waiting if each in ends)]
    while step is not None:
        steps.append(step)
        step = came[step.frm]
    yield from reversed(steps)


def _of_visitor(graph: Graph, key: str, at: int, website: str) -> Iterator[Step]:
    """By its person, else the fact's own website, else what is in force for it (R37, 3 to 5; R39)."""
    found = ties(graph.view, key)
    ttl = graph.config.anonymous_ttl_ms
    if claimed(found.persons, at, ttl):
        fact = deciding(found.persons, at)
        person = _partner(found.persons, fact)
        yield _step("R37.3", key, person, event_of(fact))
        yield from _of_person(graph, person, at)
    elif website:
        yield _step("R37.4", key, "w:" + website, None)
    else:
        for relation in (found.accounts, found.sites):
            if claimed(relation, at, ttl):
                fact = deciding(relation, at)
                yield _step("R37.5", key, _partner(relation, fact), event_of(fact))
                return


def _of_record(graph: Graph, key: str) -> list[Step]:
    """By the fact that names its account (R16; R37, 6)."""
    found = graph.target(key)
    fact, rule = found.fact, "R16" if key[0] == "d" else "R37.6"
    if fact is None:
        return []
    left = graph.view.effective(fact)
    named = next(filter(None, (first_of(left.ids, kind) for kind in "Aceaw")), "")
    if named:
        steps = [_step(rule, key, named, event_of(fact))]
        steps += _to_node(graph, named, fact.at, first_of(left.ids, "w")[2:])
        if steps[-1].to == found.node:
            return steps
    # a deal stays where it was by links that an erasure has since taken: these are nobody's to tell (R42)
    return [_step(rule, key, found.node, event_of(fact))]


def _to_root(graph: Graph, node: str) -> Iterator[Step]:
    """By claims and merges, which have no date (R38, R41)."""
    if node[:2] == "w:":
        claims = graph.domains.claimants(node)
        root = graph.redirect(node)
        if root.startswith(HELD):
            yield _step("R38", node, root, None)
            return
        if not claims:
            return
        account, fact = min(claims.items(), key=lambda claim: event_of(claim[1]))
        yield _step("R38", node, account, event_of(fact))
        node = account
    for event, frm, into in graph.merges.redirects(node):
        yield _step("R41", frm, into, event)
