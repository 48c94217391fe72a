"""``headwater broker``: the embedded broker alone."""

from __future__ import annotations

import signal
import socket
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

    [bold]Limits.[/bold] Everything stays in memory and nothing is compacted: restart it when it grows. A consumer
    that was killed stays in its group for ever, and its partitions stand still: run one worker at a time, end it
    with Ctrl-C or SIGTERM, and restart the broker after a kill -9. Records older than a topic's retention vanish at
    once: [bold]topics create --keep-for-ever[/bold]. In production use Apache Kafka.
    """
    from streams.embedded import BrokerNotReadyError, EmbeddedBroker

    server = EmbeddedBroker()
    try:
        server.start(port=port, data_dir=data_dir)
    except BrokerNotReadyError:
        if not _taken(port):
            raise
        raise Failure(
            f"port {port} of this machine is taken: --port N takes another, --port 0 any free one"
        ) from None
    signal.signal(signal.SIGTERM, _interrupt)
    if json_output:
        print_json_line({"brokers": server.address, "pid": server.pid, "log": str(server.log_file)})
    else:
        typer.echo(f"{server.address}\nCtrl-C stops it.")
    _serve(server)


def _taken(port: int) -> bool:
    """Whether another program listens on a loopback port."""
    with socket.socket() as probe:
        return port != 0 and probe.connect_ex(("127.0.0.1", port)) == 0


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
