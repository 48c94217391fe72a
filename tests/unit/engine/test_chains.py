from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from streams.engine.chains import Chain


class Recorder:
    """Effects of numbered runs on one chain; keeps what happened, in order."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.errors: list[BaseException] = []
        self.chain = Chain(self.errors.append)
        self.outputs: dict[int, asyncio.Future[None]] = {}
        self.states: dict[int, asyncio.Future[None]] = {}

    def add(self, run: int) -> None:
        loop = asyncio.get_running_loop()
        self.outputs[run], self.states[run] = loop.create_future(), loop.create_future()

        def append() -> list[Awaitable[None]]:
            self.happened.append(f"state {run}")
            return [self.states[run]]

        self.chain.add([self.outputs[run]], lambda: None, append, lambda: self.happened.append(f"done {run}"))

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_state_waits_for_the_outputs_and_done_for_the_state() -> None:
    recorder = Recorder()
    recorder.add(1)
    await recorder.settle()
    assert recorder.happened == []
    recorder.outputs[1].set_result(None)
    await recorder.settle()
    assert recorder.happened == ["state 1"]
    recorder.states[1].set_result(None)
    await recorder.settle()
    assert recorder.happened == ["state 1", "done 1"]


async def test_state_never_overtakes_the_run_before() -> None:
    recorder = Recorder()
    recorder.add(1)
    recorder.add(2)
    recorder.outputs[2].set_result(None)
    await recorder.settle()
    assert recorder.happened == []
    recorder.outputs[1].set_result(None)
    await recorder.settle()
    assert recorder.happened == ["state 1", "state 2"]


async def test_the_next_state_does_not_wait_for_the_acknowledgement_of_the_one_before() -> None:
    recorder = Recorder()
    for run in (1, 2):
        recorder.add(run)
        recorder.outputs[run].set_result(None)
    await recorder.settle()
    recorder.states[2].set_result(None)
    await recorder.settle()
    assert recorder.happened == ["state 1", "state 2", "done 2"]


@pytest.mark.parametrize("stage", ["outputs", "states"])
async def test_nothing_completes_after_a_failure(stage: str) -> None:
    recorder = Recorder()
    recorder.add(1)
    recorder.add(2)
    if stage == "states":
        recorder.outputs[1].set_result(None)
    await recorder.settle()
    getattr(recorder, stage)[1].set_exception(ConnectionError("gone"))
    recorder.outputs[2].set_result(None)
    await recorder.settle()
    recorder.states[2].set_result(None)
    await recorder.settle()
    assert not [what for what in recorder.happened if what.startswith("done")]
    assert [str(error) for error in recorder.errors] == ["gone"]


async def test_idle_waits_for_everything_under_way() -> None:
    recorder = Recorder()
    recorder.add(1)
    idle = asyncio.create_task(recorder.chain.idle())
    recorder.outputs[1].set_result(None)
    await recorder.settle()
    assert not idle.done()
    recorder.states[1].set_result(None)
    await asyncio.wait_for(idle, 1.0)
    assert len(recorder.chain) == 0
