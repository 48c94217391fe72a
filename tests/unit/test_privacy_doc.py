"""The page on privacy names every topic, with the cleanup and the days that follow from its declaration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.settings import Settings
from streams.topics import TopicDeclaration, declared_topics

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "privacy.md").read_text()
ROWS = re.findall(
    r"^\| `([a-z-]+)` \| [^|]+ \| (delete|compact) \| ([0-9]+|no limit) \|$", TEXT, re.MULTILINE
)
DAY_MS = 86_400_000
USUAL_SEGMENT_MS = 7 * DAY_MS
"""Kafka's own default of ``segment.ms``."""
DECLARED = declared_topics(Settings().worker.app_id)


def days(declaration: TopicDeclaration) -> str:
    """The most days until a record that is obsolete, or old, is gone; see the page."""
    config = {name: int(value) for name, value in declaration.config.items() if name.endswith(".ms")}
    segment = config.get("segment.ms", USUAL_SEGMENT_MS)
    if declaration.config["cleanup.policy"] == "delete":
        return str((config["retention.ms"] + segment) // DAY_MS)
    longest = config.get("max.compaction.lag.ms")
    if longest is None:
        return "no limit"
    return str((min(segment, longest) + config.get("min.compaction.lag.ms", 0)) // DAY_MS)


def test_every_topic_is_on_the_page_once_in_the_order_of_the_declarations() -> None:
    assert [name for name, *_ in ROWS] == [declaration.name for declaration in DECLARED]


@pytest.mark.parametrize("declaration", DECLARED, ids=lambda declaration: declaration.name)
def test_cleanup_and_days_of_a_topic_follow_from_its_declaration(declaration: TopicDeclaration) -> None:
    (found,) = [row[1:] for row in ROWS if row[0] == declaration.name]
    assert found == (declaration.config["cleanup.policy"], days(declaration))


def test_every_setting_of_the_page_exists() -> None:
    effective = Settings().effective()
    for section, key in re.findall(r"`(state|worker|topics|identity)\.([a-z_]+)`", TEXT):
        assert key in effective[section], f"{section}.{key}"
    for section, key in re.findall(r"HEADWATER_([A-Z]+)__([A-Z_]+)", TEXT):
        assert key.lower() in Settings.model_fields[section.lower()].annotation.model_fields


def test_links_of_the_page_lead_somewhere() -> None:
    for file, heading in re.findall(r"\]\(([a-z]+\.md)(?:#([a-z-]+))?\)", TEXT):
        text = (DOCS / file).read_text()
        headings = {h.lower().replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
        assert not heading or heading in headings
