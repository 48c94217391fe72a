from __future__ import annotations

from streams import homes
from streams.homes import ERASURE, REDIRECT, ROUTE, UNSURE, WATCH, Home, Knowledge

LONG_AGO = -(2**62)


def home(*ids: str, route: int = 5, redirect: int = 5, node: str = "") -> Home:
    return Home(route, redirect, node or ids[0], ids)


def knowing(*entries: list[object]) -> Knowledge:
    knows = Knowledge()
    for entry in entries:
        assert knows.learn(entry)
    return knows


def place(knows: Knowledge, of: Home, at: int = 100, root: str = "here", *, erasable: bool = True) -> str:
    return knows.place(of, at, root, erasable=erasable).root


def test_a_home_comes_back_from_its_text() -> None:
    there = Home(3, -1, "w:acme.com", ("c:1", "w:acme.com"), "acme.com")
    assert homes.load(homes.dump(there)) == there


def test_without_decisions_a_fact_stays_where_it_was_put() -> None:
    found = Knowledge().place(home("a:1"), 100, "here", erasable=True)
    assert (found.root, found.decided) == ("here", UNSURE)


def test_a_newer_route_moves_a_fact_and_an_older_one_does_not() -> None:
    knows = knowing([ROUTE, "a:1", 7, [[LONG_AGO, "A:x", "A:x"]]])
    assert place(knows, home("a:1", route=5)) == "A:x"
    assert place(knows, home("a:1", route=7)) == "here"


def test_a_route_is_dated() -> None:
    knows = knowing([ROUTE, "c:1", 7, [[LONG_AGO, "A:old", "A:old"], [50, "A:new", "A:merged"]]])
    assert place(knows, home("c:1"), at=49) == "A:old"
    assert place(knows, home("c:1"), at=50) == "A:merged"


def test_a_fact_that_a_route_takes_away_is_left_to_what_is_known_where_it_goes() -> None:
    knows = knowing(
        [ROUTE, "c:1", 7, [[LONG_AGO, "A:x", "A:x"]]],
        [REDIRECT, "A:x", 9, "A:y"],
    )
    found = knows.place(home("c:1"), 100, "here", erasable=True)
    assert (found.root, found.home.route, found.home.redirect, found.home.node) == ("A:x", 7, 7, "A:x")


def test_the_stamps_of_a_placed_fact_are_those_of_the_decisions_used() -> None:
    knows = knowing(
        [ROUTE, "c:1", 7, [[LONG_AGO, "A:x", "here"]]],
        [REDIRECT, "A:x", 9, "A:y"],
    )
    found = knows.place(home("c:1"), 100, "here", erasable=True)
    assert (found.root, found.home.route, found.home.redirect, found.home.node) == ("A:y", 7, 9, "A:x")
    assert found.decided == 9


def test_a_redirect_older_than_the_route_that_keeps_a_fact_is_passed_over() -> None:
    knows = knowing(
        [ROUTE, "c:1", 9, [[LONG_AGO, "A:x", "here"]]],
        [REDIRECT, "A:x", 7, "A:y"],
    )
    assert place(knows, home("c:1")) == "here"


def test_where_nobody_claims_a_visitor_its_website_domain_counts() -> None:
    knows = knowing([ROUTE, "a:1", 7, [[LONG_AGO, "", ""]]])
    found = knows.place(home("a:1", "w:acme.com"), 100, "A:x", erasable=True)
    assert (found.root, found.home.redirect) == ("w:acme.com", UNSURE)
    assert place(knows, home("a:1")) == "a:1"


def test_the_account_a_visitor_was_seen_with_counts_only_for_facts_without_a_domain() -> None:
    knows = knowing([ROUTE, "a:1", 7, [[LONG_AGO, "5:A:x", "A:y"]]])
    assert place(knows, home("a:1")) == "A:y"
    assert place(knows, home("a:1", "w:acme.com")) == "w:acme.com"


def test_an_erasure_takes_facts_up_to_its_instant_whoever_they_are_about() -> None:
    knows = knowing([ERASURE, homes.mark("c:1"), 7, 100])
    assert place(knows, home("A:x", "c:1"), at=100) == ""
    assert place(knows, home("A:x", "c:1"), at=101) == "here"
    assert place(knows, home("A:x", "c:1"), at=100, erasable=False) == "here"
    assert place(knows, home("A:x", "c:2"), at=100) == "here"


def test_decisions_are_replaced_by_later_ones_only() -> None:
    knows = knowing([REDIRECT, "A:x", 9, "A:y"])
    assert not knows.learn([REDIRECT, "A:x", 8, "A:z"])
    assert not knows.learn([REDIRECT, "A:x", 9, "A:z"])
    assert place(knows, home("A:x")) == "A:y"


def test_a_second_erasure_never_spares_what_the_first_took() -> None:
    knows = knowing([ERASURE, homes.mark("c:1"), 7, 100], [ERASURE, homes.mark("c:1"), 8, 50])
    assert place(knows, home("c:1"), at=100) == ""


def test_knowledge_comes_back_from_its_entries() -> None:
    entries = [
        [ROUTE, "a:1", 7, ((LONG_AGO, "", ""),)],
        [REDIRECT, "A:x", 9, "A:y"],
        [ERASURE, homes.mark("c:1"), 7, 100],
        [WATCH, "a:2", 4, None],
    ]
    knows = knowing(*entries)  # type: ignore[arg-type]
    again = Knowledge()
    for entry in knows.entries():
        again.learn(entry)
    assert list(again.entries()) == list(knows.entries())
    assert again.watched == {"a:2"}
