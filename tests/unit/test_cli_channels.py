"""``headwater channels explain``."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from streams.cli.channels import app

BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def run(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["explain", *options], env={"COLUMNS": "200", "NO_COLOR": "1"})
    return result.exit_code, result.output


def test_json_names_channel_rule_and_steps() -> None:
    code, output = run("--url", "https://acme.com/?utm_source=google&utm_medium=cpc", "--json")
    answer = json.loads(output)
    assert code == 0
    assert (answer["channel"], answer["source"], answer["medium"], answer["rule"]) == (
        "Paid Search", "google", "cpc", "utm",
    )  # fmt: skip
    assert [step["name"] for step in answer["steps"] if step["decides"]] == ["utm"]
    assert "bot" not in answer


def test_the_table_marks_the_step_that_decides() -> None:
    code, output = run("--referrer", "https://chatgpt.com/", "--url", "https://acme.com/")
    deciding = [line for line in output.splitlines() if "->" in line]
    assert code == 0
    assert len(deciding) == 1
    assert "referrer" in deciding[0]
    assert "rule 9 AI Assistant" in deciding[0]
    assert "channel: AI Assistant" in output


def test_square_brackets_in_evidence_are_printed_as_they_are() -> None:
    _, output = run("--utm-source", "[bold]x[/nope]")
    assert "[bold]x[/nope]" in output


@pytest.mark.parametrize(("agent", "bot"), [(BOT, True), ("Mozilla/5.0", False)])
def test_a_user_agent_is_judged(agent: str, bot: bool) -> None:
    assert json.loads(run("--user-agent", agent, "--json")[1])["bot"] is bot
    assert ("a known bot" in run("--user-agent", agent)[1]) is bot


@pytest.mark.parametrize(
    ("options", "channel"),
    [
        (("--channel", "Podcast"), "Podcast"),
        (("--type", "email_reply"), "Email"),
        (("--click-id", "Ab", "--click-id-type", "msclkid"), "Paid Search"),
        (("--utm-source", "a", "--utm-medium", "email", "--utm-campaign", "b"), "Email"),
    ],
)
def test_every_option_is_evidence(options: tuple[str, ...], channel: str) -> None:
    assert json.loads(run(*options, "--json")[1])["channel"] == channel


@pytest.mark.parametrize(
    "options", [(), ("--click-id", "x"), ("--click-id-type", "gclid"), ("--nonsense", "x")]
)
def test_wrong_usage_exits_2(options: tuple[str, ...]) -> None:
    assert run(*options)[0] == 2


def test_help_shows_examples() -> None:
    code, output = run("--help")
    assert code == 0
    assert "headwater channels explain --type email_reply" in output


def test_the_rules_of_the_settings_are_the_ones_explained(tmp_path):
    config = tmp_path / "headwater.yaml"
    config.write_text(
        "channels:\n  rules:\n    - channel: Partners\n"
        "      all: [{field: source, op: equals, value: x-partner}]\n"
    )
    arguments = [
        "explain",
        "--utm-source",
        "x-partner",
        "--utm-medium",
        "foo",
        "--config",
        str(config),
        "--json",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["channel"] == "Partners"
