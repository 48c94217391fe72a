"""What has been said of a credit row over time: its versions, each with its cause, in the order of emission."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Row = Mapping[str, Any]

UNTOLD = frozenset({
    "version", "cause", "computed_at", "computed_at_ms", "is_deleted", "config_version", "params_version",
})  # fmt: skip
"""Columns in which a version differs from the one before without saying anything else."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one credit row."""

    version: int
    credit_id: str
    cause: str
    change: str
    """``new`` | ``changed`` | ``deleted`` | ``repeated`` (same content, after a restart)."""
    changed: list[str]
    """Columns that differ from the version before."""
    row: Row
    """As emitted."""


def versions(rows: Iterable[Row]) -> list[Version]:
    """The rows in the order in which they were emitted (R60), each compared with the one before of its key.

    A key and version that come twice, as after a restart, are one.
    """
    unique = {(row["credit_id"], row["version"]): row for row in rows}
    before: dict[str, Row] = {}
    found = []
    for row in sorted(unique.values(), key=_order):
        key = row["credit_id"]
        change, changed = _compare(before.get(key), row)
        before[key] = row
        found.append(Version(row["version"], key, row["cause"], change, changed, row))
    return found


def last_rows(found: Sequence[Version]) -> dict[str, Row]:
    """credit_id -> its last row; deleted ones are left out."""
    last = {each.credit_id: each.row for each in found}
    return {key: row for key, row in last.items() if not row["is_deleted"]}


def column_filter(column: str, value: str) -> bytes:
    """The bytes that a row whose ``column`` has this value contains; others rarely do."""
    return orjson.dumps({column: value})[1:-1]


def _order(row: Row) -> tuple[int, int, str, int, str]:
    return (
        row["version"], row["conversion_at_ms"], row["conversion_id"], row["touch_at_ms"], row["touch_id"],
    )  # fmt: skip


def _compare(before: Row | None, row: Row) -> tuple[str, list[str]]:
    if row["is_deleted"]:
        return "deleted", []
    if before is None or before["is_deleted"]:
        return "new", []
    changed = [name for name, value in row.items() if name not in UNTOLD and before.get(name) != value]
    return ("changed" if changed else "repeated"), changed
