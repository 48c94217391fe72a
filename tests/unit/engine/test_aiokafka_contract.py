"""What the engine uses of aiokafka and Faust beyond their public interfaces. A new version must pass this first."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.sender import Sender
from aiokafka.record import MemoryRecords
from faust.app import App
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Producer

from streams.engine.fastpath import use_raw_records


def batch(count: int) -> bytes:
    builder = BatchBuilder(1 << 16, 0, is_transactional=0)
    for number in range(count):
        builder._builder.append(number, 1_000 + number, b"k%d" % number, b"v", [("h", b"x")])
    builder._relative_offset = count
    builder.close()
    assert builder.record_count() == count
    return bytes(builder._build())


@pytest.mark.parametrize(
    ("package", "pinned"),
    [("aiokafka", "0.14.0"), ("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1")],
)
def test_the_versions_are_the_ones_that_were_read(package: str, pinned: str) -> None:
    assert version(package) == pinned


def test_the_builder_takes_records_with_one_clock_reading() -> None:
    (one,) = list(MemoryRecords(batch(1)).next_batch() or ())
    assert (one.offset, one.timestamp, one.key, one.value, one.headers) == (
        0,
        1_000,
        b"k0",
        b"v",
        [("h", b"x")],
    )


def test_the_builder_refuses_what_does_not_fit_but_takes_any_first_record() -> None:
    builder: Any = BatchBuilder(200, 0, is_transactional=0)._builder
    assert builder.append(0, 1, b"k", b"v" * 1_000, []) is not None
    assert builder.append(1, 1, b"k", b"v", []) is None


def test_the_builder_wants_a_list_of_headers() -> None:
    builder: Any = BatchBuilder(200, 0, is_transactional=0)._builder
    with pytest.raises(TypeError):
        builder.append(0, 1, b"k", b"v", ())


def test_raw_records_have_all_that_handlers_see() -> None:
    use_raw_records()
    found = list(
        PartitionRecords(TopicPartition("t", 0), MemoryRecords(batch(3)), None, 0, None, None, True, 0)
    )
    assert [(r.offset, r.timestamp, r.key, r.value) for r in found] == [
        (n, 1_000 + n, b"k%d" % n, b"v") for n in range(3)
    ]
    assert found[0].headers == [("h", b"x")]


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (Fetcher, "fetched_records", ["partitions", "timeout", "max_records"]),
        (Fetcher, "_proc_fetch_request", ["assignment", "node_id", "request"]),
        (MessageAccumulator, "drain_by_nodes", ["ignore_nodes", "muted_partitions"]),
        (MessageAccumulator, "fail_all", ["exception"]),
        (MessageBatch, "done", ["base_offset", "timestamp", "log_start_offset", "_record_metadata_class"]),
        (MessageBatch, "failure", ["exception"]),
        (Producer, "_settings_extra", []),
        (AIOKafkaConsumerThread, "_create_worker_consumer", ["transport"]),
        (
            AIOKafkaConsumerThread,
            "_fetch_records",
            ["consumer", "active_partitions", "timeout", "max_records"],
        ),
        (Consumer, "_new_consumer_thread", []),
        (Consumer, "_drain_messages", ["fetcher"]),
        (Consumer, "_getmany", ["active_partitions", "timeout"]),
        (Consumer, "_get_active_partitions", []),
        (Consumer, "_commit", ["offsets"]),
        (Consumer, "commit", ["topics", "start_new_transaction"]),
        (Consumer, "wait_empty", []),
        (Consumer, "perform_seek", []),
        (Consumer, "on_partitions_revoked", ["revoked"]),
        (Recovery, "_slurp_changelogs", None),
        (Recovery, "_set_recovery_started", []),
        (Recovery, "_resume_streams", ["generation_id"]),
        (Recovery, "on_recovery_completed", ["generation_id"]),
        (Recovery, "need_recovery", []),
        (TableManager, "_update_channels", []),
        (App, "_new_transport", []),
        (App, "_new_producer_transport", []),
        (App, "on_started_init_extra_tasks", []),
    ],
)
def test_the_overridden_methods_are_there(owner: type, name: str, parameters: list[str] | None) -> None:
    method = getattr(owner, name)
    if parameters is not None:
        assert list(inspect.signature(method).parameters)[1:] == parameters


def test_the_consumer_reads_its_fetch_wait_when_it_starts() -> None:
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in inspect.getsource(AIOKafkaConsumer.start)


def test_the_sender_asks_for_batches_right_before_it_sends_them() -> None:
    """Lanes add records until the sender asks; it asks again after every request, and when it is woken."""
    source = inspect.getsource(Sender._sender_routine)
    assert source.count("drain_by_nodes(") == 1
    assert "ignore_nodes=self._in_flight" in source
    assert "waiters.add(self._message_accumulator.waiter())" in source
    assert "self._message_accumulator.fail_all" in inspect.getsource(Sender._fail_all)


def test_the_fetcher_looks_its_request_function_up_on_itself() -> None:
    assert "self._proc_fetch_request(" in inspect.getsource(Fetcher._fetch_requests_routine)
