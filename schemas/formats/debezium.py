"""Rows of a database as Debezium captures them, with a field map that says what the columns mean.

Read are the change envelope (``before``, ``after``, ``op``, ``source``) and the flattened row that
``ExtractNewRecordState`` makes of it, each with and without the ``schema`` and ``payload`` of the JSON converter.
Where the schema is there it says what a number of time counts and how a decimal is written; else the map does
(``unit``, ``scale``). ``event_id`` and ``occurred_at`` may be left to the position and the time of the change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from schemas.errors import shown
from schemas.fields import absent
from schemas.formats.convert import decimal_text, milliseconds
from schemas.formats.field_map import FieldMap, apply, parse_maps
from schemas.formats.payload import DEALS, Message, load_object, pointer, refuse, text_of
from schemas.headers import Headers

SOURCE = "debezium"
REQUIRED = ("type",)
CHANGES = ("c", "u", "d", "r")
DELETE, TRUNCATE, MESSAGE = "d", "t", "m"
POSITION = (
    "db", "schema", "table", "collection", "ts_ms", "lsn", "txId", "file", "pos", "row", "gtid", "change_lsn",
    "commit_lsn", "event_serial_no", "scn", "commit_scn", "ord",
)  # fmt: skip
"""Of ``source``: where in the database's log the change stands. The same again when a connector repeats itself."""
UNCHANGED = "__debezium_unavailable_value"
"""Stands for a large value that the change did not touch and the database did not log."""
UNITS = MappingProxyType({
    "io.debezium.time.Date": "d", "org.apache.kafka.connect.data.Date": "d",
    "io.debezium.time.Timestamp": "ms", "org.apache.kafka.connect.data.Timestamp": "ms",
    "io.debezium.time.MicroTimestamp": "us", "io.debezium.time.NanoTimestamp": "ns",
})  # fmt: skip
"""Name of a column's schema -> what its number counts."""
DECIMAL = "org.apache.kafka.connect.data.Decimal"
VARIABLE_DECIMAL = "io.debezium.data.VariableScaleDecimal"
_LONGEST_SCALE = 4
_WHY = "send what the connector writes, as JSON"


def configured(*, fields: object = None) -> Callable[[bytes, Headers, str], list[Message]]:
    """The format with the maps of the option ``fields``. Raises ValueError that lists every problem."""
    return partial(read, maps=parse_maps(fields, REQUIRED))


def read(raw: bytes, headers: Headers, kind: str, *, maps: Sequence[FieldMap] = ()) -> list[Message]:
    """(topic kind, native message) pairs of one change. Raises Rejected(decode_error)."""
    body, schema, path = load_object(raw, headers), {}, ""
    if not maps:
        raise refuse("", "no field map: say in fields of the source topic what the columns mean")
    if body.keys() == {"schema", "payload"}:
        if body["payload"] is None:
            return []  # a tombstone, as converters that write schemas have it
        schema, body, path = body["schema"], body["payload"], "/payload"
        if not isinstance(body, dict):
            raise refuse(path, f"payload is no object: {_WHY}")
    if isinstance(body.get("source"), dict) and "op" in body:
        return _change(maps, body, schema, path)
    return _flat(maps, body, schema, path)


def _change(maps: Sequence[FieldMap], body: Mapping[str, Any], schema: object, path: str) -> list[Message]:
    """A change in its envelope."""
    op, source = body["op"], body["source"]
    if op == MESSAGE:
        return []
    if op == TRUNCATE:
        raise refuse(f"{path}/op", "a truncated table does not say which rows are gone: send their deletions")
    if op not in CHANGES:
        raise refuse(f"{path}/op", f"op {shown(op)} is none of {', '.join(CHANGES)}: {_WHY}")
    side = "before" if op == DELETE else "after"
    row, at = body.get(side), f"{path}/{side}"
    if not isinstance(row, dict):
        fix = "let the database log the key of a deleted row (REPLICA IDENTITY)" if op == DELETE else _WHY
        raise refuse(at, f"{side} is no row: {fix}")
    position = [op, {name: source[name] for name in POSITION if name in source}, row]
    defaults = _defaults(position, source.get("ts_ms"))
    typed = _typed(row, _columns(schema, side), at)
    return _gone(maps, typed, at, defaults) if op == DELETE else apply(maps, typed, at, defaults)


