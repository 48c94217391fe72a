"""The identity side of the coordinator, control record by control record."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import orjson
import pytest

from revenue_core.identity.observations import GraphConfig, Observation
from streams import homes
from streams.agents.coordinator import STEP, CoordinatorHandler
from streams.agents.links import Sighting, links_record
from streams.effects import Effects, Run, take_over
from streams.engine.executor import AgentExecutor
from streams.engine.observer import Observer
from streams.engine.settings import AgentSpec
from streams.engine.store import MemoryStore
from streams.homes import FALLBACK, mark
from streams.identity import Replica
from streams.memory.executor import MemoryTable
from streams.memory.log import MemoryRecord
from streams.topology import CONTROL, IDENTITY, JOURNAL
from tests.builders import service
from tests.reference import identity_random

DAY = 86_400_000
START = 1_790_000_000_000
CONTACTS = 20 * STEP
LIMITS = GraphConfig(max_links=3, anonymous_ttl_ms=365 * DAY)


class Coordinator:
    """One process that owns the control topic; the table outlives it."""

    def __init__(self, table: MemoryTable | None = None, offset: int = 0) -> None:
        self.table = table or MemoryTable()
        self.handler = CoordinatorHandler(1, tick_ms=0, idle_ms=0, graph=LIMITS)
        take_over(self.handler, 0, self.table)
        self.offset = offset

    def take(self, value: bytes | None, *, state: bool = True) -> Effects:
        """Handle one control record; without ``state`` the process dies before its state is written."""
        effects = self.handler.handle(
            Run(CONTROL, 0, [MemoryRecord(self.offset, 0, None, value)], 0), self.table
        )
        if state:
            self.table.apply(effects.state)
            self.offset += 1
        return effects

    def see(self, *sightings: Sighting) -> Effects:
        """Handle a record of links."""
        return self.take(links_record(sightings).value)

    def again(self) -> Coordinator:
        """The next owner, of a copy of the table."""
        table = MemoryTable()
        table.data = dict(self.table.data)
        return Coordinator(table, self.offset)


def seen(
    event_id: str, day: int, *ids: str, node: str = "", root: str = "", kind: str = "touchpoints",
    type_: str = "page_view", **fields: Any,
) -> Sighting:  # fmt: skip
    """What ingest reports of a message that it has put somewhere."""
    said = {"email_domain": "", "domain_claims": (), "into": "", **fields}
    return Sighting(
        Observation(START + day * DAY, "crm", event_id, "d", kind, type_, ids, **said), node, root or node
    )


def merged(event_id: str, day: int, account: str, into: str) -> Sighting:
    key = f"A:{account}"
    return seen(event_id, day, key, node=key, kind="leads", type_="account_merged", into=into)


def erased(event_id: str, day: int, *ids: str) -> Sighting:
    return seen(event_id, day, *ids, kind="leads", type_="person_erased")


def told(effects: Effects) -> dict[str, list[tuple[str, str, Any]]]:
    """Account -> the decisions it is told: (kind, subject, what)."""
    found: dict[str, list[tuple[str, str, Any]]] = defaultdict(list)
    for output in effects.outputs:
        if output.topic == JOURNAL and output.key is not None:
            raw = orjson.loads(output.value or b"")
            assert raw["k"] == "r"
            found[output.key.decode()] += [(kind, subject, what) for kind, subject, _, what in raw["d"]]
    return dict(found)


def published(effects: Effects) -> dict[str, Any]:
    """Key of the identity table -> what stands there, without the decision."""
    records = [output for output in effects.outputs if output.topic == IDENTITY]
    return {(each.key or b"").decode(): orjson.loads(each.value or b"")[1:] for each in records}


def roots(entries: list[tuple[str, str, Any]], subject: str) -> list[str]:
    """Where the route of a native key leads, instant by instant."""
    (route,) = [what for kind, about, what in entries if (kind, about) == (homes.ROUTE, subject)]
    return [root for _, _, root in route]


def kinds(entries: list[tuple[str, str, Any]]) -> set[tuple[str, str]]:
    return {(kind, subject) for kind, subject, _ in entries}


def test_a_pair_that_is_new_is_published_and_sends_the_visitors_touches_to_the_account() -> None:
    running = Coordinator()
    effects = running.see(seen("t1", 1, "A:acme", "a:v1", node="A:acme"))
    assert roots(told(effects)["a:v1"], "a:v1") == ["", "A:acme"]
    timeline, partners = published(effects)["k:a:v1"]
    claimed_from = START + DAY - LIMITS.anonymous_ttl_ms
    assert timeline[1:] == [[claimed_from, FALLBACK + "A:acme"]]
    assert partners == {"A:acme": START + DAY}


def test_a_fact_put_elsewhere_than_decided_is_sent_after() -> None:
    running = Coordinator()
    running.see(seen("t1", 1, "A:acme", "c:c1", node="A:acme"))
    # a replica that was behind put it into an account of its own
    effects = running.see(seen("t2", 2, "c:c1", "a:v1", node="c:c1"))
    assert roots(told(effects)["c:c1"], "c:c1") == ["A:acme"]


def test_a_fact_put_where_it_belongs_is_left_there() -> None:
    running = Coordinator()
    running.see(seen("t1", 1, "A:acme", "c:c1", node="A:acme"))
    effects = running.see(seen("t2", 2, "c:c1", "a:v1", node="A:acme"))
    assert "A:acme" not in told(effects)


def test_a_contact_who_changes_company_is_routed_by_date() -> None:
    running = Coordinator()
    running.see(seen("t1", 1, "A:old", "c:c1", node="A:old"))
    effects = running.see(seen("t2", 9, "A:new", "c:c1", node="A:new"))
    assert roots(told(effects)["A:old"], "c:c1") == ["A:old", "A:new"]
    assert [since for since, _ in published(effects)["k:c:c1"][0]][1] == START + 9 * DAY


def test_a_merge_sends_the_account_and_its_domains_on() -> None:
    running = Coordinator()
    running.see(seen("t1", 1, "A:old", "w:old.com", node="A:old"))
    effects = running.see(merged("m1", 2, "old", "new"))
    redirects = {(homes.REDIRECT, "A:old", "A:new"), (homes.REDIRECT, "w:old.com", "A:new")}
    assert redirects <= set(told(effects)["A:old"])
    assert published(effects) | {"n:A:old": ["A:new"], "n:w:old.com": ["A:new"]} == published(effects)


def test_a_chain_of_merges_ends_at_its_last_account() -> None:
    running = Coordinator()
    running.see(merged("m1", 1, "a", "b"))
    effects = running.see(merged("m2", 2, "b", "c"))
    assert published(effects)["n:A:a"] == published(effects)["n:A:b"] == ["A:c"]
    # what was a's lies in b by then
    assert {(homes.REDIRECT, "A:a", "A:c"), (homes.REDIRECT, "A:b", "A:c")} <= set(told(effects)["A:b"])


@pytest.mark.parametrize("last", [("b", "a"), ("b", "b")])
def test_a_merge_that_would_close_a_circle_moves_nobody(last: tuple[str, str]) -> None:
    running = Coordinator()
    running.see(merged("m1", 1, "a", "b"))
    effects = running.see(merged("m2", 2, *last))
    assert told(effects) == {}
    assert not any(key[:2] == "n:" for key in published(effects))
    assert running.handler.links.graph.counts().refused == 1


def test_an_unmerge_sends_back_and_one_of_what_was_never_merged_says_nothing() -> None:
    running = Coordinator()
    running.see(merged("m1", 1, "a", "b"))
    back = seen("u1", 2, "A:a", node="A:a", root="A:b", kind="leads", type_="account_unmerged")
    effects = running.see(back)
    assert (homes.REDIRECT, "A:a", "A:a") in told(effects)["A:b"]
    assert published(effects)["n:A:a"] == ["A:a"]
    stranger = seen("u2", 3, "A:x", node="A:x", kind="leads", type_="account_unmerged")
    assert (told(running.see(stranger)), running.handler.links.graph.redirect("A:x")) == ({}, "A:x")


def test_a_domain_that_two_accounts_claim_is_held_until_a_merge_leaves_one() -> None:
    running = Coordinator()
    running.see(seen("t1", 1, "A:a", "w:x.com", node="A:a"))
    effects = running.see(seen("t2", 2, "A:b", "w:x.com", node="A:b"))
    assert (homes.REDIRECT, "w:x.com", "h:w:x.com") in told(effects)["A:a"]
    effects = running.see(merged("m1", 3, "b", "a"))
    assert (homes.REDIRECT, "w:x.com", "A:a") in told(effects)["h:w:x.com"]


def test_an_erasure_is_told_to_every_account_that_may_hold_the_person() -> None:
    running = Coordinator()
    running.see(seen("t1", 1, "A:one", "c:c1", node="A:one"))
    running.see(seen("t2", 5, "A:two", "c:c1", node="A:two"))
    running.see(seen("t3", 6, "c:c1", "a:v1", "w:site.com", node="A:two"))
    effects = running.see(erased("x1", 9, "c:c1"))
    for account in ("A:one", "A:two", "c:c1", "a:v1", "w:site.com"):
        assert (homes.ERASURE, mark("c:c1"), START + 9 * DAY) in told(effects).get(account, []), account
    assert (homes.ERASURE, mark("a:v1"), START + 9 * DAY) in told(effects)["a:v1"]
    assert published(effects)[f"x:{mark('c:c1')}"] == [START + 9 * DAY]


def test_an_erased_stranger_is_suppressed() -> None:
    effects = Coordinator().see(erased("x1", 9, "c:nobody"))
    assert published(effects)[f"x:{mark('c:nobody')}"] == [START + 9 * DAY]


def test_a_fact_reported_behind_its_persons_erasure_is_sent_after() -> None:
    running = Coordinator()
    running.see(erased("x1", 9, "c:c1"))
    # its replica did not know yet
    effects = running.see(seen("t1", 3, "A:one", "c:c1", node="A:one"))
    assert (homes.ERASURE, mark("c:c1"), START + 9 * DAY) in told(effects)["A:one"]
    later = running.see(seen("t2", 10, "A:two", "c:c1", node="A:two"))
    assert (homes.ERASURE, mark("c:c1")) not in kinds(told(later).get("A:two", []))


def test_accounts_report_what_they_have_of_a_person_as_soon_as_a_second_account_is_named() -> None:
    running = Coordinator()
    first = running.see(seen("t1", 1, "A:one", "c:c1", node="A:one"))
    assert not any((homes.WATCH, "c:c1") in kinds(entries) for entries in told(first).values())
    effects = running.see(seen("t2", 5, "A:two", "c:c1", node="A:two"))
    for account in ("A:one", "A:two"):
        assert (homes.WATCH, "c:c1") in kinds(told(effects)[account])


def test_an_account_is_told_once_to_report_a_person() -> None:
    running = Coordinator()
    running.see(seen("t1", 1, "A:one", "c:c1", node="A:one"), seen("t2", 5, "A:two", "c:c1", node="A:two"))
    effects = running.see(seen("t3", 7, "A:three", "c:c1", node="A:three"))
    assert (homes.WATCH, "c:c1") in kinds(told(effects)["A:three"])
    for account in ("A:one", "A:two"):
        assert (homes.WATCH, "c:c1") not in kinds(told(effects).get(account, []))


def test_an_account_that_a_reported_person_may_move_to_by_a_merge_is_told_too() -> None:
    running = Coordinator()
    running.see(seen("t1", 1, "A:one", "c:c1", node="A:one"), seen("t2", 5, "A:two", "c:c1", node="A:two"))
    effects = running.see(merged("m1", 6, "two", "big"))
    assert (homes.WATCH, "c:c1") in kinds(told(effects)["A:big"])


def test_an_identifier_with_more_partners_than_the_cap_claims_nothing_any_more() -> None:
    running = Coordinator()
    for number in range(LIMITS.max_links):
        account = f"A:{number}"
        effects = running.see(seen(f"t{number}", number, account, "a:v1", node=account))
    assert running.handler.links.graph.shared("a:v1") == frozenset()
    assert published(effects)["k:a:v1"][0] != ""
    effects = running.see(seen("t9", 9, "A:9", "a:v1", node="A:9"))
    assert running.handler.links.graph.shared("a:v1") == {"A"}
    assert published(effects)["k:a:v1"][0] == ""
    assert {root for _, _, root in _route(told(effects)["A:0"], "a:v1")} == {""}


def _route(entries: list[tuple[str, str, Any]], subject: str) -> list[Any]:
    return next(what for kind, about, what in entries if (kind, about) == (homes.ROUTE, subject))


def test_a_record_that_is_none_of_ours_decides_nothing() -> None:
    running = Coordinator()
    for value in (b'{"k":"links","l":[[1]]}', b'{"k":"links"}', b'{"k":"links","l":[["x"]]}'):
        assert not running.take(value).outputs


def frozen_and_its_successor() -> tuple[list[tuple[bytes, bytes]], CoordinatorHandler]:
    """The topic ``identity`` to which a coordinator wrote late, and the next owner, whose copy has read it."""
    early, late = Coordinator(), []
    seen_before = early.see(seen("t1", 1, "A:old", "c:c1", node="A:old"))
    decided = early.see(seen("t2", 9, "A:new", "c:c1", node="A:new"))
    for effects in (seen_before, decided, seen_before):
        late += [(each.key or b"", each.value or b"") for each in effects.outputs if each.topic == IDENTITY]
    replica = Replica()
    replica.apply(late)
    return late, CoordinatorHandler(1, tick_ms=0, idle_ms=0, graph=LIMITS, replica=replica)


def test_the_owner_writes_again_what_an_outdated_record_of_another_one_follows() -> None:
    topic, owner = frozen_and_its_successor()
    take_over(owner, 0, MemoryTable())
    effects = owner.interval(0, 0, MemoryTable())
    assert effects is not None
    written = [(each.key or b"", each.value or b"") for each in effects.outputs]
    newcomer = Replica()
    newcomer.apply(dict([*topic, *written]).items())
    assert newcomer.place(("c:c1",), "", START + 10 * DAY)[0] == "A:new"
    stale = Replica()
    stale.apply(dict(topic).items())
    assert stale.place(("c:c1",), "", START + 10 * DAY)[0] == "A:old"


def test_the_owner_writes_nothing_again_as_long_as_nothing_is_outdated() -> None:
    _, owner = frozen_and_its_successor()
    take_over(owner, 0, MemoryTable())
    assert owner.interval(0, 0, MemoryTable()) is not None
    assert owner.interval(0, 0, MemoryTable()) is None


def table_of_contacts() -> MemoryTable:
    """As left by an owner that has seen many contacts, and one more with two accounts."""
    running = Coordinator()
    running.see(
        seen("x1", 1, "A:one", "c:moves", node="A:one"), seen("x2", 2, "A:two", "c:moves", node="A:two")
    )
    running.see(*(seen(f"t{n}", 3, f"A:{n % 7}", f"c:{n}", node=f"A:{n % 7}") for n in range(CONTACTS)))
    return running.table


def contacts(handler: CoordinatorHandler) -> int:
    """How many of them it knows."""
    return sum(bool(handler.links.graph.seen_with(f"c:{n}")) for n in range(CONTACTS))


def test_a_take_over_is_cut_into_steps_and_ends_with_all_that_was_seen() -> None:
    table = table_of_contacts()
    made = CoordinatorHandler(1, graph=LIMITS)
    known = [contacts(made) for _ in made.assigned(0, table)]
    assert len(known) >= 20
    assert known == sorted(known)
    assert known[0] < known[len(known) // 2] < contacts(made) == CONTACTS
    whole = Coordinator(table).handler.links
    assert made.links.told == whole.told != {}
    assert made.links.depends == whole.depends


async def test_others_have_their_turn_while_a_coordinator_takes_over_and_it_answers_only_then() -> None:
    executor, turns = taking_over(table_of_contacts()), 0
    taken = asyncio.create_task(executor.assign_in_turns([0], lambda: True))
    while not executor.live:
        assert not taken.done()
        turns += 1
        await asyncio.sleep(0)
    await taken
    assert turns >= 20


async def test_a_take_over_that_another_assignment_cuts_short_leaves_nothing_behind() -> None:
    executor, asked = taking_over(table_of_contacts()), iter([True, True, False])
    await executor.assign_in_turns([0], lambda: next(asked))
    handler = executor.spec.handler
    assert isinstance(handler, CoordinatorHandler)
    assert (executor.live, contacts(handler)) == (set(), 0)
    await executor.assign_in_turns([0], lambda: True)
    assert (executor.live, contacts(handler)) == ({0}, CONTACTS)


def taking_over(table: MemoryTable) -> AgentExecutor:
    """The engine's executor of a coordinator, whose table has been recovered."""
    store = MemoryStore()
    store.apply(0, list(table.items()))
    spec = AgentSpec("coordinator", (CONTROL,), CoordinatorHandler(1, graph=LIMITS), "coordinator")
    return AgentExecutor(
        spec, store, "c-changelog", {}, lambda: 0, Observer(), lambda *_: None, lambda _: None
    )


