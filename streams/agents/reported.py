"""Links that this process has reported and that are not decided yet, so that they are not reported fact by fact.

A copy of the identity table says which links are known. Until it has caught up, as behind a backlog, every fact of a
visitor would be news, and whoever decides would read a thousand of them to learn one link.
"""

from __future__ import annotations

from revenue_core.journey import NEVER
from streams.agents.known_links import RECORDS
from streams.identity import Replica, reported

MOST = 100_000
"""Links that are remembered; then all are forgotten, and reported again."""


def names_account(ids: tuple[str, ...]) -> bool:
    """Whether a fact says itself where it belongs."""
    return ids[0][:2] == "A:"


class Reported:
    """Links that facts have been reported with which name their account.

    Only these: where another fact was put may rest on what was known then, and whoever decides has to be told of each
    such place. A report that is lost in a crash is of a fact that is read again.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], int] = {}
        """(identifier, partner) -> the earliest instant reported."""

    def forget(self) -> None:
        """Whoever goes on may not have got what was on its way."""
        self._since.clear()

    def add(self, ids: tuple[str, ...], at: int) -> None:
        """A fact is being reported."""
        if not names_account(ids):
            return
        if len(self._since) > MOST:
            self.forget()
        for pair in reported(ids):
            self._since[pair] = min(at, self._since.get(pair, NEVER))

    def covers(self, ids: tuple[str, ...], at: int, replica: Replica) -> bool:
        """Whether a fact that names its account links nothing, from no instant, that is not known or reported.

        Where something is decided about an identifier, that alone counts.
        """
        if not names_account(ids) or any(each[:2] in RECORDS for each in ids):
            return False
        for pair in reported(ids):
            entry = replica.entry(pair[0])
            since = self._since.get(pair) if entry is None else entry.partners.get(pair[1])
            if since is None or at < since:
                return False
        return True
