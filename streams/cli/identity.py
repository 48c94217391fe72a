"""``headwater identity``: what of identity is in doubt in files, and what that holds back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.exits import InvalidInput
from streams.cli.options import ConfigOption, JsonOption, check_input, check_readable, settings_from
from streams.cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.identity_check import Held, Report
    from streams.settings import Settings

app = typer.Typer(
    help="Whose events are whose, and what is in doubt.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)

EXAMPLES = """
[bold]Examples[/bold]

headwater identity check touchpoints.ndjson leads.csv deals.parquet

headwater identity check events.ndjson.gz --json

zcat archive/*.gz | headwater identity check - --topic touchpoints --format segment
"""
LONGEST = 40
"""Rows of one table; the rest is counted. --json has all."""
NOTHING = "nothing"


@app.callback()
def identity() -> None:
    """Whose events are whose, and what is in doubt."""


@app.command("check", epilog=EXAMPLES)
def check(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="NDJSON, CSV or Parquet; - is stdin.")
    ],
    form: Annotated[str, typer.Option("--format", help="Input format of the files.")] = "native",
    topic: Annotated[
        str | None,
        typer.Option(help="touchpoints, leads or deals, for lines and file names that do not say."),
    ] = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Report ambiguous domains, shared devices, refused merges, and what they hold back.

    Reads files as score does, and writes nothing. Nothing in doubt: exit code 0. Something to look at: 3.
    """
    check_input(form, topic)
    settings = settings_from(config)
    check_readable(files)
    report = _run(settings, files, form, topic)
    if json_output:
        print_json(report.to_json())
    else:
        _Layout(report, _exponents(settings)).print()
    if report.doubts:
        raise InvalidInput(
            "to look at: " + ", ".join(f"{name} ({number:,})" for name, number in report.doubts.items())
        )


def _exponents(settings: Settings) -> Mapping[str, int]:
    from streams.settings import core_config

    return core_config(settings).currency_exponents


def _run(settings: Settings, files: list[str], form: str, topic: str | None) -> Report:
    from streams.clock import now_ms
    from streams.compose import offline_service
    from streams.files import read_lines
    from streams.identity_check import Check
    from streams.settings import core_config

    service = offline_service(settings, now_ms(), form)
    checked = Check(service, core_config(settings), settings.identity.max_links)
    sizes = [Path(file).stat().st_size for file in files if file != "-"]
    with progress("checking", sum(sizes) if len(sizes) == len(files) else None) as advance:
        for file in files:
            for line in read_lines(file, kind=topic, form=form, max_bytes=settings.topics.max_message_bytes):
                checked.feed(line)
                advance(len(line.raw) + 1)
    return checked.finish()


class _Layout:
    """A report being printed."""

    def __init__(self, report: Report, exponents: Mapping[str, int]) -> None:
        self.report, self.exponents = report, exponents

    def print(self) -> None:
        """Section by section; those with nothing in them are left out."""
        from streams.cli.explain_words import count

        report = self.report
        refused = f", {report.refused:,} refused: `headwater score` says why" if report.refused else ""
        accounts = count(report.accounts, "account")
        typer.echo(f"{count(report.lines, 'line')} read{refused}; {accounts} with facts")
        self._ambiguous()
        self._shared()
        self._circles()
        self._strangers()
        self._free()
        self._waiting()
        if not report.doubts:
            typer.echo("\nNothing is in doubt.")

    def _ambiguous(self) -> None:
        from streams.cli.explain_words import when

        rows: list[Sequence[object]] = []
        for each in self.report.ambiguous:
            for number, claim in enumerate(each.claims):
                first = (each.domain, self._held(each.held)) if not number else ("", "")
                rows.append((first[0], claim.account_id, when(claim.at), claim.event, first[1]))
        columns = ("domain", "claimed by", "since (UTC)", "event", "holds")
        self._section("Ambiguous domains: merge the accounts, or take claims away", columns, rows)

    def _shared(self) -> None:
        from streams.explain_identity import named
        from streams.identity_check import NAMES

        rows = []
        for each in self.report.shared:
            seen = ", ".join(f"{len(found):,} {NAMES[kind]}" for kind, found in sorted(each.partners.items()))
            rows.append((named(each.identifier), seen, each.limit, each.facts, self._held(each.held)))
        columns = ("identifier", "seen with", "limit", "facts", "in no company's account")
        self._section("Shared identifiers: their links are void (identity.max_links)", columns, rows)

    def _circles(self) -> None:
        from streams.cli.explain_words import when

        rows = [(e.account_id, e.into_account_id, when(e.at), e.event) for e in self.report.circles]
        columns = ("account", "into", "when (UTC)", "event")
        self._section("Merges that would close a circle: ignored", columns, rows)

    def _strangers(self) -> None:
        from streams.cli.explain_words import when
        from streams.explain_identity import named

        rows = [(when(e.at), e.event, ", ".join(map(named, e.identifiers))) for e in self.report.strangers]
        columns = ("when (UTC)", "event", "of")
        self._section("Erasures of somebody of whom nothing was known", columns, rows)

    def _free(self) -> None:
        rows = []
        for domain, accounts in self.report.free_domains.items():
            more = f" and {len(accounts) - 5:,} more" if len(accounts) > 5 else ""
            rows.append((domain, ", ".join(accounts[:5]) + more))
        columns = ("domain", "claimed by")
        self._section("Free-mail and disposable domains claimed: in vain", columns, rows)

    def _waiting(self) -> None:
        report = self.report
        rows = [
            (f"visitors nobody knows: {report.visitors:,}", self._held(report.unclaimed)),
            ("leads without any account", self._held(report.leads)),
            ("ambiguous domains and shared identifiers", self._held(report.held)),
        ]
        self._section("What is held back", ("by", "what"), [row for row in rows if row[1] != NOTHING])

    def _held(self, held: Held) -> str:
        from revenue_core.explain_facts import major
        from streams.cli.explain_words import count

        parts = [count(held.touches, "touch", "es")] if held.touches else []
        parts += [count(len(held.leads), "lead")] if held.leads else []
        amounts = [major(amount, currency, self.exponents) for currency, amount in held.amounts().items()]
        parts += [f"{count(len(held.deals), 'deal')} ({', '.join(amounts)})"] if held.deals else []
        return ", ".join(parts) or NOTHING

    def _section(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        if not rows:
            return
        typer.echo(f"\n{title}")
        print_table(columns, rows[:LONGEST])
        if len(rows) > LONGEST:
            typer.echo(f"and {len(rows) - LONGEST:,} more: --json shows all")
