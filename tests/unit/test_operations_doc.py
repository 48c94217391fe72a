"""The page for operators names metrics, settings, topics and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

from streams.agents.rows import version
from streams.generation import TAIL
from streams.metrics import DECLARED, PREFIX
from streams.settings import Settings

TEXT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def test_every_metric_of_the_page_is_declared_with_these_labels() -> None:
    found = re.findall(rf"{PREFIX}([a-z_]+)(?:\{{([a-z_,]+)\}})?", TEXT)
    assert len(found) > 12
    for name, labels in found:
        assert name in DECLARED, name
        assert set(labels.split(",")) - {""} <= set(DECLARED[name].labels), name


def test_every_setting_of_the_page_exists() -> None:
    effective = Settings().effective()
    found = set(re.findall(r"`(state|worker|topics)\.([a-z_]+)", TEXT))
    assert {key for _, key in found} >= {"generation", "app_id", "data_dir"}
    for section, key in found:
        assert key in effective[section], f"{section}.{key}"


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"the last {TAIL} records" in TEXT
    assert version(1, 0, 0) == 2**46 and "* 2^46" in TEXT


def test_links_within_the_page_lead_somewhere() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([a-z-]+)\)", TEXT)) <= headings
