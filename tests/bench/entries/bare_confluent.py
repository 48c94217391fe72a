"""The journey job as a loop by hand on confluent-kafka (librdkafka): the client works in threads of C.

What a run causes is handed over without waiting; several times a second everything is flushed and the offsets are
committed. It is one member for all partitions and restores nothing: less work than a service has.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.bench.cluster import PARTITIONS, client
from tests.bench.entries.folds import Pairs, create_changelog, work
from tests.bench.loops import COMMIT_EVERY_S, RUN_MAX

ENV = os.environ
SOURCE, OUTPUT, GROUP = ENV["BENCH_INPUT"], ENV["BENCH_OUTPUT"], ENV["BENCH_APP_ID"]
CHANGELOG = f"{GROUP}-changelog"
WAIT_S = 0.01
"""``consume`` waits for a full run or this long."""
FLUSH_S = 60.0


def refused(error: Any, _message: Any) -> None:
    """End at once: what is not written must not be committed."""
    if error is not None:
        print(f"not delivered: {error}", flush=True)
        os._exit(1)


def main() -> None:
    """Until killed."""
    broker = ENV["BENCH_BROKER"]
    fold = work()
    asyncio.run(create_changelog(broker, CHANGELOG))
    producer = Producer({
        **client(broker, acks="all", linger_ms=5, batch_size=512 << 10, batch_num_messages=10_000),
        "queue.buffering.max.messages": 500_000, "delivery.report.only.error": True, "on_delivery": refused,
    })  # fmt: skip
    consumer = Consumer({
        **client(broker, group_id=GROUP, enable_auto_commit=False, auto_offset_reset="earliest"),
        "check.crcs": False, "max.partition.fetch.bytes": 2 << 20,
    })  # fmt: skip
    consumer.assign([TopicPartition(SOURCE, partition) for partition in range(PARTITIONS)])
    positions: dict[int, int] = {}
    committed_at = time.monotonic()
    while True:
        runs: dict[int, Pairs] = {}
        for message in consumer.consume(RUN_MAX, WAIT_S):
            if message.error():
                raise KafkaException(message.error())
            partition: Any = message.partition()
            key: Any = message.key()
            value: Any = message.value()
            runs.setdefault(partition, []).append((key, value))
            positions[partition] = (message.offset() or 0) + 1
        for partition, records in runs.items():
            rows, state = fold(records)
            for topic, pairs in ((OUTPUT, rows), (CHANGELOG, state)):
                producer.produce_batch(topic, [{"key": k, "value": v} for k, v in pairs], partition)
        producer.poll(0)
        if positions and time.monotonic() - committed_at > COMMIT_EVERY_S:
            if producer.flush(FLUSH_S):
                raise SystemExit("the brokers do not acknowledge")
            offsets = [TopicPartition(SOURCE, partition, at) for partition, at in positions.items()]
            consumer.commit(offsets=offsets, asynchronous=False)
            positions.clear()
            committed_at = time.monotonic()


if __name__ == "__main__":
    main()
