"""Dead letters, read back and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.errors import Rejected
from streams.agents.ingest import dead_letter as letter_output
from streams.cli.main import app
from streams.effects import Run
from streams.files import dead_letter
from streams.letters import NoDeadLetters, from_file, from_record, groups
from streams.memory.log import MemoryRecord
from streams.reading import Received, in_order, readable


def written(folder: Path) -> Path:
    rows = [
        dead_letter(
            "deals", "deals.csv", 3, b'{"stage":"x"}', Rejected("unknown_stage", "/stage", "use another")
        ),
        dead_letter("leads", "leads.ndjson", 1, b"\xff", Rejected("invalid_json", "", "not UTF-8")),
        dead_letter("deals", "deals.csv", 9, b"text", Rejected("unknown_stage", "/stage", "the last")),
    ]
    path = folder / "dead-letters.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def listed(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["dead-letters", "list", *options], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout


def test_what_ingest_refuses_is_read_back_with_its_reason_and_place() -> None:
    record = MemoryRecord(41, 0, b"k", b'{"a":1}', ())
    output = letter_output(
        Run("deals", 2, [record], 0), record, Rejected("missing_field", "/type", "send it")
    )
    received = Received("dead-letters", 0, 7, 5, output.key, output.value, tuple(output.headers))
    letter = from_record(received)
    assert (letter.code, letter.path, letter.message) == ("missing_field", "/type", "send it")
    assert (letter.source, letter.topic, letter.key, letter.value) == ("deals:2:41", "deals", "k", {"a": 1})


def test_a_dead_letter_of_another_program_is_counted_as_unknown() -> None:
    assert from_record(Received("dead-letters", 0, 0, 0, None, None, ())).code == "unknown"


def test_letters_are_grouped_by_code_the_most_frequent_first(tmp_path: Path) -> None:
    found = groups(from_file(written(tmp_path)))
    assert [(group.code, group.count, group.topics) for group in found] == [
        ("unknown_stage", 2, {"deals": 2}),
        ("invalid_json", 1, {"leads": 1}),
    ]
    assert found[0].example.message == "the last"


@pytest.mark.parametrize("content", ["{}", "[]", "nonsense", '{"value": 1}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x"
    path.write_text(content)
    with pytest.raises(NoDeadLetters, match="line 1"):
        from_file(path)


@pytest.mark.parametrize(
    ("value", "read"),
    [(None, None), (b'{"a":1}', {"a": 1}), (b"text", "text"), (b"\xff", {"base64": "/w=="})],
)
def test_values_are_shown_as_json_text_or_base64(value: bytes | None, read: object) -> None:
    assert readable(value) == read


def test_records_of_several_partitions_are_ordered_by_time() -> None:
    records = [Received("t", partition, 0, at, None, None, ()) for partition, at in ((0, 3), (1, 1), (2, 2))]
    assert [record.partition for record in sorted(records, key=in_order)] == [1, 2, 0]


def test_the_list_counts_by_code(tmp_path: Path) -> None:
    path = str(written(tmp_path))
    code, output = listed("--file", path)
    lines = output.splitlines()
    assert code == 0 and "the last" in lines[1] and "deals 2" in lines[1] and len(lines) == 3
    answer = json.loads(listed("--file", path, "--json")[1])
    assert answer["total"] == 3 and [each["count"] for each in answer["codes"]] == [2, 1]
    assert "letters" not in answer


def test_a_code_is_shown_letter_by_letter(tmp_path: Path) -> None:
    path = str(written(tmp_path))
    answer = json.loads(listed("--file", path, "--code", "unknown_stage", "--json")[1])
    assert [letter["source"] for letter in answer["letters"]] == ["deals.csv:3", "deals.csv:9"]
    _, output = listed("--file", path, "--code", "unknown_stage")
    assert "use another" in output and "invalid_json" not in output
    assert "No dead letters with code nope" in listed("--file", path, "--code", "nope")[1]
