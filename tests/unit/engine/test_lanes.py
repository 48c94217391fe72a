from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError
from aiokafka.record import MemoryRecords

from streams.engine.batches import NO_HEADERS, Item
from streams.engine.errors import RecordTooLarge
from streams.engine.producer import Lane

NOW = 1_700_000_000_000


def items(*keys: str, size: int = 10) -> list[Item]:
    return [(key.encode(), b"v" * size, NO_HEADERS) for key in keys]


class Broker:
    """Takes one batch at a time, when told to, like aiokafka's accumulator for one partition."""

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(0)
        self.batches: list[list[tuple[Any, ...]]] = []
        self.deliveries: list[asyncio.Future[Any]] = []
        self.timeouts = 0

    async def send(self, builder: Any) -> asyncio.Future[Any]:
        if self.timeouts:
            self.timeouts -= 1
            raise KafkaTimeoutError()
        await self.free.acquire()
        self.deliveries.append(asyncio.get_running_loop().create_future())
        asyncio.get_running_loop().call_soon(self._take, builder)
        return self.deliveries[-1]

    def _take(self, builder: Any) -> None:
        batch = MemoryRecords(bytes(builder._build())).next_batch()
        assert batch is not None
        self.batches.append([(r.offset, r.timestamp, r.key, r.value, r.headers) for r in batch])

    def acknowledge(self, number: int, offset: int) -> None:
        class Metadata:
            def __init__(self, offset: int) -> None:
                self.offset = offset

        self.deliveries[number].set_result(Metadata(offset))


@pytest.fixture
def broker() -> Broker:
    return Broker()


def lane(broker: Broker, batch_bytes: int = 1_000, limit: int = 4_000) -> Lane:
    return Lane("out", batch_bytes, limit, 0, broker.send)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_appended_while_the_place_is_taken_shares_a_batch(broker: Broker) -> None:
    out = lane(broker)
    first, second = out.append(items("a", "b"), NOW), out.append(items("c"), NOW)
    broker.free.release()
    await settle()
    assert [[record[2] for record in batch] for batch in broker.batches] == [[b"a", b"b", b"c"]]
    assert [(a.start, a.end) for a in first + second] == [(0, 2), (2, 3)]


async def test_what_is_appended_after_the_hand_over_waits_for_the_next_batch(broker: Broker) -> None:
    out = lane(broker)
    out.append(items("a"), NOW)
    broker.free.release()
    await settle()
    out.append(items("b"), NOW)
    broker.free.release()
    await settle()
    assert [[record[2] for record in batch] for batch in broker.batches] == [[b"a"], [b"b"]]


async def test_a_run_that_does_not_fit_behind_another_stays_together(broker: Broker) -> None:
    out = lane(broker)
    out.append(items("a", size=600), NOW)
    out.append(items("b", "c", size=300), NOW)
    for _ in range(2):
        broker.free.release()
    await settle()
    assert [[record[2] for record in batch] for batch in broker.batches] == [[b"a"], [b"b", b"c"]]


async def test_a_run_larger_than_a_batch_is_split_in_order(broker: Broker) -> None:
    out = lane(broker)
    appended = out.append(items(*"abcdef", size=300), NOW)
    for _ in range(3):
        broker.free.release()
    await settle()
    assert [record[2] for batch in broker.batches for record in batch] == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert sum(a.end - a.start for a in appended) == 6
    assert len(appended) == len(broker.batches) > 1


async def test_a_record_above_the_batch_size_travels_alone(broker: Broker) -> None:
    out = lane(broker)
    out.append(items("a", size=3_000), NOW)
    broker.free.release()
    await settle()
    assert len(broker.batches[0][0][3]) == 3_000


async def test_a_record_above_the_limit_names_topic_and_key(broker: Broker) -> None:
    with pytest.raises(RecordTooLarge, match=r"'out' with key b'big'") as caught:
        lane(broker).append(items("big", size=4_000), NOW)
    assert (caught.value.topic, caught.value.key, caught.value.limit) == ("out", b"big", 4_000)


async def test_records_arrive_as_they_were_appended(broker: Broker) -> None:
    lane(broker).append([(b"k", None, [("h", b"x")]), (None, b"v", NO_HEADERS)], NOW)
    broker.free.release()
    await settle()
    assert broker.batches == [[(0, NOW, b"k", None, [("h", b"x")]), (1, NOW, None, b"v", [])]]


async def test_the_acknowledged_offset_reaches_everyone_in_the_batch(broker: Broker) -> None:
    out = lane(broker)
    (first,), (second,) = out.append(items("a"), NOW), out.append(items("b"), NOW)
    broker.free.release()
    await settle()
    assert len(out.open) == 1
    broker.acknowledge(0, 70)
    assert await first.base + first.start == 70
    assert await second.base + second.start == 71
    assert not out.open


async def test_a_failed_batch_fails_everyone_in_it(broker: Broker) -> None:
    out = lane(broker)
    (first,) = out.append(items("a"), NOW)
    broker.free.release()
    await settle()
    broker.deliveries[0].set_exception(ConnectionError("refused"))
    with pytest.raises(ConnectionError, match="refused"):
        await first.base


async def test_a_place_that_stays_taken_is_waited_for(broker: Broker) -> None:
    broker.timeouts = 3
    lane(broker).append(items("a"), NOW)
    broker.free.release()
    await settle()
    assert len(broker.batches) == 1
