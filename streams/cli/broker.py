"""``headwater broker``: the embedded broker alone."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from streams.cli.exits import Failure
from streams.cli.options import JsonOption
from streams.cli.output import print_json_line

if TYPE_CHECKING:
    from streams.embedded import EmbeddedBroker

EXAMPLES = """
[bold]Examples[/bold]

headwater broker

headwater broker --port 19092 --data-dir ./broker-data
"""


def broker(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Loopback port; 0 takes a free one.")] = 9092,
    data_dir: Annotated[
        Path | None, typer.Option(file_okay=False, help="Keep the records here over a restart.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Run a Kafka-speaking broker for development until Ctrl-C.

    It listens on loopback only and keeps records in memory, in a folder of its own unless --data-dir is given.
    """
    from streams.embedded import EmbeddedBroker

    server = EmbeddedBroker()
    server.start(port=port, data_dir=data_dir)
    signal.signal(signal.SIGTERM, _interrupt)
    if json_output:
        print_json_line({"brokers": server.address, "pid": server.pid, "log": str(server.log_file)})
    else:
        typer.echo(f"{server.address}\nCtrl-C stops it.")
    _serve(server)


def _serve(server: EmbeddedBroker) -> None:
    """Return when the end was asked for; raise Failure when the server ended by itself."""
    try:
        status = server.wait()
    except KeyboardInterrupt:
        return
    finally:
        said = server.said()
        server.stop()
    raise Failure(f"the broker ended by itself with status {status}; it said:\n{said}")


def _interrupt(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
