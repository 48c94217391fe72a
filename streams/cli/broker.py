"""``headwater broker``: the embedded broker alone."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

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
    json_output: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
) -> None:
    """Run a Kafka-speaking broker for development until Ctrl-C.

    It listens on loopback only and keeps records in memory, in a folder of its own unless --data-dir is given.
    """
    from streams.embedded import BrokerNotReadyError, EmbeddedBroker, EmbeddedBrokerUnavailableError

    server = EmbeddedBroker()
    try:
        server.start(port=port, data_dir=data_dir)
    except (EmbeddedBrokerUnavailableError, BrokerNotReadyError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from None
    signal.signal(signal.SIGTERM, _interrupt)
    if json_output:
        typer.echo(json.dumps({"brokers": server.address, "pid": server.pid, "log": str(server.log_file)}))
    else:
        typer.echo(f"{server.address}\nCtrl-C stops it.")
    raise typer.Exit(_serve(server))


def _serve(server: EmbeddedBroker) -> int:
    """Wait for the end; 0 when it was asked for."""
    try:
        status = server.wait()
        typer.echo(f"Error: the broker ended by itself with status {status}; see {server.log_file}", err=True)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        server.stop()


def _interrupt(number: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt
