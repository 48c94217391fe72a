"""Record batches, built by the C builder of aiokafka 0.14.0.

``BatchBuilder.append`` of aiokafka costs several Python calls and a clock reading for each record. The builder
underneath takes all of it as arguments; ``tests/unit/engine/test_aiokafka_contract.py`` pins what is used of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aiokafka.producer.message_accumulator import BatchBuilder

from streams.engine.errors import RecordTooLarge

Item = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Key, value, headers; the C builder takes a list only."""
NO_HEADERS: list[tuple[str, bytes]] = []
"""Shared by all records without headers; never written to."""


class Delivery:
    """The acknowledgement of a batch: what a future is, but who waits is called at once and in order."""

    __slots__ = ("_waiting", "base", "error", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        """When the batch was begun, on the monotonic clock."""
        self.base: int | None = None
        """Offset of the batch's first record, once it is acknowledged; -1: the broker no longer knew."""
        self.error: BaseException | None = None
        self._waiting: list[Callable[[Delivery], None]] = []

    def then(self, callback: Callable[[Delivery], None]) -> None:
        """Call when the batch is acknowledged or refused; at once if it is. The callback must not raise."""
        if self.base is None and self.error is None:
            self._waiting.append(callback)
        else:
            callback(self)

    def settle(self, base: int | None, error: BaseException | None = None) -> None:
        """The broker has the batch, or it will never have it. Only the first call counts."""
        if self.base is None and self.error is None:
            self.base, self.error = base, error
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback(self)


class Appended(NamedTuple):
    """Where some items went."""

    batch: Delivery
    start: int
    """Position of our first item in the batch."""
    end: int
    """Position after our last one."""


HEADER_BYTES = 61
"""Of a record batch."""
RECORD_BYTES = 24
"""Above the lengths of key and value, at most: varints of length, attributes, timestamp and offset."""


def upper_size(item: Item) -> int:
    """Bytes of a record in a batch, never too few."""
    key, value, headers = item
    size = RECORD_BYTES + (len(key) if key else 0) + (len(value) if value else 0)
    if headers:
        size += sum(4 * len(name) + len(content) + 10 for name, content in headers)
    return size


class Slot:
    """A batch that is being filled until the producer takes it."""

    __slots__ = ("_append", "builder", "count", "delivery")

    def __init__(self, batch_bytes: int, codec: int, delivery: Delivery) -> None:
        self.builder: Any = BatchBuilder(batch_bytes, codec, is_transactional=0)
        self._append = self.builder._builder.append
        self.count = 0
        self.delivery = delivery

    def fill(self, items: Sequence[Item], at: int, now_ms: int) -> int:
        """Append items from index ``at`` on; returns the index of the first one that did not fit."""
        append, count, end = self._append, self.count, len(items)
        while at < end:
            key, value, headers = items[at]
            if append(count, now_ms, key, value, headers) is None:
                break
            count += 1
            at += 1
        self.count = count
        self.builder._relative_offset = count
        return at

    def room_for(self, size: int, batch_bytes: int) -> bool:
        """Whether so many bytes fit."""
        return int(self.builder.size()) + size <= batch_bytes


def check_size(topic: str, items: Sequence[Item], limit: int) -> int:
    """Total size of the items, never too small. Raises ``RecordTooLarge`` for a record above the limit."""
    total = 0
    for item in items:
        size = upper_size(item)
        if size > limit - HEADER_BYTES:
            raise RecordTooLarge(topic, item[0], size + HEADER_BYTES, limit)
        total += size
    return total
