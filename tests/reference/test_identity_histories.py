"""What must hold of the reference for identity whatever happens, and what its random histories contain."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings

from tests.reference import identity_random
from tests.reference.identity import resolve
from tests.reference.identity_builders import merge, unmerge
from tests.reference.identity_histories import History, histories, normalised
from tests.reference.identity_links import DAY

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@quick
@given(histories())
def test_the_answer_does_not_depend_on_the_order_of_arrival(history: History) -> None:
    turned = resolve(list(reversed(history.events)), history.config)
    found = resolve(history.events, history.config)
    assert (turned.places, turned.messages[::-1]) == (found.places, found.messages)
    assert turned[3:] == found[3:]


@quick
@given(histories())
def test_every_fact_is_in_exactly_one_account(history: History) -> None:
    found = resolve(history.events, history.config)
    assert Counter(key for keys in found.accounts.values() for key in keys) == Counter(list(found.places))


@quick
@given(histories(erasures=False))
def test_an_unmerged_history_is_that_of_accounts_never_merged(history: History) -> None:
    apart = [
        event for event in history.events if event[1]["type"] not in {"account_merged", "account_unmerged"}
    ]
    last = identity_random.START_MS // DAY + identity_random.INSTANTS + 9
    unmerged = [unmerge(last, account) for account in identity_random.ACCOUNTS]
    merged = [merge(1, account, into) for account in ("A1", "A2") for into in ("A3", "A4")]
    found = resolve([*apart, *merged, *unmerged], history.config).messages[: len(apart)]
    assert found == resolve(apart, history.config).messages


@quick
@given(histories())
def test_a_message_twice_is_the_same_as_once(history: History) -> None:
    again = resolve(history.events * 2, history.config)
    once = resolve(history.events, history.config)
    assert again.places == once.places


def test_random_histories_are_valid_repeatable_and_show_everything() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(60):
        made = identity_random.history(seed, 30)
        assert made == identity_random.history(seed, 30)
        found = resolve(normalised(made), identity_random.config(seed))
        kinds.update(place[0] for place in found.messages)
        kinds.update(["ambiguous"] * len(found.ambiguous) + ["refused"] * len(found.refused))
        kinds.update(f"shared {identifier[0]} {kind}" for identifier, kind in found.shared)
    expected = {
        "account",
        "domain",
        "held",
        "person",
        "visitor",
        "deal",
        "lead",
        "erased",
        "ambiguous",
        "refused",
    }
    assert expected <= {kind for kind, count in kinds.items() if count >= 5}
    assert {"shared a c", "shared a A", "shared e c", "shared c A"} <= set(kinds)


def test_rows_that_carry_no_account_come_of_one_message() -> None:
    for seed in range(40):
        alone: dict[tuple[str, str], str] = {}
        made = identity_random.history(seed, 60)
        for message in made:
            if message["type"] in {"lead_created", "lead_qualified"}:
                subject = message["type"] + message.get("level", ""), message["lead_id"]
                assert alone.setdefault(subject, repr(message)) == repr(message)
