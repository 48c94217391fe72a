from __future__ import annotations

import asyncio

import pytest

from streams.engine.pacing import PacedFetches

PACE_S = 0.01


class Fetcher:
    """Notes when each fetch goes out; each answer brings what the test says."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.taken = 0
        PacedFetches(self, PACE_S, 100, lambda: self.taken)

    async def _proc_fetch_request(self, assignment: object, node_id: int, request: object) -> bool:
        self.sent.append(asyncio.get_running_loop().time())
        return True

    async def gap(self, taken: int) -> float:
        """Between two fetches, of which the first one brought so many records."""
        await self._proc_fetch_request(None, 1, None)
        self.taken += taken
        await self._proc_fetch_request(None, 1, None)
        return self.sent[-1] - self.sent[-2]


async def test_a_fetch_behind_a_small_one_waits_for_more() -> None:
    assert await Fetcher().gap(3) >= PACE_S * 0.9


@pytest.mark.parametrize("taken", [0, 100])
async def test_nothing_waits_behind_an_empty_fetch_or_a_full_one(taken: int) -> None:
    fetcher = Fetcher()
    assert min([await fetcher.gap(taken) for _ in range(5)]) < PACE_S * 0.9


async def test_brokers_are_paced_apart() -> None:
    fetcher = Fetcher()
    await fetcher._proc_fetch_request(None, 1, None)
    fetcher.taken += 3
    sent = len(fetcher.sent)
    waiting = asyncio.create_task(fetcher._proc_fetch_request(None, 1, None))
    await fetcher._proc_fetch_request(None, 2, None)
    assert len(fetcher.sent) == sent + 1
    assert await waiting


async def test_a_fetch_that_nobody_wants_any_more_is_not_sent() -> None:
    fetcher = Fetcher()
    await fetcher._proc_fetch_request(None, 1, None)
    fetcher.taken += 3
    waiting = asyncio.create_task(fetcher._proc_fetch_request(None, 1, None))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await waiting is False
    assert len(fetcher.sent) == 1
