"""Everything that is known of one account, and how each number about it came about.

The answers are those of ``journey.evaluate``; what is added here is where they come from. All of it is plain
data, made for printing and for JSON: instants as text and in milliseconds, money in minor units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from revenue_core.account import Account
from revenue_core.attribution.models import models
from revenue_core.attribution.workings import SHORT, Setting, Working, working
from revenue_core.changes import Row
from revenue_core.config import CoreConfig, PathProfile
from revenue_core.conversions import OWN_TOUCHES, conversions
from revenue_core.credits import UNATTRIBUTED
from revenue_core.deals import Conversion, Deal
from revenue_core.explain_facts import DealView, LeadView, deal_view, lead_views, major
from revenue_core.facts import DAY_MS, Journey, Touch
from revenue_core.instants import iso_z
from revenue_core.journey import Known, State, evaluate, probabilities
from revenue_core.parameters import in_force
from revenue_core.paths import Path, build_paths, cycle_start
from revenue_core.temperature import COOLED, due


@dataclass(frozen=True, slots=True)
class TouchView:
    """One touch of the account."""

    number: int
    """Place in touch order, from 1."""
    touch_id: str
    at: str
    at_ms: int
    type: str
    direction: str
    """``inbound`` | ``outbound``."""
    channel: str
    rule: str
    """What decided the channel, for example ``utm`` or ``click_id:gclid``."""
    campaign: str
    source: str
    medium: str
    keyword: str
    content: str
    contact_id: str
    rep_id: str
    team: str
    visitor: str


@dataclass(frozen=True, slots=True)
class Step:
    """A touch as one path profile sees it."""

    number: int
    touch_id: str
    channel: str
    milestones: list[str]
    """``FT``, ``LC``, ``OC``, ``CW``, ``stage:<stage>``."""
    kept: bool
    """False when the profile's transform takes it out."""


@dataclass(frozen=True, slots=True)
class PathView:
    """The path of a conversion under one profile."""

    lookback_days: float
    direct: str
    transform: str
    truncated: bool
    touches: list[Step]


@dataclass(frozen=True, slots=True)
class ConversionView:
    """What credit was given for, from which touches, and by which arithmetic."""

    conversion_id: str
    conversion: str
    at: str
    at_ms: int
    measure: str
    currency: str
    amount_minor: int
    value: str
    """Where the amount comes from, in words."""
    provisional: bool
    deal_id: str
    lead_id: str
    window: str
    """Which touches are on the path, in words."""
    paths: dict[str, PathView]
    """``rules`` and ``data_driven``."""
    models: list[Working]
    """In column order."""


@dataclass(frozen=True, slots=True)
class TemperatureView:
    """Where the account stands between cold and warm (R47)."""

    phase: str
    energy: float
    """At the as-of instant."""
    last_energy: float
    """At the last inbound touch."""
    last_inbound_at: str
    peak: float
    inbound: int
    """Inbound touches since the last win."""
    days: int
    """Distinct UTC days of them."""
    unanswered: int
    cooled_at: str
    cools_at: str
    """When it will cool if nothing happens; empty unless it is warm."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One account, or what of it concerns one deal."""

    account_id: str
    deal_id: str
    """Empty unless the explanation is of one deal."""
    as_of: str
    as_of_ms: int
    phase: str
    gives_outputs: bool
    """False for visitors nobody has claimed and leads without any account (R37): they have touches only."""
    config_version: str
    touches: list[TouchView]
    leads: list[LeadView]
    deals: list[DealView]
    conversions: list[ConversionView]
    probabilities: list[Row]
    alerts: list[Row]
    temperature: TemperatureView


def explain_account(account: Account, config: CoreConfig, now: int, *, silent: bool = False) -> Explanation:
    """Explain an account as of ``now`` (ms), or as of its latest fact if that is later.

    ``silent``: it gives no outputs.
    """
    account.read_past()
    now = max(now, account.latest)
    state = State(account, silent=silent)
    answers = evaluate(state, now, config)
    known = state.known or Known({}, [], None, None)
    journey = account.journey()
    found = [] if silent else conversions(journey, known.deals, config)
    numbers = {touch.touch_id: number for number, touch in enumerate(journey.touches, 1)}
    table = _Conversions(journey, known, config, numbers)
    return Explanation(
        account_id=account.account_id,
        deal_id="",
        as_of=iso_z(now),
        as_of_ms=now,
        phase=answers.snapshot["phase"] if answers.snapshot else "",
        gives_outputs=not silent,
        config_version=config.config_version,
        touches=[_touch(number, touch) for number, touch in enumerate(journey.touches, 1)],
        leads=lead_views(journey, known, config),
        deals=[deal_view(deal, journey.deals[deal_id], config) for deal_id, deal in known.deals.items()],
        conversions=[
            table.view(each) for each in sorted(found, key=lambda each: (each.at, each.conversion_id))
        ],
        probabilities=list(probabilities(state, config, now).values()),
        alerts=[] if silent else list(answers.alerts.values()),
        temperature=_temperature(state, config, now),
    )


def only_deal(explanation: Explanation, deal_id: str) -> Explanation:
    """What of an account concerns one deal: the touches on its paths, its conversions, probability and alerts."""
    deals = [deal for deal in explanation.deals if deal.deal_id == deal_id]
    found = [each for each in explanation.conversions if each.deal_id == deal_id]
    leads = {lead_id for deal in deals for lead_id in deal.lead_ids}
    on_path = {step.number for each in found for path in each.paths.values() for step in path.touches}
    return replace(
        explanation,
        deal_id=deal_id,
        touches=[touch for touch in explanation.touches if touch.number in on_path],
        leads=[lead for lead in explanation.leads if lead.lead_id in leads],
        deals=deals,
        conversions=found,
        probabilities=[row for row in explanation.probabilities if row["deal_id"] == deal_id],
        alerts=[row for row in explanation.alerts if row["deal_id"] == deal_id],
    )


