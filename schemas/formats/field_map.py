"""Any other JSON: a map in the settings says where each native field stands.

A map is ``{native field: entry}``. An entry is a path (text), ``{path: ..., ...}``, ``{join: [path, ...]}`` or
``{value: ...}``, a constant. A path is a JSON pointer (``/deal/id``) or dotted (``deal.id``); a number is a place
in a list. Beside ``path``, ``table`` turns values into others, ``unit`` says what a number of time counts, and
``scale`` how many decimals a decimal in base64 has. A topic may have several maps, one for each type; a record
then gives a message for every map whose ``type`` it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, get_origin

from schemas.events import EVENTS, FIELDS, IDENTIFIERS, REQUIRED, EventType
from schemas.fields import absent, either
from schemas.formats.convert import MOST_SCALE, UNITS, decimal_text, milliseconds
from schemas.formats.payload import Message, load_object, pointer, refuse, text_of
from schemas.headers import Headers

SOURCE = "field_map"
"""The source of messages whose map names none."""
OTHERWISE = "*"
"""What a table turns every value into that it does not name; null leaves the field, or the message, out."""
TIMES = ("occurred_at", "expected_close_date")
_ESCAPE = re.compile(r"~(?![01])")
_FORMS = "a path, or one of {path: ...}, {join: [...]}, {value: ...}"

TYPES: Mapping[str, tuple[str, EventType]] = MappingProxyType({
    name: (kind, event_type) for kind, events in EVENTS.items() for name, event_type in events.items()
})  # fmt: skip
"""Type of a native message -> its topic kind, and what it holds."""

_PATH_SCHEMA = {"type": "string", "minLength": 1, "description": "JSON pointer, or names joined by dots"}
_ENTRY_SCHEMA = {
    "anyOf": [
        _PATH_SCHEMA,
        {
            "type": "object",
            "properties": {
                "path": _PATH_SCHEMA,
                "table": {"type": "object", "description": "value there -> native value; * for all others"},
                "unit": {"enum": list(UNITS), "description": "what a number of time counts"},
                "scale": {"type": "integer", "description": "decimals of a decimal in base64"},
            },
            "required": ["path"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"join": {"type": "array", "items": _PATH_SCHEMA, "minItems": 1}},
            "required": ["join"],
            "additionalProperties": False,
        },
        {"type": "object", "properties": {"value": {}}, "required": ["value"], "additionalProperties": False},
    ]
}
_MAP_SCHEMA = {
    "type": "object",
    "properties": dict.fromkeys(FIELDS, _ENTRY_SCHEMA),
    "additionalProperties": False,
}
SCHEMA: dict[str, Any] = {"anyOf": [_MAP_SCHEMA, {"type": "array", "items": _MAP_SCHEMA, "minItems": 1}]}
"""JSON Schema of the option ``fields``."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where one native field comes from."""

    paths: tuple[Path, ...] = ()
    """One, or several whose values are joined by colons; none for a constant."""
    value: Any = None
    table: Mapping[str, Any] | None = None
    unit: str | None = None
    scale: int | None = None

    def read(self, document: Mapping[str, Any], below: str) -> Any:
        """The native value in ``document``, which stands at the pointer ``below``. Raises Rejected(decode_error)."""
        if not self.paths:
            return self.value
        if len(self.paths) > 1:
            return self._joined(document, below)
        value = found_at(document, self.paths[0])
        if absent(value):
            return None
        if self.table is not None:
            return self._turned(value, below)
        if self.scale is not None:
            try:
                value = decimal_text(value, self.scale)
            except ValueError as error:
                fix = "leave scale out, or correct the path"
                raise refuse(pointer(self.paths[0], below), f"this is {error}: {fix}") from None
        return value if self.unit is None else milliseconds(value, self.unit)

    def _joined(self, document: Mapping[str, Any], below: str) -> str:
        parts = []
        for path in self.paths:
            part = text_of(found_at(document, path))
            if part is None:
                raise refuse(
                    pointer(path, below), "neither text nor a whole number to join: correct the path"
                )
            parts.append(part)
        return ":".join(parts)

    def _turned(self, value: object, below: str) -> Any:
        name = str(value).lower() if isinstance(value, bool) else text_of(value)
        table = self.table or {}
        if name is not None and name in table:
            return table[name]
        if OTHERWISE in table:
            return table[OTHERWISE]
        raise refuse(
            pointer(self.paths[0], below),
            f"this value is not in the table: add it, with null to leave it out, or {OTHERWISE} for all others",
        )


