"""Files and standard input as lines of source topics: NDJSON, CSV (RFC 4180) and Parquet, gzip too.

What ``send`` and ``score`` read (R09, R13, R15, R63). Everything is read lazily; memory is bounded by the
longest line that is taken, plus one batch of Parquet rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, BinaryIO, NamedTuple, TypeAlias, cast

import orjson

from schemas.context import ONE_MEBIBYTE
from schemas.diagnosis import unknown_topic
from schemas.errors import Rejected
from schemas.events import EVENTS, FIELDS
from schemas.fields import absent
from schemas.formats import NATIVE
from schemas.parsing import parse_object, strip_registry_prefix
from schemas.tabular import from_row

STDIN = "-"
TOPIC = "topic"
KEPT_BYTES = 8 << 20
"""How much of a line that is too long is kept for the dead letter."""
PARQUET_ROWS = 1_024
_GZIP, _PARQUET, _BOM = b"\x1f\x8b", b"PAR1", b"\xef\xbb\xbf"
_HEADER_SIGN = "event_id"
"""The column that every CSV file of events has, and no JSON begins with."""
OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
"""As some spreadsheets write tables, and in words."""

Reader: TypeAlias = "io.BufferedReader[io.RawIOBase]"


class Line(NamedTuple):
    """One line or row."""

    kind: str | None
    """Topic kind: its own ``topic``, else what was given, else the file's name; None with a ``rejected``."""
    file: str
    """As on the command line."""
    number: int
    """From 1: the physical line of NDJSON and CSV (where the record begins), the row of Parquet."""
    raw: bytes
    """The original text without its line end; the row as JSON for Parquet."""
    fields: dict[str, Any] | None = None
    """The native message of a row; None for a line, which is its own message."""
    rejected: Rejected | None = None
    """Why it cannot even be looked at."""

    @property
    def message(self) -> bytes:
        """What to put on the topic: the line as it stands, or the row as a native message."""
        return self.raw if self.fields is None else dump(self.fields)


class FileUnreadable(Exception):
    """A file is damaged, or not of the kind its name or first bytes promise."""


def read_lines(
    file: str, *, kind: str | None = None, form: str = NATIVE, max_bytes: int = ONE_MEBIBYTE
) -> Iterator[Line]:
    """The lines of a file, or of standard input for ``-``.

    ``kind`` is the topic kind of lines that name none, instead of the file's name. ``form`` is the input format:
    only native lines may be CSV or Parquet, or name their topic. Raises OSError, or FileUnreadable.
    """
    default = kind if kind is not None else kind_of(file)
    with _opened(file) as stream:
        if stream.peek(4)[:4] == _PARQUET:
            _native_only(file, form)
            yield from _parquet(file, stream, default, max_bytes)
        elif _is_csv(file, stream, form):
            _native_only(file, form)
            yield from _csv(file, stream, default, max_bytes)
        else:
            yield from _ndjson(file, stream, default, form, max_bytes)


def kind_of(file: str) -> str | None:
    """The topic kind that a file's name begins with, or None."""
    name = PurePath(file).name
    return next((kind for kind in EVENTS if name.startswith(kind)), None)


def dead_letter(topic: str, file: str, number: int, raw: bytes, rejected: Rejected) -> dict[str, Any]:
    """A line of ``dead-letters.ndjson`` (R13)."""
    row: dict[str, Any] = {
        "topic": topic, "file": file, "line": number,
        "code": rejected.code, "path": rejected.path, "message": rejected.message,
    }  # fmt: skip
    try:
        row["value"] = raw.decode()
    except UnicodeDecodeError:
        import base64

        row["value_base64"] = base64.b64encode(raw).decode()
    return row


def dump(fields: Mapping[str, Any]) -> bytes:
    """A message as JSON; whole numbers of any size."""
    try:
        return orjson.dumps(fields, default=_plain)
    except TypeError:
        return json.dumps(fields, ensure_ascii=False, default=_plain).encode()


def _plain(value: object) -> object:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@contextmanager
def _opened(file: str) -> Iterator[Reader]:
    """The file's content, unpacked when it is gzip."""
    with io.BufferedReader(_raw(file), 1 << 16) as outer:
        if outer.peek(2)[:2] != _GZIP:
            yield outer
            return
        try:
            with gzip.open(outer) as inner, io.BufferedReader(cast(io.RawIOBase, inner), 1 << 16) as unpacked:
                yield unpacked
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise FileUnreadable(f"{file} is damaged gzip: {error}") from error


def _raw(file: str) -> io.RawIOBase:
    if file == STDIN:
        return cast(io.RawIOBase, io.FileIO(sys.stdin.fileno(), closefd=False))
    return io.FileIO(file)


