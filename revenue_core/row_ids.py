"""Names of metric rows (R52): parts joined by ``|``, which no part then contains."""

from __future__ import annotations


def joined(*parts: str) -> str:
    """The parts in one text, ``%`` and ``|`` in them written ``%25`` and ``%7C``: no two lists make the same text."""
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)


def parts_of(text: str) -> list[str]:
    """The parts that ``joined`` has put together."""
    return [part.replace("%7C", "|").replace("%25", "%") for part in text.split("|")]
