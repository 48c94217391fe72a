"""Totals: adds the partial sums of every journal partition into the rows of ``funnel-metrics``.

A partial is absolute: what one journal partition contributes to one metric, or to one part of it. The latest per
partition counts, so repeated and reordered deliveries change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from revenue_core.metric_rows import MetricRows
from streams.agents.ingest import stray
from streams.agents.rows import cloud_event, tombstone
from streams.effects import Effects, Output, Run, StatelessHandler, TableView
from streams.topology import FUNNEL, PARTIALS

PART = "|"
"""Between the partition and the part of the metric in the names of what is added up."""


def partial(metric: str, partition: int, offset: int, sums: Sequence[int], part: str = "") -> Output:
    """The upsert by which a journal partition publishes its sums for one metric, as of a journal offset."""
    body = {"p": partition, "o": offset, "v": sums} | ({"s": part} if part else {})
    return Output(PARTIALS, metric.encode(), orjson.dumps(body))


@dataclass(slots=True)
class _Metric:
    """A metric in a run."""

    sums: dict[str, list[int]]
    """Partition, then ``|`` and the part of the metric if it has one -> journal offset included, sums."""
    offset: int = -1
    """Of the record that changed it last; below 0 as long as none has."""
    lived: set[str] = field(default_factory=set)
    """The rows that existed before the run or at a record of it: somebody may know them."""

    def of_part(self, part: str) -> list[list[int]]:
        """What the partitions say of one part."""
        return [known for name, known in self.sums.items() if _part_of(name) == part]

    def totals(self) -> dict[str, list[int]]:
        """Part -> the sums of all partitions."""
        parts = dict.fromkeys(map(_part_of, self.sums))
        return {part: [sum(each) for each in zip(*self.of_part(part), strict=True)][1:] for part in parts}


def _part_of(name: str) -> str:
    return name.partition(PART)[2]


class TotalsHandler(StatelessHandler):
    """Handler of ``partials``; its table holds, per metric, the latest sums of each journal partition.

    ``version`` makes the version out of the offset of the causing record.
    """

    def __init__(self, metrics: MetricRows, version: Callable[[int], int]) -> None:
        self.metrics, self.version = metrics, version

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        """Whether a record of the table takes the place of another: every part only ever moves on."""
        return records_in(new) >= records_in(old)

    def handle(self, run: Run, table: TableView) -> Effects:
        """The rows of every metric that changed in the run."""
        effects = Effects()
        changed: dict[bytes, _Metric] = {}
        for record in run.records:
            if record.key is None or record.value is None:
                continue
            try:
                name, partition, offset, sums, part = self._read(record.key, record.value)
            except (LookupError, TypeError, ValueError) as error:
                effects.outputs.append(stray(run, record, error))
                continue
            metric = changed.get(record.key)
            if metric is None:
                metric = changed[record.key] = _Metric(orjson.loads(table.get(record.key) or b"{}"))
                for known in dict.fromkeys(map(_part_of, metric.sums)):
                    metric.lived |= self._living(name, metric, known)
            place = f"{partition}{PART}{part}" if part else str(partition)
            before = metric.sums.get(place)
            if before is None or before[0] < offset:
                metric.sums[place] = [offset, *sums]
                metric.offset = record.offset
                metric.lived |= self._living(name, metric, part)
        for key, metric in changed.items():
            if metric.offset >= 0:
                effects.outputs += self._rows(key.decode(), metric)
                effects.state.append((key, orjson.dumps(metric.sums)))
        return effects

    def _read(self, key: bytes, value: bytes) -> tuple[str, int, int, list[int], str]:
        """(metric, journal partition, journal offset included, sums, part).

        Raises LookupError, TypeError or ValueError for what no journal partition publishes.
        """
        name, raw = key.decode(), orjson.loads(value)
        sums, part = [number + 0 for number in raw["v"]], raw.get("s", "")
        if len(sums) != self.metrics.size(name):
            raise ValueError("not the sums of this metric")
        self.metrics.places(name, part)
        return name, raw["p"] + 0, raw["o"] + 0, sums, part

    def _living(self, name: str, metric: _Metric, part: str) -> set[str]:
        """The rows of a part that exist now."""
        known = metric.of_part(part)
        return {
            row_id
            for row_id, column in self.metrics.places(name, part)
            if sum(sums[1 + column] for sums in known) > 0
        }

    def _rows(self, name: str, metric: _Metric) -> Iterator[Output]:
        """Rows that exist, and last rows of those that did."""
        totals, version = metric.totals(), self.version(metric.offset)
        alive = {row_id for part in totals for row_id in self._living(name, metric, part)}
        for columns in self.metrics.rows(name, totals):
            row_id = columns["row_id"]
            if row_id not in alive and row_id not in metric.lived:
                continue
            row = {**columns, "version": version, "is_deleted": int(row_id not in alive)}
            headers = cloud_event(FUNNEL, f"{row_id}@{version}")
            yield Output(FUNNEL, row_id.encode(), orjson.dumps(row), headers)
            if row_id not in alive:
                yield tombstone(FUNNEL, row_id, version)


def records_in(raw: bytes) -> int:
    """How many journal records a record's parts include, those up to their offsets; offset 0 is one."""
    return sum(part[0] + 1 for part in orjson.loads(raw).values())
