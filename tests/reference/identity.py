"""Whose every message is, by brute force: rules R37 to R43 read aloud, on the whole set of messages at once.

Written for clarity alone and slow; it shares no code with the product. Messages are (topic kind, normalised event).
Where the rules leave a point open, the comment beside it says what is taken.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.reference.identity_links import (
    DAY,
    Config,
    Fact,
    Links,
    bare,
    identifiers,
    is_bound,
    kinds_in,
)

Message = tuple[str, Mapping[str, Any]]
"""(topic kind, normalised event)"""
FactKey = tuple[str, str, str, int]
"""(topic kind, source, event_id, occurred_at): one per fact, for facts of one identity are over a day apart."""
Place = tuple[str, ...]
"""("account", id), ("domain", name), ("held", name), ("person", least member with its prefix), ("visitor", id),
("deal", id), ("lead", id) or ("erased",)."""

ERASED: Place = ("erased",)
RESOLVED = frozenset({"account", "domain", "person"})
"""What a deal or a lead can be given to: no unclaimed visitor, nothing held."""
KINDS = ("touchpoints", "leads", "deals")


class Answer(NamedTuple):
    """Whose everything is."""

    places: dict[FactKey, Place]
    """Of every fact."""
    accounts: dict[Place, frozenset[FactKey]]
    """The facts of every account."""
    messages: list[Place]
    """Of every message, in the order given: of two messages that are one fact each may be in an account of its own,
    and is a fact there (R02)."""
    ambiguous: frozenset[str]
    """Domains that several accounts claim (R38)."""
    shared: frozenset[tuple[str, str]]
    """(identifier with its prefix, kind towards which its links are void) (R40)."""
    refused: tuple[str, ...]
    """Accounts whose redirect would close a circle (R41)."""


def resolve(messages: Iterable[Message], config: Config) -> Answer:
    """Whose every message and every fact is."""
    given = list(messages)
    whole = _Whole(folded(given, config), config)
    places = {fact.key: whole.place(fact) for fact in whole.facts}
    accounts: dict[Place, set[FactKey]] = defaultdict(set)
    for key, place in places.items():
        accounts[place].add(key)
    return Answer(
        places,
        {place: frozenset(keys) for place, keys in accounts.items()},
        [whole.place(fact_of(kind, event, config)) if about_somebody(event) else () for kind, event in given],
        frozenset(whole.ambiguous()),
        frozenset(whole.links.void),
        tuple(whole.refused),
    )


def journal_key(place: Place, email_hash: Callable[[str], str]) -> str:
    """The key under which the product keeps what belongs to a place: its addresses are hashes."""
    if place == ERASED:
        return "+"
    kind, name = place
    if kind == "person":
        return "e:" + email_hash(name[2:]) if name.startswith("e:") else name
    prefixes = {"account": "A:", "domain": "w:", "held": "h:w:", "visitor": "a:", "deal": "d:", "lead": "l:"}
    return prefixes[kind] + name


def about_somebody(event: Mapping[str, Any]) -> bool:
    """False for what is spent on a channel: it carries no identifier and is no fact of anybody (R14)."""
    return bool(event["type"] != "spend")


def fact_of(kind: str, event: Mapping[str, Any], config: Config) -> Fact:
    """A message by itself."""
    return Fact(
        kind, event["occurred_at"], event["source"], event["event_id"], event, identifiers(event, config.free)
    )


NAMED = (
    "account_id", "contact_id", "email", "anonymous_id", "domain", "lead_id", "deal_id", "into_account_id",
)  # fmt: skip


def folded(messages: Iterable[Message], config: Config) -> list[Fact]:
    """The facts that the messages are, in fact order (R02); only facts link.

    R02 applies within one account: messages that name others than those before are facts of their own.
    """
    identities: dict[tuple[Any, ...], list[tuple[int, str, Mapping[str, Any]]]] = defaultdict(list)
    for kind, event in messages:
        if about_somebody(event):
            walked = event["occurred_at"], digest(event), event
            named = tuple(event.get(name, "") for name in NAMED)
            identities[kind, event["source"], event["event_id"], named].append(walked)
    found = []
    for (kind, *_), group in identities.items():
        previous = None
        for at, _, event in sorted(group, key=lambda each: each[:2]):
            if previous is None or at - previous > DAY:
                found.append(fact_of(kind, event, config))
            previous = at
    return sorted(found, key=fact_order)


def digest(event: Mapping[str, Any]) -> str:
    """Orders two messages of one identity and instant (R02); the default source is as good as none."""
    content = {name: value for name, value in event.items() if (name, value) != ("source", "native")}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def fact_order(fact: Fact) -> tuple[int, bytes, bytes, int, list[str]]:
    """By instant, source and event id; what agrees in all of them by kind, as at one instant (R04), then by whom."""
    named = sorted(f"{kind}:{value}" for kind, value in fact.ids.items())
    return fact.at, fact.source.encode(), fact.event_id.encode(), KINDS.index(fact.kind), named


@dataclass
class _Whole:
    """All facts, and what follows from all of them together."""

    facts: list[Fact]
    config: Config

    def __post_init__(self) -> None:
        self.erasures = [self._erasure(fact) for fact in self.facts if fact.type == "person_erased"]
        self.links = self._links(None)
        self.redirects, self.refused = self._redirects()
        self.claims = self._claims()

    # R42

    def _erasure(self, erased: Fact) -> tuple[int, frozenset[str]]:
        """(instant, identifiers to forget until then).

        Each erasure counts by itself: others take none of the links away that tell whom it is about. Void links tell
        nothing, be it that an identifier came to be shared after the erasure (R40).
        """
        earlier = [fact for fact in self.facts if fact.at <= erased.at]
        linked = Links(self.facts, self.config).linked
        people = kinds_in(erased.ids, "c", "e")
        visitors = kinds_in(erased.ids, "a")
        for fact in earlier:
            if fact.ids.get("a") in visitors:
                people |= {fact.ids[kind] for kind in ("c", "e") if linked(fact, "a", kind)}
        grown: set[str] = set()
        while grown != people:
            grown = set(people)
            for fact in earlier:
                if linked(fact, "e", "c") and kinds_in(fact.ids, "c", "e") & people:
                    people |= kinds_in(fact.ids, "c", "e")
        for fact in earlier:
            if any(linked(fact, "a", kind) and fact.ids[kind] in people for kind in ("c", "e")):
                visitors |= {fact.ids["a"]}
        return erased.at, frozenset(people | visitors)

    def _forgotten(self, fact: Fact, before: int | None) -> set[str]:
        """Identifiers that a fact no longer links; ``before`` takes the erasures dated before an instant only."""
        return {
            each
            for at, gone in self.erasures
            if fact.at <= at and (before is None or at < before)
            for each in fact.ids.values()
            if each in gone
        }

    def _left(self, fact: Fact, before: int | None) -> Fact:
        """What of a fact still links: no forgotten identifier, but all the others it carries."""
        gone = self._forgotten(fact, before)
        return fact._replace(ids={kind: each for kind, each in fact.ids.items() if each not in gone})

    def _links(self, before: int | None) -> Links:
        return Links([self._left(fact, before) for fact in self.facts], self.config)

    # R41

    def _redirects(self) -> tuple[dict[str, str], list[str]]:
        last: dict[str, Fact] = {}
        for fact in self.facts:
            if fact.type in {"account_merged", "account_unmerged"}:
                last[fact.body["account_id"]] = fact
        redirects: dict[str, str] = {}
        refused = []
        for fact in sorted(last.values(), key=fact_order):
            if fact.type == "account_merged":
                account, into = fact.body["account_id"], fact.body["into_account_id"]
                if _end(redirects, into) == account:
                    refused.append(account)
                else:
                    redirects[account] = into
        return redirects, refused

    # R38

    def _claims(self) -> dict[str, set[str]]:
        """Domain -> the accounts that claim it, after merges."""
        claims: dict[str, set[str]] = defaultdict(set)
        for fact in self.facts:
            if "A" in fact.ids:
                account = _end(self.redirects, fact.body["account_id"])
                if "w" in fact.ids:
                    claims[fact.ids["w"][2:]].add(account)
                if fact.type == "account_updated":
                    for text in fact.body.get("domains", ()):
                        domain = bare(text)
                        if domain and not self.config.free(domain):
                            claims[domain].add(account)
        return claims

    def ambiguous(self) -> set[str]:
        """Domains that several accounts claim."""
        return {domain for domain, accounts in self.claims.items() if len(accounts) > 1}

    def _of_node(self, node: str) -> Place:
        """Whose a node is, by merges and claims: these have no date."""
        kind, name = node[:1], node[2:]
        if kind == "A":
            return "account", _end(self.redirects, name)
        if kind == "w":
            accounts = self.claims.get(name, set())
            if len(accounts) > 1:
                return "held", name
            return ("account", *accounts) if accounts else ("domain", name)
        return "person", node

    # R37

    def place(self, fact: Fact) -> Place:
        """Whose a fact, or a message that might be one, is."""
        if fact.kind == "deals" and "d" in fact.ids:
            return self._of_deal(fact.ids["d"]) or ("deal", fact.ids["d"][2:])
        if fact.kind != "deals" and self._forgotten(fact, None):
            return ERASED
        if is_bound(fact.ids):
            return self._named(fact.ids, fact.at, self.links) or ("visitor", fact.ids["a"][2:])
        return self._of_what_is_about_no_one(fact)

    def _of_what_is_about_no_one(self, fact: Fact) -> Place:
        """A touch or lead fact that names a deal and a lead at most."""
        # the rules leave open what comes first for one that names both: its native key is the lead's
        if "l" in fact.ids:
            return self._of_lead(fact.ids["l"]) or ("lead", fact.ids["l"][2:])
        if "d" in fact.ids:
            return self._of_deal(fact.ids["d"]) or ("deal", fact.ids["d"][2:])
        # a free-mail domain and nothing else: an account of its own under its native key (R37, 7)
        return "domain", bare(fact.body["domain"])

    def _named(self, ids: Mapping[str, str], at: int, links: Links) -> Place | None:
        """The account that identifiers name at an instant; None for a visitor nobody claims, or if there are none."""
        node = links.node(ids, at)
        return self._of_node(node) if node else None

    def _of_lead(self, lead: str) -> Place | None:
        """R37, 6: the account named by the last fact with this lead that names one."""
        found = None
        for fact in self.links.facts:
            if fact.ids.get("l") == lead and is_bound(fact.ids):
                found = _resolved(self._named(fact.ids, fact.at, self.links)) or found
        return found

    def _of_deal(self, deal: str) -> Place | None:
        """R16: the account named by the deal's last patch that names one, else by another event about it.

        Deal facts stay with the account they had (R42), so a patch sees no erasure but those dated before it.
        """
        by_patch = by_other = None
        for fact in self.facts:
            if fact.kind == "deals" and fact.ids.get("d") == deal:
                ids = self._left(fact, fact.at).ids
                found = _resolved(self._named(ids, fact.at, self._links(fact.at))) if is_bound(ids) else None
                if fact.type == "deal_updated":
                    by_patch = found or by_patch
                else:
                    by_other = found or by_other
        return by_patch or by_other


def _resolved(place: Place | None) -> Place | None:
    return place if place and place[0] in RESOLVED else None


def _end(redirects: Mapping[str, str], account: str) -> str:
    while account in redirects:
        account = redirects[account]
    return account
