"""The engine as real worker processes on the embedded broker: nothing lost, tables exact, whatever ends them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from streams.embedded import EmbeddedBroker
from tests.integration.engine_harness import INPUT_PARTITIONS, KEYS, Job, pids, started
from tests.integration.kafka_local import LocalKafka, free_port

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def embedded() -> Iterator[str]:
    with EmbeddedBroker() as running:
        yield running.address


@pytest_asyncio.fixture
async def job(embedded: str, prefix: str, tmp_path: Path) -> AsyncIterator[Job]:
    async with started(Job(embedded, f"{prefix}job", tmp_path)) as found:
        yield found


@pytest_asyncio.fixture
async def kafka_job(kafka_broker: LocalKafka, prefix: str, tmp_path: Path) -> AsyncIterator[Job]:
    async with started(Job(kafka_broker.address, f"{prefix}job", tmp_path, embedded=False)) as found:
        yield found


async def test_every_record_gives_one_output_and_the_table_is_exact(job: Job) -> None:
    await job.feed(20_000)
    worker = job.worker(BATCH="500").start()
    await job.until_done()
    assert await job.audit() == 0
    assert worker.terminate() == 0


async def test_outputs_of_a_key_keep_their_order_and_carry_headers(job: Job) -> None:
    await job.feed(2_000)
    job.worker(BATCH="20").start()
    await job.until_outputs(2_000)
    seen: dict[bytes, int] = {}
    for record in await job.outputs():
        count = int(record.value.split()[1])
        assert count == seen.get(record.key, 0) + 1
        seen[record.key] = count
        assert record.headers == (("n", b"1"),)


async def test_three_kills_lose_no_output_and_leave_the_table_exact(job: Job) -> None:
    worker = job.worker(BATCH="50")
    feeding = asyncio.create_task(job.feed(5_000, per_second=700))
    for _ in range(3):
        worker.start()
        goal = await job.output_count() + 600
        await job.until_outputs(goal)
        await worker.kill()
    worker.start()
    await feeding
    await job.until_done()
    duplicates = await job.audit()
    assert duplicates <= 3 * INPUT_PARTITIONS * 2 * 4 * 50  # a kill repeats at most the replay window


async def test_a_run_knows_how_much_of_its_partition_waits_behind_it(job: Job) -> None:
    await job.feed(2_000)
    job.worker(BATCH="50").start()
    await job.until_outputs(2_000)
    left: dict[int, int] = {}
    for record in await job.outputs():
        number, _, waiting = map(int, record.value.split())
        left[number] = waiting
    for partition in range(INPUT_PARTITIONS):
        numbers = [number for number in range(2_000) if number % KEYS % INPUT_PARTITIONS == partition]
        behind = [left[number] for number in numbers]
        assert all(found <= len(numbers) - at - 1 for at, found in enumerate(behind))
        assert behind == sorted(behind, reverse=True)
        assert behind[0] > 0
        assert behind[-1] == 0


async def test_two_clean_stops_repeat_nothing(job: Job) -> None:
    worker = job.worker(BATCH="50")
    feeding = asyncio.create_task(job.feed(6_000, per_second=1_500))
    for _ in range(2):
        worker.start()
        await job.until_outputs(await job.output_count() + 500)
        assert worker.terminate() == 0
    worker.start()
    await feeding
    await job.until_done()
    assert await job.audit() == 0


async def test_a_slow_broker_and_kills_lose_nothing(job: Job) -> None:
    worker = job.worker(BATCH="50", COMMIT_MS="100")
    await job.feed(8_000)
    for _ in range(2):
        worker.start(SLOW="0.3")
        await job.until_outputs(await job.output_count() + 300)
        await worker.kill()
    worker.start()
    await job.until_done()
    await job.audit()


# The embedded broker refuses the commits of a rebalance and keeps members that are gone, so groups of several workers
# are tested on Apache Kafka.


async def test_workers_join_and_leave_under_load_without_repeating_anything(kafka_job: Job) -> None:
    job = kafka_job
    first, second, third = (job.worker(BATCH="50") for _ in range(3))
    feeding = asyncio.create_task(job.feed(6_000, per_second=1_000))
    first.start()
    await job.until_outputs(300)
    second.start()
    await job.until(lambda: second.events("assigned"), bool)
    third.start()
    await job.until(lambda: third.events("assigned"), bool)
    assert first.terminate() == 0
    await feeding
    await job.until_done()
    assert second.terminate() == 0
    assert third.terminate() == 0
    assert await job.audit() == 0
    assert first.events("revoked")


async def test_a_worker_takes_over_from_a_killed_one(kafka_job: Job) -> None:
    job = kafka_job
    first, second = job.worker(BATCH="50"), job.worker(BATCH="50")
    feeding = asyncio.create_task(job.feed(5_000, per_second=500))
    first.start()
    second.start()
    await job.until(lambda: first.events("assigned"), bool)
    await job.until(lambda: second.events("assigned"), bool)
    await first.kill()
    await feeding
    await job.until_done()
    await job.audit()
    held = {event["partition"] for event in second.events("assigned")}
    assert held == set(range(INPUT_PARTITIONS))


async def test_a_restart_reads_the_table_back(job: Job) -> None:
    worker = job.worker(BATCH="500").start()
    await job.feed(3_000)
    await job.until_done()
    assert worker.terminate() == 0
    worker.start()
    await job.until(lambda: len(worker.events("recovery")), lambda found: found == 2)
    assert worker.events("recovery")[-1]["records"] > 0
    keys = [event["keys"] for event in worker.events("assigned")[-INPUT_PARTITIONS:]]
    assert sum(keys) == 97
    assert len(pids(worker.events("assigned"))) == 2


async def test_records_of_another_writer_in_the_changelog_are_overruled(job: Job) -> None:
    worker = job.worker().start()
    await job.feed(97)
    await job.until_done()
    async with AIOKafkaProducer(bootstrap_servers=job.broker) as zombie:
        await zombie.send_and_wait(job.changelog, b"0 -1", key=b"k88", partition=0)
        await zombie.send_and_wait(job.changelog, None, key=b"k92", partition=0)
    await job.feed(10)  # touches the partition, but neither key
    await job.until_done()
    await job.until(lambda: worker.events("foreign"), bool)
    await job.until(job.table, lambda table: table == job.true_table())


async def stale_record(job: Job) -> None:
    """What a worker writes that lost the partition long ago: the first count of a key."""
    async with AIOKafkaProducer(bootstrap_servers=job.broker) as zombie:
        await zombie.send_and_wait(job.changelog, b"1 22", key=b"k88", partition=0)


async def test_a_stale_record_at_the_end_of_the_changelog_does_not_survive_a_restart(job: Job) -> None:
    worker = job.worker().start()
    await job.feed(970)
    await job.until_done()
    assert worker.terminate() == 0
    await stale_record(job)
    assert (await job.table())[b"k88"] == 1
    worker.start()
    await job.until(job.table, lambda table: table == job.true_table())
    assert worker.events("assigned")[-INPUT_PARTITIONS:][0]["counts"]["k88"] == 10
    await job.feed(970)
    await job.until_done()
    assert await job.audit() == 0


async def test_a_stale_record_in_the_changelog_does_not_survive_a_rebalance(kafka_job: Job) -> None:
    job = kafka_job
    first, second = job.worker(), job.worker()
    first.start()
    await job.feed(970)
    await job.until_done()
    await stale_record(job)
    second.start()
    await job.until(lambda: second.events("assigned"), bool)
    await job.until(job.table, lambda table: table == job.true_table())
    await job.feed(970)
    await job.until_done()
    assert await job.audit() == 0


async def test_a_handler_that_raises_ends_the_worker_before_the_commit(job: Job) -> None:
    async with AIOKafkaProducer(bootstrap_servers=job.broker) as producer:
        await producer.send_and_wait(job.input, b"poison", key=b"k0", partition=0)
    worker = job.worker().start()
    await job.until(worker.exit_code, lambda code: code is not None)
    assert worker.exit_code() == 1
    assert (await job.committed())[0] == 0
    assert "poison" in worker.log()


async def test_an_agent_without_a_table_works_and_acts_by_the_clock(job: Job) -> None:
    await job.feed(1_000)
    worker = job.worker(STATELESS="1", TICKS=job.output).start()
    await job.until_outputs(1_000 + 2 * INPUT_PARTITIONS)
    assert worker.terminate() == 0
    ticks = [record for record in await job.outputs() if record.key is None]
    assert {record.headers for record in ticks} == {()}


async def test_a_record_that_is_too_large_ends_the_worker_before_the_commit(job: Job) -> None:
    async with AIOKafkaProducer(bootstrap_servers=job.broker) as producer:
        await producer.send_and_wait(job.input, b"large", key=b"k0", partition=0)
    worker = job.worker().start()
    await job.until(worker.exit_code, lambda code: code is not None)
    assert worker.exit_code() == 1
    assert (await job.committed())[0] == 0
    assert f"record for {job.output!r} with key b'k0' takes" in worker.log()


async def test_agents_feed_each_other_whatever_their_partition_counts(job: Job) -> None:
    sources = {f"{job.name}-one": 1, f"{job.name}-seven": 7}
    await job.create(sources)
    async with AIOKafkaProducer(bootstrap_servers=job.broker) as producer:
        for number in range(2_000):
            topic = list(sources)[number % 2]
            await producer.send(topic, b"%d" % number, key=b"k%d" % (number % 97))
    job.fed = 2_000
    worker = job.worker(RELAY=",".join(sources)).start()
    await job.until_outputs(2_000)
    await job.until(job.table, lambda table: table == job.true_table())
    assert await job.audit() == 0
    assert worker.terminate() == 0


async def test_an_agent_that_yields_keeps_the_lag_of_the_one_behind_it_bounded_and_comes_to_its_end(
    kafka_job: Job,
) -> None:
    job, source = kafka_job, f"{kafka_job.name}-source"
    await job.create({source: INPUT_PARTITIONS})
    async with AIOKafkaProducer(bootstrap_servers=job.broker, linger_ms=5) as producer:
        for number in range(20_000):
            await producer.send(source, b"%d" % number, key=b"k%d" % (number % KEYS))
    job.fed = 20_000
    worker = job.worker(RELAY=source, YIELD_LAG="1000", DRAG="0.02", BATCH="250").start()
    lags, deadline = [], time.monotonic() + 40.0
    while (answered := await job.output_count()) < job.fed:
        written = sum((await job.end_offsets(job.input, INPUT_PARTITIONS)).values())
        lags.append(written - answered)
        assert worker.exit_code() is None and time.monotonic() < deadline, worker.log()
    assert 1_000 < max(lags) < 8_000
    await job.until_done()
    assert await job.audit() == 0


async def test_a_worker_that_cannot_commit_although_brokers_answer_ends(job: Job) -> None:
    await job.feed(100)
    worker = job.worker(SLOW="6", COMMIT_DEADLINE="2").start()
    await job.until(worker.exit_code, lambda code: code is not None)
    assert worker.exit_code() == 1
    assert "could not be committed for" in worker.log()
    assert sum((await job.committed()).values()) == 0


async def test_missing_topics_are_named(job: Job) -> None:
    worker = job.worker(INPUT="nowhere").start()
    await job.until(worker.exit_code, lambda code: code is not None)
    assert worker.exit_code() == 1
    assert "nowhere does not exist" in worker.log()


async def test_a_worker_waits_for_a_broker_that_is_not_there_yet(prefix: str, tmp_path: Path) -> None:
    port = free_port()
    job = Job(f"127.0.0.1:{port}", f"{prefix}job", tmp_path)
    worker = job.worker().start()
    try:
        await job.until(lambda: "no broker at" in worker.log(), bool)
        broker = EmbeddedBroker()
        broker.start(port=port)
        try:
            await job.create_topics()
            await job.feed(500)
            if worker.exit_code() is not None:  # it looked between the broker and the topics
                worker.process = None
                worker.start()
            await job.until_done()
            assert await job.audit() == 0
            assert worker.terminate() == 0
        finally:
            broker.stop()
    finally:
        job.stop_all()


async def test_a_broker_restart_repeats_nothing_and_ends_no_worker(
    kafka_job: Job, kafka_broker: LocalKafka
) -> None:
    job = kafka_job
    worker = job.worker(BATCH="50").start()
    await job.feed(1_000)
    await job.until_outputs(300)
    await asyncio.to_thread(kafka_broker.restart)
    await job.feed(1_000)
    await job.until_done(40.0)
    assert worker.exit_code() is None
    assert await job.audit() == 0


async def test_records_that_take_long_hold_up_neither_the_heartbeats_nor_the_worker(kafka_job: Job) -> None:
    """A run of all of them would take longer than the session."""
    job = kafka_job
    worker = job.worker(BATCH="1000", BURN="0.02").start()
    await job.until(lambda: worker.events("assigned"), bool)
    await job.feed(1_200)
    await job.until_done(90.0)
    assert worker.exit_code() is None
    assert len(worker.events("assigned")) == INPUT_PARTITIONS
    assert await job.audit() == 0


@pytest.mark.parametrize("held", [True, False])
async def test_a_frozen_worker_that_wakes_up_changes_nothing(kafka_job: Job, held: bool) -> None:
    """It ends before it sends anything; and if it could send, its records would be found and overruled."""
    job = kafka_job
    first, second = job.worker(BATCH="50", **({} if held else {"UNHELD": "1"})), job.worker(BATCH="50")
    first.start()
    await job.feed(2_000)
    await job.until(lambda: first.events("assigned"), bool)
    first.freeze()
    second.start()
    await job.until(lambda: second.events("assigned"), bool)
    await job.feed(2_000)
    await job.until_done()
    first.thaw()
    if held:
        await job.until(first.exit_code, lambda code: code is not None)
        assert first.exit_code() == 1
        assert "this process did not run for" in first.log()
    await job.feed(1_000)
    await job.until_done()
    await job.audit()


async def test_a_worker_that_the_group_refuses_ends(kafka_job: Job) -> None:
    job = kafka_job
    worker = job.worker(SESSION_MS="7200000", DEADLINE="3").start()
    await job.until(worker.exit_code, lambda code: code is not None)
    assert worker.exit_code() == 1
    assert "no assignment from the consumer group" in worker.log()
