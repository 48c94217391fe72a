"""Why each fact belongs to its account: the chain of links from whom it names, with what made each (R37 to R43)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from revenue_core.account import Account
from revenue_core.identity.graph import Graph
from revenue_core.identity.observations import ERASED, HELD, KINDS, MIN, Step, event_of, fact_order
from revenue_core.instants import iso_z
from streams import homes, translate
from streams.explain_subject import journal_keys
from streams.homes import Home

NAMES = {
    "A:": "account", "c:": "contact", "e:": "e-mail", "a:": "visitor", "w:": "domain", "l:": "lead", "d:": "deal",
}  # fmt: skip
WORDS = {
    "R16": "deal named", "R37.2": "seen with", "R37.3": "seen with", "R37.4": "on website", "R37.5": "seen with",
    "R37.6": "lead named", "R38": "claimed by", "R41": "merged into", "R42": "erased",
}  # fmt: skip
HASH = re.compile(r"[0-9a-f]{64}")
DIGITS = 8

Chain = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One step of a chain, in words."""

    rule: str
    """``seen with``, ``same person``, ``e-mail domain``, ``claimed by``, ``merged into``, ``lead named`` ..."""
    frm: str
    """Key with the prefix of its kind; hashes shortened."""
    to: str
    at: str
    """Instant of the event that made the link; empty when the facts say it themselves."""
    event: str
    """``<source>:<event_id>``, or empty."""

    def to_json(self) -> dict[str, str]:
        """As JSON has it."""
        return {"rule": self.rule, "from": self.frm, "to": self.to, "at": self.at, "event": self.event}

    def __str__(self) -> str:
        return self.phrase + (f" ({self.at}, {self.event})" if self.event else "")

    @property
    def phrase(self) -> str:
        """What it leads to, and by which rule."""
        if self.to == ERASED:
            return self.rule
        if self.to.startswith(HELD):
            return "claimed by several accounts"
        if self.rule in {"e-mail domain", "on website"}:
            return f"{self.rule} {self.to[2:]}"
        return (
            f"{self.rule} as {named(self.to)}"
            if self.rule == "same person"
            else f"{self.rule} {named(self.to)}"
        )


@dataclass(frozen=True, slots=True)
class Belonging:
    """Facts of an account that name the same, and belong to it by the same chain."""

    native_key: str
    """Whom they name (``d:`` a deal, ``A:`` an account, ...); hashes shortened."""
    website: str
    """Domain that a visitor's facts name beside, which can decide about them."""
    touches: int
    leads: int
    """Lead facts."""
    deals: int
    """Deal facts."""
    first_at: str
    last_at: str
    steps: tuple[Link, ...]
    """Empty when they name the account themselves."""

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        names = ("native_key", "website", "touches", "leads", "deals", "first_at", "last_at")
        return {name: getattr(self, name) for name in names} | {
            "steps": [link.to_json() for link in self.steps]
        }


class Belongings(NamedTuple):
    """Of all facts of an account."""

    groups: list[Belonging]
    elsewhere: int
    """Facts that by the links belong to another account: what is read is being written."""


class Trail(NamedTuple):
    """Where the id of an account leads."""

    root: str = ""
    """Journal key of the account to look at; empty when there is none."""
    moved: Sequence[Link] = ()
    """The links that led there from the account that was asked for."""
    notes: Sequence[str] = ()
    gone: str = ""
    """Why there is nothing to look at, when that is known."""


def shortened(key: str) -> str:
    """A key as it may be shown: of a hash of an e-mail address the first digits.

    >>> shortened("e:" + 64 * "a"), shortened("c:c1")
    ('e:aaaaaaaa…', 'c:c1')
    """
    return HASH.sub(lambda match: match[0][:DIGITS] + "…", key)


def named(key: str) -> str:
    """A key in words.

    >>> named("A:acme"), named("h:w:acme.com")
    ('account acme', 'domain acme.com, which several claim')
    """
    if key.startswith(HELD):
        return f"{named(key.removeprefix(HELD))}, which several claim"
    return f"{NAMES[key[:2]]} {shortened(key[2:])}"


