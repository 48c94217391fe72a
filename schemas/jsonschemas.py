"""JSON Schemas of all messages, made from the declarations that the code itself runs on."""

from __future__ import annotations

import json
from typing import Any

from schemas.events import EventType
from schemas.outbound import DeadLetterLine
from schemas.registry import TOPICS
from schemas.row import Row, RowSchema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ABSENT = {
    "description": "Null and empty or blank text count as not given",
    "anyOf": [{"type": "null"}, {"type": "string", "pattern": r"^\s*$"}],
}


def documents() -> dict[str, str]:
    """File name -> text of every exported schema."""
    schemas: dict[str, dict[str, Any]] = {}
    for topic in TOPICS.values():
        if topic.events is not None:
            schemas[topic.name] = source_schema(topic.name)
        elif topic.rows:
            schemas[topic.name] = row_schema(topic.name, topic.rows)
    schemas["dead-letters-file"] = row_schema("dead-letters-file", (DeadLetterLine,))
    return {f"{name}.json": json.dumps(schema, indent=2) + "\n" for name, schema in schemas.items()}


def source_schema(name: str) -> dict[str, Any]:
    """Schema of the native messages of a source topic: one alternative per type.

    Whether an instant, an amount, a currency or a stage is a valid one needs the clock and the configuration.
    """
    events = TOPICS[name].events or {}
    definitions: dict[str, Any] = {each: _event_schema(event_type) for each, event_type in events.items()}
    shared = {"absent": ABSENT}
    for definition in definitions.values():
        shared.update(definition.pop("$defs", {}))
    return {
        "$schema": DIALECT,
        "title": name,
        "description": TOPICS[name].description,
        "oneOf": [{"$ref": f"#/$defs/{each}"} for each in events],
        "$defs": definitions | shared,
    }


def row_schema(title: str, rows: tuple[type[Row], ...]) -> dict[str, Any]:
    """Schema of the rows of an output: of several kinds, one alternative each."""
    schemas = {row.__name__: row.model_json_schema(schema_generator=RowSchema) for row in rows}
    if len(rows) == 1:
        return {"$schema": DIALECT, **schemas[rows[0].__name__], "title": title}
    return {
        "$schema": DIALECT,
        "title": title,
        "description": TOPICS[title].description,
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in schemas],
        "$defs": schemas,
    }


def _event_schema(event_type: EventType) -> dict[str, Any]:
    """The model's own schema, and which of its fields may be absent (R14)."""
    schema = event_type.adapter.json_schema()
    schema["title"] = event_type.name
    absent = {"$ref": "#/$defs/absent"}
    for name, values in schema["properties"].items():
        if name not in schema["required"]:
            about = {key: values.pop(key) for key in ("title", "description", "default") if key in values}
            schema["properties"][name] = {**about, "anyOf": [*values.get("anyOf", [values]), absent]}
        elif "const" not in values:
            values["not"] = absent
    if event_type.needs_any:
        schema["anyOf"] = [{"required": [name]} for name in event_type.fields if name in event_type.needs_any]
    return schema
