"""Both executors put a key into the same partition, and it is the one that Kafka clients would choose."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from streams.effects import Output
from streams.engine.executor import group_outputs
from streams.memory.log import MemoryLog
from streams.partitioning import partition_of


def of_engine(key: bytes | None, count: int) -> int:
    ((_, partition),) = group_outputs([Output("journal", key, b"value")], {"journal": count})
    return partition


def of_memory(key: bytes | None, count: int) -> int:
    log = MemoryLog({"journal": count})
    log.append("journal", key, b"value", 0)
    (partition,) = (number for number in range(count) if log.partition("journal", number).records)
    return partition


@given(st.none() | st.binary(max_size=40), st.integers(1, 64))
@example(None, 8)
@example(b"", 8)
def test_a_key_has_one_place_in_both_executors(key: bytes | None, count: int) -> None:
    assert of_engine(key, count) == of_memory(key, count) == partition_of(key, count)
    assert 0 <= partition_of(key, count) < count


def test_the_place_is_the_crc_32_of_the_key_so_that_other_clients_can_find_it() -> None:
    # 0xCBF43926 is the published check value of CRC-32 for these nine digits
    assert partition_of(b"123456789", 1000) == 0xCBF43926 % 1000
    assert partition_of(b"123456789", 7) == 0xCBF43926 % 7


def test_a_partition_that_an_output_names_beats_the_key() -> None:
    outputs = [Output("journal", b"key", b"value", partition=5)]
    assert list(group_outputs(outputs, {"journal": 8})) == [("journal", 5)]
    log = MemoryLog({"journal": 8})
    log.append("journal", b"key", b"value", 0, partition=5)
    assert len(log.partition("journal", 5).records) == 1


def test_keys_spread_over_the_partitions() -> None:
    places = [partition_of(f"account-{number}".encode(), 8) for number in range(8_000)]
    assert all(800 < places.count(partition) < 1_200 for partition in range(8))
