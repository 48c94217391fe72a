"""Where a fact lives, and what an account that facts have left, or will leave, knows of where they went.

A fact is put where a replica of the identity table says, which may be behind; and what it says may change. So every
fact carries its ``Home``: whom it names, and on which decisions its place rests. An account keeps the decisions that
took facts away from it (``Knowledge``). Whenever a fact comes, or is read back, the newer of the two counts. Stamps
only rise, so that nothing is passed round in a circle, and a decision learned late still finds the facts it is about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from revenue_core.identity.observations import ERASED, FALLBACK

Timeline = Sequence[tuple[int, str, str]]
"""(from this instant in ms, node, root) in order; node ``""``: nobody claims the visitor then."""

UNSURE = -1
"""A stamp below every decision's."""
ROUTE, REDIRECT, ERASURE, WATCH = "r", "n", "x", "w"


@lru_cache(maxsize=1 << 12)
def mark(identifier: str) -> str:
    """What stands for an erased identifier where it is remembered that it was erased (R42)."""
    return hashlib.sha256(identifier.encode()).hexdigest()[:32]


class Home(NamedTuple):
    """Whom a fact names, and on which decisions it is where it is."""

    route: int
    """Control offset of the newest decision on its native key that its node rests on."""
    redirect: int
    """Likewise on its node, which its root rests on."""
    node: str
    """What its native key stood for at its instant, before merges and claims."""
    ids: tuple[str, ...]
    """Its identifiers, each with the prefix of its kind; the native key first."""
    email_domain: str = ""
    """Of its e-mail address, when that is a company's."""

    @property
    def native(self) -> str:
        """Its native key."""
        return self.ids[0]

    @property
    def website(self) -> str:
        """Key of the website domain it names."""
        return next((each for each in self.ids if each[:2] == "w:"), "")


class Place(NamedTuple):
    """Where a fact belongs by what is known."""

    root: str
    """Key of the account; empty for a fact that is to be forgotten."""
    home: Home
    """With the stamps of the decisions used."""
    decided: int
    """Control offset of the newest of these that was not known where the fact came from; UNSURE when none."""


def dump(home: Home | Sequence[Any]) -> str:
    """Text that stands for a home in storage: equal homes have equal text."""
    return orjson.dumps(tuple(home)).decode()


@lru_cache(maxsize=1 << 14)
def load(text: str) -> Home:
    """The inverse of ``dump``."""
    return of(orjson.loads(text))


def of(raw: Sequence[Any]) -> Home:
    """A home from its JSON."""
    route, redirect, node, ids, email_domain = raw
    return Home(route, redirect, node, tuple(ids), email_domain)


def native_home(key: str) -> Home:
    """Of a fact stored before facts had homes: it named the account it lies under."""
    return Home(UNSURE, UNSURE, key, (key,))


def at(timeline: Timeline, instant: int) -> tuple[str, str]:
    """(node, root) in force at an instant."""
    found = timeline[0]
    for entry in timeline:
        if entry[0] > instant:
            break
        found = entry
    return found[1], found[2]


class Knowledge:
    """Decisions that concern facts of one account, each replaced by later ones on the same subject."""

    __slots__ = ("erasures", "redirects", "routes", "watched")

    def __init__(self) -> None:
        self.routes: dict[str, tuple[int, Timeline]] = {}
        """Native key -> (decision, where its facts belong)."""
        self.redirects: dict[str, tuple[int, str]] = {}
        """Node -> (decision, root)."""
        self.erasures: dict[str, tuple[int, int]] = {}
        """Mark of an identifier -> (decision, until when facts that carry it are to be forgotten)."""
        self.watched: set[str] = set()
        """Identifiers every message of which has to be reported."""

    def __bool__(self) -> bool:
        return bool(self.routes or self.redirects or self.erasures or self.watched)

    def learn(self, entry: Sequence[Any]) -> bool:
        """Take a decision as JSON: (kind, subject, control offset, what). False for one that is known or outdated."""
        if self.has(entry):
            return False
        kind, subject, decision, what = entry
        if kind == WATCH:
            self.watched.add(subject)
            return True
        table = self._table(kind)
        if kind == ROUTE:
            what = tuple((since, node, root) for since, node, root in what)
        elif kind == ERASURE and subject in table:
            what = max(what, table[subject][1])
        table[subject] = decision, what
        return True

    def has(self, entry: Sequence[Any]) -> bool:
        """Whether a decision is known, or one that came after it on the same subject."""
        kind, subject, decision, _ = entry
        if kind == WATCH:
            return subject in self.watched
        known = self._table(kind).get(subject)
        return known is not None and bool(known[0] >= decision)

    def _table(self, kind: str) -> dict[str, Any]:
        tables: dict[str, dict[str, Any]] = {
            ROUTE: self.routes,
            REDIRECT: self.redirects,
            ERASURE: self.erasures,
        }
        return tables[kind]

    def entries(self) -> Iterator[list[Any]]:
        """As ``learn`` takes them."""
        for kind in (ROUTE, REDIRECT, ERASURE):
            for subject, (decision, what) in self._table(kind).items():
                yield [kind, subject, decision, what]
        for subject in sorted(self.watched):
            yield [WATCH, subject, UNSURE, None]

    def latest(self) -> int:
        """Control offset of the newest decision; UNSURE when there is none."""
        decided = (self.routes, self.redirects, self.erasures)
        return max((entry[0] for table in decided for entry in table.values()), default=UNSURE)

    def place(self, home: Home, instant: int, root: str, *, erasable: bool) -> Place:
        """Where a fact that has been put under ``root`` belongs. ``erasable``: it is a touch or a lead fact."""
        decided = UNSURE
        if self.erasures and erasable:
            for each in home.ids:
                decision, until = self.erasures.get(mark(each), (UNSURE, 0))
                if decision > UNSURE and instant <= until:
                    return Place("", home, decision)
        route = self.routes.get(home.native)
        if route is not None and route[0] > home.route:
            node, target, known = self._routed(route, home, instant)
            home, decided = home._replace(route=route[0], redirect=known, node=node), route[0]
            if node == ERASED:
                return Place("", home, decided)
            if target != root:
                # what has been decided about the fact since is known there; here only what concerned the account
                return Place(target, home, decided)
        redirect = self.redirects.get(home.node)
        if redirect is not None and redirect[0] > home.redirect:
            decision, root = redirect
            home, decided = home._replace(redirect=decision), max(decided, decision)
        return Place(root, home, decided)

    def _routed(self, route: tuple[int, Timeline], home: Home, instant: int) -> tuple[str, str, int]:
        """(node, root, decision that the root rests on) by a route."""
        decision, timeline = route
        node, root = at(timeline, instant)
        fallback = node.startswith(FALLBACK)
        if node and not fallback:
            return node, root, decision
        if home.website and home.native[:2] == "a:":
            # the domain's own account knows where the domain has gone
            return home.website, home.website, UNSURE
        return (node[len(FALLBACK) :], root, decision) if fallback else (home.native, home.native, decision)


def reports(watched: Iterable[str], home: Home) -> bool:
    """Whether a fact carries a watched identifier."""
    return not set(watched).isdisjoint(home.ids)
