"""Credit rows: what each touch earned of each conversion, by every model (R23, R29 to R35, R60, R62)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from revenue_core.attribution.models import Model, model_names, models, split
from revenue_core.config import CoreConfig
from revenue_core.deals import Conversion, Deal
from revenue_core.facts import Journey, Touch
from revenue_core.instants import iso_z
from revenue_core.parameters import in_force
from revenue_core.paths import Path, build_paths

UNATTRIBUTED = "(unattributed)"

_FOREVER = 2**62

_CONVERSION_COLUMNS = (
    "conversion_id", "conversion", "conversion_at", "conversion_at_ms", "measure", "account_id", "deal_id",
    "lead_id", "stage", "status", "provisional",
)  # fmt: skip
_TOUCH_COLUMNS = (
    "touch_id", "touch_at", "touch_at_ms", "touch_type", "direction", "channel", "campaign", "keyword", "content",
    "source", "medium", "contact_id", "rep_id", "team",
)  # fmt: skip
_PARAMETER_COLUMNS = ("low_data", "params_version", "config_version")


def credit_columns(names: Iterable[str]) -> list[str]:
    """Columns of a credit row, in order, with these models; the caller adds cause, clock and version."""
    credited = [column for name in names for column in (f"{name}_share", f"{name}_amount_minor")]
    return [
        "credit_id", *_CONVERSION_COLUMNS, "truncated", *_TOUCH_COLUMNS, "phase", "currency", "amount_minor",
        *credited, *_PARAMETER_COLUMNS,
    ]  # fmt: skip


class Draft(NamedTuple):
    """All that the rows of one conversion depend on, configuration and parameters apart.

    Equal drafts make equal rows, so that rows are only made of drafts that have changed.
    """

    head: tuple[object, ...]
    """Values of the columns that all its rows share."""
    at: int
    currency: str
    amount_minor: int
    phase_ends: tuple[int, int]
    rules: Path
    driven: Path
    pipeline: str = ""
    """Of its deal; empty for a lead's."""
    is_current: bool = False
    """Whether it is the entry of the stage that its open deal counts in (R20)."""

    @property
    def deal_id(self) -> object:
        """Of the deal it is of; empty for a lead's."""
        return self.head[_CONVERSION_COLUMNS.index("deal_id")]

    @property
    def lead_id(self) -> object:
        """Of the lead it is of; empty for a deal's."""
        return self.head[_CONVERSION_COLUMNS.index("lead_id")]


def draft_credits(
    journey: Journey,
    deals: Mapping[str, Deal],
    conversions: Iterable[Conversion],
    first_lead_at: int | None,
    config: CoreConfig,
) -> dict[str, Draft]:
    """conversion_id -> draft, in the order of R60.

    ``deals`` are the account's deals as folded at the as-of instant, ``first_lead_at`` is its earliest
    ``lead_created`` (ms).
    """
    return {
        each.conversion_id: Draft(
            _conversion_values(each, journey.account_id),
            each.at,
            each.currency,
            each.amount_minor,
            _phase_ends(each.deal, first_lead_at),
            *build_paths(journey, each, deals, first_lead_at, config.attribution),
            each.deal.pipeline if each.deal else "",
            _is_current(each),
        )
        for each in sorted(conversions, key=lambda each: (each.at, each.conversion_id))
    }


