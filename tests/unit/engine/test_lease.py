"""A worker that did not run for too long sends nothing more."""

from __future__ import annotations

import asyncio

import pytest

from streams.engine.lease import Lease, longest_pause_s


class Clock:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Remembers what it was asked to send."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, node: int, request: str, *, group: int = 0) -> int:
        self.sent.append(request)
        return node + group


class Ended(Exception):
    """In place of the end of the process."""


def lease(clock: Clock) -> Lease:
    def expired(seconds: float) -> None:
        raise Ended(seconds)

    found = Lease(4.5, expired, clock, lambda: 0.0)
    found.begin()
    return found


def test_the_longest_pause_is_the_session_less_one_and_a_half_heartbeats():
    assert longest_pause_s(10_000, 3_000) == 5.5


def test_a_pause_within_the_limit_is_none():
    clock = Clock()
    held = lease(clock)
    for _ in range(5):
        clock.now += 4.5
        held.check()


def test_a_longer_pause_ends_the_worker():
    clock = Clock()
    held = lease(clock)
    clock.now += 4.6
    with pytest.raises(Ended):
        held.check()


def test_a_pause_full_of_work_does_not_end_the_worker():
    def expired(seconds: float) -> None:
        raise Ended(seconds)

    clock = Clock()
    held = Lease(4.5, expired, clock, lambda: clock.now / 2)
    held.begin()
    clock.now += 20
    held.check()


def test_what_lies_before_the_beginning_does_not_count():
    clock = Clock()
    held = Lease(4.5, clock=clock)
    clock.now += 60
    held.check()
    held.begin()
    held.check()


async def test_nothing_is_sent_after_a_pause_that_was_too_long():
    clock, client = Clock(), Client()
    held = lease(clock)
    held.guard(client)
    assert await client.send(1, "before", group=2) == 3
    clock.now += 60
    with pytest.raises(Ended):
        await client.send(1, "after")
    assert client.sent == ["before"]


async def test_the_beat_keeps_the_lease_while_the_loop_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("streams.engine.lease.BEAT_S", 0.0)
    clock, rounds = Clock(), 0
    held = lease(clock)

    def stopped() -> bool:
        nonlocal rounds
        rounds += 1
        clock.now += 4.0
        return rounds > 10

    await asyncio.wait_for(held.beat(stopped), 5)
    assert rounds == 11