def only_models(explanation: Explanation, names: Iterable[str]) -> Explanation:
    """The same with the workings of these models only."""
    wanted = set(names)
    return replace(
        explanation,
        conversions=[
            replace(each, models=[model for model in each.models if model.model in wanted])
            for each in explanation.conversions
        ],
    )


def _touch(number: int, touch: Touch) -> TouchView:
    return TouchView(
        number, touch.touch_id, iso_z(touch.at), touch.at, touch.type,
        "inbound" if touch.inbound else "outbound", touch.channel, touch.rule, touch.campaign, touch.source,
        touch.medium, touch.keyword, touch.content, touch.contact_id, touch.rep_id, touch.team, touch.visitor,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Conversions:
    """Makes the views of one account's conversions."""

    journey: Journey
    known: Known
    config: CoreConfig
    numbers: Mapping[str, int]

    def view(self, conversion: Conversion) -> ConversionView:
        attribution = self.config.attribution
        deals, deal = self.known.deals, conversion.deal
        paths = build_paths(self.journey, conversion, deals, self.known.first_lead_at, attribution)
        rules, driven = paths
        learned = in_force(self.config.learned, conversion.at)
        setting = Setting(attribution, learned, conversion.path_at)
        return ConversionView(
            conversion_id=conversion.conversion_id,
            conversion=conversion.conversion,
            at=iso_z(conversion.at),
            at_ms=conversion.at,
            measure=conversion.measure,
            currency=conversion.currency,
            amount_minor=conversion.amount_minor,
            value=_value(conversion, self.config),
            provisional=conversion.provisional,
            deal_id=deal.deal_id if deal else "",
            lead_id=conversion.lead_id,
            window=_window(conversion, deals, attribution.rules),
            paths={
                "rules": self._path(rules, attribution.rules),
                "data_driven": self._path(driven, attribution.data_driven),
            },
            models=[
                working(
                    model,
                    driven if model.data_driven else rules,
                    conversion.amount_minor,
                    UNATTRIBUTED,
                    setting,
                )
                for model in models(attribution, learned)
            ],
        )

    def _path(self, path: Path, profile: PathProfile) -> PathView:
        names: dict[str, list[str]] = {}
        for milestone, index in path.milestones.items():
            names.setdefault(path.touches[index].touch_id, []).append(SHORT.get(milestone, milestone))
        kept = {touch.touch_id for touch in path.touches}
        steps = [
            Step(
                self.numbers[touch.touch_id],
                touch.touch_id,
                touch.channel,
                names.get(touch.touch_id, []),
                touch.touch_id in kept,
            )
            for touch in path.untransformed
        ]
        days = profile.lookback_ms / DAY_MS
        return PathView(days, profile.direct, profile.transform, path.truncated, steps)


def _value(conversion: Conversion, config: CoreConfig) -> str:
    """Where a conversion's amount comes from (R23 to R26)."""

    def text(minor: int) -> str:
        return major(minor, conversion.currency, config.currency_exponents)

    if conversion.measure == "mrr":
        direction = "lost" if conversion.amount_minor < 0 else "gained"
        return f"{conversion.movement}: {text(abs(conversion.amount_minor))} of recurring revenue {direction}"
    deal = conversion.deal
    if deal is None:
        return "counts as one and carries no money"
    amount = f"the deal's amount {text(deal.amount_minor)}"
    if conversion.conversion == "won":
        return f"{amount} less refunds of {text(deal.refunded_minor)}" if deal.refunded_minor else amount
    if conversion.conversion == "lost":
        return f"{amount}, given as the loss of it"
    if deal.status == "lost":
        return "nothing: the deal is lost"
    return f"{amount}, provisional while it is open" if conversion.provisional else amount


def _window(conversion: Conversion, deals: Mapping[str, Deal], profile: PathProfile) -> str:
    """Which touches the path takes, in words (R18, R19, R26)."""
    deal, at = conversion.deal, conversion.path_at
    if conversion.conversion == "recurring" and deal is None:
        return "none: the movement belongs to no deal"
    until, days = iso_z(at), f"{profile.lookback_ms / DAY_MS:g}"
    if conversion.path_after is not None:
        return f"touches after {iso_z(conversion.path_after)}, the movement or win before, up to {until}"
    text = f"touches from {iso_z(at - profile.lookback_ms)} ({days} days back) up to {until}"
    if conversion.at != at:
        own = conversion.movement in OWN_TOUCHES
        how = "has no touch of its own, so the path" if own else "inherits the path"
        text = f"{conversion.movement} {how} of the win: {text}"
    begin = cycle_start(deal, deals) if deal else None
    if begin is not None:
        text += f"; of those before the win at {iso_z(begin)} only FT and LC"
    return text


def _temperature(state: State, config: CoreConfig, now: int) -> TemperatureView:
    warmth, settings = state.checkpoint.temperature, config.temperature
    cools_at = due(warmth, settings)
    decayed = warmth.energy * 2.0 ** (-(now - warmth.at) / settings.half_life_ms) if warmth.at else 0.0
    return TemperatureView(
        phase=warmth.name,
        energy=decayed,
        last_energy=warmth.energy,
        last_inbound_at=iso_z(warmth.at) if warmth.at else "",
        peak=warmth.peak,
        inbound=warmth.inbound,
        days=warmth.days,
        unanswered=warmth.unanswered,
        cooled_at=iso_z(warmth.cooled_at) if warmth.phase == COOLED else "",
        cools_at=iso_z(cools_at) if cools_at is not None else "",
    )
