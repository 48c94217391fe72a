from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.embedded import EmbeddedBroker
from streams.topics import (
    BrokerUnreachable,
    Problem,
    TopicDeclaration,
    TopicInfo,
    TopicRefusedError,
    changelogs,
    check_topics,
    create_topics,
    declared_topics,
    list_topics,
)
from tests.conftest import Broker
from tests.integration.kafka_local import LocalKafka

DAY_MS = 86_400_000
DECLARED = [
    TopicDeclaration(
        "touchpoints", {"retention.ms": "-1"}, any_partitions=True, least_retention_ms=365 * DAY_MS
    ),
    TopicDeclaration("journal", {"cleanup.policy": "delete", "retention.ms": "-1"}),
    TopicDeclaration("control", {"cleanup.policy": "delete"}, partitions=1),
    TopicDeclaration("partials", {"cleanup.policy": "compact"}),
    TopicDeclaration("credits", {"cleanup.policy": "compact", "min.compaction.lag.ms": str(7 * DAY_MS)}),
    *changelogs("app"),
]


async def produce(
    address: str, topic: str, count: int, *, partition: int = 0, idempotent: bool = False
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=idempotent) as producer:
        for n in range(count):
            headers = [("n", str(n).encode())]
            await producer.send(
                topic, b"v%d" % n, key=b"k", partition=partition, timestamp_ms=1_000_000 + n, headers=headers
            )


async def consume(address: str, topic: str, count: int, *, partition: int = 0) -> list[bytes]:
    async with AIOKafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        where = TopicPartition(topic, partition)
        consumer.assign([where])
        values: list[bytes] = []
        async with asyncio.timeout(20):
            assert (await consumer.end_offsets([where]))[where] == count
            while len(values) < count:
                record = await consumer.getone()
                assert record.headers == (("n", str(record.offset).encode()),)
                assert record.timestamp == 1_000_000 + record.offset
                values.append(record.value)
        return values


@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
async def test_records_with_old_times_come_back_in_order(
    broker: Broker, prefix: str, idempotent: bool
) -> None:
    await create_topics(broker.address, [DECLARED[0]], prefix=prefix, partitions=2)
    topic = f"{prefix}touchpoints"
    await produce(broker.address, topic, 50, partition=1, idempotent=idempotent)
    assert await consume(broker.address, topic, 50, partition=1) == [b"v%d" % n for n in range(50)]


async def test_topics_are_created_once_and_then_fit(broker: Broker, prefix: str) -> None:
    first = await create_topics(broker.address, DECLARED, prefix=prefix, partitions=3)
    assert first == [(prefix + d.name, "created") for d in DECLARED]
    again = await create_topics(broker.address, DECLARED, prefix=prefix, partitions=3)
    assert again == [(prefix + d.name, "exists") for d in DECLARED]
    assert await check_topics(broker.address, DECLARED, prefix=prefix) == []
    assert await check_topics(broker.address, DECLARED, prefix=prefix, partitions=3) == []
    listed = {
        topic.name.removeprefix(prefix): topic for topic in await list_topics(broker.address, prefix=prefix)
    }
    assert set(listed) == {d.name for d in DECLARED}
    assert listed["journal"] == TopicInfo(f"{prefix}journal", 3, 1)
    assert listed["control"].partitions == listed["app-coordinator-changelog"].partitions == 1


async def test_every_difference_from_the_declaration_is_named_with_its_fix(
    broker: Broker, prefix: str
) -> None:
    wrong = [
        TopicDeclaration("touchpoints", {"retention.ms": str(30 * DAY_MS)}, partitions=5),
        TopicDeclaration("journal", {"retention.ms": "-1"}, partitions=4),
        TopicDeclaration("control", partitions=2),
        TopicDeclaration("credits", {"cleanup.policy": "delete"}, partitions=4),
        TopicDeclaration("app-journey-changelog", {"cleanup.policy": "compact"}, partitions=2),
    ]
    await create_topics(broker.address, wrong, prefix=prefix)
    found = await check_topics(broker.address, DECLARED, prefix=prefix)
    assert {(p.topic.removeprefix(prefix), p.what, p.expected, p.found) for p in found} == {
        ("touchpoints", "retention.ms", f"-1 or at least {365 * DAY_MS}", str(30 * DAY_MS)),
        ("control", "partitions", "1", "2"),
        ("partials", "missing", "4 partitions", "no topic"),
        ("credits", "cleanup.policy", "compact", "delete"),
        ("credits", "min.compaction.lag.ms", f"at least {7 * DAY_MS}", "0"),
        ("app-journey-changelog", "partitions", "4 (as journal)", "2"),
        ("app-journey-changelog", "max.message.bytes", f"at least {4 << 20}", "1048588"),
        ("app-coordinator-changelog", "missing", "2 partitions", "no topic"),
        ("app-totals-changelog", "missing", "4 partitions", "no topic"),
    }
    assert all(problem.fix for problem in found)
    assert (
        Problem(f"{prefix}partials", "missing", "4 partitions", "no topic", "headwater topics create")
        in found
    )
    by_count = await check_topics(broker.address, DECLARED, prefix=prefix, partitions=6)
    assert ("journal", "6") in {
        (p.topic.removeprefix(prefix), p.expected) for p in by_count if p.what == "partitions"
    }


