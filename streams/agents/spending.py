"""Costs in the journal: facts that belong to no account and only add to the partition's sums (R01, R02, R52).

The facts of a channel and campaign are in one partition, by their key. Of each identity there is one record of state,
``\0E<key>\0<identity>``: [journal offset applied, [instant, digest, last instant, fields] per group]. It is written
behind the sums, which say themselves which offset they include, so that after a torn write neither is counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from revenue_core.account import FactBody, Group, join
from revenue_core.cost_sums import spend_sums
from revenue_core.sums import Sums, difference
from streams.agents.slice import SPEND_PREFIX
from streams.effects import Record
from streams.journal import SPEND, FactRecord, Unreadable

if TYPE_CHECKING:
    from streams.agents.journey_run import JourneyRun

Groups = list[Group[FactBody]]


class Spending:
    """The costs of one run."""

    def __init__(self, job: JourneyRun) -> None:
        self.job = job
        self.changed: dict[bytes, tuple[int, Groups]] = {}
        """State key -> journal offset applied, messages."""

    def take(self, root: bytes, entry: FactRecord, record: Record) -> None:
        """Count a fact, once; what cannot be counted becomes a dead letter."""
        job, key = self.job, SPEND_PREFIX + root + b"\0" + entry.identity.encode()
        applied, known = self._load(key)
        if record.offset <= applied or job.refuse_too_late(entry, record):
            return
        joined = join(known, entry.message)
        if joined is None:
            job.count(entry, "duplicate")
            return
        try:
            change = difference(self._sums(known), self._sums(joined))
        except (LookupError, TypeError, ValueError) as error:
            job.effects.outputs.append(
                job.rows.unreadable(job.run, record, Unreadable(f"no cost: {error!r}"))
            )
            return
        if [group[:2] for group in joined] == [group[:2] for group in known]:
            job.count(entry, "duplicate")
        elif entry.message.at < job.part.watermark:
            job.count(entry, "late")
        self.changed[key] = record.offset, joined
        job.add_up(change, record.offset)

    def writes(self) -> Iterator[tuple[bytes, bytes]]:
        """The state records of the run."""
        for key, (applied, groups) in self.changed.items():
            messages = [(each.at, each.digest, each.last_at, each.body.fields) for each in groups]
            yield key, orjson.dumps([applied, messages])

    def _sums(self, groups: Sequence[Group[FactBody]]) -> Sums:
        return spend_sums((group.body.fields for group in groups), self.job.config)

    def _load(self, key: bytes) -> tuple[int, Groups]:
        if key in self.changed:
            return self.changed[key]
        raw = self.job.table.get(key)
        if raw is None:
            return -1, []
        applied, messages = orjson.loads(raw)
        return applied, [_group(*message) for message in messages]


def _group(at: int, digest: str, last_at: int, fields: dict[str, Any]) -> Group[FactBody]:
    return Group(at, digest, last_at, FactBody(SPEND, fields))
