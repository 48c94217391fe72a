"""``headwater worker``: a scoring worker against the configured cluster."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Annotated

import typer

from streams.cli.exits import Failure
from streams.cli.options import BrokersOption, ConfigOption, settings_from

EXAMPLES = """
[bold]Examples[/bold]

headwater topics create && headwater worker

headwater worker --config headwater.yaml --port 6067
"""


def worker(
    config: ConfigOption = None,
    brokers: BrokersOption = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of probes and metrics; 0 takes a free one.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
) -> None:
    """Score events until SIGTERM or Ctrl-C. Run more of them to scale out.

    Ends with 1 when something fails: a supervisor should start it again, nothing is lost. It also ends with 1 before
    any work when its rows would be outranked by those on the topics (state.generation), and when a topic refuses
    messages as large as a worker writes.
    """
    from streams.settings import warnings

    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise typer.BadParameter("debug, info, warning or error", param_hint="--log-level")
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings = settings_from(config, brokers)
    for warning in warnings(settings):
        typer.echo(f"Warning: {warning}", err=True)
    if port is not None:
        settings = settings.model_copy(update={"web": settings.web.model_copy(update={"port": port})})
    code = asyncio.run(_work(settings))
    if code:
        raise Failure("the worker ended because something failed; the log above says what")


async def _work(settings: object) -> int:
    from streams.settings import Settings
    from streams.start_checks import start_checks
    from streams.web import CannotListen
    from streams.worker import build_worker, journal_partitions, run

    assert isinstance(settings, Settings)
    partitions = await journal_partitions(settings)
    for warning in await start_checks(settings):
        typer.echo(f"Warning: {warning}", err=True)
    made = build_worker(settings, partitions)
    host = settings.web.host

    def announce(port: int) -> None:
        typer.echo(
            f"headwater worker: http://{host}:{port}/metrics, brokers {settings.kafka.brokers}", err=True
        )

    try:
        return await run(made, settings, announce, None)
    except CannotListen as error:
        raise Failure(f"{error}; --port N takes another, --port 0 any free one") from None
