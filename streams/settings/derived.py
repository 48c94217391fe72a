"""What the parts of the service are built from, made out of settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

from revenue_core.channel_data import DEFAULT_RULES
from revenue_core.channel_rules import describe, parse_rules
from revenue_core.channels import ChannelTables
from revenue_core.config import (
    AttributionConfig,
    CoreConfig,
    CustomModel,
    MetricsConfig,
    PathProfile,
    Pipeline,
    ProbabilityConfig,
    Stage,
    TemperatureConfig,
)
from revenue_core.facts import HOUR_MS
from revenue_core.identity.observations import GraphConfig
from schemas.context import Context
from schemas.formats import Format
from streams.reference_data import channel_tables, currency_exponents
from streams.settings.kafka import KINDS
from streams.settings.model import Settings
from streams.settings.models import Attribution, Profile, Temperature
from streams.settings.values import is_loopback, milliseconds
from streams.topics import CHANGELOG_CONFIG, TopicDeclaration, declared_topics

if TYPE_CHECKING:
    from streams.engine import EngineSettings

VERSION_DIGITS = 12


def core_config(settings: Settings) -> CoreConfig:
    """What the mathematics depends on, with the version that rows carry."""
    chances = settings.probability.lead_priors
    return CoreConfig(
        pipelines=tuple(
            Pipeline(each.name, tuple(Stage(s.name, s.kind, s.chance, s.stuck_days) for s in each.stages))
            for each in settings.pipelines
        ),
        attribution=_attribution(settings.attribution),
        temperature=_temperature(settings.temperature),
        probability=ProbabilityConfig(
            MappingProxyType({"lead": chances.lead, "mql": chances.mql, "sql": chances.sql})
        ),
        metrics=MetricsConfig(settings.metrics.segment_kinds, settings.metrics.cost_model),
        default_currency=settings.default_currency,
        currency_exponents=currency_exponents(),
        config_version=config_version(settings),
    )


def _attribution(section: Attribution) -> AttributionConfig:
    return AttributionConfig(
        rules=_profile(section.rules, section),
        data_driven=_profile(section.data_driven, section),
        half_life_ms=milliseconds(section.half_life),
        custom=tuple(
            CustomModel(name, MappingProxyType({key: _decimal(weight) for key, weight in weights.items()}))
            for name, weights in sorted(section.custom.items())
        ),
        exclude_types=section.exclude_types,
    )


def _profile(profile: Profile, section: Attribution) -> PathProfile:
    lookback = section.lookback if profile.lookback is None else profile.lookback
    return PathProfile(milliseconds(lookback), profile.direct, profile.transform)


def _temperature(section: Temperature) -> TemperatureConfig:
    return TemperatureConfig(
        weights=MappingProxyType(dict(section.weights)),
        e_min=section.e_min,
        half_life_ms=milliseconds(section.half_life),
        cooled_fraction=section.cooled_fraction,
        rewarmed_fraction=section.rewarmed_fraction,
        high_intent=section.high_intent,
        unanswered_touches=section.unanswered_touches,
        unanswered_span_ms=milliseconds(section.unanswered_span),
        min_touches=section.min_touches,
        min_days=section.min_days,
        follow_up_ms=round(section.follow_up_hours * HOUR_MS),
    )


def _decimal(number: Decimal) -> str:
    """Plain text without trailing zeros: equal weights are equal texts."""
    return format(number.normalize(), "f")


def config_version(settings: Settings) -> str:
    """First 12 hex digits of the SHA-256 of what in the settings decides results (R62).

    That is the canonical JSON (sorted keys, no spaces) of pipelines, attribution, channel rules and sources as
    they are in force, identity without its key, temperature, probability, segments and cost model of metrics,
    lateness and retention, and the default currency. Not in it: where the cluster is, names of topics, the
    engine, the web page, the generation, goals and activity points, and texts for people (entry criteria).
    """
    attribution, state = settings.attribution, settings.state
    rules = DEFAULT_RULES if settings.channels.rules is None else parse_rules(settings.channels.rules)
    limits = graph_config(settings)
    effective = {
        "pipelines": [
            [each.name, [[s.name, s.kind, s.chance, s.stuck_days] for s in each.stages]]
            for each in settings.pipelines
        ],
        "attribution": {
            "rules": _profile_values(attribution.rules, attribution),
            "data_driven": _profile_values(attribution.data_driven, attribution),
            "half_life_ms": milliseconds(attribution.half_life),
            "custom": {m: {k: _decimal(w) for k, w in ws.items()} for m, ws in attribution.custom.items()},
            "exclude_types": sorted(attribution.exclude_types),
        },
        "channels": {
            "rules": [[rule.channel, describe(rule.when)] for rule in rules],
            "sources": settings.channels.sources,
        },
        "identity": {
            **limits._asdict(),
            "free_domains": sorted(settings.identity.free_domains),
            "company_domains": sorted(settings.identity.company_domains),
        },
        "temperature": {
            **settings.temperature.model_dump(mode="json"),
            "high_intent": sorted(settings.temperature.high_intent),
        },
        "lead_priors": settings.probability.lead_priors.model_dump(),
        "metrics": [sorted(settings.metrics.segment_kinds), settings.metrics.cost_model],
        "max_lateness_ms": milliseconds(state.max_lateness),
        "conversion_retention_ms": milliseconds(state.conversion_retention),
        "default_currency": settings.default_currency,
    }
    return sha256(orjson.dumps(effective, option=orjson.OPT_SORT_KEYS)).hexdigest()[:VERSION_DIGITS]


def graph_config(settings: Settings) -> GraphConfig:
    """By which limits identifiers are linked (R39, R40)."""
    identity = settings.identity
    ttl = _attribution(settings.attribution).longest_lookback_ms
    if identity.anonymous_ttl is not None:
        ttl = milliseconds(identity.anonymous_ttl)
    return GraphConfig(max_links=identity.max_links, anonymous_ttl_ms=ttl)


def _profile_values(profile: Profile, section: Attribution) -> list[Any]:
    seen = _profile(profile, section)
    return [seen.lookback_ms, seen.direct, seen.transform]


def attribution_tables(settings: Settings) -> ChannelTables:
    """What channels are looked up in."""
    return channel_tables(settings.channels.rules, settings.channels.sources or None)


def sources(settings: Settings) -> dict[str, tuple[str, str | Format]]:
    """Full name of a source topic -> (kind, input format), as ``schemas.formats.decoder_of`` takes it."""
    found: dict[str, tuple[str, str | Format]] = {}
    for kind in KINDS:
        for source in getattr(settings.topics, kind):
            found[settings.topic(source.name)] = (kind, source.form())
    return found


def file_format(settings: Settings, kind: str, name: str) -> str | Format:
    """Input format ``name`` for files of a topic kind, with the options of the first source topic that has it.

    Topics of that kind come first, then those of any other; without one the format is as shipped.
    """
    kinds = sorted(KINDS, key=lambda each: each != kind)
    topics = (source for each in kinds for source in getattr(settings.topics, each))
    return next((source.form() for source in topics if source.format == name), name)


def context(settings: Settings) -> Callable[[int], Context]:
    """Wall clock (ms) -> what events are checked against."""
    stages: Mapping[str, frozenset[str]] = MappingProxyType(
        {each.name: frozenset(stage.name for stage in each.stages) for each in settings.pipelines}
    )
    currency, limit = settings.default_currency, milliseconds(settings.topics.future_limit)
    exponents, largest = currency_exponents(), settings.topics.max_message_bytes

    def at(now_ms: int) -> Context:
        return Context(now_ms, stages, exponents, currency, limit, largest)

    return at


def topic_declarations(settings: Settings) -> list[TopicDeclaration]:
    """Every topic of this installation."""
    return declared_topics(
        settings.worker.app_id,
        sources=settings.source_names(),
        lookback_ms=_attribution(settings.attribution).longest_lookback_ms,
        max_message_bytes=settings.topics.max_message_bytes,
    )


def engine_settings(settings: Settings) -> EngineSettings:
    """The engine's settings, security aside: see ``streams.kafka_client``."""
    from streams.engine import EngineSettings

    worker = settings.worker
    return EngineSettings(
        app_id=settings.topic(worker.app_id),
        brokers=settings.kafka.brokers,
        data_dir=str(worker.data_dir),
        store=worker.store,
        session_timeout_ms=worker.session_timeout_ms,
        heartbeat_interval_ms=worker.heartbeat_interval_ms,
        request_timeout_ms=worker.request_timeout_ms,
        commit_interval_ms=worker.commit_interval_ms,
        batch_max=worker.batch_max,
        max_open_runs=worker.max_open_runs,
        compression=worker.compression,
        assignment_deadline_s=worker.assignment_deadline_s,
        stop_deadline_s=worker.stop_deadline_s,
        changelog_replication=settings.topics.replication_factor,
        changelog_config=dict(CHANGELOG_CONFIG),
    )


def warnings(settings: Settings) -> list[str]:
    """What works, and should not stay so in production."""
    found = []
    if not settings.identity.hash_key.get_secret_value():
        found.append(
            "identity.hash_key is empty: e-mail addresses can be found from their hashes by trying; set "
            "HEADWATER_IDENTITY__HASH_KEY"
        )
    sasl = settings.kafka.security.sasl
    if sasl is not None and not settings.kafka.security.tls.enabled:
        found.append(f"kafka.security.sasl {sasl.mechanism} without TLS: what it says can be read on the way")
    if not is_loopback(settings.web.host):
        found.append("web.host is reachable from other machines: put TLS in front of it")
    return found
