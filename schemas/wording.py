"""What is wanted of a value, in words of JSON, YAML and CSV rather than of Python or pydantic.

One table for messages and settings alike; ``should`` or ``must`` goes before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pydantic_core import ErrorDetails

WANTED: Mapping[str, str] = MappingProxyType({
    "string_type": "be text",
    "string_too_long": "have at most {max_length} characters",
    "string_too_short": "be {min_length} or more characters long",
    "string_pattern_mismatch": "match {pattern}",
    "string_unicode": "be Unicode text",
    "int_type": "be a whole number",
    "int_parsing": "be a whole number",
    "int_parsing_size": "be a shorter whole number",
    "int_from_float": "be a whole number",
    "float_type": "be a number",
    "float_parsing": "be a number",
    "decimal_type": "be a number",
    "decimal_parsing": "be a number",
    "finite_number": "be a finite number",
    "bool_type": "be true or false",
    "bool_parsing": "be true or false",
    "greater_than": "be more than {gt}",
    "greater_than_equal": "be at least {ge}",
    "less_than": "be less than {lt}",
    "less_than_equal": "be at most {le}",
    "literal_error": "be {expected}",
    "list_type": "be a list",
    "tuple_type": "be a list",
    "set_type": "be a list",
    "frozen_set_type": "be a list",
    "too_short": "be {min_length} or more entries long",
    "too_long": "have at most {max_length} entries",
    "dict_type": "be an object of names and values",
    "model_type": "be a section of keys and values",
    "model_attributes_type": "be a section of keys and values",
    "path_type": "be a path",
})  # fmt: skip
"""Type of pydantic error -> what follows ``should``, with the error's context filled in."""


def wanted(errors: Iterable[ErrorDetails], verb: str) -> str:
    """What would have been right, each possibility once: ``should be text or be a whole number``."""
    texts = dict.fromkeys(_wanted(error) for error in errors)
    return f"{verb} {' or '.join(texts)}"


def _wanted(error: ErrorDetails) -> str:
    template = WANTED.get(error["type"])
    if template is None:  # a type that no field of ours can raise today
        return error["msg"].removeprefix("Input should ").removeprefix("String should ")
    context = {name: _json_like(name, value) for name, value in error.get("ctx", {}).items()}
    return template.format_map(context)


def _json_like(name: str, value: object) -> object:
    """The names that a text may be, quoted as in JSON; the rest as it is."""
    return str(value).replace("'", '"') if name == "expected" else value
