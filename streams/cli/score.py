"""``headwater score``: the whole computation offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.exits import InvalidInput
from streams.cli.options import ConfigOption, JsonOption, check_input, check_readable, settings_from
from streams.cli.output import print_json, print_table, progress

if TYPE_CHECKING:
    from streams.score import Summary
    from streams.settings import Settings

EXAMPLES = """
[bold]Examples[/bold]

headwater score touchpoints.ndjson leads.csv deals.parquet --out scored --final

headwater score events.ndjson.gz --out scored --as-of 2026-03-31T23:59:59Z

zcat archive/*.gz | headwater score - --topic touchpoints --format segment --out scored
"""


def score(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="NDJSON, CSV or Parquet; - is stdin.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for one <topic>.ndjson per output topic.")],
    as_of: Annotated[
        str | None,
        typer.Option(help="The view at this instant: RFC 3339 with offset, or epoch milliseconds."),
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="One line per live key instead of every version.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="Input format, see docs/formats.md.")] = "native",
    topic: Annotated[
        str | None,
        typer.Option(help="touchpoints, leads or deals, for lines and file names that do not say."),
    ] = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Compute credits, probabilities and alerts from files, without a broker.

    Lines are taken in the order of the files. A file's name begins with its topic (touchpoints, leads, deals), or
    each line says its topic. Lines that cannot be used go to dead-letters.ndjson and the exit code is 3.
    """
    from time import perf_counter

    instant = instant_of(as_of)
    check_input(form, topic)
    settings = settings_from(config)
    began = perf_counter()
    summary = compute(settings, files, out, instant, form, topic, final=final)
    _print(summary, perf_counter() - began, out, json_output)
    if summary.quarantined:
        raise InvalidInput(
            f"{summary.quarantined} accounts have no complete answers, since their facts made the computation fail: "
            "report this as a defect"
        )
    if summary.dead_letters:
        raise InvalidInput(
            f"{summary.dead_letters} of {summary.lines} lines could not be used: see {out / 'dead-letters.ndjson'}"
        )


def instant_of(as_of: str | None) -> int | None:
    """``--as-of`` in milliseconds. Raises BadParameter."""
    from schemas.times import instant

    if as_of is None:
        return None
    try:
        return instant(as_of)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--as-of") from None


def compute(
    settings: Settings, files: list[str], out: Path, as_of: int | None, form: str, topic: str | None, *,
    final: bool = False, doing: str = "scoring",
) -> Summary:  # fmt: skip
    """Score files into a folder, with progress. Raises OSError, FileUnreadable."""
    from streams.clock import now_ms
    from streams.compose import offline_service
    from streams.files import read_lines
    from streams.score import Scorer

    check_readable(files)  # before the outputs of an earlier run are overwritten
    scorer = Scorer(offline_service(settings, now_ms(), form, as_of), out, final=final)
    sizes = [Path(file).stat().st_size for file in files if file != "-" and Path(file).exists()]
    try:
        with progress(doing, sum(sizes) if len(sizes) == len(files) else None) as advance:
            for file in files:
                for line in read_lines(
                    file, kind=topic, form=form, max_bytes=settings.topics.max_message_bytes
                ):
                    scorer.feed(line)
                    advance(len(line.raw) + 1)
        return scorer.finish(as_of)
    finally:
        scorer.close()


def _print(summary: Summary, seconds: float, out: Path, json_output: bool) -> None:
    if json_output:
        names = ("lines", "facts", "duplicates", "bots", "after_as_of", "erased")
        counts = {name: getattr(summary, name) for name in names}
        print_json({
            **counts,
            "dead_letters": summary.dead_letters,
            "quarantined": summary.quarantined,
            "codes": dict(summary.codes),
            "rows": dict(summary.rows),
            "as_of_ms": summary.as_of_ms,
            "seconds": round(seconds, 3),
        })  # fmt: skip
        return
    rows: list[tuple[str, object]] = [
        ("lines read", summary.lines),
        ("facts", summary.facts),
        ("duplicates", summary.duplicates),
        ("bots", summary.bots),
        ("after --as-of", summary.after_as_of),
        *([("of erased people", summary.erased)] if summary.erased else []),
        ("dead letters", summary.dead_letters),
        *([("quarantined accounts", summary.quarantined)] if summary.quarantined else []),
        *((f"  {code}", count) for code, count in sorted(summary.codes.items())),
        *((f"{topic}.ndjson", count) for topic, count in summary.rows.items()),
        ("seconds", f"{seconds:.1f}"),
    ]
    print_table((f"{out}", ""), rows, right=("",))
