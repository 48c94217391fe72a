"""Leads and deals: the account that the last fact names which resolves by other identifiers (R16, R37.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from revenue_core.identity.observations import HELD, Observation, Timeline, first_of
from revenue_core.identity.timelines import node_at, place

Resolve = Callable[[str], Timeline]


class Target(NamedTuple):
    """Where a lead or a deal belongs."""

    node: str
    """Its own key when no fact names anything."""
    fact: Observation | None
    """The one that decided."""
    domains: tuple[str, ...]
    """The decision rests on whether these are ambiguous."""


def named(fact: Observation, resolve: Resolve) -> str:
    """The node of a fact by what it carries beside lead and deal; empty when that is nobody, or nobody's visitor."""
    for kind in "Aceaw":
        key = first_of(fact.ids, kind)
        if key:
            break
    else:
        return ""
    if kind in "Aw":
        return key
    if kind != "a":
        return node_at(resolve(key), fact.at)
    node = place(key, resolve(key), fact.at, first_of(fact.ids, "w")[2:])
    return "" if node == key else node


def target(key: str, nodes: Iterable[tuple[Observation, str]], root: Callable[[str], str]) -> Target:
    """Where a lead or deal belongs. ``nodes``: its facts, the last one first, with what they name."""
    domains = []
    for fact, node in nodes:
        if not node:
            continue
        if node[0] == "w":
            domains.append(node)
            if root(node).startswith(HELD):
                continue
        return Target(node, fact, tuple(domains))
    return Target(key, None, tuple(domains))
