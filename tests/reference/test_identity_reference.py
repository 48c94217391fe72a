"""The reference for identity by worked examples, one or more for every rule."""

from __future__ import annotations

import pytest

from tests.reference.identity import Message, Place, journal_key
from tests.reference.identity_builders import (
    A1,
    A2,
    A3,
    ACME,
    C1,
    answer,
    claim,
    deal,
    fact,
    known,
    lead,
    merge,
    place,
    touch,
    unmerge,
)
from tests.reference.identity_links import DAY

# what is nobody's yet (R37, 7; R43)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ("A:A1 c:c1 a:v1", A1),
        ("c:c1", C1),
        ("e:Dan@Gmail.com", ("person", "e:dan@gmail.com")),
        ("e:dan", ("person", "e:dan")),
        ("a:v1", ("visitor", "v1")),
        ("a:v1 l:l1", ("visitor", "v1")),
        ("w:WWW.Acme.com.", ACME),
        ("l:l1", ("lead", "l1")),
        ("d:d1", ("deal", "d1")),
        ("d:d1 l:l1", ("lead", "l1")),
        ("w:gmail.com", ("domain", "gmail.com")),
        ("l:l1 w:gmail.com", ("lead", "l1")),
    ],
)
def test_a_touch_that_nothing_is_linked_with_is_its_own(ids: str, expected: Place) -> None:
    assert place(touch(1, ids)) == expected


def test_a_person_without_anything_is_named_by_the_least_contact() -> None:
    assert (
        place(touch(1, "e:dan@gmail.com"), known(9, "c:c2 e:dan@gmail.com"), known(9, "c:c1 e:dan@gmail.com"))
        == C1
    )


def test_of_what_belongs_to_nobody_a_place_has_the_key_of_the_journal() -> None:
    places = [
        A1,
        ACME,
        ("held", "acme.com"),
        C1,
        ("person", "e:x@y"),
        ("visitor", "v"),
        ("deal", "d"),
        ("lead", "l"),
    ]
    keys = [journal_key(each, str.upper) for each in [*places, ("erased",)]]
    assert keys == ["A:A1", "w:acme.com", "h:w:acme.com", "c:c1", "e:X@Y", "a:v", "d:d", "l:l", "+"]


# persons and their dated relations (R37, 2)


def test_before_its_first_account_a_person_was_already_there() -> None:
    assert place(touch(1, "c:c1"), known(5, "c:c1 A:A1"), known(8, "c:c1 A:A2")) == A1


def test_a_contact_that_changes_company_takes_only_later_touches_along() -> None:
    moved = known(5, "c:c1 A:A1"), known(8, "c:c1 A:A2")
    assert [place(touch(day, "c:c1"), *moved) for day in (7, 8, 9)] == [A1, A2, A2]


def test_of_two_accounts_at_one_instant_the_last_by_source_and_id_counts() -> None:
    assert place(touch(5, "c:c1"), known(5, "c:c1 A:A2", "b"), known(5, "c:c1 A:A1", "a")) == A2


def test_an_address_and_a_contact_linked_at_any_time_are_one_person() -> None:
    linked = known(9, "c:c1 e:bob@acme.com"), known(3, "e:bob@acme.com A:A1")
    assert place(touch(1, "c:c1"), *linked) == A1


def test_an_account_counts_for_more_than_the_mail_domain_and_that_for_more_than_the_website() -> None:
    website = known(1, "c:c1 w:site.com")
    mail = known(1, "c:c1 e:bob@acme.com")
    assert place(touch(1, "c:c1"), website) == ("domain", "site.com")
    assert place(touch(1, "c:c1"), website, mail) == ACME
    assert place(touch(1, "c:c1"), website, mail, known(9, "c:c1 A:A1")) == A1


def test_a_person_keeps_to_the_mail_domain_in_force() -> None:
    mails = touch(3, "c:c1 e:bob@acme.com"), touch(6, "c:c1 e:bob@www.globex.com")
    assert [place(touch(day, "c:c1"), *mails)[1] for day in (1, 5, 6)] == [
        "acme.com",
        "acme.com",
        "globex.com",
    ]


