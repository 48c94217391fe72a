"""The whole computation offline: files in, files out, no broker (R08 to R15).

The same handlers as live, on the in-memory log. Facts are taken in the order of the files; the watermark is the
greatest event time so far. The wall clock is read once, for the ``future_timestamp`` check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from revenue_core.attribution.fitting import parameter_rows
from revenue_core.instants import iso_z
from revenue_core.parameters import Learned
from schemas.errors import Rejected
from streams.agents import coordinator
from streams.files import Line, dead_letter, no_topic
from streams.journal import encode_settle
from streams.learning import learn, version_of
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog, MemoryRecord
from streams.service import Service
from streams.topology import (
    ALERTS,
    ANSWERS,
    CONTROL,
    CREDITS,
    DEAD_LETTERS,
    FORECASTS,
    FUNNEL,
    JOURNAL,
    JOURNEYS,
    PARAMETERS,
    PROBABILITIES,
)

KEY_COLUMNS = {
    CREDITS: "credit_id",
    PROBABILITIES: "subject_id",
    ALERTS: "alert_id",
    JOURNEYS: "account_id",
    FUNNEL: "row_id",
    FORECASTS: "row_id",
    PARAMETERS: "parameter_id",
}
BY_CLOCK = "score"
"""Name under which the end of the input reports its watermark."""


@dataclass(slots=True)
class Summary:
    """What a run of ``score`` did."""

    lines: int = 0
    facts: int = 0
    duplicates: int = 0
    bots: int = 0
    after_as_of: int = 0
    erased: int = 0
    """Touches and lead facts of people who had been erased when they came."""
    dead_letters: int = 0
    quarantined: int = 0
    """Accounts without answers since their facts made the computation fail."""
    codes: Counter[str] = field(default_factory=Counter)
    """Dead letters by code."""
    rows: Counter[str] = field(default_factory=Counter)
    """Lines written per output topic."""
    as_of_ms: int = 0


class Scorer:
    """Feeds lines through the service and writes what comes out.

    ``final`` writes the compacted view at the end instead of every version as it comes.
    """

    def __init__(self, service: Service, out: Path, *, final: bool = False) -> None:
        self.service, self.final = service, final
        self.log = MemoryLog()
        self.executor = MemoryExecutor(service.agents, self.log, self._watermark, followers=service.followers)
        out.mkdir(parents=True, exist_ok=True)
        self.files: dict[str, BinaryIO] = {
            topic: (out / f"{topic}.ndjson").open("wb") for topic in (*ANSWERS, DEAD_LETTERS)
        }
        self.view: dict[str, dict[str, bytes]] = {topic: {} for topic in ANSWERS}
        self.summary = Summary()

    def _watermark(self) -> int:
        return self.service.ingest.latest

    def feed(self, line: Line) -> None:
        """Take one line as a record of its source topic; write what follows from it."""
        self.summary.lines += 1
        if line.rejected is not None or line.kind is None:
            self._refuse(line, line.rejected or no_topic())
            return
        self.log.append(line.kind, None, line.message, self._watermark())
        self._work(line)

    def finish(self, as_of: int | None) -> Summary:
        """Move the watermark to T, fire what is due, score every open subject, close the files (R08)."""
        at = as_of if as_of is not None else self._watermark()
        self.summary.as_of_ms = at
        if at:
            report = coordinator.report(BY_CLOCK, 0, at, at)
            self.log.append(CONTROL, report.key, report.value, at)
            self._work()
            self.log.append(JOURNAL, None, encode_settle(at, self._learn(at)), at, partition=0)
            self._work()
        if self.final:
            for topic, rows in self.view.items():
                for key in sorted(rows, key=str.encode):
                    self._write(topic, rows[key])
        self.close()
        self._summarise()
        return self.summary

    def _learn(self, at: int) -> Learned | None:
        """Fit the parameters to all journeys that have ended by an instant; None without one."""
        fitted, number = learn(self.service.journey, self.executor.tables["journey", 0], at), version_of(at)
        if fitted is None:
            return None
        for row in parameter_rows(fitted, number):
            told = {"fitted_through": iso_z(at), "fitted_through_ms": at, "version": number, "is_deleted": 0}
            self.log.append(PARAMETERS, row["parameter_id"].encode(), orjson.dumps(row | told), at)
        return fitted.learned(number)

    def close(self) -> None:
        """Close the files as they are; ``finish`` does so itself."""
        for file in self.files.values():
            file.close()

    def _work(self, line: Line | None = None) -> None:
        self.executor.drain()
        for answers in ANSWERS:
            for record in self.log.take(answers):
                self._answer(answers, record)
        for record in self.log.take(DEAD_LETTERS):
            if line is not None:
                self._refuse(line, reason_of(record))

    def _answer(self, topic: str, record: MemoryRecord) -> None:
        if self.final:
            self._compact(topic, record)
        elif record.value is None:
            key = (record.key or b"").decode()
            self._write(topic, orjson.dumps({KEY_COLUMNS[topic]: key, "is_tombstone": True}))
        else:
            self._write(topic, record.value)

    def _compact(self, topic: str, record: MemoryRecord) -> None:
        """Keep the last row per key; deleted rows and retracted alerts go (R10)."""
        if record.value is None:
            self.view[topic].pop((record.key or b"").decode(), None)
            return
        row = orjson.loads(record.value)
        key = row[KEY_COLUMNS[topic]]
        if row.get("is_deleted") or row.get("status") == "retracted":
            self.view[topic].pop(key, None)
        else:
            # orjson hands out buffers of 4 KiB and more; what is kept is copied to its own size
            self.view[topic][key] = bytes(memoryview(record.value))

    def _write(self, topic: str, value: bytes) -> None:
        self.files[topic].write(value + b"\n")
        self.summary.rows[topic] += 1

    def _refuse(self, line: Line, rejected: Rejected) -> None:
        row = dead_letter(line.kind or "", line.file, line.number, line.raw, rejected)
        self.files[DEAD_LETTERS].write(orjson.dumps(row) + b"\n")
        self.summary.dead_letters += 1
        self.summary.codes[rejected.code] += 1

    def _summarise(self) -> None:
        totals: Counter[str] = Counter()
        for counts in (self.service.ingest.counts, self.service.journey.counts):
            for (metric, *labels), count in counts.items():
                if metric == "events_total":
                    totals[labels[-1]] += count
        self.summary.facts = totals["ok"] - totals["duplicate"]
        self.summary.duplicates = totals["duplicate"]
        self.summary.bots = totals["bot"]
        self.summary.after_as_of = totals["after_as_of"]
        self.summary.erased = totals["erased"]
        slices = self.service.journey.slices.values()
        self.summary.quarantined = sum(len(part.quarantined) for part in slices)


def reason_of(record: MemoryRecord) -> Rejected:
    """Why a record is in the dead letters, from its headers."""
    text = {name: value.decode() for name, value in record.headers}
    return Rejected(
        text["headwater.error.code"],
        text["headwater.error.path"],
        text["__connect.errors.exception.message"],
    )


def conserved(rows: Iterable[dict[str, Any]], models: Iterable[str]) -> list[str]:
    """Conversions whose credit does not sum to the whole: their ids with the model and the two sums."""
    names = list(models)
    sums: dict[str, list[int]] = {}
    wholes: dict[str, int] = {}
    for row in rows:
        known = sums.setdefault(row["conversion_id"], [0] * len(names))
        wholes[row["conversion_id"]] = row["amount_minor"]
        for index, name in enumerate(names):
            known[index] += row[f"{name}_amount_minor"]
    return [
        f"{conversion_id}: {name} sums to {total}, the whole is {wholes[conversion_id]}"
        for conversion_id, totals in sums.items()
        for name, total in zip(names, totals, strict=True)
        if total != wholes[conversion_id]
    ]