def told(links: Sequence[Link]) -> str:
    """A chain of at least one link as a sentence.

    >>> told([Link("seen with", "a:v", "c:c1", "", ""), Link("seen with", "c:c1", "A:acme", "2026-03-01", "x:1")])
    'visitor v: seen with contact c1, seen with account acme (2026-03-01, x:1)'
    """
    return f"{named(links[0].frm)}: {', '.join(map(str, links))}"


def link_of(graph: Graph, step: Step) -> Link:
    """A step in words."""
    rule = WORDS[step.rule]
    if step.rule == "R37.2":
        if step.to[:2] in {"c:", "e:"}:
            rule = "same person"
        elif step.frm[:2] == "e:" and step.to[:2] == "w:" and (step.at is None or _by_mail(graph, step)):
            rule = "e-mail domain"
    made = (iso_z(step.at), f"{step.source}:{shortened(step.event_id)}") if step.at is not None else ("", "")
    return Link(rule, shortened(step.frm), shortened(step.to), *made)


def _by_mail(graph: Graph, step: Step) -> bool:
    """Whether an address led to a domain as its own, not as a website that was named beside it."""
    messages = (each for kind in KINDS for each in graph.messages_of(kind, step.source, step.event_id))
    return any(each.at == step.at and f"w:{each.email_domain}" == step.to for each in messages)


def chain(graph: Graph, home: Home, at: int) -> Chain:
    """The steps from whom a fact names to the account it belongs to."""
    native = home.native
    website = home.website[2:] if native[:2] == "a:" else ""
    steps = graph.explain(native, at, website)
    if not steps and native[:2] == "e:" and home.email_domain:
        # nobody has had to tell the graph of an address that was never seen with anything
        domain = f"w:{home.email_domain}"
        steps = [Step("R37.2", native, domain, None), *graph.explain(domain, at)]
    return tuple(steps)


class Seen(NamedTuple):
    """A fact as it belongs."""

    at: int
    kind: str
    home: Home


def belongings(graph: Graph, root: str, account: Account) -> Belongings:
    """Every fact of the account under a journal key, with all touches read, in exactly one group."""
    facts: defaultdict[tuple[str, str], list[Seen]] = defaultdict(list)
    for kind in KINDS:
        for messages in account.groups(kind).values():
            for message in messages:
                home = homes.load(message.home) if message.home else homes.native_home(root)
                website = home.website if home.native[:2] == "a:" else ""
                facts[home.native, website].append(Seen(message.at, kind, home))
    groups, elsewhere = [], 0
    for (native, website), seen in facts.items():
        seen.sort(key=lambda each: each.at)
        homed = max((each.home for each in seen), key=lambda home: bool(home.email_domain))
        for steps, alike in _alike(graph, homed, seen):
            if (steps[-1].to if steps else native) != root:
                elsewhere += len(alike)
            groups.append(_belonging(graph, native, website, steps, alike))
    groups.sort(key=lambda each: (each.first_at, each.native_key, each.website))
    return Belongings(groups, elsewhere)


def identity_of(graph: Graph, root: str, account: Account, deal_id: str = "") -> Belongings:
    """``belongings`` of an account, or of one deal of it."""
    found = belongings(graph, root, account)
    if not deal_id:
        return found
    return found._replace(
        groups=[each for each in found.groups if each.native_key == shortened(f"d:{deal_id}")]
    )


def _belonging(graph: Graph, native: str, website: str, steps: Chain, facts: Sequence[Seen]) -> Belonging:
    touches, leads, deals = ([each.kind for each in facts].count(kind) for kind in KINDS)
    return Belonging(
        shortened(native),
        website[2:],
        touches,
        leads,
        deals,
        iso_z(facts[0].at),
        iso_z(facts[-1].at),
        tuple(link_of(graph, step) for step in steps),
    )