def test_a_touch_by_one_address_alone_says_which_mail_domain_is_in_force() -> None:
    mails = touch(3, "c:c1 e:bob@acme.com"), touch(4, "c:c1 e:bob@globex.com"), touch(6, "e:bob@acme.com")
    assert place(touch(7, "c:c1"), *mails) == ACME


def test_free_mail_names_a_person_and_no_company() -> None:
    assert place(touch(1, "c:c1 e:dan@gmail.com")) == C1


def test_a_free_website_domain_is_as_good_as_none() -> None:
    assert place(touch(1, "c:c1 w:gmail.com")) == C1
    assert place(touch(1, "a:v1 w:gmail.com")) == ("visitor", "v1")


def test_the_contact_decides_and_not_the_address_beside_it() -> None:
    shared = known(1, "c:c2 e:info@acme.com"), known(1, "c:c3 e:info@acme.com"), known(1, "c:c1 A:A1")
    assert place(touch(2, "c:c1 e:info@acme.com"), *shared, max_links=2) == A1


# visitors (R37, 3 to 5; R39)


def test_earlier_touches_of_a_visitor_join_when_they_identify() -> None:
    assert place(touch(1, "a:v1"), touch(5, "a:v1 e:bob@acme.com"), known(3, "e:bob@acme.com A:A1")) == A1


def test_a_visitor_is_the_person_in_force_at_the_touch() -> None:
    claims = touch(3, "a:v1 c:c1"), touch(6, "a:v1 c:c2")
    assert [place(touch(day, "a:v1"), *claims)[1] for day in (1, 5, 6)] == ["c:c1", "c:c1", "c:c2"]


def test_the_person_of_a_visitor_is_where_it_stood_at_the_touch() -> None:
    moved = known(5, "c:c1 A:A1"), known(8, "c:c1 A:A2"), touch(9, "a:v1 c:c1")
    assert [place(touch(day, "a:v1"), *moved) for day in (6, 8)] == [A1, A2]


def test_a_link_claims_touches_up_to_the_limit_of_age() -> None:
    link = touch(5, "a:v1 c:c1")
    assert place(touch(3, "a:v1"), link, ttl=2 * DAY) == C1
    assert place(touch(2.9, "a:v1"), link, ttl=2 * DAY) == ("visitor", "v1")
    assert place(touch(99, "a:v1"), link, ttl=2 * DAY) == C1


def test_a_visitor_nobody_claims_goes_by_the_website_of_the_touch() -> None:
    assert place(touch(1, "a:v1 w:acme.com"), touch(9, "a:v1 A:A1"), ttl=DAY) == ACME
    assert place(touch(1, "a:v1 w:acme.com"), touch(2, "a:v1 c:c1"), ttl=DAY) == C1


def test_a_visitor_without_person_and_website_goes_by_the_account_and_then_the_domain_it_was_seen_with() -> (
    None
):
    seen = touch(4, "a:v1 w:acme.com"), touch(6, "a:v1 A:A1")
    assert place(touch(3, "a:v1"), *seen) == A1
    assert place(touch(3, "a:v1"), *seen, ttl=2 * DAY) == ACME
    assert place(touch(1, "a:v1"), *seen, ttl=2 * DAY) == ("visitor", "v1")


def test_the_account_beside_a_visitor_makes_no_person_of_it() -> None:
    assert place(touch(1, "a:v1 w:site.com"), touch(1, "a:v1 A:A1")) == ("domain", "site.com")
    assert place(touch(1, "a:v1 w:site.com"), touch(1, "a:v1 c:c1 A:A1")) == A1


# leads and deals (R37, 6; R16)


def test_a_lead_is_with_the_account_its_last_telling_fact_names() -> None:
    told = lead(3, "l:l1 c:c1"), known(1, "c:c1 A:A1"), lead(5, "l:l1 A:A2"), lead(7, "l:l1 a:v9")
    assert place(lead(1, "l:l1"), *told) == A2
    assert place(lead(1, "l:l1"), *told[:2]) == A1


