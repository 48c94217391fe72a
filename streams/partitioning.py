"""Which partition a key belongs to: one function for every executor."""

from __future__ import annotations

from zlib import crc32


def partition_of(key: bytes | None, partitions: int) -> int:
    """Partition of a key: CRC-32 modulo the count, as librdkafka's ``consistent`` partitioner; no key: 0."""
    return crc32(key) % partitions if key else 0
