"""Memory per idle account: ``python -m tests.bench.idle_accounts [--accounts N] [--store memory|rocksdb]``.

The records are those that the real handler writes of some thousand accounts with a few touches each, under as many
keys as there are to be accounts; the timer index is the one that the handler builds when it is given the partition.
Bytes are of the process's resident memory (Linux).
"""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, cycle, islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import orjson

from streams.clock import now_ms
from streams.effects import TableView
from streams.engine.settings import EngineSettings
from streams.engine.store import Write, store_maker
from streams.memory.executor import MemoryExecutor
from streams.memory.log import MemoryLog
from tests.builders import NOW_MS, service

SEED = 7
MODELS = 3_000
"""Accounts whose records are repeated."""
TOUCHES = (2, 4)
"""Of an account, at least and at most."""
TYPES = ("page_view", "page_view", "page_view", "email_open")
"""Of all touches but the first, which is a form: so the account is warm, and due to cool."""
DAY_MS = 86_400_000
BATCH = 500


class Figures(NamedTuple):
    """Bytes, over all accounts."""

    records: int
    """Keys and values, as the handler wrote them."""
    store: int
    timers: int
    scheduled: int
    """Accounts in the timer index."""
    disk: int


def model_records() -> dict[bytes, list[tuple[bytes, bytes]]]:
    """Name of a model account -> its records, as the journey handler wrote them."""
    made, random = service(), Random(SEED)
    log = MemoryLog({"journal": 1, "partials": 1})
    executor = MemoryExecutor(made.agents, log, lambda: NOW_MS, followers=made.followers)
    events = [
        touch(number, each, random) for number in range(MODELS) for each in range(random.randint(*TOUCHES))
    ]
    for event in sorted(events, key=lambda found: found["occurred_at"]):
        log.append("touchpoints", None, orjson.dumps(event), NOW_MS)
    executor.drain()
    found: dict[bytes, list[tuple[bytes, bytes]]] = {}
    for key, value in executor.tables["journey", 0].items():
        name = key[-len(name_of("M", 0)) :]
        if name[:1] == b"M" and name[1:].isdigit():
            found.setdefault(name, []).append((key, value))
    return found


def name_of(letter: str, number: int) -> bytes:
    """An account's name; all are of the same length."""
    return b"%s%09d" % (letter.encode(), number)


def touch(number: int, each: int, random: Random) -> dict[str, Any]:
    """One of an account's touches, within the ten days before the end."""
    name = name_of("M", number).decode()
    return {
        "event_id": f"{random.getrandbits(64):016x}",
        "type": random.choice(TYPES) if each else "form_submit",
        "occurred_at": NOW_MS - random.randint(DAY_MS, 10 * DAY_MS),
        "account_id": name,
        "contact_id": f"c-{number}",
        "url": f"https://www.example.com/{random.choice(('pricing', 'docs', 'blog/a-post', ''))}",
        "referrer": random.choice(("https://www.google.com/", "https://www.linkedin.com/feed/", "")),
    }


def records_of(models: dict[bytes, list[tuple[bytes, bytes]]], accounts: int) -> Iterator[list[Write]]:
    """Batches of new records, as if each had come from a changelog."""
    batch: list[Write] = []
    for number, (was, model) in enumerate(islice(cycle(models.items()), accounts)):
        for key, value in model:
            batch.append((key.replace(was, name_of("A", number)), bytes(bytearray(value))))
        if len(batch) >= BATCH:
            yield batch
            batch = []
    yield batch


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(accounts: int, kind: str, folder: Path) -> Figures:
    """Fill a slice, then build the timer index of it."""
    settings = EngineSettings(app_id="idle", brokers="none:1", data_dir=str(folder), store=kind)  # type: ignore[arg-type]
    store = store_maker(settings, now_ms)("idle-journey-changelog")
    handler = service().journey
    with ProcessPoolExecutor(1) as elsewhere:  # what the models leave behind would be taken for ours
        batches = records_of(elsewhere.submit(model_records).result(), accounts)
    first, begin, written = next(batches), resident(), 0
    for number, batch in enumerate(chain([first], batches)):
        store.apply(0, batch)
        store.confirm(0, batch, number)
        written += sum(len(key) + len(value or b"") for key, value in batch)
    view: TableView = store.view(0)
    assert sum(1 for _ in view.items()) >= accounts  # a store on disk has its cache filled by this
    filled = resident()
    handler.assigned(0, view)
    end = resident()
    disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    scheduled = len(handler.slices[0].scheduled)
    store.close()
    return Figures(written, filled - begin, end - filled, scheduled, disk)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Memory per idle account.")
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--store", choices=("memory", "rocksdb"), default="memory")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = measure(asked.accounts, asked.store, Path(folder))
    per = asked.accounts
    print(f"{per:,} idle accounts, store {asked.store}, bytes per account:")
    print(f"  records (keys and values)  {found.records / per:8.1f}")
    print(f"  store, resident            {found.store / per:8.1f}")
    print(f"  timer index, resident      {found.timers / per:8.1f}  ({found.scheduled:,} accounts scheduled)")
    print(f"  on disk                    {found.disk / per:8.1f}")


if __name__ == "__main__":
    main()
