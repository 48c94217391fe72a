"""``headwater demo``: the whole product on this machine, with believable traffic."""

from __future__ import annotations

import asyncio
import contextlib
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.exits import Failure
from streams.cli.options import JsonOption
from streams.cli.output import console, print_json_line

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
LINES_PER_S = 4
STATUS_EVERY_S = 5.0


def demo(
    events: Annotated[int | None, typer.Option(min=1, help="How many; 100000, with --once 20000.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another world.")] = 1,
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

    Needs no service and leaves nothing behind. Ends with Ctrl-C, or with --once by itself: exit code 1 when a
    check failed.
    """
    from streams.demo import DemoFailed, started

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

    with contextlib.suppress(KeyboardInterrupt):
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
        _print_summary(summary)
    if not summary["conservation_ok"]:
        raise Failure("credit does not sum to the whole: " + "; ".join(summary["broken"]))
    if not summary["processed_ok"]:
        raise Failure(f"{summary['events']} events were sent, {summary['processed']} were processed")


def _print_summary(summary: dict[str, Any]) -> None:
    def kinds(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in counts.items())

    out = console()
    out.rule("summary")
    out.print(f"events        {summary['events']:>9,}   processed {summary['processed']:,}")
    out.print(f"credits       {summary['credits']:>9,}   on {summary['conversions']:,} conversions")
    out.print(f"probabilities {summary['probability_rows']:>9,}   rows")
    out.print(f"alerts        {summary['alerts']:>9,}   {kinds(summary['alerts_by_kind'])}")
    out.print(f"dead letters  {summary['dead_letters']:>9,}   {kinds(summary['dead_letters_by_code'])}")
    verdict = "every conversion's credit sums to the whole, in every model"
    out.print(f"conservation  {'ok' if summary['conservation_ok'] else 'BROKEN':>9}   {verdict}")
    out.print(f"seconds       {summary['seconds']:>9}")


class Screen:
    """Lines for a person who watches: the more telling rows, a few a second, and a count now and then."""

    def __init__(self, demo: Demo, *, quiet: bool) -> None:
        self.demo, self.quiet = demo, quiet
        self.console = console()
        self.began = monotonic()
        self.next_line = self.next_status = 0.0
        self.credits_shown = 0

    def welcome(self) -> None:
        """Where everything listens."""
        if self.quiet:
            return
        brokers = self.demo.broker.address
        self.console.rule("headwater demo")
        self.console.print(f"broker   {brokers}   (embedded, for development)")
        self.console.print(f"worker   {self.demo.web}/metrics   {self.demo.web}/readyz")
        self.console.print(f"watch    headwater tail attribution-credits --brokers {brokers}")
        self.console.print("Months of journeys are being replayed; rows appear as they are computed.\n")
        self.next_status = monotonic() + STATUS_EVERY_S

    def say(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            self.console.print(text)

    def show(self, topic: str, row: dict[str, Any]) -> None:
        """Perhaps print a row."""
        if self.quiet:
            return
        now = monotonic()
        if now >= self.next_status:
            self.next_status = now + STATUS_EVERY_S
            self._status()
        line = self._line(topic, row) if now >= self.next_line or not self.credits_shown else None
        if line is not None:
            self.next_line = now + 1 / LINES_PER_S
            self.console.print(line)

    def _line(self, topic: str, row: dict[str, Any]) -> str | None:
        from rich.markup import escape

        if (
            topic == "attribution-credits"
            and row["conversion"] == "won"
            and row["position_based_amount_minor"]
        ):
            self.credits_shown += 1
            part, whole = row["position_based_amount_minor"], row["amount_minor"]
            money = f"{_money(part, row['currency'])} of {_money(whole, row['currency'])}"
            text = f"{row['channel']:<18} {money} for {row['conversion_id']} ({row['account_id']})"
            return f"[green]credit[/green]  {escape(text)}"
        if topic == "account-alerts" and row["status"] == "raised":
            why = row.get("reason") or row.get("deal_id") or row["last_touch_id"]
            return f"[yellow]alert[/yellow]   {escape(row['kind']):<18} {escape(row['account_id'])} {escape(why)}"
        if topic == "pipeline-probabilities" and row["subject_kind"] == "deal" and self.credits_shown % 2:
            value = _money(row["expected_value_minor"], row["currency"])
            self.credits_shown += 1
            return f"[cyan]chance[/cyan]  {row['p_win']:<18.0%} {value} expected, {escape(row['subject_id'])}"
        return None

    def _status(self) -> None:
        tally = self.demo.tally
        rows = " · ".join(f"{topic} {count:,}" for topic, count in sorted(tally.rows.items()))
        seconds = monotonic() - self.began
        dead = sum(tally.dead_letters.values())
        self.console.print(
            f"[dim]{seconds:5.0f} s   {self.demo.sent:,} events in · {rows} · dead letters {dead}[/dim]"
        )


def _money(minor: int, currency: str) -> str:
    from streams.reference_data import currency_exponents

    digits = currency_exponents().get(currency, 2)
    return f"{minor / 10**digits:,.{digits}f} {currency}"
