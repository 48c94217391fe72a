from __future__ import annotations

import itertools

import pytest

from revenue_core.identity.graph import Graph
from revenue_core.identity.observations import MIN, Changes, Counts, GraphConfig, Observation, Step
from revenue_core.identity.timelines import in_force, joined, node_at, place

DAY = 86_400_000
TTL = 10 * DAY


def graph(*said: Observation, max_links: int = 10) -> Graph:
    made = Graph(GraphConfig(max_links, TTL))
    for each in said:
        made.add(each)
    return made


NUMBERS = itertools.count()


def fact(
    day: int, *ids: str, mail: str = "", type: str = "page_view", kind: str = "", **more: str
) -> Observation:
    """An observation of its own at the start of a day; ``more``: claims (space between), into, event_id, digest."""
    event_id = more.get("event_id") or f"n{next(NUMBERS):06}"
    if not kind:
        kind = "deals" if type.startswith("deal") else "touchpoints" if type == "page_view" else "leads"
    claims = tuple(more.get("claims", "").split())
    digest = more.get("digest", "0")
    return Observation(
        day * DAY,
        "native",
        event_id,
        digest,
        kind,
        type,
        tuple(sorted(ids)),
        mail,
        claims,
        more.get("into", ""),
    )


def merged(day: int, account: str, into: str) -> Observation:
    return fact(day, account, type="account_merged", into=into)


def claim(day: int, account: str, *domains: str) -> Observation:
    return fact(day, account, type="account_updated", claims=" ".join(domains))


def erased(day: int, *ids: str) -> Observation:
    return fact(day, *ids, type="person_erased")


# persons


def test_a_person_is_at_its_first_account_from_the_beginning_and_moves_with_later_ones() -> None:
    made = graph(fact(5, "c:ann", "A:x"), fact(9, "c:ann", "A:y"))
    assert made.timeline("c:ann") == ((MIN, "A:x"), (9 * DAY, "A:y"))


def test_all_members_of_a_person_share_its_account() -> None:
    made = graph(fact(1, "c:ann", "e:1"), fact(2, "e:1", "A:x"), fact(3, "c:bob", "e:1"))
    assert {made.timeline(key) for key in ("c:ann", "c:bob", "e:1")} == {((MIN, "A:x"),)}


def test_a_person_without_account_is_at_its_company_before_a_website() -> None:
    made = graph(fact(1, "c:ann", "w:site.com"))
    assert made.timeline("c:ann") == ((MIN, "w:site.com"),)
    changes = made.add(fact(2, "c:ann", "e:1", mail="acme.com"))
    assert changes.timelines["c:ann"] == (((MIN, "w:site.com"),), ((MIN, "w:acme.com"),))


def test_a_person_with_nothing_is_its_least_identifier() -> None:
    made = graph(fact(1, "c:zoe", "e:1"))
    assert made.timeline("e:1") == ((MIN, "c:zoe"),)


def test_an_identifier_nobody_mentioned_has_a_timeline_too() -> None:
    made = graph()
    assert made.timeline("c:x") == ((MIN, "c:x"),)
    assert made.timeline("e:x", "acme.com") == ((MIN, "w:acme.com"),)
    assert made.timeline("a:x") == ((MIN, ""),)


# visitors


def test_a_visitor_is_claimed_from_the_time_to_live_before_its_first_link() -> None:
    made = graph(fact(20, "a:v", "c:ann"), fact(1, "c:ann", "A:x"))
    assert made.timeline("a:v") == ((MIN, ""), (10 * DAY, "A:x"))


def test_two_persons_on_one_device_share_its_time() -> None:
    made = graph(fact(20, "a:v", "c:ann"), fact(25, "a:v", "c:bob"), fact(1, "c:bob", "A:y"))
    assert made.timeline("a:v") == ((MIN, ""), (10 * DAY, "c:ann"), (25 * DAY, "A:y"))


def test_what_a_visitor_was_seen_with_gives_way_to_the_facts_own_website() -> None:
    made = graph(fact(20, "a:v", "A:x"))
    timeline = made.timeline("a:v")
    assert timeline == ((MIN, ""), (10 * DAY, "5:A:x"))
    assert place("a:v", timeline, 15 * DAY) == "A:x"
    assert place("a:v", timeline, 15 * DAY, "acme.com") == "w:acme.com"
    assert place("a:v", timeline, 5 * DAY) == "a:v"


# domains and merges


