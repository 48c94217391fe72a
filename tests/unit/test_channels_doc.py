"""``docs/channels.md`` says what the code does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from revenue_core.channel_data import CLICK_IDS, DEFAULT_RULES, TYPE_CHANNELS
from revenue_core.channel_rules import describe, parse_rules
from streams.cli.channels import app
from streams.reference_data import channel_tables

DOC = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()


def rows(*lines: tuple[str, ...]) -> str:
    """Lines of a Markdown table."""
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def test_the_rule_table_is_the_shipped_rules() -> None:
    assert (
        rows(*((str(i), r.channel, describe(r.when)) for i, r in enumerate(DEFAULT_RULES, 1))) + "\n\n" in DOC
    )


def test_the_click_id_table_is_the_shipped_one() -> None:
    assert rows(*((f"`{name}`", *click) for name, click in CLICK_IDS.items())) + "\n\n" in DOC


def test_the_touch_type_table_is_the_shipped_one() -> None:
    lines = (
        ("any other" if pattern == "*" else f"`{pattern}`", channel) for pattern, channel in TYPE_CHANNELS
    )
    assert rows(*lines) + "\n\n" in DOC


@pytest.mark.parametrize("command", re.findall(r"^headwater channels (.*)$", DOC, re.MULTILINE))
def test_every_command_shown_runs(command: str) -> None:
    assert CliRunner().invoke(app, shlex.split(command)).exit_code == 0


def test_the_rules_shown_as_an_example_work() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)
    data = yaml.safe_load(example)
    tables = channel_tables(rules=data)
    assert [rule.channel for rule in parse_rules(data)] == ["Partners", "Brand Search"]
    assert tables.channel("acme-partner", "", "") == "Partners"
    assert tables.channel("bing", "cpc", "") == "Brand Search"
