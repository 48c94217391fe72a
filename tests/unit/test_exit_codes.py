"""One exit code per kind of failure, whatever the command, and the table of them in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import exits
from streams.cli.main import app

ROOT = Path(__file__).parents[2]
NOWHERE = "127.0.0.1:1"
READING = (
    ("score", "{}", "--out", "out"),
    ("send", "{}", "--brokers", NOWHERE),
    ("explain", "account", "a", "--from", "{}"),
    ("dead-letters", "list", "--file", "{}"),
    ("audit", "{}", "--brokers", NOWHERE),
    ("diff", "{}", "{}"),
)
ON_A_CLUSTER = (
    ("worker", "--port", "0"),
    ("topics", "create"),
    ("topics", "check"),
    ("topics", "list"),
    ("send", "-", "--topic", "deals"),
    ("tail", "deals"),
    ("explain", "account", "a"),
    ("explain", "deal", "d"),
    ("dead-letters", "list"),
    ("audit", "-"),
)
BAD = (
    *((*command, "--brokers", "nonsense") for command in ON_A_CLUSTER),
    ("score", "-", "--out", "out", "--format", "nope"),
    ("score", "-", "--out", "out", "--as-of", "yesterday"),
    ("send", "-", "--topic", "nope"),
    ("explain", "account", "a", "--from", "-", "--format", "nope"),
    ("explain", "account", "a", "--model", "nope"),
    ("topics", "create", "--prefix", "no blanks"),
    ("worker", "--log-level", "loud"),
    ("broker", "--port", "99999"),
    ("channels", "explain"),
    ("nope",),
)
UNUSABLE = (
    ("worker", "--port", "0"), ("topics", "create"), ("send", "-"), ("score", "-", "--out", "out"), ("tail", "deals"),
    ("explain", "account", "a"), ("dead-letters", "list"), ("config", "check"), ("config", "show"),
    ("channels", "explain", "--url", "https://a.example/"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADWATER_CONFIG", raising=False)


def code(*arguments: str) -> int:
    return CliRunner().invoke(app, list(arguments), input="").exit_code


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_an_input_file_that_is_not_there_is_1(command: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [part.format("missing.ndjson") for part in command])
    assert done.exit_code == exits.FAILURE
    assert done.stderr == "Error: missing.ndjson: No such file or directory\n"


@pytest.mark.parametrize("command", BAD, ids=" ".join)
def test_bad_arguments_are_2(command: tuple[str, ...]) -> None:
    assert code(*command) == exits.USAGE


@pytest.mark.parametrize("command", UNUSABLE, ids=" ".join)
@pytest.mark.parametrize("content", [None, "kafka: [broken", "nonsense: 1"])
def test_settings_that_cannot_be_used_are_3(command: tuple[str, ...], content: str | None) -> None:
    if content is not None:
        Path("headwater.yaml").write_text(content)
    assert code(*command, "--config", "headwater.yaml") == exits.INVALID


@pytest.mark.parametrize("command", ON_A_CLUSTER, ids=" ".join)
def test_a_broker_that_does_not_answer_is_4(command: tuple[str, ...]) -> None:
    assert code(*command, "--brokers", NOWHERE) == exits.UNREACHABLE


def test_the_documented_table_is_that_of_the_commands() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    section = text.split("## Exit codes")[1].split("\n## ")[0]
    documented = [int(found) for found in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert documented == [
        exits.OK, exits.FAILURE, exits.USAGE, exits.INVALID, exits.UNREACHABLE, exits.INTERRUPTED,
    ]  # fmt: skip
