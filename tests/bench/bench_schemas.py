"""Microseconds per event of decoding: ``python -m tests.bench.bench_schemas``.

Parse is orjson alone; validate drops absent fields and runs the pydantic model; decode is both. The rest is all
else that ingest does with an event: digest, identifiers, channel, journal record.
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import orjson

from schemas.domains import is_free
from schemas.formats import decoder_of
from schemas.inbound import Context, Rejected, decode, decode_fields
from streams.agents.ingest import IngestHandler, IngestTables
from streams.effects import Headers, Run
from streams.reference_data import bot_matcher, channel_tables
from streams.topology import JOURNAL

ROUNDS = 40
EVENTS = 2_000
RUN = 100
CONTEXT = Context(
    now_ms=1_800_000_000_000,
    pipelines={"default": frozenset({"qualification", "meeting_scheduled"})},
    currencies={"EUR": 2},
)
TOUCH = {
    "event_id": "e-12345678",
    "type": "page_view",
    "occurred_at": "2026-03-01T10:00:00.123Z",
    "anonymous_id": "a-1",
    "contact_id": "c-1",
    "account_id": "acme",
    "url": "https://www.example.com/pricing?utm_source=google&utm_medium=cpc&utm_campaign=brand",
    "referrer": "https://www.google.com/",
    "title": "",
    "session_id": "s-1",
    "rep_id": None,
}
DEAL = {
    "event_id": "e-12345678",
    "type": "deal_updated",
    "occurred_at": 1_772_359_200_000,
    "deal_id": "d-900",
    "account_id": "acme",
    "pipeline": "default",
    "stage": "meeting_scheduled",
    "amount": 12000.5,
    "currency": "EUR",
    "contact_ids": ["c-1", "c-2"],
    "expected_close_date": "2026-06-30",
}
SEGMENT = {
    "type": "page",
    "messageId": "ajs-next-1",
    "anonymousId": "a-1",
    "userId": None,
    "timestamp": "2026-03-01T10:00:00.123Z",
    "properties": {"url": "https://www.example.com/pricing", "title": "Pricing"},
    "context": {"campaign": {"name": "brand", "source": "google"}, "userAgent": "Mozilla/5.0"},
}


def microseconds(call: Callable[[], object], times: int = EVENTS) -> float:
    """The best of several rounds, per call."""
    return min(timeit.repeat(call, number=times, repeat=ROUNDS)) / times * 1e6


def refuse(raw: bytes) -> None:
    """Decode a message that must be refused."""
    try:
        decode("deals", raw, CONTEXT)
    except Rejected:
        return
    raise AssertionError("it was accepted")


class SourceRecord(NamedTuple):
    """A record as the broker client delivers it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class NoTable:
    """Ingest keeps nothing."""

    def get(self, key: bytes) -> bytes | None:
        """Nothing."""
        return None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Nothing."""
        return iter(())


def microseconds_of_the_rest(kind: str, raw: bytes) -> float:
    """Ingest of one event without its decoding: digest, identifiers, channel, journal record, counts."""
    event = decode(kind, raw, CONTEXT)
    tables = IngestTables(channel_tables(), bot_matcher(), b"key", is_free)
    handler = IngestHandler({kind: lambda _record, _now_ms: ((kind, event),)}, tables)
    run = Run(kind, 0, [SourceRecord(0, CONTEXT.now_ms, None, raw, ())] * RUN, CONTEXT.now_ms)
    effects = handler.handle(run, NoTable())
    assert sum(output.topic == JOURNAL for output in effects.outputs) == RUN
    return microseconds(lambda: handler.handle(run, NoTable()), EVENTS // RUN) / RUN


def main() -> None:
    """Print one line per message and step."""
    for kind, message in (("touchpoints", TOUCH), ("deals", DEAL)):
        raw = json.dumps(message).encode()
        parsed = orjson.loads(raw)
        took = {
            "parse": microseconds(partial(orjson.loads, raw)),
            "validate": microseconds(partial(decode_fields, kind, parsed, CONTEXT)),
            "decode": microseconds(partial(decode, kind, raw, CONTEXT)),
            "rest": microseconds_of_the_rest(kind, raw),
        }
        for step, us in took.items():
            show(str(message["type"]), raw, step, us)
    raw = json.dumps({**DEAL, "amount": -1}).encode()
    show("refused deal", raw, "decode", microseconds(partial(refuse, raw)))
    raw, decoder = json.dumps(SEGMENT).encode(), decoder_of("segment")
    show("segment page", raw, "decode", microseconds(partial(decoder, "touchpoints", raw, (), CONTEXT)))


def show(message: str, raw: bytes, step: str, us: float) -> None:
    """Print one line."""
    print(f"{message:14} {len(raw):4} bytes  {step:10} {us:6.2f} us")


if __name__ == "__main__":
    main()
