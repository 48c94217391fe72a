"""Dead letters as they are read back, from the topic or from the file that ``score`` and ``send`` write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from streams.reading import Received, readable
from streams.topology import DEAD_LETTERS

CODE, PATH = "headwater.error.code", "headwater.error.path"
CONNECT = "__connect.errors."
UNKNOWN = "unknown"
"""Code of a dead letter that another program wrote."""


class Letter(NamedTuple):
    """A message that was refused."""

    code: str
    path: str
    """JSON pointer to the field at fault; empty for the whole message."""
    message: str
    source: str
    """Where it stood: ``topic:partition:offset``, or ``file:line``."""
    topic: str
    key: str
    value: Any
    """As JSON where it is JSON, else text, else ``{"base64": ...}``."""


@dataclass(frozen=True, slots=True)
class Group:
    """The letters of one code."""

    code: str
    count: int
    topics: dict[str, int]
    """Topic -> letters."""
    example: Letter
    """The last one."""


class NoDeadLetters(Exception):
    """A file that is not one of dead letters."""


def from_record(record: Received) -> Letter:
    """A letter of the dead-letter topic."""
    text = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    topic = text.get(f"{CONNECT}topic", "")
    place = f"{topic}:{text.get(f'{CONNECT}partition', '?')}:{text.get(f'{CONNECT}offset', '?')}"
    message = text.get(f"{CONNECT}exception.message", "")
    key = (record.key or b"").decode("utf-8", "replace")
    return Letter(
        text.get(CODE, UNKNOWN), text.get(PATH, ""), message, place, topic, key, readable(record.value)
    )


def from_file(path: Path) -> list[Letter]:
    """The letters in a ``dead-letters.ndjson``. Raises OSError, or NoDeadLetters."""
    found = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = orjson.loads(line)
                value = (
                    {"base64": row["value_base64"]}
                    if "value_base64" in row
                    else readable(row["value"].encode())
                )
                place = f"{row['file']}:{row['line']}"
                found.append(Letter(row["code"], row["path"], row["message"], place, row["topic"], "", value))
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
                raise NoDeadLetters(
                    f"{path} line {number} is no dead letter: give a {DEAD_LETTERS}.ndjson"
                ) from None
    return found


def groups(letters: Iterable[Letter]) -> list[Group]:
    """The letters by code, the most frequent first."""
    counts: Counter[str] = Counter()
    topics: dict[str, Counter[str]] = {}
    last: dict[str, Letter] = {}
    for letter in letters:
        counts[letter.code] += 1
        topics.setdefault(letter.code, Counter())[letter.topic] += 1
        last[letter.code] = letter
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Group(code, count, dict(topics[code]), last[code]) for code, count in ordered]