def rows_of(drafts: Mapping[str, Draft], config: CoreConfig) -> dict[str, dict[str, Any]]:
    """credit_id -> row for every touch of every draft, in their order and touch order.

    A conversion uses the parameters in force for its own instant (R44); without any ``params_version`` is 0 and
    ``low_data`` true.
    """
    if not drafts:
        return {}
    columns = credit_columns(model_names(config))
    of_version: dict[int, tuple[list[Model], tuple[bool, int, str]]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for conversion_id, draft in drafts.items():
        learned = in_force(config.learned, draft.at)
        number = learned.version if learned else 0
        if number not in of_version:
            low_data = learned is None or learned.low_data
            tail = low_data, number, config.config_version
            of_version[number] = models(config.attribution, learned), tail
        running, tail = of_version[number]
        touches, credited = _credit(running, draft)
        truncated = _truncated(draft.rules, draft.driven, touches)
        awareness, consideration = draft.phase_ends
        money = (draft.currency, draft.amount_minor)
        for touch, cut, cells in zip(touches, truncated, zip(*credited, strict=True), strict=True):
            at = touch.at
            if touch.touch_id == UNATTRIBUTED:
                phase = ""
            elif at <= awareness:
                phase = "awareness"
            else:
                phase = "consideration" if at <= consideration else "decision"
            credit_id = f"{conversion_id}|{touch.touch_id}"
            values = (credit_id, *draft.head, cut, *_touch_values(touch), phase, *money, *cells, *tail)
            rows[credit_id] = dict(zip(columns, values, strict=True))
    return rows


def credit_rows(
    journey: Journey,
    deals: Mapping[str, Deal],
    conversions: Iterable[Conversion],
    first_lead_at: int | None,
    config: CoreConfig,
) -> dict[str, dict[str, Any]]:
    """credit_id -> row for every conversion and touch of its paths, in the order of R60."""
    return rows_of(draft_credits(journey, deals, conversions, first_lead_at, config), config)


def deleted_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The last row of a credit that is gone: the same, with shares and amounts zero."""
    return {
        name: 0.0 if name.endswith("_share") else 0 if name.endswith("amount_minor") else value
        for name, value in row.items()
    }


def _credit(running: Sequence[Model], draft: Draft) -> tuple[Sequence[Touch], list[Sequence[float]]]:
    """The rows' touches in order, and for each model its column of shares and its column of amounts."""
    rules, driven = draft.rules, draft.driven
    nobody = Touch(draft.at, UNATTRIBUTED, "", True, UNATTRIBUTED)
    by_rules, by_data = rules.touches or (nobody,), driven.untransformed or (nobody,)
    columns: list[Sequence[float]] = []
    for model in running:
        path = driven if model.data_driven else rules
        columns += split(model.weigh(path) if path.touches else [1], draft.amount_minor)
    if by_rules is by_data or by_rules == by_data:
        return by_rules, columns
    # A touch on both paths shows itself as the rule models see it: they are most of its columns.
    union = sorted({touch.touch_id: touch for touch in (*by_data, *by_rules)}.values())
    spread: list[Sequence[float]] = []
    for model, pair in zip(running, zip(columns[::2], columns[1::2], strict=True), strict=True):
        own = {
            touch.touch_id: index for index, touch in enumerate(by_data if model.data_driven else by_rules)
        }
        for column, nothing in zip(pair, (0.0, 0), strict=True):
            spread.append(
                [column[own[touch.touch_id]] if touch.touch_id in own else nothing for touch in union]
            )
    return union, spread


def _truncated(rules: Path, driven: Path, touches: Sequence[Touch]) -> Sequence[bool]:
    """For each row whether it stands on a path that was cut (R31)."""
    if rules.truncated == driven.truncated:
        return [rules.truncated] * len(touches)
    on = {touch.touch_id for touch in (rules.touches if rules.truncated else driven.untransformed)}
    return [touch.touch_id in on for touch in touches]


def _conversion_values(conversion: Conversion, account_id: str) -> tuple[object, ...]:
    deal = conversion.deal
    return (
        conversion.conversion_id, conversion.conversion, iso_z(conversion.at), conversion.at, conversion.measure,
        account_id, deal.deal_id if deal else "", conversion.lead_id, deal.stage if deal else "",
        deal.status if deal else "", conversion.provisional,
    )  # fmt: skip


def _touch_values(touch: Touch) -> tuple[object, ...]:
    if touch.touch_id == UNATTRIBUTED:
        direction = ""
    else:
        direction = "inbound" if touch.inbound else "outbound"
    return (
        touch.touch_id, iso_z(touch.at), touch.at, touch.type, direction, touch.channel, touch.campaign,
        touch.keyword, touch.content, touch.source, touch.medium, touch.contact_id, touch.rep_id, touch.team,
    )  # fmt: skip


def _is_current(conversion: Conversion) -> bool:
    deal = conversion.deal
    return (
        deal is not None
        and deal.status == "open"
        and conversion.conversion == f"stage_entered:{deal.open_stage}"
    )


def _phase_ends(deal: Deal | None, first_lead_at: int | None) -> tuple[int, int]:
    """Instants up to which a touch is ``awareness`` and ``consideration`` (R35)."""
    created = deal.created_at if deal else _FOREVER
    return (created if first_lead_at is None else first_lead_at), created
