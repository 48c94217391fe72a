"""An account or a deal from files: the way of ``score``, in memory, keeping what concerns the subject."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from revenue_core.config import CoreConfig
from revenue_core.explain import Explanation
from revenue_core.journey import State
from streams import chunks, codec, translate
from streams.explain_subject import DEAL, Answer, NotFound, Subject, explained, journal_keys
from streams.explain_versions import versions
from streams.files import Line
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from streams.service import Service
from streams.topology import ANSWERS, CREDITS, DEAD_LETTERS


@dataclass(slots=True)
class _Reading:
    """What lines amount to."""

    lines: int = 0
    refused: int = 0
    latest: int = 0
    """The greatest event time (ms)."""
    table: dict[bytes, bytes] = field(default_factory=dict)
    """The journey table at the end."""
    accounts: list[str] = field(default_factory=list)
    """Journal keys of the accounts in it."""
    credits: list[dict[str, Any]] = field(default_factory=list)
    """The subject's rows in the order of emission."""


def answer(
    subject: Subject, service: Service, lines: Iterable[Line], files: Sequence[str], config: CoreConfig
) -> Answer:
    """Run an offline service over the lines of files and explain the subject as of their latest fact.

    Raises NotFound.
    """
    reading = _read(service, lines, subject)
    explanation = _explain(reading, subject, config)
    source = ", ".join(files)
    if explanation is None:
        raise NotFound(_not_found(reading, subject, source))
    notes = []
    if reading.refused:
        notes.append(
            f"{reading.refused:,} of {reading.lines:,} lines were refused and count for nothing here: "
            "`headwater score` writes them with their reasons"
        )
    return Answer(explanation, versions(reading.credits), source, notes)


def _read(service: Service, lines: Iterable[Line], subject: Subject) -> _Reading:
    log, reading = MemoryLog(), _Reading()
    executor = MemoryExecutor(service.agents, log, lambda: service.ingest.latest, followers=service.followers)
    for line in lines:
        reading.lines += 1
        if line.rejected is not None or line.kind is None:
            reading.refused += 1
            continue
        log.append(line.kind, None, line.message, service.ingest.latest)
        executor.drain()
        for topic in ANSWERS:
            for record in log.take(topic):
                if topic == CREDITS and record.value is not None and subject.filter in record.value:
                    reading.credits.append(orjson.loads(record.value))
        reading.refused += len(log.take(DEAD_LETTERS))
    reading.credits = [row for row in reading.credits if subject.owns(row)]
    reading.latest = service.ingest.latest
    table = executor.tables["journey", 0]
    reading.table = dict(table.items())
    reading.accounts = [key.decode() for key in reading.table if key[:1] != b"\0"]
    return reading


def _explain(reading: _Reading, subject: Subject, config: CoreConfig) -> Explanation | None:
    """The explanation; of a deal that several accounts have, the one in which it changed last."""
    found = [
        explanation
        for state in _candidates(reading, subject)
        if (explanation := explained(state, subject, config, reading.latest)) is not None
    ]
    if subject.kind == DEAL:
        found.sort(key=lambda each: each.deals[0].history[-1].at_ms, reverse=True)
    return found[0] if found else None


def _candidates(reading: _Reading, subject: Subject) -> Iterator[State]:
    """The accounts that may be, or have, the subject."""
    if subject.kind == DEAL:
        part = orjson.dumps(subject.id)
        holding = {
            chunks.root_of(key) for key, raw in reading.table.items() if chunks.is_chunk(key) and part in raw
        }
        keys = [key for key in reading.accounts if key.encode() in holding]
    else:
        keys = [key for key in journal_keys(subject.id) if key in reading.accounts]
        keys = keys or [key for key in reading.accounts if translate.account_id(key) == subject.id]
    for key in keys:
        table = reading.table
        yield codec.read(key, translate.account_id(key), table[key.encode()], table.get)


def _not_found(reading: _Reading, subject: Subject, source: str) -> str:
    known = [translate.account_id(key) for key in reading.accounts]
    text = f"no {subject} in {source}: {reading.lines:,} lines with {len(known):,} accounts were searched"
    if subject.kind == DEAL:
        return f"{text} for its deal events"
    close = difflib.get_close_matches(subject.id, known, 1)
    return f"{text}; ids are compared exactly" + (f", did you mean {close[0]!r}?" if close else "")
