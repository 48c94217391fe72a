"""Identity through the whole service: where everything ends up is as the rules say, however it arrives."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from revenue_core.identity.observations import GraphConfig
from streams import translate
from streams.service import Timing
from streams.topology import CREDITS, JOURNEYS, PROBABILITIES
from tests.builders import Event, final_view, tables
from tests.reference import identity_random
from tests.reference.identity import ERASED, Answer, Place, digest, journal_key, resolve
from tests.reference.identity_builders import merge, unmerge
from tests.reference.identity_histories import History, histories
from tests.reference.identity_links import DAY, Config

View = Mapping[str, Mapping[str, Mapping[str, Any]]]

MORE = 40 if os.environ.get("HEADWATER_SOAK") == "1" else 1
EXAMPLES = 100 * MORE
SEEDS = 60 * MORE
IN_RUNS = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)
GIVING = frozenset({"account", "domain", "person", "deal"})
"""Places that give rows (R37)."""
NAMED = (
    "account_id", "contact_id", "email", "anonymous_id", "domain", "lead_id", "deal_id", "into_account_id",
)  # fmt: skip
PERSONAL = frozenset({"c", "e"})
PEOPLE = {
    "contact_id": identity_random.CONTACTS,
    "email": identity_random.EMAILS,
    "anonymous_id": identity_random.VISITORS,
}

quiet = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Row(NamedTuple):
    """What of an account's row identity decides."""

    touches: int
    contacts: int


def as_events(messages: Iterable[Mapping[str, Any]]) -> list[Event]:
    """Native messages as builders take them."""
    found = []
    for message in messages:
        native = dict(message)
        kind = native.pop("topic")
        found.append((kind, native))
    return found


def view_of(history: History, **how: Any) -> View:
    """The final view of the service."""
    limits = GraphConfig(history.config.max_links, history.config.anonymous_ttl_ms)
    return final_view(as_events(history.messages), graph=limits, **how)


def email_hash(address: str) -> str:
    return translate.email_hash(address, tables().hash_key)


def outward(place: Place) -> str:
    """The account id that rows of a place carry (R43)."""
    return translate.account_id(journal_key(place, email_hash))


def covered(history: History) -> History:
    """Without what rows of two accounts share a key in, and where the order of arrival has to matter.

    The first: one identity whose messages name different people and lie in different accounts, or only differ in a
    free domain, which names nobody, but makes two facts of them to the brute force. The second: an
    erasure that later turns out to have gone too far, because a link that led to somebody became void, or the same
    erasure was of an earlier instant, too; what is gone cannot come back.
    """
    named: dict[tuple[str, ...], tuple[Any, ...]] = {}
    erased: dict[tuple[str, ...], int] = {}
    kept = []
    places = _places(history)
    for message in history.messages:
        identity = message["topic"], message.get("source", ""), message["event_id"]
        ids = named.setdefault(identity, _named(message))
        others = set() if ids == _named(message) else {*ids, *_named(message)}
        if others and (len(places[identity]) > 1 or not others.isdisjoint(identity_random.FREE)):
            continue
        erases = message["type"] == "person_erased"
        if erases and erased.setdefault(identity, message["occurred_at"]) != message["occurred_at"]:
            continue
        kept.append(message)
    config = history.config
    if erased and any(kind in PERSONAL for _, kind in _shared(history)):
        config = replace(config, max_links=len(identity_random.CONTACTS))
    return History(kept, config)


