from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from revenue_core.identity.observations import MIN
from streams.identity import KEY, Entry, Replica, encode_entry
from streams.replica import LEAST_WASTE, PIECES, CompactMap

SPREADS: dict[str, Callable[[bytes], int]] = {
    "python": hash,
    "all alike": lambda key: 0,
    "one piece": lambda key: (hash(key) & 0xFFFF_FFFF) << 32,
    "two marks": lambda key: (len(key) & 1) << 32,
    "around the end": lambda key: (0xFFFF_FFFF - len(key)) << 32,
    "negative": lambda key: -1 - len(key),
}
KEYS = st.binary(max_size=3) | st.binary(max_size=40)
VALUES = st.binary(max_size=60) | st.just(bytes(3_000))


class AgainstADict(RuleBasedStateMachine):
    """Whatever is done to both, they answer the same."""

    @initialize(spread=st.sampled_from(sorted(SPREADS)))
    def begin(self, spread: str) -> None:
        self.map, self.model = CompactMap(SPREADS[spread]), dict[bytes, bytes]()

    @rule(key=KEYS, value=VALUES)
    def put(self, key: bytes, value: bytes) -> None:
        self.map.put(key, value)
        self.model[key] = value

    @precondition(lambda self: self.model)
    @rule(data=st.data(), value=VALUES)
    def replace(self, data: st.DataObject, value: bytes) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.map.put(key, value)
        self.model[key] = value

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.model)))
        self.map.remove(key)
        del self.model[key]

    @rule(key=KEYS)
    def remove_whatever_is_there(self, key: bytes) -> None:
        self.map.remove(key)
        self.model.pop(key, None)

    @rule(key=KEYS)
    def ask(self, key: bytes) -> None:
        assert self.map.get(key) == self.model.get(key)

    @invariant()
    def they_agree(self) -> None:
        assert len(self.map) == len(self.model)
        assert all(self.map.get(key) == value for key, value in self.model.items())


AgainstADict.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgainstADict = AgainstADict.TestCase


@pytest.mark.parametrize("spread", ["python", "one piece"])
def test_thousands_of_puts_replacements_and_removals_leave_what_a_dict_has(spread: str) -> None:
    chance, found, model = random.Random(3), CompactMap(SPREADS[spread]), dict[bytes, bytes]()
    for _ in range(30_000):
        key = b"k%d" % chance.randrange(3_000)
        if chance.random() < 0.3:
            found.remove(key)
            model.pop(key, None)
        else:
            model[key] = value = chance.randbytes(chance.randrange(50))
            found.put(key, value)
    assert len(found) == len(model)
    assert all(found.get(b"k%d" % number) == model.get(b"k%d" % number) for number in range(3_000))


def test_keys_that_begin_alike_or_run_on_into_a_value_are_told_apart() -> None:
    found = CompactMap(SPREADS["all alike"])
    found.put(b"ab", b"cd")
    assert [found.get(key) for key in (b"a", b"ab", b"abc", b"abcd", b"")] == [None, b"cd", None, None, None]


def test_an_empty_key_and_an_empty_value_are_kept() -> None:
    found = CompactMap()
    found.put(b"", b"")
    assert found.get(b"") == b""
    assert len(found) == 1


def test_what_is_replaced_does_not_pile_up() -> None:
    found = CompactMap(SPREADS["one piece"])
    for length in range(20_000):
        found.put(b"key", bytes(length % 100))
    assert found.size_bytes() - CompactMap().size_bytes() < 3 * LEAST_WASTE


def test_what_is_removed_gives_its_memory_back() -> None:
    found = CompactMap(SPREADS["one piece"])
    for number in range(2_000):
        found.put(b"%d" % number, bytes(500))
    full = found.size_bytes()
    for number in range(2_000):
        found.remove(b"%d" % number)
    assert len(found) == 0
    assert found.size_bytes() - CompactMap().size_bytes() < full / 10


def test_an_entry_of_a_link_takes_less_than_a_hundred_and_fifty_bytes() -> None:
    found, number = CompactMap(), 50 * PIECES
    for each in range(number):
        found.put(b"k:a:%020d" % each, bytes(40))
    assert found.size_bytes() / number < 150


def test_it_is_a_store_for_the_replica() -> None:
    replica = Replica(CompactMap())
    old, new = Entry(3, ((0, "A:x"), (9, "A:y")), {"A:x": 0}), Entry(7, ((0, "A:y"),), {"A:y": 0})
    key = KEY + b"a:visitor"
    replica.apply([(key, encode_entry(old)), (key, encode_entry(new)), (key, encode_entry(old))])
    assert replica.entry("a:visitor") == new._replace(timeline=((MIN, "A:y"),))
    assert replica.position == 6
