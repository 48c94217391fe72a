"""Workers that are killed and frozen while everybody identifies at once and accounts are merged; every run audited.

Short versions run with the tests, long ones with HEADWATER_SOAK=1 (``make soak``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition

from streams.embedded import EmbeddedBroker
from streams.topology import CREDITS, IDENTITY, JOURNEYS
from tests.builders import compacted
from tests.conftest import Broker
from tests.integration.audit import END_MS, SOAK
from tests.integration.engine_harness import consumer
from tests.integration.identity_audit import Journal, audit_moves, journal_of, undisturbed
from tests.integration.identity_traffic import DAY_MS, tell
from tests.integration.kafka_local import LocalKafka
from tests.integration.live import Live, Sent, installed

PARTITIONS = 4
VISITORS = 2_000 if SOAK else 300
KILLS = 4 if SOAK else 1
"""In each storm."""
FROZEN_S = 3.0
"""Half the session timeout: long enough that its replica falls behind."""
DONE_S = 600.0 if SOAK else 120.0
AGAIN = 1 + 2 * KILLS
"""How often everything is done at most: once, and again after each kill."""
MOST_COPIES = 2 * 4 * AGAIN
"""Of a fact in the journal: its message may be sent twice, each time be put somewhere and taken to three other
places. A fact that went round in a circle would have more and more."""
MOVED = 50_000
MIB = 1 << 20


def live(broker: Broker, prefix: str, folder: Path) -> Live:
    embedded = isinstance(broker, EmbeddedBroker)
    return Live(broker.address, prefix, folder, embedded=embedded, partitions=PARTITIONS)


async def end_of(product: Live, topic: str, partitions: int) -> int:
    """Offsets that a topic has come to, all partitions together."""
    async with consumer(product.broker) as reader:
        tps = [TopicPartition(product.prefix + topic, partition) for partition in range(partitions)]
        return sum((await reader.end_offsets(tps)).values())


async def until_decided(product: Live, since: int, decisions: int) -> None:
    """Wait until so many entries have been published since the table of identities ended there."""
    end = time.monotonic() + 40.0
    async with consumer(product.broker) as reader:
        tp = TopicPartition(product.prefix + IDENTITY, 0)
        while (await reader.end_offsets([tp]))[tp] < since + decisions:
            assert time.monotonic() < end, "nothing is decided"
            await asyncio.sleep(0.02)


async def storm(product: Live, records: list[Sent], *, of_coordinator: bool) -> None:
    """Send all at once, and kill a worker, again and again, while it is worked on."""
    share = len(records) // KILLS
    for number in range(KILLS):
        await product.until(product.coordinator, "somebody owns the control topic")
        owner = product.coordinator()
        victim = next(w for w in product.workers if (w is owner) == of_coordinator)
        since = await end_of(product, IDENTITY, 1)
        last = None if number == KILLS - 1 else (number + 1) * share
        await product.send(records[number * share : last])
        await until_decided(product, since, share // 8)
        await product.kill(victim)
        victim.start()
        await product.until_ready(*product.workers)


def no_fact_bounces(journal: Journal, facts: int) -> None:
    most = journal.copies.most_common(1)[0]
    print(
        f"{facts} facts: {journal.put.total()} records of their own, {journal.handed.total()} messages in "
        f"{journal.transfers} transfers, {most[1]} copies at most"
    )
    assert journal.handed, "nothing moved"
    assert most[1] <= MOST_COPIES, most
    assert journal.copies.total() <= 2 * AGAIN * facts
    assert journal.largest < MIB


@pytest.mark.kafka
async def test_kills_in_storms_of_identification_and_of_merges_change_no_final_row(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    story = tell(seed=71, visitors=VISITORS)
    wanted, end = await asyncio.to_thread(undisturbed, story.records)
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        workers = [product.worker().start() for _ in range(3)]
        await product.until_ready(*workers)
        await product.send(story.waiting)
        await storm(product, story.storm, of_coordinator=True)
        await freeze_through(product, story.turns)
        await storm(product, story.second_storm, of_coordinator=False)
        await product.until_done(end, DONE_S)
        no_fact_bounces(await audit_moves(product, story, wanted), len(story.records))


async def freeze_through(product: Live, records: list[Sent]) -> None:
    """Send half while a worker is frozen that does not decide: what it reads next it places by old knowledge."""
    owner = product.coordinator()
    frozen = next(worker for worker in product.workers if worker is not owner)
    half = len(records) // 2
    frozen.freeze()
    thaw_at = asyncio.get_running_loop().time() + FROZEN_S
    await product.send(records[:half])
    await asyncio.sleep(thaw_at - asyncio.get_running_loop().time())
    frozen.thaw()
    await product.send(records[half:])
    assert frozen.runs()


async def test_a_kill_in_a_storm_of_identification_costs_nothing_on_the_embedded_broker(
    embedded_broker: EmbeddedBroker, prefix: str, tmp_path: Path
) -> None:
    story = tell(seed=72, visitors=VISITORS // 4)
    wanted, end = undisturbed(story.records)
    async with installed(live(embedded_broker, prefix, tmp_path)) as product:
        worker = product.worker().start()
        await product.until_ready(worker)
        await product.send(story.waiting)
        await storm(product, story.storm, of_coordinator=True)
        await product.send(story.turns)
        await storm(product, story.second_storm, of_coordinator=True)
        await product.until_done(end, DONE_S)
        no_fact_bounces(await audit_moves(product, story, wanted), len(story.records))


@pytest.mark.kafka
async def test_an_account_of_fifty_thousand_touches_moves_in_bounded_records(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    async with installed(live(kafka_broker, prefix, tmp_path)) as product:
        worker = product.worker(session_timeout_ms=30_000).start()
        await product.until_ready(worker)
        await product.send([touch(number) for number in range(MOVED)])
        bought = {"account_id": "old", "deal_id": "D", "stage": "closed", "status": "won", "amount": "100.01"}
        await product.send([message("deals", "deal_updated", END_MS, "d", **bought)])
        await product.until_done(END_MS, DONE_S)
        before = credited(await product.read(CREDITS), "old")
        merged = {"account_id": "old", "into_account_id": "new"}
        await product.send([message("leads", "account_merged", END_MS + 1, "m", **merged)])
        await product.until_done(END_MS + 1, DONE_S)
        journal = await journal_of(product)
        after = credited(await product.read(CREDITS), "new")
        rows = compacted(JOURNEYS, [r.value for r in await product.read(JOURNEYS) if r.value])
    assert {account: row["touches"] for account, row in rows.items()} == {"new": MOVED}
    assert after == before
    assert sum(after.values()) == 10_001
    assert sum(id.startswith("t") for id in journal.handed) == MOVED
    assert journal.transfers > MOVED // 1_024
    assert journal.largest < MIB


def credited(records: Sequence[Any], account: str) -> dict[str, int]:
    """Credit -> its linear share of the money, when all are of this account."""
    rows = compacted(CREDITS, [record.value for record in records if record.value])
    assert {row["account_id"] for row in rows.values()} == {account}
    return {key: row["linear_amount_minor"] for key, row in rows.items()}


def touch(number: int) -> Sent:
    at = END_MS - 60 * DAY_MS + number * (60 * DAY_MS // MOVED)
    return message("touchpoints", "page_view", at, f"t{number}", account_id="old", channel="Email")


def message(topic: str, kind: str, at: int, event_id: str, **fields: str) -> Sent:
    event = {"event_id": event_id, "type": kind, "occurred_at": at, **fields}
    return Sent(topic, fields["account_id"].encode(), orjson.dumps(event))
