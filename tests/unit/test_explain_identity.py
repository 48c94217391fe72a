"""Why facts belong where they are: one chain per fact, which ends where the fact is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import orjson
import pytest

from revenue_core.account import Account
from revenue_core.identity.graph import Graph
from revenue_core.identity.observations import KINDS, GraphConfig, Observation
from revenue_core.instants import iso_z
from streams import codec, homes, translate
from streams.explain_identity import belongings, chain, link_of, named, shortened, trail
from streams.homes import UNSURE, Home
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from streams.topology import ANSWERS
from tests import builders
from tests.reference import identity_random

DAY = 86_400_000
SEEDS = 25


def told(seed: int) -> tuple[Graph, dict[str, Account]]:
    """The links and the accounts that a random history makes."""
    service, log = builders.service(), MemoryLog()
    executor = MemoryExecutor(service.agents, log, lambda: 0, followers=service.followers)
    for event in identity_random.history(seed, 20 + 4 * seed):
        log.append(event["topic"], None, orjson.dumps(event), 0)
        executor.drain()
        for topic in ANSWERS:
            log.take(topic)
    table = executor.tables["journey", 0]
    roots = [key for key, _ in table.items() if key[:1] != b"\0"]
    accounts = {}
    for key in roots:
        raw = table.get(key)
        assert raw is not None
        root = key.decode()
        accounts[root] = codec.read(root, translate.account_id(root), raw, table.get).account
    return service.coordinator.links.graph, accounts


def facts_of(root: str, account: Account) -> Iterator[tuple[int, str, Home]]:
    for kind in KINDS:
        for messages in account.groups(kind).values():
            for message in messages:
                yield message.at, kind, homes.load(message.home) if message.home else homes.native_home(root)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_fact_is_in_the_group_of_its_own_chain_which_ends_at_its_account(seed: int) -> None:
    graph, accounts = told(seed)
    assert any(list(facts_of(*each)) for each in accounts.items())
    for root, account in accounts.items():
        found = belongings(graph, root, account)
        expected: Counter[object] = Counter()
        for at, kind, home in facts_of(root, account):
            steps = chain(graph, home, at)
            assert (steps[-1].to if steps else home.native) == root
            website = home.website[2:] if home.native[:2] == "a:" else ""
            links = tuple(link_of(graph, step) for step in steps)
            expected[shortened(home.native), website, links, kind] += 1
        grouped: Counter[object] = Counter()
        for group in found.groups:
            assert group.first_at <= group.last_at
            for kind, number in zip(KINDS, (group.touches, group.leads, group.deals), strict=True):
                if number:
                    grouped[group.native_key, group.website, group.steps, kind] += number
        assert grouped == expected
        assert found.elsewhere == 0


def observed(
    number: int, at: int, *ids: str, type_: str = "page_view", into: str = "", mail: str = ""
) -> Observation:
    kind = "leads" if type_ != "page_view" else "touchpoints"
    return Observation(at, "native", f"o{number}", f"{number:016x}", kind, type_, ids, mail, (), into)


def graph_of(*observations: Observation, max_links: int = 10) -> Graph:
    graph = Graph(GraphConfig(max_links, 365 * DAY))
    for each in observations:
        graph.add(each)
    return graph


HASHED = "e:" + "3fa9c0de" * 8


def test_a_chain_names_its_rule_its_date_and_the_event_of_each_link() -> None:
    graph = graph_of(
        observed(1, 2 * DAY, HASHED, "a:v", mail="acme.com"),
        observed(2, 3 * DAY, "A:old", "w:acme.com"),
        observed(3, 4 * DAY, "A:old", type_="account_merged", into="acme"),
    )
    links = [link_of(graph, step) for step in graph.explain("a:v", DAY)]
    assert [link.to_json() for link in links] == [
        {"rule": "seen with", "from": "a:v", "to": "e:3fa9c0de…", "at": iso_z(2 * DAY), "event": "native:o1"},
        {
            "rule": "e-mail domain",
            "from": "e:3fa9c0de…",
            "to": "w:acme.com",
            "at": iso_z(2 * DAY),
            "event": "native:o1",
        },
        {
            "rule": "claimed by",
            "from": "w:acme.com",
            "to": "A:old",
            "at": iso_z(3 * DAY),
            "event": "native:o2",
        },
        {"rule": "merged into", "from": "A:old", "to": "A:acme", "at": iso_z(4 * DAY), "event": "native:o3"},
    ]


def test_a_website_named_beside_an_address_is_not_called_its_domain() -> None:
    graph = graph_of(observed(1, DAY, HASHED, "w:acme.com"))
    assert [link_of(graph, step).rule for step in graph.explain(HASHED, DAY)] == ["seen with"]


def test_an_address_that_no_link_tells_of_belongs_to_its_domain_by_itself() -> None:
    home = Home(UNSURE, UNSURE, "w:acme.com", (HASHED,), "acme.com")
    steps = chain(graph_of(observed(1, DAY, "A:acme", "w:acme.com")), home, DAY)
    assert [(step.rule, step.to, step.at) for step in steps] == [
        ("R37.2", "w:acme.com", None),
        ("R38", "A:acme", DAY),
    ]


@pytest.mark.parametrize("key", ["c:" + "ab" * 32, "a:x" + "ab" * 32 + "y"])
def test_a_hash_in_any_identifier_is_shortened(key: str) -> None:
    assert "ab" * 32 not in shortened(key)
    assert "abababab…" in named(key)


def test_a_domain_that_several_claim_leads_to_what_is_held_and_says_by_whom() -> None:
    graph = graph_of(observed(1, DAY, "A:x", "w:acme.com"), observed(2, 2 * DAY, "A:y", "w:acme.com"))
    led = trail(graph, "domain:acme.com", "w:acme.com", 0)
    assert led.root == "h:w:acme.com"
    assert f"claimed by x ({iso_z(DAY)}, native:o1); y ({iso_z(2 * DAY)}, native:o2)" in led.notes[-1]
    assert [link.phrase for link in led.moved] == ["claimed by several accounts"]


def test_a_contact_that_went_on_to_a_second_account_names_both() -> None:
    graph = graph_of(observed(1, DAY, "c:1", "A:x"), observed(2, 2 * DAY, "c:1", "A:y"))
    led = trail(graph, "person:1", "c:1", 0)
    assert (led.root, len(led.notes)) == ("c:1", 3)
    assert led.notes[1:] == [
        f"To x: contact 1: seen with account x ({iso_z(DAY)}, native:o1).",
        f"To y: contact 1: seen with account y ({iso_z(2 * DAY)}, native:o2).",
    ]
