"""The product against the second implementation of the rules: every row of the final view, every column."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.files import Line
from streams.score import KEY_COLUMNS, Scorer
from streams.topology import ANSWERS
from tests.builders import NOW_MS, UNSTABLE, Event, service
from tests.laws import histories as narrow
from tests.reference import histories as rich
from tests.reference.oracle.view import final_view

View = dict[str, dict[str, dict[str, Any]]]

NOT_IN_THE_ORACLE = UNSTABLE | {"config_version"}
SHARE_TOLERANCE = 1e-12

thorough = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def scored(events: Iterable[Event], as_of: int | None = None) -> View:
    """What ``score --final`` writes."""
    with tempfile.TemporaryDirectory() as folder:
        scorer = Scorer(service(as_of=as_of), Path(folder), final=True)
        for number, (kind, message) in enumerate(events, start=1):
            scorer.feed(Line(kind, "events.ndjson", number, orjson.dumps(message)))
        summary = scorer.finish(as_of)
        assert not summary.codes
        files = {topic: (Path(folder) / f"{topic}.ndjson").read_bytes() for topic in ANSWERS}
    view: View = {}
    for topic, content in files.items():
        rows = [orjson.loads(line) for line in content.splitlines()]
        keys = [row[KEY_COLUMNS[topic]] for row in rows]
        assert keys == sorted(set(keys), key=str.encode)
        view[topic] = {key: _comparable(row) for key, row in zip(keys, rows, strict=True)}
    return view


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in NOT_IN_THE_ORACLE}


def differences(ours: View, theirs: View) -> list[str]:
    """In words, one per cell that differs."""
    found = []
    for topic in ANSWERS:
        mine, other = ours[topic], theirs[topic]
        found += [f"{topic}: only the product has {key}" for key in mine.keys() - other.keys()]
        found += [f"{topic}: only the oracle has {key}" for key in other.keys() - mine.keys()]
        for key in mine.keys() & other.keys():
            for name in mine[key].keys() | other[key].keys():
                a, b = mine[key].get(name), other[key].get(name)
                if a != b and not _close(a, b):
                    found.append(f"{topic}: {key}: {name} is {a!r}, the oracle has {b!r}")
    return sorted(found)


def _close(a: Any, b: Any) -> bool:
    return (
        isinstance(a, float) and isinstance(b, float | int) and abs(a - b) <= SHARE_TOLERANCE * max(1, abs(b))
    )


@thorough
@given(rich.histories())
def test_rich_histories_end_in_the_view_that_the_rules_give(events):
    assert differences(scored(events), final_view(events)) == []


@settings(thorough, max_examples=60)
@given(narrow.histories)
def test_narrow_histories_end_in_the_view_that_the_rules_give(events):
    past = [(kind, message) for kind, message in events if message["occurred_at"] <= NOW_MS]
    assert differences(scored(past), final_view(past)) == []


@settings(thorough, max_examples=40)
@given(rich.histories(), st.data())
def test_a_view_at_an_earlier_instant_is_the_view_of_the_facts_until_then(events, data):
    as_of = data.draw(rich.instants)
    assert differences(scored(events, as_of), final_view(events, as_of)) == []
