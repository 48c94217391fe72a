"""An account or a deal from files: the way of ``score``, in memory, keeping what concerns the subject."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from revenue_core.config import CoreConfig
from revenue_core.explain import Explanation
from revenue_core.identity.graph import Graph
from revenue_core.journey import State
from revenue_core.parameters import Learned, always
from streams import chunks, codec, translate
from streams.agents.settling import BY_PARAMETERS
from streams.explain_identity import Trail, identity_of, trail
from streams.explain_subject import (
    DEAL,
    Answer,
    NotFound,
    Subject,
    explained,
    journal_keys,
    number_of_facts,
)
from streams.explain_versions import Version, versions
from streams.files import Line
from streams.journal import encode_settle
from streams.learning import learn, version_of
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from streams.service import Service
from streams.topology import ANSWERS, CREDITS, DEAD_LETTERS, JOURNAL


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
    learned: Learned | None = None
    """What the journeys that have ended teach."""


def answer(
    subject: Subject, service: Service, lines: Iterable[Line], files: Sequence[str], config: CoreConfig
) -> Answer:
    """Run an offline service over the lines of files and explain the subject as of their latest fact.

    Raises NotFound.
    """
    reading = _read(service, lines, subject)
    if reading.learned is not None:
        config = replace(config, learned=always(reading.learned))
    graph = service.coordinator.links.graph
    source = ", ".join(files)
    led = Trail()
    if subject.kind == DEAL:
        found = _deal(reading, subject, config)
    else:
        led = _led(reading, subject, graph)
        found = _whole(reading, led.root, subject, config)
    if found is None:
        raise NotFound(led.gone or _not_found(reading, subject, source))
    root, state, explanation = found
    notes = list(led.notes)
    if reading.refused:
        notes.append(
            f"{reading.refused:,} of {reading.lines:,} lines were refused and count for nothing here: "
            "`headwater score` writes them with their reasons"
        )
    identity = identity_of(graph, root, state.account, explanation.deal_id)
    # a row that only bears the number of other parameters says nothing new
    told = [
        each for each in versions(reading.credits) if not (each.change == "repeated" and _by_learning(each))
    ]
    return Answer(explanation, told, source, notes, identity.groups, led.moved)


def _by_learning(version: Version) -> bool:
    return version.cause.startswith(f"{BY_PARAMETERS}:")


def _read(service: Service, lines: Iterable[Line], subject: Subject) -> _Reading:
    log, reading = MemoryLog(), _Reading()
    executor = MemoryExecutor(service.agents, log, lambda: service.ingest.latest, followers=service.followers)

    def work() -> None:
        executor.drain()
        for topic in ANSWERS:
            for record in log.take(topic):
                if topic == CREDITS and record.value is not None and subject.filter in record.value:
                    reading.credits.append(orjson.loads(record.value))
        reading.refused += len(log.take(DEAD_LETTERS))

    for line in lines:
        reading.lines += 1
        if line.rejected is not None or line.kind is None:
            reading.refused += 1
            continue
        log.append(line.kind, None, line.message, service.ingest.latest)
        work()
    reading.latest = service.ingest.latest
    table = executor.tables["journey", 0]
    fitted = learn(service.journey, table, reading.latest)
    if fitted is not None:
        reading.learned = fitted.learned(version_of(reading.latest))
        settle = encode_settle(reading.latest, reading.learned)
        log.append(JOURNAL, None, settle, reading.latest, partition=0)
        work()
    reading.credits = [row for row in reading.credits if subject.owns(row)]
    reading.table = dict(table.items())
    reading.accounts = [key.decode() for key in reading.table if key[:1] != b"\0"]
    return reading


Found = tuple[str, State, Explanation]
"""Journal key of an account, the account, what there is to say of it or of its deal."""


def _state(reading: _Reading, key: str) -> State | None:
    table = reading.table
    raw = table.get(key.encode())
    return None if raw is None else codec.read(key, translate.account_id(key), raw, table.get)


def _led(reading: _Reading, subject: Subject, graph: Graph) -> Trail:
    """Where the id of an account leads."""
    keys = [key for key in journal_keys(subject.id) if key in reading.accounts]
    keys = keys or [key for key in reading.accounts if translate.account_id(key) == subject.id]
    state = _state(reading, keys[0]) if keys else None
    if state is None:
        return trail(graph, subject.id, "", 0)
    return trail(graph, subject.id, keys[0], number_of_facts(state))


def _whole(reading: _Reading, root: str, subject: Subject, config: CoreConfig) -> Found | None:
    state = _state(reading, root)
    explanation = explained(state, subject, config, reading.latest) if state is not None else None
    return None if state is None or explanation is None else (root, state, explanation)


def _deal(reading: _Reading, subject: Subject, config: CoreConfig) -> Found | None:
    """A deal in its account; of several that have it the one in which it changed last."""
    part = orjson.dumps(subject.id)
    holding = {
        chunks.root_of(key) for key, raw in reading.table.items() if chunks.is_chunk(key) and part in raw
    }
    keys = [key for key in reading.accounts if key.encode() in holding]
    found = [each for key in keys if (each := _whole(reading, key, subject, config)) is not None]
    return max(found, key=lambda each: each[2].deals[0].history[-1].at_ms, default=None)


def _has_facts(reading: _Reading, key: str) -> bool:
    """Not so of those that only know where facts have gone."""
    table = reading.table
    state, _ = codec.decode(key, "", table[key.encode()], table.get)
    account = state.account
    return bool(account.touch_count or account.lead_groups or account.deal_groups)


def _not_found(reading: _Reading, subject: Subject, source: str) -> str:
    known = [translate.account_id(key) for key in reading.accounts if _has_facts(reading, key)]
    text = f"no {subject} in {source}: {reading.lines:,} lines with {len(known):,} accounts were searched"
    if subject.kind == DEAL:
        return f"{text} for its deal events"
    close = difflib.get_close_matches(subject.id, known, 1)
    return f"{text}; ids are compared exactly" + (f", did you mean {close[0]!r}?" if close else "")
