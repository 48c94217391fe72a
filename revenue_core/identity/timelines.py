"""Dated relations as step functions of the instant (R37)."""

from __future__ import annotations

from collections.abc import Iterable

from revenue_core.identity.observations import ERASED, FALLBACK, MIN, Observation, Timeline

Relation = list[tuple[int, str, Observation]]
"""(at, partner, the fact) of each linking fact, in fact order."""


def constant(node: str) -> Timeline:
    """One node at all times."""
    return ((MIN, node),)


def in_force(relation: Relation) -> Timeline:
    """The partner of the last linking fact at or before each instant, before the first one the first's (R37).

    ``relation``: at least one entry.
    """
    first = relation[0][1]
    if len(relation) == 1:
        return ((MIN, first),)
    return joined([(MIN, first), *((at, partner) for at, partner, _ in relation)])


def deciding(relation: Relation, at: int) -> Observation:
    """The fact by which the partner of ``in_force`` is in force at an instant."""
    return next((fact for since, _, fact in reversed(relation) if since <= at), relation[0][2])


def joined(steps: Iterable[tuple[int, str]]) -> Timeline:
    """Steps in order as a timeline: of one instant the last counts, equal neighbours are one."""
    found: list[tuple[int, str]] = []
    for step in steps:
        while found and found[-1][0] >= step[0]:
            found.pop()
        if not found or found[-1][1] != step[1]:
            found.append(step)
    return tuple(found)


def node_at(timeline: Timeline, at: int) -> str:
    """The node in force at an instant."""
    node = timeline[0][1]
    for since, each in timeline:
        if since > at:
            break
        node = each
    return node


def cut(timeline: Timeline, start: int, end: int | None) -> list[tuple[int, str]]:
    """The steps in force from ``start`` until before ``end``, the first one at ``start``."""
    if end is not None and end <= start:
        return []
    steps = [(start, node_at(timeline, start))]
    steps.extend(step for step in timeline if step[0] > start and (end is None or step[0] < end))
    return steps


def erased_until(timeline: Timeline, until: int) -> Timeline:
    """The timeline of an identifier that was erased (R42)."""
    return joined([(MIN, ERASED), *cut(timeline, until + 1, None)])


def place(key: str, timeline: Timeline, at: int, website: str = "") -> str:
    """The node of a fact with this native key, at its instant; ``website``: bare domain it names, if any.

    A visitor nobody claims goes by the fact's own website domain, then by what is in force for the visitor, else it
    is its own node (R37, 3 to 7).
    """
    node = node_at(timeline, at)
    if node and not node.startswith(FALLBACK):
        return node
    if website:
        return "w:" + website
    return node[len(FALLBACK) :] or key
