"""Lists of JSON values in chunks: read from anywhere, replaced as a whole, refused when they are newer."""

from __future__ import annotations

import orjson
import pytest

from streams import chunks
from streams.chunks import JsonLog
from streams.touch_log import TouchLog


def stored(log: JsonLog, table: dict[bytes, bytes]) -> JsonLog:
    """The log as it is read back after a write."""
    table.update(log.pending)
    log.pending.clear()
    return JsonLog(log.kind, b"A:acme", table.get, log.epoch, log.sealed, log.count, log.opened, log.inline)


@pytest.mark.parametrize("inline", [None, chunks.EMPTY])
@pytest.mark.parametrize("position", [0, 1, 15, 16, 33, 34, 40])
def test_values_are_read_from_a_position_on(inline: bytes | None, position: int):
    table: dict[bytes, bytes] = {}
    log = JsonLog(chunks.KNOWLEDGE, b"A:acme", table.get, inline=inline)
    values = [["r", f"a:{number}", number, None] for number in range(34)]
    for value in values:
        log.append(value)
    assert list(stored(log, table).items_from(position)) == values[position:]


@pytest.mark.parametrize(("inline", "records"), [(None, 3), (chunks.EMPTY, 2)])
def test_a_list_that_is_replaced_names_the_records_it_leaves(inline: bytes | None, records: int):
    table: dict[bytes, bytes] = {}
    log = JsonLog(chunks.FACTS, b"A:acme", table.get, inline=inline)
    for number in range(40):
        log.append(number)
    log = stored(log, table)
    log.restart([1, 2])
    assert log.obsolete == [(0, records)]
    assert set(log.keys(*log.obsolete[0])) == set(table)
    assert list(stored(log, table).items()) == [1, 2]


def test_a_list_that_was_empty_leaves_nothing():
    log = JsonLog(chunks.FACTS, b"A:acme", dict[bytes, bytes]().get)
    log.restart([])
    assert not log.obsolete
    assert not log.pending


def test_chunks_of_every_list_are_told_from_other_records():
    for kind in (chunks.TOUCHES, chunks.FACTS, chunks.CONTACTS, chunks.KNOWLEDGE):
        key = chunks.key_of(kind, 3, 7, b"A:acme")
        assert chunks.is_chunk(key)
        assert chunks.root_of(key) == b"A:acme"
    assert not chunks.is_chunk(b"\0P")
    assert not chunks.is_chunk(b"\0M[]")
    assert not chunks.is_chunk(b"A:acme")


@pytest.mark.parametrize(("kind", "version"), [(chunks.FACTS, 2), (chunks.TOUCHES, 3), (chunks.TOUCHES, 0)])
def test_a_chunk_of_an_unknown_version_is_refused(kind: bytes, version: int):
    key = chunks.key_of(kind, 0, 0, b"A:acme")
    table = {key: chunks.HEAD.pack(version, 1, 0) + orjson.dumps([1])}
    touches = kind == chunks.TOUCHES
    log = TouchLog(b"A:acme", table.get, 1) if touches else JsonLog(kind, b"A:acme", table.get, 0, 1)
    with pytest.raises(chunks.StateDamaged, match=f"has format {version}"):
        log.read(0)
