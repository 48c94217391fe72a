"""What the real Segment and RudderStack libraries post over HTTP decodes to the events that were meant."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
import rudderstack.analytics.client as rudderstack
import segment.analytics.client as segment

from schemas.context import Context
from schemas.formats import decoder_of
from tests.integration.collector import collector

AT = datetime(2026, 3, 1, 10, 0, 0, 123_456, UTC)
AT_MS = 1_772_359_200_123
CONTEXT = Context(now_ms=AT_MS, pipelines={}, currencies={})


@pytest.fixture(params=[segment.Client, rudderstack.Client], ids=["segment", "rudderstack"])
def sent(request: pytest.FixtureRequest) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """A function that makes one call of the library and returns the items of the batch it posts."""
    with collector() as (address, bodies):
        client = request.param("write-key", host=address, sync_mode=True, max_retries=0)

        def call(name: str, /, **arguments: Any) -> list[dict[str, Any]]:
            bodies.clear()
            getattr(client, name)(timestamp=AT, message_id="m1", **deepcopy(arguments))
            return [item for body in bodies for item in body["batch"]]

        yield call
        module = segment if request.param is segment.Client else rudderstack
        module.post.__globals__["_session"].close()


CONTEXT_OF_A_PAGE = {
    "campaign": {"name": "brand", "source": "google", "medium": "cpc"},
    "page": {"referrer": "https://www.google.com/"},
    "userAgent": "Mozilla/5.0",
    "groupId": "acme",
}
CALLS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (
        "page",
        {
            "user_id": "u1",
            "name": "Pricing",
            "properties": {"url": "https://www.example.com/pricing"},
            "context": CONTEXT_OF_A_PAGE,
        },
        "touchpoints",
        {
            "type": "page_view",
            "contact_id": "u1",
            "account_id": "acme",
            "url": "https://www.example.com/pricing",
            "referrer": "https://www.google.com/",
            "title": "Pricing",
            "utm_campaign": "brand",
            "utm_source": "google",
            "utm_medium": "cpc",
            "user_agent": "Mozilla/5.0",
        },
    ),
    (
        "screen",
        {"anonymous_id": "a1", "name": "Home"},
        "touchpoints",
        {"type": "page_view", "anonymous_id": "a1", "title": "Home"},
    ),
    (
        "track",
        {"user_id": "ada@acme.example", "event": "Demo Requested", "properties": {"plan": "team"}},
        "touchpoints",
        {
            "type": "demo_request",
            "email": "ada@acme.example",
            "title": "Demo Requested",
        },
    ),
    (
        "track",
        {"anonymous_id": "a1", "event": "Clicked around"},
        "touchpoints",
        {"type": "other", "direction": "inbound", "anonymous_id": "a1", "title": "Clicked around"},
    ),
    (
        "identify",
        {"user_id": 97980, "anonymous_id": "a1", "traits": {"email": "ada@acme.example"}},
        "leads",
        {
            "type": "contact_identified",
            "contact_id": "97980",
            "anonymous_id": "a1",
            "email": "ada@acme.example",
        },
    ),
    (
        "group",
        {
            "user_id": "u1",
            "group_id": "acme",
            "traits": {"name": "Acme GmbH", "employees": 240, "plan": "team"},
        },
        "leads",
        {
            "type": "account_updated",
            "contact_id": "u1",
            "account_id": "acme",
            "name": "Acme GmbH",
            "employees": 240,
            "attributes": {"plan": "team"},
        },
    ),
    (
        "alias",
        {"previous_id": "a1", "user_id": "u1"},
        "leads",
        {"type": "contact_identified", "anonymous_id": "a1", "contact_id": "u1"},
    ),
]


@pytest.mark.parametrize(
    ("call", "arguments", "kind", "event"), CALLS, ids=[f"{call[0]}-{call[3]['type']}" for call in CALLS]
)
def test_a_call_of_the_library_becomes_one_event(
    sent: Callable[..., list[dict[str, Any]]],
    call: str,
    arguments: dict[str, Any],
    kind: str,
    event: dict[str, Any],
) -> None:
    (item,) = sent(call, **arguments)
    decoded = decoder_of("segment")("touchpoints", json.dumps(item).encode(), (), CONTEXT)
    common = {"event_id": "m1", "occurred_at": AT_MS, "source": "segment"}
    assert decoded == [(kind, {**common, **event})]
