"""A scoring worker: the service on the engine, with probes and metrics beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from streams import instrument
from streams import settings as from_settings
from streams.clock import now_ms
from streams.compose import live_service
from streams.engine import AgentSpec, EngineApp, FollowerSpec, Security, TopicsMissing, build_app, serve
from streams.engine.fastpath import tune_interpreter
from streams.kafka_client import client_options
from streams.metrics import Metrics
from streams.replica import CompactMap
from streams.service import Service, Timing
from streams.settings import Settings
from streams.topics import list_topics
from streams.topology import ANSWERS, CONTROL, DEAD_LETTERS, IDENTITY, JOURNAL, PARTIALS, Agent
from streams.web import Face, served

WRITES = {
    "ingest": (JOURNAL, CONTROL, DEAD_LETTERS),
    "coordinator": (JOURNAL, IDENTITY),
    "journey": (*ANSWERS, JOURNAL, CONTROL, PARTIALS, DEAD_LETTERS),
    "totals": (*ANSWERS, DEAD_LETTERS),
}


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker consists of."""

    app: EngineApp
    service: Service
    metrics: Metrics
    face: Face


def build_worker(settings: Settings, journal_partitions: int) -> Worker:
    """Put a worker together.

    Raises ``streams.engine.InvalidSettings``, or OSError when a certificate cannot be read.
    """
    engine = replace(from_settings.engine_settings(settings), security=security(settings))
    service = live_service(
        settings,
        journal_partitions,
        Timing(
            tick_ms=settings.worker.tick_ms,
            idle_ms=round(settings.worker.source_idle_s * 1000),
            replay_window=engine.replay_window,
            catch_up_ms=round(settings.worker.backlog_after_s * 1000),
        ),
        CompactMap(),
    )
    metrics = Metrics(service.ingest.tables.channels.channels)
    metrics.set("build_info", 1, version())
    metrics.set("ready", 0)
    specs = [_spec(agent, settings) for agent in service.agents]
    followers = [
        FollowerSpec(each.name, settings.topic(each.topic), each.take, each.readers)
        for each in service.followers
    ]
    observer = instrument.observer(metrics, service, settings.topic(""))
    app = build_app(engine, specs, observer=observer, clock=now_ms, followers=followers)
    token = settings.web.token.get_secret_value() if settings.web.token else None

    def refresh() -> None:
        instrument.refresh(metrics, service, app.table_sizes())
        app.observer.lag(app.health().lag)

    face = Face(
        reasons=lambda: app.health().reasons(),
        refresh=refresh,
        registry=metrics.registry,
        token=token,
    )
    return Worker(app, service, metrics, face)


async def run(
    worker: Worker, settings: Settings, announce: Callable[[int], None], stop: asyncio.Event | None
) -> int:
    """Serve and work until a signal, ``stop`` or a failure; returns the exit code.

    ``announce`` is told the web port. Raises CannotListen when the port is taken.
    """
    tune_interpreter()
    async with served(worker.face, settings.web.host, settings.web.port) as port:
        announce(port)
        return await serve(worker.app, stop)


async def journal_partitions(settings: Settings) -> int:
    """Partition count of the journal. Raises BrokerUnreachable, or TopicsMissing when there is none."""
    topics = await list_topics(
        settings.kafka.brokers, prefix=settings.topic_prefix, client=client_options(settings.kafka)
    )
    name = settings.topic(JOURNAL)
    counts = {topic.name: topic.partitions for topic in topics}
    if name not in counts:
        raise TopicsMissing([f"{name} does not exist: run `headwater topics create`"])
    return counts[name]


def security(settings: Settings) -> Security:
    """How the engine reaches the brokers."""
    options = client_options(settings.kafka)
    return Security(
        ssl_context=options.get("ssl_context"),
        sasl_mechanism=options.get("sasl_mechanism"),
        username=options.get("sasl_plain_username"),
        password=options.get("sasl_plain_password"),
        token_provider=options.get("sasl_oauth_token_provider"),
    )


def version() -> str:
    """The installed version of headwater."""
    from importlib.metadata import version as installed

    return installed("headwater")


def _spec(agent: Agent, settings: Settings) -> AgentSpec:
    topics = (
        agent.topics if agent.name == "ingest" else tuple(settings.topic(topic) for topic in agent.topics)
    )
    writes = tuple(settings.topic(topic) for topic in WRITES[agent.name])
    handler = instrument.named(agent, settings.topic(""))
    first = (settings.topic(JOURNAL),) if agent.name == "ingest" else ()
    return AgentSpec(agent.name, topics, handler, agent.table, agent.interval_s, writes, first)
