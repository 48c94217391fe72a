"""What the real libraries of PostHog, Snowplow and, from npm, of all trackers post decodes to what was meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from posthog import Posthog
from snowplow_tracker.emitters import Emitter
from snowplow_tracker.events.page_view import PageView
from snowplow_tracker.events.self_describing import SelfDescribing
from snowplow_tracker.events.structured_event import StructuredEvent
from snowplow_tracker.self_describing_json import SelfDescribingJson
from snowplow_tracker.subject import Subject
from snowplow_tracker.tracker import Tracker

from schemas.context import Context
from schemas.formats import decoder_of
from tests.integration import node_clients
from tests.integration.collector import collector
from tests.loudly import skip_loudly

AT = datetime(2026, 3, 1, 10, 0, 0, 123_456, UTC)
AT_MS = 1_772_359_200_123
CONTEXT = Context(now_ms=4_000_000_000_000, pipelines={}, currencies={})
DEVICE = "0195500c-aaaa-7000-8000-000000000001"
GOLDEN = Path(__file__).parents[1] / "unit" / "data" / "formats" / "snowplow"
Decoded = list[tuple[str, dict[str, Any]]]


def decoded(form: str, bodies: list[dict[str, Any]]) -> Decoded:
    """What the bodies become when each is a record of a source topic."""
    records = (json.dumps(body).encode() for body in bodies)
    return [found for raw in records for found in decoder_of(form)("touchpoints", raw, (), CONTEXT)]


def told(events: Decoded, *names: str) -> list[dict[str, Any]]:
    """The named fields of every event, those that it has."""
    return [{name: event[name] for name in names if name in event} for _, event in events]


def posthog_calls(client: Posthog) -> None:
    client.capture("$pageview", distinct_id="u-1", properties={"$current_url": "https://www.example.com/"})
    client.capture("demo requested", distinct_id="ada@acme.example", groups={"company": "acme"}, timestamp=AT)
    client.capture("Clicked around", properties={"$process_person_profile": False}, distinct_id=DEVICE)
    client.set(distinct_id="u-1", properties={"email": "ada@acme.example"})
    client.alias(previous_id=DEVICE, distinct_id="u-1")
    client.group_identify("company", "acme", {"name": "Acme GmbH", "domain": "acme.example"})
    client.group_identify("project", "p-1", {"name": "Project"})


def test_calls_of_the_posthog_library_become_what_they_mean() -> None:
    with collector() as (address, bodies):
        client = Posthog("phc_key", host=address, sync_mode=True, max_retries=0)
        posthog_calls(client)
        client.shutdown()
    events = decoded("posthog", bodies)
    assert told(events, "type", "anonymous_id", "contact_id", "email", "account_id", "domains", "url") == [
        {"type": "page_view", "contact_id": "u-1", "url": "https://www.example.com/"},
        {"type": "demo_request", "email": "ada@acme.example", "account_id": "acme"},
        {"type": "other", "anonymous_id": DEVICE},
        {"type": "contact_identified", "contact_id": "u-1", "email": "ada@acme.example"},
        {"type": "contact_identified", "anonymous_id": DEVICE, "contact_id": "u-1"},
        {"type": "account_updated", "account_id": "acme", "domains": ["acme.example"]},
    ]
    assert events[1][1]["occurred_at"] == AT_MS
    assert {event["source"] for _, event in events} == {"posthog"}
    assert len({event["event_id"] for _, event in events}) == len(events)


@pytest.mark.parametrize("encoded", [True, False], ids=["base64", "plain"])
def test_events_of_the_snowplow_library_become_what_they_mean(encoded: bool) -> None:
    session = SelfDescribingJson(
        "iglu:com.snowplowanalytics.snowplow/client_session/jsonschema/1-0-2", {"userId": "app-1"}
    )
    form = SelfDescribingJson(
        "iglu:com.snowplowanalytics.snowplow/submit_form/jsonschema/1-0-0", {"formId": "ü"}
    )
    person = Subject().set_user_id("ada@acme.example").set_useragent("Mozilla/5.0")
    with collector() as (address, bodies):
        # batches of four: all that is tracked goes out at once, and nothing is left to a timer
        emitter = Emitter(address, batch_size=4)
        tracker = Tracker("ns", emitter, app_id="site", encode_base64=encoded)
        visitor = Subject().set_domain_user_id("v-1").set_user_id("u-1")
        tracker.track(PageView("https://www.example.com/?utm_source=x", "Home", event_subject=visitor))
        tracker.track(StructuredEvent("video", "play", event_subject=visitor, true_timestamp=AT_MS))
        tracker.track(SelfDescribing(form, context=[session], event_subject=person))
        tracker.track(PageView("https://www.example.com/2", event_subject=person))
        emitter.flush()
    events = decoded("snowplow", bodies)
    names = ("type", "anonymous_id", "contact_id", "email", "title", "url", "user_agent")
    assert told(events, *names) == [
        {
            "type": "page_view",
            "anonymous_id": "v-1",
            "contact_id": "u-1",
            "title": "Home",
            "url": "https://www.example.com/?utm_source=x",
        },
        {"type": "other", "anonymous_id": "v-1", "contact_id": "u-1", "title": "play"},
        {
            "type": "form_submit",
            "anonymous_id": "app-1",
            "email": "ada@acme.example",
            "title": "submit_form",
            "user_agent": "Mozilla/5.0",
        },
        {
            "type": "page_view",
            "email": "ada@acme.example",
            "url": "https://www.example.com/2",
            "user_agent": "Mozilla/5.0",
        },
    ]
    assert events[1][1]["occurred_at"] == AT_MS


@pytest.fixture(scope="session")
def npm(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Runs a client from npm."""
    try:
        node, packages = node_clients.find_node(), node_clients.find_packages()
    except node_clients.NodeUnavailableError as error:
        skip_loudly(request.config, "The suite of npm clients", str(error), "HEADWATER_REQUIRE_NODE")

    def run(client: str, *arguments: str, given: str = "") -> str:
        return node_clients.run(node, packages, client, *arguments, given=given)

    return run


