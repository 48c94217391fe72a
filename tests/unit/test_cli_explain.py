"""``headwater explain`` from files, and how it ends when there is nothing to explain."""

from __future__ import annotations

import gzip
import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

from revenue_core.facts import DAY_MS
from streams import translate
from streams.cli.exits import FAILURE, INVALID, OK, UNREACHABLE, USAGE
from streams.cli.main import app
from streams.compose import offline_service
from streams.explain_files import answer
from streams.explain_subject import Subject, differences, with_models
from streams.explain_versions import versions
from streams.files import Line
from streams.settings import Settings, core_config
from tests.builders import NOW_MS, Event
from tests.laws.histories import histories

START = 1_772_323_200_000  # 2026-03-01T00:00:00Z


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("HEADWATER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["explain", *arguments])
    return result.exit_code, result.stdout, result.stderr


def event(topic: str, day: float, type_: str, **fields: Any) -> dict[str, Any]:
    known = {
        "topic": topic, "event_id": f"{type_}-{day}", "type": type_, "occurred_at": START + round(day * DAY_MS),
        "account_id": "acme",
    }  # fmt: skip
    return known | fields


def deal(day: float, **fields: Any) -> dict[str, Any]:
    return event("deals", day, "deal_updated", **{"deal_id": "D1", "event_id": f"d{day}", **fields})


STORY = [
    event(
        "touchpoints",
        0,
        "ad_click",
        url="https://acme.com/?utm_source=google&utm_medium=cpc&utm_campaign=spring",
        anonymous_id="v1",
    ),
    event("touchpoints", 5, "form_submit", contact_id="c1"),
    event("leads", 5, "lead_created", lead_id="L1"),
    event("touchpoints", 12, "email_click", contact_id="c1"),
    event("touchpoints", 30, "demo_request", contact_id="c1", referrer="https://www.linkedin.com/"),
    deal(30, stage="meeting_scheduled", amount="10000", lead_ids=["L1"], name="Big one"),
    event("touchpoints", 38, "meeting", rep_id="r1"),
    deal(38, stage="closed", amount="12000"),
    deal(60, deal_id="D2", stage="contract_sent", amount="500"),
    event("touchpoints", 61, "page_view", account_id="globex"),
]


@pytest.fixture
def story(tmp_path: Path) -> str:
    return written(tmp_path / "story.ndjson", STORY)


def written(file: Path, events: Iterable[dict[str, Any]]) -> str:
    file.write_text("".join(json.dumps(each) + "\n" for each in events))
    return str(file)


def explained(*arguments: str) -> dict[str, Any]:
    code, output, said = run(*arguments, "--json")
    assert code == OK, said
    found: dict[str, Any] = json.loads(output)
    return found


def workings(found: dict[str, Any], conversion_id: str) -> dict[str, Any]:
    (conversion,) = [each for each in found["conversions"] if each["conversion_id"] == conversion_id]
    return {model["model"]: model for model in conversion["models"]}


# -- what it prints


def test_json_holds_the_worked_example_to_the_cent(story: str) -> None:
    found = explained("account", "acme", "--from", story)
    parts = workings(found, "deal:D1:won")["time_decay"]["parts"]
    assert [part["amount_minor"] for part in parts] == [175_19, 287_44, 574_88, 3_417_04, 7_545_45]
    assert [part["weight"] for part in parts][:2] == ["2^-(38/7) = 0.02322", "2^-(33/7) = 0.03809"]
    assert (found["as_of"], found["phase"]) == ("2026-05-01T00:00:00.000Z", "decision")
    assert [row["subject_id"] for row in found["probabilities"]] == ["deal:D2"]
    assert [row["kind"] for row in found["alerts"]] == ["follow_up_missed"]


def test_the_versions_of_every_credit_row_come_in_order_with_their_causes(story: str) -> None:
    found = explained("deal", "D1", "--from", story)["versions"]
    told = [(each["credit_id"].partition("|")[0], each["cause"], each["change"]) for each in found]
    stage = "deal:D1:stage:meeting_scheduled"
    assert told == [
        *[(stage, "deals:native:d30", "new")] * 4,
        *[(stage, "deals:native:d38", "changed")] * 4,
        *[("deal:D1:won", "deals:native:d38", "new")] * 5,
    ]
    assert [each["version"] for each in found] == sorted(each["version"] for each in found)
    assert {"amount_minor", "status", "provisional"} <= set(found[4]["changed"])
    assert {"cause", "version", "computed_at", "computed_at_ms"}.isdisjoint(found[4]["changed"])
    assert found[4]["row"]["amount_minor"] == 12_000_00


def test_a_row_that_went_and_came_back_has_all_its_versions(tmp_path: Path) -> None:
    events = [
        event("touchpoints", 0, "page_view"),
        deal(1, status="won", amount="5"),
        deal(2, status="open"),
        deal(3, status="won"),
    ]
    found = explained("deal", "D1", "--from", written(tmp_path / "e.ndjson", events))["versions"]
    assert [(each["cause"], each["change"], each["row"]["amount_minor"]) for each in found] == [
        ("deals:native:d1", "new", 5_00),
        ("deals:native:d2", "deleted", 0),
        ("deals:native:d3", "new", 5_00),
    ]


def test_the_layout_fits_80_columns_and_names_every_section(story: str) -> None:
    code, output, _ = run("account", "acme", "--from", story)
    lines = output.splitlines()
    assert code == OK
    assert max(map(len, lines)) <= 80
    for title in ("Touches", "Leads", "Deal D1 (Big one)", "Conversions", "Versions of the credit rows"):
        assert title in lines
    for title in ("Win probability", "Alerts", "Temperature"):
        assert title in lines


def test_the_layout_says_how_each_part_came_about(story: str) -> None:
    _, output, _ = run("deal", "D1", "--from", story)
    said = [" ".join(line.split()) for line in output.splitlines()]
    assert "path: #1 FT, #2 LC, #3, #4 OC, #5 CW" in said
    assert "#1 38 days before 2^-(38/7) = 0.02322 1.46% 175.19" in said
    assert "#5 0 days before 2^-(0/7) = 1 62.88% 7,545.45 +" in said
    assert "#3 between 1/15 6.67% 800.00" in said
    assert "first_touch: #1 takes 12,000.00. All to the first touch of the path." in said
    assert "1 2026-03-01 00:00 in ad_click Paid Search utm" in said
    assert "native:ad_click-0 spring, google / cpc visitor v1" in said


def test_a_long_path_is_cut_in_the_table_and_says_so(tmp_path: Path) -> None:
    events = [event("touchpoints", day, "page_view") for day in range(45)]
    file = written(tmp_path / "e.ndjson", [*events, deal(45, status="won", amount="90")])
    _, output, _ = run("deal", "D1", "--from", file, "--model", "linear")
    assert "and 5 more: --json shows all" in output
    assert len(workings(explained("deal", "D1", "--from", file), "deal:D1:won")["linear"]["parts"]) == 45


def test_only_the_models_asked_for_are_shown(story: str) -> None:
    found = explained("account", "acme", "--from", story, "--model", "time_decay", "--model", "linear")
    assert list(workings(found, "deal:D1:won")) == ["linear", "time_decay"]
    _, output, _ = run("account", "acme", "--from", story, "--model", "linear")
    assert "linear: Equal parts" in output
    assert "time_decay" not in output


def test_a_deal_shows_nothing_of_another_one(story: str) -> None:
    found = explained("deal", "D2", "--from", story)
    assert {each["deal_id"] for each in found["conversions"]} == {"D2"}
    assert {each["row"]["deal_id"] for each in found["versions"]} == {"D2"}
    assert [each["deal_id"] for each in found["deals"]] == ["D2"]


def test_brackets_in_what_people_wrote_are_printed_as_they_are(tmp_path: Path) -> None:
    file = written(tmp_path / "e.ndjson", [deal(0, name="[bold]Big[/nope]", amount="1")])
    assert "[bold]Big[/nope]" in run("account", "acme", "--from", file)[1]


# -- where it reads from


def test_several_files_are_one_history_whatever_they_are(tmp_path: Path) -> None:
    packed = tmp_path / "touchpoints.ndjson.gz"
    packed.write_bytes(gzip.compress(json.dumps(event("touchpoints", 0, "page_view")).encode()))
    rows = tmp_path / "deals.csv"
    rows.write_text("event_id,type,occurred_at,account_id,deal_id,status,amount\n"
                    f"d1,deal_updated,{START + DAY_MS},acme,D1,won,7\n")  # fmt: skip
    found = explained("deal", "D1", "--from", str(packed), "--from", str(rows))
    assert workings(found, "deal:D1:won")["linear"]["parts"][0]["amount_minor"] == 7_00
    assert found["source"] == f"{packed}, {rows}"


def test_the_topic_may_be_given_for_files_that_do_not_say(tmp_path: Path) -> None:
    lines = [{k: v for k, v in deal(0, amount="1").items() if k != "topic"}]
    file = written(tmp_path / "e.ndjson", lines)
    assert run("deal", "D1", "--from", file)[0] == FAILURE
    assert explained("deal", "D1", "--from", file, "--topic", "deals")["account_id"] == "acme"


def test_refused_lines_are_counted_and_left_out(tmp_path: Path) -> None:
    file = tmp_path / "e.ndjson"
    refused = [deal(9, stage="nowhere"), {"topic": "elsewhere"}]
    written(file, [deal(0, amount="1"), *refused])
    file.write_text(file.read_text() + "no JSON\n")
    (note,) = explained("deal", "D1", "--from", str(file))["notes"]
    assert note.startswith("3 of 4 lines were refused")


def test_settings_decide_the_models(tmp_path: Path, story: str) -> None:
    config = tmp_path / "headwater.yaml"
    weights = {"first_touch": 75, "won": 25}
    config.write_text(yaml.safe_dump({"attribution": {"half_life": 1, "custom": {"ends": weights}}}))
    found = explained("deal", "D1", "--from", story, "--config", str(config))
    models = workings(found, "deal:D1:won")
    assert [part["weight"] for part in models["custom_ends"]["parts"]] == ["75/100", "0", "0", "0", "25/100"]
    assert models["time_decay"]["rule"].startswith("The weight halves with every 1 day of age: 2^-(age / 1)")


@pytest.mark.parametrize(
    ("fields", "account_id"),
    [
        ({"deal_id": "D9"}, "deal:D9"),
        ({"deal_id": "D9", "account_id": "deal:D9"}, "deal:D9"),
    ],
)
def test_a_deal_that_named_no_account_is_an_account_of_its_own(
    tmp_path: Path, fields: dict[str, str], account_id: str
) -> None:
    message = {"topic": "deals", "event_id": "d", "type": "deal_updated", "occurred_at": START, **fields}
    file = written(tmp_path / "e.ndjson", [message])
    assert explained("deal", "D9", "--from", file)["account_id"] == account_id
    assert [each["deal_id"] for each in explained("account", account_id, "--from", file)["deals"]] == ["D9"]


def test_an_account_whose_key_must_not_be_read_back_is_found_by_its_id(tmp_path: Path) -> None:
    touch = event("touchpoints", 0, "page_view", contact_id="c1")
    del touch["account_id"]
    file = written(tmp_path / "e.ndjson", [touch])
    account_id = translate.account_id("c:c1")
    assert account_id.startswith("person:")
    assert explained("account", account_id, "--from", file)["touches"][0]["contact_id"] == "c1"


def test_of_a_deal_in_two_accounts_the_one_that_changed_last_is_explained(tmp_path: Path) -> None:
    events = [deal(1, account_id="old"), deal(3, account_id="new"), deal(2, account_id="old", amount="1")]
    assert explained("deal", "D1", "--from", written(tmp_path / "e.ndjson", events))["account_id"] == "new"


# -- equality with what was emitted


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories)
@pytest.mark.parametrize("account_id", ["acme", "globex"])
def test_the_last_versions_say_what_is_explained(account_id: str, history: list[Event]) -> None:
    if not any(message.get("account_id") == account_id for _, message in history):
        history = [*history, ("deals", {**deal(200, deal_id="D7"), "account_id": account_id})]
    made = Settings()
    lines = [Line(kind, "f", n, json.dumps(message).encode()) for n, (kind, message) in enumerate(history)]
    subject = Subject("account", account_id)
    found = answer(subject, offline_service(made, NOW_MS), lines, ["f"], core_config(made))
    assert differences(found.explanation, found.versions) == []
    won = [each for each in found.versions if each.change != "deleted" and each.row["linear_amount_minor"]]
    for each in won[-1:]:
        wrong = {**each.row, "linear_amount_minor": 1 + each.row["linear_amount_minor"], "version": 2**50}
        altered = versions([*(each.row for each in found.versions), wrong])
        assert each.credit_id in differences(found.explanation, altered)


