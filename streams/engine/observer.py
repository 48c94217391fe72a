"""What a worker tells the outside: callbacks for metrics, and its health."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


def _nothing(*_: object) -> None:
    """Default of every callback."""


@dataclass(slots=True)
class Observer:
    """Called on the event loop, so a callback must be quick and must not raise; times in seconds."""

    run_handled: Callable[[str, str, int, int, float], None] = _nothing
    """Agent, topic, partition, records in the run, time in the handler."""
    outputs_acked: Callable[[str, Mapping[str, int], Sequence[int], int], None] = _nothing
    """Agent, records per topic, timestamps (ms) of the causing source records, wall clock (ms)."""
    state_acked: Callable[[str, int, int, int], None] = _nothing
    """Agent, partition, records, bytes."""
    committed: Callable[[str, int, int], None] = _nothing
    """Topic, partition, next offset."""
    lag: Callable[[Mapping[tuple[str, int], int]], None] = _nothing
    """(Topic, partition) -> records between the committed offset and the end, of all owned partitions at once.

    Of followed topics between what was read and the end.
    """
    rebalance: Callable[[], None] = _nothing
    recovery: Callable[[float, int], None] = _nothing
    """Duration and records read, once all owned tables are complete."""
    gap_probed: Callable[[str, int], None] = _nothing
    """Topic and partition in which offsets were missing at first sight and were fetched again."""
    foreign_write: Callable[[str, int], None] = _nothing
    """Changelog topic and partition in which another writer's records lie between ours."""
    ready: Callable[[bool, Sequence[str]], None] = _nothing
    """Whether the worker is ready, and what is missing; called when either changes."""


@dataclass(frozen=True, slots=True)
class Health:
    """State of a worker for a readiness probe."""

    joined: bool
    """The group gave an assignment and no rebalance is going on."""
    recovered: bool
    """All owned tables are complete."""
    producer_up: bool
    """No batch has been waiting for its acknowledgement for long."""
    commit_age_s: float
    """Since the oldest handled record that is not committed; 0 when all are."""
    oldest_batch_s: float
    """Age of the oldest batch that is not acknowledged; 0 without one."""
    assigned: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Owned partitions per source topic."""
    lag: Mapping[tuple[str, int], int] = field(default_factory=dict)
    recovered_records: int = 0
    """Changelog records read since the process started."""
    gap_probes: int = 0
    foreign_writes: int = 0
    following: Sequence[str] = ()
    """Which followed topics have not been read yet, in words."""
    silent_s: float = 0.0
    """How long no broker has answered anything; 0 while that is too short to mean anything."""

    def reasons(self) -> list[str]:
        """What keeps the worker from being ready; nothing when it is."""
        found = []
        if self.silent_s:
            found.append(f"no broker has answered for {self.silent_s:.0f} s")
        if not self.joined:
            found.append("no assignment from the consumer group yet")
        if not self.recovered:
            found.append("tables are being recovered")
        found += self.following
        if not self.producer_up:
            waited = f"a batch has waited {self.oldest_batch_s:.0f} s for its acknowledgement"
            found.append(waited if self.oldest_batch_s else "the producer is not connected")
        return found
