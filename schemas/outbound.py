"""The rows of the output topics, column by column in the order of the contract.

For tests, JSON Schema and documentation: what writes rows writes plain dictionaries. Texts without a value are
empty; numbers and times without a value are absent (R62).
"""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import ConfigDict, model_validator

from schemas.row import Count, Currency, IsDeleted, Key, Milliseconds, Minor, Row, Share, Time, Version

MODELS = (
    "first_touch", "last_touch", "last_non_direct", "linear", "position_based", "u_shaped", "w_shaped",
    "full_path", "time_decay", "time_decay_long", "markov", "shapley",
)  # fmt: skip
"""Attribution models that always run; each has a share and an amount on every credit row."""

UNATTRIBUTED = "(unattributed)"
TOLERANCE = 1e-9
CUSTOM_SHARE = r"^custom_.+_share$"
CUSTOM_AMOUNT = r"^custom_.+_amount_minor$"


def _custom_columns(schema: dict[str, Any]) -> None:
    schema["additionalProperties"] = False
    schema["patternProperties"] = {
        CUSTOM_SHARE: {"type": "number", "minimum": 0, "maximum": 1},
        CUSTOM_AMOUNT: {"type": "integer"},
    }


class Credit(Row):
    """One conversion and one touch, all models as columns; absolute values. Key ``credit_id``.

    Never add amounts across measures, or across conversions of one deal (R23).
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=_custom_columns)

    credit_id: Key
    conversion_id: Key
    conversion: Key
    conversion_at: Time
    conversion_at_ms: Milliseconds
    measure: Literal["deal", "mrr", "count"]
    account_id: Key
    deal_id: str
    lead_id: str
    stage: str
    status: Literal["", "open", "won", "lost"]
    provisional: bool
    truncated: bool
    touch_id: Key
    touch_at: Time
    touch_at_ms: Milliseconds
    touch_type: str
    direction: Literal["", "inbound", "outbound"]
    channel: Key
    campaign: str
    keyword: str
    content: str
    source: str
    medium: str
    contact_id: str
    rep_id: str
    team: Literal["", "marketing", "sales"]
    phase: Literal["", "awareness", "consideration", "decision"]
    currency: Currency
    amount_minor: Minor
    first_touch_share: Share
    first_touch_amount_minor: Minor
    last_touch_share: Share
    last_touch_amount_minor: Minor
    last_non_direct_share: Share
    last_non_direct_amount_minor: Minor
    linear_share: Share
    linear_amount_minor: Minor
    position_based_share: Share
    position_based_amount_minor: Minor
    u_shaped_share: Share
    u_shaped_amount_minor: Minor
    w_shaped_share: Share
    w_shaped_amount_minor: Minor
    full_path_share: Share
    full_path_amount_minor: Minor
    time_decay_share: Share
    time_decay_amount_minor: Minor
    time_decay_long_share: Share
    time_decay_long_amount_minor: Minor
    markov_share: Share
    markov_amount_minor: Minor
    shapley_share: Share
    shapley_amount_minor: Minor
    cause: str
    low_data: bool
    params_version: Count
    config_version: str
    computed_at: Time
    computed_at_ms: Milliseconds
    version: Version
    is_deleted: IsDeleted

    @model_validator(mode="after")
    def _custom_models(self) -> Self:
        extra = self.model_extra or {}
        for name, value in extra.items():
            if re.match(CUSTOM_SHARE, name):
                if type(value) not in {int, float} or not 0 <= value <= 1:
                    raise ValueError(f"{name} is {value!r}: a share lies between 0 and 1")
            elif re.match(CUSTOM_AMOUNT, name):
                if type(value) is not int:
                    raise ValueError(f"{name} is {value!r}: an amount is a whole number of minor units")
            else:
                raise ValueError(f"unknown column {name}")
        shares = {name.removesuffix("_share") for name in extra if name.endswith("_share")}
        amounts = {name.removesuffix("_amount_minor") for name in extra if name.endswith("_amount_minor")}
        if shares != amounts:
            raise ValueError(f"a share or an amount is missing for {', '.join(sorted(shares ^ amounts))}")
        return self

    @model_validator(mode="after")
    def _key_names_conversion_and_touch(self) -> Self:
        if self.credit_id != f"{self.conversion_id}|{self.touch_id}":
            raise ValueError(f"credit_id {self.credit_id!r} is not <conversion_id>|<touch_id> (R51)")
        return self


class Probability(Row):
    """Chance of winning of an open deal or lead. Key ``subject_id``."""

    subject_id: Key
    subject_kind: Literal["deal", "lead"]
    deal_id: str
    lead_id: str
    account_id: Key
    pipeline: str
    stage: str
    age_in_stage_days: float
    as_of: Time
    as_of_ms: Milliseconds
    p_win: Share
    p_win_low: Share
    p_win_high: Share
    p_win_30d: Share
    p_win_90d: Share
    p_lost: Share
    n_observations: Count
    amount_minor: Minor
    currency: Currency
    expected_value_minor: Minor
    expected_close_at: Time | None = None
    expected_close_at_ms: Milliseconds | None = None
    reason_stage: float
    reason_age: float
    reason_engagement: float
    reason_source: float
    reason_other: float
    cause: Literal["event", "timer", "parameters"]
    params_version: Count
    version: Version
    is_deleted: IsDeleted

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.p_win_30d <= self.p_win_90d <= self.p_win:
            raise ValueError("p_win_30d <= p_win_90d <= p_win does not hold (R45)")
        if not self.p_win_low <= self.p_win <= self.p_win_high:
            raise ValueError("p_win lies outside its interval (R45)")
        if self.p_win + self.p_lost > 1 + TOLERANCE:
            raise ValueError("p_win and p_lost add up to more than 1 (R45)")
        return self


class Alert(Row):
    """Something about an account that wants attention. Key ``account_id``; ``alert_id`` tells alerts apart."""

    alert_id: Key
    account_id: Key
    deal_id: str
    kind: Literal["cooled", "rewarmed", "stuck_deal", "follow_up_missed"]
    status: Literal["raised", "retracted"]
    at: Time
    at_ms: Milliseconds
    detected_at: Time
    detected_at_ms: Milliseconds
    reason: Literal["", "energy", "unanswered", "high_intent"]
    last_touch_id: str
    last_touch_channel: str
    unanswered: Count
    days_silent: Count | None = None
    reviver_touch_id: str
    reviver_channel: str
    reviver_campaign: str
    days_cold: Count | None = None
    open_deals: Count
    amount_at_risk_minor: Minor
    expected_value_at_risk_minor: Minor
    currency: Currency
    late: bool
    version: Version


class AccountJourney(Row):
    """Where an account stands, for writing back to a CRM. Key ``account_id``."""

    account_id: Key
    phase: Literal["awareness", "consideration", "decision", "customer"]
    temperature: Literal["new", "warm", "cooled"]
    energy: float
    first_touch_at: Time | None = None
    first_touch_at_ms: Milliseconds | None = None
    first_touch_channel: str
    last_touch_at: Time | None = None
    last_touch_at_ms: Milliseconds | None = None
    last_touch_channel: str
    touches: Count
    contacts: Count
    open_deals: Count
    won_deals: Count
    version: Version
    is_deleted: IsDeleted


class ModelParameters(Row):
    """Learned parameters: one row per model and channel, or per hazard cell. Key ``parameter_id``."""

    parameter_id: Key
    model: Literal["markov", "shapley", "hazard"]
    params_version: Count
    fitted_through: Time
    fitted_through_ms: Milliseconds
    channel: str | None = None
    n_conversions: Count | None = None
    n_nulls: Count | None = None
    p_conversion: Share | None = None
    removal_effect: float | None = None
    shapley_value: float | None = None
    standard_error: float | None = None
    channel_share: float | None = None
    pipeline: str | None = None
    stage: str | None = None
    stratum: str | None = None
    age_week: Count | None = None
    cause: str | None = None
    exits: float | None = None
    exposure_days: float | None = None
    hazard: float | None = None
    version: Version
    is_deleted: IsDeleted


class DeadLetterLine(Row):
    """A line of ``dead-letters.ndjson`` (R13). On the topic the reason stands in headers instead."""

    topic: str
    file: str
    line: Count
    code: Key
    path: str
    message: str
    value: str | None = None
    value_base64: str | None = None

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        if (self.value is None) == (self.value_base64 is None):
            raise ValueError("exactly one of value and value_base64 holds the original")
        return self
