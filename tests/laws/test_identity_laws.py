"""The identity graph answers as the brute force does, whatever order it is told things in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from revenue_core.identity.graph import Graph
from revenue_core.identity.observations import (
    FALLBACK,
    MIN,
    Changes,
    GraphConfig,
    Observation,
    Timeline,
    first_of,
)
from revenue_core.identity.timelines import node_at, place
from streams.agents.known_links import KnownLinks
from tests.reference import identity_random
from tests.reference.identity import digest, resolve
from tests.reference.identity_histories import Event, History, histories, normalised
from tests.reference.identity_links import Config, bare, identifiers

EXAMPLES = 150
SEEDS = 60


def observation(kind: str, event: Mapping[str, Any], config: Config) -> Observation:
    ids = identifiers(event, config.free)
    host = bare(ids["e"].rpartition("@")[2]) if "e" in ids else ""
    domains = {bare(text) for text in event.get("domains", ())}
    return Observation(
        event["occurred_at"],
        event["source"],
        event["event_id"],
        digest(event),
        kind,
        event["type"],
        tuple(sorted(ids.values())),
        "" if config.free(host) else host,
        tuple(sorted(each for each in domains if not config.free(each))),
        event.get("into_account_id", ""),
    )


def new_graph(config: Config) -> Graph:
    return Graph(GraphConfig(config.max_links, config.anonymous_ttl_ms))


def answer(graph: Graph, said: Observation) -> str:
    """The journal key of a message, found as ingest finds it."""
    ids, at = said.ids, said.at
    deal, lead = first_of(ids, "d"), first_of(ids, "l")
    if said.kind == "deals" and deal:
        return graph.redirect(node_at(graph.timeline(deal), at))
    if said.kind != "deals" and any(graph.erasures.until.get(each, MIN) >= at for each in ids):
        return "+"
    for kind in "Aceaw":
        key = first_of(ids, kind)
        if key:
            timeline = graph.timeline(key, said.email_domain)
            return graph.redirect(place(key, timeline, at, first_of(ids, "w")[2:]))
    return graph.redirect(node_at(graph.timeline(lead or deal), at))


PREFIXES = {"account": "A:", "domain": "w:", "held": "h:w:", "visitor": "a:", "deal": "d:", "lead": "l:"}


def journal_key(where: tuple[str, ...]) -> str:
    if where == ("erased",):
        return "+"
    return where[1] if where[0] == "person" else PREFIXES[where[0]] + where[1]


def check_like_reference(events: list[Event], config: Config) -> None:
    graph = new_graph(config)
    said = [observation(kind, event, config) for kind, event in events]
    for each in said:
        graph.add(each)
    expected = resolve(events, config)
    for each, where in zip(said, expected.messages, strict=True):
        if each.ids:
            assert answer(graph, each) == journal_key(where), each
    assert {domain[2:] for domain in graph.ambiguous()} == expected.ambiguous
    shared = graph.shared_identifiers()
    assert {(each, kind) for each, kinds in shared.items() for kind in kinds} == expected.shared
    counts = graph.counts()
    assert counts[0] == len(expected.ambiguous)
    assert counts.refused == len(expected.refused)


def seeded(seed: int, size: int) -> tuple[list[Event], Config]:
    return normalised(identity_random.history(seed, size)), identity_random.config(seed)


@settings(max_examples=EXAMPLES, deadline=None)
@given(histories(20))
def test_every_message_is_where_the_brute_force_says(history: History) -> None:
    check_like_reference(history.events, history.config)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_message_of_a_longer_history_is_where_the_brute_force_says(seed: int) -> None:
    check_like_reference(*seeded(seed, 15 + seed))


def all_answers(graph: Graph, said: list[Observation]) -> dict[str, Any]:
    keys = {each for one in said for each in one.ids}
    return {
        "timelines": {key: graph.timeline(key) for key in keys if key[0] in "cealdw"},
        "roots": {key: graph.redirect(key) for key in keys},
        "partners": {key: graph.partners(key) for key in keys},
        "erased": dict(graph.erasures.until),
        "counts": graph.counts(),
        "ambiguous": graph.ambiguous(),
        "shared": dict(graph.shared_identifiers()),
    }


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_order_of_adding_leaves_no_trace(seed: int) -> None:
    events, config = seeded(seed, 15 + seed)
    said = [observation(kind, event, config) for kind, event in events]
    graph, other = new_graph(config), new_graph(config)
    for each in said:
        graph.add(each)
    Random(seed).shuffle(said)
    for each in said:
        other.add(each)
    assert all_answers(other, said) == all_answers(graph, said)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_graph_is_rebuilt_from_its_messages(seed: int) -> None:
    events, config = seeded(seed, 15 + seed)
    graph, again = new_graph(config), new_graph(config)
    said = [observation(kind, event, config) for kind, event in events]
    for each in said:
        graph.add(each)
    for each in graph.messages():
        assert again.add(each).kept
    assert all_answers(again, said) == all_answers(graph, said)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_message_told_twice_changes_nothing(seed: int) -> None:
    events, config = seeded(seed, 40)
    graph = new_graph(config)
    said = [observation(kind, event, config) for kind, event in events]
    for each in said:
        graph.add(each)
    for each in said:
        assert graph.add(each) == Changes()


def mail_domains(said: list[Observation]) -> dict[str, str]:
    return {first_of(each.ids, "e"): each.email_domain for each in said}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_difference_of_the_answers_is_told(seed: int) -> None:
    events, config = seeded(seed, 15 + seed)
    said = [observation(kind, event, config) for kind, event in events]
    mail = mail_domains(said)
    keys = {each for one in said for each in one.ids}
    graph = new_graph(config)

    def timelines() -> dict[str, Timeline]:
        return {key: graph.timeline(key, mail.get(key, "")) for key in keys}

    def roots() -> dict[str, str]:
        domains = {domain for each in said for domain in each.domain_claims}
        return {key: graph.redirect(key) for key in keys | {"w:" + domain for domain in domains}}

    before, rooted, erased, watched = timelines(), roots(), dict(graph.erasures.until), set(graph.watched)
    for each in said:
        changes = graph.add(each)
        now, where = timelines(), roots()
        assert changes.timelines == {key: (before[key], now[key]) for key in keys if now[key] != before[key]}
        assert changes.redirects == {
            key: (rooted[key], where[key]) for key in where if where[key] != rooted[key]
        }
        gone = graph.erasures.until
        assert changes.erased == {key: at for key, at in gone.items() if at > erased.get(key, MIN)}
        assert changes.watched == graph.watched - watched
        before, rooted, erased, watched = now, where, dict(gone), set(graph.watched)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_timelines_start_before_everything_and_change_at_every_step(seed: int) -> None:
    events, config = seeded(seed, 15 + seed)
    graph = new_graph(config)
    for kind, event in events:
        graph.add(observation(kind, event, config))
    for key in {each for said in graph.messages() for each in said.ids}:
        timeline = graph.timeline(key)
        instants, nodes = zip(*timeline, strict=True)
        assert instants[0] == MIN and list(instants) == sorted(set(instants))
        assert all(one != next_ for one, next_ in pairwise(nodes))
        assert key[0] == "a" or not any(not node or node.startswith(FALLBACK) for node in nodes)


ABOUT_IDENTITY = frozenset({"account_updated", "account_merged", "account_unmerged", "person_erased"})


class Reporter:
    """Tells a graph only what ingest tells it: new pairs, earlier dates of known ones, and what is watched."""

    def __init__(self, config: Config) -> None:
        self.graph = new_graph(config)
        self.arrived: list[Observation] = []
        self.reported = 0

    def is_news(self, said: Observation) -> bool:
        if said.type in ABOUT_IDENTITY or not self.graph.watched.isdisjoint(said.ids):
            return True
        if len(said.ids) > 1 and (first_of(said.ids, "l") or first_of(said.ids, "d")):
            return True
        pairs = [(one, other) for one in said.ids for other in said.ids if one[0] in "cea" and one != other]
        pairs += [("w:" + domain, first_of(said.ids, "A")) for domain in said.domain_claims]
        site, account = first_of(said.ids, "w"), first_of(said.ids, "A")
        if site and account:
            pairs.append((site, account))
        known = {one: self.graph.partners(one) for one, _ in pairs}
        return any(other not in known[one] or said.at < known[one][other][0] for one, other in pairs)

    def arrive(self, said: Observation) -> None:
        self.arrived.append(said)
        if self.is_news(said):
            self.report([said])

    def report(self, waiting: list[Observation]) -> None:
        while waiting:
            said = waiting.pop()
            self.reported += 1
            watched = self.graph.add(said).watched
            waiting += [each for each in self.arrived if not watched.isdisjoint(each.ids)]


class Coordinator(Reporter):
    """Tells a graph only what the coordinator does: what is not known to repeat links that the graph has."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.known = KnownLinks()

    def is_news(self, said: Observation) -> bool:
        return not self.known.repeats(said, self.graph, ())

    def report(self, waiting: list[Observation]) -> None:
        for said in waiting:
            self.known.add(said)
        super().report(waiting)


