"""Feeds handlers and carries their effects out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from time import perf_counter
from typing import Protocol

from streams.effects import Effects, Output, Run
from streams.engine.batches import NO_HEADERS, Appended, Delivery, Item
from streams.engine.chains import Chain
from streams.engine.errors import UnknownTopic
from streams.engine.observer import Observer
from streams.engine.runs import RunMessage
from streams.engine.settings import AgentSpec
from streams.engine.store import SliceStore, Write
from streams.partitioning import partition_of

RUN_S = 0.25
"""How long handling a run should take at most: heartbeats wait meanwhile."""
FIRST_RECORDS = 50
CALMER = 0.8
"""How fast a slow record is forgotten, run by run."""
UNKNOWN = -1
"""Offset of a batch that the broker recognised as a repeated one but no longer knows the place of."""


class Appender(Protocol):
    """What the executor needs of the producer."""

    def append(
        self, topic: str, partition: int, items: Sequence[Item], now_ms: int, *, patient: bool = False
    ) -> Sequence[Appended]:
        """Append items; returns the batches they went into. With ``patient`` they need not be sent at once."""


def _nothing(_: RunMessage) -> None:
    """Default of a callback."""


def group_outputs(outputs: Iterable[Output], counts: Mapping[str, int]) -> dict[tuple[str, int], list[Item]]:
    """Outputs by topic and partition, in their order. Raises ``UnknownTopic``."""
    grouped: dict[tuple[str, int], list[Item]] = {}
    for topic, key, value, headers, partition in outputs:
        if partition is None:
            count = counts.get(topic)
            if count is None:
                raise UnknownTopic(topic)
            partition = partition_of(key, count)  # noqa: PLW2901
        place = topic, partition
        items = grouped.get(place)
        if items is None:
            items = grouped[place] = []
        items.append((key, value, list(headers) if headers else NO_HEADERS))
    return grouped


class AgentExecutor:
    """One agent: its handler, its slices and the effects under way for each of them.

    ``advance`` is told of acknowledged state records (partition, base offset, offset after the last; both
    ``UNKNOWN`` when the broker did not say) and answers up to which offset the slice is complete; ``failed`` gets
    the first error of a slice's effects.
    """

    def __init__(
        self,
        spec: AgentSpec,
        store: SliceStore,
        changelog: str | None,
        counts: Mapping[str, int],
        clock: Callable[[], int],
        observer: Observer,
        advance: Callable[[int, int, int], int | None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.spec, self.store, self.changelog = spec, store, changelog
        self._counts, self._clock, self._observer = counts, clock, observer
        self._advance, self._failed = advance, failed
        self._chains: dict[int, Chain] = {}
        self.live: set[int] = set()
        """Partitions whose handler knows that it owns them."""
        self.producer: Appender | None = None
        self._per_record_s = RUN_S / FIRST_RECORDS

    # -- ownership

    def assign(self, partitions: Iterable[int]) -> None:
        """These partitions are owned and their slices complete."""
        for _ in self.assigning(partitions):
            pass

    async def assign_in_turns(self, partitions: Iterable[int], wanted: Callable[[], bool]) -> None:
        """``assign``, with a turn of the event loop for others between steps; ends early if no longer ``wanted``."""
        with closing(self.assigning(partitions)) as steps:
            for _ in steps:
                await asyncio.sleep(0)
                if not wanted():
                    return

    def assigning(self, partitions: Iterable[int]) -> Generator[None]:
        """``assign`` in steps; a partition whose steps are not taken to the end is not owned."""
        for partition in sorted(set(partitions) - self.live):
            view = self.store.view(partition)
            try:
                yield from self.spec.handler.assigned(partition, view) or ()
            except GeneratorExit:
                self.spec.handler.revoked(partition)
                raise
            self._chains[partition] = Chain(self._failed)
            self.live.add(partition)
            # Compaction keeps the last record of a key: write ours again before it takes it away.
            outdated = sorted(key for key in self.store.outdated(partition) if view.get(key) is not None)
            self.overrule(partition, outdated)
            yield

    def revoke(self, partitions: Iterable[int]) -> None:
        """These partitions are gone, or their slices are about to change under the handler."""
        for partition in sorted(self.live.intersection(partitions)):
            self.live.discard(partition)
            self._chains.pop(partition, None)
            self.spec.handler.revoked(partition)

    def keep_only(self, owned: set[int]) -> None:
        """A new assignment: every other partition is gone."""
        self.revoke(self.live - owned)

    def restore(self, partition: int, writes: Sequence[Write], position: int) -> None:
        """Records from the changelog, up to an offset, that this process did not write, or has not read yet."""
        self.revoke([partition])
        self.store.restore(partition, writes, self.spec.handler.newer, position)

    def start_over(self, partition: int) -> None:
        """The changelog will be read from its start."""
        self.revoke([partition])
        self.store.drop(partition)

    # -- work

    def most_records(self) -> int:
        """How many records a run may have to hold the loop briefly, at the pace of the last ones."""
        return max(int(RUN_S / self._per_record_s), 1)

    def handle(
        self,
        message: RunMessage,
        done: Callable[[RunMessage], None],
        held: Callable[[RunMessage], None] = _nothing,
    ) -> None:
        """Handle a run. ``done`` is called when its effects are acknowledged and, if the handler holds it, paid for;
        ``held`` for a run that is held when its own effects are acknowledged.
        """
        partition = message.partition
        run = Run(message.topic, partition, message.records, self._clock(), message.left)
        began = perf_counter()
        effects = self.spec.handler.handle(run, self.store.view(partition))
        seconds = perf_counter() - began
        if effects.taken is not None:
            message.shorten(effects.taken)
        self._per_record_s = max(seconds / len(message.records), self._per_record_s * CALMER)
        chain = self._chains[partition]
        chain.holding = effects.held

        def finish() -> None:
            if effects.held:
                chain.owing.append(partial(done, message))
                held(message)
            else:
                chain.pay()
                done(message)

        self._carry_out(partition, effects, run.now_ms, finish)
        self._observer.run_handled(self.spec.name, run.topic, partition, len(message.records), seconds)

    def interval(self, partition: int, max_open: int | None = None) -> None:
        """Let the handler act by the clock in an owned partition, unless it is full of effects under way."""
        chain = self._chains.get(partition)
        if chain is None or (max_open is not None and len(chain) >= max_open):
            return
        now_ms = self._clock()
        effects = self.spec.handler.interval(partition, now_ms, self.store.view(partition))
        if effects is None:
            return
        if effects.held:
            raise TypeError(f"agent {self.spec.name!r} holds what is not a run")
        chain.holding = False
        self._carry_out(partition, effects, now_ms, chain.pay)

    def settle_held(self, partition: int | None = None) -> None:
        """Have the handler pay now for what it holds, in one owned partition or in all."""
        for number in sorted(self.live) if partition is None else [partition]:
            if number in self._chains and self._chains[number].holding:
                self.interval(number)

    def overrule(self, partition: int, keys: Sequence[bytes]) -> None:
        """Write the present values of keys again, after another writer's.

        Keys without a value are left as they are: the other one was further on there, and a deletion would take what
        it wrote from whoever recovers next, while its partition record lives.
        """
        if partition in self.live and keys:
            view = self.store.view(partition)
            effects = Effects(state=[(key, value) for key in keys if (value := view.get(key)) is not None])
            self._carry_out(partition, effects, self._clock(), lambda: None)

    def _carry_out(self, partition: int, effects: Effects, now_ms: int, finish: Callable[[], None]) -> None:
        producer, observer, name = self.producer, self._observer, self.spec.name
        assert producer is not None
        state = effects.state
        if state and self.changelog is None:
            raise TypeError(f"agent {name!r} has no table but returned state records")
        counts: dict[str, int] = {}

        def append(outputs: Iterable[Output], at_ms: int) -> list[Delivery]:
            deliveries: list[Delivery] = []
            for (topic, number), items in group_outputs(outputs, self._counts).items():
                counts[topic] = counts.get(topic, 0) + len(items)
                deliveries += [part.batch for part in producer.append(topic, number, items, at_ms)]
            return deliveries

        deliveries = append(effects.outputs, now_ms)
        self.store.apply(partition, state)
        batches: list[Appended] = []

        def outputs_acked() -> list[Delivery]:
            if counts:
                observer.outputs_acked(name, counts, effects.origins, self._clock())
            return append(effects.after, self._clock())

        def append_state() -> list[Delivery]:
            if state:
                batches.extend(self._append_state(partition, state))
            return [part.batch for part in batches]

        def state_acked() -> None:
            if batches:
                self._state_acked(partition, batches, state)
            finish()

        self._chains[partition].add(deliveries, outputs_acked, append_state, state_acked)

    def _append_state(self, partition: int, state: Sequence[Write]) -> Sequence[Appended]:
        assert self.changelog is not None and self.producer is not None
        items: list[Item] = [(key, value, NO_HEADERS) for key, value in state]
        return self.producer.append(self.changelog, partition, items, self._clock(), patient=True)

    def _state_acked(self, partition: int, batches: Sequence[Appended], state: Sequence[Write]) -> None:
        position = None
        for delivery, start, end in batches:
            base = delivery.base
            assert base is not None
            if base < 0:  # written before, and the broker does not say where
                position = self._advance(partition, UNKNOWN, UNKNOWN)
            else:
                position = self._advance(partition, base + start, base + end)
        self.store.confirm(partition, state, position)
        size = sum(len(key) + len(value or b"") for key, value in state)
        self._observer.state_acked(self.spec.name, partition, len(state), size)

    async def settled(self) -> None:
        """Wait until no effects are under way."""
        for chain in list(self._chains.values()):
            await chain.idle()