@dataclass(frozen=True, slots=True)
class FieldMap:
    """One map: its type, and where the other fields come from."""

    type: Entry
    entries: Mapping[str, Entry]

    @property
    def types(self) -> tuple[str, ...]:
        """Every type its messages may have."""
        given = (self.type.value,) if self.type.table is None else tuple(self.type.table.values())
        return tuple(dict.fromkeys(each for each in given if each is not None))

    def knows(self, document: Mapping[str, Any]) -> bool:
        """Whether the map says what becomes of this document."""
        table = self.type.table
        if table is None or OTHERWISE in table:
            return True
        value = found_at(document, self.type.paths[0])
        return (str(value).lower() if isinstance(value, bool) else text_of(value)) in table

    def message(self, document: Mapping[str, Any], below: str, defaults: Mapping[str, Any]) -> Message | None:
        """The message in a document that the map knows; None when it is to be left out. Raises Rejected."""
        name = self.type.read(document, below) if self.type.paths else self.type.value
        if name is None:
            return None
        kind, event_type = TYPES[name]
        fields = {
            field: _shaped(field, entry.read(document, below))
            for field, entry in self.entries.items()
            if field in event_type.types
        }
        return kind, {**defaults, **fields, "type": name}


def configured(*, fields: object = None) -> Callable[[bytes, Headers, str], list[Message]]:
    """The format with the maps of the option ``fields``. Raises ValueError that lists every problem."""
    return partial(read, maps=parse_maps(fields))


def read(raw: bytes, headers: Headers, kind: str, *, maps: Sequence[FieldMap] = ()) -> list[Message]:
    """(topic kind, native message) pairs of one JSON object. Raises Rejected(decode_error)."""
    document = load_object(raw, headers)
    if not maps:
        raise refuse("", "no field map: say in fields of the source topic where the native fields stand")
    return apply(maps, document, "", {"source": SOURCE})


def apply(
    maps: Sequence[FieldMap], document: Mapping[str, Any], below: str, defaults: Mapping[str, Any]
) -> list[Message]:
    """The messages that all maps make of a document at the pointer ``below``. Raises Rejected(decode_error).

    ``defaults`` hold the fields that maps may leave out. Messages of one kind need ids of their own (R01): each
    after the first has its type behind the common id.
    """
    known = [each for each in maps if each.knows(document)]
    if not known:
        path = pointer(maps[0].type.paths[0], below)
        raise refuse(path, "no table of types has this value: add it, with null to leave such messages out")
    found: list[Message] = []
    for each in known:
        message = each.message(document, below, defaults)
        if message is None:
            continue
        kind, fields = message
        if any(kind == other for other, _ in found) and text_of(fields.get("event_id")) is not None:
            fields["event_id"] = f"{fields['event_id']}:{fields['type']}"
        found.append(message)
    return found


def found_at(document: object, path: Path) -> Any:
    """What stands at ``path``; None when there is nothing."""
    value = document
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 10:
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value


def _shaped(field: str, value: Any) -> Any:
    """A single value where the native field is a list is a list of one."""
    single = get_origin(FIELDS[field]) is list and not isinstance(value, list) and not absent(value)
    return [value] if single else value


def parse_maps(fields: object, required: Sequence[str] = REQUIRED) -> tuple[FieldMap, ...]:
    """The maps in the option ``fields``: one, or a list of them. Raises ValueError that lists every problem."""
    several = isinstance(fields, list)
    given = fields if isinstance(fields, list) else [fields]
    if not given or not all(isinstance(each, dict) and each for each in given):
        raise ValueError("fields must be a map of native field to path, or a list of such maps")
    problems: list[str] = []
    maps = []
    for place, each in enumerate(given):
        where = f"fields.{place}" if several else "fields"
        maps.append(_parse_map(each, where, required, problems))
    owners: dict[str, int] = {}
    for place, found in enumerate(maps):
        for name in found.types if found is not None else ():
            if owners.setdefault(name, place) != place:
                problems.append(
                    f"fields.{place}.type: {name} has a map already, fields.{owners[name]}: a type has one map, "
                    "in which every native field stands once"
                )
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(each for each in maps if each is not None)


