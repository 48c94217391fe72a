"""Laws of ingest that hold for every record: it always answers, and the journey can take what it wrote."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.errors import CODES
from schemas.events import EVENTS
from streams.effects import Effects, Run
from streams.engine import EngineSettings
from streams.engine.batches import check_size
from streams.journal import encode_settle, encode_tick
from streams.memory.executor import MemoryTable
from streams.memory.log import MemoryRecord
from streams.service import OFFLINE, Service, Sources, build
from streams.topology import CONTROL, DEAD_LETTERS, JOURNAL
from tests.builders import NOW_MS, config, context, tables

AT = NOW_MS - 86_400_000
SEGMENT = "segment"
REQUEST = EngineSettings("app", "broker:9092", "data").max_request_bytes
PLACE = "put the nasty value here"


def text(content: str) -> bytes:
    """A JSON string; ``content`` is written as it stands."""
    return f'"{content}"'.encode()


def nested(opening: bytes, inner: bytes, closing: bytes, levels: int) -> bytes:
    return opening * levels + inner + closing * levels


NASTY = [
    b"null", b"true", b"0", b"-1", b"0.5", b"-0.0", b"1e400", b"-1e400", b"1e-400", b"NaN", b"Infinity", b"{}",
    b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"9" * 400, b"9" * 401,
    b"-" + b"9" * 5_000,
    b"946684800000", b"253402300799999", b"253402300800000",
    *map(text, (
        "", " ", "x", "|", ".", "@", "www.", "\\u0000", "a\\u0000b", "\\u001c", "\\ud800", "\\udfff x", "\U0001f600",
        "9" * 5_000, "1e" + "9" * 5_000, "0." + "3" * 1_000, "0." + "3" * 900_000, "\\u0001" * 1_024,
        "x" * 1_024, "x" * 1_025, "x" * 8_192, "x" * 900_000, "won", "lost", "JPY", "hubspot", "closedwon", "-5",
        "10000000000000", "2026-03-01T10:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
        "99999-01-01T00:00:00Z", "2026-12-31T23:59:60Z", "2000-01-01", "9999-12-31", "https://[::1",
        "http://a.b:99999/?utm_source=%ff&utm_medium=%00",
    )),
    b'"\xff"', b"[]", b'["a", null, 5, ""]', b"[" + b'"x",' * 999 + b'"x"]', b"[" + b'"x",' * 1_000 + b'"x"]',
    b'{"a": ' + text("x" * 20_000) + b"}", b'{"\\ud800": 1}',
    nested(b"[", b"", b"]", 90), nested(b"[", b"", b"]", 1_000),
    nested(b"[", b"", b"]", 50_000), nested(b'{"a":', b"1", b"}", 90), nested(b'{"a":', b"1", b"}", 950),
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SNIPPETS = st.sampled_from(NASTY) | JSON.map(lambda value: json.dumps(value).encode())

VALUES: dict[str, Any] = {
    "occurred_at": AT, "source": "crm", "pipeline": "default", "stage": "qualification", "status": "open",
    "currency": "EUR", "amount": "1200.50", "cost": 5, "mrr": 7, "level": "mql", "movement": "new",
    "direction": "inbound", "team": "sales", "accepted": True, "score": 1.5, "employees": 50,
    "expected_close_date": "2026-06-30", "domains": ["acme.example"], "contact_ids": ["c"], "lead_ids": ["l"],
    "attributes": {"tier": 1}, "url": "https://acme.example/?utm_source=google&utm_medium=cpc",
    "email": "ann@acme.example", "domain": "acme.example",
}  # fmt: skip
PERSON = {"messageId": "m", "anonymousId": "v", "userId": "u", "timestamp": "2026-03-01T10:00:00Z"}
CONTEXT = {
    "groupId": "acme", "userAgent": "Firefox", "sessionId": "s", "traits": {"email": "ann@acme.example"},
    "campaign": {"name": "n", "source": "google"}, "page": {"url": "https://acme.example", "title": "t"},
}  # fmt: skip
CALLS: list[dict[str, Any]] = [
    {
        **PERSON,
        "context": CONTEXT,
        "type": "page",
        "name": "n",
        "properties": {"url": "https://acme.example"},
    },
    {**PERSON, "context": CONTEXT, "type": "track", "event": "Demo Requested", "properties": {}},
    {**PERSON, "context": CONTEXT, "type": "track", "event": "Anything"},
    {**PERSON, "context": CONTEXT, "type": "identify", "traits": {"email": "ann@acme.example"}},
    {
        **PERSON,
        "type": "group",
        "groupId": "acme",
        "traits": {"name": "Acme", "employees": "50", "plan": "a"},
    },
    {**PERSON, "type": "alias", "previousId": "old"},
]


def spliced(draw: st.DrawFn, message: dict[str, Any]) -> bytes:
    """The message with one value, somewhere within it, replaced by a nasty one."""
    copied: dict[str, Any] = json.loads(json.dumps(message))
    holder = copied
    name = draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[name], dict) and holder[name] and draw(st.booleans()):
        holder = holder[name]
        name = draw(st.sampled_from(sorted(holder)))
    holder[name] = PLACE
    return json.dumps(copied).encode().replace(json.dumps(PLACE).encode(), draw(SNIPPETS))


@st.composite
def records(draw: st.DrawFn) -> tuple[str, bytes | None, Any]:
    """(topic, value, headers)"""
    topic = draw(st.sampled_from([*EVENTS, SEGMENT]))
    shape = draw(st.integers(0, 9))
    if shape == 0:
        value = draw(st.none() | st.binary(max_size=40) | SNIPPETS)
    elif shape == 1:
        value = json.dumps(draw(JSON)).encode()
    elif topic == SEGMENT:
        call = spliced(draw, draw(st.sampled_from(CALLS)))
        value = b'{"batch": [' + call + b"," + call + b"]}" if shape == 2 else call
    else:
        event_type = EVENTS[topic][draw(st.sampled_from(sorted(EVENTS[topic])))]
        message = {name: VALUES.get(name, f"a {name}") for name in event_type.fields} | {
            "type": event_type.name
        }
        optional = sorted({*message} - event_type.model.__required_keys__)
        for name in draw(st.sets(st.sampled_from(optional), max_size=12)):
            del message[name]
        value = spliced(draw, message)
    if draw(st.integers(0, 5)):
        return topic, value, ()
    if value is not None and draw(st.booleans()):
        value = b'{"data": ' + value + b"}"
    kind = draw(st.sampled_from([b"application/cloudevents+json", b"", b"\xff", None]))
    return topic, value, (("content-type", kind), ("traceparent", draw(st.none() | st.binary(max_size=60))))


def made() -> Service:
    topics: dict[str, Any] = {kind: (kind, "native") for kind in EVENTS} | {
        SEGMENT: ("touchpoints", "segment")
    }
    return build(config(), tables(), Sources(topics, lambda _: context()), OFFLINE, journal_partitions=1)


def fits(effects: Effects) -> None:
    for output in (*effects.outputs, *effects.after):
        check_size(output.topic, [(output.key, output.value, list(output.headers))], REQUEST)
    for key, value in effects.state:
        check_size("state", [(key, value, [])], REQUEST)


@settings(max_examples=400, deadline=None)
@given(st.lists(records(), min_size=1, max_size=4))
@example([("deals", b'{"event_id": "e", "type": "deal_updated"', ())])
def test_every_record_is_answered_and_what_reaches_the_journal_stops_nobody(
    given_records: list[tuple[str, bytes | None, Any]],
) -> None:
    service, table = made(), MemoryTable()
    service.journey.assigned(0, table)
    journal = []
    for number, (topic, value, headers) in enumerate(given_records):
        service.ingest.counts.clear()
        run = Run(topic, 0, [MemoryRecord(number, NOW_MS, b"key", value, headers)], NOW_MS)
        effects = service.ingest.handle(run, MemoryTable())
        fits(effects)
        letters = [output for output in effects.outputs if output.topic == DEAD_LETTERS]
        facts = [output for output in (*effects.outputs, *effects.after) if output.topic == JOURNAL]
        counted = {labels[-1] for labels in service.ingest.counts if labels[0] == "events_total"}
        links = [output for output in effects.outputs if output.topic == CONTROL]
        assert letters or facts or counted & {"null", "bot"} or links
        assert not (letters and facts)
        for letter in letters:
            code = dict(letter.headers)["headwater.error.code"].decode()
            assert code in CODES and code != "internal_error"
        journal += facts
    values = [(output.key, output.value) for output in journal]
    values += [(None, encode_tick(NOW_MS)), (None, encode_settle(NOW_MS))]
    taken = [MemoryRecord(n, NOW_MS, key, value) for n, (key, value) in enumerate(values)]
    effects = service.journey.handle(Run(JOURNAL, 0, taken, NOW_MS), table)
    fits(effects)
    assert not service.journey.slices[0].quarantined
    assert not [output for output in effects.outputs if output.topic == DEAD_LETTERS]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([*EVENTS, SEGMENT]))
def test_bytes_of_any_kind_are_a_dead_letter(value: bytes, topic: str) -> None:
    run = Run(topic, 0, [MemoryRecord(0, NOW_MS, None, value, ())], NOW_MS)
    effects = made().ingest.handle(run, MemoryTable())
    (letter,) = [output for output in effects.outputs if output.topic == DEAD_LETTERS]
    assert dict(letter.headers)["headwater.error.code"] != b"internal_error"
