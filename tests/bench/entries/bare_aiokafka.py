"""The journey job as a loop by hand on aiokafka."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Any

from tests.bench.cluster import PARTITIONS
from tests.bench.entries.folds import create_changelog, work
from tests.bench.loops import Loop, Message

ENV = os.environ
OUTPUT = ENV["BENCH_OUTPUT"]
CHANGELOG = f"{ENV['BENCH_APP_ID']}-changelog"


async def main() -> None:
    """Until killed."""
    fold = work()

    def written(records: Sequence[Any]) -> Iterator[Message]:
        rows, state = fold((record.key, record.value) for record in records)
        partition = records[0].partition
        for topic, pairs in ((OUTPUT, rows), (CHANGELOG, state)):
            for key, value in pairs:
                yield Message(topic, partition, key, value)

    await create_changelog(ENV["BENCH_BROKER"], CHANGELOG)
    await Loop(ENV["BENCH_BROKER"], ENV["BENCH_APP_ID"], ENV["BENCH_INPUT"], PARTITIONS, written).run()


if __name__ == "__main__":
    asyncio.run(main())
