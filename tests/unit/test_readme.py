"""What the README says is true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner

from revenue_core.attribution.models import model_names
from schemas.inbound import decode
from schemas.registry import TOPICS
from streams.cli.main import NAMES, app
from streams.settings import load_settings
from tests.builders import config, context

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```\w*\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^\.venv/bin/headwater (.+?)(?: +#.*)?$", "\n".join(BLOCKS), re.MULTILINE)


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_the_readme_exists_with_its_options(command: str):
    words = shlex.split(command)
    group = typer.main.get_command(app)
    context_ = typer.Context(group)
    found = group.get_command(context_, words[0])
    rest = words[1:]
    if hasattr(found, "commands"):
        found, rest = found.commands[rest[0]], rest[1:]
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_every_module_of_the_command_line_with_a_command_is_listed():
    files = {path.stem.replace("_", "-") for path in (ROOT / "streams" / "cli").glob("*.py")}
    helpers = {
        "--init--",
        "main",
        "exits",
        "options",
        "output",
        "demo-layout",
        "explain-layout",
        "explain-words",
    }
    assert files - helpers == set(NAMES)


def test_every_command_has_help_with_examples():
    runner = CliRunner()
    group = typer.main.get_command(app)
    for name in NAMES:
        found = group.get_command(typer.Context(group), name)
        for words in [[name, each] for each in found.commands] if hasattr(found, "commands") else [[name]]:
            result = runner.invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
            assert result.exit_code == 0, result.output
            assert f"headwater {' '.join(words)}" in result.output.partition("Examples")[2], words


def test_the_events_in_the_readme_are_valid():
    (block,) = [block for block in BLOCKS if '"event_id"' in block]
    events = [orjson.loads(text) for text in re.findall(r"\{.*?\}", block, re.DOTALL)]
    assert [decode(kind, orjson.dumps(event), context())["event_id"]
            for kind, event in zip(("touchpoints", "deals"), events, strict=True)] == ["t-1", "d-1"]  # fmt: skip


def test_the_settings_in_the_readme_can_be_used(tmp_path: Path) -> None:
    (block,) = [block for block in BLOCKS if "headwater.yaml, given by" in block]
    (tmp_path / "headwater.yaml").write_text(block)
    settings = load_settings(tmp_path / "headwater.yaml")
    assert (settings.default_currency, settings.pipelines[0].stages[1].stuck_days) == ("USD", 21)


def test_the_topics_and_the_number_of_models_are_as_the_readme_says():
    named = set(re.findall(r"^\| `([a-z-]+)` \|", README, re.MULTILINE))
    assert named <= {name for name, topic in TOPICS.items() if topic.direction == "out"}
    assert f"in {len(model_names(config()))} attribution models" in README


def test_every_link_in_the_documents_leads_somewhere():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_knows_the_two_commands():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^demo:", makefile, re.MULTILINE)
    assert re.search(r"^test:", makefile, re.MULTILINE)


def test_the_distribution_owns_the_three_packages_and_lists_every_folder_of_code():
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(folder.relative_to(ROOT).parts)
        for top in ("streams", "schemas", "revenue_core")
        for folder in (ROOT / top, *(ROOT / top).rglob("*"))
        if folder.is_dir() and (folder / "__init__.py").exists()
    }
    assert listed == found
