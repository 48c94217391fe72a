from __future__ import annotations

from itertools import chain

import orjson
import pytest

from revenue_core.identity.observations import MIN
from streams.homes import mark
from streams.identity import Entry, Replica, decode_entry, encode_entry


def record(key: str, decision: int, *rest: object) -> tuple[bytes, bytes]:
    return key.encode(), orjson.dumps([decision, *rest])


def entry(
    key: str, decision: int, node: object, partners: dict[str, int] | None = None
) -> tuple[bytes, bytes]:
    return record(f"k:{key}", decision, node, partners or {})


def replica(*records: tuple[bytes, bytes]) -> Replica:
    made = Replica()
    made.apply(records)
    return made


def put(made: Replica, *ids: str, at: int = 100, email_domain: str = "") -> str:
    return made.place(ids, email_domain, at)[0]


@pytest.mark.parametrize(
    "made",
    [
        Entry(4, ((MIN, "A:x"),), {"c:1": 7}),
        Entry(4, ((MIN, ""), (10, "A:x")), {}),
    ],
)
def test_an_entry_comes_back_from_its_bytes(made: Entry) -> None:
    assert decode_entry(encode_entry(made)) == made


def test_facts_are_stamped_with_the_newest_decision_that_is_sure_to_be_complete() -> None:
    made = replica(entry("c:1", 3, "A:x"), record("n:A:x", 8, "A:y"))
    root, home = made.place(("c:1",), "", 100)
    assert (root, home.route, home.redirect, home.node) == ("A:y", 7, 7, "A:x")


def test_a_record_that_is_older_than_what_is_known_is_passed_over() -> None:
    made = replica(entry("c:1", 5, "A:new"), entry("c:1", 3, "A:old"))
    assert put(made, "c:1") == "A:new"


def test_a_record_behind_which_an_older_one_stands_is_given_once_to_whoever_writes_it_again() -> None:
    made = replica(entry("c:1", 5, "A:new"), entry("c:2", 5, "A:x"), entry("c:1", 3, "A:old"))
    assert made.take_outdated(10) == [entry("c:1", 5, "A:new")]
    assert made.take_outdated(10) == []
    made.apply([entry("c:1", 7, "A:newer"), entry("c:1", 5, "A:new")])
    assert made.take_outdated(10) == [entry("c:1", 7, "A:newer")]


def test_a_record_that_was_written_again_since_is_not_outdated() -> None:
    made = replica(entry("c:1", 5, "A:new"), entry("c:1", 3, "A:old"), entry("c:1", 5, "A:new"))
    assert made.take_outdated(10) == []


def test_outdated_records_are_given_a_limited_number_at_a_time() -> None:
    keys = [f"c:{number}" for number in range(5)]
    made = replica(*(entry(key, stamp, "A:x") for stamp in (5, 3) for key in keys))
    found = [made.take_outdated(2) for _ in range(3)]
    assert [len(each) for each in found] == [2, 2, 1]
    assert sorted(chain(*found)) == [entry(key, 5, "A:x") for key in keys]


def test_what_is_learned_replaces_what_was_looked_up_before() -> None:
    made = replica(entry("c:1", 3, "A:x"))
    assert put(made, "c:1") == "A:x"
    made.apply([entry("c:1", 4, "A:z"), record("n:A:z", 4, "A:q")])
    assert put(made, "c:1") == "A:q"


@pytest.mark.parametrize(
    ("ids", "email_domain", "root"),
    [
        (("A:x", "c:1"), "", "A:x"),
        (("a:1",), "", "a:1"),
        (("a:1", "w:acme.com"), "", "w:acme.com"),
        (("e:1",), "acme.com", "w:acme.com"),
        (("e:1", "w:site.com"), "", "w:site.com"),
        (("c:1", "e:1"), "acme.com", "w:acme.com"),
        (("c:1", "a:1"), "", "c:1"),
        (("d:1", "A:x"), "", "A:x"),
        (("d:1", "c:1"), "", "c:1"),
        (("d:1", "a:1"), "", "d:1"),
        (("d:1",), "", "d:1"),
        (("l:1",), "", "l:1"),
    ],
)
def test_a_fact_about_somebody_unknown_is_put_where_it_says_itself(
    ids: tuple[str, ...], email_domain: str, root: str
) -> None:
    assert put(Replica(), *ids, email_domain=email_domain) == root


def test_links_are_news_until_they_are_known_from_that_instant_on() -> None:
    ids = ("c:1", "e:1")
    made = Replica()
    assert made.news(ids, 100)
    made.apply([entry("c:1", 1, "c:1"), entry("e:1", 1, "c:1", {"c:1": 100})])
    assert not made.news(ids, 100)
    assert not made.news(ids, 101)
    assert made.news(ids, 99)


def test_a_shared_identifier_still_has_each_new_partner_reported() -> None:
    made = replica(entry("a:1", 1, "", {"c:8": 1}), entry("c:9", 1, "c:9"))
    assert made.news(("c:9", "a:1"), 100)
    assert not made.news(("c:8", "a:1"), 100)


def test_what_a_deal_says_of_its_account_is_always_news_and_one_identifier_never_is() -> None:
    made = replica(entry("d:1", 1, "A:x"))
    assert made.news(("d:1", "A:x"), 100)
    assert not made.news(("d:1",), 100)


def test_an_erased_person_is_suppressed_up_to_the_instant() -> None:
    made = replica(record(f"x:{mark('c:1')}", 4, 100))
    assert made.suppressed(("A:x", "c:1"), 100)
    assert not made.suppressed(("A:x", "c:1"), 101)
    assert not made.suppressed(("A:x",), 100)


def test_a_place_that_only_the_fact_itself_suggests_is_a_guess_until_its_native_key_is_known() -> None:
    made = replica(entry("a:1", 1, "A:x", {"c:1": 1}))
    _, home = made.place(("c:1", "a:1"), "", 100)
    assert (home.node, made.news(("c:1", "a:1"), 100), made.guessed(home)) == ("A:x", False, True)
    made.apply([entry("c:1", 2, "c:1")])
    assert not made.guessed(made.place(("c:1", "a:1"), "", 100)[1])
    assert not made.guessed(Replica().place(("e:1", "a:1"), "acme.com", 100)[1])
