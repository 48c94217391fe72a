"""What commands print: JSON for programs, tables for people, progress only where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

Advance = Callable[[float], None]


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    import orjson

    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def print_json_line(value: Any) -> None:
    """One JSON document on one line, for streams of them."""
    import orjson

    typer.echo(orjson.dumps(value, default=str).decode())


def console(*, stderr: bool = False) -> Console:
    """A rich console; plain text when the output is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()
) -> None:
    """A table; cells are printed as they are, columns named in ``right`` are aligned right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console().print(table)


def quiet_clients() -> None:
    """Keep Kafka clients from talking on stderr: the error that ends the command says what matters."""
    import logging

    logging.getLogger("aiokafka").addHandler(logging.NullHandler())


@contextmanager
def progress(description: str, total: float | None) -> Iterator[Advance]:
    """A progress bar on stderr while the block runs; yields how to advance it.

    ``total`` None: of unknown length. Nothing is drawn when stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield lambda amount: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda amount: bar.advance(task, amount)