def without_repetitions(events: list[Event]) -> list[Event]:
    return list(
        {(kind, event["source"], event["event_id"]): (kind, event) for kind, event in events}.values()
    )


@pytest.mark.parametrize("teller", [Reporter, Coordinator])
@pytest.mark.parametrize("seed", range(2 * SEEDS))
def test_new_pairs_and_what_is_watched_are_all_that_has_to_be_told(
    seed: int, teller: Callable[[Config], Reporter]
) -> None:
    events, config = seeded(seed, 15 + seed // 2)
    events = without_repetitions(events)
    reporter = teller(config)
    for kind, event in events:
        reporter.arrive(observation(kind, event, config))
    expected = resolve(events, config)
    for said, where in zip(reporter.arrived, expected.messages, strict=True):
        if said.ids:
            assert answer(reporter.graph, said) == journal_key(where), said


@pytest.mark.parametrize("seed", range(SEEDS))
def test_an_explanation_leads_step_by_step_to_where_the_facts_are(seed: int) -> None:
    events, config = seeded(seed, 15 + seed)
    graph = new_graph(config)
    said = [observation(kind, event, config) for kind, event in events]
    for each in said:
        graph.add(each)
    for each in said:
        website = first_of(each.ids, "w")[2:]
        for key in each.ids:
            steps = graph.explain(key, each.at, website)
            assert all(one.to == other.frm for one, other in pairwise(steps))
            node = place(key, graph.timeline(key), each.at, website if key[0] == "a" else "")
            root = node if node == "+" else graph.redirect(node)
            assert (steps[0].frm, steps[-1].to) == (key, root) if steps else key == root
