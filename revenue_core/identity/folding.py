"""Messages fold into facts, whatever order they come in (R02)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from revenue_core.account import Group, join
from revenue_core.identity.observations import Observation


class Folded(NamedTuple):
    """What one message did to the facts."""

    removed: list[Observation]
    added: list[Observation]
    kept: bool
    """The facts cannot be found again without this message."""


UNCHANGED = Folded([], [], kept=False)


class Facts:
    """All messages that matter, and which of them are facts."""

    __slots__ = ("_messages",)

    def __init__(self) -> None:
        self._messages: dict[tuple[str, str], dict[str, Observation | list[Observation]]] = {}
        """(kind, source) -> event id -> its one message, or all of them."""

    def add(self, message: Observation) -> Folded:
        """Fold one message."""
        table = self._messages.setdefault((message.kind, message.source), {})
        known = table.get(message.event_id)
        if known is None:
            table[message.event_id] = message
            return Folded([], [message], kept=True)
        if known == message:
            return UNCHANGED
        messages = known if isinstance(known, list) else [known]
        before = _groups([each for each in messages if _alike(each, message)])
        now = join(before, _group(message))
        if now is None:
            return UNCHANGED
        table[message.event_id] = [*messages, message]
        old, new = [g.body for g in before], [g.body for g in now]
        return Folded([f for f in old if f not in new], [f for f in new if f not in old], kept=True)

    def messages_of(self, kind: str, source: str, event_id: str) -> list[Observation]:
        """Those of one identity that matter."""
        known = self._messages.get((kind, source), {}).get(event_id, [])
        return known if isinstance(known, list) else [known]

    def messages(self) -> Iterator[Observation]:
        """Every message that matters."""
        for table in self._messages.values():
            for known in table.values():
                if isinstance(known, list):
                    yield from known
                else:
                    yield known


def _alike(one: Observation, other: Observation) -> bool:
    """Whether two messages of one identity may be one fact: R02 applies within an account, so they name the same."""
    return one.into == other.into and set(one.ids) == set(other.ids)


def _group(message: Observation) -> Group[Observation]:
    return Group(message.at, message.digest, message.at, message)


def _groups(messages: list[Observation]) -> list[Group[Observation]]:
    groups: list[Group[Observation]] = []
    for message in messages:
        groups = join(groups, _group(message)) or groups
    return groups
