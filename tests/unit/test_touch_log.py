"""Touches in storage carry their homes in few bytes, and those stored before homes are read as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revenue_core.account import Group
from revenue_core.facts import Touch
from streams import chunks, homes
from streams.homes import Home
from streams.touch_log import (
    HOMELESS_TOUCH,
    TouchChunk,
    TouchLog,
    id_pattern,
    ids_in,
    lengthen,
    read_touches,
    shorten,
    split,
)

HOUR = 3_600_000
START = 1_790_000_000_000
awkward = st.text(st.sampled_from('ab":\\,[]\t\n\x00ü'), max_size=6)
stamps = st.integers(homes.UNSURE, 2**62)
some_homes = st.builds(
    Home, stamps, stamps, awkward, st.lists(st.tuples(st.sampled_from(["a:", "c:", "w:"]), awkward).map("".join),
    min_size=1, max_size=4).map(tuple), awkward,
)  # fmt: skip


def touch(number: int, **fields: str) -> Touch:
    return Touch(START + number * HOUR, f"native:t{number}", "page_view", True, "Email", **fields)


def message(number: int, home: str = "", last_at: int = 0, **fields: str) -> tuple[str, Group[Touch]]:
    body = touch(number, **fields)
    return body.touch_id, Group(body.at, f"{number:016x}", last_at or body.at, body, home)


def of_visitor(number: int, decision: int, redirect: int | None = None) -> tuple[str, Group[Touch]]:
    """A touch of one of many visitors, with the stamps of the day."""
    name = f"visitor-{number:020}"
    again = decision if redirect is None else redirect
    home = homes.dump(Home(decision, again, f"a:{name}", (f"a:{name}", "w:acme.com")))
    return message(number, home, visitor=name)


@given(some_homes, awkward, awkward)
def test_a_home_in_its_short_form_is_the_same_text_again(home, visitor, contact):
    body = touch(0, visitor=visitor, contact_id=contact)
    text = homes.dump(home)
    assert lengthen(*shorten(text, body), body) == text
    assert lengthen(*shorten("", body), body) == ""


@given(st.lists(st.tuples(some_homes, awkward, awkward, st.booleans()), max_size=16))
def test_messages_are_read_back_as_they_were_stored(found):
    chunk, stored = TouchChunk(), []
    for number, (home, visitor, contact, stretched) in enumerate(found):
        later = START + 1_000 * HOUR if stretched else 0
        stored.append(
            message(
                number, homes.dump(home) if number % 3 else "", later, visitor=visitor, contact_id=contact
            )
        )
        chunk.append(*stored[-1])
    raw = chunk.dump()
    assert list(read_touches(*split(raw))) == stored
    assert list(ids_in(split(raw)[1])) == [id_pattern(identity) for identity, _ in stored]
    assert TouchChunk.load(chunk.count, chunk.greatest, raw).dump() == raw


def test_sixteen_touches_that_share_no_text_fit_a_chunk():
    log = TouchLog(b"A:acme", dict[bytes, bytes]().get)
    names = [
        "type", "channel", "campaign", "keyword", "content", "source", "medium", "contact_id", "rep_id", "team",
        "visitor", "rule",
    ]  # fmt: skip
    sent = []
    for number in range(16):
        body = touch(number)._replace(**{name: f"{name} {number}" for name in names})
        home = homes.dump(Home(number, number + 1, f"a:{number}", (f"w:{number}.com",)))
        sent.append((f"source{number}:t{number}", Group(body.at, f"{number:016x}", body.at, body, home)))
        log.append(*sent[-1])
    assert log.sealed == 1
    assert [(i, g.home) for i, g in log.messages()] == [(i, g.home) for i, g in sent]


def test_a_home_takes_few_bytes_however_many_visitors_and_decisions_there_are():
    chunk, plain = TouchChunk(), TouchChunk()
    for number in range(16):
        identity, group = of_visitor(number, 1_000_000 + number)
        chunk.append(identity, group)
        plain.append(identity, group._replace(home=""))
    assert chunk.size() - plain.size() < 64


def test_a_chunk_of_the_version_before_is_read_with_no_homes_and_searched_for_ids():
    chunk = TouchChunk()
    sent = [message(0), message(1, last_at=START + 2 * HOUR), message(2)]
    for identity, group in sent:
        chunk.append(identity, group)
    rows, texts = homeless(sent, chunk), bytes(chunk.texts)
    assert list(read_touches(texts, rows, chunks.HOMELESS)) == sent
    assert list(ids_in(rows, chunks.HOMELESS)) == [id_pattern(identity) for identity, _ in sent]
    raw = len(texts).to_bytes(4, "little") + texts + rows
    assert TouchChunk.load(3, chunk.greatest, raw, chunks.HOMELESS).dump() == chunk.dump()


def homeless(sent: list[tuple[str, Group[Touch]]], chunk: TouchChunk) -> bytes:
    """Rows as version 1 wrote them."""
    rows = b""
    for identity, group in sent:
        source, event_id = identity.split(":")
        texts = [source, group.body.type, *group.body[4:]]
        stretched = group.last_at != group.at
        rows += HOMELESS_TOUCH.pack(
            group.at, int(group.digest, 16), 1 | 2 * stretched, *(chunk.places[text] for text in texts), len(event_id)
        )  # fmt: skip
        rows += event_id.encode() + (group.last_at.to_bytes(8, "little") if stretched else b"")
    return rows


class Table(dict[bytes, bytes]):
    """A table that remembers what has been read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[bytes] = []

    def get(self, key: bytes, default: object = None) -> bytes | None:  # type: ignore[override]
        self.reads.append(key)
        return super().get(key)


@pytest.mark.parametrize("position", [0, 1, 15, 16, 17, 40, 63, 64, 69, 70, 71])
def test_messages_from_a_position_on_are_read_without_the_chunks_before(position: int):
    table = Table()
    log = TouchLog(b"A:acme", table.get)
    sent = [of_visitor(number, number) for number in range(70)]
    for identity, group in sent:
        log.append(identity, group)
    table.update(log.pending)
    log.pending.clear()
    table.reads.clear()
    assert list(log.messages(position)) == sent[position:]
    assert len(table.reads) == max(0, 4 - position // 16)


@pytest.mark.parametrize("position", [0, 3, 4, 7, 11, 12, 13])
def test_a_position_is_found_behind_chunks_that_were_closed_early(
    position: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(chunks, "BYTES", 2_000)
    table = Table()
    log = TouchLog(b"A:acme", table.get)
    sent = [message(number, campaign=f"{number:04} {'x' * 900}") for number in range(13)]
    for identity, group in sent:
        log.append(identity, group)
    assert log.sealed > 2
    assert list(log.messages(position)) == sent[position:]


def test_a_log_that_begins_anew_keeps_what_it_is_given_under_other_keys():
    table = Table()
    log = TouchLog(b"A:acme", table.get)
    sent = [of_visitor(number, number) for number in range(40)]
    for identity, group in sent:
        log.append(identity, group)
    before = dict(log.pending)
    log.restart(sent[:20])
    assert list(log.messages()) == sent[:20]
    assert (log.count, log.sealed, log.epoch) == (20, 1, 1)
    assert not before.keys() & log.pending.keys()
    assert [key for each in log.obsolete for key in log.keys(*each)] == list(before)
    assert log.may_know("native:t19")
    assert not log.may_know("native:t20")
