"""Deals as folds of their patches (R16, R20 to R27)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class StageEntry(NamedTuple):
    """A change of the folded stage to a stage of kind open."""

    stage: str
    at: int


class Visit(NamedTuple):
    """One stay in an open stage: from an entry, or a reopening in it, to the next stage or status change (R50)."""

    stage: str
    start: int
    end: int | None
    """None while it lasts."""


@dataclass(frozen=True, slots=True)
class Deal:
    """A deal as folded up to some instant. Times in ms, money in minor units of ``currency``."""

    deal_id: str
    created_at: int
    pipeline: str
    """The configured pipeline it is in (R27); the first configured one when nothing says."""
    stage: str
    """The folded stage as given, empty when none was."""
    open_stage: str
    """The open stage it counts in for probability, age and stuck (R20)."""
    stage_since: int
    """Last entry of ``open_stage``, else creation (R57)."""
    status: str
    """``open`` | ``won`` | ``lost``."""
    deleted: bool
    amount_minor: int
    currency: str
    won_at: int | None
    """The last instant the status became won, when it is won now."""
    lost_at: int | None
    won_instants: tuple[int, ...]
    """Every transition into won, later reopened ones too (R46)."""
    entries: tuple[StageEntry, ...]
    visits: tuple[Visit, ...]
    refunded_minor: int
    """Refunds that count (R25); never more than the amount."""
    refunds_ignored: int
    """How many refunds changed nothing (other currency, or not won)."""
    last_fact_at: int
    owner_id: str = ""
    name: str = ""
    crm_source: str = ""
    lost_reason: str = ""
    expected_close_at: int | None = None
    contact_ids: tuple[str, ...] = ()
    lead_ids: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """False when its last patch or deletion is a deletion (R22)."""
        return not self.deleted

    def last_entry(self, stage: str) -> int | None:
        """Instant of the last entry of ``stage``, or None."""
        return max((entry.at for entry in self.entries if entry.stage == stage), default=None)


class Conversion(NamedTuple):
    """What credit is given for (R21 to R28)."""

    conversion_id: str
    conversion: str
    """``won``, ``lost``, ``stage_entered:<stage>``, ``recurring``, ``lead_created``, ``lead_qualified:<level>``."""
    at: int
    measure: str
    """``deal`` | ``mrr`` | ``count`` (R23)."""
    amount_minor: int
    """Negative for contraction and churn."""
    currency: str
    provisional: bool
    deal: Deal | None
    """The deal it belongs to; None for leads and for movements without one."""
    lead_id: str = ""
    movement: str = ""
    """``new`` | ``expansion`` | ``contraction`` | ``churn`` | ``reactivation`` for recurring ones."""
    path_at: int = 0
    """The instant whose path it takes: its own, or the deal's win for movements that inherit it (R26)."""
    path_after: int | None = None
    """For expansion and reactivation: only touches after this instant (the previous movement), R26."""
