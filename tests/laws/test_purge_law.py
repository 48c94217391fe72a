"""However a write is torn, an account that drops what has left it reads as before or as after, never as a mixture."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.packed import Handing
from tests.packed_builders import (
    EVER,
    HOUR,
    ROOT,
    START,
    Store,
    apply,
    deal,
    erase,
    home_of,
    lead,
    redirect,
    touch,
)

SUBJECTS = ("a:v0", "a:v1", "c:ann", "d:D")
subjects = st.sampled_from(SUBJECTS)
homes = st.none() | subjects.map(home_of)
hours = st.integers(0, 60)
instants = hours.map(lambda hour: START + hour * HOUR)
touches = st.builds(
    touch, hours, st.sampled_from(["", "v0", "v1"]), st.sampled_from(["", "ann", "ben"]), homes
)
messages = st.one_of(
    touches, touches, touches, touches,
    st.builds(lead, hours, st.sampled_from(["", "ann"]), homes), st.builds(deal, hours, homes),
)  # fmt: skip
roots = st.sampled_from([ROOT, "c:x", "A:globex"])
decisions = st.one_of(
    st.builds(
        lambda native, decision, hour, root: ["r", native, decision, [[EVER, ROOT, ROOT], [hour, root, root]]],
        subjects, st.integers(1, 9), instants, roots,
    ),
    st.builds(redirect, st.just(ROOT), st.integers(1, 9), roots),
    st.builds(erase, subjects, st.integers(1, 9), instants),
)  # fmt: skip


def said(store: Store) -> tuple[object, ...]:
    """What an account says, and where its hand-over stands; homes may be newer after a purge."""
    account = store.state.account
    account.read_past()
    facts = [
        {identity: [group._replace(home="") for group in groups] for identity, groups in table.items()}
        for table in (account.touch_groups, account.lead_groups, account.deal_groups)
    ]
    return facts, account.touches, account.contacts, account.latest


@settings(max_examples=150, deadline=None)
@given(
    st.lists(messages, min_size=1, max_size=80),
    st.lists(decisions, min_size=1, max_size=3),
    st.lists(messages, max_size=20),
)
def test_a_torn_purge_leaves_the_account_as_before_or_as_after(first, learned, later):
    store = Store()
    store.add(*first)
    store.write()
    before, table = said(store.read()), dict(store.table)
    count = sum(store.packed.counts())
    store.learn(*learned)
    store.packed.handing = Handing(1, 0, pending=False, count=count, decision=9)
    store.packed.purge()
    store.add(*(each for each in later if store.packed.place(each[0][0], each[2]).root == ROOT))
    records = store.records()
    header = [key for key, _ in records].index(store.key)
    after = said(store)
    for written in range(len(records) + 1):
        torn = Store()
        torn.table = dict(table)
        apply(torn.table, records[:written])
        found = torn.read()
        assert said(found) == (after if written > header else before)
        if written > header:
            assert found.packed.handing == store.packed.handing
            # going on from there ends in the same place, with nothing left over
            found.write()
            kept = {key for key in torn.table if key[:1] == b"\0"}
            assert kept == {
                key for key, value in records_of(table, records).items() if value and key[:1] == b"\0"
            }


def records_of(
    table: dict[bytes, bytes], records: list[tuple[bytes, bytes | None]]
) -> dict[bytes, bytes | None]:
    """The table after all records."""
    return {**table, **dict(records)}


@settings(max_examples=150, deadline=None)
@given(st.lists(messages, min_size=1, max_size=60), st.lists(decisions, min_size=1, max_size=4))
def test_dropping_what_has_left_changes_nothing_that_is_said(first, learned):
    store = Store()
    store.add(*first)
    store.learn(*learned)
    before = said(store)
    store.packed.purge()
    assert said(store) == before
    assert store.packed.refold("acme").touches == before[1]
    store.write()
    assert said(store.read()) == before
    assert sum(store.packed.counts()) == store.packed.handing.count
