"""What follows from an account's facts, and what has to be sent when that has changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from revenue_core.config import CoreConfig
from revenue_core.credits import Draft, rows_of
from revenue_core.revenue_sums import credit_sums
from revenue_core.sums import Sums, difference

Row = Mapping[str, Any]


@dataclass(slots=True)
class Answers:
    """Everything that follows from an account's facts at one horizon, by key."""

    credits: Mapping[str, Draft] = field(default_factory=dict)
    """By conversion; rows are made only of what has changed."""
    probabilities: Mapping[str, Row] = field(default_factory=dict)
    alerts: Mapping[str, Row] = field(default_factory=dict)
    snapshot: Row | None = None
    sums: Sums = field(default_factory=dict)


class Changes(NamedTuple):
    """What has to be sent after settling, each list in the order of R60."""

    credits: list[tuple[str, Row, bool]]
    """(credit_id, row, True when it is gone)."""
    probabilities: Mapping[str, Row]
    closed: Mapping[str, Row]
    """Last rows of subjects that are no longer open."""
    alerts: list[tuple[Row, str]]
    """(row, ``raised`` or ``retracted``)."""
    snapshot: Row | None
    snapshot_gone: Row | None
    sums: Sums
    """By how much the account's part of each metric has changed."""
    horizon_before: int


def compare(
    before: Answers,
    after: Answers,
    config: CoreConfig,
    horizon_before: int,
    *,
    unsent: bool,
    again: Collection[str] = (),
    config_before: CoreConfig | None = None,
) -> Changes:
    """The rows that make the outside know ``after`` instead of ``before``.

    With ``unsent`` touches have moved probabilities and snapshot of ``before`` on, and nobody has been told. Rows
    about ``again`` (``journey.State``) are sent also where they have not changed. ``config_before``: with what the
    rows of ``before`` were made, where that differs.
    """
    repeated = {key for key, draft in after.credits.items() if again and _concerns(again, key, draft)}
    if config_before is None:
        old_drafts = _others(before.credits, after.credits, repeated)
        new_drafts = _others(after.credits, before.credits, repeated)
    else:
        old_drafts, new_drafts = before.credits, after.credits
    old, new = rows_of(old_drafts, config_before or config), rows_of(new_drafts, config)
    credits = [
        (key, row, False)
        for key, row in new.items()
        if old.get(key) != row or row["conversion_id"] in repeated
    ]
    credits += [(key, row, True) for key, row in old.items() if key not in new]
    sums = difference(before.sums, after.sums)
    sums.update(
        difference(
            credit_sums(old_drafts, old.values(), config), credit_sums(new_drafts, new.values(), config)
        )
    )
    raised = [
        (row, "raised")
        for key, row in after.alerts.items()
        if before.alerts.get(key) != row or f"deal:{row['deal_id']}" in again
    ]
    raised += [(row, "retracted") for key, row in before.alerts.items() if key not in after.alerts]
    return Changes(
        credits=sorted(credits, key=lambda change: _credit_order(change[1])),
        probabilities={
            key: row
            for key, row in after.probabilities.items()
            if unsent or key in again or before.probabilities.get(key) != row
        },
        closed={key: row for key, row in before.probabilities.items() if key not in after.probabilities},
        alerts=sorted(raised, key=lambda change: (change[0]["at_ms"], change[0]["alert_id"])),
        snapshot=after.snapshot if unsent or after.snapshot != before.snapshot else None,
        snapshot_gone=before.snapshot if after.snapshot is None else None,
        sums=sums,
        horizon_before=horizon_before,
    )


def _concerns(subjects: Collection[str], conversion_id: str, draft: Draft) -> bool:
    """Whether a conversion is of one of these deals, leads or movements."""
    return any(each in subjects for each in (conversion_id, f"deal:{draft.deal_id}", f"lead:{draft.lead_id}"))


def _others(
    drafts: Mapping[str, Draft], known: Mapping[str, Draft], repeated: Collection[str]
) -> Mapping[str, Draft]:
    """Drafts that differ from what is known, and those to be repeated."""
    return {key: draft for key, draft in drafts.items() if key in repeated or known.get(key) != draft}


def _credit_order(row: Row) -> tuple[int, str, int, str]:
    return row["conversion_at_ms"], row["conversion_id"], row["touch_at_ms"], row["touch_id"]
