"""A run of journal records being folded into accounts: what the journey agent does with each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import orjson

from revenue_core import journey as core
from revenue_core.account import Account
from revenue_core.metric_rows import published
from revenue_core.sums import Sums
from streams import codec, homes, translate
from streams.agents.moves import Moves, piece_of
from streams.agents.quarantine import Quarantine, caused
from streams.agents.rows import Moment
from streams.agents.settling import settle_all
from streams.agents.slice import PARTITION_KEY, Live, Slice, metric_key
from streams.agents.spending import Spending
from streams.agents.totals import partial
from streams.chunks import StateDamaged
from streams.effects import Effects, Headers, Output, Record, Run, TableView
from streams.journal import (
    SPEND,
    Decisions,
    FactRecord,
    HandOver,
    Step,
    Tick,
    Transfer,
    Unreadable,
    account_key,
    decode,
    encode_step,
)
from streams.topology import JOURNAL, SOURCES

if TYPE_CHECKING:
    from streams.agents.journey import JourneyHandler

OF_ACCOUNTS = (FactRecord, Decisions, Transfer, HandOver)
TIMERS_PER_STEP = 100
OTHER = "other"


class JourneyRun:
    """One run being worked through."""

    def __init__(self, handler: JourneyHandler, part: Slice, run: Run, table: TableView) -> None:
        self.handler, self.part, self.run, self.table = handler, part, run, table
        self.config, self.rows = part.configured(handler.config), handler.rows
        self.effects = Effects()
        self.moves = Moves(self)
        self.quarantine = Quarantine(self)
        self.spending = Spending(self)
        self.headers: Headers = ()
        """Trace headers of the record at hand."""
        self.touched: dict[bytes, Live] = {}
        """Accounts with facts that are not settled yet."""
        self.changed: dict[bytes, Live] = {}
        """Accounts whose state must be written."""
        self.damaged: dict[bytes, tuple[bytes, int]] = {}
        """Accounts that cannot be read: their header, and the offset of the last record that was for them."""
        self.metrics: set[tuple[str, ...]] = set()
        if part.replay_until is None:
            part.replay_until = run.records[0].offset + handler.replay_window

    def take(self, record: Record) -> None:
        """Apply one journal record."""
        if record.value is None or record.offset <= self.part.applied:
            return
        try:
            entry = decode(record.value)
            key = account_key(record.key) if isinstance(entry, OF_ACCOUNTS) else b""
        except Unreadable as error:
            self.effects.outputs.append(self.rows.unreadable(self.run, record, error))
            return
        self.headers = record.headers
        if isinstance(entry, FactRecord):
            if entry.kind in SOURCES:
                self._fact(key, entry, record)
            elif entry.kind == SPEND:
                self.spending.take(key, entry, record)
        elif isinstance(entry, Decisions):
            self.moves.learn(key, entry, record)
        elif isinstance(entry, Transfer):
            self.moves.receive(key, entry, record)
        elif isinstance(entry, HandOver):
            self.moves.hand_over(key, entry, record)
        elif isinstance(entry, Tick):
            self._settle_touched()
            self._tick(entry, record)
        elif isinstance(entry, Step):
            self._settle_touched()
            self._step(entry, record)
        else:
            self._settle_touched()
            settle_all(self, entry, record)
        if self.handler.settle_each or record.offset <= (self.part.replay_until or 0):
            self._settle_touched()

    def finish(self, taken: int) -> Effects:
        """Settle what is left of the records taken; list the state records so that a torn write is harmless."""
        self._settle_touched()
        self.effects.taken = taken if taken < len(self.run.records) else None
        state, part = self.effects.state, self.part
        offset = self.run.records[taken - 1].offset
        for metric in sorted(self.metrics):
            _, sums = part.sums[metric]
            part.sums[metric] = offset, sums
            state.append((metric_key(metric), orjson.dumps([offset, *sums])))
            named = published(metric)
            if named is not None:
                name, piece = named
                self.effects.outputs.append(partial(name, self.run.partition, offset, sums, piece))
        state += self.spending.writes()
        for key, live in self.changed.items():
            state += live.packed.writes()
            state.append((key, codec.encode(live.state, live.packed)))
            state += live.packed.deletions()
            live.facts.clear()
            live.settled.clear()
            live.answered = False
            part.weigh(live)
        for key, (raw, applied) in self.damaged.items():
            state.append((key, codec.set_aside(raw, applied)))
        part.applied = max(part.applied, offset)
        mark = [part.applied, part.watermark, self.config.config_version, part.target, part.steps]
        state.append((PARTITION_KEY, orjson.dumps(mark)))
        part.shrink(self.handler.live_touches // len(self.handler.slices))
        return self.effects

    def _fact(self, key: bytes, entry: FactRecord, record: Record) -> None:
        live = self.load_for(key, record)
        if live is None:
            self.quarantine.refuse_damaged(record, entry)
            return
        if record.offset <= live.state.applied:
            return
        here = self.moves.admit(key, live, entry)
        if here is None:
            return
        entry = here
        if not here.forwarded and self.refuse_too_late(entry, record):
            return
        later = self.answered_later(entry, record)
        if later and key in self.touched:
            # what is answered at once is answered before, as if each fact came in a run of its own
            self._settle(key, self.touched.pop(key), "event", self.part.watermark)
            live = self.load(key)
        self.changed[key] = live
        live.facts.append((record, entry))
        live.state.applied = record.offset
        if live.state.quarantined:
            self.quarantine.refuse(live, "before")
            return
        try:
            self._apply(key, live, entry, record, later=later)
        except Exception as error:  # whatever it is, it must not stop the account's neighbours
            self.quarantine.set_aside(key, live, error)

    def refuse_too_late(self, entry: FactRecord, record: Record) -> bool:
        """Whether a fact is older than state can take (R06): a dead letter then."""
        late_ms = self.handler.too_late_ms
        if late_ms is None or entry.message.at >= self.part.watermark - late_ms:
            return False
        self.effects.outputs.append(self.rows.too_late(self.run, record, entry))
        self.count(entry, "too_late")
        return True

    def take_over(
        self, key: bytes, live: Live, facts: Sequence[FactRecord], record: Record, cause: str, *, later: bool
    ) -> None:
        """Take facts that another account has handed over; ``later``: more of them are to come."""
        self.mark(key, live, record, cause)
        for fact in facts:
            live.facts.append((piece_of(record, fact), fact))
        if live.state.quarantined:
            self.quarantine.refuse(live, "before")
            return
        subjects = {subject for fact in facts if fact.kind != "touchpoints" for subject in _subjects(fact)}
        try:
            if subjects and not live.state.silent:
                core.remember(live.state, self.config)
                live.state.again |= subjects
            changes = [self.join(live, fact) for fact in facts]
        except Exception as error:
            self.quarantine.set_aside(key, live, error)
            return
        if later and not subjects and any(change is not core.Change.NOTHING for change in changes):
            live.state.settle_at = max(live.state.settle_at or 0, *(fact.message.at for fact in facts))
            self.part.schedule(key, live.state.settle_at)
        else:
            self.touched[key] = live

    def answer_now(self, key: bytes, live: Live) -> None:
        """Send what follows from the facts of an account that has been marked."""
        self.touched.pop(key, None)
        if not live.state.quarantined:
            self._settle(key, live, "event", self.part.watermark)

    def mark(self, key: bytes, live: Live, record: Record, cause: str) -> None:
        """A record has been applied to an account, and is the cause of its next rows."""
        live.state.applied, live.timestamp, live.headers, live.cause = (
            record.offset, record.timestamp, self.headers, cause,
        )  # fmt: skip
        self.changed[key] = live

    def answered_later(self, entry: FactRecord, record: Record) -> bool:
        """Whether a fact is of a backlog that time has not passed yet; a function of the journal alone."""
        handler, at = self.handler, entry.message.at
        if handler.catch_up_ms is None or handler.settle_each:
            return False
        return at > self.part.watermark and record.timestamp - at > handler.catch_up_ms

    def _apply(self, key: bytes, live: Live, entry: FactRecord, record: Record, *, later: bool) -> None:
        changed = self.join(live, entry)
        if changed is core.Change.NOTHING or changed is core.Change.REPEATED:
            self.count(entry, "duplicate")
            return
        if entry.message.at < self.part.watermark:
            self.count(entry, "late")
        caused(live, entry, record)
        if later:
            live.state.settle_at = max(live.state.settle_at or 0, entry.message.at)
            self.part.schedule(key, live.state.settle_at)
            return
        self.touched[key] = live
        self.effects.origins.append(entry.origin)

    def join(self, live: Live, entry: FactRecord) -> core.Change:
        """Add a fact to the account, live and packed."""
        state, packed = live.state, live.packed
        was_stale, counts = state.stale, packed.counts()
        changed = core.apply(
            state, entry.kind, entry.identity, entry.message, self.part.watermark, self.config
        )
        if state.stale and not was_stale:
            packed.answered = counts
        if changed is not core.Change.NOTHING or _names_others(state.account, entry):
            packed.add(entry.kind, entry.identity, entry.message, state.account)
        return changed

    def load_for(self, key: bytes, record: Record) -> Live | None:
        """An account that a record is for; None when it cannot be read, which sets it aside."""
        try:
            return self.load(key)
        except StateDamaged:
            raw = self.table.get(key)
            assert raw is not None  # a record that others stand behind is there
            self.damaged[key] = raw, record.offset
            self.part.quarantined.add(key)
            return None

    def load(self, key: bytes) -> Live:
        """An account, new if nothing is known of it. Raises StateDamaged."""
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
        """Aim at a later watermark. Time moves on in steps, which the journal tells the partition itself.

        What fires when is thereby in the log: a replay after a crash, which finds some accounts further on than
        others, takes the same steps.
        """
        part = self.part
        if tick.watermark <= part.target:
            return
        arrived, part.target = part.watermark >= part.target, tick.watermark
        if self.handler.settle_each:  # nothing is ever torn or repeated
            self._fire(Step(0, part.target, part.target, None), record)
        elif arrived:
            self._plan()

    def _plan(self) -> None:
        """Tell the partition the next step: so many timers, or the rest."""
        part = self.part
        bound = part.bound(self._due, TIMERS_PER_STEP)
        due, root = (part.target, None) if bound is None else (bound[0], bound[1].decode())
        step = encode_step(Step(part.steps + 1, part.target, due, root))
        self.effects.outputs.append(Output(JOURNAL, None, step, (), self.run.partition))

    def _step(self, step: Step, record: Record) -> None:
        """Take a step, once."""
        part = self.part
        if step.number != part.steps + 1:
            return
        part.steps = step.number
        self._fire(step, record)
        if part.watermark < part.target:
            self._plan()

    def _fire(self, step: Step, record: Record) -> None:
        part, root = self.part, None if step.root is None else step.root.encode()
        left: list[bytes] = []
        for key in part.take_due((step.due, root)):
            due = self._due(key)
            live = self.load_for(key, record) if (due, key) <= (step.due, root or key) else None
            if live is None or live.state.applied >= record.offset:  # else it has been fired, and stored
                left.append(key)
                continue
            self.by_clock(key, live, record)
            self._settle(key, live, "timer", step.target)
        for key in left:
            part.schedule(key, self._due(key))
        part.watermark = max(part.watermark, step.due if root is None else step.due - 1)

    def _due(self, key: bytes) -> int:
        """When an account is due, without reading it."""
        live = self.part.live.get(key)
        if live is not None:
            return live.state.next_due()
        raw = self.table.get(key)
        return core.NEVER if raw is None or key in self.damaged else codec.next_due(raw)

    def by_clock(self, key: bytes, live: Live, record: Record) -> None:
        """Time, and no fact, is the cause of an account's next rows."""
        live.state.applied, live.timestamp = record.offset, record.timestamp
        live.headers, live.cause = (), "timer"
        self.changed[key] = live

    def _settle_touched(self) -> None:
        for key, live in list(self.touched.items()):
            self._settle(key, live, "event", self.part.watermark)
        self.touched.clear()

    def _settle(self, key: bytes, live: Live, cause: str, horizon: int) -> None:
        try:
            self.answer(live, cause, horizon)
        except Exception as error:
            self.quarantine.set_aside(key, live, error)
            return
        live.settled += [entry for _, entry in live.facts]
        live.facts.clear()
        self.part.schedule(key, live.state.next_due())

    def answer(self, live: Live, cause: str, horizon: int) -> None:
        """Send what follows from the account's facts, and add it up."""
        changes = core.settle(live.state, horizon, self.config)
        self.effects.outputs += self.rows.changes(changes, self.moment(live), cause)
        live.packed.answered, live.answered = None, True
        self.add_up(changes.sums, live.state.applied)

    def moment(self, live: Live) -> Moment:
        """What the account's next rows say of their cause."""
        state = live.state
        return Moment(state.applied, live.timestamp, live.cause, live.headers, state.moves)

    def add_up(self, sums: Sums, offset: int) -> None:
        """Add what an account has changed of the partition's sums by a journal offset."""
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

    def count(self, entry: FactRecord, outcome: str) -> None:
        """Count what became of a fact."""
        self.handler.counts["events_total", entry.kind, entry.message.body.type, outcome] += 1


def _subjects(fact: FactRecord) -> Iterator[str]:
    """What of a lead or deal fact rows can be about (``revenue_core.journey.State.again``)."""
    fields = fact.message.body.fields
    for name in ("deal", "lead"):
        value = fields.get(f"{name}_id")
        if value:
            yield f"{name}:{value}"
    if fact.message.body.type == "mrr_movement":
        yield f"recurring:{fact.identity}"
        yield f"recurring:{fact.identity}@{fact.message.at}"


def _names_others(account: Account, entry: FactRecord) -> bool:
    """Whether a message that says nothing new names others than its fact does: one of them may leave without it."""
    home = entry.message.home
    known = [group.home for group in account.groups(entry.kind).get(entry.identity, ()) if group.home]
    return bool(home and known) and all(homes.load(each).ids != homes.load(home).ids for each in known)
