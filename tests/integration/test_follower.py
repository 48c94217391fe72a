"""A topic that workers read whole before they look things up in it, on both brokers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.embedded import EmbeddedBroker
from streams.engine import EngineSettings, FollowerSpec
from streams.engine.follower import Follower
from tests.integration.engine_harness import Job, Worker, started
from tests.integration.kafka_local import LocalKafka, free_port

pytestmark = pytest.mark.integration

RECORDS, KEYS = 20_000, 6_000
LAST = b"the last one"
Pairs = list[tuple[bytes, bytes | None]]


@pytest.fixture(scope="module")
def embedded() -> Iterator[str]:
    with EmbeddedBroker() as running:
        yield running.address


@pytest_asyncio.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def job(request: pytest.FixtureRequest, prefix: str, tmp_path: Path) -> AsyncIterator[Job]:
    if request.param == "embedded":
        address = request.getfixturevalue("embedded")
    else:
        address = request.getfixturevalue("kafka_broker").address
    async with started(Job(address, f"{prefix}job", tmp_path, embedded=request.param == "embedded")) as found:
        yield found


@pytest_asyncio.fixture
async def kafka_job(kafka_broker: LocalKafka, prefix: str, tmp_path: Path) -> AsyncIterator[Job]:
    async with started(Job(kafka_broker.address, f"{prefix}job", tmp_path, embedded=False)) as found:
        yield found


def history(first: int = 0, count: int = RECORDS) -> Pairs:
    """Records in which keys come again and every seventh takes its key away; ended by one of its own."""
    found: Pairs = [
        (b"k%d" % (number * 7_919 % KEYS), None if number % 7 == 3 else b"v%d" % number)
        for number in range(first, first + count)
    ]
    return [*found, (LAST, b"%d" % (first + count))]


def state(records: Pairs) -> dict[bytes, bytes | None]:
    """What is left of records, for every key there is or was."""
    return {**{b"k%d" % number: None for number in range(KEYS)}, **dict(records)}


async def make(broker: str, topic: str) -> None:
    """A compacted topic, of which Kafka compacts all but the newest records while a test runs."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    config = {"cleanup.policy": "compact", "segment.bytes": str(1 << 20), "min.cleanable.dirty.ratio": "0.01"}
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=config)])
    finally:
        await admin.close()


async def write(broker: str, topic: str, records: Pairs, **options: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker, acks="all", linger_ms=2, **options) as producer:
        for key, value in records:
            await producer.send(topic, value, key=key)


