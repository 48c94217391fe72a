"""Channel rules as data: ordered rules over source, medium and campaign, the first that matches wins.

A rule is a channel's name and a condition; conditions are combined with ``AllOf`` and ``AnyOf``. Everything
is compared without regard to case. ``parse_rules`` reads the same thing from configuration.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FIELDS = ("source", "medium", "campaign")
OPS = ("equals", "one_of", "contains", "regex", "in_list", "ends_with")
LISTS = ("search", "social", "video", "shopping", "ai")
"""The lists of sources that ``in_list`` may name."""

Test = Callable[[str, str, str, str], bool]
"""(source, medium, campaign, list the source is in) -> does it match; all four lower-cased."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``field op value``, true when it holds for any of ``values``; ``regex`` may match anywhere."""

    field: str
    op: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when every part is."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when at least one part is."""

    parts: tuple[Part, ...]


Part = Condition | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class Rule:
    """Touches for which ``when`` holds, and no earlier rule did, came through ``channel``."""

    channel: str
    when: Part


def compile_part(part: Part) -> Test:
    """The condition as a function. Raises ``ValueError`` for an unknown field, op, list or a broken regex."""
    if isinstance(part, Condition):
        return _compile_condition(part)
    tests = tuple(compile_part(each) for each in part.parts)
    if isinstance(part, AllOf):
        return lambda *values: all(test(*values) for test in tests)
    return lambda *values: any(test(*values) for test in tests)


def describe(part: Part) -> str:
    """The condition in words, for people: ``source is in the search list and medium is "cpc"``."""
    if isinstance(part, Condition):
        return _describe_condition(part)
    joint = " and " if isinstance(part, AllOf) else " or "
    return joint.join(
        f"({describe(each)})" if isinstance(each, AllOf | AnyOf) else describe(each) for each in part.parts
    )


def parse_rules(data: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules from configuration; they replace the shipped list as a whole.

    A rule is ``{"channel": name}`` with the condition beside it: ``field``, ``op`` and ``value`` (a text or a
    list of texts), or ``all`` or ``any`` with a list of conditions, which may hold ``all`` and ``any`` too.
    Raises ``ValueError`` that names the place (``rules/3/all/0``) and what is wrong there.
    """
    if not data:
        raise ValueError("rules: at least one rule is needed")
    return tuple(_parse_rule(item, f"rules/{index}") for index, item in enumerate(data))


def _compile_condition(condition: Condition) -> Test:
    _check(condition)
    position = FIELDS.index(condition.field)
    values = tuple(value.lower() for value in condition.values)
    if condition.op in ("equals", "one_of"):
        allowed = frozenset(values)
        return lambda *fields: fields[position] in allowed
    if condition.op == "contains":
        return lambda *fields: any(value in fields[position] for value in values)
    if condition.op == "ends_with":
        return lambda *fields: fields[position].endswith(values)
    if condition.op == "in_list":
        return lambda *fields: fields[3] in values
    patterns = tuple(re.compile(value, re.IGNORECASE) for value in condition.values)
    return lambda *fields: any(pattern.search(fields[position]) for pattern in patterns)


def _check(condition: Condition) -> None:
    if condition.field not in FIELDS:
        raise ValueError(f"unknown field {condition.field!r}, expected one of {', '.join(FIELDS)}")
    if condition.op not in OPS:
        raise ValueError(f"unknown op {condition.op!r}, expected one of {', '.join(OPS)}")
    if not condition.values:
        raise ValueError("a condition needs at least one value")
    if condition.op == "in_list":
        if condition.field != "source":
            raise ValueError("in_list is for source only")
        if unknown := [value for value in condition.values if value not in LISTS]:
            raise ValueError(f"unknown list {unknown[0]!r}, expected one of {', '.join(LISTS)}")
    if condition.op == "regex":
        for value in condition.values:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"broken regex {value!r}: {error}") from None


def _describe_condition(condition: Condition) -> str:
    if condition.op == "in_list":
        return f"source is in the {' or '.join(condition.values)} list"
    verb = {"contains": "contains", "regex": "matches", "ends_with": "ends with"}.get(condition.op, "is")
    return f"{condition.field} {verb} " + " or ".join(f'"{value}"' for value in condition.values)


def _parse_rule(item: Any, place: str) -> Rule:
    channel = item.get("channel") if isinstance(item, Mapping) else None
    if not isinstance(channel, str) or not channel.strip():
        raise ValueError(f"{place}: a rule needs a channel name")
    rest = {key: value for key, value in item.items() if key != "channel"}
    return Rule(channel, _parse_part(rest, place))


def _parse_part(item: Any, place: str) -> Part:
    if not isinstance(item, Mapping):
        raise ValueError(f"{place}: expected a mapping")
    for name, kind in (("all", AllOf), ("any", AnyOf)):
        if set(item) == {name}:
            parts = item[name]
            if not isinstance(parts, list | tuple) or not parts:
                raise ValueError(f"{place}/{name}: expected a list of conditions")
            return kind(tuple(_parse_part(each, f"{place}/{name}/{i}") for i, each in enumerate(parts)))
    if set(item) != {"field", "op", "value"}:
        raise ValueError(f"{place}: expected field, op and value, or one of all and any")
    value = item["value"]
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(each, str) for each in values):
        raise ValueError(f"{place}: value must be text or a list of texts")
    condition = Condition(str(item["field"]), str(item["op"]), values)
    try:
        _check(condition)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return condition