NPM: list[tuple[str, str, list[dict[str, Any]]]] = [
    (
        "segment",
        "segment",
        [
            {
                "type": "contact_identified",
                "anonymous_id": "a-1",
                "contact_id": "u-1",
                "email": "ada@acme.example",
                "account_id": "acme",
            },
            {"type": "contact_identified", "anonymous_id": "a-1", "contact_id": "u-1"},
            {"type": "demo_request", "email": "ada@acme.example"},
            {
                "type": "account_updated",
                "contact_id": "u-1",
                "account_id": "acme",
                "domains": ["acme.example"],
            },
        ],
    ),
    (
        "rudderstack",
        "segment",
        [
            {
                "type": "contact_identified",
                "contact_id": "u-1",
                "email": "ada@acme.example",
                "account_id": "acme",
            }
        ],
    ),
    (
        "jitsu",
        "segment",
        [
            {
                "type": "contact_identified",
                "contact_id": "u-1",
                "email": "ada@acme.example",
                "account_id": "acme",
            },
            {
                "type": "page_view",
                "contact_id": "u-1",
                "email": "ada@acme.example",
                "account_id": "acme",
                "url": "https://www.example.com/pricing",
            },
            {"type": "account_updated", "contact_id": "u-1", "account_id": "acme"},
        ],
    ),
    (
        "posthog",
        "posthog",
        [
            {"type": "demo_request", "contact_id": "u-1", "account_id": "acme"},
            {"type": "contact_identified", "contact_id": "u-1", "email": "ada@acme.example"},
            {"type": "contact_identified", "anonymous_id": "a-1", "contact_id": "u-1"},
            {"type": "account_updated", "account_id": "acme"},
        ],
    ),
    (
        "snowplow",
        "snowplow",
        [
            {"type": "page_view", "contact_id": "u-1", "url": "https://www.example.com/pricing"},
            {"type": "other", "contact_id": "u-1"},
        ],
    ),
]


@pytest.mark.parametrize(("client", "form", "expected"), NPM, ids=[client for client, _, _ in NPM])
def test_calls_of_a_client_from_npm_become_what_they_mean(
    npm: Callable[..., str], client: str, form: str, expected: list[dict[str, Any]]
) -> None:
    with collector() as (address, bodies):
        npm(client, address)
    names = ["type", "contact_id", "email", "account_id", "domains", "url"]
    if client != "jitsu":  # which draws the visitor's id itself
        names.append("anonymous_id")
    assert told(decoded(form, bodies), *names) == expected


# without the column event_name the SDK's JSON has the name only as part of a key, from which it cannot be read
LINES = [path for path in sorted(GOLDEN.glob("*.tsv")) if "without_event_name" not in path.stem]


@pytest.mark.parametrize("path", LINES, ids=lambda path: path.stem)
def test_a_line_is_the_same_event_as_the_json_that_snowplows_own_sdk_makes_of_it(
    npm: Callable[..., str], path: Path
) -> None:
    line = path.read_text()
    first = "\t".join(line.removesuffix("\n").split("\t")[:131])
    transformed = json.loads(npm("transform", given=first))
    of_line = decoder_of("snowplow")("touchpoints", line.encode(), (), CONTEXT)
    assert decoded("snowplow", [transformed]) == of_line
