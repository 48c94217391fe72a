"""What the loops by hand do with a run of the journey job: a row for each touch, then each changed account.

BENCH_STATE chooses how an account is kept: ``json``, the whole of it as JSON, or ``compact``, in the layout of the
engine's entry (``tests/bench/journey/state.py``).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable

import orjson

from streams.topics import TopicDeclaration, create_topics
from tests.bench.cluster import PARTITIONS
from tests.bench.job import State, fold, new_state
from tests.bench.journey.state import Account

Pairs = list[tuple[bytes, bytes]]
Work = Callable[[Iterable[tuple[bytes, bytes]]], tuple[Pairs, Pairs]]
"""(key, value) of a run of one partition -> (key, value) of the rows, and of the changelog records."""

GC_THRESHOLD = 50_000
"""Of the youngest generation: the least that any worker of this kind sets, and the engine does too."""


def work() -> Work:
    """The fold that the environment names, with no account yet."""
    gc.set_threshold(GC_THRESHOLD)
    return {"json": JsonAccounts().work, "compact": CompactAccounts().work}[os.environ["BENCH_STATE"]]


async def create_changelog(broker: str, name: str) -> None:
    """The compacted topic."""
    await create_topics(
        broker, [TopicDeclaration(name, {"cleanup.policy": "compact"})], partitions=PARTITIONS
    )


class JsonAccounts:
    """Live accounts as JSON stands for them."""

    def __init__(self) -> None:
        self.states: dict[bytes, State] = {}

    def work(self, records: Iterable[tuple[bytes, bytes]]) -> tuple[Pairs, Pairs]:
        """Fold a run."""
        changed: dict[bytes, State] = {}
        rows: Pairs = []
        loads, dumps = orjson.loads, orjson.dumps
        for key, value in records:
            state = self.states.get(key)
            if state is None:
                state = self.states[key] = new_state()
            changed[key] = state
            rows.append((key, dumps(fold(state, loads(value)))))
        return rows, [(key, dumps(state)) for key, state in changed.items()]


class CompactAccounts:
    """Live accounts as bytes that are appended to."""

    def __init__(self) -> None:
        self.accounts: dict[bytes, Account] = {}

    def work(self, records: Iterable[tuple[bytes, bytes]]) -> tuple[Pairs, Pairs]:
        """Fold a run."""
        changed: dict[bytes, Account] = {}
        rows: Pairs = []
        loads, dumps = orjson.loads, orjson.dumps
        for key, value in records:
            account = self.accounts.get(key)
            if account is None:
                account = self.accounts[key] = Account()
            changed[key] = account
            rows.append((key, dumps(account.apply(loads(value)))))
        state: list[tuple[bytes, bytes | None]] = []
        for key, account in changed.items():
            account.dump(key, state)
        return rows, [(key, value) for key, value in state if value is not None]