def _parse_map(
    given: Mapping[Any, Any], where: str, required: Sequence[str], problems: list[str]
) -> FieldMap | None:
    entries: dict[str, Entry] = {}
    for name, value in given.items():
        found = list(_entry_problems(name, value))
        problems += [f"{where}.{name}: {problem}" for problem in found]
        if not found:
            entries[name] = _entry(value)
    for name in required:
        if name not in given:
            problems.append(f"{where}.{name} is not there: every message needs it")
    kind = entries.pop("type", None)
    if kind is None:
        return None
    if kind.paths and kind.table is None:
        problems.append(f"{where}.type: a path to the type needs a table: value there -> type, null for none")
        return None
    result = FieldMap(kind, entries)
    unknown = [name for name in result.types if name not in TYPES]
    for name in unknown:
        problems.append(f"{where}.type: {name!r} is no type: use one of {', '.join(TYPES)}")
    if unknown or not result.types:
        if not unknown:
            problems.append(f"{where}.type: no message would have a type")
        return None
    problems += [f"{where}.{problem}" for problem in _fit_problems(result, given, required)]
    return result


def _fit_problems(found: FieldMap, given: Mapping[str, Any], required: Sequence[str]) -> Iterator[str]:
    """Fields that none of a map's types has, and those that one of them misses (R14)."""
    types = [TYPES[name][1] for name in found.types]
    for name in found.entries:
        if not any(name in each.types for each in types):
            yield f"{name}: {either(found.types)} has no such field"
    for each in types:
        for name in sorted(each.model.__required_keys__ - {*REQUIRED, *given}):
            yield f"{name} is not there: {each.name} needs it"
        if each.needs_any and each.needs_any.isdisjoint(given):
            needed = tuple(name for name in IDENTIFIERS if name in each.needs_any)
            yield f"type: nothing would say whom {each.name} is about: map one of {either(needed)}"


def _entry_problems(name: object, value: Any) -> Iterator[str]:
    if not isinstance(name, str) or name not in FIELDS:
        yield f"no native field: use some of {', '.join(sorted(FIELDS))}"
        return
    if isinstance(value, str):
        value = {"path": value}
    if not isinstance(value, dict) or sum(form in value for form in ("path", "join", "value")) != 1:
        yield f"must be {_FORMS}"
        return
    allowed = (
        {"path", "table", "unit", "scale"} if "path" in value else {"join"} if "join" in value else {"value"}
    )
    for option in value:
        if option not in allowed:
            yield f"{option} does not belong here: use {either(tuple(sorted(allowed)))}"
    if name == "type" and any(not (each is None or isinstance(each, str)) for each in _given_types(value)):
        yield f"a type is text: use one of {', '.join(TYPES)}"
    if "value" in value:
        if absent(value["value"]):
            yield "the constant is null or blank: leave the field out"
        return
    paths = value["join"] if "join" in value else [value["path"]]
    if not isinstance(paths, list) or not paths:
        yield "join must be a list of paths"
        return
    for path in paths:
        if parse_path(path) is None:
            yield f"{path!r} is no path: write /deal/id or deal.id"
    yield from _option_problems(name, value)


def _given_types(value: Mapping[str, Any]) -> list[Any]:
    table = value.get("table")
    return [value.get("value"), *(table.values() if isinstance(table, dict) else ())]


def _option_problems(name: str, value: Mapping[str, Any]) -> Iterator[str]:
    table, unit, scale = value.get("table"), value.get("unit"), value.get("scale")
    if table is not None and (not isinstance(table, dict) or not table):
        yield "table must be a map of value to native value"
    if unit is not None and (not isinstance(unit, str) or unit not in UNITS):
        yield f"unit must be one of {', '.join(UNITS)}"
    if unit is not None and name not in TIMES:
        yield f"unit is for {either(TIMES)}"
    if scale is not None and (type(scale) is not int or abs(scale) > MOST_SCALE):
        yield f"scale must be a whole number up to {MOST_SCALE}"
    if sum(each is not None for each in (table, unit, scale)) > 1:
        yield "use one of table, unit and scale"


def _entry(value: Any) -> Entry:
    if isinstance(value, str):
        value = {"path": value}
    if "value" in value:
        return Entry(value=value["value"])
    paths = value["join"] if "join" in value else [value["path"]]
    table = value.get("table")
    return Entry(
        tuple(parse_path(path) or () for path in paths),
        table=None if table is None else {_key(key): turned for key, turned in table.items()},
        unit=value.get("unit"),
        scale=value.get("scale"),
    )


def _key(key: object) -> str:
    """YAML reads ``true`` and ``3`` as other things than text; values are compared by their JSON text."""
    return str(key).lower() if isinstance(key, bool) else str(key)


def parse_path(path: object) -> Path | None:
    """The steps of a JSON pointer (RFC 6901) or a dotted path; None when it is neither."""
    if not isinstance(path, str) or absent(path):
        return None
    if path.startswith("/"):
        if _ESCAPE.search(path):
            return None
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))
    parts = tuple(path.split("."))
    return parts if all(parts) else None