def _alike(graph: Graph, home: Home, facts: Sequence[Seen]) -> Iterator[tuple[Chain, Sequence[Seen]]]:
    """Facts of one key in order of time, cut where the chain changes.

    As time goes on every relation goes on from one deciding fact to a later one, and none comes back. So between two
    instants with one chain it is the same all the time, and few instants have to be asked.
    """

    @cache
    def at(index: int) -> Chain:
        return chain(graph, home, facts[index].at)

    start = 0
    while start < len(facts):
        low, high = start, len(facts) - 1
        while low < high:
            middle = (low + high + 1) // 2
            if at(middle) == at(start):
                low = middle
            else:
                high = middle - 1
        yield at(start), facts[start : low + 1]
        start = low + 1


def trail(graph: Graph, account_id: str, key: str, facts: int) -> Trail:
    """Where an account id leads.

    ``key``: journal key of the account of this id that has state, else empty; ``facts``: how many are in it.
    """
    for each in (key,) if key else journal_keys(account_id):
        if graph.redirect(each) != each:
            return _followed(graph, each, account_id)
    erased = _erased(graph, account_id, key)
    notes = [erased + "."] if erased else []
    if not facts:
        left = _left(graph, key, account_id) if key else None
        if left is not None:
            return left._replace(notes=[*left.notes, *notes])
        return Trail(gone=erased) if erased or not key else Trail(key, notes=["Nothing belongs to it now."])
    return Trail(key, notes=[*_claims(graph, key), *notes])


def _followed(graph: Graph, key: str, account_id: str) -> Trail:
    """By merges and claims."""
    moved = [link_of(graph, step) for step in graph.explain(key, MIN)]
    root = graph.redirect(key)
    return Trail(root, moved, [_hint(account_id, root, moved), *_claims(graph, root)])


def _left(graph: Graph, key: str, account_id: str) -> Trail | None:
    """Of a visitor, a person, a lead or a deal whose facts have all gone to accounts."""
    if key[:2] in {"A:", "w:"} or key.startswith(HELD):
        return None
    ends: dict[str, list[Link]] = {}
    for since, _ in graph.timeline(key):
        steps = graph.explain(key, since)
        if steps and steps[-1].to not in {key, ERASED}:
            ends.setdefault(steps[-1].to, [link_of(graph, step) for step in steps])
    if not ends:
        return None
    if len(ends) == 1:
        ((root, moved),) = ends.items()
        return Trail(root, moved, [_hint(account_id, root, moved)])
    ways = [f"To {translate.account_id(root)}: {told(moved)}." for root, moved in ends.items()]
    return Trail(key, notes=[f"What it had belongs to {len(ends)} accounts, by its instant.", *ways])


def _hint(account_id: str, root: str, moved: Sequence[Link]) -> str:
    """What led to another account than the one asked for."""
    if [link.rule for link in moved] == ["merged into"]:
        link = moved[0]
        how = f"was merged into {translate.account_id(root)} ({link.at}, {link.event})"
    else:
        how = f"belongs to {translate.account_id(root)} now. {told(moved)}"
    return f"{account_id} {how}. What follows is of {translate.account_id(root)}."


def _claims(graph: Graph, root: str) -> list[str]:
    """Of an ambiguous domain, who claims it."""
    if not root.startswith(HELD):
        return []
    domain = root.removeprefix(HELD)
    claims = sorted(graph.domains.claimants(domain).items(), key=lambda claim: fact_order(claim[1]))
    text = "; ".join(
        f"{account[2:]} ({iso_z(fact.at)}, {fact.source}:{shortened(fact.event_id)})"
        for account, fact in claims
    )
    return [
        f"{named(domain)} is held without rows until merges or claims leave one account. It is claimed by {text}."
    ]


def _erased(graph: Graph, account_id: str, key: str) -> str:
    """Whether, when and by which event the person or visitor behind an account id was erased."""
    for each in graph.erasures.until:
        if each == key or translate.account_id(each) == account_id:
            at, source, event_id = event_of(graph.erasures.erasure_of(each))
            made = f"{iso_z(at)}, {source}:{shortened(event_id)}"
            return f"{account_id} was erased ({made}): what was known up to then is forgotten"
    return ""
