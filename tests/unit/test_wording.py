"""What is said of a wrong value: words of JSON, never of Python or pydantic."""

from __future__ import annotations

import re
from typing import Any

import pytest

from schemas.errors import Rejected, shown
from schemas.inbound import decode_fields
from tests.builders import context

TOUCH = {"event_id": "t", "type": "page_view", "occurred_at": "2026-03-01T10:00:00Z", "account_id": "a"}
DEAL = {**TOUCH, "type": "deal_updated", "deal_id": "D"}
ACCOUNT = {**TOUCH, "type": "account_updated"}
FEEDBACK = {**TOUCH, "type": "lead_feedback", "lead_id": "L"}
OF_PYTHON = re.compile(
    r"\b(None|True|False|str|dict|tuple|valid (string|integer|boolean|dictionary|list)|[Ii]nput)\b"
)


@pytest.mark.parametrize(
    ("topic", "message", "text"),
    [
        ("touchpoints", TOUCH | {"url": True}, "url is true: should be text"),
        ("touchpoints", TOUCH | {"url": {"a": None}}, 'url is {"a": null}: should be text'),
        ("touchpoints", TOUCH | {"team": "it"}, 'team is "it": should be "marketing" or "sales"'),
        ("touchpoints", TOUCH | {"source": "a b"}, 'source is "a b": should match ^[A-Za-z0-9._-]{1,64}$'),
        ("deals", DEAL | {"contact_ids": "c1"}, 'contact_ids is "c1": should be a list'),
        ("leads", ACCOUNT | {"employees": 1.5}, "employees is 1.5: should be a whole number"),
        ("leads", ACCOUNT | {"employees": -1}, "employees is -1: should be at least 0"),
        ("leads", ACCOUNT | {"attributes": [1]}, "attributes is [1]: should be an object of names and values"),
        ("leads", FEEDBACK | {"accepted": "yes"}, 'accepted is "yes": should be true or false'),
        ("leads", FEEDBACK | {"accepted": True, "score": "high"},
         'score is "high": should be a whole number or be a number'),
    ],
)  # fmt: skip
def test_a_refused_field_says_what_it_should_be(topic: str, message: dict[str, Any], text: str) -> None:
    with pytest.raises(Rejected) as caught:
        decode_fields(topic, message, context())
    assert caught.value.message == text
    assert not OF_PYTHON.search(text)


def test_a_value_that_json_has_no_word_for_is_still_shown() -> None:
    assert shown(b"x") == "\"b'x'\""
    assert shown({(1, 2): 3}).startswith("nested too deep")


def test_a_long_value_is_cut() -> None:
    assert len(shown("x" * 1_000)) == 80 and shown("x" * 1_000).endswith("…")
