"""Account state survives storage, and storage says when it is not ours to read."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings

from revenue_core.account import Account
from revenue_core.journey import State
from streams import chunks, codec, codec_v1, translate
from streams.agents.journey import JourneyHandler
from streams.effects import Run
from streams.memory.executor import MemoryExecutor, MemoryTable
from streams.memory.log import MemoryLog, MemoryRecord
from streams.service import Timing
from tests.builders import Event, service
from tests.laws.histories import histories

START = 1_790_000_000_000
HOUR = 3_600_000
FORMAT_1 = json.loads((Path(__file__).parent / "data" / "account_state_v1.json").read_text())
"""A history and the accounts that the version before chunks stored of it."""


def stored(events: list[Event]) -> dict[bytes, bytes]:
    """The journey table after the events."""
    made = service()
    log = MemoryLog()
    executor = MemoryExecutor(made.agents, log, lambda: made.ingest.latest, followers=made.followers)
    for kind, message in events:
        log.append(kind, None, orjson.dumps(message), 0)
        executor.drain()
    return executor.tables["journey", 0].data


def accounts(table: dict[bytes, bytes]) -> dict[str, bytes]:
    return {key.decode(): raw for key, raw in table.items() if key[:1] != b"\0"}


def decoded(name: str, table: dict[bytes, bytes]) -> tuple[State, codec.Packed]:
    return codec.decode(name, translate.account_id(name), table[name.encode()], table.get)


def touch(number: int, **fields: object) -> Event:
    message = {
        "event_id": f"t{number}", "type": "page_view", "occurred_at": START + number * HOUR, "account_id": "acme",
        "channel": "Email",
    }  # fmt: skip
    return "touchpoints", {**message, **fields}


MANY = [touch(number, contact_id=f"c{number % 40}") for number in range(100)]


def journal(*messages: Event) -> list[MemoryRecord]:
    """The messages as ingest writes them, behind what ``stored`` has handled."""
    log = MemoryLog()
    executor = MemoryExecutor([a for a in service().agents if a.name == "ingest"], log, lambda: START)
    for kind, message in messages:
        log.append(kind, None, orjson.dumps(message), 0)
    executor.drain()
    return [record._replace(offset=1_000 + record.offset) for record in log.topic("journal")]


def owner(table: MemoryTable) -> JourneyHandler:
    """A handler that has just been given the table."""
    handler = service(Timing(tick_ms=0, idle_ms=0, replay_window=0)).journey
    handler.assigned(0, table)
    return handler


@settings(max_examples=100, deadline=None)
@given(histories)
def test_an_account_read_back_and_stored_again_is_the_same_bytes(events):
    table = stored(events)
    for name, raw in accounts(table).items():
        state, packed = decoded(name, table)
        assert codec.encode(state, packed) == raw
        state.account.read_past()
        assert codec.encode(state, packed) == raw
        assert all(written is None for _, written in packed.writes())


@settings(max_examples=50, deadline=None)
@given(histories)
def test_the_due_instant_and_the_applied_offset_are_read_without_decoding(events):
    table = stored(events)
    for name, raw in accounts(table).items():
        state, _ = decoded(name, table)
        assert (codec.next_due(raw), codec.applied_offset(raw)) == (state.next_due(), state.applied)


def test_an_account_that_was_not_read_knows_its_ends_its_number_and_its_contacts():
    table = stored(MANY)
    account = decoded("A:acme", table)[0].account
    seen = [
        account.touch_count,
        account.first_touch.at,
        account.last_touch.at,
        account.latest,
        account.contacts,
    ]
    assert account.unread is not None
    account.read_past()
    assert account.unread is None
    assert seen == [100, START, START + 99 * HOUR, START + 99 * HOUR, {f"c{n}" for n in range(40)}]
    assert seen == [
        account.touch_count, account.touches[0].at, account.touches[-1].at, account.latest, account.contacts,
    ]  # fmt: skip


def test_every_record_of_an_account_is_bounded_whatever_its_length():
    table = stored([touch(number, contact_id=f"c{number}") for number in range(400)])
    sizes = [len(raw) for key, raw in table.items() if key[:1] != b"\0" or chunks.is_chunk(key)]
    assert len(sizes) > 50
    assert max(sizes) < 2_500


def test_messages_that_are_long_close_their_chunk_early(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunks, "BYTES", 2_000)
    table = stored([touch(number, campaign=f"{number:04} {'x' * 900}") for number in range(12)])
    assert sum(map(chunks.is_chunk, table)) == 4
    account = codec.read("A:acme", "acme", table[b"A:acme"], table.get).account
    assert [t.campaign[:4] for t in account.touches] == [f"{number:04}" for number in range(12)]


def test_a_touch_that_comes_last_writes_one_record_and_now_and_then_a_chunk():
    table = MemoryTable()
    table.data = stored(MANY)
    handler, written = owner(table), []
    for record in journal(*map(touch, range(100, 116))):
        effects = handler.handle(Run("journal", 0, [record], START), table)
        table.apply(effects.state)
        written.append([key for key, _ in effects.state])
        assert handler.slices[0].live[b"A:acme"].state.account.unread is not None
    assert all(keys[-2:] == [b"A:acme", b"\0P"] for keys in written)
    assert sum(len(keys) == 3 for keys in written) == 1
    assert sum(len(keys) == 2 for keys in written) == 15


@pytest.mark.parametrize("together", [30, 300])
def test_an_id_of_the_last_24_hours_is_found_whatever_their_number_and_a_new_one_is_not(together: int):
    minute = 60_000
    table = stored([touch(number, occurred_at=START + number * minute) for number in range(together)])
    past = decoded("A:acme", table)[1]
    assert all(past.may_know(f"native:t{number}") for number in range(together))
    assert not any(past.may_know(f"native:t{number}") for number in range(together, together + 20))


@pytest.mark.parametrize(
    ("ids", "read"), [(["a", "b", "c"], False), (["b", "a"], True), (["a", "ab"], True)]
)  # fmt: skip
def test_touches_at_one_instant_leave_the_others_unread_while_their_order_is_plain(
    ids: list[str], read: bool
):
    table = MemoryTable()
    table.data = stored(MANY)
    handler = owner(table)
    handler.handle(Run("journal", 0, journal(*[touch(100, event_id=e) for e in ids]), START), table)
    account = handler.slices[0].live[b"A:acme"].state.account
    assert (account.unread is None) is read
    assert account.touch_count == 100 + len(ids)


def test_an_id_of_days_ago_need_not_be_found():
    past = decoded("A:acme", stored([touch(number * 24) for number in range(60)]))[1]
    assert past.may_know("native:t1416")
    assert not past.may_know("native:t0")


def test_a_newer_format_is_refused_with_the_way_out():
    table = stored([touch(0)])
    table[b"A:acme"] = bytes([codec.VERSION + 1]) + table[b"A:acme"][1:]
    with pytest.raises(codec.StateTooNew, match=r"run the version that wrote it, or rebuild"):
        decoded("A:acme", table)


def without_homes(account: Account) -> Account:
    """The account as if its messages had been stored before they had homes."""
    for kind in ("touchpoints", "leads", "deals"):
        for groups in account.groups(kind).values():
            groups[:] = [group._replace(home="") for group in groups]
    return account


def test_an_account_of_format_1_is_read_and_written_in_the_present_format():
    old = {key.encode(): base64.b64decode(raw) for key, raw in FORMAT_1["accounts"].items()}
    assert {raw[0] for raw in old.values()} == {codec_v1.VERSION}
    anew = stored([(kind, message) for kind, message in FORMAT_1["events"]])
    for name, raw in accounts(old).items():
        state, packed = decoded(name, old)
        assert (codec.next_due(raw), codec.applied_offset(raw)) == (state.next_due(), state.applied)
        table = dict(packed.writes())
        table[name.encode()] = codec.encode(state, packed)
        migrated, fresh = (codec.read(name, "x", t[name.encode()], t.get) for t in (table, anew))
        assert migrated.account == without_homes(fresh.account)
        assert (migrated.checkpoint, migrated.horizon, migrated.silent) == (
            fresh.checkpoint, fresh.horizon, fresh.silent,
        )  # fmt: skip


def test_a_missing_chunk_is_named():
    table = stored(MANY)
    gone = next(key for key in table if chunks.is_chunk(key) and key[1:2] == chunks.TOUCHES)
    del table[gone]
    with pytest.raises(chunks.StateDamaged, match=r"chunk 0 of b'S' of b'A:acme' is missing"):
        codec.read("A:acme", "acme", table[b"A:acme"], table.get)


def test_a_contact_that_a_correction_takes_away_is_gone_after_reading_back():
    at = START + 5 * HOUR
    table = stored([
        touch(1, contact_id="anna"), touch(2, contact_id="ben"), touch(9, event_id="t2", occurred_at=at - HOUR),
        touch(9, event_id="t2", occurred_at=START - HOUR, contact_id="carl"),
    ])  # fmt: skip
    assert decoded("A:acme", table)[0].account.contacts == {"anna", "carl"}


def test_the_messages_answered_make_the_account_as_it_was():
    events = [*MANY[:40], ("deals", {
        "event_id": "d", "type": "deal_updated", "deal_id": "D", "account_id": "acme", "amount": "7",
        "stage": "qualification", "occurred_at": START + 50 * HOUR,
    })]  # fmt: skip
    before, after = stored(events[:30]), stored(events)
    _, packed = decoded("A:acme", after)
    earlier = packed.earlier("acme", (30, 0))
    assert isinstance(earlier, Account)
    assert earlier == codec.read("A:acme", "acme", before[b"A:acme"], before.get).account
