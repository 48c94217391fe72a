from __future__ import annotations

import asyncio

import pytest

from streams.engine.batches import Delivery
from streams.engine.chains import Chain


class Recorder:
    """Effects of numbered runs on one chain; keeps what happened, in order."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.errors: list[BaseException] = []
        self.chain = Chain(self.errors.append)
        self.outputs: dict[int, Delivery] = {}
        self.states: dict[int, Delivery] = {}

    def add(self, run: int, *, settled: bool = False) -> None:
        self.outputs[run], self.states[run] = Delivery(0.0), Delivery(0.0)
        if settled:
            self.outputs[run].settle(1)
            self.states[run].settle(1)

        def append() -> list[Delivery]:
            self.happened.append(f"state {run}")
            return [self.states[run]]

        self.chain.add([self.outputs[run]], list, append, lambda: self.happened.append(f"done {run}"))


async def test_state_waits_for_the_outputs_and_done_for_the_state() -> None:
    recorder = Recorder()
    recorder.add(1)
    assert recorder.happened == []
    recorder.outputs[1].settle(7)
    assert recorder.happened == ["state 1"]
    recorder.states[1].settle(7)
    assert recorder.happened == ["state 1", "done 1"]


async def test_outputs_that_come_after_the_others_are_written_once_those_are_acknowledged() -> None:
    recorder = Recorder()
    first, second = Delivery(0.0), Delivery(0.0)

    def further() -> list[Delivery]:
        recorder.happened.append("after")
        return [second]

    def state() -> list[Delivery]:
        recorder.happened.append("state")
        return []

    recorder.chain.add([first], further, state, lambda: recorder.happened.append("done"))
    assert recorder.happened == []
    first.settle(7)
    assert recorder.happened == ["after"]
    second.settle(7)
    assert recorder.happened == ["after", "state", "done"]


async def test_state_never_overtakes_the_run_before() -> None:
    recorder = Recorder()
    recorder.add(1)
    recorder.add(2)
    recorder.outputs[2].settle(7)
    assert recorder.happened == []
    recorder.outputs[1].settle(7)
    assert recorder.happened == ["state 1", "state 2"]


async def test_the_next_state_does_not_wait_for_the_acknowledgement_of_the_one_before() -> None:
    recorder = Recorder()
    for run in (1, 2):
        recorder.add(run)
        recorder.outputs[run].settle(7)
    recorder.states[2].settle(7)
    assert recorder.happened == ["state 1", "state 2"]


async def test_runs_are_done_in_their_order() -> None:
    recorder = Recorder()
    for run in (1, 2, 3):
        recorder.add(run)
        recorder.outputs[run].settle(7)
    recorder.states[2].settle(7)
    recorder.states[1].settle(7)
    assert recorder.happened == ["state 1", "state 2", "state 3", "done 1", "done 2"]


async def test_what_needs_no_waiting_is_done_at_once() -> None:
    recorder = Recorder()
    recorder.chain.add([], list, list, lambda: recorder.happened.append("done"))
    recorder.add(2, settled=True)
    assert recorder.happened == ["done", "state 2", "done 2"]
    assert len(recorder.chain) == 0


async def test_a_run_may_be_added_by_the_end_of_another() -> None:
    recorder = Recorder()
    recorder.chain.add([], list, list, lambda: recorder.add(2, settled=True))
    assert recorder.happened == ["state 2", "done 2"]


@pytest.mark.parametrize("stage", ["outputs_acked", "append_state", "done"])
async def test_an_error_of_what_is_called_breaks_the_chain(stage: str) -> None:
    recorder = Recorder()

    def fail() -> list[Delivery]:
        raise ValueError(stage)

    calls = {"outputs_acked": list, "append_state": list, "done": lambda: None, stage: fail}
    recorder.chain.add([], **calls)  # type: ignore[arg-type]
    recorder.add(2, settled=True)
    assert [str(error) for error in recorder.errors] == [stage]
    assert recorder.happened == []


@pytest.mark.parametrize("stage", ["outputs", "states"])
async def test_nothing_completes_after_a_failure(stage: str) -> None:
    recorder = Recorder()
    recorder.add(1)
    recorder.add(2)
    if stage == "states":
        recorder.outputs[1].settle(7)
    getattr(recorder, stage)[1].settle(None, ConnectionError("gone"))
    recorder.outputs[2].settle(7)
    recorder.states[2].settle(7)
    assert not [what for what in recorder.happened if what.startswith("done")]
    assert [str(error) for error in recorder.errors] == ["gone"]


async def test_idle_waits_for_everything_under_way() -> None:
    recorder = Recorder()
    recorder.add(1)
    idle = asyncio.create_task(recorder.chain.idle())
    recorder.outputs[1].settle(7)
    await asyncio.sleep(0)
    assert not idle.done()
    recorder.states[1].settle(7)
    await asyncio.wait_for(idle, 1.0)
    assert len(recorder.chain) == 0


async def test_idle_waits_for_nothing_that_is_broken() -> None:
    recorder = Recorder()
    recorder.add(1)
    recorder.add(2)
    idle = asyncio.create_task(recorder.chain.idle())
    await asyncio.sleep(0)
    recorder.outputs[1].settle(None, ConnectionError("gone"))
    await asyncio.wait_for(idle, 1.0)
