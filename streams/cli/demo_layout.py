"""What ``headwater demo`` prints: one line per row, made for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.cli.output import console
from streams.topology import ALERTS, CREDITS, PROBABILITIES

if TYPE_CHECKING:
    from streams.demo import Demo

LINES_PER_S = 4
LESSER_EVERY_S = 1.0
"""Rows that come in masses are shown at most so often, each kind, so that the rare ones have room."""
STATUS_EVERY_S = 5.0


class Shown(NamedTuple):
    """A row as a line. ``rare`` ones go before the others."""

    label: str
    style: str
    text: str
    rare: bool


def shown(topic: str, row: Mapping[str, Any]) -> Shown | None:
    """The line for a row of an output topic, None for rows that say nothing to a person who watches."""
    if topic == CREDITS and row["deal_id"] and row["position_based_amount_minor"] and not row["is_deleted"]:
        part = _money(row["position_based_amount_minor"], row["currency"])
        whole = f"{_money(row['amount_minor'], row['currency'])} {row['currency']}"
        where = row["conversion"].removeprefix("stage_entered:")
        text = f"{row['channel']:<16} {part:>10} of {whole:>14} {row['deal_id']} {where}"
        return Shown("credit", "green", text, row["conversion"] == "won")
    if topic == ALERTS and row["status"] == "raised":
        why = row.get("reason") or row.get("deal_id") or row["last_touch_id"]
        return Shown("alert", "yellow", f"{row['kind']:<16} {row['account_id']:<28} {why}", True)
    if topic == PROBABILITIES and row["subject_kind"] == "deal" and not row["is_deleted"]:
        value = f"{_money(row['expected_value_minor'], row['currency'])} {row['currency']}"
        deal_id = row["subject_id"].removeprefix("deal:")
        text = f"{row['p_win']:>4.0%} {'expected':>22}    {value:>14} {deal_id}"
        return Shown("chance", "cyan", text, False)
    return None


def print_summary(summary: Mapping[str, Any]) -> None:
    """The counts of a finished run, numbers below each other."""
    out = console()

    def line(name: str, value: object, more: str = "") -> None:
        out.print(f"{name:<28}{value:>10}  {more}".rstrip())

    def kinds(counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            line(f"  {name}", f"{count:,}")

    out.rule("summary")
    line("events", f"{summary['events']:,}", f"{summary['processed']:,} processed")
    line("credits", f"{summary['credits']:,}", f"on {summary['conversions']:,} conversions")
    line("probability rows", f"{summary['probability_rows']:,}")
    line("alerts", f"{summary['alerts']:,}")
    kinds(summary["alerts_by_kind"])
    line("dead letters", f"{summary['dead_letters']:,}")
    kinds(summary["dead_letters_by_code"])
    line("conservation", "ok" if summary["conservation_ok"] else "BROKEN", "credit sums to the whole")
    line("seconds", f"{summary['seconds']:.2f}")


class Screen:
    """Lines for a person who watches: the more telling rows, a few a second, and a count now and then."""

    def __init__(self, demo: Demo, *, quiet: bool) -> None:
        self.demo, self.quiet = demo, quiet
        self.console = console()
        self.began = monotonic()
        self.next_line = self.next_status = 0.0
        self.next_lesser: dict[str, float] = {}

    def welcome(self) -> None:
        """Where everything listens."""
        if self.quiet:
            return
        brokers, web = self.demo.broker.address, self.demo.web
        self.console.rule("headwater demo")
        self.say(f"broker   {brokers}   embedded, for development: records in memory")
        self.say(f"worker   {web}/metrics   {web}/readyz")
        self.say(f"watch    headwater tail attribution-credits --brokers {brokers}")
        self.say("Months of journeys are being replayed; rows appear as they are computed.\n")
        self.next_status = monotonic() + STATUS_EVERY_S

    def say(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            self.console.print(text, soft_wrap=True)

    def show(self, topic: str, row: Mapping[str, Any]) -> None:
        """Perhaps print a row."""
        if self.quiet:
            return
        now = monotonic()
        if now >= self.next_status:
            self.next_status = now + STATUS_EVERY_S
            self.say(f"[dim]{self.status(now)}[/dim]")
        line = shown(topic, row) if now >= self.next_line else None
        if line is None or not (line.rare or now >= self.next_lesser.get(line.label, 0.0)):
            return
        self.next_line = now + 1 / LINES_PER_S
        if not line.rare:
            self.next_lesser[line.label] = now + LESSER_EVERY_S
        self._print(line)

    def status(self, now: float) -> str:
        """Counts so far."""
        tally = self.demo.tally
        counts = (
            (self.demo.sent, 9, "events in"),
            (tally.rows[CREDITS], 9, "credits"),
            (tally.rows[ALERTS], 6, "alerts"),
            (sum(tally.dead_letters.values()), 5, "dead letters"),
        )
        return f"{now - self.began:5.0f} s " + " ".join(f"{n:>{width},} {what}" for n, width, what in counts)

    def _print(self, line: Shown) -> None:
        from rich.text import Text

        text = Text.assemble((f"{line.label:<7}", line.style), line.text)
        # a terminal gets one line per row; a file or pipe gets all of it
        self.console.print(
            text,
            no_wrap=True,
            overflow="ellipsis" if self.console.is_terminal else "ignore",
            crop=self.console.is_terminal,
        )


def _money(minor: int, currency: str) -> str:
    from streams.reference_data import currency_exponents

    digits = currency_exponents().get(currency, 2)
    return f"{minor / 10**digits:,.{digits}f}"
