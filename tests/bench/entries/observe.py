"""A consumer in a process of its own that notes when the answer to each touch arrived.

    observe BROKER TOPIC PARTITIONS KNOWN BACKLOG GOAL FILE

A row says how many touches its account has had, so it answers every touch up to that one. ``KNOWN`` is how many
every account had before: above 0, reading begins at the end of the topic. Prints ``caught up`` when
``BACKLOG`` touches
are answered. ``GOAL`` names a file that will hold the number of all touches: once so many are answered, it ends after
writing ``FILE``: a JSON list of [nanoseconds of the monotonic clock, account, touches], one for each row that
answered something.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

Seen = list[tuple[int, str, int]]


async def observe(broker: str, topic: str, partitions: int, known: int, backlog: int, goal: Path) -> Seen:
    """Rows that answered something, once all touches are answered."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, enable_auto_commit=False, auto_offset_reset="earliest", check_crcs=False
    )
    tps = [TopicPartition(topic, partition) for partition in range(partitions)]
    consumer.assign(tps)
    answered: dict[str, int] = {}
    seen: Seen = []
    count = 0
    total: int | None = None
    async with consumer:
        if known:
            await consumer.seek_to_end(*tps)
            for tp in tps:
                await consumer.position(tp)
        if not backlog:
            print("caught up", flush=True)
        while total is None or count < total:
            found = await consumer.getmany(timeout_ms=500)
            now = time.monotonic_ns()
            before = count
            for records in found.values():
                for record in records:
                    if record.value is None:
                        continue  # an account that is no more
                    row = orjson.loads(record.value)
                    account, touches = row["account_id"], row["touches"]
                    had = answered.get(account, known)
                    if touches > had:
                        answered[account] = touches
                        count += touches - had
                        seen.append((now, account, touches))
            if before < backlog <= count:
                print("caught up", flush=True)
            if total is None:
                total = told(goal)
    return seen


def told(goal: Path) -> int | None:
    """The number in the file, once it is there."""
    return int(goal.read_text()) if goal.exists() else None


def main() -> None:
    """Observe, then write what was seen."""
    broker, topic, partitions, known, backlog, goal, file = sys.argv[1:]
    seen = asyncio.run(observe(broker, topic, int(partitions), int(known), int(backlog), Path(goal)))
    Path(file).write_bytes(orjson.dumps(seen))


if __name__ == "__main__":
    main()
