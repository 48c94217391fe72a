"""What differs between two outputs of ``score``, usually of one archive under two configurations."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from streams.diff_money import Amounts, ByConversion, Deal, Deals, Models, Movement, add
from streams.diff_rows import AMOUNT, UNSTABLE, Counts, Rows, walk
from streams.topology import ANSWERS, CREDITS

Progress: TypeAlias = "Callable[[str, float | None], AbstractContextManager[Callable[[float], None]]]"
"""(what is being done, how much of it or None) -> a block that is told how much more was done."""

IGNORED = UNSTABLE | {"config_version"}
"""Columns that outputs are not compared in: how a row came about, and under which configuration."""


class NoSuchModel(Exception):
    """Neither output has a model of that name."""


@dataclass(slots=True)
class Difference:
    """What differs; a is the first output, b the second."""

    topics: dict[str, Counts] = field(default_factory=dict)
    config_versions: tuple[str, str] = ("", "")
    """Of the credit rows of a and b; empty where there are none."""
    models: list[str] = field(default_factory=list)
    models_only_in_a: list[str] = field(default_factory=list)
    models_only_in_b: list[str] = field(default_factory=list)
    channels: list[Movement] = field(default_factory=list)
    """Won credit, every model, currency and channel that has any."""
    conversions: list[dict[str, Any]] = field(default_factory=list)
    """Sums of the rows that differ, per kind of conversion (``ByConversion.changed``)."""
    deals_different: int = 0
    deals: list[Deal] = field(default_factory=list)
    """Those in which most moved."""

    @property
    def equal(self) -> bool:
        """Whether every compared row stands on both sides with the same content, by the same models."""
        same_models = not (self.models_only_in_a or self.models_only_in_b)
        return same_models and all(counts.all_equal for counts in self.topics.values())

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            "equal": self.equal,
            "config_versions": {"a": self.config_versions[0], "b": self.config_versions[1]},
            "topics": {topic: asdict(counts) for topic, counts in self.topics.items()},
            "models": self.models,
            "models_only_in_a": self.models_only_in_a,
            "models_only_in_b": self.models_only_in_b,
            "channels": [movement.to_json() for movement in self.channels],
            "conversions": self.conversions,
            "deals_different": self.deals_different,
            "deals": [deal.to_json() for deal in self.deals],
        }


def compare(a: Path, b: Path, progress: Progress, *, only: Sequence[str] = (), limit: int = 10) -> Difference:
    """Compare two outputs topic by topic, emission order or ``--final`` alike.

    ``only`` leaves other models' money out, ``limit`` is how many deals are told. Raises OSError for a folder or
    file that is missing, RowsUnreadable for a damaged line, NoSuchModel.
    """
    found = Difference()
    for topic in topics_of(a, b):
        rows_a, rows_b = (_read(folder, topic, progress) for folder in (a, b))
        if topic == CREDITS:
            _credits(found, rows_a, rows_b, progress, only, limit)
        else:
            found.topics[topic] = counts = Counts()
            with progress(f"comparing {topic}", len(rows_a.keys() | rows_b.keys())) as advance:
                for _ in walk(rows_a, rows_b, counts, lambda *_: IGNORED, advance):
                    pass
    return found


def topics_of(a: Path, b: Path) -> list[str]:
    """Topics whose files are in two folders. Raises OSError for a folder, or a file that only one of them lacks."""
    for folder in (a, b):
        if not folder.is_dir():
            number = errno.ENOTDIR if folder.exists() else errno.ENOENT
            raise OSError(number, os.strerror(number), str(folder))
    names = [topic for topic in ANSWERS if _file(a, topic).exists() or _file(b, topic).exists()]
    if CREDITS not in names:
        names.insert(0, CREDITS)  # so that its absence is told: the folders are no outputs of score
    for topic in names:
        for folder in (a, b):
            if not _file(folder, topic).exists():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(_file(folder, topic)))
    return names


def _file(folder: Path, topic: str) -> Path:
    return folder / f"{topic}.ndjson"


def _read(folder: Path, topic: str, progress: Progress) -> Rows:
    path = _file(folder, topic)
    with progress(f"reading {path}", path.stat().st_size) as advance:
        return Rows(path, topic, advance)


def _credits(
    found: Difference, a: Rows, b: Rows, progress: Progress, only: Sequence[str], limit: int
) -> None:
    models = Models(a.models, b.models, only)
    if missing := [name for name in only if name not in models.names and (a.models or b.models)]:
        known = ", ".join(Models(a.models, b.models).names)
        raise NoSuchModel(f"no rows by model {', '.join(missing)}: there are {known}")
    ignored = IGNORED | _columns(a.models, b.models, models.names)
    counts, sums, deals = Counts(), ByConversion(models), Deals(models, limit)
    won: tuple[Amounts, Amounts] = ({}, {})
    versions = ["", ""]
    with progress(f"comparing {CREDITS}", len(a.keys() | b.keys())) as advance:
        for pair, columns in walk(a, b, counts, lambda *_: ignored, advance):
            for side, row in enumerate((pair.a, pair.b)):
                add(won[side], models, row)
                if row is not None:
                    versions[side] = row.get("config_version", "")
            deals.add(pair)
            if columns or pair.a is None or pair.b is None:
                sums.add(pair, columns)
    found.topics[CREDITS], found.conversions = counts, sums.changed()
    found.config_versions = versions[0], versions[1]
    found.models, found.models_only_in_a, found.models_only_in_b = models.names, models.only_a, models.only_b
    found.channels = list(models.movements(*won))
    found.deals, found.deals_different = deals.largest(), deals.different


def _columns(a: Sequence[str], b: Sequence[str], wanted: Sequence[str]) -> frozenset[str]:
    """Columns of models that are not wanted, or that one side lacks: they are told by name, not row by row."""
    left_out = {name for name in {*a, *b} if name not in wanted or (a and b and (name in a) != (name in b))}
    return frozenset(f"{name}{end}" for name in left_out for end in ("_share", AMOUNT))
