"""The examples and the JSON Schemas are what the code does."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.context import Context
from schemas.export import DIRECTORY, export
from schemas.inbound import decode
from schemas.jsonschemas import source_schema
from schemas.outbound import DeadLetterLine
from schemas.registry import TOPICS
from schemas.row import Row

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
FILES = sorted(EXAMPLES.glob("*/v1/*.json"))
INBOUND = [path for path in FILES if TOPICS[path.parts[-3]].events is not None]
OUTBOUND = [path for path in FILES if path not in INBOUND]
CONTEXT = Context(
    now_ms=1_800_000_000_000,
    pipelines={"default": frozenset({"qualification", "meeting_scheduled"})},
    currencies={"EUR": 2},
)


def name_of(path: Path) -> str:
    return f"{path.parts[-3]}/{path.stem}"


def rows_of(topic: str) -> tuple[type[Row], ...]:
    return (DeadLetterLine,) if topic == "dead-letters" else TOPICS[topic].rows


def accepts(row: type[Row], shown: dict[str, Any]) -> bool:
    try:
        row.model_validate(shown)
    except ValueError:
        return False
    return True


@cache
def validator(topic: str) -> jsonschema.Draft202012Validator:
    name = "dead-letters-file" if topic == "dead-letters" else topic
    schema = json.loads((DIRECTORY / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def load(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text())
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("path", INBOUND, ids=name_of)
def test_an_inbound_example_decodes_to_every_field_it_shows(path: Path) -> None:
    event = decode(path.parts[-3], path.read_bytes(), CONTEXT)
    assert event["type"] == path.stem
    assert event.keys() == load(path).keys() | {"source"}


@pytest.mark.parametrize("path", OUTBOUND, ids=name_of)
def test_an_outbound_example_is_a_row_of_its_topic(path: Path) -> None:
    shown = load(path)
    found = [row for row in rows_of(path.parts[-3]) if accepts(row, shown)]
    assert len(found) == 1
    assert found[0].model_validate(shown).model_dump(exclude_none=True) == shown


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_an_example_satisfies_the_json_schema_of_its_topic(path: Path) -> None:
    validator(path.parts[-3]).validate(load(path))


@pytest.mark.parametrize("topic", [topic for topic in TOPICS.values() if topic.events], ids=lambda t: t.name)
def test_every_type_of_a_source_topic_has_an_example(topic: Any) -> None:
    assert {path.stem for path in INBOUND if path.parts[-3] == topic.name} == set(topic.events)


@pytest.mark.parametrize("topic", [topic for topic in TOPICS.values() if topic.events], ids=lambda t: t.name)
def test_the_json_schema_of_a_source_topic_describes_every_type_and_field(topic: Any) -> None:
    described = source_schema(topic.name)["$defs"]
    assert set(topic.events) < set(described)
    for name in topic.events:
        properties = described[name]["properties"]
        assert described[name]["description"]
        assert set(properties) == set(topic.events[name].fields)
        assert all(values["description"] for field, values in properties.items() if field != "type")


def test_every_output_with_rows_has_an_example() -> None:
    shown = {path.parts[-3] for path in OUTBOUND}
    assert shown == {topic.name for topic in TOPICS.values() if topic.rows} | {"dead-letters"}


def test_the_committed_json_schemas_are_those_that_the_code_exports(tmp_path: Path) -> None:
    fresh = {path.name: path.read_text() for path in export(tmp_path)}
    committed = {path.name: path.read_text() for path in DIRECTORY.glob("*.json")}
    assert committed == fresh, "stale: run python -m schemas.export"


def test_export_removes_the_schema_of_a_message_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone.json").write_text("{}")
    export(tmp_path)
    assert not (tmp_path / "gone.json").exists()


@pytest.mark.parametrize(
    ("topic", "example", "change"),
    [
        ("touchpoints", "page_view", {"event_id": " "}),
        ("touchpoints", "page_view", {"type": "page_viewed"}),
        ("touchpoints", "other", {"direction": None}),
        ("leads", "lead_feedback", {"accepted": "yes"}),
        ("leads", "account_updated", {"domains": "acme.example"}),
        ("deals", "deal_updated", {"status": "closed"}),
        ("attribution-credits", "won", {"deal_id": None}),
        ("attribution-credits", "won", {"markov_share": 1.5}),
        ("attribution-credits", "won", {"custom_board_amount_minor": 1.5}),
        ("attribution-credits", "won", {"made_up": 1}),
        ("account-alerts", "cooled", {"days_cold": None}),
        ("funnel-metrics", "revenue", {"linear_won_minor": 0.5}),
        ("funnel-metrics", "models", {"made_up": 1}),
        ("funnel-metrics", "cost", {"spends": -1}),
    ],
)
def test_a_json_schema_refuses_what_the_code_refuses(
    topic: str, example: str, change: dict[str, Any]
) -> None:
    value = {**load(EXAMPLES / topic / "v1" / f"{example}.json"), **change}
    assert not validator(topic).is_valid(value)


@pytest.mark.parametrize(
    ("topic", "example", "change", "reason"),
    [
        ("attribution-credits", "won", {"lead_id": None}, "null in lead_id"),
        ("attribution-credits", "won", {"touch_at_ms": 1}, "touch_at .* and touch_at_ms 1 differ"),
        ("attribution-credits", "won", {"touch_id": "native:x"}, "credit_id"),
        ("attribution-credits", "won", {"amount_minor": "1"}, "valid integer"),
        ("attribution-credits", "won", {"provisional": 0}, "valid boolean"),
        ("attribution-credits", "won", {"is_deleted": 2}, "less than or equal to 1"),
        ("attribution-credits", "won", {"is_deleted": True}, "valid integer"),
        ("attribution-credits", "stage", {"custom_new_share": 0.5}, "missing for custom_new"),
        ("attribution-credits", "stage", {"custom_board_share": 2}, "lies between 0 and 1"),
        ("attribution-credits", "stage", {"custom_board_amount_minor": 0.5}, "whole number"),
        ("attribution-credits", "stage", {"made_up": 1}, "unknown column made_up"),
        ("pipeline-probabilities", "deal", {"p_win_30d": 0.4}, "p_win_30d"),
        ("pipeline-probabilities", "deal", {"p_win_high": 0.3}, "interval"),
        ("pipeline-probabilities", "deal", {"p_lost": 0.7}, "more than 1"),
        ("account-alerts", "cooled", {"at": "2026-04-07T13:00:00Z"}, "pattern"),
        ("funnel-metrics", "stage", {"row_id": "stage"}, "row_id"),
        ("funnel-metrics", "revenue", {"segment": "Email"}, "row_id"),
        ("funnel-metrics", "revenue", {"made_up_won_minor": 1}, "unknown column made_up_won_minor"),
        ("funnel-metrics", "revenue", {"linear_won_minor": 0.5}, "whole number of minor units"),
        ("funnel-metrics", "models", {"linear_conversions": -1}, "from 0 on"),
        ("funnel-metrics", "cost", {"currency": "USD"}, "row_id"),
        ("dead-letters", "file_line", {"value_base64": "AA=="}, "exactly one"),
    ],
)
def test_a_row_that_breaks_the_contract_is_refused(
    topic: str, example: str, change: dict[str, Any], reason: str
) -> None:
    shown = load(EXAMPLES / topic / "v1" / f"{example}.json")
    (row,) = (row for row in rows_of(topic) if accepts(row, shown))
    with pytest.raises(ValueError, match=reason):
        row.model_validate({**shown, **change})
