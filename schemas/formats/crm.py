"""What the formats of CRMs share: names of their stages, ids that must not meet those of another system, leads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.fields import absent
from schemas.formats.payload import LEADS, Message, text_of

LEAD_STEPS = ("created", "mql", "sql", "disqualified")
"""What a stage of a lead's life may be called in the option ``lead_stages``."""
_PREFIX = re.compile(r"[A-Za-z0-9._:-]{0,40}")


@dataclass(frozen=True, slots=True)
class Crm:
    """Options of a source topic that a CRM writes."""

    stages: Mapping[str, str] = field(default_factory=dict)
    """Id of a stage in the CRM -> configured stage; others are taken as they are."""
    pipelines: Mapping[str, str] = field(default_factory=dict)
    """Id of a pipeline in the CRM -> configured pipeline; others are taken as they are."""
    lead_stages: Mapping[str, str] = field(default_factory=dict)
    """Stage of a lead's life in the CRM -> one of ``LEAD_STEPS``; others say nothing."""
    id_prefix: str = ""
    """Goes before the ids of contacts, accounts, leads and deals."""

    def __post_init__(self) -> None:
        problems = [
            f"lead_stages: {name!r} becomes {step!r}: use one of {', '.join(LEAD_STEPS)}"
            for name, step in self.lead_stages.items()
            if step not in LEAD_STEPS
        ]
        if not _PREFIX.fullmatch(self.id_prefix):
            problems.append("id_prefix must be at most 40 of A-Z a-z 0-9 . _ : -")
        if problems:
            raise ValueError("; ".join(problems))

    def id(self, value: object) -> object:
        """An id as native messages carry it; what is no id is left for them to refuse."""
        text = text_of(value)
        return value if text is None else f"{self.id_prefix}{text.strip()}"

    def stage(self, value: object) -> object:
        """The configured stage that the CRM's ``value`` means."""
        return _looked_up(self.stages, value)

    def pipeline(self, value: object) -> object:
        """The configured pipeline that the CRM's ``value`` means."""
        return _looked_up(self.pipelines, value)

    def lead(self, fields: Mapping[str, Any], value: object) -> list[Message]:
        """What a lead whose stage is now ``value`` gives; ``fields`` hold its envelope and identifiers.

        Nobody is qualified who is no lead: the earliest fact that says so makes the conversion (R28), so a lead
        whose first step was not reported is created with the later one.
        """
        text = text_of(value)
        step = self.lead_stages.get(text, "") if text is not None else ""
        created = {**fields, "type": "lead_created"}
        if step == "created":
            return [(LEADS, created)]
        if step in ("mql", "sql"):
            created["event_id"] = f"{fields['event_id']}:created"
            return [(LEADS, created), (LEADS, {**fields, "type": "lead_qualified", "level": step})]
        if step == "disqualified":
            return [(LEADS, {**fields, "type": "lead_disqualified", "reason": text})]
        return []


def _looked_up(table: Mapping[str, str], value: object) -> object:
    text = text_of(value)
    return value if text is None else table.get(text, text)


def emptied(value: object) -> object:
    """An amount that was cleared is no amount, which counts as 0 (R24); a patch cannot take one back."""
    return "0" if absent(value) else value
