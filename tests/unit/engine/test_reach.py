"""When brokers count as away: clients that are asked and do not answer, by a clock of the test's own."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from streams.engine.reach import AWAY_AFTER_S, REMIND_S, Reach


class Client:
    """An aiokafka client, as far as it is looked at: one connection, and an answer or none to a question."""

    def __init__(self, clock: list[float]) -> None:
        self.clock, self.answers, self.asked = clock, False, 0
        self.connection = SimpleNamespace(_last_action=clock[0])
        self._conns: dict[Any, Any] = {("node", 0): self.connection}

    async def fetch_all_metadata(self) -> object:
        self.asked += 1
        if not self.answers:
            raise OSError("refused")
        return object()


class Watched:
    """A reach that is looked at every second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.said = [1_000.0], list[str]()
        monkeypatch.setattr("streams.engine.reach.monotonic", lambda: self.clock[0])
        self.client = Client(self.clock)
        self.reach = Reach(lambda: [self.client], self.said.append)

    async def pass_time(self, seconds: int, *, heard: bool = False) -> None:
        for _ in range(seconds):
            self.clock[0] += 1.0
            if heard:
                self.client.connection._last_action = self.clock[0]
            self.reach.look()
            await asyncio.sleep(0)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


async def test_brokers_that_answer_are_not_asked(watched: Watched) -> None:
    await watched.pass_time(60, heard=True)
    assert not watched.reach.away
    assert watched.client.asked == 0
    assert watched.said == []


async def test_silence_because_nothing_was_due_ends_with_the_answer_to_a_question(watched: Watched) -> None:
    watched.client.answers = True
    await watched.pass_time(60)
    assert not watched.reach.away
    assert watched.client.asked > 0
    assert watched.said == []


async def test_an_outage_is_one_line_a_reminder_a_minute_and_one_line_at_its_end(watched: Watched) -> None:
    await watched.pass_time(int(AWAY_AFTER_S) - 1)
    assert watched.reach.silent_s() == 0.0
    await watched.pass_time(2)
    assert watched.reach.away
    assert watched.reach.silent_s() == AWAY_AFTER_S + 1
    assert len(watched.said) == 1
    await watched.pass_time(int(REMIND_S) - 2)
    assert len(watched.said) == 1
    await watched.pass_time(2)
    assert len(watched.said) == 2
    await watched.pass_time(1, heard=True)
    assert not watched.reach.away
    assert watched.reach.silent_s() == 0.0
    assert watched.said[-1].startswith("brokers answer again, after 67 s")
    assert len(watched.said) == 3


async def test_a_process_that_was_frozen_does_not_blame_the_brokers(watched: Watched) -> None:
    await watched.pass_time(2, heard=True)
    watched.clock[0] += 40.0
    assert watched.reach.silent_s() == 0.0
    await watched.pass_time(1)
    assert not watched.reach.away
    assert watched.said == []
