"""``headwater explain`` against workers: the cluster says what files say."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from revenue_core.facts import DAY_MS
from streams import translate
from streams.cli.exits import FAILURE, OK
from streams.embedded import EmbeddedBroker
from tests.conftest import Broker
from tests.integration.live import Live, Sent, installed

START = 1_772_323_200_000  # 2026-03-01T00:00:00Z
HASH_KEY = {"HEADWATER_IDENTITY__HASH_KEY": "0123456789abcdef0123456789abcdef"}


def event(topic: str, day: float, type_: str, **fields: Any) -> dict[str, Any]:
    at = START + round(day * DAY_MS)
    known = {"topic": topic, "event_id": f"{type_}-{day}", "type": type_, "occurred_at": at}
    named = known | {"account_id": "acme"} | fields
    return {name: value for name, value in named.items() if value is not None}


def deal(day: float, **fields: Any) -> dict[str, Any]:
    return event("deals", day, "deal_updated", **{"deal_id": "D1", "event_id": f"d{day}", **fields})


STORY = [
    event("touchpoints", 0, "ad_click", url="https://acme.com/?utm_source=google&utm_medium=cpc"),
    event("touchpoints", 2, "page_view", account_id=None, anonymous_id="v1"),
    event("touchpoints", 5, "form_submit", contact_id="c1", anonymous_id="v1"),
    event("leads", 5, "lead_created", lead_id="L1"),
    event("touchpoints", 30, "demo_request", contact_id="c1"),
    deal(30, stage="meeting_scheduled", amount="10000", lead_ids=["L1"]),
    deal(38, stage="closed", amount="12000"),
    deal(60, deal_id="D2", stage="contract_sent", amount="500"),
    *(event("touchpoints", day, "page_view", account_id=f"other{day}") for day in range(40)),
    event("touchpoints", 50, "meeting", account_id="acme old"),
    event("leads", 51, "account_merged", account_id="acme old", into_account_id="acme"),
    deal(61, account_id=None, deal_id="D9", stage="closed", amount="7"),
    event("touchpoints", 61, "chat", account_id=None, contact_id="c9"),
]
LATE = event("touchpoints", 12, "email_click", contact_id="c1")
"""Comes last and changes the rows of every deal of its account."""
LAST_MS = START + 61 * DAY_MS


def headwater(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams.cli.main", "explain", *arguments]
    variables = {**os.environ, **HASH_KEY, "COLUMNS": "200"}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)


def explained(*arguments: str) -> dict[str, Any]:
    done = headwater(*arguments, "--json")
    assert done.returncode == OK, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def told(found: dict[str, Any]) -> dict[str, Any]:
    """What cluster and files must agree on; the order in which topics were read, and clocks, differ."""
    late = [
        (each["credit_id"], each["change"], each["changed"], each["row"]["linear_amount_minor"])
        for each in found["versions"]
        if each["cause"] == "touchpoints:native:email_click-12"
    ]
    last = {each["credit_id"]: each["row"] for each in found["versions"]}
    amounts = {key: row["linear_amount_minor"] for key, row in last.items() if not row["is_deleted"]}
    chances = [
        (row["subject_id"], row["p_win"], row["expected_value_minor"]) for row in found["probabilities"]
    ]
    # only files are learned from
    for conversion in found["conversions"]:
        conversion["models"] = [
            each for each in conversion["models"] if each["model"] not in {"markov", "shapley"}
        ]
    parts = (
        "account_id", "touches", "leads", "deals", "conversions", "alerts", "notes", "moved", "identity"
    )  # fmt: skip
    return {name: found[name] for name in parts} | {"late": late, "amounts": amounts, "chances": chances}


async def until_told(cause: str, *arguments: str) -> None:
    """Wait until the cluster has rows with a cause."""
    end = time.monotonic() + 60.0
    while not any(each["cause"] == cause for each in explained(*arguments)["versions"]):
        assert time.monotonic() < end, f"nothing was caused by {cause}"
        await asyncio.sleep(0.2)


def sent(events: Iterable[dict[str, Any]]) -> list[Sent]:
    return [Sent(each["topic"], each["event_id"].encode(), json.dumps(each).encode()) for each in events]


async def test_the_cluster_is_explained_as_the_files_are(broker: Broker, prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "story.ndjson"
    file.write_text("".join(json.dumps(each) + "\n" for each in [*STORY, LATE]))
    embedded = isinstance(broker, EmbeddedBroker)
    async with installed(Live(broker.address, prefix, tmp_path, embedded=embedded)) as live:
        worker = live.worker().start()
        await live.send(sent(STORY))
        await live.until_done(LAST_MS)
        await live.send(sent([LATE]))
        there, here = ("--config", str(worker.config)), ("--from", str(file))
        await until_told("touchpoints:native:email_click-12", "deal", "D1", *there)
        person = translate.account_id("c:c9")
        subjects = [("account", "acme"), ("deal", "D1"), ("deal", "D2"), ("deal", "D9"), ("account", person)]
        for subject in subjects:
            found = explained(*subject, *there)
            assert told(found) == told(explained(*subject, *here)), subject
            order = [each["version"] for each in found["versions"]]
            assert order == sorted(order)
        assert {row["cause"] for row in explained("deal", "D2", *there)["probabilities"]} <= {
            "event",
            "timer",
        }
        merged = explained("account", "acme old", *there)
        assert (merged["account_id"], [link["event"] for link in merged["moved"]]) == (
            "acme",
            ["native:account_merged-51"],
        )
        ways = {each["native_key"]: [link["to"] for link in each["steps"]] for each in merged["identity"]}
        assert ways["a:v1"] == ["c:c1", "A:acme"]
        assert ways["A:acme old"] == ["A:acme"]
        quick = explained("account", "acme", *there, "--no-versions", "--no-identity")
        assert quick["identity"] == []
        assert quick["versions"] == []
        assert quick["notes"] == ["The versions of the credit rows were not read."]
        other = tmp_path / "other.yaml"
        other.write_text(worker.config.read_text() + "attribution: {half_life: 1}\n")
        mismatch, differing = explained("account", "acme", "--config", str(other))["notes"]
        assert mismatch.startswith("The workers run with settings ")
        assert "credit rows on the cluster say something else" in differing
        for kind, topic in (("account", "headwater-journey-changelog"), ("deal", "attribution-credits")):
            done = headwater(kind, "nobody", *there)
            assert done.returncode == FAILURE
            assert f"no {kind} 'nobody' on {broker.address}" in done.stderr
            assert f"{prefix}{topic}" in done.stderr


@pytest.mark.parametrize(
    ("kind", "topic"), [("account", "headwater-journey-changelog"), ("deal", "pipeline-probabilities")]
)
def test_a_cluster_without_our_topics_ends_with_1_and_one_line(
    embedded_broker: EmbeddedBroker, kind: str, topic: str
) -> None:
    done = headwater(kind, "acme", "--brokers", embedded_broker.address)
    assert done.returncode == FAILURE
    assert done.stderr.startswith(f"Error: topic {topic} is not on {embedded_broker.address}: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", ["account", "deal"])
async def test_topics_without_records_are_searched_to_their_end(
    embedded_broker: EmbeddedBroker, tmp_path: Path, kind: str
) -> None:
    live = Live(embedded_broker.address, "", tmp_path, embedded=True)
    async with installed(live):
        done = headwater(kind, "acme", "--brokers", embedded_broker.address)
        assert done.returncode == FAILURE
        assert "0 records" in done.stderr
