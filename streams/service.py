"""The service as handlers: what every executor runs. Built from settings once, in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from revenue_core.config import CoreConfig
from revenue_core.identity.observations import GraphConfig
from revenue_core.metric_rows import MetricRows
from schemas.context import Context
from schemas.formats import Format, decoder_of
from streams.agents.coordinator import CoordinatorHandler
from streams.agents.ingest import Decode, IngestHandler, IngestTables
from streams.agents.journey import MOST_OUTPUTS, JourneyHandler
from streams.agents.rows import RowWriter, version
from streams.agents.totals import TotalsHandler
from streams.effects import Record
from streams.identity import Replica, Store
from streams.topology import CONTROL, IDENTITY, JOURNAL, PARTIALS, Agent, Follower

REPORT_MS = 250
"""Between two reports of a source partition, where time is told by ticks."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What differs between live and offline."""

    tick_ms: int = 1_000
    idle_ms: int = 30_000
    replay_window: int = 2_000
    settle_each: bool = False
    too_late_ms: int | None = None
    late_after_ms: int | None = 3_600_000
    catch_up_ms: int | None = None
    """A fact older than this when the journal takes it is of a backlog, and answered once time has passed it."""
    most_outputs: int = MOST_OUTPUTS
    """After so many a run of the journal ends early."""


OFFLINE = Timing(tick_ms=0, idle_ms=0, replay_window=0, settle_each=True, late_after_ms=None)
"""``score``: the watermark is the greatest event time seen, every fact is settled by itself (R09)."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The source topics: name -> (topic kind, input format)."""

    topics: Mapping[str, tuple[str, str | Format]]
    contexts: Callable[[int], Context]
    """Wall clock (ms) -> what events are checked against."""


@dataclass(frozen=True, slots=True)
class Service:
    """The handlers and the agents that they make."""

    ingest: IngestHandler
    coordinator: CoordinatorHandler
    journey: JourneyHandler
    totals: TotalsHandler
    rows: RowWriter
    agents: Sequence[Agent]
    followers: Sequence[Follower] = ()

    def counters(self) -> list[Counter[tuple[str, ...]]]:
        """What the handlers have counted since somebody last cleared it."""
        return [self.ingest.counts, self.journey.counts, self.rows.counts]


def build(
    config: CoreConfig,
    tables: IngestTables,
    sources: Sources,
    timing: Timing,
    *,
    journal_partitions: int,
    generation: int = 0,
    as_of: int | None = None,
    graph: GraphConfig | None = None,
    store: Store | None = None,
) -> Service:
    """Make the handlers.

    ``as_of`` (ms) leaves later facts out; ``graph`` says by which limits identifiers are linked; ``store`` keeps
    this process's copy of the identity table (None: a dictionary).
    """
    decoders = {
        name: decode_with(kind, form, sources.contexts) for name, (kind, form) in sources.topics.items()
    }
    rows = RowWriter(generation=generation, late_after_ms=timing.late_after_ms)
    hold_ms = REPORT_MS if timing.tick_ms else 0
    replica = Replica(store)
    ingest = IngestHandler(decoders, tables, as_of, hold_ms=hold_ms, replica=replica)
    coordinator = CoordinatorHandler(
        journal_partitions, tick_ms=timing.tick_ms, idle_ms=timing.idle_ms, graph=graph, replica=replica
    )
    journey = JourneyHandler(
        config,
        rows,
        replay_window=timing.replay_window,
        settle_each=timing.settle_each,
        too_late_ms=timing.too_late_ms,
        channels=tables.channels.channels,
        catch_up_ms=timing.catch_up_ms,
        most_outputs=timing.most_outputs,
    )
    totals = TotalsHandler(MetricRows(config), partial(version, generation, 0))
    agents = (
        Agent("ingest", tuple(decoders), ingest, interval_s=hold_ms / 1000 or None),
        Agent("coordinator", (CONTROL,), coordinator, table="coordinator", interval_s=1.0),
        Agent("journey", (JOURNAL,), journey, table="journey"),
        Agent("totals", (PARTIALS,), totals, table="totals"),
    )
    followers = (Follower("identity", IDENTITY, replica.apply, readers=("ingest",)),)
    return Service(ingest, coordinator, journey, totals, rows, agents, followers)


def decode_with(kind: str, form: str | Format, contexts: Callable[[int], Context]) -> Decode:
    """How the records of one source topic become events."""
    decoder = decoder_of(form)

    def decode(record: Record, now_ms: int) -> Sequence[tuple[str, Mapping[str, Any]]]:
        return decoder(kind, record.value or b"", record.headers, contexts(now_ms))

    return decode
