"""Accounts with messages of several visitors, stored and read back as the journey agent does it."""

from __future__ import annotations

from typing import Any

from revenue_core import journey as core
from revenue_core.account import Account, FactBody, Group
from revenue_core.facts import Touch
from streams import chunks, codec, homes
from streams.homes import ERASURE, REDIRECT, ROUTE, Home, mark
from streams.packed import Packed

HOUR = 3_600_000
START = 1_790_000_000_000
ROOT = "A:acme"
EVER = -(2**62)
Message = tuple[str, str, Group[Any]]
"""(topic kind, identity, message)"""


def home_of(*ids: str, stamp: int = 0) -> Home:
    """The home of a message that lies with acme because of the claim of a visitor."""
    return Home(stamp, stamp, ROOT, ids)


def touch(number: int, visitor: str = "", contact: str = "", home: Home | None = None) -> Message:
    """A touch at hour ``number``."""
    identity = f"native:t{number}"
    body = Touch(
        START + number * HOUR, identity, "page_view", True, "Email", contact_id=contact, visitor=visitor
    )
    home = home or (home_of(f"a:{visitor}") if visitor else None)
    return (
        "touchpoints",
        identity,
        Group(body.at, f"{number:016x}", body.at, body, homes.dump(home) if home else ""),
    )


def lead(number: int, contact: str = "", home: Home | None = None) -> Message:
    """A lead at hour ``number``."""
    at = START + number * HOUR
    body = FactBody("lead_created", {"lead_id": f"L{number}", **({"contact_id": contact} if contact else {})})
    return "leads", f"crm:l{number}", Group(at, f"{number:016x}", at, body, homes.dump(home) if home else "")


def deal(number: int, home: Home | None = None) -> Message:
    """A change of a deal at hour ``number``."""
    at = START + number * HOUR
    body = FactBody("deal_updated", {"deal_id": "D", "amount": str(number)})
    return "deals", f"crm:d{number}", Group(at, f"{number:016x}", at, body, homes.dump(home) if home else "")


def route(native: str, decision: int, root: str) -> list[Any]:
    """Every fact of a native key belongs to a root."""
    return [ROUTE, native, decision, [[EVER, root, root]]]


def redirect(node: str, decision: int, root: str) -> list[Any]:
    """A node lies under a root."""
    return [REDIRECT, node, decision, root]


def erase(identifier: str, decision: int, until: int) -> list[Any]:
    """What carries an identifier up to an instant is to be forgotten."""
    return [ERASURE, mark(identifier), decision, until]


class Store:
    """One account, live and in the table."""

    def __init__(self, key: str = ROOT) -> None:
        self.key, self.name = key.encode(), key
        self.table: dict[bytes, bytes] = {}
        self.state = core.State(Account("acme"))
        self.packed = Packed.empty(self.key, self.table.get)

    def add(self, *messages: Message) -> None:
        """Messages join the account."""
        for kind, identity, message in messages:
            self.state.account.read_past()
            if kind == "touchpoints":
                self.state.account.add_touch(identity, message)
            else:
                self.state.account.add_fact(kind, identity, message)
            self.packed.add(kind, identity, message, self.state.account)

    def learn(self, *entries: list[Any]) -> list[Any]:
        """Decisions come, and the account is folded anew."""
        new = self.packed.learn(entries)
        self.state.account = self.packed.refold("acme")
        return list(new)

    def records(self) -> list[tuple[bytes, bytes | None]]:
        """What a write writes, in order."""
        return [
            *self.packed.writes(),
            (self.key, codec.encode(self.state, self.packed)),
            *self.packed.deletions(),
        ]

    def write(self, first: int | None = None) -> int:
        """Write the account, or only the first records of it; how many there are."""
        records = self.records()
        apply(self.table, records[:first])
        return len(records)

    def read(self) -> Store:
        """The account as another worker reads it."""
        found = Store(self.name)
        found.table = self.table
        found.state, found.packed = codec.decode(self.name, "acme", self.table[self.key], self.table.get)
        return found

    def stored(self) -> set[bytes]:
        """Kinds of chunks there are."""
        return {key[1:2] for key in self.table if chunks.is_chunk(key)}


def apply(table: dict[bytes, bytes], records: list[tuple[bytes, bytes | None]]) -> None:
    """Write records to a table."""
    for key, value in records:
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def seen(store: Store) -> tuple[Any, ...]:
    """Everything an account says when it is read."""
    account = store.state.account
    account.read_past()
    return (
        account.touch_groups, account.lead_groups, account.deal_groups, account.touches, account.contacts,
        account.latest,
    )  # fmt: skip
