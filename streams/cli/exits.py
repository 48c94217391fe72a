"""How commands end: one code per kind of failure, one clear line, no traceback unless it is asked for."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

OK, FAILURE, USAGE, INVALID, UNREACHABLE = range(5)
"""0 ok, 1 failure, 2 usage, 3 validation problems, 4 broker unreachable."""
INTERRUPTED = 130
"""What a shell reports of a program that Ctrl-C ended."""
DEBUG_VARIABLE = "HEADWATER_DEBUG"

# by name, so that ending does not import what the command had no use for
_CODES = {
    "streams.cli.exits.InvalidInput": INVALID,
    "streams.settings.load.ConfigInvalid": INVALID,
    "streams.topics.BrokerUnreachable": UNREACHABLE,
    "aiokafka.errors.KafkaConnectionError": UNREACHABLE,
    "aiokafka.errors.KafkaTimeoutError": UNREACHABLE,
    "aiokafka.errors.NoBrokersAvailable": UNREACHABLE,
    "aiokafka.errors.NodeNotReadyError": UNREACHABLE,
    "aiokafka.errors.RequestTimedOutError": UNREACHABLE,
}
_SPEAKING = ("streams.", "schemas.", "revenue_core.")
"""Errors from here say themselves what happened; the class name of others is part of the story."""


class Failure(Exception):
    """The command cannot do what it was asked; the message says why and what would help."""


class InvalidInput(Exception):
    """The command did what it could, and some of its input was wrong."""


def code_of(error: BaseException) -> int:
    """The exit code that an error ends a command with."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
    return next((_CODES[name] for name in names if name in _CODES), FAILURE)


def line_of(error: BaseException) -> str:
    """What is printed of an error."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.filename is not None:
        return f"Error: {error.filename}: {error.strerror}"
    if type(error).__module__.startswith(_SPEAKING):
        joint = "\n  " if "\n" in text else " "
        return f"Error:{joint}" + text.replace("\n", "\n  ")
    return f"Error: {type(error).__name__}: {text} ({DEBUG_VARIABLE}=1 shows where)"


@contextmanager
def policy() -> Iterator[None]:
    """Turn whatever ends the block into an exit code and a line on stderr."""
    try:
        yield
    except BrokenPipeError:  # the reader, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(OK) from None
    except KeyboardInterrupt as error:
        raise typer.Exit(code_of(error)) from None
    except Exception as error:
        if _is_typers(error):
            raise
        if os.environ.get(DEBUG_VARIABLE) == "1":
            traceback.print_exc()
        typer.echo(line_of(error), err=True)
        raise typer.Exit(code_of(error)) from None


def _is_typers(error: Exception) -> bool:
    """Whether typer shows it itself: wrong usage, and exits already decided."""
    return type(error).__module__.startswith("typer")
