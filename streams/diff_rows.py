"""Two sets of output rows side by side: the highest version per key of each, whatever the order of their files.

Files are mapped into memory and read by the place of their lines, so that what is held of a row is its key and one
number: about 200 bytes, whatever the number of models or of earlier versions.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Collection, Iterator, KeysView, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import orjson

from streams.score import KEY_COLUMNS
from streams.topology import CREDITS

Row: TypeAlias = "dict[str, Any]"
Advance: TypeAlias = "Callable[[float], None]"

AMOUNT = "_amount_minor"
"""End of the columns that hold a model's money."""
UNSTABLE = frozenset({
    "version", "cause", "computed_at", "computed_at_ms", "detected_at", "detected_at_ms", "late", "params_version",
})  # fmt: skip
"""Columns that the first law does not cover: they tell how a row came about, not what is so (R06)."""

NEEDED = frozenset(
    {"conversion", "deal_id", "account_id", "status", "stage", "channel", "currency", "amount_minor"}
)
"""Columns of a credit row that money is told by, beside its models'."""

_PLACE_BITS = 42
_GONE = 1
_MAX_VERSION = 2**53


class RowsUnreadable(Exception):
    """A line is no output row; the message names file and line."""


class Rows:
    """The rows of one topic that a file leaves standing: per key the highest version, unless deleted or retracted.

    Of equal versions the later line counts. Tombstones say nothing: the deleted row before them has (R12). Raises
    OSError, or RowsUnreadable. ``advance`` is told of the bytes read.
    """

    def __init__(self, path: Path, topic: str, advance: Advance = lambda _: None) -> None:
        self.path, self.topic, self.key_column = path, topic, KEY_COLUMNS[topic]
        self.data = _mapped(path)
        self.models: tuple[str, ...] = ()
        """Models that the rows have money of, in column order."""
        self._places: dict[str, int] = {}
        self._read(advance)

    def keys(self) -> KeysView[str]:
        """Keys of the rows that stand."""
        return self._places.keys()

    def get(self, key: str) -> Row | None:
        """The row of a key, or None."""
        place = self._places.get(key)
        if place is None:
            return None
        begin = place >> 1 & (1 << _PLACE_BITS) - 1
        end = self.data.find(b"\n", begin)
        row: Row = orjson.loads(self.data[begin : end if end >= 0 else len(self.data)])
        return row

    def _read(self, advance: Advance) -> None:
        places, begin = self._places, 0
        for number, line in enumerate(_lines(self.data), 1):
            if not line.isspace():
                row = self._row(number, line)
                if not row.get("is_tombstone"):
                    self.models = self.models or models_of(row)
                    gone = bool(row.get("is_deleted")) or row.get("status") == "retracted"
                    place = (row["version"] << _PLACE_BITS | begin) << 1 | gone
                    key = row[self.key_column]
                    if place > places.get(key, -1):
                        places[key] = place
            begin += len(line)
            advance(len(line))
        self._places = {key: place for key, place in places.items() if not place & _GONE}

    def _row(self, number: int, line: bytes) -> Row:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise RowsUnreadable(f"{self.path}, line {number} is not JSON: {error}") from None
        problem = problem_of(row, self.topic)
        if problem:
            raise RowsUnreadable(f"{self.path}, line {number} is no output row: {problem}")
        found: Row = row
        return found


def problem_of(row: object, topic: str) -> str:
    """Why a value is no row of an output topic; empty for one that is, and for a tombstone."""
    if not isinstance(row, dict):
        return "it is no object"
    if not isinstance(row.get(KEY_COLUMNS[topic]), str):
        return f"{KEY_COLUMNS[topic]} should be text"
    if row.get("is_tombstone"):
        return ""
    version = row.get("version")
    if type(version) is not int or not 0 <= version < _MAX_VERSION:
        return "version should be a whole number below 2^53"
    return _problem_of_credit(row) if topic == CREDITS else ""


def _problem_of_credit(row: Row) -> str:
    missing = NEEDED - row.keys()
    if missing:
        return f"it lacks {', '.join(sorted(missing))}"
    wrong = [name for name in row if name.endswith("amount_minor") and type(row[name]) is not int]
    if wrong:
        return f"{', '.join(wrong)} should be whole numbers"
    texts = sorted(name for name in NEEDED if not name.endswith("_minor") and not isinstance(row[name], str))
    return f"{', '.join(texts)} should be text" if texts else ""


def models_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Models that a credit row has money of, in column order.

    >>> models_of({"amount_minor": 5, "linear_share": 1.0, "linear_amount_minor": 5})
    ('linear',)
    """
    return tuple(name.removesuffix(AMOUNT) for name in row if name.endswith(AMOUNT))


class Pair(NamedTuple):
    """What two sides have of a key: at least one of them a row."""

    key: str
    a: Row | None
    b: Row | None


def pairs(a: Rows, b: Rows) -> Iterator[Pair]:
    """Every key that stands on a side, in the order of its bytes: so a deal's conversions come together (R51)."""
    # text in the order of its code points is in the order of its UTF-8 bytes
    for key in sorted({*a.keys(), *b.keys()}):
        yield Pair(key, a.get(key), b.get(key))


def differing(a: Row, b: Row, ignored: Collection[str]) -> list[str]:
    """Columns whose values differ, one that only one row has too, in column order."""
    names = [name for name in a if name not in ignored and (name not in b or a[name] != b[name])]
    return names + [name for name in b if name not in a and name not in ignored]


def walk(
    a: Rows, b: Rows, counts: Counts, ignored: Callable[[Row, Row], Collection[str]], advance: Advance
) -> Iterator[tuple[Pair, list[str]]]:
    """Every pair with the columns in which its rows differ, counted; none where a row is missing.

    ``ignored`` says which columns two rows are not compared in.
    """
    for pair in pairs(a, b):
        columns: list[str] = []
        if pair.a is not None and pair.b is not None:
            columns = differing(pair.a, pair.b, ignored(pair.a, pair.b))
        counts.add(pair, columns)
        advance(1)
        yield pair, columns


@dataclass(slots=True)
class Counts:
    """How many keys of a topic are how."""

    equal: int = 0
    different: int = 0
    only_a: int = 0
    only_b: int = 0

    @property
    def all_equal(self) -> bool:
        """Whether every key stands on both sides with the same content."""
        return not (self.different or self.only_a or self.only_b)

    def add(self, pair: Pair, columns: Collection[str]) -> None:
        """Count a pair whose rows differ in these columns."""
        if pair.a is None:
            self.only_b += 1
        elif pair.b is None:
            self.only_a += 1
        elif columns:
            self.different += 1
        else:
            self.equal += 1


def _mapped(path: Path) -> mmap.mmap | bytes:
    """The content of a file; nothing can be mapped of an empty one."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _lines(data: mmap.mmap | bytes) -> Iterator[bytes]:
    if isinstance(data, bytes):
        return iter(())
    return iter(data.readline, b"")
