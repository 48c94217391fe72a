"""The command line as a whole: its commands, how they end, and what the shared helpers print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from streams.cli import exits
from streams.cli.main import NAMES, app
from streams.cli.options import settings_from
from streams.cli.output import print_table, progress
from streams.settings import ConfigInvalid, Problem, Settings
from streams.topics import BrokerUnreachable, TopicRefusedError


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HEADWATER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_help_lists_every_command_in_order() -> None:
    code, output, _ = run("--help")
    listed = [
        words[1] for line in output.splitlines() if len(words := line.split()) > 1 and words[1] in NAMES
    ]
    assert (code, listed) == (0, list(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str) -> None:
    code, output, _ = run(name, "--help")
    assert code == 0 and f"headwater {name}" in output


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version")[:2] == (0, f"headwater {version('headwater')}\n")


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("config", "nonsense"), ("config", "check", "--nonsense")]
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2


def test_wrong_settings_exit_3_with_every_problem_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_STATE__GENERATION", "200")
    monkeypatch.setenv("HEADWATER_WEB__PORT", "-1")
    code, output, errors = run("config", "show")
    assert (code, output) == (3, "")
    assert "state.generation" in errors and "web.port" in errors and "Traceback" not in errors


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigInvalid([Problem("a.b", "1", "is wrong")]), 3, "Error: a.b: is wrong (given: 1)"),
        (exits.InvalidInput("2 lines were refused"), 3, "Error: 2 lines were refused"),
        (BrokerUnreachable("x:1", "silence"), 4, "Error: no Kafka broker answers at x:1"),
        (TopicRefusedError([("t", "no")]), 1, "Error: t: no"),
        (exits.Failure("cannot"), 1, "Error: cannot"),
        (
            FileNotFoundError(2, "No such file or directory", "here"),
            1,
            "Error: here: No such file or directory",
        ),
        (RuntimeError("odd"), 1, "Error: RuntimeError: odd (HEADWATER_DEBUG=1 shows where)"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_each_failure_has_its_code_and_one_line(
    error: BaseException, code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, exits.policy():
        raise error
    assert caught.value.exit_code == code
    assert capfd.readouterr().err.startswith(said)


def test_a_traceback_is_there_for_those_who_ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADWATER_DEBUG", "1")
    with pytest.raises(typer.Exit), exits.policy():
        raise RuntimeError("odd")
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    command = f"{sys.executable} -m streams.cli.main config schema | head -c 1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], check=False, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "{", "")


def test_config_check_tells_warnings_apart_from_problems() -> None:
    code, output, errors = run("config", "check")
    assert code == 0 and output.startswith("The settings are fine (version ")
    assert errors.startswith("Warning: identity.hash_key")


def test_config_check_as_json(tmp_path: Path) -> None:
    good = json.loads(run("config", "check", "--json")[1])
    assert good["ok"] is True and len(good["config_version"]) == 12
    path = tmp_path / "bad.yaml"
    path.write_text("web: {port: x}")
    code, output, _ = run("config", "check", "--config", str(path), "--json")
    assert code == 3
    assert [each["path"] for each in json.loads(output)["problems"]] == ["web.port"]


def test_config_show_prints_what_is_in_force_as_yaml_or_json() -> None:
    effective = Settings().effective()
    assert yaml.safe_load(run("config", "show")[1]) == effective
    assert json.loads(run("config", "show", "--json")[1]) == effective


def test_config_schema_is_the_schema_of_the_file() -> None:
    document = json.loads(run("config", "schema")[1])
    assert document["title"] == "headwater" and "kafka" in document["properties"]


def test_brokers_on_the_command_line_beat_the_settings() -> None:
    assert settings_from(None, "a:1,b:2").kafka.brokers == "a:1,b:2"
    with pytest.raises(typer.BadParameter, match="must be host:port"):
        settings_from(None, "nowhere")


def test_tables_print_cells_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "count"], [("[bold]x[/nope]", 3)], right=["count"])
    assert "[bold]x[/nope]" in capsys.readouterr().out


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", 10) as advance:
        advance(5)
    assert capsys.readouterr() == ("", "")
