"""What is to be explained, and what was found of it; the same for files and for a live cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from revenue_core.config import CoreConfig
from revenue_core.explain import Explanation, explain_account, only_deal, only_models
from revenue_core.journey import State
from streams.explain_versions import Row, Version, column_filter, last_rows

if TYPE_CHECKING:
    from streams.explain_identity import Belonging, Link

ACCOUNT, DEAL = "account", "deal"
READABLE = {"deal:": "d:", "domain:": "w:", "lead:": "l:"}
"""Beginning of an account id -> of the journal key, where the one can be read from the other (R43)."""
OPAQUE = ("person:", "visitor:")


@dataclass(frozen=True, slots=True)
class Subject:
    """An account or a deal."""

    kind: str
    """``account`` | ``deal``."""
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id!r}"

    @property
    def filter(self) -> bytes:
        """Bytes that every credit row of the subject contains."""
        return column_filter(f"{self.kind}_id", self.id)

    def owns(self, row: Row) -> bool:
        """Whether a credit row is the subject's."""
        return bool(row[f"{self.kind}_id"] == self.id)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found."""

    explanation: Explanation
    versions: Sequence[Version]
    source: str
    """Where it was read from."""
    notes: Sequence[str] = ()
    """What the reader should know about it."""
    identity: Sequence[Belonging] = ()
    """Why its facts belong to it; of a deal, why the deal does."""
    moved: Sequence[Link] = ()
    """What led here from the account that was asked for, when that is another one."""

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return {
            "source": self.source,
            "notes": list(self.notes),
            "moved": [link.to_json() for link in self.moved],
            **asdict(self.explanation),
            "identity": [each.to_json() for each in self.identity],
            "versions": [asdict(each) for each in self.versions],
        }


def with_models(answer: Answer, names: Sequence[str]) -> Answer:
    """The same with the workings of these models only; the versions are whole rows."""
    return replace(answer, explanation=only_models(answer.explanation, names))


class NotFound(Exception):
    """Nothing is known of the subject; the message says where it was looked for."""


def journal_keys(account_id: str) -> list[str]:
    """The journal keys that an account id may stand for, the likeliest first; opaque ones cannot be read back."""
    return [
        f"A:{account_id}",
        *(
            key + account_id.removeprefix(name)
            for name, key in READABLE.items()
            if account_id.startswith(name)
        ),
    ]


def number_of_facts(state: State) -> int:
    """Messages in an account whose touches have been read, one per fact."""
    account = state.account
    tables = (account.touch_groups, account.lead_groups, account.deal_groups)
    return sum(len(groups) for table in tables for groups in table.values())


def explained(state: State, subject: Subject, config: CoreConfig, now: int) -> Explanation | None:
    """The explanation of a subject that belongs to an account; None for a deal that the account does not have."""
    whole = explain_account(state.account, config, now, silent=state.silent)
    if subject.kind == ACCOUNT:
        return whole
    return only_deal(whole, subject.id) if any(d.deal_id == subject.id for d in whole.deals) else None


def differences(explanation: Explanation, found: Sequence[Version]) -> list[str]:
    """Credits whose last emitted amounts are not those of the explanation."""
    told = _amounts(explanation)
    last = {
        key: {
            model: row[f"{model}_amount_minor"]
            for model in told.get(key, {})
            if f"{model}_amount_minor" in row
        }
        for key, row in last_rows(found).items()
    }
    return sorted(key for key in told.keys() | last.keys() if told.get(key) != last.get(key))


def _amounts(explanation: Explanation) -> Mapping[str, Mapping[str, int]]:
    """credit_id -> model -> minor units; a touch outside a model's path has 0 by it (R31)."""
    credits: dict[str, dict[str, int]] = {}
    for conversion in explanation.conversions:
        touch_ids = {part.touch_id for model in conversion.models for part in model.parts}
        for touch_id in touch_ids:
            credits[f"{conversion.conversion_id}|{touch_id}"] = {
                model.model: sum(p.amount_minor for p in model.parts if p.touch_id == touch_id)
                for model in conversion.models
            }
    return credits