async def test_a_follower_takes_the_count_of_a_topic_that_exists(broker: Broker, prefix: str) -> None:
    await create_topics(broker.address, [DECLARED[1]], prefix=prefix, partitions=5)
    await create_topics(broker.address, DECLARED, prefix=prefix)
    counts = {
        topic.name.removeprefix(prefix): topic.partitions
        for topic in await list_topics(broker.address, prefix=prefix)
    }
    assert counts["app-journey-changelog"] == 5
    assert counts["partials"] == counts["app-totals-changelog"] == 12


async def test_what_the_cluster_refuses_is_named_and_the_rest_created(broker: Broker, prefix: str) -> None:
    declared = [
        TopicDeclaration("good"),
        TopicDeclaration("bad name"),
        TopicDeclaration("bad", {"no.such": "1"}),
    ]
    with pytest.raises(TopicRefusedError, match="bad name") as refusal:
        await create_topics(broker.address, declared, prefix=prefix)
    assert {name for name, _ in refusal.value.refused} == {f"{prefix}bad name", f"{prefix}bad"}
    assert [topic.name for topic in await list_topics(broker.address, prefix=prefix)] == [f"{prefix}good"]


async def test_an_unreachable_broker_is_named_with_what_to_do() -> None:
    for ask in (
        create_topics("127.0.0.1:1", DECLARED),
        check_topics("127.0.0.1:1", DECLARED),
        list_topics("127.0.0.1:1"),
    ):
        with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1.*headwater broker"):
            await ask


async def test_a_broker_that_hangs_is_unreachable_within_the_timeout(kafka_broker: LocalKafka) -> None:
    kafka_broker.pause()
    began = time.monotonic()
    try:
        with pytest.raises(BrokerUnreachable):
            await list_topics(kafka_broker.address, timeout_s=1.0)
    finally:
        kafka_broker.resume()
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "killed"])
async def test_apache_kafka_keeps_its_records_over_a_restart(
    kafka_broker: LocalKafka, prefix: str, crash: bool
) -> None:
    await create_topics(kafka_broker.address, [DECLARED[0]], prefix=prefix, partitions=1)
    await produce(kafka_broker.address, f"{prefix}touchpoints", 20)
    if crash:
        kafka_broker.kill()
    kafka_broker.restart()
    assert await consume(kafka_broker.address, f"{prefix}touchpoints", 20) == [b"v%d" % n for n in range(20)]


async def test_the_embedded_broker_keeps_its_records_over_a_restart_in_a_given_folder(tmp_path: Path) -> None:
    broker = EmbeddedBroker()
    broker.start(data_dir=tmp_path)
    await create_topics(broker.address, [DECLARED[0]], partitions=1)
    await produce(broker.address, "touchpoints", 20)
    broker.stop()
    broker.start(data_dir=tmp_path)
    assert await consume(broker.address, "touchpoints", 20) == [b"v%d" % n for n in range(20)]
    broker.stop()


@pytest.mark.parametrize("required", [False, True])
def test_a_machine_without_java_skips_the_kafka_suite_loudly_or_fails_it(
    tmp_path: Path, required: bool
) -> None:
    environment = {"PATH": str(tmp_path), "HEADWATER_KAFKA_CACHE": str(tmp_path), "HOME": os.environ["HOME"]}
    if required:
        environment["HEADWATER_REQUIRE_KAFKA"] = "1"
    one = f"{Path(__file__)}::test_topics_are_created_once_and_then_fit[kafka]"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", one]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == int(required), done.stdout
    assert "The Apache Kafka suite DID NOT RUN" in done.stdout
    assert "java was not found" in done.stdout


async def test_all_topics_of_an_installation_can_be_created_and_then_fit(broker: Broker, prefix: str) -> None:
    declared = declared_topics("headwater", lookback_ms=365 * DAY_MS)
    await create_topics(broker.address, declared, prefix=prefix, partitions=2)
    assert await check_topics(broker.address, declared, prefix=prefix) == []
    longer = declared_topics("headwater", lookback_ms=1_000 * DAY_MS)
    problems = await check_topics(broker.address, longer, prefix=prefix)
    assert {(p.topic.removeprefix(prefix), p.what) for p in problems} == {
        (name, "retention.ms") for name in ("touchpoints", "leads", "deals")
    }
