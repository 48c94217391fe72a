"""The identity half of the coordinator: links in, decisions out.

Folds what is observed of links into the graph (``revenue_core.identity``), and for every control record that changes
something tells the replicas (topic ``identity``) and the accounts that facts may have to leave (``journal``). Its
state is the set of observations, one record each; everything else follows from them, so a record that is handled
again, after a crash, decides the same.

State keys of its table: ``\\0o<kind>:<source>:<event id>`` the messages of an observation, ``\\0t<identifier>`` the
accounts that have been told to report every fact with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson

from revenue_core.identity.graph import Graph
from revenue_core.identity.observations import (
    ERASED,
    FALLBACK,
    Changes,
    GraphConfig,
    Observation,
    Timeline,
)
from revenue_core.identity.timelines import constant
from streams import homes
from streams.agents.known_links import KnownLinks
from streams.effects import Effects, Output
from streams.homes import mark
from streams.identity import GONE, KEY, NODE, Entry, encode_entry, reported
from streams.journal import encode_decisions
from streams.topology import CONTROL, IDENTITY, JOURNAL

OBSERVED, TOLD = b"\0o", b"\0t"
LINKS = "links"
MOST_PARTNERS = 200
"""In an entry; of an identifier with more partners (it is shared, R40) those beyond are reported each time."""
DECISIONS = 500
"""In one record for an account."""


class Sighting(NamedTuple):
    """An observation as it is reported."""

    observation: Observation
    node: str = ""
    """What its native key was taken for, when the fact has just been put somewhere."""
    root: str = ""
    """Where it was put."""

    def elsewhere(self) -> Sighting:
        """The same of a fact that has not been put anywhere."""
        return Sighting(self.observation)


def links_record(sightings: Sequence[Sighting]) -> Output:
    """The control record by which ingest and accounts report what they see."""
    listed = [[*each.observation, each.node, each.root] for each in sightings]
    return Output(CONTROL, None, orjson.dumps({"k": LINKS, "l": listed}))


def read_links(raw: Mapping[str, Any]) -> list[Sighting]:
    """The inverse. Raises LookupError, TypeError, ValueError."""
    return [Sighting(_observation(fields), node, root) for *fields, node, root in raw["l"]]


class Net:
    """What a control record changes in all."""

    def __init__(self) -> None:
        self.timelines: dict[str, tuple[Timeline, Timeline]] = {}
        self.redirects: dict[str, tuple[str, str]] = {}
        self.erased: dict[str, int] = {}
        self.watched: set[str] = set()

    def add(self, changes: Changes) -> None:
        """Count further changes in: what was first is old, what comes last is new."""
        for key, (old, new) in changes.timelines.items():
            self.timelines[key] = self.timelines[key][0] if key in self.timelines else old, new
        for node, (before, after) in changes.redirects.items():
            self.redirects[node] = self.redirects[node][0] if node in self.redirects else before, after
        self.erased.update(changes.erased)
        self.watched |= changes.watched


class Links:
    """The graph of one control partition, and what has been told of it."""

    def __init__(self, config: GraphConfig) -> None:
        self.graph = Graph(config)
        self.known = KnownLinks()
        self.natives: set[str] = set()
        """Native keys of observations; their entry stands in the table."""
        self.told: dict[str, set[str]] = {}
        """Watched identifier -> accounts that have been told so."""
        self.depends: defaultdict[str, set[str]] = defaultdict(set)
        """Identifier or node -> watched identifiers whose facts may move with it."""

    def restore(self, key: bytes, value: bytes) -> None:
        """Take back a record of the table, in any order; ``restored`` ends it."""
        if key[:2] == OBSERVED:
            for fields in orjson.loads(value)[1:]:
                observation = _observation(fields)
                self.known.add(observation)
                self.natives.update(observation.ids[:1])
                self.graph.add(observation)
        elif key[:2] == TOLD:
            self.told[key[2:].decode()] = set(orjson.loads(value)[1:])

    def restored(self) -> Iterator[None]:
        """All records are back: build what follows from all of them, step by step."""
        for identifier in self.told:
            self._depend(identifier)
            yield

    def handle(self, decision: int, sightings: Sequence[Sighting], effects: Effects) -> None:
        """Take what one control record, at this offset, says."""
        net, seen, said = Net(), set[str](), set[str]()
        news: list[Observation] = []
        for observation, _, _ in sightings:
            if self.known.repeats(observation, self.graph, self.told):
                continue
            news.append(observation)
            said |= self.known.renewed(observation, self.graph)
            self.known.add(observation)
            net.add(self.graph.add(observation))
            seen.update(observation.ids)
            if observation.ids[0] not in self.natives:
                self.natives.add(observation.ids[0])
                said.add(observation.ids[0])
            said.update(each for each in observation.ids if each[:2] in {"l:", "d:"})
            said.update(f"w:{domain}" for domain in observation.domain_claims)
        told = self._decisions(decision, net, sightings)
        self._watch(net, seen, told, effects, decision)
        for root, entries in sorted(told.items()):
            for start in range(0, len(entries), DECISIONS):
                value = encode_decisions(entries[start : start + DECISIONS])
                effects.outputs.append(Output(JOURNAL, root.encode(), value))
        self._publish(decision, net, said, effects)
        for each in dict.fromkeys(map(_identity, news)):
            messages = [list(message) for message in self.graph.messages_of(*each)]
            if messages:
                effects.state.append(
                    (OBSERVED + ":".join(each).encode(), orjson.dumps([decision, *messages]))
                )

    def _decisions(
        self, decision: int, net: Net, sightings: Sequence[Sighting]
    ) -> defaultdict[str, list[list[Any]]]:
        """What each account has to be told: where facts that it may hold belong now."""
        told: defaultdict[str, list[list[Any]]] = defaultdict(list)
        routes: defaultdict[str, set[str]] = defaultdict(set)
        for key, (old, new) in net.timelines.items():
            routes[key] |= self._homes(key, old, net, by_domain=claimed(old) or claimed(new))
        for node, (before, after) in sorted(net.redirects.items()):
            told[before].append([homes.REDIRECT, node, decision, after])
        for observation, node, root in sightings:
            key = observation.ids[0] if node else ""
            if key[:2] in {"A:", "w:", ""}:
                continue
            timeline = self.graph.timeline(key)
            if node in observation.ids and key[:2] == "a:" and not claimed(timeline):
                continue  # nobody claims the visitor: the fact stays with the domain that it names
            # where it was put, and where it may have been taken since: by what was decided about the node, or, of a
            # visitor whom nobody claimed for a while, to the domain that the fact names
            websites = [each for each in observation.ids if each[:2] == "w:"] if key[:2] == "a:" else []
            for each in sorted({root, *map(self.graph.redirect, (node, *websites))}):
                if len(timeline) > 1 or timeline[0][1] != node or self._root(node, key) != each:
                    routes[key].add(each)
        for key, roots in sorted(routes.items()):
            route = [
                (since, node, self._root(node, "") if node else "")
                for since, node in self.graph.timeline(key)
            ]
            for root in sorted(roots):
                told[root].append([homes.ROUTE, key, decision, route])
        self._erase(decision, net, sightings, told)
        return told

    def _homes(
        self, key: str, timeline: Timeline, net: Net | None = None, *, by_domain: bool = True
    ) -> set[str]:
        """Accounts in which facts with a native key can be that were put there by a timeline.

        With ``net`` as nodes led to accounts before it. ``by_domain``: also facts of a visitor that name a website
        domain, which lie there as long as nobody claims the visitor.
        """
        nodes = {node.removeprefix(FALLBACK) for _, node in timeline} - {"", ERASED}
        if key[:2] == "a:":
            nodes.add(key)
            if by_domain:
                nodes |= {each for each in self.graph.seen_with(key) if each[:2] == "w:"}
        moved = net.redirects if net is not None else {}
        return {moved[node][0] if node in moved else self.graph.redirect(node) for node in nodes}

    def _root(self, node: str, key: str) -> str:
        return self.graph.redirect(node.removeprefix(FALLBACK)) if node and node != ERASED else key

    def _erase(
        self,
        decision: int,
        net: Net,
        sightings: Sequence[Sighting],
        told: defaultdict[str, list[list[Any]]],
    ) -> None:
        for identifier, until in sorted(net.erased.items()):
            roots = self._reach(identifier)
            if identifier in net.timelines:
                roots |= self._homes(identifier, net.timelines[identifier][0], net)
            for root in sorted(roots):
                told[root].append([homes.ERASURE, mark(identifier), decision, until])
        for observation, node, root in sightings:
            for identifier in observation.ids:
                limit = self.graph.erased_until(identifier)
                if limit is not None and observation.at <= limit:
                    # where it was put, and where it may have been passed on to by what was decided before
                    roots = self._homes(observation.ids[0], self.graph.timeline(observation.ids[0]))
                    roots |= {root, self.graph.redirect(node)} if node else set()
                    for each in sorted(roots):
                        told[each].append([homes.ERASURE, mark(identifier), decision, limit])

    def _reach(self, identifier: str) -> set[str]:
        """Accounts in which a fact that carries an identifier can be."""
        found: set[str] = set()
        for key in (identifier, *self.graph.seen_with(identifier)):
            if key[:2] in {"A:", "w:"}:
                found.add(self.graph.redirect(key))
            else:
                found |= self._homes(key, self.graph.timeline(key))
        return found

    def _watch(
        self,
        net: Net,
        seen: set[str],
        told: defaultdict[str, list[list[Any]]],
        effects: Effects,
        decision: int,
    ) -> None:
        """Have every account that may get facts of a watched identifier report them."""
        again = set(net.watched)
        for changed in (*net.timelines, *net.redirects):
            again |= self.depends.get(changed, set())
        again |= {each for each in seen if each in self.told}
        for identifier in sorted(again):
            known = self.told.setdefault(identifier, set())
            new = self._reach(identifier) - known
            self._depend(identifier)
            if not new:
                continue
            for root in sorted(new):
                told[root].append([homes.WATCH, identifier, decision, None])
            known |= new
            effects.state.append((TOLD + identifier.encode(), orjson.dumps([decision, *sorted(known)])))

    def _depend(self, identifier: str) -> None:
        for key in (identifier, *self.graph.seen_with(identifier)):
            self.depends[key].add(identifier)
            if key[:2] not in {"A:", "w:"}:
                for _, node in self.graph.timeline(key):
                    self.depends[node.removeprefix(FALLBACK)].add(identifier)

    def _publish(self, decision: int, net: Net, said: Iterable[str], effects: Effects) -> None:
        for node, (_, after) in sorted(net.redirects.items()):
            effects.outputs.append(_identity_record(NODE, node, orjson.dumps([decision, after])))
        for identifier, until in sorted(net.erased.items()):
            effects.outputs.append(_identity_record(GONE, mark(identifier), orjson.dumps([decision, until])))
        for key in sorted({*said, *net.timelines}):
            if key[:2] != "A:":
                effects.outputs.append(_identity_record(KEY, key, encode_entry(self._entry(decision, key))))

    def _entry(self, decision: int, key: str) -> Entry:
        pairs = (
            (other, found[0])
            for other, found in self.graph.partners(key).items()
            if any(pair == (key, other) for pair in reported((key, other)))
        )
        partners = dict(islice(pairs, MOST_PARTNERS))
        timeline = constant(key) if key[:2] == "w:" else self.graph.timeline(key)
        return Entry(decision, timeline, partners)


def claimed(timeline: Timeline) -> bool:
    """Whether somebody claims a visitor's facts at some instant, also those that name a website domain."""
    return any(node and not node.startswith(FALLBACK) for _, node in timeline)


def _identity_record(kind: bytes, subject: str, value: bytes) -> Output:
    return Output(IDENTITY, kind + subject.encode(), value, (), 0)


def _identity(observation: Observation) -> tuple[str, str, str]:
    return observation.kind, observation.source, observation.event_id


def _observation(fields: Sequence[Any]) -> Observation:
    at, source, event_id, digest, kind, name, ids, email_domain, claims, into = fields
    return Observation(
        at + 0, source, event_id, digest, kind, name, tuple(ids), email_domain, tuple(claims), into
    )
