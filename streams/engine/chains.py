"""The order of effects, for each slice of an agent: outputs, those after them, then state, then the input offset.

Runs overlap, but none overtakes: a run's state records are appended when its outputs are acknowledged and the
state records of the run before it are appended; the producer keeps appended batches of one partition in order. A
run is done when its state is acknowledged and the run before it is done.

No tasks and no futures: a worker of many small runs would spend its time on them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from streams.engine.batches import Delivery

Deliveries = Sequence[Delivery]


class _Step:
    """A run's effects on their way."""

    __slots__ = ("append_state", "appended", "done", "outputs_acked", "told", "waiting")

    def __init__(
        self,
        waiting: int,
        outputs_acked: Callable[[], Deliveries],
        append_state: Callable[[], Deliveries],
        done: Callable[[], None],
    ) -> None:
        self.waiting = waiting
        """Batches to be acknowledged: of the outputs, and of the state once it is appended."""
        self.outputs_acked, self.append_state, self.done = outputs_acked, append_state, done
        self.told = False
        """Whether ``outputs_acked`` has been called."""
        self.appended = False


class Chain:
    """Effects under way for one slice. ``failed`` gets the first error; nothing completes after it."""

    __slots__ = ("_again", "_appended", "_busy", "_failed", "_idle", "_steps", "broken", "holding", "owing")

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._steps: deque[_Step] = deque()
        self._appended = 0
        """How many of the first steps have appended their state."""
        self._busy = self._again = False
        self._idle: list[asyncio.Future[None]] = []
        self.broken = False
        self.owing: list[Callable[[], None]] = []
        """What to call for held runs that are done, when something pays for them."""
        self.holding = False
        """Whether the last run is held: then nothing is under way that pays for it."""

    def __len__(self) -> int:
        return len(self._steps)

    def add(
        self,
        outputs: Deliveries,
        outputs_acked: Callable[[], Deliveries],
        append_state: Callable[[], Deliveries],
        done: Callable[[], None],
    ) -> None:
        """Carry on with a run whose outputs were just appended.

        ``outputs_acked`` may append further outputs, which are waited for likewise, and returns them.
        ``append_state`` is called when it is the run's turn and returns what to wait for; ``done`` is called when
        that is acknowledged and the run before is done, never after a failure of this run or an earlier one of the
        slice. Where nothing is to be waited for, both are called before this returns.
        """
        step = _Step(len(outputs), outputs_acked, append_state, done)
        self._steps.append(step)
        if not outputs:
            self._outputs_acked(step)
            return
        for delivery in outputs:
            delivery.then(partial(self._acknowledged, step))

    def pay(self) -> None:
        """Release the held runs; to be called as, or in, the ``done`` of what pays for those before it."""
        owing, self.owing = self.owing, []
        for release in owing:
            release()

    def _acknowledged(self, step: _Step, delivery: Delivery) -> None:
        if delivery.error is not None:
            self._break(delivery.error)
            return
        step.waiting -= 1
        if step.waiting:
            return
        if step.told:
            self._go_on()
        else:
            self._outputs_acked(step)

    def _outputs_acked(self, step: _Step) -> None:
        if self.broken:
            return
        step.told = True
        try:
            further = step.outputs_acked()
        except Exception as error:
            self._break(error)
            return
        step.waiting = len(further)
        for delivery in further:
            delivery.then(partial(self._acknowledged, step))
        if not further:
            self._go_on()

    def _go_on(self) -> None:
        """Append the state of every run whose turn it is, and finish those that are at the head and done."""
        self._again = True
        if self._busy:  # called back from what it called: the loop below looks again
            return
        self._busy = True
        try:
            while self._again and not self.broken:
                self._again = False
                self._append_states()
                self._finish()
        except Exception as error:
            self._break(error)
        finally:
            self._busy = False
        if not self._steps:
            self._wake()

    def _append_states(self) -> None:
        while self._appended < len(self._steps) and not self.broken:
            step = self._steps[self._appended]
            if step.waiting or not step.told:
                return
            deliveries = step.append_state()
            step.appended, step.waiting = True, len(deliveries)
            self._appended += 1
            for delivery in deliveries:
                delivery.then(partial(self._acknowledged, step))

    def _finish(self) -> None:
        while self._appended and not self._steps[0].waiting and not self.broken:
            step = self._steps.popleft()
            self._appended -= 1
            step.done()

    def _break(self, error: BaseException) -> None:
        if not self.broken:
            self.broken = True
            self._steps.clear()
            self._appended = 0
            self._failed(error)
            self._wake()

    def _wake(self) -> None:
        for future in self._idle:
            if not future.done():
                future.set_result(None)
        self._idle.clear()

    async def idle(self) -> None:
        """Wait until nothing is under way, or something failed."""
        while self._steps:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(future)
            await future
