"""What formats share: bytes to JSON, reasons to refuse, and values as native fields want them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from schemas.cloudevents import unwrap
from schemas.domains import domain
from schemas.errors import Rejected
from schemas.fields import absent
from schemas.headers import Headers
from schemas.parsing import parse_value, strip_registry_prefix

Message = tuple[str, dict[str, Any]]
"""(topic kind, native message)"""

LEADS, DEALS = "leads", "deals"
LARGEST_COUNT = 2**63 - 1
_MOST_DIGITS = 19
_LONGEST_ADDRESS = 8_192


def refuse(path: str, message: str) -> Rejected:
    """A payload that is not of its format. ``message`` shows no value that may hold personal data."""
    return Rejected("decode_error", path, message)


def load(raw: bytes, headers: Headers) -> Any:
    """The JSON value in a record's value. Raises Rejected(decode_error)."""
    try:
        return parse_value(strip_registry_prefix(unwrap(raw, headers)))
    except Rejected as rejected:
        raise refuse(rejected.path, rejected.message) from None


def load_object(raw: bytes, headers: Headers) -> dict[str, Any]:
    """The JSON object in a record's value. Raises Rejected(decode_error)."""
    value = load(raw, headers)
    if not isinstance(value, dict):
        raise refuse("", "JSON but no object: send one JSON object per message")
    return value


def nested_object(text: str, path: str) -> dict[str, Any]:
    """The JSON object that stands as text at ``path``. Raises Rejected(decode_error)."""
    try:
        value = parse_value(text.encode(errors="surrogatepass"))
    except Rejected as rejected:
        raise refuse(path, rejected.message) from None
    if not isinstance(value, dict):
        raise refuse(path, "JSON but no object: send one object as text")
    return value


def pointer(path: tuple[str, ...], below: str = "") -> str:
    """JSON pointer (RFC 6901) to ``path`` below the pointer ``below``."""
    return below + "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def section(parent: Mapping[str, Any], name: str, path: str, why: str) -> dict[str, Any]:
    """The object ``name`` of ``parent``, which stands at ``path``. Raises Rejected(decode_error) with ``why``."""
    value = parent.get(name)
    if not isinstance(value, dict):
        raise refuse(pointer((name,), path), f"{name} is no object: {why}")
    return value


def text_of(value: object) -> str | None:
    """Text that is not blank, or a whole number as text; None for anything else."""
    if isinstance(value, str):
        return None if absent(value) else value
    return str(value) if type(value) is int else None


def required_text(item: Mapping[str, Any], name: str, path: str, why: str) -> str:
    """The text or whole number ``name`` of ``item``. Raises Rejected(decode_error) with ``why``."""
    text = text_of(item.get(name))
    if text is None:
        raise refuse(pointer((name,), path), f"{name} is neither text nor a whole number: {why}")
    return text


def count(value: object) -> int | None:
    """A number of people, which CRMs have as a number or as text; None for what is none."""
    if isinstance(value, str) and len(value) <= _MOST_DIGITS and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None


def host_of(value: object) -> str | None:
    """The domain of a company's web address, with or without a scheme, as domains are compared; None without one.

    People type addresses freely into a CRM, and one that names no domain claims none: it is no reason to lose what
    else a message says.
    """
    if not isinstance(value, str) or absent(value) or len(value) > _LONGEST_ADDRESS:
        return None
    address = value.strip()
    try:
        host = urlsplit(address if "://" in address else f"//{address}").hostname
        return domain(host) if host else None
    except ValueError:
        return None
