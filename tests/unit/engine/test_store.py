from __future__ import annotations

from streams.engine.store import MemoryStore


def test_writes_are_carried_out_in_order_and_none_deletes() -> None:
    store = MemoryStore()
    store.apply(0, [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", None), (b"c", None)])
    assert dict(store.view(0).items()) == {b"a": b"3"}


def test_slices_know_nothing_of_each_other() -> None:
    store = MemoryStore()
    store.apply(0, [(b"a", b"1")])
    store.apply(1, [(b"a", b"2")])
    assert store.view(0).get(b"a") == b"1"
    store.drop(0)
    assert store.partitions() == [1]
    assert store.view(0).get(b"a") is None
    assert store.view(1).get(b"a") == b"2"


def test_a_view_sees_later_writes() -> None:
    store = MemoryStore()
    view = store.view(3)
    store.apply(3, [(b"a", b"1")])
    assert view.get(b"a") == b"1"


def longer(key: bytes, old: bytes, new: bytes) -> bool:
    return len(new) >= len(old)


def test_a_restored_slice_keeps_the_value_that_is_further_on() -> None:
    store, outdated = MemoryStore(), set[bytes]()
    store.restore(0, [(b"a", b"22"), (b"b", b"1"), (b"a", b"1"), (b"b", b"333")], longer, outdated)
    assert dict(store.view(0).items()) == {b"a": b"22", b"b": b"333"}
    assert outdated == {b"a"}
    assert store.size() == (2, 1 + 2 + 1 + 3)


def test_a_key_whose_value_stands_last_again_is_not_outdated() -> None:
    store, outdated = MemoryStore(), set[bytes]()
    store.restore(0, [(b"a", b"22"), (b"a", b"1"), (b"b", b"22"), (b"b", b"1")], longer, outdated)
    store.restore(0, [(b"a", b"22"), (b"b", b"333")], longer, outdated)
    assert outdated == set()
    assert dict(store.view(0).items()) == {b"a": b"22", b"b": b"333"}


def test_a_deletion_in_the_changelog_always_counts() -> None:
    store, outdated = MemoryStore(), set[bytes]()
    store.restore(0, [(b"a", b"22"), (b"a", b"1"), (b"a", None), (b"gone", None)], longer, outdated)
    assert (dict(store.view(0).items()), store.size(), outdated) == ({}, (0, 0), set())
