"""Why a message was refused: one code, where in the message, and what to do about it."""

from __future__ import annotations

import json
import re
from typing import Final

CODES: Final = (
    "too_large", "decode_error", "invalid_json", "unknown_topic", "missing_field", "unknown_type",
    "invalid_timestamp", "future_timestamp", "no_identifier", "unknown_pipeline", "unknown_stage",
    "unknown_currency", "invalid_amount", "invalid_field", "too_late", "quarantined", "internal_error",
)  # fmt: skip
"""Every code a dead letter may carry (R13)."""

SHOWN = 80
HIDDEN = "…@…"
EXAMPLE_ADDRESS = "name@example.com"
_LONGEST_ADDRESS = 320
_WORD = re.compile(r"""[^\s"<>(),;:]+""")


class Rejected(Exception):
    """A message that cannot become a fact.

    ``code`` is one of ``CODES``, ``path`` a JSON pointer to the field at fault (empty: the whole message), and
    ``message`` names the field, the value seen and the remedy. Neither of them holds an e-mail address: they go into
    headers, logs and pages.
    """

    def __init__(self, code: str, path: str, message: str) -> None:
        path, message = without_addresses(path), without_addresses(message)
        super().__init__(code, path, message)
        self.code, self.path, self.message = code, path, message

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        return f"{self.code}{where}: {self.message}"


def shown(value: object) -> str:
    """A value as error messages show it: as JSON, cut to a readable length, on one line."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError, TypeError):
        text = "nested too deep, or a number too long, to be shown"
    # cut only behind the longest address that could begin before the cut, so that none is halved
    text = without_addresses(text[: SHOWN + _LONGEST_ADDRESS])
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def without_addresses(text: str) -> str:
    """``text`` with every word that may be an e-mail address hidden, also one with its ``@`` as ``%40``."""
    if "@" not in text and "%40" not in text and "＠" not in text:
        return text
    return _WORD.sub(_hidden, text)


def _hidden(word: re.Match[str]) -> str:
    found = word[0]
    harmless = found == EXAMPLE_ADDRESS or len(found) == 1
    return HIDDEN if not harmless and ("@" in found or "%40" in found or "＠" in found) else found
