"""What went in, what must come out of it, and the audit, record by record, of what came out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from streams.effects import Run
from streams.embedded import EmbeddedBroker
from streams.generator import generate
from streams.memory.executor import MemoryTable
from streams.score import KEY_COLUMNS
from streams.service import Timing
from streams.topology import ANSWERS, DEAD_LETTERS, JOURNAL
from tests import builders
from tests.builders import compacted, final_view, service
from tests.conftest import Broker
from tests.integration.live import Live, Sent, last_per_key

IN_RUNS = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)
END_MS = 1_780_000_000_000
"""Events end here: long past, so that none is in the future."""
EVENTS = 4_000
SOAK = os.environ.get("HEADWATER_SOAK") == "1"
"""Run the long versions of the chaos tests."""

View = Mapping[str, Mapping[str, Mapping[str, Any]]]
Fact = tuple[str, ...]


def traffic(seed: int, events: int = EVENTS) -> list[Sent]:
    """Generated journeys, as the demo sends them."""
    return [Sent(m.topic, m.key, m.value) for m in generate(seed, events, END_MS)]


def live(broker: Broker, prefix: str, folder: Path) -> Live:
    """An installation on one of the two brokers."""
    return Live(broker.address, prefix, folder, embedded=isinstance(broker, EmbeddedBroker))


def expected(records: Sequence[Sent]) -> tuple[View, int]:
    """The answers of the in-memory executor, and the instant that event time ends at (ms)."""
    events = [(record.topic, record.value) for record in records]
    view = final_view(events, timing=IN_RUNS, run_max=50, drain_every=50, scored=False)
    last = max(int(row.get("as_of_ms", 0)) for row in view["pipeline-probabilities"].values())
    return view, last


def differences(found: View, wanted: View) -> dict[str, object]:
    """Topic -> first key that differs with both rows; empty when the views agree."""
    return {
        topic: next(
            (key, found[topic].get(key), rows.get(key))
            for key in sorted(rows.keys() | found[topic].keys())
            if found[topic].get(key) != rows.get(key)
        )
        for topic, rows in wanted.items()
        if found[topic] != rows
    }


class Audit(NamedTuple):
    """What was counted while nothing was found wrong."""

    rows: int
    repeated: int
    """Rows that another one of the same topic, key and version came before."""
    facts: int
    letters: int


async def audit(product: Live, wanted: View) -> Audit:
    """Hold every answer, journal record and dead letter against the undisturbed run; asserts, and counts repeats."""
    answers = {topic: await product.read(topic) for topic in ANSWERS}
    by_version = {t: compacted(t, [r.value for r in records if r.value]) for t, records in answers.items()}
    found = differences(by_version, wanted)
    assert not found, f"by version: {found}"
    by_last = {topic: last_per_key(topic, records) for topic, records in answers.items()}
    outdated = differences(by_last, wanted)
    assert not outdated, f"by the last record of a key: {outdated}"
    rows = [value for topic, records in answers.items() for value in versions(topic, records)]
    contents: dict[tuple[str, str, int], bytes] = {}
    for name, content in rows:
        assert contents.setdefault(name, content) == content, f"{name} has two contents"
    facts, letters = outcomes(product.sent)
    journal = Counter(
        fact for r in await product.read(JOURNAL) if r.value and (fact := fact_of(r.value)) is not None
    )
    assert journal.keys() == facts.keys(), "the journal's facts"
    refused = {place_of(record): record.value for record in await product.read(DEAD_LETTERS)}
    assert Counter(refused.values()) == letters, "the dead letters"
    return Audit(len(rows), len(rows) - len(contents), sum(facts.values()), len(refused))


def versions(topic: str, records: Sequence[Any]) -> list[tuple[tuple[str, str, int], bytes]]:
    """((topic, key, version), the row's bytes) of every row."""
    found = []
    for record in records:
        if record.value:
            row = orjson.loads(record.value)
            found.append(((topic, str(row[KEY_COLUMNS[topic]]), int(row["version"])), record.value))
    return found


def outcomes(sent: Sequence[Sent]) -> tuple[Counter[Fact], Counter[bytes]]:
    """What must stand in the journal and among the dead letters for these records, by a look of ingest at each."""
    ingest = service().ingest
    facts: Counter[Fact] = Counter()
    letters: Counter[bytes] = Counter()
    for offset, (topic, key, value) in enumerate(sent):
        run = Run(topic, 0, [Consumed(offset, END_MS, key, value)], builders.NOW_MS)
        effects = ingest.handle(run, MemoryTable())
        for output in (*effects.outputs, *effects.after):
            if output.topic == JOURNAL and output.value and (fact := fact_of(output.value)) is not None:
                facts[fact] += 1
            elif output.topic == DEAD_LETTERS:
                letters[value] += 1
    return facts, letters


class Consumed(NamedTuple):
    """A source record as a client delivers it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


def fact_of(value: bytes) -> Fact | None:
    """What tells a fact of the journal from others; None for ticks."""
    row = orjson.loads(value)
    return None if row["k"] not in "tf" else tuple(str(row.get(name)) for name in "knsed")


def place_of(record: Any) -> tuple[str, ...]:
    """Source topic, partition and offset of a dead letter."""
    headers = dict(record.headers)
    return tuple(headers[f"__connect.errors.{part}"].decode() for part in ("topic", "partition", "offset"))
