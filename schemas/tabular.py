"""Rows of CSV and Parquet files as native messages (R15)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_origin

from schemas.events import FIELDS
from schemas.fields import absent


def _of_type(*types: object) -> frozenset[str]:
    return frozenset(name for name, sent in FIELDS.items() if (get_origin(sent) or sent) in types)


_LISTS, _OBJECTS, _BOOLEANS, _WHOLE = (_of_type(each) for each in (list, dict, bool, int))
_NUMBERS = frozenset(name for name, sent in FIELDS.items() if sent in (int, int | float))
_TRUTH: Mapping[object, bool] = {"true": True, "1": True, 1: True, "false": False, "0": False, 0: False}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000


def from_row(row: Mapping[str, object]) -> dict[str, Any]:
    """The native message that a row holds: cells by column name, text or Parquet values.

    Empty cells and unknown columns are left out. A list is a JSON array or split at ``;``, a boolean is
    true, false, 1 or 0, a timestamp without zone is UTC. A cell that cannot be read so stays as it is, for
    validation to name.
    """
    return {name: _value(name, cell) for name, cell in row.items() if name in FIELDS and not absent(cell)}


def _value(name: str, cell: object) -> object:
    value = cell
    if isinstance(cell, str):
        value = _from_text(name, cell)
    elif isinstance(cell, datetime):
        value = _milliseconds(cell)
    elif isinstance(cell, date):
        value = cell.isoformat()
    elif isinstance(cell, Decimal):
        value = str(cell).lower()
    elif name in _WHOLE and isinstance(cell, float) and cell.is_integer():
        value = int(cell)  # a column of whole numbers with gaps is often stored as one of floats
    elif name in _BOOLEANS and type(cell) is int:
        value = _TRUTH.get(cell, cell)
    return value


def _from_text(name: str, cell: str) -> object:
    trimmed = cell.strip()
    if name in _LISTS:
        return _json(trimmed, cell) if trimmed.startswith("[") else [each.strip() for each in cell.split(";")]
    if name in _BOOLEANS:
        return _TRUTH.get(trimmed.lower(), cell)
    if name in _OBJECTS or name in _NUMBERS:
        return _json(trimmed, cell)
    return cell


def _json(trimmed: str, cell: str) -> object:
    try:
        return json.loads(trimmed)
    except (ValueError, RecursionError):
        return cell


def _milliseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    since = aware - _EPOCH
    return since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000
