"""Ingest: bytes of a source topic become journal records, or dead letters with a code and a reason.

Stateless. Each run also reports how far its source partition has come, for the coordinator's watermark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from revenue_core.channels import ChannelTables
from schemas.errors import Rejected
from schemas.inbound import digest
from streams import translate
from streams.agents import coordinator
from streams.effects import Effects, Headers, Output, Record, Run, StatelessHandler, TableView
from streams.journal import encode_fact, encode_touch
from streams.topology import DEAD_LETTERS, JOURNAL

Decode = Callable[[Record, int], Sequence[tuple[str, Mapping[str, Any]]]]
"""(record, wall clock ms) -> (topic kind, normalised event) pairs. Raises Rejected."""

TRACE_HEADERS = frozenset({"traceparent", "tracestate"})
SPEND = "spend"
KEPT_BYTES = 2 << 20
"""A dead letter keeps so much of a larger value, so that it fits a request and a topic of the default size."""


@dataclass(frozen=True, slots=True)
class IngestTables:
    """What ingest looks things up in."""

    channels: ChannelTables
    is_bot: Callable[[str], bool]
    hash_key: bytes


class IngestHandler(StatelessHandler):
    """Handler of the source topics.

    ``decoders`` gives each topic its format; ``as_of`` leaves facts after that instant out (``score --as-of``).
    ``counts`` is a Counter of (metric, *labels) that whoever runs the handler may read and clear.
    """

    def __init__(
        self, decoders: Mapping[str, Decode], tables: IngestTables, as_of: int | None = None
    ) -> None:
        self.decoders, self.tables, self.as_of = decoders, tables, as_of
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.latest = 0
        """Greatest event time of any valid fact seen (ms)."""

    def handle(self, run: Run, table: TableView) -> Effects:
        """Journal records and dead letters in the order of the input, then the partition's watermark."""
        effects = Effects()
        decode = self.decoders[run.topic]
        watermark = 0
        for record in run.records:
            if record.value is None:
                self._count(run.topic, "", "null")
                continue
            try:
                events = decode(record, run.now_ms)
            except Rejected as rejected:
                effects.outputs.append(self._dead_letter(run, record, rejected))
                continue
            for kind, event in events:
                watermark = max(watermark, self._accept(run.topic, kind, event, record, effects))
        if watermark:
            self.latest = max(self.latest, watermark)
            effects.outputs.append(coordinator.report(run.topic, run.partition, watermark, run.now_ms))
        return effects

    def _accept(
        self, topic: str, kind: str, event: Mapping[str, Any], record: Record, effects: Effects
    ) -> int:
        """Write one valid event to the journal; returns its instant, 0 when it is no fact."""
        at: int = event["occurred_at"]
        if self.as_of is not None and at > self.as_of:
            self._count(topic, event["type"], "after_as_of")
            return 0
        if kind == "touchpoints" and "user_agent" in event and self.tables.is_bot(event["user_agent"]):
            self._count(topic, event["type"], "bot")
            return 0
        effects.outputs.append(self._journal_record(kind, event, record))
        effects.origins.append(record.timestamp)
        self._count(topic, event["type"], "ok")
        return at

    def _journal_record(self, kind: str, event: Mapping[str, Any], record: Record) -> Output:
        ids = translate.identifiers(event, self.tables.hash_key)
        source, event_id, content = event["source"], event["event_id"], digest(event)
        if event["type"] == SPEND:
            key = f"s:{event['channel']}"
            value = encode_fact(SPEND, event, content, record.timestamp, ids)
        elif kind == "touchpoints":
            key = translate.native_key(kind, ids)
            touch = translate.touch(event, self.tables.channels)
            value = encode_touch(touch, source, event_id, content, record.timestamp, ids)
        else:
            key = translate.native_key(kind, ids)
            value = encode_fact(kind, event, content, record.timestamp, ids)
        return Output(JOURNAL, key.encode(), value, trace_of(record.headers))

    def _dead_letter(self, run: Run, record: Record, rejected: Rejected) -> Output:
        outcome = "future" if rejected.code == "future_timestamp" else "invalid"
        self._count(run.topic, "", outcome)
        self.counts["dead_letters_total", run.topic, rejected.code] += 1
        return dead_letter(run, record, rejected)

    def _count(self, topic: str, kind: str, outcome: str) -> None:
        self.counts["events_total", topic, kind, outcome] += 1


def dead_letter(run: Run, record: Record, rejected: Rejected) -> Output:
    """The original bytes, key and headers, with the reason as headers (contract, dead letters)."""
    reason = [
        ("__connect.errors.topic", run.topic),
        ("__connect.errors.partition", str(run.partition)),
        ("__connect.errors.offset", str(record.offset)),
        ("__connect.errors.exception.class.name", type(rejected).__name__),
        ("__connect.errors.exception.message", rejected.message),
        ("headwater.error.code", rejected.code),
        ("headwater.error.path", rejected.path),
    ]
    value = record.value
    if value is not None and len(value) > KEPT_BYTES:
        reason.append(("headwater.error.cut_from_bytes", str(len(value))))
        value = value[:KEPT_BYTES]
    headers = [*record.headers, *((name, text.encode()) for name, text in reason)]
    return Output(DEAD_LETTERS, record.key, value, headers)


def trace_of(headers: Headers) -> Headers:
    """The W3C trace headers among a record's headers."""
    return tuple(h for h in headers if h[0] in TRACE_HEADERS) if headers else ()
