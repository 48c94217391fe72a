"""Skipping that nobody overlooks: what did not run, and why, stands in a section of its own at the end."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

NOT_RUN = pytest.StashKey[dict[str, str]]()


def skip_loudly(config: pytest.Config, suite: str, reason: str, require: str) -> NoReturn:
    """Skip the asking test and report ``suite``; with the environment variable ``require`` at 1, fail it."""
    config.stash.setdefault(NOT_RUN, {})[suite] = f"{reason} (with {require}=1 this is a failure)"
    if os.environ.get(require) == "1":
        pytest.fail(f"{suite} cannot run: {reason}", pytrace=False)
    pytest.skip(f"{suite} cannot run: {reason}")


def report(terminal: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the section."""
    for suite, reason in config.stash.get(NOT_RUN, {}).items():
        terminal.section(f"{suite} DID NOT RUN", sep="!", red=True, bold=True)
        terminal.line(reason)
