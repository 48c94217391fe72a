"""The SQL of docs/history.md: DuckDB runs it over output of ``score`` and says what was reported then."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from streams.generator import generate
from streams.topology import CREDITS
from tests.laws.test_history_law import known_at
from tests.score_builders import patch, rows, score, touch

PAGE = (Path(__file__).parents[2] / "docs" / "history.md").read_text()
BLOCKS = re.findall(r"```sql\n-- (\w+)(.*?)```", PAGE, re.DOTALL)
SETUP, VARIABLES, REPORT, CHANGES, SUMS = (f"--{text}" for dialect, text in BLOCKS if dialect == "DuckDB")
AMOUNT = "_amount_minor"
Won = Counter[tuple[str, str, str]]
"""(model, currency, channel) -> minor units"""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A folder with all versions of generated journeys' rows, late, changed and deleted ones among them."""
    folder = tmp_path_factory.mktemp("history")
    lines = [
        message.value.replace(b"{", b'{"topic":"%s",' % message.topic.encode(), 1)
        for message in generate(5, 3_000, 1_780_000_000_000)
    ]
    score(folder, {"all.ndjson": b"\n".join(lines)}, out="scored")
    return folder, [row for row in rows(folder, CREDITS, "scored") if "version" in row]


@pytest.fixture
def database(
    history: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[duckdb.DuckDBPyConnection]:
    monkeypatch.chdir(history[0])
    with duckdb.connect() as made:
        made.execute(SETUP)
        made.execute(VARIABLES)
        yield made


def at(database: duckdb.DuckDBPyConnection, known: int, later: int) -> None:
    database.execute(f"SET VARIABLE known_at = {known}")
    database.execute(f"SET VARIABLE later = {later}")


def instants(versions: list[dict[str, Any]], count: int) -> list[int]:
    """Instants on the way, first and last, and one before everything."""
    found = sorted({row["computed_at_ms"] for row in versions if row["conversion"] == "won"})
    return [found[0] - 1, *found[:: max(1, len(found) // count)], found[-1]]


def won(versions: list[dict[str, Any]], instant: int) -> Won:
    """The report of an instant, added up here."""
    sums: Won = Counter()
    for row in known_at(versions, instant).values():
        if row["conversion"] == "won":
            for column in (name for name in row if name.endswith(AMOUNT)):
                sums[column.removesuffix(AMOUNT), row["currency"], row["channel"]] += row[column]
    return sums


def test_the_page_has_each_query_in_three_dialects() -> None:
    counts = Counter(dialect for dialect, _ in BLOCKS)
    assert counts == {"DuckDB": 5, "ClickHouse": 4, "BigQuery": 4}


def test_the_instants_of_the_page_are_what_its_comments_say(database: duckdb.DuckDBPyConnection) -> None:
    found = database.execute("SELECT getvariable('known_at'), getvariable('later')").fetchone()
    assert found == tuple(int(each) for each in re.findall(r"SET param_\w+ = (\d+);", PAGE))


def test_the_report_is_the_one_that_was_known_at_each_instant(
    database: duckdb.DuckDBPyConnection, history: tuple[Path, list[dict[str, Any]]]
) -> None:
    seen = []
    for instant in instants(history[1], 8):
        at(database, instant, instant)
        found = {tuple(key): minor for *key, minor in database.execute(REPORT).fetchall()}
        assert found == dict(won(history[1], instant))
        seen.append(found)
    assert len({frozenset(report.items()) for report in seen}) > 7


def test_changes_by_cause_are_the_difference_of_the_reports_and_every_cause_is_a_fact(
    database: duckdb.DuckDBPyConnection, history: tuple[Path, list[dict[str, Any]]]
) -> None:
    causes = {row["cause"] for row in history[1]}
    cuts = instants(history[1], 6)
    for known, later in [*pairwise(cuts), (cuts[0], cuts[-1])]:
        at(database, known, later)
        found: Counter[tuple[str, str]] = Counter()
        for currency, channel, cause, minor in database.execute(CHANGES).fetchall():
            assert cause in causes
            found[currency, channel] += minor
        before, after = (
            {key[1:]: minor for key, minor in won(history[1], cut).items() if key[0] == "linear"}
            for cut in (known, later)
        )
        wanted = {place: after.get(place, 0) - before.get(place, 0) for place in before.keys() | after.keys()}
        assert {place: minor for place, minor in found.items() if minor} == {
            place: minor for place, minor in wanted.items() if minor
        }


def test_every_model_reconciles_with_the_won_amounts_at_every_instant(
    database: duckdb.DuckDBPyConnection, history: tuple[Path, list[dict[str, Any]]]
) -> None:
    lines = 0
    for instant in instants(history[1], 8):
        at(database, instant, instant)
        wholes = {
            row["conversion_id"]: (row["currency"], row["amount_minor"])
            for row in known_at(history[1], instant).values()
            if row["conversion"] == "won"
        }
        totals: Counter[str] = Counter()
        for currency, minor in wholes.values():
            totals[currency] += minor
        for _, currency, whole, credited, difference in database.execute(SUMS).fetchall():
            assert (whole, credited, difference) == (totals[currency], totals[currency], 0)
            lines += 1
    assert lines > 50


def test_a_late_touch_is_told_as_the_cause_of_what_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [
        touch(0, channel="Email"), touch(9, channel="Display"), patch(10, stage="closed", amount="100"),
        touch(20, account_id="other"), touch(5, channel="Events", event_id="late"),
    ]  # fmt: skip
    score(tmp_path, {"all.ndjson": events}, out="scored")
    late = max(message["occurred_at"] for _, message in events)
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as database:
        database.execute(SETUP)
        at(database, late - 1, late)
        assert sorted(database.execute(CHANGES).fetchall()) == [
            ("EUR", "Display", "touchpoints:native:late", -1667),
            ("EUR", "Email", "touchpoints:native:late", -1666),
            ("EUR", "Events", "touchpoints:native:late", 3333),
        ]
