"""No e-mail address gets behind ingest readable, nor into a log, a metric or the reason of a refusal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.events import EVENTS
from streams import privacy
from streams.agents.ingest import IngestHandler
from streams.compose import offline_service
from streams.effects import Output, Run
from streams.files import read_lines
from streams.memory.executor import MemoryTable
from streams.memory.log import MemoryRecord
from streams.privacy import without_addresses
from streams.score import Scorer
from streams.service import decode_with
from streams.settings import Settings
from streams.topology import ANSWERS, DEAD_LETTERS, JOURNAL
from streams.translate import email_hash
from tests.builders import NOW_MS, context, tables

LOCAL = "quillon.sparrow"
ADDRESS = f"{LOCAL}@acme.example"
AT = 1_790_000_000_000
KEY = b"0123456789abcdef"
WHOLE: dict[str, dict[str, Any]] = {
    kind: {
        name: {
            "event_id": f"{kind}-{name}", "type": name, "occurred_at": AT, "account_id": "acme", "deal_id": "D1",
            "lead_id": "L1", "into_account_id": "other", "level": "mql", "direction": "inbound", "channel": "Display",
            "cost": 5, "amount": 5, "movement": "new", "email": ADDRESS,
        }
        for name in EVENTS[kind]
    }
    for kind in EVENTS
}  # fmt: skip
SPELLINGS = (
    ADDRESS, ADDRESS.upper(), f" {ADDRESS} ", f"Quillon <{ADDRESS}>", f"mailto:{ADDRESS}", f"{LOCAL}%40acme.example",
    f"https://www.acme.example/?email={LOCAL}%40acme.example&utm_campaign={LOCAL}%40acme.example",
    f"{LOCAL}+tag@acme.example", f"{ADDRESS};b@acme.example",
)  # fmt: skip
BROKEN = (
    f"{LOCAL}@localhost", f"{LOCAL}@@acme.example", f"{LOCAL} at acme.example", LOCAL, f"{LOCAL}@",
    f'"{LOCAL}"@acme.example',
)  # fmt: skip
"""What only the field for addresses tells from other text."""


def messages() -> Iterator[tuple[str, bytes]]:
    """An address in every spelling in every field of every type; refused or taken as it may be."""
    for kind, events in EVENTS.items():
        for name, event_type in events.items():
            base = {k: v for k, v in WHOLE[kind][name].items() if k in event_type.fields}
            for number, field in enumerate(event_type.fields):
                spelling = SPELLINGS[number % len(SPELLINGS)]
                for value in (spelling, ADDRESS, [spelling], {"x": [spelling]}, {ADDRESS: 1}):
                    yield kind, orjson.dumps({**base, field: value})
    for broken in BROKEN:
        yield "touchpoints", orjson.dumps({**WHOLE["touchpoints"]["page_view"], "email": broken})
    for spelling in SPELLINGS:
        yield "touchpoints", orjson.dumps({**WHOLE["touchpoints"]["page_view"], "url": spelling})
        yield "touchpoints", orjson.dumps({**WHOLE["touchpoints"]["page_view"], "email": spelling})
        yield "touchpoints", orjson.dumps(spelling)
        yield "touchpoints", orjson.dumps([spelling])
        yield "touchpoints", b'{"email": "' + spelling.encode() + b'"'
        yield "touchpoints", b"\xff" + spelling.encode()
        yield (
            "touchpoints",
            orjson.dumps({"type": "page_view", "event_id": spelling, "occurred_at": spelling}),
        )
    yield "touchpoints", orjson.dumps({**WHOLE["touchpoints"]["page_view"], "title": f"{ADDRESS} " * 60_000})


def leaks(text: bytes) -> bool:
    return LOCAL.encode() in text.lower() or b"sparrow" in text.lower()


def handled(kind: str, value: bytes, form: str = "native") -> tuple[list[Output], IngestHandler]:
    handler = IngestHandler({kind: decode_with(kind, form, lambda _: context())}, tables())
    run = Run(kind, 0, [MemoryRecord(7, NOW_MS, b"key", value, ())], NOW_MS)
    effects = handler.handle(run, MemoryTable())
    return [*effects.outputs, *effects.after], handler


def test_an_address_stands_nowhere_but_in_the_value_of_a_dead_letter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    letters = facts = 0
    for kind, value in messages():
        outputs, handler = handled(kind, value)
        for output in outputs:
            kept = b"" if output.topic == DEAD_LETTERS else output.value or b""
            headers = b"".join(name.encode() + content for name, content in output.headers)
            assert not leaks((output.key or b"") + kept + headers), (kind, value[:300], output)
            letters += output.topic == DEAD_LETTERS
            facts += output.topic == JOURNAL
        assert not leaks(repr(handler.counts).encode())
    assert letters > 500 and facts > 500
    assert not leaks(caplog.text.encode())


SEGMENT = {
    "messageId": "m", "timestamp": "2026-03-01T10:00:00Z", "groupId": "acme", "userId": ADDRESS,
    "anonymousId": ADDRESS,
    "previousId": ADDRESS, "event": ADDRESS, "name": ADDRESS, "traits": {"email": ADDRESS, "other": [ADDRESS]},
    "context": {"traits": {"email": ADDRESS},
                "page": {"url": f"https://acme.example/?e={ADDRESS}", "title": ADDRESS}},
}  # fmt: skip


CALLS = ("page", "screen", "track", "identify", "alias", "group")


@pytest.mark.parametrize("call", [*CALLS, ADDRESS, [ADDRESS]])
def test_a_tracker_that_uses_addresses_as_ids_and_everywhere_else_gets_none_through(call: Any) -> None:
    for change in ({}, {"timestamp": ADDRESS}, {"messageId": [ADDRESS]}, {"userId": {"id": ADDRESS}}):
        outputs, _ = handled("touchpoints", orjson.dumps({**SEGMENT, "type": call, **change}), "segment")
        for output in outputs:
            kept = b"" if output.topic == DEAD_LETTERS else output.value or b""
            headers = b"".join(name.encode() + content for name, content in output.headers)
            assert not leaks((output.key or b"") + kept + headers), output


def test_no_file_that_score_writes_holds_an_address_except_as_a_refused_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    scorer = Scorer(offline_service(Settings(), NOW_MS), tmp_path / "out")
    lines: dict[str, list[bytes]] = {kind: [] for kind in EVENTS}
    for number, (kind, value) in enumerate(messages()):
        if number % 7 == 0 and len(value) < 10_000:
            lines[kind].append(value.replace(b"\n", b" "))
    for kind, found in lines.items():
        (tmp_path / f"{kind}.ndjson").write_bytes(b"\n".join(found))
        for line in read_lines(str(tmp_path / f"{kind}.ndjson")):
            scorer.feed(line)
    summary = scorer.finish(None)
    assert summary.dead_letters > 50 and summary.facts > 50
    for topic in ANSWERS:
        assert not leaks((tmp_path / "out" / f"{topic}.ndjson").read_bytes()), topic
    for raw in (tmp_path / "out" / f"{DEAD_LETTERS}.ndjson").read_bytes().splitlines():
        letter = orjson.loads(raw)
        letter.pop("value", None) or letter.pop("value_base64")
        assert not leaks(orjson.dumps(letter)), letter
    shown = capsys.readouterr()
    assert not leaks((caplog.text + shown.out + shown.err).encode())


def test_what_is_equal_stays_equal_when_addresses_become_hashes() -> None:
    first = without_addresses({"contact_id": ADDRESS, "contact_ids": [ADDRESS.upper(), "7"]}, KEY)
    assert first["contact_id"] == email_hash(ADDRESS, KEY) == first["contact_ids"][0]
    assert first["contact_ids"][1] == "7"
    assert without_addresses({"contact_id": ADDRESS}, b"another key")["contact_id"] != first["contact_id"]


def test_the_email_itself_and_events_without_addresses_are_left_as_they_are() -> None:
    event = {"email": ADDRESS, "contact_id": "c1", "amount": "5", "attributes": {"tier": 2}, "at": 5}
    assert without_addresses(event, KEY) == event
    assert privacy.EMAIL in event