class Lookups:
    """A job whose worker looks up what it is asked for in a followed topic."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.followed, self.asked, self.answers = (
            f"{job.name}-{name}" for name in ("table", "ask", "answer")
        )
        self.count = 0

    def worker(self, **env: str) -> Worker:
        return self.job.worker(FOLLOW=f"{self.followed},{self.asked},{self.answers}", **env)

    async def create(self) -> None:
        await self.job.create({self.asked: 2, self.answers: 1})

    async def ask(self, keys: Iterable[bytes]) -> None:
        records: Pairs = [(key, b"") for key in keys]
        self.count += len(records)
        await write(self.job.broker, self.asked, records)

    async def answered(self) -> int:
        return (await self.job.end_offsets(self.answers, 1))[0]

    async def latest(self) -> dict[bytes, bytes | None]:
        """The last answers, once there are as many as questions."""
        await self.job.until(self.answered, lambda found: found >= self.count, 40.0)
        return {record.key: record.value for record in await self.job.read(self.answers, 1)}

    async def until_followed(self, worker: Worker) -> None:
        """Wait until the last record written has been read."""
        before = len(worker.events("followed"))
        await self.job.until(
            lambda: any(each["key"] == LAST.decode() for each in worker.events("followed")[before:]),
            bool,
            40.0,
        )


def reasons(worker: Worker) -> list[str]:
    """All that has kept it from being ready so far."""
    return [reason for each in worker.events("ready") for reason in each["reasons"]]


def is_ready(worker: Worker) -> bool:
    events = worker.events("ready")
    return bool(events) and bool(events[-1]["ready"])


async def test_a_reader_waits_until_all_is_read_while_others_work_and_then_follows(job: Job) -> None:
    table, records = Lookups(job), history()
    await table.create()
    await make(job.broker, table.followed)
    await write(job.broker, table.followed, records)
    await table.ask(state(records))
    await job.feed(1_000)
    worker = table.worker(FOLLOW_DRAG="0.0002").start()
    await job.until_outputs(1_000)
    assert await table.answered() == 0
    assert not is_ready(worker)
    await job.until(lambda: is_ready(worker), bool, 40.0)
    assert await table.latest() == state(records)
    assert any("table is being read" in reason for reason in reasons(worker))
    more = history(first=RECORDS, count=3_000)
    followed = asyncio.create_task(table.until_followed(worker))
    await write(job.broker, table.followed, more)
    await followed
    await table.ask(state(records))
    assert await table.latest() == state(records + more)
    assert worker.terminate() == 0


async def test_a_worker_whose_table_is_not_there_says_so_and_goes_on_when_it_is(job: Job) -> None:
    table, records = Lookups(job), history(count=500)
    await table.create()
    await table.ask(state(records))
    await job.feed(500)
    worker = table.worker().start()
    await job.until_outputs(500)
    await job.until(lambda: any("no broker knows it" in reason for reason in reasons(worker)), bool)
    assert await table.answered() == 0
    await make(job.broker, table.followed)
    await job.until(lambda: is_ready(worker), bool)
    await job.until(table.answered, lambda found: found == table.count)
    await write(job.broker, table.followed, records)
    await table.until_followed(worker)
    await table.ask(state(records))
    assert await table.latest() == state(records)


async def test_a_worker_stops_cleanly_in_the_midst_of_reading(job: Job) -> None:
    table = Lookups(job)
    await table.create()
    await make(job.broker, table.followed)
    await write(job.broker, table.followed, history(count=4_000))
    worker = table.worker(FOLLOW_DRAG="0.002").start()
    await job.until(lambda: worker.events("followed"), bool)
    assert not is_ready(worker)
    assert worker.terminate() == 0


async def test_after_a_restart_of_the_broker_a_worker_follows_on(
    kafka_job: Job, kafka_broker: LocalKafka
) -> None:
    job = kafka_job
    table, records, more = Lookups(job), history(), history(first=RECORDS, count=1_000)
    await table.create()
    await make(job.broker, table.followed)
    await write(job.broker, table.followed, records)
    worker = table.worker().start()
    await job.until(lambda: is_ready(worker), bool, 40.0)
    await asyncio.to_thread(kafka_broker.restart)
    followed = asyncio.create_task(table.until_followed(worker))
    await write(job.broker, table.followed, more)
    await followed
    await table.ask(state(records))
    assert await table.latest() == state(records + more)
    assert worker.exit_code() is None
    assert "Traceback" not in worker.log()


class Copy:
    """Keeps what a follower in this process reads."""

    def __init__(self, drag_s: float = 0.0) -> None:
        self.found: dict[bytes, bytes | None] = {}
        self.drag_s = drag_s

    def take(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        for key, value in records:
            assert key is not None
            self.found[key] = value
            time.sleep(self.drag_s)


@asynccontextmanager
async def following(broker: str, topic: str, copy: Copy, folder: Path) -> AsyncIterator[Follower]:
    settings = EngineSettings(app_id="follower", brokers=broker, data_dir=str(folder))
    follower, stop = Follower(FollowerSpec("copy", topic, copy.take), settings), asyncio.Event()
    running = asyncio.create_task(follower.run(stop.is_set))
    try:
        yield follower
    finally:
        stop.set()
        await asyncio.wait_for(running, 10.0)


async def until(found: Callable[[], bool], deadline_s: float = 30.0) -> None:
    end = time.monotonic() + deadline_s
    while not found():
        assert time.monotonic() < end, "it did not come to that"
        await asyncio.sleep(0.01)


async def test_the_embedded_broker_may_be_restarted_under_a_follower(tmp_path: Path) -> None:
    port, copy, broker = free_port(), Copy(), EmbeddedBroker()
    records, more = history(count=2_000), history(first=2_000, count=500)
    address = broker.start(port, tmp_path / "broker")
    try:
        await make(address, "table")
        await write(address, "table", records)
        async with following(address, "table", copy, tmp_path) as follower:
            await until(lambda: follower.ready)
            broker.stop()
            broker.start(port, tmp_path / "broker")
            await write(address, "table", more)
            await until(lambda: copy.found.get(LAST) == more[-1][1])
            assert {**state([]), **copy.found} == state(records + more)
            assert follower.lag() == {("table", 0): 0}
    finally:
        broker.stop()


async def test_a_follower_waits_for_a_broker_that_is_not_there_yet(tmp_path: Path) -> None:
    port, copy, broker = free_port(), Copy(), EmbeddedBroker()
    async with following(f"127.0.0.1:{port}", "table", copy, tmp_path) as follower:
        await until(lambda: "KafkaConnectionError" in (follower.reason() or ""))
        broker.start(port)
        try:
            await make(f"127.0.0.1:{port}", "table")
            await until(lambda: follower.ready)
            assert follower.reason() is None
        finally:
            broker.stop()


async def test_what_takes_long_is_taken_in_slices_between_which_others_have_their_turn(
    embedded: str, prefix: str, tmp_path: Path
) -> None:
    topic, records, copy = f"{prefix}table", history(count=2_000), Copy(drag_s=0.0005)
    await make(embedded, topic)
    await write(embedded, topic, records)
    turns: list[float] = []
    async with following(embedded, topic, copy, tmp_path) as follower:
        while not follower.ready:
            turns.append(time.monotonic())
            await asyncio.sleep(0)
    assert copy.found.keys() == dict(records).keys()
    # the first slice cannot know how long a record takes; 2,001 records at once would take more than a second
    assert middle(turns) < 0.02
    assert follower.longest_s < 0.5


def middle(turns: Sequence[float]) -> float:
    """The time of which half of what was not idle is in longer pauses, half in shorter ones (s)."""
    pauses = sorted(later - sooner for sooner, later in pairwise(turns))
    busy = [pause for pause in pauses if pause > 0.001]
    return busy[len(busy) // 2]


@pytest.mark.kafka
async def test_markers_of_transactions_at_the_end_do_not_keep_a_follower_waiting(
    kafka_broker: LocalKafka, prefix: str, tmp_path: Path
) -> None:
    topic, copy = f"{prefix}table", Copy()
    await make(kafka_broker.address, topic)
    writer = AIOKafkaProducer(bootstrap_servers=kafka_broker.address, transactional_id=f"{prefix}writer")
    async with writer, writer.transaction():
        await writer.send(topic, b"1", key=b"k")
    async with following(kafka_broker.address, topic, copy, tmp_path) as follower:
        await until(lambda: follower.ready)
    assert copy.found == {b"k": b"1"}