def test_a_domain_with_many_persons_moves_as_one_redirect() -> None:
    made = graph(*(fact(1, f"e:{n}", f"a:{n}", mail="acme.com") for n in range(100)))
    first = made.add(claim(2, "A:x", "acme.com"))
    assert (first.redirects, first.timelines) == ({"w:acme.com": ("w:acme.com", "A:x")}, {})
    second = made.add(claim(3, "A:y", "acme.com"))
    assert (second.redirects, second.timelines) == ({"w:acme.com": ("A:x", "h:w:acme.com")}, {})
    assert made.ambiguous() == {"w:acme.com": (("A:x", "A:y"), 200)}
    assert made.counts() == Counts(ambiguous=1, held=200, shared=0, refused=0)


def test_a_merge_ends_ambiguity() -> None:
    made = graph(claim(1, "A:x", "acme.com"), claim(1, "A:y", "acme.com"))
    changes = made.add(merged(2, "A:y", "x"))
    assert changes.redirects == {"A:y": ("A:y", "A:x"), "w:acme.com": ("h:w:acme.com", "A:x")}


def test_an_unmerge_gives_back_what_was_never_merged() -> None:
    made = graph(claim(1, "A:x", "x.com"), merged(2, "A:x", "y"), merged(2, "A:y", "z"))
    assert made.redirect("w:x.com") == made.redirect("A:x") == "A:z"
    changes = made.add(fact(3, "A:x", type="account_unmerged"))
    assert changes.redirects == {"A:x": ("A:z", "A:x"), "w:x.com": ("A:z", "A:x")}


def test_a_redirect_that_closes_a_circle_is_ignored_and_counted() -> None:
    made = graph(merged(1, "A:x", "y"), merged(2, "A:y", "z"), merged(3, "A:z", "x"))
    assert [made.redirect(each) for each in ("A:x", "A:y", "A:z")] == ["A:z"] * 3
    assert made.counts().refused == 1


@pytest.mark.parametrize(
    "said",
    [merged(1, "A:x", "x"), fact(1, "A:x", type="account_unmerged")],
    ids=["into itself", "never merged"],
)
def test_a_merge_that_says_nothing_moves_nothing(said: Observation) -> None:
    assert graph().add(said) == Changes(kept=True)


# caps


def test_a_shared_device_loses_the_earlier_links_too() -> None:
    made = graph(*(fact(day, "a:kiosk", f"c:{day}") for day in (1, 2)), max_links=2)
    assert made.shared("a:kiosk") == frozenset()
    changes = made.add(fact(3, "a:kiosk", "c:3"))
    assert made.shared("a:kiosk") == {"c"}
    assert changes.timelines["a:kiosk"][1] == ((MIN, ""),)


def test_a_shared_mailbox_joins_nobody() -> None:
    made = graph(*(fact(n, "e:info", f"c:{n}", mail="acme.com") for n in range(3)), max_links=2)
    assert made.timeline("c:1") == ((MIN, "c:1"),)
    assert made.timeline("e:info") == ((MIN, "w:acme.com"),)
    assert made.counts().shared == 1


def test_the_number_of_weaker_partners_is_not_limited() -> None:
    made = graph(*(fact(n, "c:ann", f"a:{n}") for n in range(30)), max_links=2)
    assert made.counts().shared == 0


# leads and deals


def test_a_lead_is_where_its_last_fact_that_resolves_says() -> None:
    made = graph(fact(1, "l:1", "A:x"), fact(2, "l:1", "a:nobody"))
    assert made.timeline("l:1") == ((MIN, "A:x"),)
    changes = made.add(fact(3, "a:nobody", "c:ann"))
    assert changes.timelines["l:1"] == (((MIN, "A:x"),), ((MIN, "c:ann"),))


def test_only_patches_decide_where_a_deal_is() -> None:
    made = graph(fact(1, "d:1", "A:x", type="deal_updated"), fact(2, "d:1", "A:y"))
    assert made.timeline("d:1") == ((MIN, "A:x"),)


def test_a_deal_looks_past_a_patch_that_an_ambiguous_domain_holds() -> None:
    made = graph(
        fact(1, "d:1", "A:x", type="deal_updated"), fact(2, "d:1", "w:acme.com", type="deal_updated")
    )
    assert made.timeline("d:1") == ((MIN, "w:acme.com"),)
    made.add(claim(3, "A:y", "acme.com"))
    changes = made.add(claim(4, "A:z", "acme.com"))
    assert changes.timelines["d:1"][1] == ((MIN, "A:x"),)


# duplicates


