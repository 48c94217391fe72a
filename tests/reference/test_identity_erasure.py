"""The reference for identity by worked examples: who is forgotten (R42), and what is said twice (R02)."""

from __future__ import annotations

from tests.reference.identity_builders import (
    A1,
    A2,
    A3,
    C1,
    answer,
    claim,
    deal,
    erase,
    known,
    lead,
    merge,
    place,
    touch,
)

# erasure (R42)


def test_an_erasure_takes_the_person_with_all_that_was_linked_up_to_then() -> None:
    linked = known(1, "c:c1 e:dan@gmail.com"), touch(2, "a:v1 e:dan@gmail.com")
    others = touch(3, "a:v1"), touch(5, "c:c1"), touch(4, "c:c2")
    found = answer(*others, *linked, erase(5, "c:c1"))
    assert found.messages == [("erased",), ("erased",), ("person", "c:c2"), *[("erased",)] * 3]


def test_later_facts_of_an_erased_person_are_new() -> None:
    before = known(1, "c:c1 e:dan@gmail.com A:A1"), touch(2, "a:v1 c:c1"), erase(5, "c:c1")
    assert place(touch(6, "c:c1"), *before) == C1
    assert place(touch(6, "a:v1"), *before) == ("visitor", "v1")
    assert place(touch(6, "c:c1"), *before, touch(7, "c:c1 A:A2")) == A2


def test_a_link_after_the_erasure_is_not_reached_by_it() -> None:
    assert place(touch(1, "c:c2"), known(6, "c:c1 e:x@y.org"), known(7, "c:c2 e:x@y.org"), erase(5, "c:c1")) == (
        "domain", "y.org",
    )  # fmt: skip


def test_an_erased_visitor_takes_its_persons_and_their_visitors_along() -> None:
    linked = touch(1, "a:v1 c:c1"), touch(2, "a:v2 c:c1"), touch(3, "a:v2 c:c2"), erase(5, "a:v1")
    asked = [place(touch(4, ids), *linked) for ids in ("a:v2", "c:c1", "c:c2")]
    assert asked == [("erased",), ("erased",), ("person", "c:c2")]


def test_a_shared_device_leads_an_erasure_to_nobody_else() -> None:
    linked = touch(1, "a:v1 c:c1"), touch(1, "a:v1 c:c2"), touch(1, "a:v1 c:c3"), erase(5, "c:c1")
    assert place(touch(2, "a:v1"), *linked, max_links=1) == ("visitor", "v1")
    assert place(touch(2, "a:v1"), *linked, max_links=3) == ("erased",)


def test_links_of_the_erased_count_towards_no_cap() -> None:
    links = [touch(day, f"e:x@gmail.com c:c{day}") for day in (1, 2, 8)]
    asked = touch(9, "e:x@gmail.com"), *links, known(1, "c:c8 A:A3")
    assert place(*asked, max_links=2) == ("person", "e:x@gmail.com")
    assert place(*asked, erase(5, "c:c1"), max_links=2) == A3


def test_an_erased_fact_still_links_what_else_it_carries() -> None:
    claimed = touch(1, "A:A1 w:acme.com c:c1"), erase(5, "c:c1")
    assert place(touch(1, "w:acme.com"), *claimed) == A1


def test_an_erasure_leaves_merges_and_claims_by_accounts_alone() -> None:
    said = known(1, "A:A1 c:c1"), merge(2, "A1", "A2"), claim(2, "A1", "acme.com"), erase(5, "c:c1")
    assert place(touch(1, "w:acme.com"), *said) == A2


def test_deals_stay_with_the_account_they_had() -> None:
    told = deal(2, "d:d1 c:c1"), known(1, "c:c1 A:A1")
    assert place(told[0], told[1], erase(5, "c:c1")) == A1


def test_a_patch_after_the_erasure_does_not_know_the_person() -> None:
    told = known(1, "c:c1 A:A1"), deal(6, "d:d1 c:c1")
    assert place(deal(1, "d:d1"), *told, erase(5, "c:c1")) == C1


def test_an_erased_lead_fact_names_no_account() -> None:
    assert place(lead(1, "l:l1"), lead(2, "l:l1 c:c1"), known(1, "c:c1 A:A1"), erase(5, "c:c1")) == (
        "lead",
        "l1",
    )


def test_the_erasure_of_a_stranger_changes_nothing() -> None:
    assert place(touch(1, "c:c1"), erase(5, "c:c9")) == C1
    assert place(touch(1, "c:c1 A:A1"), erase(5, "A:A1")) == A1


# duplicates (R02)


def test_a_message_that_repeats_a_fact_links_nothing_anew() -> None:
    retries = touch(1, "a:v1 c:c1", "t"), touch(1.5, "a:v1 c:c1", "t")
    assert place(touch(1.2, "a:v1"), touch(1.1, "a:v1 c:c2"), *retries) == ("person", "c:c2")
    assert len(answer(*retries).places) == 1


def test_a_message_of_one_identity_that_names_others_is_a_fact_of_its_own() -> None:
    others = touch(1, "a:v1", "t"), touch(1.5, "a:v1 c:c1", "t")
    assert place(others[0], others[1]) == C1


def test_more_than_a_day_later_it_is_a_fact_again() -> None:
    later = touch(1, "a:v1", "t"), touch(2.5, "a:v1 c:c1", "t")
    assert place(later[0], later[1]) == C1
    assert len(answer(*later).places) == 2


def test_an_address_in_a_message_that_is_no_fact_still_says_its_company() -> None:
    assert place(touch(1.5, "e:bob@acme.com", "t"), touch(1, "a:v9", "t")) == ("domain", "acme.com")
