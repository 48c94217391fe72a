"""What a schedule left behind, against the undisturbed run over the same facts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from streams.agents import coordinator
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from streams.score import KEY_COLUMNS
from streams.service import Timing
from streams.topology import ALERTS, ANSWERS, CONTROL, CREDITS, DEAD_LETTERS
from tests.builders import compacted, service, stable
from tests.simulation.world import Stale, World

View = dict[str, dict[str, Mapping[str, Any]]]
UNDISTURBED = Timing(tick_ms=0, idle_ms=0, replay_window=0, late_after_ms=None)


def undisturbed(world: World) -> tuple[View, set[tuple[bytes | None, bytes]]]:
    """Final rows and dead letters of one worker to which nothing happens."""
    made, log = service(UNDISTURBED), MemoryLog()
    executor = MemoryExecutor(made.agents, log, lambda: made.ingest.latest, followers=made.followers)
    for message in world.all_deliveries:
        log.append(message.topic, None, message.value, 0)
    executor.drain()
    at = made.ingest.latest
    log.append(CONTROL, b"end", coordinator.report("end", 0, at, at).value, at)
    executor.drain()
    view = {topic: compacted(topic, (r.value for r in log.topic(topic) if r.value)) for topic in ANSWERS}
    return view, letters(log.topic(DEAD_LETTERS))


def letters(records: Iterable[Any]) -> set[tuple[bytes | None, bytes]]:
    """Value and code of every dead letter."""
    return {(r.value, dict(r.headers)["headwater.error.code"]) for r in records}


def audit(world: World) -> list[str]:
    """Everything that is wrong, in words; counts rows in ``world.stats``.

    The last record of a key is the right one unless a worker wrote that had lost its partition without knowing. No
    broker fences it: a row of it may land behind a later one, and when its state lands behind what the new owner has
    sent again, the next owner goes on from there and sends nothing twice. Such rows (all rows, once such state
    landed) are held to the highest version only.
    """
    expected, expected_letters = undisturbed(world)
    found = world.problems + _versions(world)
    in_order = world.protections.last_arrival or not any(s.topic in world.newer for s in world.stale)
    for topic in ANSWERS:
        records = world.broker.topic(topic)
        by_version = compacted(topic, (r.value for r, _ in records if r.value))
        if not world.protections.last_arrival:
            found += _differences(f"{topic} by version", expected[topic], by_version, set())
        last, late = _by_last(world, topic)
        world.stats["keys with rows that arrived late"] += len(late)
        if in_order:
            ignored = set() if world.protections.last_arrival else late
            found += _differences(f"{topic} by arrival", expected[topic], last, ignored)
        if topic == CREDITS:
            found += _conservation(by_version.values())
    world.stats["schedules read by arrival too"] += in_order
    have = letters(r for r, _ in world.broker.topic(DEAD_LETTERS))
    if have != expected_letters:
        found.append(f"dead letters: {have ^ expected_letters}")
    return found


def _by_last(world: World, topic: str) -> tuple[dict[str, Mapping[str, Any]], set[str]]:
    """What compaction leaves, and the keys of which a worker wrote that had lost its partition."""
    last: dict[str, dict[str, Any] | None] = {}
    late: set[str] = set()
    for number in range(world.broker.counts[topic]):
        for record in world.broker.partition(topic, number).records:
            row = orjson.loads(record.value) if record.value else None
            key = row[KEY_COLUMNS[topic]] if row and topic == ALERTS else (record.key or b"").decode()
            last[key] = row
            if Stale(topic, number, record.offset) in world.stale:
                late.add(key)
    rows: dict[str, Mapping[str, Any]] = {
        key: stable(row)
        for key, row in last.items()
        if row and not row.get("is_deleted") and row.get("status") != "retracted"
    }
    return rows, late


def _versions(world: World) -> list[str]:
    """Versions with two contents (R11).

    While a deal or lead moves, two accounts may speak of it for a moment, each counting the offsets of its own
    partition; the one that gets it then says everything again, in a version above both.

    A row that takes another back carries the columns of the one it takes back, which a longer run may have
    skipped: of such rows only that they do is compared; how often they differ is counted.
    """
    found, repeated, rows = [], 0, 0
    for topic in ANSWERS:
        contents: dict[tuple[str, int], bytes] = {}
        highest = _highest(world, topic)
        for record, _ in world.broker.topic(topic):
            if record.value is None:
                continue
            row = orjson.loads(record.value)
            rows += 1
            place = row[KEY_COLUMNS[topic]], row["version"]
            known = contents.setdefault(place, record.value)
            repeated += known is not record.value
            if known != record.value:
                before = orjson.loads(known)
                if _takes_back(before) and _takes_back(row):
                    world.stats["deletions of one version with other columns"] += 1
                    continue
                if before.get("account_id") != row.get("account_id") and row["version"] < highest[place[0]]:
                    world.stats["versions of two accounts, overruled"] += 1
                    continue
                columns = {
                    c: (before.get(c), row.get(c)) for c in {*before, *row} if before.get(c) != row.get(c)
                }
                found.append(f"{topic}: one version of {place} has two contents: {columns}")
    world.stats["rows"] += rows
    world.stats["repeated rows"] += repeated
    return found


def _highest(world: World, topic: str) -> dict[str, int]:
    """Key -> its highest version."""
    found: dict[str, int] = {}
    for record, _ in world.broker.topic(topic):
        if record.value is not None:
            row = orjson.loads(record.value)
            key = row[KEY_COLUMNS[topic]]
            found[key] = max(found.get(key, 0), row["version"])
    return found


def _takes_back(row: Mapping[str, Any]) -> bool:
    return bool(row.get("is_deleted")) or row.get("status") == "retracted"


def _differences(
    what: str, expected: Mapping[str, Any], found: Mapping[str, Any], ignored: set[str]
) -> list[str]:
    texts = []
    for key in sorted((expected.keys() | found.keys()) - ignored):
        want, have = expected.get(key), found.get(key)
        if want != have:
            if want and have:
                columns = {
                    c: (want.get(c), have.get(c)) for c in {*want, *have} if want.get(c) != have.get(c)
                }
                texts.append(f"{what}: {key}: (expected, found) {columns}")
            else:
                texts.append(f"{what}: {key} is {'missing' if want else 'too much'}")
    return texts


def _conservation(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Conversions whose credits do not sum to the whole."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    whole: dict[str, int] = {}
    for row in rows:
        conversion = row["conversion_id"]
        whole[conversion] = row["amount_minor"]
        for name, value in row.items():
            if name.endswith("_amount_minor"):
                sums[conversion][name] += value
    return [
        f"credits of {conversion}: {name} sums to {total}, not {whole[conversion]}"
        for conversion, models in sums.items()
        for name, total in models.items()
        if total != whole[conversion]
    ]
