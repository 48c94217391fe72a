"""The table ``identity``: what the coordinator has decided, and how ingest reads it.

    k:<key>    [decision, timeline, partners]  where facts with this native key belong (see ``homes``), and with whom
               the identifier is known to be linked, since when
    n:<node>   [decision, root]  where the facts of a node live: the account it was merged into, or that claims it
    x:<mark>   [decision, until]  an identifier that was erased

``decision`` is the offset of the control record it rests on. The topic has one partition and is written in the order
of decisions, so a replica that has read up to one knows all before it; how far that is stamps every fact that is put
where the replica says (``homes.Home``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import orjson

from revenue_core.identity.observations import ERASED, Timeline
from revenue_core.identity.timelines import constant, place
from streams.homes import UNSURE, Home, mark

KEY, NODE, GONE = b"k:", b"n:", b"x:"
STRENGTH = {"a:": 0, "e:": 1, "c:": 2, "A:": 3}
CACHED = 20_000


class Entry(NamedTuple):
    """What is decided about an identifier."""

    decision: int
    timeline: Timeline
    partners: Mapping[str, int]
    """Identifier -> the earliest instant from which a link is known."""


def encode_entry(entry: Entry) -> bytes:
    """Value of a ``k:`` record."""
    timeline = entry.timeline
    short: object = timeline[0][1] if len(timeline) == 1 else timeline
    return orjson.dumps([entry.decision, short, entry.partners])


def decode_entry(raw: bytes) -> Entry:
    """The inverse of ``encode_entry``."""
    decision, timeline, partners = orjson.loads(raw)
    if isinstance(timeline, str):
        return Entry(decision, constant(timeline), partners)
    return Entry(decision, tuple((since, node) for since, node in timeline), partners)


def reported(ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(identifier, partner): the pairs that stand in the entry of the first; a weaker one keeps its stronger ones."""
    for each in ids:
        strength = STRENGTH.get(each[:2])
        for other in ids:
            stronger = STRENGTH.get(other[:2], -1)
            if strength is None:
                if each[:2] == "w:" and other[:2] == "A:":
                    yield each, other
            elif stronger > strength or (other[:2] == "w:" and strength < STRENGTH["A:"]):
                yield each, other


