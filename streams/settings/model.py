"""``Settings``: every section, read from one YAML file and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from schemas.outbound import MODELS
from streams.settings.kafka import KINDS, Kafka, Topics, Worker
from streams.settings.models import (
    SHIPPED_PIPELINES,
    ActivityPoints,
    Attribution,
    Channels,
    Goals,
    Identity,
    Metrics,
    Pipeline,
    Probability,
    State,
    Temperature,
    Web,
)
from streams.settings.values import Currency, TopicPrefix

PREFIX = "HEADWATER_"
NESTED = "__"


class Environment(EnvSettingsSource):
    """Environment variables ``HEADWATER_<SECTION>__<KEY>``; lists and mappings as JSON.

    Text that is no JSON goes on to validation as it stands, so that it is listed with all other problems.
    """

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The JSON value in ``value``, else the text itself."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class Settings(BaseSettings):
    """Everything that can be configured. The environment beats the arguments, which hold the file's content."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=NESTED,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        title="headwater",
    )

    kafka: Kafka = Kafka()
    topic_prefix: TopicPrefix = ""
    """Goes before the name of every topic."""
    topics: Topics = Topics()
    default_currency: Currency = "EUR"
    """Of deals that never name one, and of leads."""
    pipelines: tuple[Pipeline, ...] = Field(default_factory=lambda: SHIPPED_PIPELINES, min_length=1)
    """In order: a stage without a pipeline is looked for from the first on. A list given here replaces the
    shipped one as a whole."""
    attribution: Attribution = Attribution()
    metrics: Metrics = Metrics()
    channels: Channels = Channels()
    identity: Identity = Identity()
    temperature: Temperature = Temperature()
    probability: Probability = Probability()
    state: State = State()
    goals: Goals = Field(default_factory=dict)
    """Per period; kept, and not computed with yet."""
    activity_points: ActivityPoints = Field(default_factory=dict)
    """Points per touch type; kept, and not computed with yet."""
    web: Web = Web()
    worker: Worker = Worker()

    @field_validator("metrics")
    @classmethod
    def _a_model_that_runs(cls, metrics: Metrics, info: ValidationInfo) -> Metrics:
        custom = info.data["attribution"].custom if "attribution" in info.data else {}
        models = [*MODELS, *(f"custom_{name}" for name in sorted(custom))]
        if metrics.cost_model not in models:
            raise ValueError(
                f"cost_model {metrics.cost_model!r} is no model that runs: use one of {', '.join(models)}"
            )
        return metrics

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first: what comes earlier wins."""
        return Environment(settings_cls), init_settings

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return self.topic_prefix + name

    def source_names(self) -> Mapping[str, tuple[str, ...]]:
        """Kind -> names of its source topics, without the prefix."""
        return {kind: tuple(source.name for source in getattr(self.topics, kind)) for kind in KINDS}

    def effective(self) -> dict[str, Any]:
        """All settings as plain JSON values, secrets as stars."""
        return self.model_dump(mode="json")
