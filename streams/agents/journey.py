"""Journey: folds the journal into accounts and sends what follows from them.

Per journal partition there is one slice: the live form of accounts in use, the index of due timers and the
partial sums. State keys of the table, per partition:

``\\0M<metric>``  partial sums of one metric row with the journal offset they include
``\\0S``, ``\\0F``, ``\\0C``  chunks of an account's messages (``streams.chunks``)
``<root>``       an account's header (``streams.codec``), behind its chunks
``\\0P``          the partition: last applied offset, watermark, configuration version

A run writes them in that order. A torn write leaves a prefix, and every record carries the offset applied to it,
so a replay repeats exactly what is missing (``docs/decisions.md``).
"""

from __future__ import annotations

import heapq
from collections import Counter

import orjson

from revenue_core import journey as core
from revenue_core.account import Account
from revenue_core.config import CoreConfig
from revenue_core.sums import Sums
from streams import codec, translate
from streams.agents.rows import Moment, RowWriter
from streams.agents.slice import PARTITION_KEY, Live, Slice, further, metric_key, read_slice
from streams.agents.totals import partial
from streams.effects import Effects, Output, Record, Run, TableView
from streams.faults import place_of
from streams.journal import FactRecord, Settle, Tick, Unreadable, account_key, decode, encode_tick
from streams.topology import JOURNAL, SOURCES

TIMERS_PER_TICK = 200
OTHER = "other"
PUBLISHED = frozenset({"stage"})
"""Metrics that ``totals`` adds up across partitions; the others are this worker's gauges."""


class JourneyHandler:
    """Handler of the journal.

    ``replay_window`` is how many records an earlier owner can have had in flight: within that many records past
    the last one known to be complete, answers are given fact by fact, so that every version an interrupted run
    may have sent is sent again or overtaken. ``settle_each`` does so always (``headwater score``).

    ``catch_up_ms``: a fact that was this old when the journal took it belongs to a backlog. Until the watermark has
    passed it, more of its account is to come from other topics, so it is answered only then. None: answered at once.

    ``live_touches`` is about how many touches of accounts in use a worker keeps decoded (about 1 kB each).
    """

    def __init__(
        self,
        config: CoreConfig,
        rows: RowWriter,
        *,
        replay_window: int,
        settle_each: bool = False,
        too_late_ms: int | None = None,
        channels: frozenset[str] = frozenset(),
        catch_up_ms: int | None = None,
        live_touches: int = 200_000,
    ) -> None:
        self.config, self.rows, self.replay_window, self.settle_each = (
            config,
            rows,
            replay_window,
            settle_each,
        )
        self.too_late_ms, self.channels = too_late_ms, channels
        self.catch_up_ms, self.live_touches = catch_up_ms, live_touches
        self.slices: dict[int, Slice] = {}
        self.counts: Counter[tuple[str, ...]] = Counter()

    def assigned(self, partition: int, table: TableView) -> None:
        """Build the timer index and read the partial sums back."""
        self.slices[partition] = read_slice(table, self.config.config_version, self.replay_window)

    def revoked(self, partition: int) -> None:
        """Forget the partition."""
        self.slices.pop(partition, None)

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        """Time is in the journal; the clock says nothing here."""
        return None

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        """Whether a record of the table takes the place of another: the one that includes more of the journal."""
        return further(key, old, new)

    def handle(self, run: Run, table: TableView) -> Effects:
        """Fold the run's records, then settle every account they touched."""
        job = JourneyRun(self, self.slices[run.partition], run, table)
        for record in run.records:
            job.take(record)
        return job.finish()

    def gauges(self) -> dict[tuple[str, ...], list[int]]:
        """Sums over the partitions of this worker."""
        total: dict[tuple[str, ...], list[int]] = {}
        for part in self.slices.values():
            for metric, (_, sums) in part.sums.items():
                known = total.get(metric)
                total[metric] = sums if known is None else [a + b for a, b in zip(known, sums, strict=True)]
        return total