class Store(Protocol):
    """Where a replica keeps the table."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def put(self, key: bytes, value: bytes) -> None:
        """Add or replace."""

    def __len__(self) -> int: ...


class DictStore(dict[bytes, bytes]):
    """In a plain dictionary; for ``score`` and small tables."""

    def put(self, key: bytes, value: bytes) -> None:
        """Add or replace."""
        self[key] = value


class Replica:
    """A copy of the table, perhaps behind. ``position`` is the newest decision of which it is sure to have all."""

    def __init__(self, store: Store | None = None) -> None:
        self.store: Store = DictStore() if store is None else store
        self.position = UNSURE
        self.erasures = 0
        """How many identifiers are suppressed."""
        self._outdated: dict[bytes, None] = {}
        """Keys behind whose newest record an older one stands last."""
        self._entries: dict[str, Entry | None] = {}
        self._roots: dict[str, str] = {}

    def apply(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Take records of the topic in order; one that is older than what is known is passed over."""
        for key, value in records:
            if key is None or value is None:
                continue
            decision = decision_of(value)
            known = self.store.get(key)
            if known is not None and not newer(key, known, value):
                self._outdated[key] = None
                continue
            if self._outdated:
                self._outdated.pop(key, None)
            if known is None and key[:2] == GONE:
                self.erasures += 1
            self.store.put(key, value)
            # more records of the same decision may follow
            self.position = max(self.position, decision - 1)
            subject = key[2:].decode()
            if key[:2] == KEY:
                self._entries.pop(subject, None)
            else:
                self._roots.pop(subject, None)

    def take_outdated(self, most: int) -> list[tuple[bytes, bytes]]:
        """(key, newest value) of records behind which an older one stands, each once: whoever asks writes them again.

        Should the topic have a still newer one by then, that will be seen to stand before an older one.
        """
        keys = list(islice(self._outdated, most))
        for key in keys:
            del self._outdated[key]
        return [(key, value) for key in keys if (value := self.store.get(key)) is not None]

    def entry(self, identifier: str) -> Entry | None:
        """What is decided about an identifier."""
        try:
            return self._entries[identifier]
        except KeyError:
            raw = self.store.get(KEY + identifier.encode())
            if len(self._entries) >= CACHED:
                self._entries.clear()
            found = self._entries[identifier] = None if raw is None else decode_entry(raw)
            return found

    def root(self, node: str) -> str:
        """Where the facts of a node live."""
        found = self._roots.get(node)
        if found is None:
            raw = self.store.get(NODE + node.encode())
            if len(self._roots) >= CACHED:
                self._roots.clear()
            found = self._roots[node] = node if raw is None else str(orjson.loads(raw)[1])
        return found

    def suppressed(self, ids: Iterable[str], at: int) -> bool:
        """Whether a touch or lead fact of this instant is of somebody who has been erased (R42)."""
        if not self.erasures:
            return False
        for each in ids:
            raw = self.store.get(GONE + mark(each).encode())
            if raw is not None and at <= orjson.loads(raw)[1]:
                return True
        return False

    def place(self, ids: tuple[str, ...], email_domain: str, at: int) -> tuple[str, Home]:
        """(root, home) of a fact: where it belongs by what is known here.

        Of a native key that nobody has decided on, the fact itself is asked; whoever reports its links says where it
        was put, so that it is found should it belong elsewhere.
        """
        node = self._node(ids[0], ids, email_domain, at)
        return self.root(node), Home(self.position, self.position, node, ids, email_domain)

    def guessed(self, home: Home) -> bool:
        """Whether a fact about somebody nobody knows was put elsewhere than whoever decides would look."""
        key, node = home.native, home.node
        if key[:2] in {"A:", "w:"} or self.entry(key) is not None:
            return False
        expected = {key}
        if key[:2] == "a:":
            expected.add(home.website)
        elif key[:2] == "e:" and home.email_domain:
            expected = {f"w:{home.email_domain}"}
        return node not in expected

    def news(self, ids: tuple[str, ...], at: int) -> bool:
        """Whether a fact links identifiers in a way, or from an instant, that is not known here."""
        if len(ids) == 1:
            return False
        for each, other in reported(ids):
            entry = self.entry(each)
            if entry is None:
                return True
            since = entry.partners.get(other)
            if since is None or at < since:
                return True
        # what a deal or a lead says of its account counts anew each time: the last one decides
        return any(each[:2] in {"l:", "d:"} for each in ids)

    def unclaimed(self, account: str, domains: Iterable[str]) -> bool:
        """Whether it is not known of one of these domains that the account claims it."""
        for domain in domains:
            entry = self.entry(f"w:{domain}")
            if entry is None or account not in entry.partners:
                return True
        return False

    def _node(self, key: str, ids: tuple[str, ...], email_domain: str, at: int) -> str:
        kind = key[:2]
        if kind in {"A:", "w:"}:
            return key
        entry = self.entry(key)
        website = next((each for each in ids if each[:2] == "w:"), "")
        if entry is not None:
            return place(key, entry.timeline, at, website[2:] if kind == "a:" else "")
        if kind == "e:" and email_domain:
            return f"w:{email_domain}"
        if kind in {"d:", "c:"}:
            return self._named(key, ids, email_domain, at)
        return website if website and kind in {"e:", "a:"} else key

    def _named(self, key: str, ids: tuple[str, ...], email_domain: str, at: int) -> str:
        """Of a deal or a contact that is not known: whoever else the fact names, if they are more than a person."""
        for other in ids:
            if other != key and (other[:2] != "l:" and other[:2] != "d:"):
                node = self._node(other, ids, email_domain, at)
                return key if node[:2] in {"a:", "e:"} or node == ERASED else node
        return key


def newer(key: bytes, old: bytes, new: bytes) -> bool:
    """Whether a record of the table takes the place of one before it."""
    return decision_of(new) >= decision_of(old)


def decision_of(value: bytes) -> int:
    """The decision a record of the table rests on, without reading the rest."""
    return int(value[1 : value.index(b",")])
