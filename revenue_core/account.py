"""An account's set of facts: duplicates fold away, order of arrival leaves no trace (R01 to R04).

``Account`` is the live form of what one journal key has said so far. It is only a set of facts with the
indexes that make the common case cheap; what follows from the facts is computed in ``journey``. The touches of an
account that comes from storage stay there, known only in sum (``Unread``), until somebody needs them one by one.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from revenue_core.facts import DAY_MS, Fact, Journey, Touch

Body = TypeVar("Body")

DEAL_FACTS = frozenset({"deal_updated", "deal_deleted", "refund"})
LEAD_FACTS = frozenset({"lead_created", "lead_qualified", "lead_disqualified", "lead_feedback"})


class Group(NamedTuple, Generic[Body]):
    """Messages of one identity at most 24 h apart: one fact, its first message (R02)."""

    at: int
    digest: str
    """First 16 hex digits of the SHA-256 of the normalised content: the tie-break at one instant."""
    last_at: int
    """Instant of the group's last message; a message up to 24 h after it still joins."""
    body: Body
    home: str = ""
    """Whom the message names and where it belongs, in the words of whoever stores it; no part of the fact."""


def join(groups: list[Group[Body]], message: Group[Body]) -> list[Group[Body]] | None:
    """Groups of one identity after one more message, in time order; None when nothing changes."""
    near = [g for g in groups if g.at - DAY_MS <= message.at <= g.last_at + DAY_MS]
    first = min([*near, message], key=lambda g: (g.at, g.digest))
    merged = first._replace(
        last_at=max(message.last_at, *(g.last_at for g in near)) if near else message.last_at
    )
    if near == [merged]:
        return None
    return sorted([*(g for g in groups if g not in near), merged], key=lambda g: g.at)


def fold(table: dict[str, list[Group[Body]]], messages: Iterable[tuple[str, Group[Body]]]) -> None:
    """Join messages to the groups of their identities."""
    for identity, message in messages:
        known = table.get(identity)
        if known is None:
            table[identity] = [message]
        else:
            table[identity] = join(known, message) or known


def fact_ids(identity: str, groups: Iterable[Group[Body]]) -> Iterator[tuple[str, Group[Body]]]:
    """Each group with its id: the identity, from the second group on with ``@<ms>`` (R02)."""
    for index, group in enumerate(groups):
        yield (f"{identity}@{group.at}" if index else identity), group


class FactBody(NamedTuple):
    """What a lead or deal message says, beside its identity."""

    type: str
    fields: dict[str, Any]


class Past(Protocol):
    """Messages of touches in storage."""

    def may_know(self, identity: str) -> bool:
        """False when no message of this identity lies within 24 h before the latest, or at it."""
        ...

    def read(self) -> Iterable[tuple[str, Group[Touch]]]:
        """Every message in order of arrival, with its identity."""
        ...


@dataclass(slots=True)
class Unread:
    """What is known of touches that nobody has read."""

    past: Past
    touches: int
    first: Touch | None
    """Of one that stands in storage only the instant and the channel are known."""
    last: Touch | None


