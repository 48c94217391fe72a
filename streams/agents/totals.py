"""Totals: adds the partial sums of every journal partition into the rows of ``funnel-metrics``.

A partial is absolute: what one journal partition contributes to one metric row. The latest per partition
counts, so repeated and reordered deliveries change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from revenue_core.funnel import StageCount
from streams.agents.ingest import stray
from streams.agents.rows import cloud_event, tombstone
from streams.effects import Effects, Output, Run, StatelessHandler, TableView
from streams.topology import FUNNEL, PARTIALS


def partial(metric: str, partition: int, offset: int, sums: list[int]) -> Output:
    """The upsert by which a journal partition publishes its sums for one metric row, as of a journal offset."""
    return Output(PARTIALS, metric.encode(), orjson.dumps({"p": partition, "o": offset, "v": sums}))


def read_partial(key: bytes, value: bytes) -> tuple[str, int, list[int]]:
    """(journal partition, journal offset included, sums). Raises LookupError, TypeError or ValueError."""
    kind, _, _ = key.decode().split("|")
    raw = orjson.loads(value)
    sums = [number + 0 for number in raw["v"]]
    if kind != "stage" or len(sums) != len(StageCount._fields):
        raise ValueError("not the sums of a stage")
    return str(raw["p"] + 0), raw["o"] + 0, sums


class TotalsHandler(StatelessHandler):
    """Handler of ``partials``; its table holds, per metric row, the latest sums of each journal partition.

    ``row`` makes the columns of an outbound row out of a metric's name and its total sums, and says whether the
    row exists; ``version`` makes the version out of the offset of the causing record.
    """

    def __init__(
        self, row: Callable[[str, list[int]], tuple[Mapping[str, Any], bool]], version: Callable[[int], int]
    ) -> None:
        self.row, self.version = row, version

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        """Whether a record of the table takes the place of another: every part only ever moves on."""
        return offsets_of(new) >= offsets_of(old)

    def handle(self, run: Run, table: TableView) -> Effects:
        """One row per metric that changed in the run."""
        effects = Effects()
        changed: dict[bytes, tuple[dict[str, Any], int]] = {}
        for record in run.records:
            if record.key is None or record.value is None:
                continue
            try:
                partition, offset, sums = read_partial(record.key, record.value)
            except (LookupError, TypeError, ValueError) as error:
                effects.outputs.append(stray(run, record, error))
                continue
            parts, _ = changed.get(record.key) or (orjson.loads(table.get(record.key) or b"{}"), 0)
            known = parts.get(partition)
            if known is None or known[0] < offset:
                parts[partition] = [offset, *sums]
                changed[record.key] = parts, record.offset
        for key, (parts, offset) in changed.items():
            total = [sum(column) for column in zip(*(part[1:] for part in parts.values()), strict=True)]
            columns, exists = self.row(key.decode(), total)
            name, version = columns["row_id"], self.version(offset)
            row = {**columns, "version": version, "is_deleted": int(not exists)}
            headers = cloud_event(FUNNEL, f"{name}@{version}")
            effects.outputs.append(Output(FUNNEL, name.encode(), orjson.dumps(row), headers))
            if not exists:
                effects.outputs.append(tombstone(FUNNEL, name, version))
            effects.state.append((key, orjson.dumps(parts)))
        return effects


def offsets_of(raw: bytes) -> int:
    """Sum of the journal offsets that a record's parts include."""
    return sum(part[0] for part in orjson.loads(raw).values())
