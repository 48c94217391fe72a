"""Every account of a partition at one instant: what ``headwater score`` ends with (R08, R44)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from revenue_core import journey as core
from revenue_core.config import CoreConfig
from revenue_core.finished import Finished
from revenue_core.parameters import always
from streams import codec, translate
from streams.agents.slice import Live, Slice
from streams.effects import Record, TableView
from streams.journal import Settle

if TYPE_CHECKING:
    from streams.agents.journey_run import JourneyRun

BY_PARAMETERS = "parameters"
"""Cause of rows that other parameters change, before their version."""


def accounts(table: TableView) -> set[bytes]:
    """The keys of a partition's accounts."""
    return {key for key, _ in table.items() if key[:1] != b"\0"}


def settle_all(job: JourneyRun, settle: Settle, record: Record) -> None:
    """Score every open subject as of an instant, and give rows anew that other parameters change."""
    before = job.config
    if settle.learned is not None:
        job.part.learned = always(settle.learned)
        job.config = job.part.configured(job.handler.config)
    for key in sorted(accounts(job.table) | job.changed.keys()):
        live = job.load_for(key, record)
        if live is None or live.state.quarantined:
            continue
        try:
            _settle(job, key, live, settle, record, before)
        except Exception as error:
            job.quarantine.set_aside(key, live, error)
        if key not in job.changed:  # there may be more accounts than memory has room for
            job.part.forget(key)


def _settle(
    job: JourneyRun, key: bytes, live: Live, settle: Settle, record: Record, before: CoreConfig
) -> None:
    account = live.state.account
    if not (account.lead_groups or account.deal_groups):
        return  # no conversion, and nothing that is open
    if settle.learned is not None:
        changes = core.restate(live.state, before, job.config)
        if changes.credits:
            job.by_clock(key, live, record)
            moment = job.moment(live)._replace(cause=f"{BY_PARAMETERS}:{settle.learned.version}")
            job.effects.outputs += job.rows.changes(changes, moment, BY_PARAMETERS)
            job.add_up(changes.sums, record.offset)
    rows = core.probabilities(live.state, job.config, settle.as_of)
    if rows:
        job.by_clock(key, live, record)
        job.effects.outputs += job.rows.probabilities(rows, job.moment(live), "timer")


def finished(part: Slice, table: TableView, config: CoreConfig, as_of: int) -> Iterator[Finished]:
    """The journeys of all accounts of a partition that have ended at an instant (ms), between runs."""
    for key in sorted(accounts(table)):
        live, raw = part.live.get(key), table.get(key)
        if live is not None and live.state.account.unread is None:
            state = live.state
        elif raw is None or codec.is_quarantined(raw):
            continue
        else:  # a copy, so that what is kept decoded does not grow
            name = key.decode()
            state = codec.read(name, translate.account_id(name), raw, table.get)
        yield from core.finished(state, config, as_of)
