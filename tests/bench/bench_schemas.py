"""Microseconds per event of decoding: ``python -m tests.bench.bench_schemas``.

Parse is orjson alone; normalise is the one pass that drops absent fields and validates the rest; decode is both.
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from functools import partial

import orjson

from schemas.formats import decoder_of
from schemas.inbound import Context, Rejected, decode, decode_fields, digest

ROUNDS = 7
EVENTS = 20_000
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


def microseconds(call: Callable[[], object]) -> float:
    """The best of several rounds, per call."""
    return min(timeit.repeat(call, number=EVENTS, repeat=ROUNDS)) / EVENTS * 1e6


def refuse(raw: bytes) -> None:
    """Decode a message that must be refused."""
    try:
        decode("deals", raw, CONTEXT)
    except Rejected:
        return
    raise AssertionError("it was accepted")


def main() -> None:
    """Print one line per message and step."""
    for kind, message in (("touchpoints", TOUCH), ("deals", DEAL)):
        raw = json.dumps(message).encode()
        parsed = orjson.loads(raw)
        event = decode(kind, raw, CONTEXT)
        steps: dict[str, Callable[[], object]] = {
            "parse": partial(orjson.loads, raw),
            "normalise": partial(decode_fields, kind, parsed, CONTEXT),
            "decode": partial(decode, kind, raw, CONTEXT),
            "digest": partial(digest, event),
        }
        for step, call in steps.items():
            print(f"{message['type']:14} {len(raw):4} bytes  {step:10} {microseconds(call):6.2f} us")
    refused = json.dumps({**DEAL, "amount": -1}).encode()
    print(
        f"{'refused deal':14} {len(refused):4} bytes  {'decode':10} {microseconds(lambda: refuse(refused)):6.2f} us"
    )
    raw, decoder = json.dumps(SEGMENT).encode(), decoder_of("segment")
    took = microseconds(lambda: decoder("touchpoints", raw, (), CONTEXT))
    print(f"{'segment page':14} {len(raw):4} bytes  {'decode':10} {took:6.2f} us")


if __name__ == "__main__":
    main()
