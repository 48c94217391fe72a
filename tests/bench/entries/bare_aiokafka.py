"""The journey job as a loop by hand: the whole state of each account that a run touched goes to the changelog."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from streams.topics import TopicDeclaration, create_topics
from tests.bench.cluster import PARTITIONS
from tests.bench.job import State, fold, new_state
from tests.bench.loops import Loop, Message

ENV = os.environ
OUTPUT = ENV["BENCH_OUTPUT"]
CHANGELOG = f"{ENV['BENCH_APP_ID']}-changelog"


class Journey:
    """Live accounts."""

    def __init__(self) -> None:
        self.states: dict[bytes, State] = {}

    def work(self, records: Sequence[Any]) -> Iterator[Message]:
        """A row for each touch, then each changed account once."""
        changed: dict[bytes, State] = {}
        for record in records:
            key = record.key
            state = self.states.get(key)
            if state is None:
                state = self.states[key] = new_state()
            changed[key] = state
            row = fold(state, orjson.loads(record.value))
            yield Message(OUTPUT, record.partition, key, orjson.dumps(row))
        for key, state in changed.items():
            yield Message(CHANGELOG, records[0].partition, key, orjson.dumps(state))


async def main() -> None:
    """Until killed."""
    broker = ENV["BENCH_BROKER"]
    changelog = TopicDeclaration(CHANGELOG, {"cleanup.policy": "compact"})
    await create_topics(broker, [changelog], partitions=PARTITIONS)
    await Loop(broker, ENV["BENCH_APP_ID"], ENV["BENCH_INPUT"], PARTITIONS, Journey().work).run()


if __name__ == "__main__":
    asyncio.run(main())