def _native_only(file: str, form: str) -> None:
    if form != NATIVE:
        raise FileUnreadable(f"{file} holds rows, and rows are native messages: leave --format {form} out")


def _is_csv(file: str, stream: Reader, form: str) -> bool:
    name = PurePath(file).name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return True
    if form != NATIVE:
        return False
    first = stream.peek(4096)[:4096].removeprefix(_BOM).split(b"\n", 1)[0].decode("utf-8", "replace")
    if first.lstrip().startswith("{"):
        return False
    try:
        cells = next(csv.reader([first]), [])
    except csv.Error:  # a lone carriage return, for example: no header of a table
        return False
    return _HEADER_SIGN in cells or _separator(cells) is not None


def _separator(header: list[str]) -> str | None:
    """What separates the columns of a table that is not separated by commas, or None."""
    for sign in OTHER_SEPARATORS:
        names = [name.strip().strip('"') for name in ",".join(header).split(sign)]
        if _HEADER_SIGN in names and len(names) > 1:
            return sign
    return None


def _ndjson(file: str, stream: Reader, default: str | None, form: str, max_bytes: int) -> Iterator[Line]:
    native = form == NATIVE
    for number, raw, whole in _physical_lines(stream, max_bytes):
        if not whole or len(raw) > max_bytes:
            yield Line(default, file, number, raw, rejected=_too_large(raw, whole, max_bytes))
        elif not raw or raw.isspace():
            continue
        elif native and (default is None or b'"topic"' in raw):
            yield _with_own_topic(file, number, raw, default)
        elif default is None:
            yield Line(None, file, number, raw, rejected=no_topic(form))
        else:
            yield Line(default, file, number, raw)


def _with_own_topic(file: str, number: int, raw: bytes, default: str | None) -> Line:
    """A line that may name its topic itself; what is no JSON comes before what has no topic (R13)."""
    try:
        topic = parse_object(strip_registry_prefix(raw)).get(TOPIC)
    except Rejected as no_object:
        return Line(default, file, number, raw, rejected=no_object)
    kind, rejected = _topic(topic, default)
    return Line(kind, file, number, raw, rejected=rejected)


def _topic(given: object, default: str | None) -> tuple[str | None, Rejected | None]:
    if absent(given):
        return default, None if default is not None else no_topic()
    if isinstance(given, str) and given in EVENTS:
        return given, None
    return None, unknown_topic(given)


def no_topic(form: str = NATIVE) -> Rejected:
    """The refusal of a line whose topic nothing names; only native lines can do so themselves."""
    remedies = "begin the file's name with touchpoints, leads or deals, or say --topic"
    if form == NATIVE:
        remedies = f"add a topic field, {remedies}"
    return Rejected("unknown_topic", "/topic", f"nothing names the topic: {remedies}")


def _too_large(raw: bytes, whole: bool, max_bytes: int) -> Rejected:
    size = f"{len(raw)} bytes" if whole else f"more than {len(raw)} bytes (only so many are kept here)"
    message = f"{size}, the limit is {max_bytes}: split it or raise max_message_bytes"
    return Rejected("too_large", "", message)


def _physical_lines(stream: Reader, max_bytes: int) -> Iterator[tuple[int, bytes, bool]]:
    """(number, bytes without line end, whether they are the whole line); a BOM before the first is dropped."""
    kept = max(max_bytes, KEPT_BYTES) + 2
    number = 0
    while line := stream.readline(kept):
        number += 1
        whole = len(line) < kept or line.endswith(b"\n")
        yield number, (line.removeprefix(_BOM) if number == 1 else line).rstrip(b"\r\n"), whole
        while not whole:
            line = stream.readline(kept)
            whole = len(line) < kept or line.endswith(b"\n")


def _csv(file: str, stream: Reader, default: str | None, max_bytes: int) -> Iterator[Line]:
    header: list[str] | None = None
    for number, raw, cells, rejected in _records(stream, max_bytes):
        if header is None:
            if rejected is not None:
                raise FileUnreadable(f"{file} has no readable header row: {rejected.message}")
            header = [cell.strip() for cell in cells]
            separator = None if _HEADER_SIGN in header else _separator(header)
            if separator is not None:
                raise FileUnreadable(
                    f"the columns of {file} are separated by {OTHER_SEPARATORS[separator]}: CSV separates them by "
                    "commas (RFC 4180); export it so, and quote cells that hold a comma"
                )
            continue
        problem = rejected or _too_wide(cells, header)
        if problem is not None:
            yield Line(default, file, number, raw, rejected=problem)
        else:
            yield _row(file, number, raw, dict(zip(header, cells, strict=False)), default)


