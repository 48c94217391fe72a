"""What identifiers are linked with, and the account they name at an instant (R37, R39, R40), by brute force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

DAY = 86_400_000
STRENGTH = "aecA"
"""Kinds from the weakest to the strongest (R40)."""
FIELDS = {"A": "account_id", "c": "contact_id", "a": "anonymous_id", "l": "lead_id", "d": "deal_id"}


@dataclass(frozen=True)
class Config:
    """What the rules leave to the user."""

    max_links: int
    anonymous_ttl_ms: int
    free: Callable[[str], bool]
    """Whether a domain is one of free mail or of throw-away addresses."""


class Fact(NamedTuple):
    """A message with its identifiers: kind -> identifier with its prefix."""

    kind: str
    at: int
    source: str
    event_id: str
    body: Mapping[str, Any]
    ids: Mapping[str, str]

    @property
    def type(self) -> str:
        return str(self.body["type"])

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.kind, self.source, self.event_id, self.at


def bare(domain: str) -> str:
    """A domain as it is compared (R38)."""
    return domain.strip().lower().removesuffix(".").removeprefix("www.")


def identifiers(event: Mapping[str, Any], free: Callable[[str], bool]) -> dict[str, str]:
    """Kind -> identifier; a free-mail domain is none."""
    found = {kind: f"{kind}:{event[name]}" for kind, name in FIELDS.items() if name in event}
    if "email" in event:
        found["e"] = "e:" + event["email"].strip().lower()
    domain = bare(event.get("domain", ""))
    if domain and not free(domain):
        found["w"] = "w:" + domain
    return found


def kinds_in(ids: Mapping[str, str], *kinds: str) -> set[str]:
    """The identifiers of these kinds."""
    return {ids[kind] for kind in kinds if kind in ids}


def is_bound(ids: Mapping[str, str]) -> bool:
    """Whether identifiers name more than a deal and a lead."""
    return bool(kinds_in(ids, "A", "c", "e", "a", "w"))


class Links:
    """The links of a list of facts in fact order."""

    def __init__(self, facts: Iterable[Fact], config: Config) -> None:
        self.facts = list(facts)
        self.config = config
        self.void = self._void()

    def _void(self) -> set[tuple[str, str]]:
        """(identifier, stronger kind) with too many partners: links to that kind count for nothing (R40)."""
        partners: dict[tuple[str, str], set[str]] = defaultdict(set)
        for fact in self.facts:
            for strength, weaker in enumerate(STRENGTH):
                for stronger in STRENGTH[strength + 1 :]:
                    if weaker in fact.ids and stronger in fact.ids:
                        partners[fact.ids[weaker], stronger].add(fact.ids[stronger])
        return {link for link, those in partners.items() if len(those) > self.config.max_links}

    def linked(self, fact: Fact, weaker: str, stronger: str) -> bool:
        """Whether a fact carries identifiers of both kinds, and the link between them counts."""
        return weaker in fact.ids and stronger in fact.ids and (fact.ids[weaker], stronger) not in self.void

    def person(self, member: str) -> frozenset[str]:
        """All contacts and e-mail addresses linked with one of them."""
        members = {member}
        before = 0
        while len(members) > before:
            before = len(members)
            for fact in self.facts:
                if self.linked(fact, "e", "c") and {fact.ids["e"], fact.ids["c"]} & members:
                    members |= {fact.ids["e"], fact.ids["c"]}
        return frozenset(members)

    def node(self, ids: Mapping[str, str], at: int) -> str | None:
        """Account, domain or person that identifiers name at an instant (R37, 1 to 5); None if nothing does."""
        if "A" in ids:
            return ids["A"]
        if "c" in ids or "e" in ids:
            return self._of_person(ids.get("c") or ids["e"], at)
        if "a" in ids:
            member = self._claimant(ids["a"], at)
            if member:
                return self._of_person(member, at)
        if "w" in ids:
            return ids["w"]
        if "a" in ids:
            return self._seen_with(ids["a"], at)
        return None

    def _of_person(self, member: str, at: int) -> str:
        person = self.person(member)
        account, email_domain, website = [], [], []
        for fact in self.facts:
            members = [kind for kind in ("c", "e") if fact.ids.get(kind) in person]
            if any(self.linked(fact, kind, "A") for kind in members):
                account.append((fact.at, fact.ids["A"]))
            # an address that is shared among contacts is none of theirs
            if "e" in members and self._company(fact.ids["e"]):
                email_domain.append((fact.at, self._company(fact.ids["e"])))
            if members and "w" in fact.ids:
                website.append((fact.at, fact.ids["w"]))
        for relation in (account, email_domain, website):
            if relation:
                return in_force(relation, at) or relation[0][1]
        # an address says its company also in a message that repeats a fact, and so links nothing
        return self._company(member) or min(person)

    def _company(self, member: str) -> str:
        """Domain of a company's address; empty for a contact and for free mail."""
        _, sign, host = member.rpartition("@")
        domain = bare(host) if member.startswith("e:") and sign else ""
        return "w:" + domain if domain and not self.config.free(domain) else ""

    def _claimant(self, visitor: str, at: int) -> str | None:
        """A member of the person that a visitor is at an instant."""
        claims = []
        for fact in self.facts:
            if fact.ids.get("a") == visitor:
                kind = "c" if "c" in fact.ids else "e"
                if self.linked(fact, "a", kind):
                    claims.append((fact.at, fact.ids[kind]))
        return in_force(claims, at) or self._in_time(claims, at)

    def _seen_with(self, visitor: str, at: int) -> str | None:
        """The account, else the domain, that a visitor was seen with."""
        of_visitor = [fact for fact in self.facts if fact.ids.get("a") == visitor]
        accounts = [(fact.at, fact.ids["A"]) for fact in of_visitor if self.linked(fact, "a", "A")]
        domains = [(fact.at, fact.ids["w"]) for fact in of_visitor if "w" in fact.ids]
        for relation in (accounts, domains):
            found = in_force(relation, at) or self._in_time(relation, at)
            if found:
                return found
        return None

    def _in_time(self, relation: list[tuple[int, str]], at: int) -> str | None:
        """The first of a relation that began after an instant, unless it came too late for it (R39)."""
        if relation and relation[0][0] <= at + self.config.anonymous_ttl_ms:
            return relation[0][1]
        return None


def in_force(relation: Iterable[tuple[int, str]], at: int) -> str | None:
    """The last at or before an instant, of a relation in fact order."""
    found = None
    for since, what in relation:
        if since <= at:
            found = what
    return found