def control_records(seed: int, size: int) -> list[bytes | None]:
    """What ingest, which never hears of a decision, reports of a random history, record by record."""
    made = service()
    found: list[bytes | None] = []
    for number, message in enumerate(identity_random.history(seed, size)):
        native = dict(message)
        kind = native.pop("topic")
        record = MemoryRecord(number, 0, None, orjson.dumps(native))
        outputs = made.ingest.handle(Run(kind, 0, [record], 0), MemoryTable()).outputs
        found += [each.value for each in outputs if each.topic == CONTROL]
    return found


def content(effects: Effects) -> list[Any]:
    """Outputs and state as they are read: in JSON objects the order of names says nothing."""
    outputs = [(o.topic, o.key, orjson.loads(o.value or b"null"), o.partition) for o in effects.outputs]
    return [outputs, [(key, orjson.loads(value or b"null")) for key, value in effects.state]]


@pytest.mark.parametrize("seed", range(8))
def test_whoever_handles_a_record_again_from_the_table_decides_the_same(seed: int) -> None:
    running = Coordinator()
    for value in control_records(seed, 40):
        lost = content(running.again().take(value, state=False))
        assert content(running.take(value)) == lost


@pytest.mark.parametrize("seed", range(8))
def test_a_record_handled_again_behind_its_state_publishes_what_stands_already(seed: int) -> None:
    running = Coordinator()
    table: dict[str, Any] = {}
    for value in control_records(seed, 40):
        table |= published(running.take(value))
        successor = running.again()
        again = published(successor.take(value))
        assert again == {key: table[key] for key in again}


def test_an_account_that_got_a_fact_of_somebody_erased_by_an_older_decision_is_told_when_it_reports_it() -> (
    None
):
    running = Coordinator()
    running.see(seen("t1", 1, "c:3", "a:v", node="c:3"))
    running.see(seen("t2", 2, "c:4", "w:two.com", node="w:two.com"))
    running.see(erased("i", 9, "c:3"))
    effects = running.see(seen("t3", 1, "c:4", "a:v"))
    assert (homes.ERASURE, mark("a:v")) in kinds(told(effects)["w:two.com"])
