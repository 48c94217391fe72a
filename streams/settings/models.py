"""The sections that decide results: pipelines, attribution, channels, identity, temperature and the rest."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, SecretStr, field_validator, model_validator

from revenue_core.channel_rules import LISTS, parse_rules
from revenue_core.config import DEFAULT_PIPELINES, DEFAULT_WEIGHTS, TemperatureConfig
from revenue_core.facts import DAY_MS, HOUR_MS
from schemas.domains import NotADomain, domain
from schemas.errors import shown
from streams.settings.values import (
    InboundType,
    LongSpan,
    Name,
    PositiveSpan,
    Section,
    Span,
    TouchType,
    is_loopback,
)

Share = Annotated[float, Field(ge=0, le=1)]
MILESTONES = ("first_touch", "lead_created", "deal_created", "won", "middle")
STAGE_MILESTONE = "stage:"
TOTAL = Decimal(100)
_MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SHORTEST_KEY = 16
_WARMTH = TemperatureConfig()


class Stage(Section):
    """One stage of a pipeline."""

    name: Name
    kind: Literal["open", "won", "lost"] = "open"
    prior: Share | None = None
    """Chance of winning while nothing is known; open stages need it, the others have 1 and 0."""
    stuck_days: PositiveSpan = 30.0
    """Alert after this time while too few deals were won to know better."""
    entry_criteria: str = ""
    """For people: what must be true before a deal enters."""

    @model_validator(mode="after")
    def _prior_fits(self) -> Self:
        fixed = {"won": 1.0, "lost": 0.0}.get(self.kind)
        if fixed is None and self.prior is None:
            raise ValueError("an open stage needs prior: the chance of winning, 0 to 1")
        if fixed is not None and self.prior not in (None, fixed):
            raise ValueError(f"the prior of a {self.kind} stage is {fixed:g}: remove it")
        return self

    @property
    def chance(self) -> float:
        """The prior, that of closed stages filled in."""
        return float(self.kind == "won") if self.prior is None else self.prior


class Pipeline(Section):
    """A named, ordered list of stages."""

    name: Name
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _usable(self) -> Self:
        names = [stage.name for stage in self.stages]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"stage {', '.join(twice)} is there twice: rename or remove one")
        if not any(stage.kind == "open" for stage in self.stages):
            raise ValueError("a pipeline needs at least one stage of kind open")
        return self


SHIPPED_PIPELINES = tuple(
    Pipeline(
        name=pipeline.name,
        stages=tuple(
            Stage(name=each.name, kind=each.kind, prior=each.prior, stuck_days=each.stuck_days)
            for each in pipeline.stages
        ),
    )
    for pipeline in DEFAULT_PIPELINES
)


class Profile(Section):
    """How one family of models sees the touches (R31, R36)."""

    lookback: PositiveSpan | None = None
    """None: ``attribution.lookback``."""
    direct: Literal["keep", "drop_if_not_all", "inherit_7d"] = "keep"
    transform: Literal["none", "collapse_repeats", "unique", "first", "sessions"] = "none"


class Attribution(Section):
    """Models run always; this says on which paths, with which half-life, and which models are added."""

    lookback: PositiveSpan = 365.0
    rules: Profile = Profile()
    data_driven: Profile = Profile(transform="collapse_repeats")
    half_life: PositiveSpan = 7.0
    """Of ``time_decay``."""
    custom: dict[str, dict[str, Decimal]] = Field(default_factory=dict)
    """Name -> milestone -> percent, 100 in total. Milestones: first_touch, lead_created, deal_created, won,
    stage:<stage>, and middle for the touches that hold none."""
    exclude_types: frozenset[TouchType] = frozenset()

    @field_validator("data_driven", mode="before")
    @classmethod
    def _own_transform(cls, value: Any) -> Any:
        return {"transform": "collapse_repeats", **value} if isinstance(value, dict) else value

    @field_validator("custom")
    @classmethod
    def _totals(cls, models: dict[str, dict[str, Decimal]]) -> dict[str, dict[str, Decimal]]:
        found = [problem for name, weights in models.items() for problem in _model_problems(name, weights)]
        if found:
            raise ValueError("; ".join(found))
        return models


def _model_problems(name: str, weights: dict[str, Decimal]) -> list[str]:
    found = []
    if not _MODEL_NAME.fullmatch(name):
        found.append(f"model {name!r} must be named by a-z, 0-9 and _, beginning with a letter, 32 at most")
    for milestone, weight in weights.items():
        if milestone not in MILESTONES and not milestone.startswith(STAGE_MILESTONE):
            found.append(
                f"{name} has no milestone {milestone!r}: use {', '.join(MILESTONES)} or stage:<stage>"
            )
        if not weight.is_finite() or weight < 0:
            found.append(f"{name} weighs {milestone} {weight}: a weight is 0 or more")
    total = sum(weights.values(), Decimal(0))
    if total.is_finite() and total != TOTAL:
        found.append(f"the weights of {name} total {total:f}, not 100: change them by {TOTAL - total:+f}")
    return found


SegmentKind = Literal["channel", "campaign", "keyword", "content", "contact", "rep", "team"]


class Metrics(Section):
    """What the rows of funnel-metrics are made for; see docs/metrics-rows.md."""

    segment_kinds: frozenset[SegmentKind] = frozenset(get_args(SegmentKind))
    """By what credit is added up, beside the whole. Contacts, keywords and contents can be many: each is a row."""
    cost_model: str = "linear"
    """The model whose credited revenue costs are compared with: a prefix of credit columns, such as u_shaped or
    custom_<name>."""


class Channels(Section):
    """Channel rules and lists of sources."""

    rules: list[dict[str, Any]] | None = None
    """Replaces the shipped rules as a whole; see docs/channels.md."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Source, host or domain -> search, social, video, shopping or ai; adds to the shipped lists."""

    @field_validator("rules")
    @classmethod
    def _readable(cls, rules: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        if rules is None:
            return None
        found = []
        for index, rule in enumerate(rules):
            try:
                parse_rules([rule])
            except ValueError as error:
                found.append(str(error).replace("rules/0", f"rules/{index}", 1))
        if not rules:
            found.append("at least one rule is needed; leave rules out for the shipped ones")
        if found:
            raise ValueError("; ".join(found))
        return rules

    @field_validator("sources")
    @classmethod
    def _known_lists(cls, sources: dict[str, str]) -> dict[str, str]:
        unknown = sorted({name for name in sources.values() if name and name not in LISTS})
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is no list of sources: use one of {', '.join(LISTS)}")
        return {source.lower(): name for source, name in sources.items()}


class Identity(Section):
    """Who belongs to whom (R37 to R43)."""

    hash_key: SecretStr = SecretStr("")
    """Key of the hash that stands for e-mail addresses; best given as HEADWATER_IDENTITY__HASH_KEY."""
    max_links: Annotated[int, Field(ge=1)] = 10
    anonymous_ttl: LongSpan | None = None
    """How long after a touch its visitor may still become known; None: the longest lookback."""
    free_domains: tuple[str, ...] = ()
    """Domains that say nothing of a company, beside the shipped ones of free-mail and disposable addresses."""
    company_domains: tuple[str, ...] = ()
    """Domains that are a company's although a shipped list has them."""

    @field_validator("free_domains", "company_domains")
    @classmethod
    def _as_compared(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        found, problems = [], []
        for place, name in enumerate(names):
            try:
                found.append(domain(name))
            except NotADomain as error:
                problems.append(f"entry {place} {shown(name)} {error}")
        twice = sorted({name for name in found if found.count(name) > 1})
        problems += [f"{name} is there twice: remove one" for name in twice]
        if problems:
            raise ValueError("; ".join(problems))
        return tuple(sorted(found))

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        both = sorted(set(self.free_domains) & set(self.company_domains))
        if both:
            raise ValueError(
                f"{', '.join(both)} is in free_domains and in company_domains: remove it from one of them"
            )
        return self

    @field_validator("hash_key")
    @classmethod
    def _hard_to_guess(cls, key: SecretStr) -> SecretStr:
        if 0 < len(key.get_secret_value()) < _SHORTEST_KEY:
            raise ValueError(f"is shorter than {_SHORTEST_KEY} characters: use `openssl rand -hex 32`")
        return key


class Temperature(Section):
    """How warm accounts are (R47, R48, R50)."""

    weights: dict[InboundType, Annotated[float, Field(ge=0)]] = Field(
        default_factory=lambda: dict(DEFAULT_WEIGHTS)
    )
    """Energy per inbound touch type; those not named keep the shipped weight."""
    e_min: Annotated[float, Field(ge=0)] = _WARMTH.e_min
    half_life: Annotated[Span, Field(ge=0.5, le=36_525)] = _WARMTH.half_life_ms / DAY_MS
    """At least 12 h: below it alerts of a kind could follow within days."""
    cooled_fraction: Annotated[float, Field(gt=0, lt=1)] = _WARMTH.cooled_fraction
    rewarmed_fraction: Annotated[float, Field(gt=0, le=1)] = _WARMTH.rewarmed_fraction
    high_intent: frozenset[InboundType] = _WARMTH.high_intent
    unanswered_touches: Annotated[int, Field(ge=1)] = _WARMTH.unanswered_touches
    unanswered_span: Annotated[Span, Field(ge=1, le=36_525)] = _WARMTH.unanswered_span_ms / DAY_MS
    """At least 24 h."""
    min_touches: Annotated[int, Field(ge=1)] = _WARMTH.min_touches
    min_days: Annotated[int, Field(ge=1)] = _WARMTH.min_days
    follow_up_hours: Annotated[float, Field(gt=0, le=24 * 366)] = _WARMTH.follow_up_ms / HOUR_MS

    @field_validator("weights")
    @classmethod
    def _complete(cls, weights: dict[str, float]) -> dict[str, float]:
        return {**DEFAULT_WEIGHTS, **weights}

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.rewarmed_fraction <= self.cooled_fraction:
            raise ValueError(
                f"rewarmed_fraction {self.rewarmed_fraction:g} must be above cooled_fraction "
                f"{self.cooled_fraction:g}, else an account cools and comes back at once"
            )
        return self


class LeadPriors(Section):
    """Chance of winning of a lead while nothing is known, by level."""

    lead: Share = 0.02
    mql: Share = 0.05
    sql: Share = 0.10


class Probability(Section):
    """Chances of winning; priors of deals stand on their stages."""

    lead_priors: LeadPriors = LeadPriors()


class State(Section):
    """How long what is known stays open to change (R06, R07)."""

    generation: Annotated[int, Field(ge=0, le=127)] = 0
    """Raised by one when state is rebuilt from an empty log, so that new versions outrank the old."""
    max_lateness: LongSpan = 90.0
    conversion_retention: PositiveSpan = 1_095.0


class Goal(Section):
    """What is to be reached in a period."""

    revenue: Annotated[Decimal, Field(ge=0)] | None = None
    deals: Annotated[int, Field(ge=0)] | None = None
    points: Annotated[float, Field(ge=0)] | None = None


Goals = dict[Literal["daily", "weekly", "monthly", "quarterly"], Goal]
ActivityPoints = dict[TouchType, Annotated[float, Field(ge=0)]]


class Web(Section):
    """The worker's HTTP face."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 6066
    token: SecretStr | None = None
    """Bearer token that protects everything but the probes."""

    @field_validator("token")
    @classmethod
    def _not_blank(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not token.get_secret_value().strip():
            raise ValueError("is blank: give a token, or leave it out")
        return token

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not is_loopback(self.host) and self.token is None:
            raise ValueError(
                f"host {self.host} is reachable from other machines: set web.token "
                "(HEADWATER_WEB__TOKEN), or listen on 127.0.0.1"
            )
        return self
