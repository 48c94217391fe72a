"""What of a file is sent, where, under which key, and where a later run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from streams.files import read_lines
from streams.keys import message_key
from streams.sending import DeadLetters, Outgoing, State, StateMismatch, default_kind, outgoing, targets
from streams.settings import Settings, context

VIEW = {"event_id": "e1", "type": "page_view", "occurred_at": "2026-01-01T00:00:00Z", "anonymous_id": "a"}
PAGE = {"type": "page", "messageId": "m", "anonymousId": "v", "timestamp": "2026-01-01T00:00:00Z"}


def written(folder: Path, name: str, *lines: object) -> str:
    path = folder / name
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return str(path)


def looked_at(settings: Settings, file: str, form: str = "native") -> list[Outgoing]:
    goals = targets(settings, form)
    lines = read_lines(file, kind=default_kind(file, None, goals), form=form)
    return list(outgoing(lines, goals, context(settings)))


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"deal_id": "d", "account_id": "a"}, "a"),
        ({"anonymous_id": "v", "deal_id": "d"}, "d"),
        ({"email": "x@y.example", "domain": "y.example"}, "x@y.example"),
        ({"account_id": "", "contact_id": 7}, "7"),
        ({"channel": "Display"}, ""),
    ],
)
def test_the_key_is_the_account_else_the_first_identifier(fields: dict[str, object], key: str) -> None:
    assert message_key(fields) == key


def test_valid_lines_go_as_they_stand_and_invalid_ones_say_why(tmp_path: Path) -> None:
    odd = '  {"event_id": "e2",  "type":"page_view","occurred_at":1767225600000,"account_id":"A","x":[1]}'
    file = written(tmp_path, "touchpoints.ndjson", odd, {**VIEW, "type": "nope"}, "{", VIEW)
    items = looked_at(Settings(topic_prefix="eu-"), file)
    assert [item.rejected.code if item.rejected else item.topic for item in items] == [
        "eu-touchpoints", "unknown_type", "invalid_json", "eu-touchpoints",
    ]  # fmt: skip
    assert items[0].line.message.decode() == odd
    assert [item.key for item in items] == [b"A", None, None, b"a"]


def test_each_format_has_its_own_topic() -> None:
    topics = {"touchpoints": ["web", {"name": "app", "format": "segment"}], "leads": "crm"}
    settings = Settings.model_validate({"topics": topics})
    assert {kind: goal.topic for kind, goal in targets(settings, "native").items()} == {
        "touchpoints": "web", "leads": "crm", "deals": "deals",
    }  # fmt: skip
    assert {kind: goal.topic for kind, goal in targets(settings, "segment").items()} == {"touchpoints": "app"}


def test_lines_of_another_format_go_to_the_only_topic_that_takes_them(tmp_path: Path) -> None:
    settings = Settings.model_validate({"topics": {"touchpoints": [{"name": "app", "format": "segment"}]}})
    (item,) = looked_at(settings, written(tmp_path, "export.ndjson", PAGE), "segment")
    assert (item.topic, item.key, item.rejected) == ("app", b"v", None)


def test_a_kind_that_no_topic_takes_is_an_error(tmp_path: Path) -> None:
    settings = Settings.model_validate({"topics": {"deals": []}})
    with pytest.raises(LookupError, match="deals"):
        looked_at(settings, written(tmp_path, "deals.ndjson", VIEW))


def test_a_state_remembers_what_is_done_per_file(tmp_path: Path) -> None:
    first, second = written(tmp_path, "a", "x", "y"), written(tmp_path, "b", "z")
    state = State(tmp_path / "state.json")
    assert (state.begin(first), state.begin(second)) == (0, 0)
    state.done(first, 2)
    state.save()
    again = State(tmp_path / "state.json")
    assert (again.begin(first), again.begin(second)) == (2, 0)


def test_a_file_that_has_grown_goes_on_and_one_that_was_replaced_does_not(tmp_path: Path) -> None:
    file = written(tmp_path, "a", "x")
    state = State(tmp_path / "state.json")
    state.begin(file)
    state.done(file, 1)
    state.save()
    written(tmp_path, "a", "x", "y")
    assert State(tmp_path / "state.json").begin(file) == 1
    written(tmp_path, "a", "other")
    with pytest.raises(StateMismatch, match="does not begin as it did"):
        State(tmp_path / "state.json").begin(file)


def test_without_a_state_nothing_is_remembered_or_written(tmp_path: Path) -> None:
    state = State(None)
    file = written(tmp_path, "a", "x")
    assert state.begin(file) == 0
    state.done(file, 1)
    state.save()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_dead_letters_are_added_behind_those_of_earlier_runs(tmp_path: Path) -> None:
    path = tmp_path / "dead-letters.ndjson"
    path.write_text('{"code":"earlier"}\n')
    (item,) = looked_at(Settings(), written(tmp_path, "leads.ndjson", "{"))
    assert item.rejected is not None
    with DeadLetters(path) as letters:
        letters.write(item.line, item.rejected)
    earlier, found = [json.loads(line) for line in path.read_text().splitlines()]
    assert earlier == {"code": "earlier"}
    assert (found["code"], found["topic"], found["line"]) == ("invalid_json", "leads", 1)


def test_no_dead_letters_make_no_file(tmp_path: Path) -> None:
    with DeadLetters(tmp_path / "dead-letters.ndjson"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [("--format", "nope"), ("--topic", "nope"), ("--rate", "0"), ("--state", "s.json")]
)
def test_wrong_usage_exits_2(options: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["send", "-", *options]).exit_code == 2


def test_without_a_broker_the_exit_code_is_4_and_nothing_is_written(tmp_path: Path) -> None:
    file, letters = written(tmp_path, "leads.ndjson", "{"), tmp_path / "letters.ndjson"
    done = CliRunner().invoke(app, ["send", file, "--brokers", "127.0.0.1:1", "--dead-letters", str(letters)])
    assert done.exit_code == 4 and "127.0.0.1:1" in done.stderr
    assert not letters.exists()
