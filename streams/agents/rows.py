"""Outbound rows: what the core answers, with version, cause and clock, as records of the output topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from revenue_core.changes import Changes
from revenue_core.credits import deleted_row
from revenue_core.instants import iso_z
from schemas.errors import Rejected
from streams.agents.ingest import dead_letter
from streams.effects import Headers, Output, Record, Run
from streams.journal import FactRecord
from streams.topology import ALERTS, CREDITS, JOURNAL, JOURNEYS, PROBABILITIES

MOVES = 1024
OFFSETS = 2**36


def version(generation: int, moves: int, offset: int) -> int:
    """Version of a row: later generations outrank moves, moves outrank offsets; below 2^53."""
    return (generation * MOVES + moves) * OFFSETS + offset


def cloud_event(topic: str, event_id: str, trace: Headers = ()) -> Headers:
    """Headers of a row: CloudEvents in binary mode, and the trace of the input."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", b"headwater"),
        ("ce_type", f"headwater.{topic}.v1".encode()),
        ("content-type", b"application/json"),
        *trace,
    )


def tombstone(topic: str, key: str, number: int, trace: Headers = ()) -> Output:
    """The record that lets compaction forget a key whose last row had this version; an event of its own."""
    return Output(topic, key.encode(), None, cloud_event(topic, f"{key}@{number}/deleted", trace))


class Moment(NamedTuple):
    """The journal record that caused rows."""

    offset: int
    timestamp: int
    """Its append time (ms)."""
    cause: str
    headers: Headers
    """Trace headers of the fact."""
    moves: int = 0
    """How often what the account says has come from another account."""


class RowWriter:
    """Makes output records.

    ``late_after_ms`` is how long after its instant an alert may be found before it says ``late``; None: only
    what late data changed is late.
    """

    def __init__(self, *, generation: int = 0, late_after_ms: int | None = 3_600_000) -> None:
        self.generation, self.late_after_ms = generation, late_after_ms
        self.counts: Counter[tuple[str, ...]] = Counter()

    def version(self, moment: Moment) -> int:
        """Of the rows of a moment."""
        return version(self.generation, moment.moves, moment.offset)

    def changes(self, changes: Changes, moment: Moment, cause: str) -> list[Output]:
        """Every row that changed, in the order of R60."""
        outputs = self._credits(changes, moment)
        outputs += self.probabilities(changes.probabilities, moment, cause, changes.closed)
        outputs += self._alerts(changes, moment)
        if changes.snapshot is not None:
            key = changes.snapshot["account_id"]
            outputs.append(self._row(JOURNEYS, key, changes.snapshot, {}, moment))
        elif changes.snapshot_gone is not None:
            key = changes.snapshot_gone["account_id"]
            outputs += self._deletion(JOURNEYS, key, changes.snapshot_gone, {}, moment)
        return outputs

    def _credits(self, changes: Changes, moment: Moment) -> list[Output]:
        added = {
            "cause": moment.cause,
            "computed_at": iso_z(moment.timestamp),
            "computed_at_ms": moment.timestamp,
        }
        outputs: list[Output] = []
        for credit_id, row, gone in changes.credits:
            if gone:
                outputs += self._deletion(CREDITS, credit_id, deleted_row(row), added, moment)
            else:
                outputs.append(self._row(CREDITS, credit_id, row, added, moment))
                self.counts["credits_emitted_total", str(row["conversion"])] += 1
        return outputs

    def probabilities(
        self,
        rows: Mapping[str, Mapping[str, Any]],
        moment: Moment,
        cause: str,
        closed: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[Output]:
        """Rows of open subjects, and the last rows of those no longer open."""
        added = {"cause": cause}
        outputs: list[Output] = []
        for subject_id in sorted([*rows, *(closed or {})]):
            if subject_id in rows:
                outputs.append(self._row(PROBABILITIES, subject_id, rows[subject_id], added, moment))
            elif closed:
                outputs += self._deletion(PROBABILITIES, subject_id, closed[subject_id], added, moment)
            self.counts["probability_updates_total", cause] += 1
        return outputs

    def _alerts(self, changes: Changes, moment: Moment) -> list[Output]:
        outputs = []
        detected = {"detected_at": iso_z(moment.timestamp), "detected_at_ms": moment.timestamp}
        for row, status in changes.alerts:
            late = row["at_ms"] <= changes.horizon_before or (
                self.late_after_ms is not None and moment.timestamp - row["at_ms"] > self.late_after_ms
            )
            added = {"status": status, **detected, "late": late}
            key = row["account_id"]
            value = orjson.dumps({**row, **added, "version": self.version(moment)})
            headers = self._headers(ALERTS, row["alert_id"], moment)
            outputs.append(Output(ALERTS, key.encode(), value, headers))
            self.counts["alerts_total", row["kind"], status] += 1
        return outputs

    def _row(
        self,
        topic: str,
        key: str,
        row: Mapping[str, Any],
        added: Mapping[str, Any],
        moment: Moment,
        gone: int = 0,
    ) -> Output:
        stamped = {**row, **added, "version": self.version(moment), "is_deleted": gone}
        return Output(topic, key.encode(), orjson.dumps(stamped), self._headers(topic, key, moment))

    def _deletion(
        self, topic: str, key: str, row: Mapping[str, Any], added: Mapping[str, Any], moment: Moment
    ) -> Iterable[Output]:
        """The last row, then the tombstone that lets compaction forget the key."""
        last = self._row(topic, key, row, added, moment, gone=1)
        return last, tombstone(topic, key, self.version(moment), moment.headers)

    def _headers(self, topic: str, key: str, moment: Moment) -> Headers:
        return cloud_event(topic, f"{key}@{self.version(moment)}", moment.headers)

    def quarantined(self, run: Run, record: Record, entry: FactRecord, reason: str) -> Output:
        """The dead letter of a fact of a quarantined account: the journal record, to be replayed once mended."""
        message = (
            f"the account is quarantined since its facts made the computation fail ({reason}); report this"
        )
        self.counts["dead_letters_total", entry.kind, "quarantined"] += 1
        return dead_letter(run, record, Rejected("quarantined", "", message))

    def undecided(self, run: Run, record: Record) -> Output:
        """The dead letter of a decision about identity that an account which cannot be read should have taken."""
        message = (
            "records of the account's state are missing, so facts that do not belong to it cannot be handed over; "
            "build the state anew under a higher state.generation"
        )
        self.counts["dead_letters_total", JOURNAL, "quarantined"] += 1
        return dead_letter(run, record, Rejected("quarantined", "", message))

    def unreadable(self, run: Run, record: Record, error: ValueError) -> Output:
        """The dead letter of a record that somebody else wrote into the journal."""
        self.counts["dead_letters_total", JOURNAL, "decode_error"] += 1
        return dead_letter(run, record, Rejected("decode_error", "", str(error)))

    def too_late(self, run: Run, record: Record, entry: FactRecord) -> Output:
        """The dead letter of a fact that state can no longer take (R06)."""
        message = (
            "occurred_at is further behind the watermark than the lookback and state.max_lateness allow; "
            "raise state.max_lateness or load history with a new state.generation"
        )
        self.counts["dead_letters_total", entry.kind, "too_late"] += 1
        return dead_letter(run, record, Rejected("too_late", "/occurred_at", message))
