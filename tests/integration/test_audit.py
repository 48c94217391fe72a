"""``headwater audit`` against a worker: equal while nobody touched the rows, and every falsified cent is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from streams.cli.exits import FAILURE, INVALID, OK
from streams.embedded import EmbeddedBroker
from streams.topology import ALERTS, CREDITS, FUNNEL, JOURNEYS, PROBABILITIES
from tests.conftest import Broker
from tests.integration.live import Live, installed
from tests.integration.test_explain_live import LAST_MS, LATE, STORY, sent

AUDITED = (CREDITS, PROBABILITIES, ALERTS, JOURNEYS, FUNNEL)


def audit(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams.cli.main", "audit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def audited(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = audit(*arguments, "--json")
    assert done.returncode in (OK, INVALID), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


async def put(live: Live, topic: str, key: str, value: bytes) -> None:
    """Write a record as somebody would who has no business to."""
    producer = AIOKafkaProducer(bootstrap_servers=live.broker, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(live.prefix + topic, value, key=key.encode())
    finally:
        await producer.stop()


def counts(found: dict[str, Any], topic: str) -> tuple[int, int, int]:
    of = found["topics"][topic]
    return of["different"], of["only_live"], of["only_recomputed"]


async def test_an_untouched_cluster_is_equal_and_a_falsified_cent_is_named(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "archive.ndjson"
    file.write_text("".join(json.dumps(each) + "\n" for each in [*STORY, LATE]))
    embedded = isinstance(broker, EmbeddedBroker)
    async with installed(Live(broker.address, prefix, tmp_path, embedded=embedded)) as live:
        worker = live.worker().start()
        await live.send(sent(STORY))
        await live.until_done(LAST_MS)
        await live.send(sent([LATE]))
        await live.until_done(LAST_MS)
        there = (str(file), "--config", str(worker.config))

        code, found = audited(*there)
        assert (code, found["equal"], found["differences"]) == (OK, True, []), found
        assert {topic: counts(found, topic) for topic in AUDITED} == dict.fromkeys(AUDITED, (0, 0, 0))
        assert found["topics"][CREDITS]["equal"] > 10 and found["topics"][JOURNEYS]["equal"] > 40
        assert found["topics"][FUNNEL]["equal"] > 0 and found["topics"][PROBABILITIES]["equal"] > 0
        ends = sum(each["end"] for each in found["offsets"][CREDITS].values())
        assert ends == await live.count(CREDITS)

        rows = [orjson.loads(each.value) for each in await live.read(CREDITS) if each.value]
        row = max(
            (each for each in rows if each["conversion"] == "won" and not each["is_deleted"]),
            key=lambda each: (each["credit_id"], each["version"]),
        )
        cent = {"linear_amount_minor": row["linear_amount_minor"] + 1, "version": row["version"] + 1}
        await put(live, CREDITS, row["credit_id"], orjson.dumps({**row, **cent, "cause": "nobody"}))
        code, found = audited(*there)
        assert (code, found["equal"], counts(found, CREDITS)) == (INVALID, False, (1, 0, 0))
        assert found["differences"] == [{
            "topic": CREDITS, "key": row["credit_id"], "only": "", "version": row["version"] + 1, "cause": "nobody",
            "columns": [{
                "column": "linear_amount_minor", "live": row["linear_amount_minor"] + 1,
                "recomputed": row["linear_amount_minor"],
            }],
        }]  # fmt: skip
        assert found["sums"] == [{
            "conversion": "won", "currency": row["currency"], "model": "linear",
            "live_minor": row["linear_amount_minor"] + 1, "recomputed_minor": row["linear_amount_minor"],
            "difference_minor": 1, "moved_minor": 1,
        }]  # fmt: skip
        done = audit(*there)
        assert done.returncode == INVALID
        assert row["credit_id"] in done.stdout and "0.01 EUR" in done.stdout

        await put(live, CREDITS, row["credit_id"], orjson.dumps({**row, "version": row["version"] + 2}))
        assert audited(*there)[0] == OK
        invented = {**row, "credit_id": "deal:X:won|t", "conversion_id": "deal:X:won", "deal_id": "X"}
        await put(live, CREDITS, "deal:X:won|t", orjson.dumps(invented))
        await put(live, FUNNEL, "x", b"no row")
        code, found = audited(*there)
        assert (code, counts(found, CREDITS)) == (INVALID, (0, 1, 0))
        assert [each["only"] for each in found["differences"]] == ["live"]
        (unreadable,) = found["unreadable"]
        assert unreadable.startswith(f"{prefix}{FUNNEL}, partition ") and "not JSON" in unreadable


async def test_input_that_the_workers_have_not_read_is_told_as_recomputed_only(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    file = tmp_path / "archive.ndjson"
    file.write_text("".join(json.dumps(each) + "\n" for each in STORY))
    async with installed(Live(embedded_broker.address, "", tmp_path, embedded=True)):
        code, found = audited(str(file), "--brokers", embedded_broker.address, "--limit", "3")
        assert code == INVALID
        assert counts(found, CREDITS)[:2] == (0, 0) and counts(found, CREDITS)[2] > 10
        assert [each["only"] for each in found["differences"]] == ["recomputed"] * 3


@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_a_cluster_without_our_topics_ends_with_1_and_one_line(
    embedded_broker: EmbeddedBroker, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    file = tmp_path / "archive.ndjson"
    file.write_text("")
    done = audit(str(file), "--brokers", embedded_broker.address, *arguments)
    assert done.returncode == FAILURE
    assert done.stderr.startswith(f"Error: topic {CREDITS} is not on {embedded_broker.address}: ")
    assert len(done.stderr.splitlines()) == 1