def test_a_lead_is_placed_by_its_fact_at_that_facts_own_instant() -> None:
    told = lead(3, "l:l1 c:c1"), known(1, "c:c1 A:A1"), known(8, "c:c1 A:A2")
    assert place(lead(9, "l:l1"), *told) == A1


def test_a_lead_fact_that_names_a_person_is_with_the_person() -> None:
    assert place(lead(1, "l:l1 c:c1"), lead(5, "l:l1 A:A2")) == C1


def test_a_whole_deal_is_with_the_account_of_its_last_telling_patch() -> None:
    refund = fact("deals", "refund", 2, "d:d1 A:A3", amount="1")
    patches = deal(1, "d:d1 A:A1"), deal(4, "d:d1 A:A2"), deal(5, "d:d1"), deal(6, "d:d1 a:v9"), refund
    found = answer(*patches)
    assert found.messages == [A2] * 5


def test_what_a_patch_says_of_whose_a_deal_is_goes_before_what_other_events_say() -> None:
    refund = fact("deals", "refund", 2, "d:d1 A:A3", amount="1")
    assert place(refund) == ("account", "A3")
    assert place(refund, deal(1, "d:d1 A:A1")) == A1


def test_a_deal_known_by_a_contact_joins_that_contacts_account() -> None:
    assert place(deal(1, "d:d1"), deal(2, "d:d1 c:c1"), known(9, "c:c1 A:A1")) == A1
    assert place(deal(1, "d:d1"), deal(2, "d:d1 c:c1")) == C1


def test_a_deal_is_not_given_to_what_a_domain_holds() -> None:
    claims = claim(1, "A1", "acme.com"), claim(1, "A2", "acme.com")
    patches = deal(1, "d:d1 A:A3"), deal(2, "d:d1 w:acme.com")
    assert place(deal(3, "d:d1"), *patches, *claims) == A3
    assert place(deal(3, "d:d1"), *patches, *claims[:1]) == A1


def test_a_movement_without_a_deal_is_with_its_account() -> None:
    movement = fact("deals", "mrr_movement", 2, "A:A1 c:c2", amount="1", movement="new")
    assert place(movement, merge(9, "A1", "A2")) == A2


def test_a_touch_with_only_a_deal_follows_the_deal() -> None:
    assert place(touch(1, "d:d1"), deal(1, "d:d1 A:A1")) == A1


def test_a_touch_with_a_lead_and_a_deal_follows_the_lead() -> None:
    told = lead(1, "l:l1 A:A2"), deal(1, "d:d1 A:A1")
    assert place(touch(1, "d:d1 l:l1"), *told) == A2
    assert place(touch(1, "d:d1 l:l1"), told[1]) == ("lead", "l1")


def test_a_patch_that_names_a_lead_and_no_one_else_names_no_account() -> None:
    assert place(deal(1, "d:d1 l:l1"), lead(1, "l:l1 A:A2")) == ("deal", "d1")


def test_a_deal_beside_a_person_links_nothing() -> None:
    assert place(touch(1, "c:c1 d:d1"), deal(1, "d:d1 A:A1")) == C1


# domains (R38)


@pytest.mark.parametrize("claimed", [claim(9, "A1", "www.Acme.com."), touch(9, "A:A1 w:acme.com")])
def test_a_domain_claimed_once_is_the_accounts_at_all_times(claimed: Message) -> None:
    assert place(touch(1, "w:Acme.com"), claimed) == A1
    assert place(touch(1, "e:bob@acme.com"), claimed) == A1


def test_an_address_claims_no_domain() -> None:
    assert place(touch(1, "w:acme.com"), known(1, "A:A1 e:bob@acme.com")) == ACME


def test_what_resolves_through_a_domain_that_two_claim_is_held_until_they_are_one() -> None:
    claims = claim(1, "A1", "acme.com"), claim(2, "A2", "acme.com")
    held = answer(touch(1, "w:acme.com"), touch(1, "e:bob@acme.com"), touch(1, "A:A1"), *claims)
    assert held.messages[:3] == [("held", "acme.com"), ("held", "acme.com"), A1]
    assert held.ambiguous == {"acme.com"}
    one = answer(touch(1, "w:acme.com"), *claims, merge(5, "A1", "A2"))
    assert one.messages[0] == A2
    assert not one.ambiguous


