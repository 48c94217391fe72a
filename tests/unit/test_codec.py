"""Account state survives storage, and storage says when it is not ours to read."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings

from streams import codec
from streams.agents.slice import METRIC_PREFIX, PARTITION_KEY
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from tests.builders import Event, service
from tests.laws.histories import histories


def stored(events: list[Event]) -> dict[bytes, bytes]:
    """The journey table after the events."""
    made = service()
    log = MemoryLog()
    executor = MemoryExecutor(made.agents, log, lambda: made.ingest.latest)
    for kind, message in events:
        log.append(kind, None, orjson.dumps(message), 0)
        executor.drain()
    return executor.tables["journey", 0].data


def accounts(table: dict[bytes, bytes]) -> dict[str, bytes]:
    return {k.decode(): v for k, v in table.items() if k != PARTITION_KEY and not k.startswith(METRIC_PREFIX)}


@settings(max_examples=100, deadline=None)
@given(histories)
def test_an_account_read_back_and_stored_again_is_the_same_bytes(events):
    for name, raw in accounts(stored(events)).items():
        state, packed = codec.decode(name, raw)
        assert codec.encode(state, packed) == raw


@settings(max_examples=100, deadline=None)
@given(histories)
def test_packing_an_account_anew_gives_an_account_that_reads_the_same(events):
    for name, raw in accounts(stored(events)).items():
        state, packed = codec.decode(name, raw)
        packed.repack()
        packed.repack_facts()
        again, _ = codec.decode(name, codec.encode(state, packed))
        assert again.account == state.account
        assert again.checkpoint == state.checkpoint


@settings(max_examples=50, deadline=None)
@given(histories)
def test_the_due_instant_is_read_without_decoding(events):
    for name, raw in accounts(stored(events)).items():
        assert codec.next_due(raw) == codec.decode(name, raw)[0].next_due()


@pytest.mark.parametrize("anew", [False, True])
def test_an_account_with_many_texts_becomes_wide_and_nothing_else_changes(monkeypatch, anew: bool):
    monkeypatch.setattr(codec, "NARROW_STRINGS", 20)
    base = {"type": "page_view", "account_id": "acme", "channel": "Email", "occurred_at": 1_790_000_000_000}
    state, packed = codec.decode("acme", stored([("touchpoints", {**base, "event_id": "e"})])[b"A:acme"])
    touch = state.account.touches[0]
    for number in range(50):
        moved = touch._replace(at=touch.at + number + 1, campaign=f"c{number}", touch_id=f"native:n{number}")
        group = state.account.touch_groups["native:e"][0]._replace(at=moved.at, last_at=moved.at, body=moved)
        state.account.add_touch(moved.touch_id, group)
        if not anew:
            packed.append(moved.touch_id, group)
    if anew:
        packed.repack()
    again, repacked = codec.decode("acme", codec.encode(state, packed))
    assert repacked.wide
    assert again.account == state.account


def test_a_newer_format_is_refused_with_the_way_out():
    table = stored([("touchpoints", {
        "event_id": "e", "type": "page_view", "occurred_at": 1_790_000_000_000, "account_id": "acme",
    })])  # fmt: skip
    newer = bytes([codec.VERSION + 1]) + table[b"A:acme"][1:]
    with pytest.raises(codec.StateTooNew, match=r"run the version that wrote it, or rebuild"):
        codec.decode("acme", newer)
