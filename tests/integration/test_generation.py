"""A worker that must not start says so, on real brokers: rows above its own, topics that refuse its batches."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.agents.rows import version
from streams.agents.slice import PARTITION_KEY
from streams.embedded import EmbeddedBroker
from streams.generation import generation_of
from streams.journal import encode_tick
from streams.topology import CONTROL, CREDITS, JOURNAL, PARTIALS
from tests.conftest import Broker
from tests.integration.live import Live, Sent, installed

STATE = "headwater-journey-changelog"


def row(generation: int, offset: int) -> Sent:
    return Sent(CREDITS, b"c", orjson.dumps({"credit_id": "c", "version": version(generation, 0, offset)}))


def refused(live: Live, monkeypatch: pytest.MonkeyPatch, generation: int, **engine: str) -> str:
    """What a worker of this generation says, which must end by itself with 1."""
    monkeypatch.setenv("HEADWATER_STATE__GENERATION", str(generation))
    worker = live.worker(**engine).start()
    process, worker.process = worker.process, None
    assert process is not None and process.wait(60) == 1, worker.said()
    return worker.said()


def starts(live: Live, monkeypatch: pytest.MonkeyPatch, generation: int) -> None:
    """A worker of this generation comes to work, and ends when told to."""
    monkeypatch.setenv("HEADWATER_STATE__GENERATION", str(generation))
    worker = live.worker().start()
    end = time.monotonic() + 60
    while (worker.metrics() or {}).get(("headwater_ready", ())) != 1:
        assert worker.process is not None and worker.process.poll() is None, worker.said()
        assert time.monotonic() < end, worker.said()
        time.sleep(0.05)
    assert worker.end(signal.SIGTERM) == 0, worker.said()


async def test_rows_that_would_outrank_a_worker_keep_it_from_starting(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(broker.address, prefix, tmp_path, embedded=isinstance(broker, EmbeddedBroker))
    async with installed(live):
        starts(live, monkeypatch, 0)
        await live.send([row(2, 5), Sent(CREDITS, b"c", b"")])
        assert "holds rows of generation 2, and state.generation is 1" in refused(live, monkeypatch, 1)
        assert "up to offset 5 of journal, which ends at 0" in refused(live, monkeypatch, 2)
        starts(live, monkeypatch, 3)
        await live.send([Sent(JOURNAL, b"%d" % n, encode_tick(1)) for n in range(90)])
        starts(live, monkeypatch, 2)
        await live.send([Sent(STATE, PARTITION_KEY, orjson.dumps([4_000, 0, "x"]))])
        assert "up to offset 4000, but that ends at " in refused(live, monkeypatch, 3)


STORY = [
    Sent(topic, b"acme", orjson.dumps({"event_id": f"e{number}", "account_id": "acme", **event}))
    for number, (topic, event) in enumerate(
        [
            ("touchpoints", {"type": "ad_click", "occurred_at": "2026-03-01T09:00:00Z"}),
            ("touchpoints", {"type": "webinar", "occurred_at": "2026-03-08T09:00:00Z"}),
            (
                "deals",
                {
                    "type": "deal_updated",
                    "occurred_at": "2026-03-20T09:00:00Z",
                    "deal_id": "D",
                    "amount": "90",
                },
            ),
            (
                "deals",
                {
                    "type": "deal_updated",
                    "occurred_at": "2026-03-25T09:00:00Z",
                    "deal_id": "D",
                    "stage": "closed",
                },
            ),
        ]
    )
]


async def credits(live: Live, generation: int) -> dict[str, int]:
    """credit_id -> linear amount of the rows of a generation that stand, once the won deal has some."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        rows = [orjson.loads(record.value) for record in await live.read(CREDITS) if record.value]
        found = {
            each["credit_id"]: each["linear_amount_minor"]
            for each in rows
            if generation_of(each["version"]) == generation and not each["is_deleted"]
        }
        if sum(amount for key, amount in found.items() if key.startswith("deal:D:won")) == 9_000:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError("\n".join(worker.said() for worker in live.workers))


async def test_the_documented_rebuild_gives_the_same_answers_under_higher_versions(
    kafka_broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(kafka_broker.address, prefix, tmp_path, embedded=False)
    async with installed(live):
        worker = live.worker().start()
        await live.send(STORY)
        before = await credits(live, 0)
        assert worker.end(signal.SIGTERM) == 0, worker.said()
        await delete(kafka_broker.address, [prefix + name for name in (JOURNAL, CONTROL)])
        await live.create_topics()
        assert "Take a new worker.app_id" in refused(live, monkeypatch, 1)
        assert "Delete partials" in refused(live, monkeypatch, 1, app_id="second")
        await delete(kafka_broker.address, [prefix + PARTIALS])
        await live.create_topics()
        assert "set state.generation to 1" in refused(live, monkeypatch, 0, app_id="second")
        monkeypatch.setenv("HEADWATER_STATE__GENERATION", "1")
        live.worker(app_id="second").start()
        assert await credits(live, 1) == before


async def delete(address: str, topics: list[str]) -> None:
    """Delete topics and wait until they are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.delete_topics(topics)
        end = time.monotonic() + 20
        while set(topics) & set(await admin.list_topics()):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def test_a_topic_that_takes_no_ordinary_batch_keeps_a_worker_from_starting(
    kafka_broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker.address)
    await admin.start()
    try:
        for name, limit in ((JOURNAL, 1 << 19), (CREDITS, 1 << 20)):
            topic = NewTopic(prefix + name, 3, 1, topic_configs={"max.message.bytes": str(limit)})
            await admin.create_topics([topic])
    finally:
        await admin.close()
    live = Live(kafka_broker.address, prefix, tmp_path, embedded=False)
    async with installed(live):
        said = refused(live, monkeypatch, 0)
        assert f"topic {prefix}journal takes messages of up to 524288 bytes" in said
        assert f"topic {prefix}attribution-credits takes" not in said
        assert "Traceback" not in said and os.linesep in said
