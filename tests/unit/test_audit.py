"""What an audit compares and what it leaves out, over rows as ``score`` writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.audit import Report, compare
from streams.audit_live import AUDITED, Snapshot
from streams.cli.output import progress
from streams.score import Summary
from streams.topology import ALERTS, CREDITS, FUNNEL, PROBABILITIES
from tests.builders import UNSTABLE
from tests.score_builders import lead, patch, score, touch

Row = dict[str, Any]
STORY = [
    touch(0, channel="Email"), touch(20, channel="Display"), lead(21, "L1"),
    patch(25, stage="qualification", amount=9), patch(30, stage="closed"),
    patch(31, deal_id="D2", event_id="o", stage="qualification", amount=70),
    *(touch(day / 2, event_id=f"q{day}", type="demo_request") for day in range(4)), touch(90, account_id="other"),
]  # fmt: skip


def audited(
    folder: Path,
    topic: str,
    change: Callable[[list[Row]], list[Row] | None],
    *,
    restated: bool = False,
    limit: int = 9,
) -> Report:
    """Audit an output of ``score`` against itself with the live rows of one topic changed."""
    score(folder, {"all.ndjson": STORY}, out="recomputed", final=True)
    live = folder / "live"
    live.mkdir()
    for each in AUDITED:
        rows = [
            orjson.loads(line)
            for line in (folder / "recomputed" / f"{each}.ndjson").read_bytes().splitlines()
        ]
        if each == topic:
            assert rows, f"the story has no rows of {topic}"
            rows = change(rows) or rows
        (live / f"{each}.ndjson").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    report = Report(Snapshot(), Summary())
    compare(live, folder / "recomputed", report, progress, restated=restated, limit=limit)
    return report


def set_all(**values: Any) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        for row in rows:
            row.update(values)

    return change


def test_the_columns_that_tell_how_a_row_came_about_are_not_compared(tmp_path: Path) -> None:
    changed: dict[str, Any] = {name: "other" for name in UNSTABLE if not name.endswith("version")}
    report = audited(tmp_path, ALERTS, set_all(**changed, version=99, params_version=7))
    assert report.equal and report.topics[ALERTS].equal > 0


@pytest.mark.parametrize("topic", [CREDITS, ALERTS, FUNNEL])
def test_every_other_column_is(tmp_path: Path, topic: str) -> None:
    def change(rows: list[Row]) -> None:
        rows[0]["added"] = 1

    report = audited(tmp_path, topic, change)
    (found,) = report.first
    assert not report.equal and [tuple(each) for each in found.columns] == [("added", 1, None)]


def test_learned_columns_are_compared_under_one_parameter_version_or_after_a_restate(tmp_path: Path) -> None:
    def other_share(rows: list[Row]) -> None:
        for row in rows:
            row["markov_amount_minor"] += 1
            row["shapley_share"] += 0.5

    def other_version(rows: list[Row]) -> None:
        other_share(rows)
        set_all(params_version=-1, low_data=None)(rows)

    for number, (change, restated, equal) in enumerate(
        [(other_share, False, False), (other_version, False, True), (other_version, True, False)]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        report = audited(folder, CREDITS, change, restated=restated)
        assert report.equal is equal
        whole = report.topics[CREDITS]
        assert report.left_out[CREDITS] == (whole.equal if equal else 0)


def test_rule_models_are_compared_whatever_the_parameters(tmp_path: Path) -> None:
    def change(rows: list[Row]) -> None:
        set_all(params_version=-1)(rows)
        (row, *_) = (row for row in rows if row["conversion"] == "won")
        row["linear_amount_minor"] -= 2
        row["markov_amount_minor"] -= 5

    report = audited(tmp_path, CREDITS, change)
    assert [each.column for each in report.first[0].columns] == ["linear_amount_minor"]
    (told,) = report.sums
    assert (told["model"], told["difference_minor"], told["moved_minor"]) == ("linear", -2, 2)


def test_chances_are_compared_at_one_instant_and_their_subjects_always(tmp_path: Path) -> None:
    def later(rows: list[Row]) -> None:
        for row in rows:
            row["as_of_ms"] += 1
            row["p_win"] = row["age_in_stage_days"] = 0.123

    def other_chance(rows: list[Row]) -> None:
        rows[0]["p_win"] = 0.123

    def other_stage(rows: list[Row]) -> None:
        later(rows)
        rows[0]["stage"] = "elsewhere"

    for number, (change, column) in enumerate([(later, ""), (other_chance, "p_win"), (other_stage, "stage")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        report = audited(folder, PROBABILITIES, change)
        assert [each.column for found in report.first for each in found.columns] == (
            [column] if column else []
        )


def test_rows_of_one_side_are_told_with_all_their_money_and_the_limit_only_cuts_what_is_shown(
    tmp_path: Path,
) -> None:
    def only_won(rows: list[Row]) -> list[Row]:
        return [row for row in rows if row["conversion"] == "won"]

    report = audited(tmp_path, CREDITS, only_won, limit=2)
    assert [(found.only, found.version) for found in report.first] == [("recomputed", None)] * 2
    assert report.differences == report.topics[CREDITS].only_a > 2
    assert {each["conversion"] for each in report.sums} == {"stage_entered:qualification"}
    assert {each["live_minor"] for each in report.sums} == {0}


def test_configurations_that_are_not_the_workers_are_named(tmp_path: Path) -> None:
    report = audited(tmp_path, CREDITS, set_all(config_version="abc"))
    assert report.config_versions["live"] == ["abc"] != report.config_versions["recomputed"]
    assert not report.equal


def test_a_record_that_is_no_row_is_a_difference(tmp_path: Path) -> None:
    report = audited(tmp_path, CREDITS, lambda rows: None)
    assert report.equal
    report.snapshot.unreadable.append("attribution-credits, partition 0, offset 1: not JSON")
    assert not report.equal and report.to_json()["equal"] is False
