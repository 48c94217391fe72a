"""The contract between handlers and the two executors: a run of records in, effects out.

A handler is pure: it sees a run and a read-only view of its table, and returns what should happen. The
executors (``streams.engine`` on Kafka, ``streams.memory`` in one process) carry the effects out in this order, for
each partition: outputs acknowledged, then those that come ``after`` them, then state records acknowledged, then the
input offset becomes committable. Within one ``Effects`` the state records keep the order in which the handler listed
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]


class Record(Protocol):
    """One input record, as the broker client delivers it. ``timestamp`` is the record's, in milliseconds."""

    @property
    def offset(self) -> int:
        """Position in its partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        ...

    @property
    def key(self) -> bytes | None:
        """As written, or None."""
        ...

    @property
    def value(self) -> bytes | None:
        """As written; None is a tombstone."""
        ...

    @property
    def headers(self) -> Headers:
        """Name and bytes, in order."""
        ...


class Run(NamedTuple):
    """Consecutive records of one partition, at least one."""

    topic: str
    partition: int
    records: Sequence[Record]
    now_ms: int
    """The wall clock when the run was handed over, read once by the executor."""
    left: int = 0
    """Offsets behind the run up to the end of its partition, as the last fetch knew it: above 0, more is waiting.

    Where they hold no record (compacted away, or transaction markers that a full run stopped short of) it may stay
    above 0 until the next record.
    """


class Output(NamedTuple):
    """A record to be written. Partition None: by the key's hash (every handler uses the same one)."""

    topic: str
    key: bytes | None
    value: bytes | None
    """None is a tombstone."""
    headers: Headers = ()
    partition: int | None = None


@dataclass(slots=True)
class Effects:
    """What a run causes."""

    outputs: list[Output] = field(default_factory=list)
    state: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    """(key, value) records of the handler's table in this partition; None deletes."""
    origins: list[int] = field(default_factory=list)
    """Timestamps (ms) of the source records whose answers are among the outputs; for the latency metric."""
    after: list[Output] = field(default_factory=list)
    """Outputs that must not come before the others: written once those are acknowledged."""
    held: bool = False
    """The run's offset is not committable by itself: the handler still owes something for it, and pays with the next
    effects of the same partition that are not held, from a run or from ``interval``. A crash in between repeats it.
    """
    taken: int | None = None
    """How many of the run's records these are the effects of, at least one: the first ones. The rest comes again, in
    another run. None: all. So a handler that finds too much work in a run bounds how long it holds the loop.
    """


class TableView(Protocol):
    """Read-only view of the handler's table in one partition."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value, in no particular order."""


class Handler(Protocol):
    """The logic of one agent, the same object for all partitions that a worker owns."""

    def assigned(self, partition: int, table: TableView) -> Iterator[None] | None:
        """The partition is owned and its table complete: build what is derived (timer index, caches).

        What takes long is returned as steps: others have their turn between them, and the handler gets nothing to
        handle before the last one. If the partition goes meanwhile, the rest is left out and ``revoked`` called.
        """

    def revoked(self, partition: int) -> None:
        """The partition is gone: forget what was derived for it."""

    def handle(self, run: Run, table: TableView) -> Effects:
        """Decide what the run causes. Never raises for bad input; an exception is a defect."""

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        """Called every ``interval_s`` of its agent for every owned partition, between runs. None: nothing to do."""

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        """Whether ``new``, which stands behind ``old`` in the changelog, is at least as far on; asked in recovery.

        False for what a worker wrote that had lost the partition without knowing. Must be True for a value that
        this handler can write after ``old``, and be quick: it is called for every repeated key of a changelog.
        """


def take_over(handler: Handler, partition: int, table: TableView) -> None:
    """Have a handler build at once what it derives from its table."""
    for _ in handler.assigned(partition, table) or ():
        pass


class StatelessHandler:
    """Base of handlers that keep nothing per partition."""

    def assigned(self, partition: int, table: TableView) -> None:
        """Nothing to build."""

    def revoked(self, partition: int) -> None:
        """Nothing to forget."""

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        """Nothing is due by the clock."""
        return None

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        """The last record counts."""
        return True