def _named(message: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(message.get(name) for name in NAMED)


def _places(history: History) -> Mapping[tuple[str, ...], set[Place]]:
    found: dict[tuple[str, ...], set[Place]] = defaultdict(set)
    answer = resolve(history.events, history.config)
    for message, place in zip(history.messages, answer.messages, strict=True):
        found[message["topic"], message.get("source", ""), message["event_id"]].add(place)
    return found


def _shared(history: History) -> frozenset[tuple[str, str]]:
    """What is shared when nobody is erased."""
    events = [
        (kind, {**event, "type": "lead_feedback"} if event["type"] == "person_erased" else event)
        for kind, event in history.events
    ]
    return resolve(events, history.config).shared


def facts_in(history: History, answer: Answer) -> dict[Place, list[Event]]:
    """Of every account its facts: of messages of one identity at most a day apart the first (R02)."""
    groups: dict[tuple[Place, str, str, str], list[tuple[int, str, Mapping[str, Any]]]] = defaultdict(list)
    for (kind, event), place in zip(history.events, answer.messages, strict=True):
        identity = place, kind, event["source"], event["event_id"]
        groups[identity].append((event["occurred_at"], digest(event), event))
    found: dict[Place, list[Event]] = defaultdict(list)
    for (place, kind, *_), messages in groups.items():
        previous = None
        for at, _, event in sorted(messages, key=lambda each: each[:2]):
            if previous is None or at - previous > DAY:
                found[place].append((kind, dict(event)))
            previous = at
    return found


def expected_rows(history: History, answer: Answer) -> dict[str, Row]:
    """Account id -> its row, of every account that has a touch and gives rows."""
    rows = {}
    for place, facts in facts_in(history, answer).items():
        touches = sum(kind == "touchpoints" for kind, _ in facts)
        if touches and place[0] in GIVING:
            contacts = {
                event["contact_id"] for kind, event in facts if kind != "deals" and "contact_id" in event
            }
            rows[outward(place)] = Row(touches, len(contacts))
    return rows


def deals_of(history: History, answer: Answer) -> dict[str, str]:
    """Deal -> the account id that the rules give it (R16)."""
    return {
        event["deal_id"]: outward(place)
        for (kind, event), place in zip(history.events, answer.messages, strict=True)
        if kind == "deals" and "deal_id" in event
    }


def check_like_reference(history: History, view: View) -> None:
    """Hold the rows of a view against the brute force."""
    answer = resolve(history.events, history.config)
    rows = {
        account: Row(row["touches"], row["contacts"])
        for account, row in view[JOURNEYS].items()
        if row["touches"]
    }
    assert rows == expected_rows(history, answer)
    giving = {outward(place) for place in answer.messages if place and place != ERASED and place[0] in GIVING}
    assert view[JOURNEYS].keys() <= giving
    deals = deals_of(history, answer)
    for topic in (CREDITS, PROBABILITIES):
        for row in view[topic].values():
            assert row["account_id"] in giving
            if row["deal_id"]:
                assert row["account_id"] == deals[row["deal_id"]]


def seeded(seed: int, size: int) -> History:
    return History(identity_random.history(seed, size), identity_random.config(seed))


@quiet
@given(histories(30))
def test_rows_are_of_the_accounts_that_the_brute_force_says(history: History) -> None:
    history = covered(history)
    check_like_reference(history, view_of(history))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_rows_of_a_longer_history_are_of_the_accounts_that_the_brute_force_says(seed: int) -> None:
    history = covered(seeded(seed, 40))
    check_like_reference(history, view_of(history))


@quiet
@given(histories(30), st.randoms(use_true_random=False), st.integers(1, 20), st.integers(1, 3), st.booleans())
def test_order_runs_and_partitions_leave_no_trace(
    history: History, random: Random, size: int, partitions: int, kept: bool
) -> None:
    history = covered(history)
    shuffled = random.sample(history.messages, len(history.messages))
    other = view_of(
        history._replace(messages=shuffled), timing=IN_RUNS, run_max=size, drain_every=size, partitions=partitions,
        live_touches=200_000 if kept else 0,
    )  # fmt: skip
    assert other == view_of(history)


@quiet
@given(histories(25, erasures=False))
def test_accounts_merged_and_unmerged_give_the_rows_of_accounts_never_merged(history: History) -> None:
    told = {"account_merged", "account_unmerged"}
    apart = [each for each in history.messages if each["type"] not in told]
    last = identity_random.START_MS // DAY + identity_random.INSTANTS
    merges = [_native(merge(last, "A1", "A2")), _native(merge(last + 1, "A2", "A3"))]
    unmerges = [_native(unmerge(last + 2, account)) for account in ("A2", "A1")]
    apart = covered(history._replace(messages=apart)).messages
    never = history._replace(messages=apart + unmerges)
    half = len(apart) // 2
    again = history._replace(messages=[*apart[:half], *merges, *apart[half:], *unmerges])
    assert view_of(again) == view_of(never)


def _native(message: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"topic": message[0], **message[1]}


@quiet
@given(histories(25))
def test_people_who_are_all_erased_in_the_end_leave_no_trace_in_rows(history: History) -> None:
    last = identity_random.START_MS + identity_random.INSTANTS * DAY
    erased = [
        {"topic": "leads", "event_id": f"x-{name}", "occurred_at": last, "type": "person_erased", field: name}
        for field, names in PEOPLE.items()
        for name in names
    ]
    view = view_of(history._replace(messages=history.messages + erased))
    told = {each for names in PEOPLE.values() for each in names}
    for rows in view.values():
        for row in rows.values():
            assert told.isdisjoint(str(value) for value in row.values())
    assert not any(row["contacts"] for row in view[JOURNEYS].values())


def test_visitors_leads_and_what_ambiguous_domains_hold_give_no_rows() -> None:
    claims = [
        {"topic": "leads", "event_id": f"claim-{account}", "occurred_at": identity_random.START_MS,
         "type": "account_updated", "account_id": account, "domains": ["acme.com"]}
        for account in ("A1", "A2")
    ]  # fmt: skip
    waiting = [{"anonymous_id": "v1"}, {"lead_id": "l1"}, {"domain": "acme.com"}, {"email": "ana@acme.com"}]
    touches = [
        {"topic": "touchpoints", "event_id": f"t{number}", "occurred_at": identity_random.START_MS,
         "type": "page_view", **ids}
        for number, ids in enumerate(waiting)
    ]  # fmt: skip
    config = Config(10, DAY, identity_random.is_free)
    assert not any(view_of(History(touches + claims, config)).values())
    merged = _native(merge(identity_random.START_MS // DAY + 1, "A1", "A2"))
    view = view_of(History([*touches, *claims, merged], config))
    assert {row["account_id"]: row["touches"] for row in view[JOURNEYS].values()} == {"A2": 2}