def test_a_repetition_is_not_kept_and_changes_nothing() -> None:
    said = fact(1, "c:ann", "A:x")
    made = graph(said)
    assert made.add(said) == Changes(kept=False)
    assert list(made.messages()) == [said]


def test_an_earlier_message_of_one_identity_takes_the_place_of_the_other() -> None:
    made = graph(fact(2, "c:ann", "A:x", event_id="e"))
    made.add(fact(1, "c:ann", "A:x", event_id="e"))
    assert made.partners("c:ann") == {"A:x": (DAY, "native", "e")}


def test_messages_of_one_identity_that_name_different_accounts_are_two_facts() -> None:
    made = graph(fact(2, "c:ann", "A:x", event_id="e"), fact(1, "c:ann", "A:y", event_id="e"))
    assert made.timeline("c:ann") == ((MIN, "A:y"), (2 * DAY, "A:x"))


# erasure


def test_an_erasure_reaches_the_person_and_its_visitors_up_to_its_instant() -> None:
    made = graph(
        fact(1, "c:ann", "e:1"), fact(2, "e:1", "a:v"), fact(3, "c:ann", "A:x"), fact(9, "c:ann", "A:y")
    )
    changes = made.add(erased(5, "c:ann"))
    until = 5 * DAY
    assert changes.erased == {"c:ann": until, "e:1": until, "a:v": until}
    assert made.timeline("c:ann") == ((MIN, "+"), (until + 1, "A:y"))
    assert made.timeline("a:v") == ((MIN, "+"), (until + 1, ""))
    assert made.watched == {"c:ann", "e:1", "a:v"}


def test_an_erasure_of_a_stranger_is_remembered() -> None:
    made = graph(erased(5, "c:ann"))
    changes = made.add(fact(4, "c:ann", "A:x"))
    assert changes.timelines == {}
    assert node_at(made.timeline("c:ann"), 4 * DAY) == "+"


def test_a_deal_stays_where_it_was_when_its_contact_is_erased() -> None:
    made = graph(fact(1, "c:ann", "A:x"), fact(2, "d:1", "c:ann", type="deal_updated"), erased(5, "c:ann"))
    assert made.timeline("d:1") == ((MIN, "A:x"),)
    made.add(fact(1, "c:ann", "A:late"))
    assert made.timeline("d:1") == ((MIN, "A:late"),)


def test_a_shared_mailbox_does_not_spread_an_erasure() -> None:
    made = graph(*(fact(n, "e:info", f"c:{n}") for n in range(3)), max_links=2)
    assert set(made.add(erased(9, "c:1")).erased) == {"c:1"}


# watching


def test_an_identifier_is_watched_as_soon_as_a_dated_relation_has_two_partners() -> None:
    made = graph()
    assert made.add(fact(1, "c:ann", "e:1", "A:x")).watched == set()
    assert made.add(fact(2, "c:ann", "A:y")).watched == {"c:ann", "e:1"}
    assert made.add(fact(3, "c:ann", "A:z")).watched == set()


# explanations


def test_an_explanation_names_every_link_with_its_fact() -> None:
    made = graph(
        fact(4, "a:v", "e:1", event_id="form"),
        fact(2, "c:ann", "e:1", event_id="crm"),
        fact(3, "c:ann", "A:x", event_id="account"),
        fact(5, "A:x", type="account_merged", into="y", event_id="merge"),
    )
    assert made.explain("a:v", 4 * DAY) == [
        Step("R37.3", "a:v", "e:1", 4 * DAY, "native", "form"),
        Step("R37.2", "e:1", "c:ann", 2 * DAY, "native", "crm"),
        Step("R37.2", "c:ann", "A:x", 3 * DAY, "native", "account"),
        Step("R41", "A:x", "A:y", 5 * DAY, "native", "merge"),
    ]


def test_a_key_that_is_its_own_account_needs_no_explanation() -> None:
    assert graph().explain("a:v", DAY) == graph().explain("A:x", DAY) == []


# timelines


def test_before_the_first_link_the_first_is_in_force_though_another_replaces_it_at_once() -> None:
    said = [fact(1, "c:a"), fact(1, "c:b")]
    timeline = in_force([(DAY, "A:x", said[0]), (DAY, "A:y", said[1])])
    assert timeline == ((MIN, "A:x"), (DAY, "A:y"))


def test_of_one_instant_the_last_step_counts_and_equal_neighbours_are_one() -> None:
    assert joined([(MIN, "x"), (1, "y"), (1, "x"), (2, "x"), (3, "z")]) == ((MIN, "x"), (3, "z"))
