"""JSON Schemas of all messages, made from the declarations that the code itself runs on."""

from __future__ import annotations

import json
from typing import Any

from schemas.events import IDENTIFIERS, EventType
from schemas.fields import FIELDS
from schemas.outbound import DeadLetterLine
from schemas.registry import TOPICS
from schemas.row import Row, RowSchema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOT_BLANK = r"\S"


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

    It says of what kind values are. Whether an instant, an amount, a currency or a stage is a valid one needs
    the clock and the configuration.
    """
    events = TOPICS[name].events or {}
    return {
        "$schema": DIALECT,
        "title": name,
        "description": TOPICS[name].description,
        "oneOf": [{"$ref": f"#/$defs/{each}"} for each in events],
        "$defs": {each: _event_schema(event_type) for each, event_type in events.items()},
    }


def row_schema(title: str, rows: tuple[type[Row], ...]) -> dict[str, Any]:
    """Schema of the rows of an output."""
    (row,) = rows
    schema = row.model_json_schema(schema_generator=RowSchema)
    return {"$schema": DIALECT, **schema, "title": title}


def _event_schema(event_type: EventType) -> dict[str, Any]:
    required = sorted(event_type.all_required)
    properties = {}
    for name in event_type.fields:
        schema = dict(FIELDS[name].schema)
        if name == "type":
            schema = {"const": event_type.name}
        elif name in event_type.all_required:
            if "string" in schema.get("type", ()):
                schema.setdefault("pattern", NOT_BLANK)
        else:
            schema = {"anyOf": [schema, {"type": "null"}, {"type": "string", "pattern": r"^\s*$"}]}
        properties[name] = {**schema, "description": FIELDS[name].description}
    found: dict[str, Any] = {"type": "object", "properties": properties, "required": required}
    needed = event_type.required_any or (IDENTIFIERS if event_type.needs_identifier else ())
    if needed:
        found["anyOf"] = [{"required": [name]} for name in needed]
    return found
