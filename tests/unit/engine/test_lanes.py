from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError, UnknownTopicOrPartitionError
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.record import MemoryRecords
from aiokafka.structs import TopicPartition

from streams.engine.batches import NO_HEADERS, Appended, Delivery, Item
from streams.engine.errors import BatchRefused, RecordTooLarge
from streams.engine.lanes import PATIENCE_S, Lane, LaneSender

NOW = 1_700_000_000_000
NODE = 1


def items(*keys: str, size: int = 10) -> list[Item]:
    return [(key.encode(), b"v" * size, NO_HEADERS) for key in keys]


class Broker:
    """One broker that leads every partition, behind aiokafka's own accumulator; its sender is the test."""

    def __init__(self, missing: str = "") -> None:
        self.missing = missing
        self.asked: list[str] = []
        cluster = SimpleNamespace(leader_for_partition=lambda _: NODE)
        self.accumulator = MessageAccumulator(cluster, 1_000, 0, 30.0)
        self.in_flight: set[int] = set()
        self.sender = LaneSender(
            SimpleNamespace(
                _message_accumulator=self.accumulator,
                _sender=SimpleNamespace(_in_flight=self.in_flight),
                client=SimpleNamespace(cluster=cluster, _wait_on_metadata=self._metadata),
            )
        )
        self.lanes: dict[TopicPartition, Lane] = {}

    async def _metadata(self, topic: str) -> None:
        self.asked.append(topic)
        if topic == self.missing:
            raise UnknownTopicOrPartitionError()

    def append(self, topic: str, sent: Sequence[Item], *, patient: bool = False) -> list[Appended]:
        place = TopicPartition(topic, 0)
        lane = self.lanes.setdefault(place, Lane(topic, 1_000, 4_000, 0))
        appended = lane.append(sent, NOW)
        self.sender.offer(place, lane, patient=patient)
        return appended

    @property
    def wants_to_send(self) -> bool:
        return bool(self.accumulator.waiter().done())

    def request(self) -> dict[str, Any]:
        """What goes into the next produce request: topic -> batch."""
        nodes, _ = self.accumulator.drain_by_nodes(self.in_flight)
        return {place.topic: batch for place, batch in nodes[NODE].items()}


@pytest.fixture
async def broker() -> Broker:
    made = Broker()
    for topic in ("out", "other", "state"):  # their metadata is asked for once
        made.append(topic, items("first"))
    await asyncio.sleep(0)
    for batch in made.request().values():
        batch.done(0)
    assert made.asked == ["out", "other", "state"]
    return made


def records(batch: Any) -> list[tuple[Any, ...]]:
    built = MemoryRecords(bytes(batch.get_data_buffer())).next_batch()
    assert built is not None
    return [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in built]


def keys(batch: Any) -> list[bytes]:
    return [record[2] for record in records(batch)]


async def test_what_is_appended_until_the_request_shares_a_batch(broker: Broker) -> None:
    first, second = broker.append("out", items("a", "b")), broker.append("out", items("c"))
    assert broker.wants_to_send
    assert keys(broker.request()["out"]) == [b"a", b"b", b"c"]
    assert [(a.start, a.end) for a in first + second] == [(0, 2), (2, 3)]


async def test_what_is_appended_behind_the_request_waits_for_the_next_one(broker: Broker) -> None:
    broker.append("out", items("a"))
    assert keys(broker.request()["out"]) == [b"a"]
    broker.append("out", items("b"))
    assert keys(broker.request()["out"]) == [b"b"]
    assert broker.request() == {}


async def test_nothing_is_taken_while_a_request_to_the_broker_is_under_way(broker: Broker) -> None:
    broker.in_flight.add(NODE)
    broker.append("out", items("a"))
    assert not broker.wants_to_send
    assert broker.request() == {}
    broker.append("out", items("b"))
    broker.in_flight.clear()
    assert keys(broker.request()["out"]) == [b"a", b"b"]


async def test_a_run_that_does_not_fit_behind_another_stays_together(broker: Broker) -> None:
    broker.append("out", items("a", size=600))
    broker.append("out", items("b", "c", size=300))
    assert [keys(broker.request()["out"]) for _ in range(2)] == [[b"a"], [b"b", b"c"]]


async def test_a_run_larger_than_a_batch_is_split_in_order(broker: Broker) -> None:
    appended = broker.append("out", items(*"abcdef", size=300))
    found = [keys(broker.request()["out"]) for _ in appended]
    assert [key for batch in found for key in batch] == [b"a", b"b", b"c", b"d", b"e", b"f"]
    assert [a.end - a.start for a in appended] == [len(batch) for batch in found]
    assert len(appended) > 1


