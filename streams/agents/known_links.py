"""Links that whoever decides has read before: repetitions are told apart without asking the graph.

A contact that a thousand events name with one address is one link. The graph keeps every fact that it is given, and
finds a person anew from all of them; so it is given the facts that say something.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from revenue_core.identity.erasures import ERASURE
from revenue_core.identity.graph import MERGES, Graph
from revenue_core.identity.observations import Observation
from revenue_core.journey import NEVER
from streams.identity import reported

DECIDING = MERGES | {ERASURE}
"""Types that say something about identities whoever they name."""
RECORDS = ("l:", "d:")
"""What a lead or a deal says of its account counts anew each time."""


class KnownLinks:
    """The links of observations that the graph was given, each with its first instant."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], int] = {}

    def add(self, observation: Observation) -> None:
        """The graph is given an observation."""
        for pair in _pairs(observation):
            self._since[pair] = min(observation.at, self._since.get(pair, NEVER))

    def renewed(self, observation: Observation, graph: Graph) -> set[str]:
        """Identifiers whose entry in the table an observation changes by its links alone."""
        if any(graph.erased_until(each) is not None for each in observation.ids):
            return {each for each, _ in reported(observation.ids)}
        return {
            pair[0] for pair in reported(observation.ids) if observation.at < self._since.get(pair, NEVER)
        }

    def repeats(self, observation: Observation, graph: Graph, told: Container[str]) -> bool:
        """Whether the graph would learn nothing: links it has, from no earlier instant.

        ``told``: identifiers that accounts have been asked to report. Not of these, nor of those of which every
        message counts, nor of those that somebody has erased: later facts link them anew.
        """
        if observation.type in DECIDING or observation.domain_claims:
            return False
        for each in observation.ids:
            if each[:2] in RECORDS or each in told or each in graph.watched:
                return False
            if graph.erased_until(each) is not None:
                return False
        return all(self._since.get(pair, NEVER) <= observation.at for pair in _pairs(observation))


def _pairs(observation: Observation) -> Iterator[tuple[str, str]]:
    """The pairs in which an observation links; of an identifier alone that it was seen."""
    ids = observation.ids
    if len(ids) == 1:
        yield ids[0], ""
    if observation.email_domain:
        yield next(each for each in ids if each[:2] == "e:"), observation.email_domain
    yield from reported(ids)