def test_versions_that_a_restart_repeats_are_marked_or_are_one(tmp_path: Path, story: str) -> None:
    rows = [each["row"] for each in explained("deal", "D2", "--from", story)["versions"]]
    again = [{**row, "version": row["version"] + 5, "computed_at": "later"} for row in rows]
    assert [each.change for each in versions([*rows, *rows, *again])] == [
        "new",
        "new",
        "repeated",
        "repeated",
    ]


def test_limiting_the_models_keeps_the_versions_whole() -> None:
    made = Settings()
    lines = [Line(each["topic"], "f", 1, json.dumps(each).encode()) for each in STORY]
    found = answer(Subject("deal", "D1"), offline_service(made, NOW_MS), lines, ["f"], core_config(made))
    limited = with_models(found, ["linear"])
    assert limited.versions == found.versions
    assert differences(limited.explanation, limited.versions) == []


# -- how it ends


def test_an_unknown_account_ends_with_1_and_says_what_was_searched(story: str) -> None:
    code, output, said = run("account", "acne", "--from", story)
    assert (code, output) == (FAILURE, "")
    assert f"no account 'acne' in {story}: 10 lines with 2 accounts were searched" in said
    assert "did you mean 'acme'?" in said


def test_an_unknown_deal_ends_with_1(story: str) -> None:
    code, _, said = run("deal", "D9", "--from", story)
    assert code == FAILURE
    assert "no deal 'D9' in" in said