class JourneyRun:
    """One run being worked through."""

    def __init__(self, handler: JourneyHandler, part: Slice, run: Run, table: TableView) -> None:
        self.handler, self.part, self.run, self.table = handler, part, run, table
        self.config, self.rows = handler.config, handler.rows
        self.effects = Effects()
        self.touched: dict[bytes, Live] = {}
        """Accounts with facts that are not settled yet."""
        self.changed: dict[bytes, Live] = {}
        """Accounts whose state must be written."""
        self.metrics: set[tuple[str, ...]] = set()
        if part.replay_until is None:
            part.replay_until = run.records[0].offset + handler.replay_window

    def take(self, record: Record) -> None:
        """Apply one journal record."""
        if record.value is None or record.offset <= self.part.applied:
            return
        try:
            entry = decode(record.value)
            key = account_key(record.key) if isinstance(entry, FactRecord) else b""
        except Unreadable as error:
            self.effects.outputs.append(self.rows.unreadable(self.run, record, error))
            return
        if isinstance(entry, FactRecord):
            if entry.kind in SOURCES:  # spend waits for its agent
                self._fact(key, entry, record)
        elif isinstance(entry, Tick):
            self._settle_touched()
            self._tick(entry, record)
        else:
            self._settle_touched()
            self._settle_all(entry, record)
        if self.handler.settle_each or record.offset <= (self.part.replay_until or 0):
            self._settle_touched()

    def finish(self) -> Effects:
        """Settle what is left; list the state records in the order that makes a torn write harmless."""
        self._settle_touched()
        state, part = self.effects.state, self.part
        offset = self.run.records[-1].offset
        for metric in sorted(self.metrics):
            _, sums = part.sums[metric]
            part.sums[metric] = offset, sums
            state.append((metric_key(metric), orjson.dumps([offset, *sums])))
            if metric[0] in PUBLISHED:
                name = "|".join(metric)
                self.effects.outputs.append(partial(name, self.run.partition, offset, sums))
        for key, live in self.changed.items():
            state += live.packed.writes()
            state.append((key, codec.encode(live.state, live.packed)))
            live.facts.clear()
            live.settled.clear()
            part.weigh(live)
        part.applied = max(part.applied, self.run.records[-1].offset)
        mark = [part.applied, part.watermark, self.config.config_version]
        state.append((PARTITION_KEY, orjson.dumps(mark)))
        part.shrink(self.handler.live_touches // len(self.handler.slices))
        return self.effects

    def _fact(self, key: bytes, entry: FactRecord, record: Record) -> None:
        handler = self.handler
        live = self._load(key)
        if record.offset <= live.state.applied:
            return
        if handler.too_late_ms is not None and entry.message.at < self.part.watermark - handler.too_late_ms:
            self.effects.outputs.append(self.rows.too_late(self.run, record, entry))
            self._count(entry, "too_late")
            return
        later = self._answered_later(entry, record)
        if later and key in self.touched:
            # what is answered at once is answered before, as if each fact came in a run of its own
            self._settle(key, self.touched.pop(key), "event", self.part.watermark)
            live = self._load(key)
        self.changed[key] = live
        live.facts.append((record, entry))
        live.state.applied = record.offset
        if live.state.quarantined:
            self._refuse(live, "before")
            return
        try:
            self._apply(key, live, entry, record, later=later)
        except Exception as error:  # whatever it is, it must not stop the account's neighbours
            self._quarantine(key, live, error)

    def _answered_later(self, entry: FactRecord, record: Record) -> bool:
        """Whether a fact is of a backlog that time has not passed yet; a function of the journal alone."""
        handler, at = self.handler, entry.message.at
        if handler.catch_up_ms is None or handler.settle_each:
            return False
        return at > self.part.watermark and record.timestamp - at > handler.catch_up_ms

    def _apply(self, key: bytes, live: Live, entry: FactRecord, record: Record, *, later: bool) -> None:
        changed = self._join(live, entry)
        if changed is core.Change.NOTHING or changed is core.Change.REPEATED:
            self._count(entry, "duplicate")
            return
        if entry.message.at < self.part.watermark:
            self._count(entry, "late")
        live.timestamp, live.headers = record.timestamp, record.headers
        live.cause = f"{entry.kind}:{entry.identity}"
        if later:
            live.state.settle_at = max(live.state.settle_at or 0, entry.message.at)
            self.part.schedule(key, live.state.settle_at)
            return
        self.touched[key] = live
        self.effects.origins.append(entry.origin)

    def _join(self, live: Live, entry: FactRecord) -> core.Change:
        """Add a fact to the account, live and packed."""
        state, packed = live.state, live.packed
        was_stale, counts = state.stale, packed.counts()
        changed = core.apply(
            state, entry.kind, entry.identity, entry.message, self.part.watermark, self.config
        )
        if state.stale and not was_stale:
            packed.answered = counts
        if changed is not core.Change.NOTHING:
            packed.add(entry.kind, entry.identity, entry.message, state.account)
        return changed

    def _quarantine(self, key: bytes, live: Live, error: Exception) -> None:
        """Put the account back to what has been answered, flag it, and keep the run's facts since as dead letters.

        Facts of earlier runs that were to be answered later stay in its state.
        """
        applied = live.state.applied
        self.changed.pop(key, None)
        self.touched.pop(key, None)
        self.part.forget(key)
        safe = self._load(key)
        for entry in live.settled:
            self._join(safe, entry)
        if live.settled:
            core.settle(safe.state, self.part.watermark, self.config)  # its answers have been given
            safe.packed.answered = None
        safe.state.quarantined, safe.state.applied, safe.state.settle_at = True, applied, None
        safe.facts = live.facts
        safe.state.checkpoint.due = core.NEVER
        self.changed[key] = safe
        self.part.quarantined.add(key)
        self._refuse(safe, f"{type(error).__name__}: {error}, {place_of(error)}")

    def _refuse(self, live: Live, reason: str) -> None:
        for record, entry in live.facts:
            self.effects.outputs.append(self.rows.quarantined(self.run, record, entry, reason))
            self._count(entry, "quarantined")
        live.facts.clear()

    def _load(self, key: bytes) -> Live:
        live = self.part.load(key)
        if live is not None:
            return live
        name, raw = key.decode(), self.table.get(key)
        if raw is None:
            account = Account(translate.account_id(name))
            state = core.State(account, silent=not translate.gives_outputs(name), horizon=self.part.watermark)
            live = Live(state, codec.Packed.empty(key, self.table.get))
        else:
            live = Live(*codec.decode(name, translate.account_id(name), raw, self.table.get))
        self.part.live[key] = live
        self.part.weigh(live)
        return live

    def _tick(self, tick: Tick, record: Record) -> None:
        """Move time on and fire what is due, but no more than a bounded number of timers.

        Time then stops short of the first timer left, and the tick is sent again behind what waits in the
        journal: a leap over months neither holds the worker up nor depends on how runs are cut.
        """
        part = self.part
        if tick.watermark <= part.watermark:
            return
        left = TIMERS_PER_TICK
        while part.due and part.due[0][0] <= tick.watermark:
            planned, key = part.due[0]
            if part.scheduled.get(key) != planned:
                heapq.heappop(part.due)
                continue
            live = self._load(key)
            due = live.state.next_due()
            if due <= tick.watermark and not left:
                part.watermark = max(part.watermark, planned - 1)
                again = Output(JOURNAL, None, encode_tick(tick.watermark), (), self.run.partition)
                self.effects.outputs.append(again)
                return
            heapq.heappop(part.due)
            del part.scheduled[key]
            if due <= tick.watermark:
                left -= 1
                self._by_clock(key, live, record)
                self._settle(key, live, "timer", tick.watermark)
            elif due < core.NEVER:
                part.schedule(key, due)
        part.watermark = tick.watermark

    def _settle_all(self, settle: Settle, record: Record) -> None:
        """Score every open subject as of an instant."""
        accounts = {key for key, _ in self.table.items() if key[:1] != b"\0"}
        for key in sorted(accounts | self.changed.keys()):
            self._score(key, settle, record)

    def _score(self, key: bytes, settle: Settle, record: Record) -> None:
        live = self._load(key)
        if live.state.quarantined:
            return
        rows = core.probabilities(live.state, self.config, settle.as_of)
        if rows:
            self._by_clock(key, live, record)
            self.effects.outputs += self.rows.probabilities(rows, self._moment(live), "timer")

    def _by_clock(self, key: bytes, live: Live, record: Record) -> None:
        live.state.applied, live.timestamp = record.offset, record.timestamp
        live.headers, live.cause = (), "timer"
        self.changed[key] = live

    def _settle_touched(self) -> None:
        for key, live in list(self.touched.items()):
            self._settle(key, live, "event", self.part.watermark)
        self.touched.clear()

    def _settle(self, key: bytes, live: Live, cause: str, horizon: int) -> None:
        try:
            changes = core.settle(live.state, horizon, self.config)
            self.effects.outputs += self.rows.changes(changes, self._moment(live), cause)
        except Exception as error:
            self._quarantine(key, live, error)
            return
        live.packed.answered = None
        live.settled += [entry for _, entry in live.facts]
        live.facts.clear()
        self._add_up(changes.sums, live.state.applied)
        self.part.schedule(key, live.state.next_due())

    def _moment(self, live: Live) -> Moment:
        return Moment(live.state.applied, live.timestamp, live.cause, live.headers)

    def _add_up(self, sums: Sums, offset: int) -> None:
        for named, change in sums.items():
            metric = self._bounded(named)
            included, known = self.part.sums.get(metric, (-1, [0] * len(change)))
            if offset > included:  # else a torn write of an earlier run has it already
                total = [a + b for a, b in zip(known, change, strict=True)]
                self.part.sums[metric] = included, total
                self.metrics.add(metric)

    def _bounded(self, metric: tuple[str, ...]) -> tuple[str, ...]:
        """The metric with a channel outside the configured list counted under ``other``."""
        if metric[0] == "credited" and metric[2] not in self.handler.channels:
            return (metric[0], metric[1], OTHER, metric[3])
        return metric

    def _count(self, entry: FactRecord, outcome: str) -> None:
        self.handler.counts["events_total", entry.kind, entry.message.body.type, outcome] += 1
