"""Merged accounts: who redirects to whom (R41)."""

from __future__ import annotations

from revenue_core.identity.observations import Event


class Merges:
    """The active redirects and the roots they give."""

    __slots__ = ("_active", "_incoming", "_roots", "refused")

    def __init__(self) -> None:
        self._active: dict[str, tuple[Event, str]] = {}
        """Account -> (the fact that decided, where to)."""
        self._incoming: dict[str, set[str]] = {}
        self._roots: dict[str, str] = {}
        """Accounts that are not their own root."""
        self.refused: set[str] = set()
        """Accounts whose redirect would close a circle."""

    def root(self, account: str) -> str:
        """Where an account's facts live."""
        return self._roots.get(account, account)

    def redirects(self, account: str) -> list[tuple[Event, str, str]]:
        """(fact, from, to) of the redirects on the way to the root, in their order."""
        found = []
        while account in self._roots:
            event, into = self._active[account]
            found.append((event, account, into))
            account = into
        return found

    def decide(self, account: str, decision: tuple[Event, str] | None) -> dict[str, tuple[str, str]]:
        """Redirect an account as the last fact about it says, or not at all; (before, now) of changed roots."""
        before = self._active.get(account)
        if before == decision:
            return {}
        reached = self._connected(account)
        if before is not None:
            del self._active[account]
            self._incoming[before[1]].discard(account)
        if decision is not None:
            self._active[account] = decision
            self._incoming.setdefault(decision[1], set()).add(account)
            reached |= self._connected(account)
        return self._settle(reached)

    def _connected(self, account: str) -> set[str]:
        found, waiting = {account}, [account]
        while waiting:
            each = waiting.pop()
            near = set(self._incoming.get(each, ()))
            if each in self._active:
                near.add(self._active[each][1])
            waiting.extend(near - found)
            found |= near
        return found

    def _settle(self, accounts: set[str]) -> dict[str, tuple[str, str]]:
        """Apply the active redirects of connected accounts in fact order."""
        before = {each: self.root(each) for each in accounts}
        applied: dict[str, str] = {}

        def end(account: str) -> str:
            while account in applied:
                account = applied[account]
            return account

        self.refused -= accounts
        for account in sorted(accounts & self._active.keys(), key=lambda each: self._active[each][0]):
            into = self._active[account][1]
            if end(into) == account:
                self.refused.add(account)
            else:
                applied[account] = into
        changed = {}
        for account in accounts:
            root = end(account)
            if root == account:
                self._roots.pop(account, None)
            else:
                self._roots[account] = root
            if root != before[account]:
                changed[account] = (before[account], root)
        return changed
