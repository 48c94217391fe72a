from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.cli.exits import INVALID, UNREACHABLE
from streams.embedded import EmbeddedBroker
from tests.conftest import Broker


def headwater(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams.cli.main", "topics", *arguments]
    variables = {**os.environ, **environment, "COLUMNS": "200"}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_what_create_makes_check_accepts_and_list_shows(broker: Broker, prefix: str) -> None:
    where = ("--brokers", broker.address, "--prefix", prefix, "--json")
    made = answer(headwater("create", *where, "--partitions", "2"))["topics"]
    assert {topic["result"] for topic in made} == {"created"}
    again = answer(headwater("create", *where, "--partitions", "2"))["topics"]
    assert [(t["topic"], t["result"]) for t in again] == [(t["topic"], "exists") for t in made]
    checked = headwater("check", *where)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert answer(checked) == {"ok": True, "problems": []}
    listed = answer(headwater("list", *where))["topics"]
    assert {t["name"] for t in listed if t["declared"]} == {t["topic"] for t in made}
    assert {t["partitions"] for t in listed} == {1, 2}


def test_check_ends_with_3_and_names_each_difference(embedded_broker: EmbeddedBroker) -> None:
    where = ("--brokers", embedded_broker.address)
    assert headwater("create", *where, "--partitions", "2").returncode == 0
    done = headwater("check", *where, "--partitions", "4", "--json")
    assert done.returncode == INVALID
    problems = {(p["topic"], p["what"], p["expected"], p["found"]) for p in answer(done)["problems"]}
    assert ("journal", "partitions", "4", "2") in problems
    assert all(topic not in ("control", "touchpoints") for topic, *_ in problems)
    shown = headwater("check", *where, "--partitions", "4")
    assert shown.returncode == INVALID and "journal" in shown.stdout


def test_settings_name_the_sources_the_prefix_and_the_brokers(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    file = tmp_path / "headwater.yaml"
    file.write_text(
        f"kafka: {{brokers: '{embedded_broker.address}'}}\ntopic_prefix: acme-\n"
        "topics: {touchpoints: [web, calls], partitions: 3}\nworker: {app_id: scoring}\n"
    )
    assert headwater("create", HEADWATER_CONFIG=str(file)).returncode == 0
    listed = {t["name"]: t for t in answer(headwater("list", "--config", str(file), "--json"))["topics"]}
    assert {"acme-web", "acme-calls", "acme-scoring-journey-changelog"} <= set(listed)
    assert "acme-touchpoints" not in listed
    assert listed["acme-journal"]["partitions"] == listed["acme-scoring-journey-changelog"]["partitions"] == 3


def test_a_lookback_longer_than_the_retention_of_a_source_is_a_difference(
    embedded_broker: EmbeddedBroker,
) -> None:
    where = ("--brokers", embedded_broker.address)
    assert headwater("create", *where).returncode == 0
    longer = headwater("check", *where, "--json", HEADWATER_ATTRIBUTION__RULES__LOOKBACK="1000d")
    assert longer.returncode == INVALID, longer.stderr
    assert {(p["topic"], p["what"]) for p in answer(longer)["problems"]} == {
        (name, "retention.ms") for name in ("touchpoints", "leads", "deals")
    }


def test_keep_for_ever_lifts_the_age_limit_that_the_embedded_broker_would_enforce(
    embedded_broker: EmbeddedBroker,
) -> None:
    where = ("--brokers", embedded_broker.address)
    assert headwater("create", *where, "--keep-for-ever").returncode == 0
    longer = headwater("check", *where, HEADWATER_ATTRIBUTION__RULES__LOOKBACK="1000d")
    assert longer.returncode == 0, longer.stdout + longer.stderr


@pytest.mark.parametrize("command", ["create", "check", "list"])
def test_an_unreachable_broker_ends_with_4_and_one_line(command: str) -> None:
    done = headwater(command, "--brokers", "127.0.0.1:1")
    assert done.returncode == UNREACHABLE
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "127.0.0.1:1" in done.stderr and "Connect call failed" in done.stderr
