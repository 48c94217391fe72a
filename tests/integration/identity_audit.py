"""The audit of an installation in which facts moved from account to account, against the undisturbed run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from streams.topology import ANSWERS, DEAD_LETTERS, JOURNAL, JOURNEYS
from tests.builders import compacted, final_view
from tests.integration.audit import IN_RUNS, View, differences, versions
from tests.integration.identity_traffic import Story
from tests.integration.live import Live, Sent, last_per_key

RUN = 500


def undisturbed(records: Sequence[Sent]) -> tuple[View, int]:
    """The answers of the in-memory executor, and the latest instant (ms)."""
    events = [(record.topic, record.value) for record in records]
    view = final_view(events, timing=IN_RUNS, run_max=RUN, drain_every=RUN, scored=False)
    return view, max(orjson.loads(record.value)["occurred_at"] for record in records)


class Journal(NamedTuple):
    """What the journal holds of each fact, from all its accounts together."""

    put: Counter[str]
    """Event id -> records of its own, by ingest or passed on by an account."""
    handed: Counter[str]
    """Event id -> times that a transfer held it."""
    transfers: int
    largest: int
    """Bytes of the largest record."""

    @property
    def copies(self) -> Counter[str]:
        """Event id -> how often the fact was written in all."""
        return self.put + self.handed


async def journal_of(product: Live) -> Journal:
    """Count it."""
    put, handed = Counter[str](), Counter[str]()
    transfers = largest = 0
    for record in await product.read(JOURNAL):
        raw = orjson.loads(record.value)
        largest = max(largest, len(record.value))
        if raw["k"] in {"t", "f"}:
            put[raw["e"]] += 1
        elif raw["k"] == "x":
            transfers += 1
            handed.update(message["e"] for message in raw["m"])
    return Journal(put, handed, transfers, largest)


async def audit_moves(product: Live, story: Story, wanted: View) -> Journal:
    """Hold every answer and the journal against the undisturbed run; asserts."""
    answers = {topic: await product.read(topic) for topic in ANSWERS}
    found = {t: compacted(t, [r.value for r in records if r.value]) for t, records in answers.items()}
    wrong = differences(found, wanted)
    assert not wrong, f"by version: {wrong}"
    wrong = differences({t: last_per_key(t, records) for t, records in answers.items()}, wanted)
    assert not wrong, f"by the last record of a key: {wrong}"
    for topic, records in answers.items():
        assert not (twice := two_contents(topic, records)), f"{topic}: {twice[0]}"
    touches = {account: row["touches"] for account, row in found[JOURNEYS].items() if row["touches"]}
    assert touches == story.touches, "every touch in exactly one account"
    journal = await journal_of(product)
    sent = {orjson.loads(record.value)["event_id"] for record in product.sent}
    erasures = {
        event["event_id"]
        for record in product.sent
        if (event := orjson.loads(record.value))["type"] == "person_erased"
    }
    assert journal.put.keys() <= sent
    # what comes of somebody who is known to be erased is not even written
    assert sent - journal.put.keys() - erasures <= story.forgotten
    assert not await product.read(DEAD_LETTERS)
    return journal


def two_contents(topic: str, records: Iterable[Any]) -> list[str]:
    """Versions of a row with two contents that a reader could be left with (R11).

    While a deal or lead moves, two accounts may speak of it for a moment; the one that gets it says it again in a
    version above both. A row that takes another back carries its columns, which a longer run may have skipped.
    """
    contents: defaultdict[str, dict[int, bytes]] = defaultdict(dict)
    found = []
    rows = versions(topic, list(records))
    highest: dict[str, int] = {}
    for (_, key, version), _ in rows:
        highest[key] = max(highest.get(key, version), version)
    for (_, key, version), content in rows:
        known = contents[key].setdefault(version, content)
        if known == content:
            continue
        before, row = orjson.loads(known), orjson.loads(content)
        moved = before.get("account_id") != row.get("account_id") and version < highest[key]
        if not moved and not (_takes_back(before) and _takes_back(row)):
            found.append(f"version {version} of {key}: {before} and {row}")
    return found


def _takes_back(row: Mapping[str, Any]) -> bool:
    return bool(row.get("is_deleted")) or row.get("status") == "retracted"
