"""Recomputes the answers from archived input and holds a live cluster's output topics against them.

Columns are compared that the first law covers (R06). What depends on learned parameters is covered after a restate,
and a chance depends on the instant it was computed for: such columns are compared where both rows are of one
parameter version, and of one instant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from streams.audit_live import AUDITED, Progress, Snapshot
from streams.diff_money import ByConversion, Models
from streams.diff_rows import UNSTABLE, Counts, Pair, Row, Rows, walk
from streams.score import Summary
from streams.topology import CREDITS, FUNNEL, PROBABILITIES

LEARNED_MODELS = ("markov_", "shapley_")
LEARNED = frozenset({
    "low_data", *(f"{model}{end}" for model in LEARNED_MODELS for end in ("share", "amount_minor")),
})  # fmt: skip
"""Columns of credit rows that depend on learned parameters (R44)."""
OF_AN_INSTANT = frozenset({
    "as_of", "as_of_ms", "age_in_stage_days", "p_win", "p_win_low", "p_win_high", "p_win_30d", "p_win_90d", "p_lost",
    "n_observations", "expected_value_minor", "expected_close_at", "expected_close_at_ms", "reason_stage",
    "reason_age", "reason_engagement", "reason_source", "reason_other",
})  # fmt: skip
"""Columns of a probability row that depend on its ``as_of``: a worker's is the last fact or timer, that of the
recomputation the end of the input (R08, R45)."""


class Compared(NamedTuple):
    """A column of one key that is not the same; None where a row lacks it."""

    column: str
    live: Any
    recomputed: Any


@dataclass(slots=True)
class Found:
    """A key that is not the same on both sides."""

    topic: str
    key: str
    only: str = ""
    """``live`` or ``recomputed`` where the other has no row."""
    columns: list[Compared] = field(default_factory=list)
    version: int | None = None
    """Of the live row."""
    cause: str = ""
    """Of the live row."""

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {**asdict(self), "columns": [each._asdict() for each in self.columns]}


@dataclass(slots=True)
class Report:
    """What an audit found; a of the counts is recomputed, b is live."""

    snapshot: Snapshot
    summary: Summary
    topics: dict[str, Counts] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    """Topic -> rows in which columns were left out, since parameters or instants differ."""
    first: list[Found] = field(default_factory=list)
    """The first differences, by topic and key."""
    sums: list[dict[str, Any]] = field(default_factory=list)
    """Money of the credits that differ, per conversion, currency and model."""
    config_versions: dict[str, list[str]] = field(default_factory=dict)
    """``live`` and ``recomputed``: configurations that the credit rows name."""

    @property
    def equal(self) -> bool:
        """Whether every audited key has one content on both sides, and every live record was a row."""
        return not self.snapshot.unreadable and all(counts.all_equal for counts in self.topics.values())

    @property
    def differences(self) -> int:
        """Number of keys that differ."""
        return sum(each.different + each.only_a + each.only_b for each in self.topics.values())

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "equal": self.equal,
            "as_of_ms": self.summary.as_of_ms,
            "lines": self.summary.lines,
            "dead_letters": self.summary.dead_letters,
            "quarantined": self.summary.quarantined,
            "offsets": self.snapshot.to_json(),
            "unreadable": self.snapshot.unreadable,
            "config_versions": self.config_versions,
            "topics": {
                topic: {
                    "equal": counts.equal, "different": counts.different, "only_live": counts.only_b,
                    "only_recomputed": counts.only_a, "columns_left_out": self.left_out[topic],
                }
                for topic, counts in self.topics.items()
            },
            "differences": [found.to_json() for found in self.first],
            "sums": self.sums,
        }  # fmt: skip


def compare(
    live: Path, recomputed: Path, report: Report, progress: Progress, *, restated: bool, limit: int
) -> None:
    """Fill in what differs between two folders of ``<topic>.ndjson``; at most ``limit`` differences are told.

    ``restated``: the live rows are those of a restate, so that learned columns are compared whatever the parameter
    versions. Raises OSError, RowsUnreadable.
    """
    for topic in AUDITED:
        a, b = (Rows(folder / f"{topic}.ndjson", topic) for folder in (recomputed, live))
        counts = report.topics[topic] = Counts()
        sums = ByConversion(Models(a.models, b.models)) if topic == CREDITS else None
        rule = _Rule(topic, restated)
        versions: tuple[set[str], set[str]] = (set(), set())
        with progress(f"comparing {topic}", len(a.keys() | b.keys())) as advance:
            for pair, columns in walk(a, b, counts, rule.ignored, advance):
                if sums is not None:
                    _note_configuration(pair, versions)
                if not columns and pair.a is not None and pair.b is not None:
                    continue
                if sums is not None:
                    sums.add(pair, columns)
                if len(report.first) < limit:
                    report.first.append(_found(topic, pair, columns))
        report.left_out[topic] = rule.left_out
        if sums is not None:
            report.sums = [_sum(each) for each in sums.changed()]
            report.config_versions = {"recomputed": sorted(versions[0]), "live": sorted(versions[1])}


class _Rule:
    """Which columns of a topic's rows are not compared."""

    def __init__(self, topic: str, restated: bool) -> None:
        self.topic, self.restated, self.left_out = topic, restated, 0

    def ignored(self, a: Row, b: Row) -> Collection[str]:
        """Columns that two rows of a key are not compared in."""
        same_parameters = a.get("params_version") == b.get("params_version")
        if self.topic == PROBABILITIES and (a.get("as_of_ms") != b.get("as_of_ms") or not same_parameters):
            self.left_out += 1
            return UNSTABLE | OF_AN_INSTANT
        if self.topic == CREDITS and not (same_parameters or self.restated):
            self.left_out += 1
            return UNSTABLE | LEARNED
        if self.topic == FUNNEL and not self.restated:
            # sums over conversions of several parameter versions
            learned = {name for name in (*a, *b) if name.startswith(LEARNED_MODELS)}
            if learned:
                learned.add("credits")  # rows with money by any model
            if a.get("model") in {"markov", "shapley"}:
                learned |= {"revenue_minor", "roas"}
            self.left_out += bool(learned)
            return UNSTABLE | learned
        return UNSTABLE


def _note_configuration(pair: Pair, versions: tuple[set[str], set[str]]) -> None:
    for row, seen in zip((pair.a, pair.b), versions, strict=True):
        if row is not None:
            seen.add(str(row.get("config_version", "")))


def _found(topic: str, pair: Pair, columns: list[str]) -> Found:
    a, b = pair.a, pair.b
    found = Found(topic, pair.key)
    if b is None:
        found.only = "recomputed"
        return found
    found.version, found.cause = b["version"], str(b.get("cause", ""))
    if a is None:
        found.only = "live"
    else:
        found.columns = [Compared(name, b.get(name), a.get(name)) for name in columns]
    return found


def _sum(each: dict[str, Any]) -> dict[str, Any]:
    names = {"a_minor": "recomputed_minor", "b_minor": "live_minor"}
    return {names.get(name, name): value for name, value in each.items()}