def test_a_free_domain_can_be_claimed_by_none() -> None:
    claimed = claim(1, "A1", "gmail.com"), touch(1, "A:A2 w:gmail.com")
    assert place(touch(1, "e:dan@gmail.com"), *claimed) == ("person", "e:dan@gmail.com")
    assert not answer(*claimed).ambiguous


def test_a_subdomain_is_another_domain() -> None:
    assert place(touch(1, "w:shop.acme.com"), claim(1, "A1", "acme.com")) == ("domain", "shop.acme.com")


# caps (R40)


def test_a_shared_device_is_nobodys_and_its_earlier_claims_are_void() -> None:
    claims = [touch(day, f"a:v1 c:c{day}") for day in (1, 2, 3)]
    assert place(touch(1, "a:v1"), *claims, max_links=3) == C1
    found = answer(touch(1, "a:v1"), *claims, max_links=2)
    assert found.messages[0] == ("visitor", "v1")
    assert found.shared == {("a:v1", "c")}


def test_an_address_of_many_contacts_makes_no_person_of_them() -> None:
    linked = [known(day, f"c:c{day} e:info@gmail.com") for day in (1, 2, 3)]
    assert place(touch(1, "c:c3"), *linked, max_links=3) == C1
    found = answer(touch(1, "c:c3"), touch(1, "e:info@gmail.com"), *linked, max_links=2)
    assert found.messages[:2] == [("person", "c:c3"), ("person", "e:info@gmail.com")]


def test_an_address_shared_by_contacts_lends_them_no_mail_domain() -> None:
    linked = [known(day, f"c:c{day} e:info@acme.com") for day in (1, 2, 3)]
    assert place(touch(1, "c:c3"), *linked, max_links=2) == ("person", "c:c3")
    assert place(touch(1, "e:info@acme.com"), *linked, max_links=2) == ACME


def test_a_contact_of_many_accounts_is_of_none_but_its_address_may_be() -> None:
    linked = known(1, "c:c1 A:A1"), known(2, "c:c1 A:A2"), known(3, "c:c1 A:A3")
    assert place(touch(3, "c:c1"), *linked, max_links=2) == C1
    assert place(touch(3, "c:c1"), *linked, known(4, "c:c1 e:dan@gmail.com A:A3"), max_links=2) == A3


def test_an_identifier_may_have_many_weaker_partners() -> None:
    linked = [touch(1, f"a:v{n} c:c1 A:A1") for n in range(5)]
    assert place(touch(1, "a:v3"), *linked, max_links=1) == A1


# merges (R41)


def test_a_merge_holds_for_the_whole_journey_and_in_chains() -> None:
    assert place(touch(1, "A:A1"), merge(5, "A1", "A2"), merge(4, "A2", "A3")) == A3


def test_the_last_word_on_an_account_decides() -> None:
    assert place(touch(1, "A:A1"), merge(5, "A1", "A2"), merge(6, "A1", "A3")) == A3
    assert place(touch(1, "A:A1"), merge(5, "A1", "A2"), unmerge(6, "A1")) == A1
    assert place(touch(1, "A:A1"), merge(7, "A1", "A2"), unmerge(6, "A1")) == A2


def test_a_merge_that_closes_a_circle_is_refused() -> None:
    found = answer(touch(1, "A:A1"), merge(5, "A1", "A2"), merge(6, "A2", "A3"), merge(7, "A3", "A1"))
    assert found.messages[0] == A3
    assert found.refused == ("A3",)
    assert answer(merge(5, "A1", "A1")).refused == ("A1",)


def test_without_the_merge_it_hangs_on_a_refused_one_stands() -> None:
    circle = merge(5, "A1", "A2"), merge(6, "A2", "A1")
    assert place(touch(1, "A:A2"), *circle) == A2
    found = answer(touch(1, "A:A2"), *circle, unmerge(8, "A1"))
    assert found.messages[0] == A1
    assert not found.refused


def test_an_unmerge_of_what_was_never_merged_changes_nothing() -> None:
    assert place(touch(1, "A:A1"), unmerge(2, "A1")) == A1