async def test_a_record_above_the_batch_size_travels_alone(broker: Broker) -> None:
    broker.append("out", items("a", size=3_000))
    assert len(records(broker.request()["out"])[0][3]) == 3_000


async def test_a_record_above_the_limit_names_topic_and_key(broker: Broker) -> None:
    with pytest.raises(RecordTooLarge, match=r"'out' with key b'big'") as caught:
        broker.append("out", items("big", size=4_000))
    assert (caught.value.topic, caught.value.key, caught.value.limit) == ("out", b"big", 4_000)


async def test_records_arrive_as_they_were_appended(broker: Broker) -> None:
    broker.append("out", [(b"k", None, [("h", b"x")]), (None, b"v", NO_HEADERS)])
    assert records(broker.request()["out"]) == [
        (0, NOW, b"k", None, [("h", b"x")]),
        (1, NOW, None, b"v", []),
    ]


async def test_the_acknowledgement_reaches_everyone_in_the_batch_in_order(broker: Broker) -> None:
    told: list[tuple[str, int | None]] = []

    def note(name: str, found: Delivery) -> None:
        told.append((name, found.base))

    for name in ("first", "second"):
        (appended,) = broker.append("out", items(name))
        appended.batch.then(partial(note, name))
    assert len(broker.lanes[TopicPartition("out", 0)].open) == 1
    broker.request()["out"].done(70)
    assert told == [("first", 70), ("second", 70)]
    assert not broker.lanes[TopicPartition("out", 0)].open


async def test_a_lane_knows_how_far_it_has_written(broker: Broker) -> None:
    lane = broker.lanes[TopicPartition("out", 0)]
    for base, end in ((70, 72), (-1, 72)):  # the second one was written before, and nobody knows where
        broker.append("out", items("a", "b"))
        broker.request()["out"].done(base)
        assert lane.end == end


async def test_who_asks_after_the_acknowledgement_is_told_at_once(broker: Broker) -> None:
    (appended,) = broker.append("out", items("a"))
    broker.request()["out"].done(70)
    told: list[Delivery] = []
    appended.batch.then(told.append)
    assert [found.base for found in told] == [70]


async def test_a_refused_batch_fails_everyone_in_it(broker: Broker) -> None:
    (appended,) = broker.append("out", items("a"))
    broker.request()["out"].failure(ConnectionError("refused"))
    assert str(appended.batch.error) == "refused"


async def test_a_batch_that_the_broker_finds_too_large_names_its_topic(broker: Broker) -> None:
    (appended,) = broker.append("out", items("a"))
    broker.request()["out"].failure(MessageSizeTooLargeError())
    assert isinstance(appended.batch.error, BatchRefused)
    assert "out" in str(appended.batch.error)


async def test_a_batch_that_is_sent_again_is_told_once(broker: Broker) -> None:
    (appended,) = broker.append("out", items("a"))
    batch = broker.request()["out"]
    broker.accumulator.reenqueue(batch)
    broker.append("out", items("b"))
    assert broker.request()["out"] is batch
    batch.done(70)
    assert appended.batch.base == 70
    assert keys(broker.request()["out"]) == [b"b"]


async def test_state_rides_with_outputs(broker: Broker) -> None:
    broker.append("state", items("s"), patient=True)
    assert not broker.wants_to_send
    assert broker.request() == {}
    broker.append("out", items("a"))
    broker.append("state", items("t"), patient=True)
    found = broker.request()
    assert [keys(found[topic]) for topic in ("out", "state")] == [[b"a"], [b"s", b"t"]]


async def test_state_without_company_is_sent_before_long(broker: Broker) -> None:
    broker.append("state", items("s"), patient=True)
    async with asyncio.timeout(100 * PATIENCE_S):
        await broker.accumulator.waiter()
    assert keys(broker.request()["state"]) == [b"s"]


async def test_what_waits_fails_with_the_sender_and_so_does_what_comes_later(broker: Broker) -> None:
    waiting = broker.append("out", items("a")) + broker.append("state", items("s"), patient=True)
    broker.accumulator.fail_all(ConnectionError("gone"))
    later = broker.append("out", items("b"))
    assert [str(appended.batch.error) for appended in waiting + later] == ["gone"] * 3


async def test_batches_for_a_topic_that_cannot_be_found_fail() -> None:
    broker = Broker(missing="out")
    (appended,) = broker.append("out", items("a"))
    await asyncio.sleep(0)
    assert isinstance(appended.batch.error, UnknownTopicOrPartitionError)
