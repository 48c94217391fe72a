"""``docs/formats.md`` says what the formats do, and its examples work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from schemas.formats import FORMATS, OPTIONS
from schemas.formats.convert import UNITS
from schemas.formats.hubspot import COMPANY_PROPERTIES, DEAL_PROPERTIES, LEAD_PROPERTIES
from streams.settings.load import load_settings

DOC = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOC, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_is_a_configuration_that_is_taken(example: str, tmp_path: Path) -> None:
    path = tmp_path / "headwater.yaml"
    path.write_text(example)
    assert load_settings(path).topics.deals[0].name == yaml.safe_load(example)["topics"]["deals"][0]["name"]


def test_every_format_has_a_row_with_its_options() -> None:
    rows = {
        cells[1].strip(" `"): cells[3]
        for cells in (line.split("|") for line in DOC.splitlines())
        if len(cells) == 5
    }
    for name in FORMATS:
        known = OPTIONS[name][1] if name in OPTIONS else ()
        assert tuple(re.findall(r"`(\w+)`", rows[name])) == known


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "native"])
def test_every_format_but_the_native_one_has_a_section(name: str) -> None:
    assert f"\n## {name}\n" in DOC


def test_every_property_of_hubspot_that_is_read_is_named() -> None:
    for name in (*DEAL_PROPERTIES, *COMPANY_PROPERTIES, *LEAD_PROPERTIES):
        assert f"`{name}`" in DOC


def test_every_unit_of_a_field_map_is_named() -> None:
    (line,) = (line for line in DOC.splitlines() if "unit: s}`" in line)
    assert set(re.findall(r"`(\w+)`", line)) == set(UNITS)
