"""Lines that cannot be used: each is kept with one code, a place and what to do, and the rest goes on (R13, R63)."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.compose import offline_service
from streams.files import read_lines
from streams.score import Scorer
from streams.settings import Settings
from streams.topology import DEAD_LETTERS, JOURNEYS
from tests.builders import NOW_MS
from tests.score_builders import DAY, START, rows, score

OK = {"event_id": "x", "type": "page_view", "occurred_at": START, "account_id": "acme"}
DEAL = {"topic": "deals", "event_id": "x", "type": "deal_updated", "occurred_at": START, "deal_id": "D1"}


def view(**fields: Any) -> bytes:
    return orjson.dumps({**OK, **fields})


def deal(**fields: Any) -> bytes:
    return orjson.dumps({**DEAL, **fields})


def deal_worth(literal: bytes) -> bytes:
    return deal()[:-1] + b',"amount":' + literal + b"}"


NO_OBJECT, WHEN = "send one JSON object", "/occurred_at"
BAD = [
    (b"not json", "invalid_json", "", NO_OBJECT),
    (b"null", "invalid_json", "", NO_OBJECT),
    (b"[1]", "invalid_json", "", NO_OBJECT),
    (b"\xff\xfe{}", "invalid_json", "", "UTF-8"),
    (deal_worth(b"NaN"), "invalid_json", "", NO_OBJECT),
    (view(topic="clicks"), "unknown_topic", "/topic", "use touchpoints, leads or deals"),
    (view(event_id=" "), "missing_field", "/event_id", "every event needs it"),
    (view(type="other"), "missing_field", "/direction", "type other needs it"),
    (view(type="pageview"), "unknown_type", "/type", "use one of page_view"),
    (view(type="deal_updated"), "unknown_type", "/type", "send it to deals"),
    (view(occurred_at="2026-01-01T00:00:00"), "invalid_timestamp", WHEN, "RFC 3339 with an offset"),
    (view(occurred_at=START // 1000), "invalid_timestamp", WHEN, "epoch milliseconds"),
    (view(occurred_at=NOW_MS + DAY), "future_timestamp", WHEN, "correct the sender's clock"),
    (view(account_id=None), "no_identifier", "", "send one of"),
    (deal(pipeline="nope"), "unknown_pipeline", "/pipeline", "use one of default, hubspot"),
    (deal(stage="nope"), "unknown_stage", "/stage", "use a stage of default or hubspot"),
    (deal(currency="EURO"), "unknown_currency", "/currency", "such as EUR"),
    (deal_worth(b"1e400"), "invalid_amount", "/amount", "such as 1200.50"),
    (deal(amount=-5), "invalid_amount", "/amount", "send major units"),
    (view(team="it"), "invalid_field", "/team", 'should be "marketing" or "sales"'),
    (view(title="ü" * 2_500_000), "too_large", "", "split it or raise max_message_bytes"),
]


@pytest.mark.parametrize(("bad", "code", "path", "remedy"), BAD, ids=lambda value: str(value)[:24])
def test_each_is_kept_with_its_reason_and_the_rest_goes_on(tmp_path: Path, bad, code, path, remedy) -> None:
    good = view(event_id="good")
    summary = score(tmp_path, {"touchpoints.ndjson": b"\n".join([b"", good, b"  ", bad, good, b""])})
    (letter,) = rows(tmp_path, DEAD_LETTERS)
    kept = base64.b64decode(letter.pop("value_base64", "")) or letter.pop("value").encode()
    assert remedy in letter.pop("message")
    topic = "" if code == "unknown_topic" else "deals" if b'"topic":"deals"' in bad else "touchpoints"
    if code == "invalid_json":
        topic = "touchpoints"
    file = str(tmp_path / "touchpoints.ndjson")
    assert letter == {"topic": topic, "file": file, "line": 4, "code": code, "path": path}
    assert kept == bad
    assert (summary.facts, summary.duplicates, summary.dead_letters) == (1, 1, 1)
    assert len(rows(tmp_path, JOURNEYS)) == 1


def test_all_of_them_together_are_as_many_dead_letters_in_the_order_of_the_lines(tmp_path: Path) -> None:
    summary = score(tmp_path, {"touchpoints.ndjson": b"\n".join(bad for bad, *_ in BAD)})
    letters = rows(tmp_path, DEAD_LETTERS)
    assert [letter["code"] for letter in letters] == [code for _, code, *_ in BAD]
    assert [letter["line"] for letter in letters] == list(range(1, len(BAD) + 1))
    assert summary.dead_letters == summary.lines == len(BAD)


@pytest.mark.parametrize(
    ("form", "remedy"), [("native", "add a topic field, begin"), ("segment", ": begin the file's")]
)
def test_a_line_that_nothing_gives_a_topic_says_how_to_name_one(
    tmp_path: Path, form: str, remedy: str
) -> None:
    score(tmp_path, {"events.ndjson": view()}, form=form)
    (letter,) = rows(tmp_path, DEAD_LETTERS)
    assert letter["code"] == "unknown_topic" and remedy in letter["message"]


@pytest.mark.parametrize("payload", [b'{"type":"banana"}', b"<xml/>", b'{"batch":3}'])
def test_a_foreign_payload_that_does_not_decode_is_a_dead_letter(tmp_path: Path, payload: bytes) -> None:
    good = {"type": "page", "messageId": "m1", "timestamp": "2026-01-01T00:00:00Z", "groupId": "acme"}
    content = payload + b"\n" + orjson.dumps(good)
    summary = score(tmp_path, {"touchpoints.ndjson": content}, form="segment")
    (letter,) = rows(tmp_path, DEAD_LETTERS)
    assert (letter["code"], letter["line"], letter["value"]) == ("decode_error", 1, payload.decode())
    assert (summary.facts, [row["account_id"] for row in rows(tmp_path, JOURNEYS)]) == (1, ["acme"])


def test_a_quarantined_account_is_told_even_when_no_line_is_to_blame(tmp_path: Path) -> None:
    scorer = Scorer(offline_service(Settings(), NOW_MS), tmp_path / "out")
    (tmp_path / "touchpoints.ndjson").write_bytes(view())
    for each in read_lines(str(tmp_path / "touchpoints.ndjson")):
        scorer.feed(each)
    scorer.service.journey.slices[0].quarantined.add(b"A:acme")
    assert scorer.finish(None).quarantined == 1
