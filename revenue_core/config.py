"""The configuration that the mathematics depends on, as immutable values with the shipped defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from revenue_core.facts import DAY_MS, HOUR_MS
from revenue_core.parameters import ParameterLog


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a pipeline. ``kind`` is ``open``, ``won`` or ``lost``; ``prior`` is P(won) in this stage."""

    name: str
    kind: str = "open"
    prior: float = 0.0
    stuck_days: float = 30.0


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A named, ordered list of stages."""

    name: str
    stages: tuple[Stage, ...]


DEFAULT_PIPELINES = (
    Pipeline(
        "default",
        (
            Stage("lead_capture", prior=0.05),
            Stage("qualification", prior=0.15),
            Stage("meeting_scheduled", prior=0.35),
            Stage("contract_sent", prior=0.75),
            Stage("closed", kind="won", prior=1.0),
        ),
    ),
    Pipeline(
        "hubspot",
        (
            Stage("appointmentscheduled", prior=0.2),
            Stage("qualifiedtobuy", prior=0.4),
            Stage("presentationscheduled", prior=0.6),
            Stage("decisionmakerboughtin", prior=0.8),
            Stage("contractsent", prior=0.9),
            Stage("closedwon", kind="won", prior=1.0),
            Stage("closedlost", kind="lost", prior=0.0),
        ),
    ),
)
"""R27."""


@dataclass(frozen=True, slots=True)
class PathProfile:
    """How one family of models sees the touches (R31, R36)."""

    lookback_ms: int = 365 * DAY_MS
    direct: str = "keep"
    """``keep`` | ``drop_if_not_all`` | ``inherit_7d``."""
    transform: str = "none"
    """``none`` | ``collapse_repeats`` | ``unique`` | ``first`` | ``sessions``."""


@dataclass(frozen=True, slots=True)
class CustomModel:
    """A user's milestone model. Weights (in percent, exact decimals as text) total 100.

    Keys: ``first_touch``, ``lead_created``, ``deal_created``, ``won``, ``stage:<stage>`` (the last touch at or
    before the deal's last entry of that stage) and ``middle``.
    """

    name: str
    weights: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AttributionConfig:
    """Models run always; this says on which paths and with which half-lives."""

    rules: PathProfile = PathProfile()
    data_driven: PathProfile = PathProfile(transform="collapse_repeats")
    half_life_ms: int = 7 * DAY_MS
    custom: tuple[CustomModel, ...] = ()
    exclude_types: frozenset[str] = frozenset()
    path_cap: int = 2_000

    @property
    def longest_lookback_ms(self) -> int:
        """The longer of the two profiles' windows, in milliseconds."""
        return max(self.rules.lookback_ms, self.data_driven.lookback_ms)


DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType({
    "page_view": 1.0, "ad_click": 1.0, "ad_impression": 0.0, "email_open": 0.5, "email_click": 1.0,
    "email_reply": 5.0, "call_answered": 5.0, "meeting": 8.0, "form_submit": 3.0, "demo_request": 8.0,
    "webinar": 3.0, "download": 2.0, "chat": 3.0, "event_attended": 4.0, "other": 1.0,
})  # fmt: skip
"""R48: energy per inbound touch type."""


@dataclass(frozen=True, slots=True)
class TemperatureConfig:
    """R47, R48 and R50."""

    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)
    e_min: float = 3.0
    half_life_ms: int = 14 * DAY_MS
    cooled_fraction: float = 0.25
    rewarmed_fraction: float = 0.5
    high_intent: frozenset[str] = frozenset({"demo_request", "email_reply"})
    unanswered_touches: int = 3
    unanswered_span_ms: int = 7 * DAY_MS
    min_touches: int = 3
    min_days: int = 2
    follow_up_ms: int = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class ProbabilityConfig:
    """Priors of winning for leads, by level (R27); those of deals stand on the stages."""

    lead_priors: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({"lead": 0.02, "mql": 0.05, "sql": 0.10})
    )


SEGMENT_KINDS = ("channel", "campaign", "keyword", "content", "contact", "rep", "team")
"""By what credit can be added up, beside ``all``."""


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """What the rows of ``funnel-metrics`` are made for."""

    segment_kinds: frozenset[str] = frozenset(SEGMENT_KINDS)
    """Of ``SEGMENT_KINDS``, those that ``revenue`` has rows for."""
    cost_model: str = "linear"
    """The model whose credit costs are compared with; a column prefix of credit rows."""


@dataclass(frozen=True, slots=True)
class CoreConfig:
    """Everything the core needs to know that is not a fact."""

    pipelines: tuple[Pipeline, ...] = DEFAULT_PIPELINES
    attribution: AttributionConfig = AttributionConfig()
    temperature: TemperatureConfig = TemperatureConfig()
    probability: ProbabilityConfig = ProbabilityConfig()
    metrics: MetricsConfig = MetricsConfig()
    default_currency: str = "EUR"
    currency_exponents: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KWD": 3})
    )
    """ISO 4217 code -> decimal places. ``streams`` fills in the whole table from a package."""
    learned: ParameterLog = ()
    """The parameters that have been learned: no setting, but conversions depend on them as they do on settings."""
    config_version: str = ""
