"""Accounts that facts leave and come to, journal record by journal record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import pytest

from revenue_core.facts import Touch
from streams import homes
from streams.agents.links import read_links
from streams.homes import UNSURE, Home, mark
from streams.journal import Transfer, decode, encode_decisions, encode_fact, encode_touch
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog, MemoryRecord
from streams.partitioning import partition_of
from streams.service import Timing
from streams.topology import ANSWERS, CONTROL, CREDITS, DEAD_LETTERS, JOURNAL, JOURNEYS, PARTIALS
from tests.builders import compacted, service

DAY = 86_400_000
START = 1_790_000_000_000
LONG_AGO = -(2**62)
IN_RUNS = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)
OLD, NEW = "A:old", "A:new"


class Accounts:
    """The journey agent of one process, with everything that it has written."""

    def __init__(self, partitions: int = 1, *, live_touches: int = 200_000) -> None:
        made = service(IN_RUNS, partitions)
        made.journey.live_touches = live_touches
        self.service = made
        self.log = MemoryLog({JOURNAL: partitions, PARTIALS: partitions})
        self.executor = MemoryExecutor([a for a in made.agents if a.name == "journey"], self.log, lambda: START,
                                       retain=True)  # fmt: skip

    def take(self, *records: tuple[str, bytes]) -> None:
        """Journal records, handled with all that comes of them."""
        self.put(*records)
        self.executor.drain()

    def put(self, *records: tuple[str, bytes]) -> None:
        for key, value in records:
            self.log.append(JOURNAL, key.encode(), value, START)

    def step(self) -> bool:
        """One run of every partition."""
        agent = self.executor.agents[0]
        return self.executor._step(agent)

    def journal(self, kind: str) -> list[MemoryRecord]:
        """Records of a kind, as they stand in the journal."""
        return [r for r in self.log.topic(JOURNAL) if orjson.loads(r.value or b"{}")["k"] == kind]

    def repeat(self, records: Iterable[MemoryRecord]) -> None:
        """Records that a process which died wrote once more."""
        for record in records:
            self.log.append(JOURNAL, record.key, record.value, START, record.headers)
        self.executor.drain()

    def view(self) -> dict[str, Any]:
        """Topic -> key -> last row."""
        return {t: compacted(t, (r.value for r in self.log.topic(t) if r.value)) for t in ANSWERS}

    def touches(self) -> dict[str, int]:
        """Account id -> how many touches its row counts."""
        return {account: row["touches"] for account, row in self.view()[JOURNEYS].items()}

    def rows(self, topic: str) -> list[dict[str, Any]]:
        return [orjson.loads(r.value) for r in self.log.topic(topic) if r.value]

    def stored(self) -> bytes:
        """Every byte of the table."""
        tables = [table for (name, _), table in self.executor.tables.items() if name == "journey"]
        return b"".join(key + b"\0" + value for table in tables for key, value in table.items())


def home(*ids: str, node: str = "", route: int = UNSURE, redirect: int = UNSURE) -> Home:
    return Home(route, redirect, node or ids[0], ids)


def touch(number: int, root: str, of: Home, *, contact: str = "", day: int = 0) -> tuple[str, bytes]:
    """A touch, put under an account."""
    at, event_id = START + day * DAY + number, f"{contact or 't'}{number}"
    body = Touch(at, f"crm:{event_id}", "page_view", True, "Email", contact_id=contact)
    return root, encode_touch(body, "crm", event_id, f"{number:016x}", START, of)


def won(root: str, of: Home, number: int = 1) -> tuple[str, bytes]:
    event = {
        "event_id": f"d{number}", "source": "crm", "occurred_at": START + 30 * DAY, "type": "deal_updated",
        "deal_id": "D", "amount": "100", "status": "won", "stage": "closed", "account_id": root[2:],
    }  # fmt: skip
    return root, encode_fact("deals", event, f"{number:016x}", START, of)


def redirect(told: str, node: str, decision: int, root: str) -> tuple[str, bytes]:
    return told, encode_decisions([[homes.REDIRECT, node, decision, root]])


def route(told: str, key: str, decision: int, *timeline: tuple[int, str, str]) -> tuple[str, bytes]:
    return told, encode_decisions([[homes.ROUTE, key, decision, timeline or [(LONG_AGO, NEW, NEW)]]])


def erasure(told: str, identifier: str, decision: int, until: int) -> tuple[str, bytes]:
    return told, encode_decisions([[homes.ERASURE, mark(identifier), decision, until]])


def a_journey(root: str = OLD, size: int = 5) -> list[tuple[str, bytes]]:
    """Touches and a won deal of one account."""
    return [won(root, home("d:D", root, node=root)), *(touch(n, root, home(root)) for n in range(size))]


def moved() -> list[tuple[str, bytes]]:
    """The decision that sends everything of the old account to the new one."""
    return [redirect(OLD, OLD, 7, NEW)]


def test_a_decision_withdraws_the_rows_in_the_run_that_learns_it() -> None:
    accounts = Accounts()
    accounts.take(*a_journey())
    assert accounts.view()[CREDITS]
    accounts.put(*moved())
    accounts.step()
    view = accounts.view()
    assert not view[CREDITS] and not view[JOURNEYS]


def test_what_has_left_gives_the_same_rows_in_its_new_account() -> None:
    accounts, never = Accounts(), Accounts()
    accounts.take(*a_journey())
    accounts.take(*moved())
    never.take(*a_journey(NEW))
    assert accounts.view() == never.view()


def test_only_the_facts_of_a_routed_visitor_leave_and_only_from_its_instant_on() -> None:
    accounts = Accounts()
    visitor, other = home("a:v", OLD), home("a:w", OLD)
    accounts.take(
        touch(1, OLD, visitor, day=1), touch(2, OLD, visitor, day=9), touch(3, OLD, other, day=9),
        route(OLD, "a:v", 7, (LONG_AGO, OLD, OLD), (START + 5 * DAY, NEW, NEW)),
    )  # fmt: skip
    assert accounts.touches() == {"old": 2, "new": 1}


MANY = 3_000


def test_a_large_account_is_handed_over_in_bounded_steps_between_which_others_are_served() -> None:
    accounts = Accounts()
    accounts.take(*(touch(n, OLD, home(OLD)) for n in range(MANY)))
    accounts.put(*moved())
    accounts.step()
    neighbour = "A:neighbour"
    accounts.put(touch(9, neighbour, home(neighbour)))
    served = []
    while accounts.step():
        counts = accounts.touches()
        served.append(("neighbour" in counts, counts.get("new", 0)))
    assert next(there for neighbours, there in served if neighbours) < MANY
    assert accounts.touches() == {"new": MANY, "neighbour": 1}
    transfers = [decode(record.value or b"") for record in accounts.journal("x")]
    sizes = [len(each.messages) for each in transfers if isinstance(each, Transfer)]
    assert max(sizes) <= 1_024 and sum(sizes) == MANY
    assert max(len(record.value or b"") for record in accounts.journal("x")) < 512 << 10
    assert len(accounts.journal("h")) >= 2


def test_what_has_been_handed_over_is_dropped_from_the_state() -> None:
    accounts = Accounts()
    accounts.take(*(touch(n, OLD, home(OLD), contact="somebody") for n in range(MANY)))
    accounts.take(*moved())
    table = accounts.executor.tables["journey", 0]
    kept = sum(len(value) for key, value in table.items() if OLD.encode() in key)
    taken = sum(len(value) for key, value in table.items() if NEW.encode() in key)
    assert kept < 1_000 < taken


@pytest.mark.parametrize(("kind", "live_touches"), [("h", 0), ("x", 200_000)])
def test_steps_and_transfers_written_once_more_change_nothing(kind: str, live_touches: int) -> None:
    accounts = Accounts(live_touches=live_touches)
    accounts.take(*a_journey(size=2_100))
    accounts.take(*moved())
    before, bytes_before = accounts.view(), len(accounts.stored())
    again = accounts.journal(kind)
    assert len(again) >= 2
    accounts.repeat(again)
    accounts.repeat(reversed(again))
    assert accounts.view() == before
    assert len(accounts.stored()) < bytes_before + 1_000


def test_a_transfer_written_once_more_is_answered_once_more() -> None:
    accounts = Accounts()
    accounts.take(*a_journey())
    accounts.take(*moved())
    (transfer,) = accounts.journal("x")
    answered, said = accounts.view()[CREDITS], accounts.rows(CREDITS)
    accounts.repeat([transfer])
    again = accounts.rows(CREDITS)[len(said) :]
    assert {row["credit_id"] for row in again} == answered.keys()
    assert min(row["version"] for row in again) > max(row["version"] for row in said)


def test_a_latecomer_is_passed_on_with_what_has_been_decided_about_it() -> None:
    accounts = Accounts()
    accounts.take(*a_journey(), *moved())
    accounts.take(touch(77, OLD, home(OLD)))
    assert accounts.touches() == {"new": 6}
    (passed,) = [r for r in accounts.journal("t") if "g" in orjson.loads(r.value or b"")]
    assert (passed.key, orjson.loads(passed.value or b"")["h"][1]) == (NEW.encode(), 7)


def test_a_fact_that_was_put_here_by_a_newer_decision_stays() -> None:
    accounts = Accounts()
    accounts.take(*a_journey(), *moved())
    accounts.take(touch(77, OLD, home(OLD, redirect=9)))
    assert accounts.touches() == {"new": 5, "old": 1}


def test_an_outdated_decision_moves_nobody_back() -> None:
    accounts = Accounts()
    accounts.take(*a_journey(), *moved())
    accounts.take(redirect(NEW, OLD, 3, OLD))
    assert accounts.touches() == {"new": 5}


def test_a_decision_that_arrives_behind_a_newer_one_is_passed_over() -> None:
    accounts = Accounts()
    accounts.take(*a_journey(), redirect(OLD, OLD, 9, NEW), redirect(OLD, OLD, 7, OLD))
    accounts.take(touch(77, OLD, home(OLD)))
    assert accounts.touches() == {"new": 6}


def test_facts_sent_back_and_forth_end_where_the_last_decision_says() -> None:
    accounts = Accounts()
    accounts.take(*a_journey(), *moved())
    accounts.take(redirect(NEW, OLD, 8, OLD))
    assert accounts.touches() == {"old": 5}
    accounts.take(redirect(OLD, OLD, 9, NEW))
    assert accounts.touches() == {"new": 5}
    never = Accounts()
    never.take(*a_journey(NEW))
    assert accounts.view() == never.view()


def test_decisions_learned_in_the_wrong_order_send_nothing_round_in_a_circle() -> None:
    accounts = Accounts()
    accounts.take(*a_journey())
    # the later one, which sends back, comes before there is anything to send back
    accounts.take(redirect(NEW, OLD, 8, OLD))
    accounts.take(*moved())
    assert accounts.touches() == {"old": 5}
    assert len(accounts.journal("x")) == 2


def test_an_erased_persons_touches_leave_no_byte_in_the_state() -> None:
    accounts = Accounts()
    for number in range(300):
        name = "jane-4711" if number % 3 else "bob-0815"
        accounts.take(touch(number, OLD, home(f"c:{name}", OLD, node=OLD), contact=name))
    assert accounts.stored().count(b"jane-4711") >= 200  # the ids of her touches begin with it, too
    accounts.take(erasure(OLD, "c:jane-4711", 7, START + DAY))
    assert b"jane-4711" not in accounts.stored()
    assert accounts.stored().count(b"bob-0815") >= 100
    assert accounts.touches() == {"old": 100}
    assert [row["contacts"] for row in accounts.view()[JOURNEYS].values()] == [1]


def test_a_touch_of_an_erased_person_that_comes_later_is_forgotten_unless_it_is_younger() -> None:
    accounts = Accounts()
    person = home("c:jane-4711", OLD, node=OLD)
    accounts.take(erasure(OLD, "c:jane-4711", 7, START + DAY))
    accounts.take(touch(1, OLD, person, contact="jane-4711"))
    assert b"jane-4711" not in accounts.stored() and not accounts.touches()
    accounts.take(touch(2, OLD, person, contact="jane-4711", day=2))
    assert accounts.touches() == {"old": 1}


def test_a_deal_stays_when_its_contact_is_erased() -> None:
    accounts = Accounts()
    accounts.take(won(OLD, home("d:D", OLD, "c:jane-4711", node=OLD)), touch(1, OLD, home(OLD)))
    before = accounts.view()[CREDITS]
    accounts.take(erasure(OLD, "c:jane-4711", 7, START + 99 * DAY))
    assert before and accounts.view()[CREDITS] == before


def apart() -> tuple[str, str]:
    """Keys of two accounts in different ones of two partitions."""
    keys = [f"A:{number}" for number in range(20)]
    return next((a, b) for a in keys for b in keys if [partition_of(k.encode(), 2) for k in (a, b)] == [0, 1])


@pytest.mark.parametrize("turned", [False, True])
def test_the_rows_of_the_account_that_got_a_deal_outrank_those_of_the_one_it_left(turned: bool) -> None:
    here, there = apart()[::-1] if turned else apart()
    accounts = Accounts(2)
    # the partition of the account that loses the deal is a long way ahead
    accounts.take(*(touch(n, here, home(here)) for n in range(500)))
    accounts.take(won(here, home("d:D", here, node=here)))
    for decision in range(3):
        deciding, going = (here, there) if decision % 2 == 0 else (there, here)
        accounts.take(redirect(deciding, here, decision, going))
        versions: dict[str, dict[bool, int]] = defaultdict(lambda: {True: -1, False: -1})
        for row in accounts.rows(CREDITS):
            known = versions[row["credit_id"]]
            whose = row["account_id"] == going[2:] and not row["is_deleted"]
            known[whose] = max(known[whose], row["version"])
        assert len(versions) == 500
        assert all(known[True] > known[False] for known in versions.values())


def test_a_watched_identifier_is_reported_with_what_is_there_and_what_comes() -> None:
    accounts = Accounts()
    person = home("c:jane", OLD, node=OLD)
    accounts.take(touch(1, OLD, person), touch(2, OLD, home(OLD)))
    accounts.take((OLD, encode_decisions([[homes.WATCH, "c:jane", 7, None]])))
    accounts.take(touch(3, OLD, person), touch(4, OLD, home(OLD)))
    assert [listed[2] for listed in _reported(accounts)] == ["t1", "t3"]


def test_what_is_handed_over_takes_along_that_it_is_to_be_reported() -> None:
    accounts = Accounts()
    person = home("c:jane", OLD, node=OLD)
    accounts.take(
        touch(1, OLD, person), (OLD, encode_decisions([[homes.WATCH, "c:jane", 6, None]])), *moved()
    )
    accounts.take(touch(2, NEW, person._replace(node=NEW)))
    assert [listed[2] for listed in _reported(accounts)][-1] == "t2"


def test_a_merge_is_reported_with_where_it_goes() -> None:
    accounts = Accounts()
    event = {
        "event_id": "m1", "source": "crm", "occurred_at": START, "type": "account_merged", "account_id": "old",
        "contact_id": "jane", "into_account_id": "new",
    }  # fmt: skip
    accounts.take((OLD, encode_fact("leads", event, "0", START, home(OLD, "c:jane"))))
    accounts.take((OLD, encode_decisions([[homes.WATCH, "c:jane", 7, None]])))
    (sighting,) = read_links({"l": _reported(accounts)})
    assert sighting.observation.into == "new"


def _reported(accounts: Accounts) -> Sequence[Any]:
    records = [orjson.loads(record.value or b"") for record in accounts.log.topic(CONTROL)]
    return [listed for record in records if record["k"] == "links" for listed in record["l"]]


def test_nothing_that_moves_is_refused() -> None:
    accounts = Accounts()
    accounts.take(*a_journey(), *moved())
    assert not accounts.log.topic(DEAD_LETTERS)
