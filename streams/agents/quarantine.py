"""An account whose facts make the computation fail, or that cannot be read: what the journey agent does with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from revenue_core import journey as core
from streams.agents.slice import Live
from streams.effects import Record
from streams.faults import place_of
from streams.journal import FactRecord

if TYPE_CHECKING:
    from streams.agents.journey_run import JourneyRun

DAMAGED = "records of its state are missing"


class Quarantine:
    """What a run does about such accounts."""

    def __init__(self, job: JourneyRun) -> None:
        self.job = job

    def set_aside(self, key: bytes, live: Live, error: Exception) -> None:
        """Answer the run's facts up to the one that makes the computation fail, flag the account, refuse the rest.

        One by one, as a replay would answer them. Facts that were to be answered later stay in its state.
        """
        applied, facts, settled = live.state.applied, list(live.facts), list(live.settled)
        waiting: list[FactRecord] = []
        self.job.changed.pop(key, None)
        self.job.touched.pop(key, None)
        safe = self._put_back(key, settled, answered=live.answered)
        while facts:
            record, entry = facts[0]
            together = [fact for each, fact in facts if each.offset == record.offset]
            try:
                for fact in together:
                    self.job.join(safe, fact)
                waiting += together
                if not self.job.answered_later(entry, record):
                    safe.state.applied = record.offset
                    caused(safe, entry, record)
                    self.job.answer(safe, "event", self.job.part.watermark)
                    settled += waiting
                    waiting.clear()
            except Exception as failure:  # what is to blame
                error = failure
                del waiting[-len(together) :]
                break
            del facts[: len(together)]
        answered = live.answered or safe.answered
        safe = self._put_back(key, settled, answered=answered)
        for entry in waiting:
            self.job.join(safe, entry)
        safe.state.quarantined, safe.state.applied, safe.state.settle_at = True, applied, None
        safe.facts, safe.settled, safe.answered = facts, settled, answered
        safe.state.checkpoint.due = core.NEVER
        self.job.changed[key] = safe
        self.job.part.quarantined.add(key)
        self.refuse(safe, f"{type(error).__name__}: {error}, {place_of(error)}")

    def _put_back(self, key: bytes, settled: list[FactRecord], *, answered: bool) -> Live:
        """The account as it was answered: as stored, with the facts of this run that have been."""
        self.job.part.forget(key)
        safe = self.job.load(key)
        for entry in settled:
            self.job.join(safe, entry)
        if answered:
            core.settle(safe.state, self.job.part.watermark, self.job.config)
            safe.packed.answered = None
        return safe

    def refuse(self, live: Live, reason: str) -> None:
        """Keep the facts that are not answered in the dead letters."""
        for record, entry in live.facts:
            self.job.effects.outputs.append(self.job.rows.quarantined(self.job.run, record, entry, reason))
            self.job.count(entry, "quarantined")
        live.facts.clear()

    def refuse_damaged(self, record: Record, entry: FactRecord) -> None:
        """Keep a fact of an account that cannot be read in the dead letters."""
        self.job.effects.outputs.append(self.job.rows.quarantined(self.job.run, record, entry, DAMAGED))
        self.job.count(entry, "quarantined")


def caused(live: Live, entry: FactRecord, record: Record) -> None:
    """The account's next rows come of this fact."""
    live.timestamp, live.headers = record.timestamp, record.headers
    live.cause = f"{entry.kind}:{entry.identity}"
