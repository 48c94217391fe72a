"""The order of effects, for each slice of an agent: outputs, then state, then the input offset.

Runs overlap, but none overtakes: a run's state records are appended when its outputs are acknowledged and the
state records of the run before it are appended; the producer keeps appended batches of one partition in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

Acks = Sequence[Awaitable[object]]


class Chain:
    """Effects under way for one slice. ``failed`` gets the first error; nothing completes after it."""

    __slots__ = ("_failed", "_last_appended", "_tasks", "broken")

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._last_appended: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.broken = False

    def __len__(self) -> int:
        return len(self._tasks)

    def add(
        self,
        outputs: Acks,
        outputs_acked: Callable[[], None],
        append_state: Callable[[], Acks],
        done: Callable[[], None],
    ) -> None:
        """Carry on with a run whose outputs were just appended; returns at once.

        ``append_state`` is called when it is the run's turn and returns what to wait for; ``done`` is called when
        that is acknowledged, never after a failure, of this run or an earlier one of the slice.
        """
        before, appended = self._last_appended, asyncio.get_running_loop().create_future()
        self._last_appended = appended
        task = asyncio.create_task(self._carry(before, appended, outputs, outputs_acked, append_state, done))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def _carry(
        self,
        before: asyncio.Future[None] | None,
        appended: asyncio.Future[None],
        outputs: Acks,
        outputs_acked: Callable[[], None],
        append_state: Callable[[], Acks],
        done: Callable[[], None],
    ) -> None:
        try:
            for ack in outputs:
                await ack
            outputs_acked()
            if before is not None:
                await before
            if self.broken:
                return
            state = append_state()
            appended.set_result(None)
            for ack in state:
                await ack
            if not self.broken:
                done()
        except Exception as error:
            if not self.broken:
                self.broken = True
                self._failed(error)
        finally:
            if not appended.done():
                appended.cancel()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)
