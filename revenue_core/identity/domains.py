"""Domains: who claims them, and where what resolves through them goes (R38)."""

from __future__ import annotations

from collections.abc import Callable

from revenue_core.identity.observations import HELD, Observation, fact_order, first_of


def claims_of(fact: Observation) -> list[tuple[str, str]]:
    """(domain, account) of each claim a fact makes."""
    account = first_of(fact.ids, "A")
    if not account:
        return []
    site = first_of(fact.ids, "w")
    domains = dict.fromkeys("w:" + domain for domain in fact.domain_claims)
    if site:
        domains[site] = None
    return [(domain, account) for domain in domains]


class Domains:
    """The claims, and the roots they give."""

    __slots__ = ("_by_account", "_claims", "_roots", "ambiguous")

    def __init__(self) -> None:
        self._claims: dict[str, dict[str, list[Observation]]] = {}
        """Domain -> account -> the facts that claim it."""
        self._by_account: dict[str, set[str]] = {}
        self._roots: dict[str, str] = {}
        """Domains that somebody claims."""
        self.ambiguous: set[str] = set()

    def add(self, fact: Observation) -> None:
        """File the claims of a fact."""
        for domain, account in claims_of(fact):
            self._claims.setdefault(domain, {}).setdefault(account, []).append(fact)
            self._by_account.setdefault(account, set()).add(domain)

    def remove(self, fact: Observation) -> None:
        """The inverse of ``add``."""
        for domain, account in claims_of(fact):
            claims = self._claims[domain]
            claims[account].remove(fact)
            if not claims[account]:
                del claims[account]
                self._by_account[account].discard(domain)

    def of(self, account: str) -> set[str]:
        """Domains an account claims."""
        return self._by_account.get(account, set())

    def claimants(self, domain: str) -> dict[str, Observation]:
        """Account -> the first fact by which it claims a domain; an erasure is about persons, and takes none."""
        return {
            account: min(facts, key=fact_order) for account, facts in self._claims.get(domain, {}).items()
        }

    def root(self, domain: str) -> str:
        """Where what resolves through a domain lives."""
        return self._roots.get(domain, domain)

    def settle(self, domain: str, root_of: Callable[[str], str]) -> tuple[str, str]:
        """Find a domain's root anew: (before, now)."""
        before = self.root(domain)
        roots = {root_of(account) for account in self._claims.get(domain, ())}
        self.ambiguous.discard(domain)
        if not roots:
            self._roots.pop(domain, None)
            return before, domain
        if len(roots) > 1:
            self.ambiguous.add(domain)
        now = self._roots[domain] = next(iter(roots)) if len(roots) == 1 else HELD + domain
        return before, now
