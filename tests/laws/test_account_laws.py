"""An account is a set of facts: order, duplication and storage leave no trace (R01 to R04)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from revenue_core.account import Account, FactBody, Group, join
from revenue_core.facts import DAY_MS, Touch

HOUR = 3_600_000

messages = st.lists(
    st.builds(
        lambda hours, digest: Group(hours * HOUR, f"{digest:016x}", hours * HOUR, f"body {hours} {digest}"),
        st.integers(0, 200),
        st.integers(0, 3),
    ),
    max_size=12,
)


def brute_force(found: list[Group[str]]) -> list[Group[str]]:
    """R02 as it is written: walk the messages in order, start a group after more than 24 h."""
    groups: list[Group[str]] = []
    for message in sorted(set(found), key=lambda m: (m.at, m.digest)):
        if groups and message.at - groups[-1].last_at <= DAY_MS:
            groups[-1] = groups[-1]._replace(last_at=message.at)
        else:
            groups.append(message)
    return groups


@given(messages)
def test_messages_of_one_identity_fold_into_the_groups_that_a_walk_in_time_order_finds(found):
    groups: list[Group[str]] = []
    for message in found:
        groups = join(groups, message) or groups
    assert groups == brute_force(found)


@given(messages, st.randoms(use_true_random=False))
def test_join_says_that_nothing_changed_exactly_when_nothing_did(found, random):
    groups: list[Group[str]] = []
    for message in found:
        joined = join(groups, message)
        assert (joined is None) == (brute_force([*flatten(groups), message]) == groups)
        groups = joined or groups


def flatten(groups: list[Group[str]]) -> list[Group[str]]:
    """Messages that make just these groups: a group's first, and one at its end."""
    found = []
    for group in groups:
        at = group.at
        found.append(group._replace(last_at=at))
        while at < group.last_at:
            at = min(at + DAY_MS, group.last_at)
            found.append(Group(at, "f" * 16, at, "later"))
    return found


touch_events = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 80), st.sampled_from(["Direct", "Email"])
    ),
    max_size=15,
)


def with_touches(events: list[tuple[str, int, str]]) -> Account:
    account = Account("acme")
    for event_id, hours, channel in events:
        identity = f"native:{event_id}"
        touch = Touch(hours * HOUR, identity, "page_view", True, channel, contact_id=channel)
        account.add_touch(identity, Group(touch.at, f"{len(channel):016x}", touch.at, touch))
    return account


@given(touch_events, st.randoms(use_true_random=False))
def test_touches_do_not_depend_on_the_order_or_number_of_deliveries(events, random):
    shuffled = events + events[: len(events) // 2]
    random.shuffle(shuffled)
    first, second = with_touches(events), with_touches(shuffled)
    assert first.touches == second.touches
    assert first.contacts == second.contacts
    assert first.latest == second.latest


@given(touch_events)
def test_the_index_kept_along_the_way_is_the_one_built_from_nothing(events):
    account = with_touches(events)
    kept = list(account.touches), set(account.contacts), account.latest
    account.reindex()
    assert kept == (account.touches, account.contacts, account.latest)


def test_a_second_group_of_one_identity_is_a_touch_with_its_instant_in_the_id():
    account = with_touches([("a", 0, "Email"), ("a", 60, "Email")])
    assert [t.touch_id for t in account.touches] == ["native:a", f"native:a@{60 * HOUR}"]


def test_facts_come_in_fact_order_with_the_deals_apart():
    account = Account("acme")
    for event_id, at, kind in (("2", 5, "deal_updated"), ("1", 5, "refund"), ("3", 1, "mrr_movement")):
        body = FactBody(kind, {"deal_id": "D"})
        account.add_fact("deals", f"crm:{event_id}", Group(at, "0" * 16, at, body))
    journey = account.journey()
    assert [fact.fact_id for fact in journey.deals["D"]] == ["crm:1", "crm:2"]
    assert [fact.fact_id for fact in journey.movements] == ["crm:3"]
