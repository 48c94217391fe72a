"""Protections with one missing each, without any hook in the product: handlers, producer or sink are wrapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from streams import codec
from streams.effects import Effects, Handler, Run, TableView
from streams.engine.batches import Appended, Delivery, Item
from streams.engine.executor import UNKNOWN, Appender
from streams.engine.foreign import WriteTracker
from streams.homes import UNSURE
from streams.memory.log import MemoryRecord
from streams.service import Service, Timing
from streams.topology import ANSWERS, JOURNAL
from tests.simulation.network import Network
from tests.simulation.protections import Protections


class Around:
    """A handler that hands everything on."""

    def __init__(self, inner: Handler) -> None:
        self.inner = inner

    def assigned(self, partition: int, table: TableView) -> Iterator[None] | None:
        return self.inner.assigned(partition, table)

    def revoked(self, partition: int) -> None:
        self.inner.revoked(partition)

    def handle(self, run: Run, table: TableView) -> Effects:
        return self.inner.handle(run, table)

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        return self.inner.interval(partition, now_ms, table)

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        return self.inner.newer(key, old, new)


def wrapped(made: Service, wraps: dict[str, Callable[[Handler], Handler]]) -> Service:
    """The service with some agents' handlers wrapped."""
    agents = [
        replace(agent, handler=wraps[agent.name](agent.handler)) if agent.name in wraps else agent
        for agent in made.agents
    ]
    return replace(made, agents=agents)


class Unapplied:
    """A view of the journey's table in which no account says what was applied to it."""

    def __init__(self, table: TableView) -> None:
        self.table = table

    def get(self, key: bytes) -> bytes | None:
        raw = self.table.get(key)
        if raw is None or key[:1] == b"\0":
            return raw
        at = codec.APPLIED_OFFSET
        return raw[:at] + codec.APPLIED.pack(-1) + raw[at + codec.APPLIED.size :]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return self.table.items()


class AppliedOffsets(Protections):
    """No record says which offset it includes: that of the partition, of accounts, of sums."""

    def service(self, timing: Timing, partitions: int) -> Service:
        made = super().service(timing, partitions)

        class Forgetting(Around):
            def handle(self, run: Run, table: TableView) -> Effects:
                part = made.journey.slices[run.partition]
                part.applied = -1
                part.sums = {metric: (-1, sums) for metric, (_, sums) in part.sums.items()}
                for live in part.live.values():
                    live.state.applied = -1
                return super().handle(run, Unapplied(table))

        return wrapped(made, {"journey": Forgetting})


class Hasty:
    """A producer that says of some topics that all has arrived, before it has."""

    def __init__(self, network: Network, state: bool) -> None:
        self.network, self.state = network, state

    def append(
        self, topic: str, partition: int, items: Sequence[Item], now_ms: int, *, patient: bool = False
    ) -> Sequence[Appended]:
        found = self.network.append(topic, partition, items, now_ms)
        if topic.endswith("-changelog") is not self.state:
            return found
        arrived = Delivery(0.0)
        arrived.settle(UNKNOWN)
        return [Appended(arrived, start, end) for _, start, end in found]


class OutputsBeforeState(Protections):
    """State records do not wait for outputs."""

    def producer(self, network: Network) -> Appender:
        return Hasty(network, state=False)


class StateBeforeCommit(Protections):
    """Commits do not wait for state records."""

    def producer(self, network: Network) -> Appender:
        return Hasty(network, state=True)


class DuplicateCheck(Protections):
    """A message that comes again is another fact."""

    def __init__(self) -> None:
        self.seen: set[tuple[Any, ...]] = set()

    def service(self, timing: Timing, partitions: int) -> Service:
        seen = self.seen

        class Renaming(Around):
            def handle(self, run: Run, table: TableView) -> Effects:
                effects = super().handle(run, table)
                for index, output in enumerate(effects.outputs):
                    if output.topic == JOURNAL:
                        raw = orjson.loads(output.value or b"")
                        place = run.topic, raw["e"], raw["h"][3][0]
                        if place in seen:
                            raw["e"] += f"-{len(seen)}"
                            effects.outputs[index] = output._replace(value=orjson.dumps(raw))
                        seen.add(place)
                return effects

        return wrapped(super().service(timing, partitions), {"ingest": Renaming})


class HighestVersion(Protections):
    """A sink that takes the row that came last."""

    last_arrival = True


class VersionsOfTheJournal(Protections):
    """Versions count the rows of the process."""

    def service(self, timing: Timing, partitions: int) -> Service:
        class Counting(Around):
            sent = 0

            def handle(self, run: Run, table: TableView) -> Effects:
                effects = super().handle(run, table)
                for index, output in enumerate(effects.outputs):
                    if output.topic in ANSWERS and output.value:
                        self.sent += 1
                        row = {**orjson.loads(output.value), "version": self.sent}
                        effects.outputs[index] = output._replace(value=orjson.dumps(row))
                return effects

        return wrapped(super().service(timing, partitions), {"journey": Counting})


class Newer(Protections):
    """A recovery takes the last record of a key."""

    def service(self, timing: Timing, partitions: int) -> Service:
        class Credulous(Around):
            def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
                return True

        return wrapped(super().service(timing, partitions), dict.fromkeys(("journey", "totals"), Credulous))


class ReplayWindow(Protections):
    """Facts behind a restart are settled in runs, like others."""

    def service(self, timing: Timing, partitions: int) -> Service:
        return super().service(replace(timing, replay_window=0), partitions)


class Overruling(Protections):
    """Nobody looks whether records of others lie between ours."""

    overrules = False

    def tracker(self) -> WriteTracker:
        class Blind(WriteTracker):
            def acknowledged(self, tp: Any, base: int, end: int) -> tuple[int, int] | None:
                return None

        return Blind()


class WritingAgain(Protections):
    """The coordinator never looks at what stands last in the table of identities."""

    writes_again = False

    def service(self, timing: Timing, partitions: int) -> Service:
        made = super().service(timing, partitions)
        made.coordinator.replica = None
        return made


class CompactionLag(Protections):
    """Compaction takes records as soon as a later one of the key is there."""

    compaction_lag = False


class DecisionStamps(Protections):
    """What an account knows moves every fact, also one that was put there on a newer decision."""

    def service(self, timing: Timing, partitions: int) -> Service:
        class Forgetful(Around):
            def handle(self, run: Run, table: TableView) -> Effects:
                records = [_unstamped(record) for record in run.records]
                return super().handle(run._replace(records=records), table)

        return wrapped(super().service(timing, partitions), {"journey": Forgetful})


def _unstamped(record: Any) -> MemoryRecord:
    """A journal record whose facts rest on no decision."""
    value = record.value
    if value and (raw := orjson.loads(value))["k"] in {"t", "f", "x"}:
        for fact in raw.get("m", [raw]):
            if fact.get("h"):
                fact["h"][:2] = [UNSURE, UNSURE]
        value = orjson.dumps(raw)
    return MemoryRecord(record.offset, record.timestamp, record.key, value, record.headers)