def _flat(maps: Sequence[FieldMap], row: Mapping[str, Any], schema: object, path: str) -> list[Message]:
    """A row on its own; what is known of the change stands in columns with two underscores before their names."""
    at = next((row[name] for name in ("__source_ts_ms", "__ts_ms") if not absent(row.get(name))), None)
    if at is None and not all("occurred_at" in each.entries for each in maps):
        raise refuse(
            pointer(("__source_ts_ms",), path),
            "nothing says when the row changed: set add.fields=op,source.ts_ms at the transform that "
            "flattens it, or map occurred_at",
        )
    defaults = _defaults({name: value for name, value in row.items() if name != "__ts_ms"}, at)
    typed = _typed(row, _columns(schema, None), path)
    deleted = str(row.get("__deleted")).lower() == "true" or row.get("__op") == DELETE
    return _gone(maps, typed, path, defaults) if deleted else apply(maps, typed, path, defaults)


def _defaults(position: object, at: object) -> dict[str, Any]:
    """Fields that a map need not name. The id of a change is the hash of where it stands and what it says."""
    try:
        text = json.dumps(position, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise refuse("", f"nested too deep for a row: {_WHY}") from None
    return {
        "event_id": sha256(text.encode()).hexdigest()[:32],
        "occurred_at": milliseconds(at, "ms"),
        "source": SOURCE,
    }


def _gone(
    maps: Sequence[FieldMap], row: Mapping[str, Any], path: str, defaults: Mapping[str, Any]
) -> list[Message]:
    """A deleted row that was a deal; of others nothing is taken back.

    Only the deal's id is read of it: by default a database logs no more of a deleted row than its key, and
    connectors fill the other columns in.
    """
    found = next((each for each in maps if "deal_updated" in each.types), None)
    if found is None:
        return []
    deal = text_of(found.entries["deal_id"].read(row, path))
    if deal is None:
        raise refuse(
            path, "the deleted row lacks the column of deal_id: have the database log it (REPLICA IDENTITY)"
        )
    source = found.entries.get("source")
    constant = {"source": source.value} if source is not None and not source.paths else {}
    at = defaults["occurred_at"]
    if at is None and "occurred_at" in found.entries:
        at = found.entries["occurred_at"].read(row, path)
    return [(DEALS, {**defaults, **constant, "occurred_at": at, "type": "deal_deleted", "deal_id": deal})]


def _columns(schema: object, side: str | None) -> dict[str, Mapping[str, Any]]:
    """Column -> its schema, of the row itself or of one side of the envelope; empty where none is given."""
    fields = schema.get("fields") if isinstance(schema, dict) else None
    named: dict[str, Mapping[str, Any]] = {
        each["field"]: each
        for each in (fields if isinstance(fields, list) else ())
        if isinstance(each, dict) and isinstance(each.get("field"), str)
    }
    return named if side is None else _columns(named.get(side), None)


def _typed(row: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]], path: str) -> dict[str, Any]:
    """The row with times in epoch milliseconds and decimals as text, as far as the schema tells."""
    return {
        name: _value(value, columns[name], pointer((name,), path)) if name in columns else value
        for name, value in row.items()
        if not absent(value) and value != UNCHANGED
    }


def _value(value: object, column: Mapping[str, Any], path: str) -> object:
    kind = column.get("name")
    if isinstance(kind, str) and kind in UNITS:
        return milliseconds(value, UNITS[kind])
    if kind == DECIMAL and column.get("type") == "bytes":
        parameters = column.get("parameters")
        return _decimal(value, parameters.get("scale") if isinstance(parameters, dict) else None, path)
    if kind == VARIABLE_DECIMAL and isinstance(value, dict):
        return _decimal(value.get("value"), value.get("scale"), path)
    return value


def _decimal(value: object, scale: object, path: str) -> str:
    text = text_of(scale)
    if text is None or len(text) > _LONGEST_SCALE or not text.removeprefix("-").isdecimal():
        raise refuse(path, f"the schema of this decimal has no scale: {_WHY}")
    try:
        return decimal_text(value, int(text))
    except ValueError as error:
        raise refuse(path, f"{error}, which the schema says it is: {_WHY}") from None
