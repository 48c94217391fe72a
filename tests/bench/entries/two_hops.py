"""The product's way as two loops by hand: input to a keyed journal, journal to a row and a changelog record.

It validates nothing, classifies nothing and decides nothing: what is left is the price of the two hops.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from streams.partitioning import partition_of
from streams.topics import TopicDeclaration, create_topics
from tests.bench.cluster import KEPT, PARTITIONS
from tests.bench.loops import Loop, Message

ENV = os.environ
OUTPUT = ENV["BENCH_OUTPUT"]
JOURNAL, CHANGELOG = f"{ENV['BENCH_APP_ID']}-journal", f"{ENV['BENCH_APP_ID']}-changelog"


def ingest(records: Sequence[Any]) -> Iterator[Message]:
    """Each event to the partition of its account."""
    for record in records:
        event = orjson.loads(record.value)
        key = event["account_id"].encode()
        yield Message(JOURNAL, partition_of(key, PARTITIONS), key, orjson.dumps(event))


class Accounts:
    """The touches of each account, [id, instant, type] each."""

    def __init__(self) -> None:
        self.touches: dict[bytes, list[list[Any]]] = {}

    def work(self, records: Sequence[Any]) -> Iterator[Message]:
        """A row and a changelog record for every account of the run."""
        changed: dict[bytes, list[list[Any]]] = {}
        for record in records:
            event = orjson.loads(record.value)
            touches = changed[record.key] = self.touches.setdefault(record.key, [])
            touches.append([event["event_id"], event["occurred_at"], event["type"]])
        partition, version = records[0].partition, records[-1].offset
        for key, touches in changed.items():
            yield Message(OUTPUT, partition, key, orjson.dumps(row(key.decode(), touches, version)))
        for key, touches in changed.items():
            yield Message(CHANGELOG, partition, key, orjson.dumps(touches))


def row(account: str, touches: Sequence[Sequence[Any]], version: int) -> dict[str, Any]:
    """As long as a row of account-journeys, about 400 bytes."""
    first, last = touches[0], touches[-1]
    return {
        "account_id": account,
        "phase": "awareness",
        "temperature": "warm",
        "energy": 11.25,
        "first_touch": first[0],
        "first_touch_at_ms": first[1],
        "first_touch_type": first[2],
        "last_touch": last[0],
        "last_touch_at_ms": last[1],
        "last_touch_type": last[2],
        "touches": len(touches),
        "contacts": 1,
        "open_deals": 0,
        "won_deals": 0,
        "reason": "the last touch is the newest of the account",
        "version": version,
        "is_deleted": 0,
    }


async def main() -> None:
    """Until killed."""
    broker, group = ENV["BENCH_BROKER"], ENV["BENCH_APP_ID"]
    topics = [TopicDeclaration(JOURNAL, KEPT), TopicDeclaration(CHANGELOG, {"cleanup.policy": "compact"})]
    await create_topics(broker, topics, partitions=PARTITIONS)
    first = Loop(broker, f"{group}-ingest", ENV["BENCH_INPUT"], PARTITIONS, ingest)
    second = Loop(broker, f"{group}-accounts", JOURNAL, PARTITIONS, Accounts().work)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first.run())
        tasks.create_task(second.run())


if __name__ == "__main__":
    asyncio.run(main())
