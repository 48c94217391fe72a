"""A story in which who is who comes out late, all at once, or differently than it was, for workers that are killed.

Of the accounts ``A2`` is merged into ``A1`` and that into ``A0`` (which shall then go into ``A2``: a circle),
``A3`` into ``A6`` and out again, ``A5`` into ``A4``, with which it shared a domain. Everything lies within ``DAYS``
days before ``END_MS``.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, NamedTuple

import orjson

from tests.integration.audit import END_MS
from tests.integration.live import Sent

DAY_MS = 86_400_000
DAYS = 80
ACCOUNTS = 24
TOUCHES = 3
"""Of a visitor before it is known who that is."""
STRANGERS = 20
ERASED = 5
MOVERS = 6
"""Contacts who change company."""
REPEATED = 0.02
LATE_PEOPLE = 40
"""Of the first storm, who come back behind the second one."""
MERGED = {"A1": "A0", "A2": "A0", "A5": "A4"}
"""What the accounts are in the end."""
KINDS = ("page_view", "page_view", "ad_click", "form_submit", "demo_request", "webinar", "email_reply")
CHANNELS = ("Direct", "Email", "Paid Search", "Organic Search")


class Story(NamedTuple):
    """What is sent, in order; each part comes when the one before has been sent."""

    waiting: list[Sent]
    """Touches of visitors whom nobody knows, deals without account, leads known by contact only."""
    storm: list[Sent]
    """All at once they identify."""
    turns: list[Sent]
    """Merges, claims of domains, contacts elsewhere, deals that name their accounts, people to be forgotten."""
    second_storm: list[Sent]
    """Other visitors identify while one merge is undone and people of the first storm come back."""
    touches: dict[str, int]
    """Account -> touches that belong to it in the end."""
    forgotten: frozenset[str]
    """Ids of the messages that erased people had sent, or still send."""

    @property
    def records(self) -> list[Sent]:
        """All of it."""
        return [*self.waiting, *self.storm, *self.turns, *self.second_storm]


class Teller:
    """Makes the messages and keeps count of what belongs to whom."""

    def __init__(self, seed: int, visitors: int) -> None:
        self.random, self.visitors = Random(seed), visitors
        self.number = 0
        self.touches: Counter[str] = Counter()
        self.forgotten: set[str] = set()

    def tell(self) -> Story:
        """The story."""
        people = range(2 * self.visitors)
        first, second = people[: self.visitors], people[self.visitors :]
        parts = [
            self.waiting(people),
            [self.identified(p) for p in first] + self.plain(self.visitors // 10),
            self.turns(first),
            [self.identified(p) for p in second] + self.plain(self.visitors // 10) + self.afterwards(first),
        ]
        for part in parts:
            part.extend(self.random.sample(part, int(len(part) * REPEATED)))
            self.random.shuffle(part)
        waiting, storm, turns, second_storm = parts
        return Story(waiting, storm, turns, second_storm, dict(self.touches), frozenset(self.forgotten))

    def message(self, topic: str, kind: str, day: float, key: str, **fields: Any) -> Sent:
        """An event at an instant of that day."""
        self.number += 1
        at = END_MS - round((DAYS - day) * DAY_MS) + self.number
        event = {"event_id": f"m{self.number}", "type": kind, "occurred_at": at, **fields}
        return Sent(topic, key.encode(), orjson.dumps(event))

    def touch(self, account: str, day: float, key: str, **ids: str) -> Sent:
        """A touch that belongs to the account in the end; to nobody when it is empty."""
        account = MERGED.get(account, account)
        if account:
            self.touches[account] += 1
        kind, channel = self.random.choice(KINDS), self.random.choice(CHANNELS)
        return self.message("touchpoints", kind, day, key, channel=channel, **ids)

    def day(self, begin: float = 0.0, end: float = 60.0) -> float:
        """Some instant."""
        return self.random.uniform(begin, end)

    def account(self, person: int) -> str:
        """Whom somebody works for."""
        return f"A{person % ACCOUNTS}"

    def identified(self, person: int) -> Sent:
        """A visitor says who it is; its account is told by this, or follows from its company's address."""
        ids = {"anonymous_id": f"v{person}", "contact_id": f"c{person}", "account_id": self.account(person)}
        if person % 3:
            ids["email"] = f"p{person}@{'gmail.com' if person % 2 else f'firm{person % ACCOUNTS}.example'}"
        return self.message("leads", "contact_identified", self.day(61, 64), f"v{person}", **ids)

    def plain(self, count: int) -> list[Sent]:
        """Traffic that names its account."""
        found = []
        for n in range(count):
            account = f"B{n % 10}"
            found.append(self.touch(account, self.day(0, 79), account, account_id=account))
        return found

    def waiting(self, people: range) -> list[Sent]:
        """What comes before anybody is known."""
        found = self.plain(self.visitors)
        for person in people:
            erased = person < ERASED
            for _ in range(TOUCHES):
                account = "" if erased else self.account(person)
                found.append(self.touch(account, self.day(), f"v{person}", anonymous_id=f"v{person}"))
                self._forget(erased, found[-1])
            if person % 40 == 9:
                fields = {"lead_id": f"L{person}", "contact_id": f"c{person}"}
                found.append(self.message("leads", "lead_created", self.day(), f"L{person}", **fields))
        for n in range(STRANGERS):
            found.append(self.touch("", self.day(), f"x{n}", anonymous_id=f"x{n}"))
        for n in range(MOVERS):
            found.append(self.relation(n, 10, "A7"))
            for day in (5, 20, 35, 45, 55):
                found.append(self.touch("A7" if day < 40 else "A6", day, f"m{n}", contact_id=f"m{n}"))
        for n in range(ACCOUNTS):
            found += self.deals(n)
        for account in ("A4", "A5"):
            claims = {"account_id": account, "domains": ["both.example"]}
            found.append(self.message("leads", "account_updated", self.day(), account, **claims))
        for _ in range(30):  # held until the two are one
            found.append(self.touch("A4", self.day(), "both", domain="both.example"))
        return found

    def deals(self, n: int) -> list[Sent]:
        """Of an account: one won, one open, and one that does not say yet whose it is."""
        won = {"deal_id": f"D{n}-won", "account_id": f"A{n}", "amount": "1200.01", "currency": "EUR"}
        late = {"deal_id": f"D{n}-late", "amount": "99.99", "currency": "EUR"}
        bought = {"deal_id": f"D{n}-bought", "amount": "500", "currency": "EUR"}
        return [
            self.message("deals", "deal_updated", 30, f"D{n}", **won, stage="qualification", status="open"),
            self.message("deals", "deal_updated", 59, f"D{n}", **won, stage="closed", status="won"),
            self.message("deals", "deal_updated", 50, f"D{n}", **late, stage="qualification", status="open"),
            self.message("deals", "deal_updated", 52, f"D{n}", **bought, stage="closed", status="won"),
        ]

    def relation(self, mover: int, day: float, account: str) -> Sent:
        """A contact is seen with an account."""
        ids = {"contact_id": f"m{mover}", "account_id": account}
        return self.message("leads", "contact_identified", day, f"m{mover}", **ids)

    def turns(self, people: range) -> list[Sent]:
        """What changes whom facts belong to."""
        merges = (("A2", "A1"), ("A1", "A0"), ("A5", "A4"), ("A3", "A6"))
        found = [
            self.message("leads", "account_merged", 65 + n / 10, old, account_id=old, into_account_id=new)
            for n, (old, new) in enumerate(merges)
        ]
        circle = {"account_id": "A0", "into_account_id": "A2"}
        found.append(self.message("leads", "account_merged", 66, "A0", **circle))
        found += [self.relation(n, 40, "A6") for n in range(MOVERS)]
        for n in range(ACCOUNTS):
            for name in ("late", "bought"):
                stage, status = ("closed", "won") if name == "bought" else ("contract_sent", "open")
                fields = {"deal_id": f"D{n}-{name}", "account_id": f"A{n}", "stage": stage, "status": status}
                found.append(self.message("deals", "deal_updated", 67, f"D{n}", **fields))
        for person in people[:ERASED]:
            found.append(self.message("leads", "person_erased", 70, f"c{person}", contact_id=f"c{person}"))
        return found + self.plain(self.visitors // 5)

    def afterwards(self, people: range) -> list[Sent]:
        """One merge undone, and people who come back, or whose messages come late."""
        found = [self.message("leads", "account_unmerged", 72, "A3", account_id="A3")]
        for person in people[:ERASED]:
            found.append(self.touch("", self.day(), f"v{person}", anonymous_id=f"v{person}"))
            self._forget(True, found[-1])
        for person in people[ERASED : ERASED + LATE_PEOPLE]:
            ids = {"contact_id": f"c{person}"} if person % 2 else {"anonymous_id": f"v{person}"}
            found.append(self.touch(self.account(person), self.day(65, 79), f"v{person}", **ids))
        found += [self.touch("A6", 75, f"m{n}", contact_id=f"m{n}") for n in range(MOVERS)]
        return found

    def _forget(self, erased: bool, sent: Sent) -> None:
        if erased:
            self.forgotten.add(orjson.loads(sent.value)["event_id"])


def tell(seed: int, visitors: int) -> Story:
    """The story with so many visitors in each of its two storms."""
    return Teller(seed, visitors).tell()
