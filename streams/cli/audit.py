"""``headwater audit``: what was answered live, recomputed from archived input and compared to the minor unit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli import exits
from streams.cli.options import (
    BrokersOption,
    ConfigOption,
    JsonOption,
    check_input,
    check_readable,
    settings_from,
)
from streams.cli.output import print_json, print_table, progress, quiet_clients
from streams.cli.score import compute, instant_of

if TYPE_CHECKING:
    from streams.audit import Found, Report
    from streams.settings import Settings

EXAMPLES = """
[bold]Examples[/bold]

headwater audit archive/*.ndjson --config headwater.yaml

headwater audit touchpoints.ndjson leads.csv deals.parquet --brokers broker:9092 --limit 100

zcat archive/*.gz | headwater audit - --config headwater.yaml --json
"""


def audit(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="The archived input, as score reads it; - is stdin."),
    ],
    as_of: Annotated[
        str | None, typer.Option(help="Leave later facts out: RFC 3339 with offset, or epoch milliseconds.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="Input format, see docs/formats.md.")] = "native",
    topic: Annotated[
        str | None,
        typer.Option(help="touchpoints, leads or deals, for lines and file names that do not say."),
    ] = None,
    restated: Annotated[
        bool, typer.Option("--restated", help="Compare what depends on learned parameters everywhere.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="Differences to show.")] = 20,
    config: ConfigOption = None,
    brokers: BrokersOption = None,
    json_output: JsonOption = False,
) -> None:
    """Recompute the answers from archived input and compare the live topics with them; exit 3 on any difference.

    Credits, probabilities, alerts, account journeys and funnel metrics: the highest version per key, up to where
    the topics ended when the audit began. Give the workers' --config and all the input that they have read.
    docs/audit.md says which columns are compared, and why not the others.
    """
    instant = instant_of(as_of)
    check_input(form, topic)
    settings = settings_from(config, brokers)
    check_readable(files)
    quiet_clients()
    report = _run(settings, files, instant, form, topic, restated=restated, limit=limit)
    if json_output:
        print_json(report.to_json())
    else:
        _show(report, settings)
    if not report.equal:
        raise typer.Exit(exits.INVALID)


def _run(
    settings: Settings, files: list[str], as_of: int | None, form: str, topic: str | None, *,
    restated: bool, limit: int,
) -> Report:  # fmt: skip
    from streams.audit import Report, compare
    from streams.audit_live import copy

    with TemporaryDirectory(prefix="headwater-audit-") as folder:
        live, recomputed = Path(folder, "live"), Path(folder, "recomputed")
        live.mkdir()
        snapshot = asyncio.run(copy(settings, live, progress))
        summary = compute(settings, files, recomputed, as_of, form, topic, doing="recomputing")
        report = Report(snapshot, summary)
        compare(live, recomputed, report, progress, restated=restated, limit=limit)
        return report


def _show(report: Report, settings: Settings) -> None:
    typer.echo(
        f"Live: the topics on {settings.kafka.brokers} up to these ends, as they were when the audit began"
    )
    ends = [
        (
            settings.topic(topic),
            sum(each.records for each in partitions.values()),
            " ".join(f"{number}:{each.end}" for number, each in sorted(partitions.items())),
        )
        for topic, partitions in report.snapshot.offsets.items()
    ]
    print_table(("topic", "records", "partition:end"), ends, right=("records",))
    summary = report.summary
    typer.echo(f"\nRecomputed: {summary.lines:,} lines, of which {summary.dead_letters:,} could not be used")
    if summary.quarantined:
        typer.echo(f"{summary.quarantined:,} accounts could not be computed: their facts made it fail")
    _show_counts(report)
    for place in report.snapshot.unreadable[:20]:
        typer.echo(f"No output row: {place}")
    for found in report.first:
        _show_difference(found)
    if report.differences > len(report.first):
        typer.echo(f"\nand {report.differences - len(report.first):,} more: --limit shows more of them")
    _show_sums(report)
    typer.echo("\nEqual." if report.equal else "\nThe live topics and the recomputation differ.")


def _show_counts(report: Report) -> None:
    columns = ("rows of", "equal", "different", "only live", "only recomputed", "in part")
    rows = [
        (topic, counts.equal, counts.different, counts.only_b, counts.only_a, report.left_out[topic])
        for topic, counts in report.topics.items()
    ]
    print_table(columns, rows, right=columns[1:])
    if any(report.left_out.values()):
        typer.echo("In part: without the columns that depend on other parameters or another instant.")
    versions = report.config_versions
    if versions.get("live") and versions["live"] != versions["recomputed"]:
        typer.echo(
            f"The live rows are of settings {', '.join(versions['live'])}, the recomputed ones of "
            f"{', '.join(versions['recomputed'])}: give the workers' --config."
        )


def _show_difference(found: Found) -> None:
    typer.echo(f"\n{found.topic} {found.key}")
    if found.version is not None:
        typer.echo(f"  live version {found.version}" + (f", cause {found.cause}" if found.cause else ""))
    if found.only:
        typer.echo(f"  only {found.only}")
        return
    rows = [(f"  {each.column}", _text(each.live), _text(each.recomputed)) for each in found.columns]
    print_table(("  column", "live", "recomputed"), rows)


def _show_sums(report: Report) -> None:
    if not report.sums:
        return
    from revenue_core.explain_facts import major
    from streams.reference_data import currency_exponents

    exponents = currency_exponents()
    typer.echo("\nMoney of the credits that differ")
    columns = ("conversion", "model", "live - recomputed", "differences without signs")
    rows = [
        (
            each["conversion"],
            each["model"],
            major(each["difference_minor"], each["currency"], exponents),
            major(each["moved_minor"], each["currency"], exponents),
        )
        for each in report.sums
    ]
    print_table(columns, rows, right=columns[2:])


def _text(value: object) -> str:
    return "(absent)" if value is None else str(value)
