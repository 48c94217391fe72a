"""Keeps the log readable while brokers are away: the client repeats the same few lines many times a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError

REPEAT_S = 30.0
"""A line of the same kind appears again after this long, with the number of those left out."""
FAMILIES = ("aiokafka", "faust", "mode")
TIMERS = "mode.timers"
"""Says how late each timer of Faust's is, and nothing that the health of the worker does not say better."""
TROUBLE = ("", "no connection")
"""Kind of every line that says no more than that a request did not get through."""
TROUBLE_LINES = (
    "Unable to update metadata from",
    "Heartbeat session expired",
    "Unable to request metadata",
    "Unable connect to",
)

Kind = tuple[str, str]


class Said(NamedTuple):
    """A line as it was."""

    at: float
    text: str


class Quiet(logging.Filter):
    """A filter for the loggers of the client and of Faust; lines below WARNING pass.

    Of each kind one line passes in ``REPEAT_S`` seconds; lines about requests that did not get through are one
    kind. While ``away`` is set none of those pass: whoever set it says so itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.left_out = 0
        """Lines kept out of the log since the start."""
        self.last: dict[str, Said] = {}
        """Logger -> the last line it wanted to say, kept out or not."""
        self._since: dict[Kind, float] = {}
        self._held: dict[Kind, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line may pass; the first one after others were left out says how many."""
        if record.levelno < logging.WARNING:
            return True
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            return False  # the end of a task that was told to end
        now, kind = monotonic(), kind_of(record)
        self.last[record.name] = Said(now, record.getMessage())
        if record.name == TIMERS or (self.away and kind == TROUBLE):
            self.left_out += 1
            return False
        since = self._since.get(kind)
        if since is not None and now - since < REPEAT_S:
            self._held[kind] = self._held.get(kind, 0) + 1
            self.left_out += 1
            return False
        self._since[kind] = now
        held = self._held.pop(kind, 0)
        if held and since is not None:
            record.msg = (
                f"{record.getMessage()} (and {held} more of this kind in the last {now - since:.0f} s)"
            )
            record.args = None
        if kind == TROUBLE:
            record.exc_info = record.exc_text = None
        return True

    def last_of(self, logger: str, within_s: float) -> str | None:
        """What a logger said last, if that is not longer ago."""
        said = self.last.get(logger)
        return said.text if said is not None and monotonic() - said.at <= within_s else None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Filter the loggers that exist now while the block runs."""
        found = [
            logger
            for name, logger in logging.Logger.manager.loggerDict.items()
            if isinstance(logger, logging.Logger) and name.partition(".")[0] in FAMILIES
        ]
        for logger in found:
            logger.addFilter(self)
        try:
            yield
        finally:
            for logger in found:
                logger.removeFilter(self)


def kind_of(record: logging.LogRecord) -> Kind:
    """What the line is about: its logger and its text before arguments are put in, or ``TROUBLE``."""
    text = str(record.msg)
    arguments = record.args if isinstance(record.args, tuple) else ()
    if text.startswith(TROUBLE_LINES) or any(map(_is_trouble, arguments)):
        return TROUBLE
    return record.name, text


def _is_trouble(argument: Any) -> bool:
    """Whether an argument of a line is an error that a repeated request may not meet again."""
    kind = argument if isinstance(argument, type) else type(argument)
    if issubclass(kind, KafkaError):
        return bool(getattr(kind, "retriable", False))
    return issubclass(kind, OSError | TimeoutError)
