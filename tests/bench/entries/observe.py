"""A consumer in a process of its own that notes when the answer to each touch arrived.

    observe BROKER TOPIC PARTITIONS BACKLOG TOTAL FILE

A row says how many touches its account has had, so it answers every touch up to that one. Prints ``caught up`` when
``BACKLOG`` touches are answered, and ends at ``TOTAL`` after writing ``FILE``: a JSON list of [nanoseconds of the
monotonic clock, account, touches], one for each row that answered something.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition


async def observe(
    broker: str, topic: str, partitions: int, backlog: int, total: int
) -> list[tuple[int, str, int]]:
    """Rows that answered something, once ``total`` touches are answered."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker, enable_auto_commit=False, auto_offset_reset="earliest", check_crcs=False
    )
    consumer.assign([TopicPartition(topic, partition) for partition in range(partitions)])
    answered: dict[str, int] = {}
    seen: list[tuple[int, str, int]] = []
    count = 0
    async with consumer:
        while count < total:
            found = await consumer.getmany(timeout_ms=500)
            now = time.monotonic_ns()
            before = count
            for records in found.values():
                for record in records:
                    row = orjson.loads(record.value)
                    account, touches = row["account_id"], row["touches"]
                    known = answered.get(account, 0)
                    if touches > known:
                        answered[account] = touches
                        count += touches - known
                        seen.append((now, account, touches))
            if before < backlog <= count:
                print("caught up", flush=True)
    return seen


def main() -> None:
    """Observe, then write what was seen."""
    broker, topic, partitions, backlog, total, file = sys.argv[1:]
    seen = asyncio.run(observe(broker, topic, int(partitions), int(backlog), int(total)))
    Path(file).write_bytes(orjson.dumps(seen))


if __name__ == "__main__":
    main()
