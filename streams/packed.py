"""The stored form of an account's messages, what it knows of where they belong, and how far those that left are gone.

A stored message is part of the account while the decisions the account knows of leave it there (``streams.homes``).
So a decision that takes messages away takes effect with one small record; what has left is not read any more, and is
dropped from storage later (``Packed.purge``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from revenue_core.account import Account, FactBody, Group, fold
from revenue_core.facts import Touch
from streams import chunks, homes
from streams.chunks import ChunkLog, Get, JsonLog
from streams.homes import Home, Knowledge, Place
from streams.touch_log import TouchLog

LETTERS = {"touchpoints": "t", "leads": "l", "deals": "d"}
KINDS = {letter: kind for kind, letter in LETTERS.items()}
FEW_DECISIONS = 64
"""So many decisions are kept as they came, also those that later ones have replaced."""
NOTHING = Knowledge()
"""What nearly every account knows; nobody adds to it."""


@dataclass(slots=True)
class Handing:
    """How far an account is with handing over what has left it."""

    number: int = 0
    """Steps taken."""
    position: int = 0
    """Of the message that the next step looks at first: touches, then facts, in order of arrival."""
    pending: bool = False
    """Whether there is a next step."""
    count: int = 0
    """Messages below this position"""
    decision: int = homes.UNSURE
    """that had left by decisions up to this one have been handed over."""

    def __bool__(self) -> bool:
        """Whether the account has ever begun to hand over."""
        return bool(
            self.pending or self.number or self.count or self.position or self.decision > homes.UNSURE
        )


class Packed:
    """The stored form of an account's messages, kept beside the live one; a ``revenue_core.account.Past``."""

    __slots__ = (
        "_knows", "_root", "answered", "contacts", "facts", "handing", "knowledge", "known_contacts", "leftovers",
        "touches",
    )  # fmt: skip

    def __init__(
        self, root: str, touches: TouchLog, facts: JsonLog, contacts: JsonLog, knowledge: JsonLog
    ) -> None:
        self.touches, self.facts, self.contacts, self.knowledge = touches, facts, contacts, knowledge
        self.known_contacts: set[str] = set()
        self.answered: tuple[int, int] | None = None
        """Messages of touches and facts on which the last answers were given, once they may no longer hold."""
        self.handing = Handing()
        self.leftovers: list[tuple[str, int, int]] = []
        """(kind, epoch, number) of records that a torn write may have left over: deleted with the next header."""
        self._root = root
        self._knows: Knowledge | None = None

    @classmethod
    def empty(cls, key: bytes, get: Get) -> Packed:
        """Of an account that has no state yet."""
        return cls(
            key.decode(),
            TouchLog(key, get),
            JsonLog(chunks.FACTS, key, get),
            JsonLog(chunks.CONTACTS, key, get, inline=chunks.EMPTY),
            JsonLog(chunks.KNOWLEDGE, key, get, inline=chunks.EMPTY),
        )

    def counts(self) -> tuple[int, int]:
        """Messages of touches and of facts."""
        return self.touches.count, self.facts.count

    def add(self, kind: str, identity: str, message: Group[Any], account: Account) -> None:
        """Add a message that has just joined the account."""
        if kind == "touchpoints":
            self.touches.append(identity, message)
            contact = message.body.contact_id
        else:
            self.facts.append(_item(LETTERS[kind], identity, message))
            contact = str(message.body.fields.get("contact_id", ""))
        if contact and contact not in self.known_contacts and contact in account.contacts:
            self.known_contacts.add(contact)
            self.contacts.append(contact)
        if len(self.known_contacts) != len(account.contacts) or kind == "leads":
            self._compare_contacts(account)

    def _compare_contacts(self, account: Account) -> None:
        """A message may have taken another's place, and its contact with it."""
        if self.known_contacts != account.contacts:
            self.known_contacts = set(account.contacts)
            self.contacts.restart(sorted(account.contacts))

    @property
    def knows(self) -> Knowledge:
        """The decisions that concern messages of this account; ``learn`` adds to them."""
        if self._knows is None:
            if not self.knowledge.count:
                return NOTHING
            self._knows = Knowledge()
            for entry in self.knowledge.items():
                self._knows.learn(entry)
        return self._knows

    def learn(self, entries: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """Take decisions, as ``Knowledge.learn`` does; those that were new."""
        if self.knows is NOTHING:
            self._knows = Knowledge()
        knows, log = self.knows, self.knowledge
        new = []
        for entry in entries:
            if knows.learn(entry):
                log.append(entry)
                new.append(entry)
        live = len(knows.routes) + len(knows.redirects) + len(knows.erasures) + len(knows.watched)
        if log.count > FEW_DECISIONS and log.count > 2 * live:
            log.restart(knows.entries())
        return new

    def home(self, message: Group[Any]) -> Home:
        """The home of a message that lies here."""
        return homes.load(message.home) if message.home else homes.native_home(self._root)

    def place(self, letter: str, message: Group[Any]) -> Place:
        """Where a message that lies here belongs by what is known; ``letter`` says its kind."""
        return self.knows.place(self.home(message), message.at, self._root, erasable=letter != "d")

    def _is_here(self, letter: str, message: Group[Any]) -> bool:
        return self.place(letter, message).root == self._root

    def may_know(self, identity: str) -> bool:
        """See ``Past``."""
        return self.touches.may_know(identity)

    def read(self, limit: int | None = None) -> Iterator[tuple[str, Group[Touch]]]:
        """See ``Past``; of the first ``limit`` messages, or of all, those that are still here."""
        found = islice(self.touches.messages(), limit)
        if not self.knows:
            return found
        return ((identity, message) for identity, message in found if self._is_here("t", message))

    def restore_facts(self, account: Account, limit: int | None = None) -> None:
        """Fold into an account those of the first ``limit`` lead and deal facts, or of all, that are still here."""
        tables = {"l": account.lead_groups, "d": account.deal_groups}
        moved = bool(self.knows)
        for item in self.facts.items(limit):
            letter, identity, message = _message(item)
            if not moved or self._is_here(letter, message):
                fold(tables[letter], [(identity, message)])

    def earlier(self, account_id: str, answered: tuple[int, int]) -> Account:
        """The account as it was when it had so many messages of touches and facts."""
        return self._folded(account_id, *answered)

    def refold(self, account_id: str) -> Account:
        """The account as it is now that decisions have come, with every touch read."""
        account = self._folded(account_id, None, None)
        self._compare_contacts(account)
        return account

    def _folded(self, account_id: str, touches: int | None, facts: int | None) -> Account:
        account = Account(account_id)
        fold(account.touch_groups, self.read(touches))
        self.restore_facts(account, facts)
        account.reindex()
        return account

    def everything(self, position: int = 0) -> Iterator[tuple[int, str, str, Group[Any]]]:
        """(position, kind as a letter, identity, message) of every message from a position on, gone or not.

        First the touches (``t``), then lead (``l``) and deal (``d``) facts, each in order of arrival; no chunk that
        ends before the position is read.
        """
        for identity, message in self.touches.messages(position):
            yield position, "t", identity, message
            position += 1
        for item in self.facts.items_from(position - self.touches.count):
            yield position, *_message(item)
            position += 1

    def purge(self) -> None:
        """Store anew what is still here, with homes that say by which decisions it is, and drop what has left.

        Nothing is lost when the write is torn: the new chunks stand before the header, the deletions behind it.
        The contacts are ``refold``'s to bring in line.
        """
        touches: list[tuple[str, Group[Touch]]] = []
        facts: list[list[Any]] = []
        known, answered = self.answered, [0, 0]
        for position, letter, identity, message in self.everything():
            place = self.place(letter, message)
            if place.root != self._root:
                continue
            if place.decided > homes.UNSURE:
                message = message._replace(home=homes.dump(place.home))  # noqa: PLW2901
            is_touch = letter == "t"
            if is_touch:
                touches.append((identity, message))
            else:
                facts.append(_item(letter, identity, message))
            if known and (position if is_touch else position - self.touches.count) < known[not is_touch]:
                answered[not is_touch] += 1
        self.touches.restart(touches)
        self.facts.restart(facts)
        if known:
            self.answered = answered[0], answered[1]
        self.handing.count = self.handing.position = len(touches) + len(facts)

    def has_moved(self) -> bool:
        """Whether anything about identity has ever concerned the account."""
        return bool(self.knowledge.epoch or self.knowledge.count or self.touches.epoch or self.handing)

    def _logs(self) -> tuple[ChunkLog, ...]:
        return self.touches, self.facts, self.contacts, self.knowledge

    def replaced(self) -> list[tuple[str, int, int]]:
        """(kind, epoch, number) of records that the next header no longer counts on."""
        found = list(self.leftovers)
        for log in self._logs():
            for epoch, records in log.obsolete:
                found.append((log.kind.decode(), epoch, records))
        return found

    def writes(self) -> list[tuple[bytes, bytes | None]]:
        """What has to be written before the header, each once: chunks, and deletions of what is left over."""
        found: list[tuple[bytes, bytes | None]] = []
        for log in self._logs():
            if self.leftovers:
                kind = log.kind.decode()
                for each, epoch, records in self.leftovers:
                    found += [(key, None) for key in log.keys(epoch, records) if each == kind]
            found += log.pending.items()
            log.pending.clear()
        self.leftovers.clear()
        return found

    def deletions(self) -> list[tuple[bytes, bytes | None]]:
        """The chunks that are to be deleted behind the header, each once."""
        found: list[tuple[bytes, bytes | None]] = []
        for log in self._logs():
            for each in log.obsolete:
                found += [(key, None) for key in log.keys(*each)]
            log.obsolete.clear()
        return found


def _item(letter: str, identity: str, message: Group[FactBody]) -> list[Any]:
    """A lead or deal fact as it is stored."""
    body = message.body
    item = [letter, identity, message.at, message.digest, message.last_at, body.type, body.fields]
    return [*item, message.home] if message.home else item


def _message(item: Sequence[Any]) -> tuple[str, str, Group[FactBody]]:
    """The inverse of ``_item``: letter, identity, message."""
    letter, identity, at, digest, last_at, kind, fields, *home = item
    return letter, identity, Group(at, digest, last_at, FactBody(kind, fields), *home)
