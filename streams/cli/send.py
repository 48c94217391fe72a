"""``headwater send``: files to the source topics."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.exits import Failure, InvalidInput
from streams.cli.options import (
    BrokersOption,
    ConfigOption,
    JsonOption,
    check_input,
    check_readable,
    settings_from,
)
from streams.cli.output import Advance, print_json, progress, quiet_clients

if TYPE_CHECKING:
    from streams.sending import Report, Target
    from streams.settings import Settings

EXAMPLES = """
[bold]Examples[/bold]

headwater send touchpoints.ndjson leads.csv deals.parquet

headwater send touchpoints-*.ndjson.gz --rate 500 --state sent.json

tail -f events.ndjson | headwater send - --topic touchpoints

headwater send export.ndjson --topic touchpoints --format segment --json
"""
STOP_S = 5.0


def send(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="NDJSON, CSV or Parquet; - is stdin.")
    ],
    form: Annotated[str, typer.Option("--format", help="Input format, see docs/formats.md.")] = "native",
    topic: Annotated[
        str | None,
        typer.Option(help="touchpoints, leads or deals, for lines and file names that do not say."),
    ] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Messages per second, at most.")] = None,
    state: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Remember here what is acknowledged, and go on from there."),
    ] = None,
    dead_letters: Annotated[Path, typer.Option(dir_okay=False, help="Where refused lines are added.")] = Path(
        "dead-letters.ndjson"
    ),
    config: ConfigOption = None,
    brokers: BrokersOption = None,
    json_output: JsonOption = False,
) -> None:
    """Send lines to the source topics, each as it stands; rows of CSV and Parquet become native messages.

    Every line is checked first. What cannot be used is added to a file, behind what earlier runs refused; the rest
    is sent, and the exit code is 3. A file's name begins with its topic (touchpoints, leads, deals), or each line
    says its topic.
    """
    from streams.sending import report_row, resumable

    check_input(form, topic)
    if state is not None and not resumable(files):
        raise typer.BadParameter("standard input cannot be resumed", param_hint="--state")
    settings = settings_from(config, brokers)
    check_readable(files)
    quiet_clients()
    began = perf_counter()
    sizes = [Path(file).stat().st_size for file in files if file != "-" and Path(file).exists()]
    with progress("sending", sum(sizes) if len(sizes) == len(files) else None) as advance:
        report = asyncio.run(_send(settings, files, form, topic, rate, state, dead_letters, advance))
    row = report_row(report, dead_letters, perf_counter() - began)
    if json_output:
        print_json(row)
    else:
        skipped = f", {report.skipped} were sent before" if report.skipped else ""
        typer.echo(f"{report.sent} of {report.lines} lines sent in {row['seconds']:.1f} s{skipped}")
    if row["refused"]:
        codes = ", ".join(f"{code} {count}" for code, count in row["codes"].items())
        raise InvalidInput(
            f"{row['refused']} of {report.lines} lines could not be used ({codes}): see {dead_letters}"
        )


async def _send(
    settings: Settings, files: list[str], form: str, topic: str | None, rate: float | None, state: Path | None,
    dead_letters: Path, advance: Advance,
) -> Report:  # fmt: skip
    from aiokafka import AIOKafkaProducer

    from streams.kafka_client import client_options
    from streams.sending import DeadLetters, Sender, State, send_files
    from streams.settings import context

    remembered = State(state)
    client = client_options(settings.kafka)
    goals = await _targets(settings, form)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.brokers,
        acks="all",
        enable_idempotence=True,
        linger_ms=10,
        max_batch_size=256 << 10,
        max_request_size=settings.topics.max_message_bytes + (1 << 16),
        compression_type=settings.worker.compression,
        **client,
    )
    await producer.start()
    try:
        with DeadLetters(dead_letters) as letters:
            sender = Sender(producer, settings.kafka.brokers, remembered, letters, rate)
            return await send_files(
                files, sender, goals, context(settings),
                kind=topic, form=form, max_bytes=settings.topics.max_message_bytes, advance=advance,
            )  # fmt: skip
    except LookupError as error:
        raise Failure(
            f"no source topic takes {error.args[0]} in format {form}: configure one under topics.{error.args[0]}"
        ) from None
    finally:
        # stopping waits for what is under way; after a failure nothing of that is going to arrive
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), STOP_S)


async def _targets(settings: Settings, form: str) -> dict[str, Target]:
    """Where lines go. Raises BrokerUnreachable, or Failure for a topic that is not there: nothing is auto-created."""
    from streams.kafka_client import client_options
    from streams.sending import targets
    from streams.topics import list_topics

    goals = targets(settings, form)
    if not goals:
        raise Failure(f"no source topic is in format {form}: configure one, or use another --format")
    found = await list_topics(
        settings.kafka.brokers, prefix=settings.topic_prefix, client=client_options(settings.kafka)
    )
    missing = sorted({goal.topic for goal in goals.values()} - {each.name for each in found})
    if missing:
        raise Failure(
            f"no topic {', '.join(missing)} on {settings.kafka.brokers}: run `headwater topics create`"
        )
    return goals