def _too_wide(cells: list[str], header: list[str]) -> Rejected | None:
    if len(cells) <= len(header):
        return None
    message = f"{len(cells)} cells under {len(header)} columns: quote cells that hold a comma"
    return Rejected("decode_error", "", message)


def _row(file: str, number: int, raw: bytes, row: Mapping[str, Any], default: str | None) -> Line:
    kind, rejected = _topic(row.get(TOPIC), default)
    return Line(kind, file, number, raw, from_row(row), rejected)


class _Records:
    """Feeds physical lines to a CSV reader and remembers what the record under way is made of."""

    def __init__(self, lines: Iterable[tuple[int, bytes, bool]], max_bytes: int) -> None:
        self.lines, self.max_bytes = iter(lines), max_bytes
        self.begin()

    def begin(self) -> None:
        """Forget the last record."""
        self.number, self.whole, self.size = 0, True, 0
        self.parts: list[bytes] = []

    @property
    def raw(self) -> bytes:
        """The record's original text."""
        return b"\n".join(self.parts)

    @property
    def blank(self) -> bool:
        """Whether the record is an empty line."""
        return len(self.parts) == 1 and not self.parts[0].strip()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line, whole = next(self.lines)
        self.number = self.number or number
        self.parts.append(line)
        self.size += len(line) + 1
        self.whole = whole and self.size <= KEPT_BYTES
        if not self.whole:
            # an open quote would swallow the rest of the file
            raise csv.Error("too long")
        return line.decode("utf-8", "surrogateescape") + "\n"


def _records(stream: Reader, max_bytes: int) -> Iterator[tuple[int, bytes, list[str], Rejected | None]]:
    """(line where it begins, original text, cells, why it is no record) of every record, the header first."""
    csv.field_size_limit(max(max_bytes, KEPT_BYTES) + 2)
    feed = _Records(_physical_lines(stream, max_bytes), max_bytes)
    reader = csv.reader(feed, strict=True)
    while True:
        feed.begin()
        cells: list[str] = []
        rejected = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            rejected = Rejected("decode_error", "", f"not CSV ({error}): quote cells as RFC 4180 says")
        if feed.blank:
            continue
        if not feed.whole or feed.size - 1 > max_bytes:
            rejected = _too_large(feed.raw, feed.whole, max_bytes)
        elif rejected is None:
            rejected = _not_utf8(feed.raw)
        yield feed.number, feed.raw, cells, rejected


def _not_utf8(raw: bytes) -> Rejected | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return Rejected("invalid_json", "", f"byte {error.start} is not UTF-8: send UTF-8 text")
    return None


def _parquet(file: str, stream: Reader, default: str | None, max_bytes: int) -> Iterator[Line]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _seekable(stream) as content:
        try:
            table = pq.ParquetFile(content)
            names = table.schema_arrow.names
            columns = [name for name in names if name in FIELDS or name == TOPIC]
            if not columns:
                raise FileUnreadable(
                    f"no column of {file} is a field of an event (it has {', '.join(names[:8]) or 'none'}): name "
                    "them event_id, type, occurred_at and so on, as in schemas/jsonschema"
                )
            number = 0
            for batch in table.iter_batches(PARQUET_ROWS, columns=columns):
                for row in _plain_times(batch).to_pylist(maps_as_pydicts="lossy"):
                    number += 1
                    line = _row(file, number, dump(row), row, default)
                    if len(line.raw) > max_bytes:
                        line = line._replace(rejected=_too_large(line.raw, True, max_bytes))
                    yield line
        except pa.ArrowException as error:
            raise FileUnreadable(f"{file} is no readable Parquet: {error}") from error


def _plain_times(batch: Any) -> Any:
    """The batch with timestamps as epoch milliseconds, finer digits cut off; those without zone are UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns: list[Any] = []
    for column in batch.columns:
        if pa.types.is_timestamp(column.type):
            ticks = column.cast(pa.int64())
            per_ms = {"us": 1_000, "ns": 1_000_000}.get(column.type.unit)
            if per_ms is not None:
                columns.append(pc.divide(ticks, per_ms))
            else:
                columns.append(pc.multiply(ticks, 1_000) if column.type.unit == "s" else ticks)
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


@contextmanager
def _seekable(stream: Reader) -> Iterator[BinaryIO]:
    """Parquet is read from its end: what cannot seek goes through a temporary file."""
    if stream.seekable() and not isinstance(stream.raw, gzip.GzipFile):
        stream.seek(0)
        yield cast(BinaryIO, stream)
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.seek(0)
        yield cast(BinaryIO, copy)
