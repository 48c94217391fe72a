"""Record headers as they come from a broker client."""

from __future__ import annotations

from collections.abc import Sequence

Headers = Sequence[tuple[str, bytes]]


def header(headers: Headers, name: str) -> str:
    """The value of the last header called ``name`` (compared without case); empty when there is none."""
    found = next((value for key, value in reversed(headers) if key.lower() == name), b"")
    return found.decode("utf-8", "replace") if found else ""
