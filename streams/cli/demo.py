"""``headwater demo``: the whole product on this machine, with believable traffic."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.demo_layout import Screen, print_summary
from streams.cli.exits import Failure
from streams.cli.options import JsonOption
from streams.cli.output import print_json_line, quiet_clients

if TYPE_CHECKING:
    from streams.demo import Demo

EXAMPLES = """
[bold]Examples[/bold]

headwater demo

headwater demo --once --events 20000

headwater demo --once --events 20000 --json | jq .conservation_ok

headwater demo --rate 2000 --duration 60
"""
USUAL = 100_000
"""Nine months of about 2,500 companies; a few minutes at the usual rate."""
USUAL_ONCE = 20_000
USUAL_RATE = 400.0


def demo(
    events: Annotated[int | None, typer.Option(min=1, help="How many; 100000, with --once 20000.")] = None,
    seed: Annotated[
        int, typer.Option(help="Another seed, another world; the same one ends each week anew.")
    ] = 1,
    duration: Annotated[float | None, typer.Option(min=0, help="Stop after so many seconds.")] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0, help="Events per second; 0 is as fast as possible, the default with --once."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when all events are processed, and check the sums.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Start a broker, topics and a worker, feed them months of journeys, and show what comes out.

    The journeys end at the last Thursday, 0:00 UTC: until the next one the same seed gives the same events, after it
    the same ones a week later. Needs no service and leaves nothing behind. Ends with Ctrl-C, or with --once by
    itself: exit code 1 when a check failed, 130 when it was interrupted.
    """
    from streams.demo import DemoFailed, started

    quiet_clients()
    # the welcome says itself that the broker is for development
    logging.getLogger("streams.embedded").setLevel(logging.ERROR)
    amount = events or (USUAL_ONCE if once else USUAL)
    pace = rate if rate is not None else (0.0 if once else USUAL_RATE)

    async def run() -> dict[str, Any] | None:
        try:
            async with started(amount, seed, pace) as running:
                screen = Screen(running, quiet=json_output)
                screen.welcome()
                if once:
                    return await _once(running, screen)
                await _live(running, screen, duration)
                return None
        except DemoFailed as error:
            raise Failure(str(error)) from None

    # asyncio takes Ctrl-C over only where it is not ignored, as it is for a job in a script's background
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    # to watch for as long as one likes is what the endless demo is for; one that was to end by itself did not
    with contextlib.suppress(*() if once else (KeyboardInterrupt,)):
        summary = asyncio.run(run())
        if summary is not None:
            _finish(summary, json_output)


async def _once(demo: Demo, screen: Screen) -> dict[str, Any]:
    began = monotonic()
    stop = asyncio.Event()
    watching = asyncio.create_task(demo.watch(screen.show, stop))
    await demo.feed()
    await demo.finished()
    stop.set()
    await watching
    return summarise(demo, monotonic() - began)


async def _live(demo: Demo, screen: Screen, duration: float | None) -> None:
    demo.tally.keep = False
    stop = asyncio.Event()
    tasks = [asyncio.create_task(demo.watch(screen.show, stop)), asyncio.create_task(demo.feed())]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(duration):
            await tasks[1]
            screen.say(f"[bold]all {demo.sent} events are sent[/bold]; Ctrl-C ends the demo")
            await tasks[0]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def summarise(demo: Demo, seconds: float) -> dict[str, Any]:
    """What happened, and whether it may be believed."""
    from revenue_core.attribution.models import model_names
    from revenue_core.config import CoreConfig
    from streams.score import conserved
    from streams.topology import PROBABILITIES

    tally = demo.tally
    broken = conserved(tally.live_credits(), model_names(CoreConfig()))
    handled = int(sum(demo.counted.values()))
    alerts = {f"{kind}_{status}": count for (kind, status), count in sorted(tally.alerts.items())}
    return {
        "events": demo.sent,
        "processed": handled,
        "processed_ok": handled == demo.sent,
        "credits": sum(1 for _ in tally.live_credits()),
        "credit_rows": tally.rows["attribution-credits"],
        "probability_rows": tally.rows[PROBABILITIES],
        "alerts": sum(tally.alerts.values()),
        "alerts_by_kind": alerts,
        "dead_letters": sum(tally.dead_letters.values()),
        "dead_letters_by_code": dict(sorted(tally.dead_letters.items())),
        "conversions": len({row["conversion_id"] for row in tally.live_credits()}),
        "conservation_ok": not broken,
        "broken": broken[:10],
        "seconds": round(seconds, 2),
    }


def _finish(summary: dict[str, Any], json_output: bool) -> None:
    if json_output:
        print_json_line(summary)
    else:
        print_summary(summary)
    if not summary["conservation_ok"]:
        raise Failure("credit does not sum to the whole: " + "; ".join(summary["broken"]))
    if not summary["processed_ok"]:
        raise Failure(f"{summary['events']} events were sent, {summary['processed']} were processed")
