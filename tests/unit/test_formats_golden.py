"""Golden files of every input format: what a real payload becomes, event by event.

``data/formats/<format>/<name>.<ending>`` is a record's value, ``<name>.expected.json`` the normalised events as
``[[topic kind, event], ...]``. ``options.json``, where there is one, holds the options of the source topic.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.context import Context
from schemas.formats import FORMATS, NATIVE, decoder_of, with_options

FOLDER = Path(__file__).parent / "data" / "formats"
OPTIONS = "options.json"
EXPECTED = ".expected.json"
CONTEXT = Context(
    now_ms=1_800_000_000_000,
    pipelines={
        "default": frozenset(
            ("lead_capture", "qualification", "meeting_scheduled", "contract_sent", "closed")
        ),
        "hubspot": frozenset(
            (
                "appointmentscheduled",
                "qualifiedtobuy",
                "presentationscheduled",
                "decisionmakerboughtin",
                "contractsent",
                "closedwon",
                "closedlost",
            )
        ),
    },
    currencies={"EUR": 2, "USD": 2, "JPY": 0},
)


def inputs() -> list[Path]:
    """Every input file."""
    files = sorted(FOLDER.glob("*/*"))
    return [path for path in files if path.name != OPTIONS and not path.name.endswith(EXPECTED)]


def expected_of(path: Path) -> Path:
    """The file that says what the input ``path`` becomes."""
    return path.with_name(path.name.removesuffix(path.suffix) + EXPECTED)


@pytest.mark.parametrize("path", inputs(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_payload_becomes_the_events_that_are_written_down(path: Path) -> None:
    options = path.with_name(OPTIONS)
    read = with_options(path.parent.name, json.loads(options.read_text()) if options.exists() else {})
    found = decoder_of(read)("touchpoints", path.read_bytes(), (), CONTEXT)
    assert [[kind, event] for kind, event in found] == json.loads(expected_of(path).read_text())


def test_every_format_but_the_native_one_has_golden_files() -> None:
    assert {path.parent.name for path in inputs()} == set(FORMATS) - {NATIVE}


def test_no_expectation_stands_without_its_input() -> None:
    assert {expected_of(path) for path in inputs()} == set(FOLDER.glob(f"*/*{EXPECTED}"))