@dataclass(slots=True)
class Account:
    """All facts of one journal key, with indexes that are derived from them."""

    account_id: str
    touch_groups: dict[str, list[Group[Touch]]] = field(default_factory=dict)
    """``<source>:<event_id>`` -> groups; a group's touch carries the bare identity as its id."""
    lead_groups: dict[str, list[Group[FactBody]]] = field(default_factory=dict)
    deal_groups: dict[str, list[Group[FactBody]]] = field(default_factory=dict)
    touches: list[Touch] = field(default_factory=list)
    contacts: set[str] = field(default_factory=set)
    latest: int = 0
    """Instant of the latest fact, 0 when there is none."""
    unread: Unread | None = None
    """While it is there, ``touch_groups`` and ``touches`` are empty."""

    @property
    def touch_count(self) -> int:
        """How many touches there are."""
        return len(self.touches) if self.unread is None else self.unread.touches

    @property
    def first_touch(self) -> Touch | None:
        """The first in touch order; of an unread one only instant and channel."""
        if self.unread is not None:
            return self.unread.first
        return self.touches[0] if self.touches else None

    @property
    def last_touch(self) -> Touch | None:
        """The last in touch order; of an unread one only instant and channel."""
        if self.unread is not None:
            return self.unread.last
        return self.touches[-1] if self.touches else None

    def comes_last(self, touch: Touch) -> bool:
        """Whether a touch sorts behind every fact; an unread account says no where it would have to look."""
        last = self.last_touch
        if touch.at != self.latest or last is None:
            return touch.at >= self.latest
        if self.unread is None:
            return touch >= last
        # ids stand here without the suffix of a second group (R02), which decides nothing once the texts differ
        if last.at < touch.at:
            return True
        return bool(last.touch_id) and touch > last and not touch.touch_id.startswith(last.touch_id)

    def add_unread(self, touch: Touch) -> None:
        """Count a touch that comes last and whose identity is new, without reading those before it."""
        unread = self.unread
        assert unread is not None
        unread.touches += 1
        unread.first, unread.last = unread.first or touch, touch
        self.latest = touch.at
        if touch.contact_id:
            self.contacts.add(touch.contact_id)

    def read_past(self) -> None:
        """Read the touches that are still unread."""
        if self.unread is None:
            return
        past, self.unread = self.unread.past, None
        fold(self.touch_groups, past.read())
        self.reindex()

    def groups(self, kind: str) -> dict[str, list[Group[Any]]]:
        """The messages of one topic kind, by identity."""
        if kind == "touchpoints":
            return self.touch_groups
        return self.lead_groups if kind == "leads" else self.deal_groups

    def add_touch(self, identity: str, message: Group[Touch]) -> None:
        """Add one message."""
        groups = self.touch_groups.get(identity)
        if groups is None:
            self.touch_groups[identity] = [message]
            if self.touches and message.body < self.touches[-1]:
                insort(self.touches, message.body)
            else:
                self.touches.append(message.body)
            self.latest = max(self.latest, message.at)
            if message.body.contact_id:
                self.contacts.add(message.body.contact_id)
        else:
            self.touch_groups[identity] = join(groups, message) or groups
            self.reindex()

    def add_fact(self, kind: str, identity: str, message: Group[FactBody]) -> None:
        """Add one message of the topic kind ``leads`` or ``deals``."""
        fold(self.groups(kind), [(identity, message)])
        self.reindex_facts(kind)

    def reindex(self) -> None:
        """Build every index anew from the groups."""
        self.touches = sorted(
            group.body if touch_id == group.body.touch_id else group.body._replace(touch_id=touch_id)
            for identity, groups in self.touch_groups.items()
            for touch_id, group in fact_ids(identity, groups)
        )
        self.reindex_facts("leads")

    def reindex_facts(self, kind: str) -> None:
        """Build the indexes over lead and deal facts anew."""
        tables = (self.lead_groups, self.deal_groups)
        instants = [group.at for table in tables for groups in table.values() for group in groups]
        if self.touches:
            instants.append(self.touches[-1].at)
        self.latest = max(instants, default=0)
        if kind == "leads":
            named = {str(g.body.fields.get("contact_id", "")) for gs in self.lead_groups.values() for g in gs}
            self.contacts = ({t.contact_id for t in self.touches} | named) - {""}

    def journey(self) -> Journey:
        """The facts in their orders, as the mathematics takes them; without touches that nobody has read."""
        result = Journey(self.account_id, touches=tuple(self.touches))
        result.leads = [fact for fact in facts_in_order(self.lead_groups) if fact.type in LEAD_FACTS]
        deals: dict[str, list[Fact]] = {}
        movements = []
        for fact in facts_in_order(self.deal_groups):
            if fact.type in DEAL_FACTS:
                deals.setdefault(fact.body["deal_id"], []).append(fact)
            else:
                movements.append(fact)
        result.deals, result.movements = deals, movements
        return result


def facts_in_order(table: dict[str, list[Group[FactBody]]]) -> list[Fact]:
    """Every fact of a table in fact order."""
    facts = []
    for identity, groups in table.items():
        source, event_id = identity.split(":", 1)
        for fact_id, group in fact_ids(identity, groups):
            facts.append(Fact(group.at, source, event_id, group.body.type, fact_id, group.body.fields))
    return sorted(facts, key=lambda fact: fact[:3])