def test_a_file_that_is_not_there_ends_with_1() -> None:
    code, _, said = run("account", "acme", "--from", "/nowhere/deals.ndjson")
    assert code == FAILURE
    assert "/nowhere/deals.ndjson" in said


def test_a_broker_that_is_away_ends_with_4() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    code, _, said = run("account", "acme", "--brokers", address)
    assert code == UNREACHABLE
    assert f"no Kafka broker answers at {address}" in said


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("account",),
        ("account", " "),
        ("account", "acme", "--model", "linear_", "--from", "x"),
        ("account", "acme", "--from", "x", "--brokers", "127.0.0.1:9092"),
        ("account", "acme", "--from", "x", "--format", "nonsense"),
        ("account", "acme", "--from", "x", "--topic", "nonsense"),
        ("contact", "c1"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == USAGE


def test_wrong_settings_end_with_3(tmp_path: Path) -> None:
    config = tmp_path / "headwater.yaml"
    config.write_text("attribution: {half_life: -1}\n")
    assert run("account", "acme", "--config", str(config))[0] == INVALID


@pytest.mark.parametrize("command", ["account", "deal"])
def test_help_shows_examples(command: str) -> None:
    code, output, _ = run(command, "--help")
    assert code == OK
    assert f"headwater explain {command}" in output
