"""``headwater score`` on the command line: exit codes, what it prints, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from streams.topology import ALERTS, ANSWERS, DEAD_LETTERS, JOURNEYS
from tests.score_builders import DAY, START, line, rows, touch


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("HEADWATER_CONFIG", raising=False)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["score", *arguments])
    return result.exit_code, result.stdout, result.stderr


def write(name: str, *events: bytes) -> None:
    Path(name).write_bytes(b"\n".join(events))


def day(number: float) -> bytes:
    return line(*touch(number - 300))


def test_a_good_run_exits_0_and_says_what_it_wrote(tmp_path: Path) -> None:
    write("all.ndjson", day(0), day(1))
    code, printed, _ = run("all.ndjson", "--out", "out", "--json")
    summary = json.loads(printed)
    assert (code, summary["facts"], summary["rows"]) == (0, 2, {JOURNEYS: 2})
    assert len(rows(tmp_path, JOURNEYS)) == 2


def test_bad_lines_end_in_exit_code_3_after_everything_valid_is_written(tmp_path: Path) -> None:
    Path("in").mkdir()
    write("in/touchpoints.ndjson", day(0), b"", b"oops", day(1))
    code, printed, said = run("in/touchpoints.ndjson", "--out", "out", "--final")
    (letter,) = rows(tmp_path, DEAD_LETTERS)
    assert (letter["file"], letter["line"], letter["value"]) == ("in/touchpoints.ndjson", 3, "oops")
    assert code == 3 and "1 of 3 lines could not be used: see out/dead-letters.ndjson" in said
    assert "invalid_json" in printed and rows(tmp_path, JOURNEYS)[0]["touches"] == 2


@pytest.mark.parametrize("wrong", ["nothere.ndjson", "."])
def test_a_file_that_is_not_there_is_named_and_the_outputs_of_before_stay(tmp_path: Path, wrong: str) -> None:
    write("all.ndjson", day(0))
    assert run("all.ndjson", "--out", "out")[0] == 0
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    code, _, said = run("all.ndjson", wrong, "--out", "out")
    assert code == 1 and f"Error: {wrong}: " in said and "Traceback" not in said
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == before


def test_a_damaged_file_is_named_and_what_came_before_it_is_on_disk(tmp_path: Path) -> None:
    write("all.ndjson", day(0))
    write("deals.parquet", b"PAR1 and no more")
    code, _, said = run("all.ndjson", "deals.parquet", "--out", "out")
    assert code == 1 and "deals.parquet is no readable Parquet" in said
    assert len(rows(tmp_path, JOURNEYS)) == 1


@pytest.mark.parametrize(
    ("option", "value", "remedy"),
    [
        ("--format", "xml", "one of native, segment"),
        ("--topic", "clicks", "one of touchpoints, leads, deals"),
        ("--as-of", "yesterday", "RFC 3339 with an offset"),
        ("--as-of", "2026-01-01", "RFC 3339 with an offset"),
        ("--as-of", "2026-01-01T00:00:00", "RFC 3339 with an offset"),
        ("--as-of", "1767225600", "before the year 2000"),
        ("--as-of", "99999999999999999", "after the year 9999"),
    ],
)
def test_a_wrong_option_exits_2_and_says_what_would_be_right(option: str, value: str, remedy: str) -> None:
    write("all.ndjson", day(0))
    code, _, said = run("all.ndjson", "--out", "out", option, value)
    assert code == 2 and option in said and remedy in said
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "as_of", [str(START - 270 * DAY), "2025-12-25T14:13:20.0009Z", "2025-12-25T15:13:20+01:00"]
)
def test_the_instant_is_read_like_every_other_time(tmp_path: Path, as_of: str) -> None:
    write("all.ndjson", *(line(*touch(n - 300, event_id=f"{n}")) for n in (0, 0.5, 1)))
    code, printed, _ = run("all.ndjson", "--out", "out", "--as-of", as_of, "--json")
    assert (code, json.loads(printed)["as_of_ms"]) == (0, START - 270 * DAY)
    assert [row["kind"] for row in rows(tmp_path, ALERTS)] == ["cooled"]


def test_a_foreign_format_is_read_from_files_that_name_a_topic(tmp_path: Path) -> None:
    page = {"type": "page", "messageId": "m1", "timestamp": "2026-01-01T00:00:00Z", "groupId": "acme"}
    write("touchpoints.ndjson", orjson.dumps(page))
    assert run("touchpoints.ndjson", "--format", "segment", "--out", "out")[0] == 0
    assert rows(tmp_path, JOURNEYS)[0]["touches"] == 1


def test_all_eight_files_are_there_after_an_empty_input() -> None:
    write("touchpoints.ndjson")
    assert run("touchpoints.ndjson", "--out", "out")[0] == 0
    assert {path.stem for path in Path("out").iterdir()} == {*ANSWERS, DEAD_LETTERS}
