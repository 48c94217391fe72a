"""``send``, ``tail`` and ``dead-letters`` against brokers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streams.cli.exits import FAILURE, INVALID
from streams.embedded import EmbeddedBroker
from streams.files import read_lines
from streams.sending import DeadLetters, Sender, State, outgoing, targets
from streams.settings import Settings, context
from streams.topics import BrokerUnreachable
from tests.conftest import Broker

KINDS = ("touchpoints", "leads", "deals")


def headwater(
    *arguments: str, folder: Path, prefix: str = "", given: str = ""
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams.cli.main", *arguments]
    variables = {**os.environ, "HEADWATER_TOPIC_PREFIX": prefix, "COLUMNS": "200"}
    variables["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(
        command,
        env=variables,
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def view(number: int, **fields: Any) -> str:
    event = {"event_id": f"e{number}", "type": "page_view", "occurred_at": 1_767_225_600_000 + number}
    return json.dumps({**event, "anonymous_id": f"v{number}", **fields})


def created(broker: Broker, folder: Path, prefix: str) -> tuple[str, str]:
    where = ("--brokers", broker.address)
    done = headwater(
        "topics", "create", *where, "--partitions", "3", "--keep-for-ever", folder=folder, prefix=prefix
    )
    assert done.returncode == 0, done.stderr
    return where


def on_topic(where: tuple[str, str], folder: Path, prefix: str, topic: str) -> list[dict[str, Any]]:
    done = headwater("tail", topic, *where, "--from-beginning", "--json", folder=folder, prefix=prefix)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_valid_lines_arrive_as_they_stand_and_the_rest_is_reported(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    where = created(broker, tmp_path, prefix)
    good = [view(1), view(2, account_id="A"), view(3)]
    lines = [good[0], "{broken", good[1], view(9, type="nope"), good[2]]
    (tmp_path / "touchpoints.ndjson").write_text("\n".join(lines))
    (tmp_path / "crm.csv").write_text(
        "topic,event_id,type,occurred_at,lead_id,account_id\nleads,l1,lead_created,1767225600000,L1,A\n"
    )
    done = headwater(
        "send", "touchpoints.ndjson", "crm.csv", *where, "--json", folder=tmp_path, prefix=prefix
    )
    assert done.returncode == INVALID and "2 of 6 lines" in done.stderr
    report = json.loads(done.stdout)
    assert (report["sent"], report["codes"]) == (4, {"invalid_json": 1, "unknown_type": 1})
    touches = on_topic(where, tmp_path, prefix, "touchpoints")
    assert {record["key"]: record["value"] for record in touches} == {
        "v1": json.loads(good[0]), "A": json.loads(good[1]), "v3": json.loads(good[2]),
    }  # fmt: skip
    (lead,) = on_topic(where, tmp_path, prefix, "leads")
    assert (lead["key"], lead["value"]["lead_id"]) == ("A", "L1")
    letters = [json.loads(line) for line in (tmp_path / "dead-letters.ndjson").read_text().splitlines()]
    assert [(letter["line"], letter["code"]) for letter in letters] == [
        (2, "invalid_json"),
        (4, "unknown_type"),
    ]


def test_an_interrupted_send_goes_on_where_it_was(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    where = created(embedded_broker, tmp_path, "")
    (tmp_path / "touchpoints.ndjson").write_text("".join(view(number) + "\n" for number in range(3_000)))
    arguments = ["send", "touchpoints.ndjson", *where, "--state", "state.json", "--rate", "100"]
    command = [sys.executable, "-m", "streams.cli.main", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not on_topic(where, tmp_path, "", "touchpoints"):
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    done_before = json.loads((tmp_path / "state.json").read_text())["files"]["touchpoints.ndjson"]["lines"]
    again = headwater(*arguments[:-2], "--json", folder=tmp_path)
    report = json.loads(again.stdout)
    assert (report["skipped"], report["sent"]) == (done_before, 3_000 - done_before)
    keys = [record["key"] for record in on_topic(where, tmp_path, "", "touchpoints")]
    assert set(keys) == {f"v{number}" for number in range(3_000)}
    assert json.loads(headwater(*arguments, "--json", folder=tmp_path).stdout)["sent"] == 0


def test_standard_input_is_sent(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    where = created(embedded_broker, tmp_path, "")
    done = headwater("send", "-", "--topic", "touchpoints", *where, folder=tmp_path, given=view(1) + "\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 of 1 lines sent")
    assert [record["key"] for record in on_topic(where, tmp_path, "", "touchpoints")] == ["v1"]


@pytest.mark.parametrize("command", [("send", "touchpoints.ndjson"), ("tail", "touchpoints")])
def test_topics_that_are_missing_are_named_and_not_created(
    embedded_broker: EmbeddedBroker, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "touchpoints.ndjson").write_text(view(1))
    where = ("--brokers", embedded_broker.address)
    done = headwater(*command, *where, folder=tmp_path)
    assert done.returncode == FAILURE and "no topic" in done.stderr
    assert json.loads(headwater("topics", "list", *where, "--json", folder=tmp_path).stdout)["topics"] == []


def test_tail_shows_the_last_messages_and_follows(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    where = created(embedded_broker, tmp_path, "")
    # one key, so one partition: messages of one millisecond have no order between partitions
    content = "".join(view(number, account_id="A") + "\n" for number in range(20))
    (tmp_path / "touchpoints.ndjson").write_text(content)
    assert headwater("send", "touchpoints.ndjson", *where, folder=tmp_path).returncode == 0
    last = headwater("tail", "touchpoints", *where, "-n", "3", "--json", folder=tmp_path).stdout.splitlines()
    assert [json.loads(line)["value"]["event_id"] for line in last] == ["e17", "e18", "e19"]
    pretty = headwater("tail", "touchpoints", *where, "-n", "1", folder=tmp_path).stdout
    assert pretty.splitlines()[0].endswith("A") and '"event_id": "e19"' in pretty
    command = [
        sys.executable,
        "-m",
        "streams.cli.main",
        "tail",
        "touchpoints",
        *where,
        "-n",
        "1",
        "-f",
        "--json",
    ]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["value"]["event_id"] == "e19"
        headwater("send", "-", "--topic", "touchpoints", *where, folder=tmp_path, given=view(99))
        assert json.loads(process.stdout.readline())["key"] == "v99"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_dead_letters_of_a_cluster_without_any_are_none(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    where = created(embedded_broker, tmp_path, "")
    done = headwater("dead-letters", "list", *where, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "No dead letters.\n"), done.stderr


async def test_a_broker_that_falls_silent_ends_the_send_and_what_was_acknowledged_is_known(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    created(embedded_broker, tmp_path, "")
    file = tmp_path / "touchpoints.ndjson"
    file.write_text("".join(view(number) + "\n" for number in range(20)))
    settings, path = Settings(), tmp_path / "state.json"
    goals, lines = targets(settings, "native"), list(read_lines(str(file)))
    producer = AIOKafkaProducer(bootstrap_servers=embedded_broker.address, enable_idempotence=True)
    await producer.start()
    try:
        with DeadLetters(tmp_path / "letters") as letters:
            state = State(path)
            state.begin(str(file))
            sender = Sender(producer, embedded_broker.address, state, letters, patience_s=2)
            items = list(outgoing(lines, goals, context(settings)))
            for item in items[:10]:
                await sender.send(item)
            await sender.finish()
            embedded_broker.kill()
            with pytest.raises(BrokerUnreachable, match="no answer within 2 s"):
                for item in items[10:]:
                    await sender.send(item)
                await sender.finish()
            state.save()
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), 1)
    assert State(path).begin(str(file)) == 10
