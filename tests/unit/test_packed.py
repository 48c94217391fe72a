"""What an account stores of its messages stays part of it only while the decisions it knows leave it there."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import orjson
import pytest

from revenue_core.account import FactBody, Group
from revenue_core.facts import Touch
from streams import chunks, codec, homes
from streams.homes import ROUTE, Home
from streams.packed import FEW_DECISIONS, NOTHING, Handing
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
    route,
    seen,
    touch,
)

FORMAT_2 = json.loads((Path(__file__).parent / "data" / "account_state_v2.json").read_text())
"""A history, the records that the version before homes stored of it, and what they say."""
VISITORS = [touch(number, f"v{number % 3}", f"c{number % 3}") for number in range(40)]
FACTS = [
    lead(50, "zoe", home_of("e:zoe")), lead(51, home=home_of("a:v0")), deal(52, home_of("d:D", "a:v0")), deal(53),
]  # fmt: skip


def filled() -> Store:
    """Acme with forty touches of three visitors, two leads and two deals, in the table."""
    store = Store()
    store.add(*VISITORS, *FACTS)
    store.write()
    return store


def old_records() -> dict[bytes, bytes]:
    return {base64.b64decode(key): base64.b64decode(raw) for key, raw in FORMAT_2["records"].items()}


def names() -> list[str]:
    return list(FORMAT_2["reads_as"])


@pytest.mark.parametrize("name", names())
def test_an_account_of_format_2_says_what_it_said(name: str):
    table, expected = old_records(), FORMAT_2["reads_as"][name]
    raw = table[name.encode()]
    assert raw[0] == codec.BEFORE_HOMES
    state, packed = codec.decode(name, "acme", raw, table.get)
    assert (state.next_due(), state.applied, state.horizon, state.silent) == (
        expected["due"], expected["applied"], expected["horizon"], expected["silent"],
    )  # fmt: skip
    account = state.account
    assert (account.touch_count, account.latest, sorted(account.contacts)) == (
        expected["touch_count"], expected["latest"], expected["contacts"],
    )  # fmt: skip
    assert list(packed.read()) == [
        (identity, Group(at, digest, last_at, Touch(*body)))
        for identity, at, digest, last_at, body in expected["touches"]
    ]
    assert [(letter, identity, message) for _, letter, identity, message in packed.everything()][
        packed.touches.count :
    ] == [
        (letter, identity, Group(at, digest, last_at, FactBody(kind, fields)))
        for letter, identity, at, digest, last_at, kind, fields in expected["facts"]
    ]
    assert (state.moves, packed.handing, packed.knows) == (0, Handing(), NOTHING)


@pytest.mark.parametrize("name", names())
def test_an_account_of_format_2_is_written_in_the_present_format_and_goes_on(name: str):
    table = old_records()
    state, packed = codec.decode(name, "acme", table[name.encode()], table.get)
    count = packed.touches.count
    later = [touch(200 + number, "v9") for number in range(20)]
    for kind, identity, message in later:
        state.account.read_past()
        state.account.add_touch(identity, message)
        packed.add(kind, identity, message, state.account)
    apply(table, [*packed.writes(), (name.encode(), codec.encode(state, packed)), *packed.deletions()])
    assert table[name.encode()][0] == codec.VERSION
    again, stored = codec.decode(name, "acme", table[name.encode()], table.get)
    found = list(stored.read())
    assert [each[1].home for each in found] == [""] * count + [each[2].home for each in later]
    assert [each[0] for each in found[:count]] == [row[0] for row in FORMAT_2["reads_as"][name]["touches"]]
    assert all(stored.may_know(identity) for _, identity, _ in later)
    again.account.read_past()
    assert again.account == state.account


def test_every_message_is_stored_with_its_home():
    found = [each[1:] for each in filled().read().packed.everything()]
    kinds = {"t": "touchpoints", "l": "leads", "d": "deals"}
    assert [(kinds[letter], *rest) for letter, *rest in found] == [*VISITORS, *FACTS]


def test_nobody_pays_for_identity_before_it_concerns_him():
    store = filled()
    plain = len(store.table[store.key])
    assert not store.packed.has_moved()
    store.learn(redirect("A:other", 1, ROOT))
    store.write()
    assert len(store.table[store.key]) > plain + codec.IDENTITY.size


def test_moves_the_hand_over_and_what_is_known_are_read_back():
    store = filled()
    store.state.moves = 1_023
    store.packed.handing = Handing(3, 17, pending=True, count=40, decision=2**40)
    entries = [
        route("a:v1", 5, "c:ann"),
        redirect(ROOT, 6, ROOT),
        erase("c:x", 7, START),
        ["w", "e:ben", -1, None],
    ]
    assert store.learn(*entries) == entries
    store.write()
    raw = store.table[store.key]
    assert codec.is_handing_over(raw)
    again = store.read()
    assert again.state.moves == 1_023
    assert again.packed.handing == store.packed.handing
    assert list(again.packed.knows.entries()) == list(store.packed.knows.entries())
    assert codec.encode(again.state, again.packed) == raw
    again.packed.handing.pending = False
    assert not codec.is_handing_over(codec.encode(again.state, again.packed))


def test_only_new_decisions_are_stored():
    store = filled()
    old, new = route("a:v1", 5, "c:ann"), route("a:v1", 9, "c:ben")
    assert store.learn(old, old, new, old) == [old, new]
    assert store.packed.knowledge.count == 2
    store.write()
    assert store.read().packed.learn([old, new]) == []


def test_decisions_that_later_ones_replace_are_dropped_now_and_then():
    store = filled()
    for decision in range(10 * FEW_DECISIONS):
        store.packed.learn([route(f"a:v{decision % 5}", decision, f"c:{decision}")])
        store.write()
        assert store.packed.knowledge.count <= FEW_DECISIONS + 1
    records = [key for key in store.table if key[1:2] == chunks.KNOWLEDGE]
    assert len(records) <= FEW_DECISIONS // chunks.MESSAGES
    assert list(store.read().packed.knows.entries()) == list(store.packed.knows.entries())
    assert len(store.packed.knows.routes) == 5


def test_many_decisions_that_all_hold_are_kept():
    store = filled()
    entries = [route(f"a:x{number}", number, "c:ann") for number in range(3 * FEW_DECISIONS)]
    store.learn(*entries)
    store.write()
    assert store.packed.knowledge.epoch == 0
    assert len(store.read().packed.knows.routes) == 3 * FEW_DECISIONS


def test_touches_and_facts_that_a_route_took_away_are_not_read():
    store = filled()
    store.learn(route("a:v0", 5, "c:ann"))
    store.write()
    again = store.read()
    expected = Store()
    expected.add(*(each for each in [*VISITORS, *FACTS] if '["a:v0"]' not in each[2].home))
    assert seen(again) == seen(expected) == seen(store)
    assert again.packed.touches.count == 40


def test_what_lies_under_an_account_with_no_home_goes_when_the_account_goes():
    store = Store()
    store.add(touch(1), lead(2), touch(3, "v1", home=Home(0, 0, "c:x", ("c:x",))))
    store.learn(redirect(ROOT, 4, "A:globex"))
    store.write()
    assert [identity for identity, _ in store.read().packed.read()] == ["native:t3"]
    assert not store.read().state.account.lead_groups


def test_an_erasure_takes_touches_and_leads_and_leaves_deals():
    store = filled()
    store.learn(erase("a:v0", 5, START + 51 * HOUR), erase("d:D", 6, START + 90 * HOUR))
    store.write()
    account = store.read().state.account
    assert list(account.lead_groups) == ["crm:l50"]
    assert len(account.deal_groups) == 2
    account.read_past()
    assert {touch.visitor for touch in account.touches} == {"v1", "v2"}


def test_the_account_as_it_was_answered_lacks_what_has_left():
    store = filled()
    store.learn(route("a:v0", 5, "c:ann"))
    earlier = store.packed.earlier("acme", (20, 1))
    assert [touch.touch_id for touch in earlier.touches] == [
        f"native:t{number}" for number in range(20) if number % 3
    ]
    assert list(earlier.lead_groups) == ["crm:l50"]


def test_contacts_that_have_left_are_gone_after_reading_back():
    store = filled()
    assert store.read().state.account.contacts == {"c0", "c1", "c2", "zoe"}
    store.learn(route("a:v0", 5, "c:ann"))
    store.write()
    assert store.read().state.account.contacts == {"c1", "c2", "zoe"}
    assert store.read().packed.known_contacts == {"c1", "c2", "zoe"}


@pytest.mark.parametrize("position", [0, 5, 16, 39, 40, 42, 43, 44, 50])
def test_everything_is_listed_from_a_position_on_gone_or_not(position: int):
    store = filled()
    store.learn(route("a:v0", 5, "c:ann"))
    store.write()
    found = list(store.read().packed.everything(position))
    assert [(place, identity) for place, _, identity, _ in found] == [
        (place, identity) for place, (_, identity, _) in enumerate([*VISITORS, *FACTS]) if place >= position
    ]


def test_a_purge_keeps_what_is_here_and_says_by_which_decisions():
    store = filled()
    store.learn(route("a:v0", 5, "c:ann"), route("a:v1", 8, ROOT))
    before = seen(store)[3:]
    store.packed.purge()
    kept = len([each for each in VISITORS if each[2].body.visitor != "v0"]) + 3
    assert (store.packed.handing.count, store.packed.handing.position) == (kept, kept)
    assert seen(store)[3:] == before
    store.write()
    again = store.read()
    assert seen(again)[3:] == before
    stamps = {group.body.visitor: homes.load(group.home).route for _, group in again.packed.read()}
    assert stamps == {"v1": 8, "v2": 0}
    assert b'"a:v0"' not in b"".join(raw for key, raw in store.table.items() if key[1:2] == chunks.TOUCHES)


def test_an_account_of_which_nothing_is_left_keeps_only_its_header():
    store = filled()
    assert store.stored() == {chunks.TOUCHES, chunks.FACTS}
    away = [route(key, 5, "c:ann") for key in ("a:v0", "a:v1", "a:v2", "e:zoe", "d:D")]
    store.learn(*away, redirect(ROOT, 6, "A:globex"))
    store.packed.purge()
    store.write()
    assert list(store.table) == [store.key]
    again = store.read()
    assert seen(again) == ({}, {}, {}, [], set(), 0)
    assert again.packed.counts() == (0, 0)


def test_an_account_goes_on_after_a_purge():
    store = filled()
    store.learn(route("a:v0", 5, "c:ann"))
    store.packed.purge()
    store.write()
    again = store.read()
    again.add(*(touch(100 + number, "v1") for number in range(20)), deal(130))
    again.write()
    assert seen(again.read()) == seen(again)
    assert again.packed.may_know("native:t119")
    assert again.read().packed.touches.epoch == 1


def test_what_was_answered_is_counted_anew_by_a_purge():
    store = filled()
    store.learn(route("a:v0", 5, "c:ann"))
    store.packed.answered = 20, 3
    before = store.packed.earlier("acme", (20, 3))
    store.state.earlier = lambda: before
    store.packed.purge()
    store.write()
    assert store.packed.answered == (13, 2)
    again = store.read().state.earlier
    assert again is not None
    assert again().touches == before.touches
    assert list(again().lead_groups) == list(before.lead_groups)


def test_what_a_torn_write_left_over_is_deleted_with_the_next_one():
    store = filled()
    store.learn(route("a:v0", 5, "c:ann"))
    store.packed.purge()
    records = store.records()
    header = [key for key, _ in records].index(store.key)
    apply(store.table, records[: header + 1])
    assert codec.has_leftovers(store.table[store.key])
    again = store.read()
    assert codec.encode(again.state, again.packed) == store.table[store.key]
    left = {key for key in store.table if chunks.is_chunk(key) and chunks.KEY.unpack_from(key)[2] == 0}
    assert {key[1:2] for key in left} == {chunks.TOUCHES, chunks.FACTS}
    again.write()
    assert not left & store.table.keys()
    assert not codec.has_leftovers(store.table[store.key])
    assert seen(again.read())[3:] == seen(store)[3:]


def test_a_route_with_dates_takes_only_what_lies_in_them():
    store = filled()
    store.learn([ROUTE, "a:v0", 5, [[EVER, ROOT, ROOT], [START + 20 * HOUR, "c:ann", "c:ann"]]])
    store.write()
    found = [group.body for _, group in store.read().packed.read()]
    assert max(body.at for body in found if body.visitor == "v0") == START + 18 * HOUR


def test_facts_without_a_home_are_stored_as_before():
    store = Store()
    store.add(deal(1), deal(2, home_of("d:D")))
    store.write()
    raw = store.table[chunks.key_of(chunks.FACTS, 0, 0, store.key)]
    assert [len(item) for item in orjson.loads(raw[chunks.HEAD.size :])] == [7, 8]
