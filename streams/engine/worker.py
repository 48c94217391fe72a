"""Runs an engine to its end, in this process, with signals and an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import Any

from streams.engine.app import EngineApp
from streams.engine.errors import EngineError
from streams.engine.fastpath import tune_interpreter

log = logging.getLogger(__name__)

CRASHED = 1
ABANDON_ROUNDS = 6
ABANDON_ROUND_S = 0.5


def run_worker(app: EngineApp) -> int:
    """Run until SIGTERM or SIGINT (0), or until something fails (1): then a supervisor should start it again."""
    tune_interpreter()
    return asyncio.run(serve(app))


async def serve(app: EngineApp, stop: asyncio.Event | None = None) -> int:
    """Run on this event loop until ``stop`` is set, a signal arrives, or the worker fails."""
    with app.quiet.installed():
        return await _serve(app, stop or asyncio.Event())


async def _serve(app: EngineApp, stop: asyncio.Event) -> int:
    loop, others = asyncio.get_running_loop(), asyncio.all_tasks()
    app.loop = loop
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    running = asyncio.create_task(_run(app))
    try:
        await asyncio.wait({stopping, running}, return_when=asyncio.FIRST_COMPLETED)
        clean = stop.is_set() and not running.done()
        if running.done():
            clean = False
            _explain(running.exception() or app.crash_reason)
        stopped = await _stop(app, running)
        if not stopped:
            await _abandon(others)
        return 0 if stopped and clean and app.crash_reason is None else CRASHED
    finally:
        stopping.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _run(app: EngineApp) -> None:
    """Ends when the application crashed, or could not start."""
    await app.prepare()
    await app.start()
    await app.wait_until_stopped()


async def _stop(app: EngineApp, running: asyncio.Task[None]) -> bool:
    """Stop within the deadline; False when it took too long."""
    if not app.started:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await running
        return True
    try:
        async with asyncio.timeout(app.settings.stop_deadline_s):
            await app.stop()
    except TimeoutError:
        log.error(
            "not stopped within %.0f s; what is not committed will be handled again",
            app.settings.stop_deadline_s,
        )
        return False
    return True


async def _abandon(others: set[asyncio.Task[Any]]) -> None:
    """End every task but ``others``. Some of Faust's and aiokafka's go on after one cancellation."""
    for _ in range(ABANDON_ROUNDS):
        left = asyncio.all_tasks() - others - {asyncio.current_task()}
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=ABANDON_ROUND_S)
    names = sorted({str(task.get_coro()) for task in left})
    log.critical("these do not end, so the process is ended: %s", ", ".join(names))
    logging.shutdown()
    os._exit(CRASHED)


def _explain(error: BaseException | None) -> None:
    if isinstance(error, EngineError):
        log.critical("the worker ends: %s", error)
    else:
        log.critical("the worker ends: %r", error, exc_info=error)
