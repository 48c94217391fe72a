"""Before a worker starts: wait for the broker, check the topics, create missing changelogs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams.engine.errors import TopicsMissing
from streams.engine.settings import AgentSpec, EngineSettings, PartitionCounts, changelog_name

log = logging.getLogger(__name__)

RETRY_S = 2.0
VISIBLE_ATTEMPTS = 50
USUAL_REPLICATION = 3
CHANGELOG_CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(64 << 20),
    "min.compaction.lag.ms": str(10 * 60_000),
}
"""Small segments are compacted sooner, which keeps the recovery short; but not so soon that of a key which a frozen
worker wrote last the owner's record is gone before it has written it again.
"""


async def prepare_topics(
    settings: EngineSettings, agents: Sequence[AgentSpec], partitions_of: PartitionCounts | None
) -> dict[str, int]:
    """Partition counts of all topics that matter. Waits while no broker answers; raises ``TopicsMissing``."""
    admin = await _connect(settings)
    try:
        counts = await _counts(admin)
        problems = check_topics(agents, counts)
        if problems:
            raise TopicsMissing(problems)
        wanted = {
            changelog_name(settings.app_id, agent.table): counts[agent.topics[0]]
            for agent in agents
            if agent.table is not None
        }
        missing = {name: count for name, count in wanted.items() if name not in counts}
        if missing and settings.create_changelogs:
            await _create(admin, settings, missing)
            counts = await _counts(admin)
        wrong = [
            f"{name} has {counts.get(name, 0)} partitions, needs {count}"
            for name, count in wanted.items()
            if counts.get(name) != count
        ]
        if wrong:
            raise TopicsMissing(wrong)
    finally:
        await admin.close()
    return {**counts, **_overrides(agents, counts, partitions_of)}


def check_topics(agents: Sequence[AgentSpec], counts: Mapping[str, int]) -> list[str]:
    """What is wrong with the topics that agents read and write, in words."""
    problems = []
    for agent in agents:
        problems += [
            f"{topic} does not exist ({agent.name} {verb} it)"
            for verb, topics in (("reads", agent.topics), ("writes", agent.writes))
            for topic in topics
            if topic not in counts
        ]
        found = {counts[topic] for topic in agent.topics if topic in counts}
        if agent.table is not None and len(found) > 1:
            problems.append(f"the topics of {agent.name} have different partition counts, but it has a table")
    return problems


def _overrides(
    agents: Sequence[AgentSpec], counts: Mapping[str, int], partitions_of: PartitionCounts | None
) -> dict[str, int]:
    if partitions_of is None:
        return {}
    if isinstance(partitions_of, Mapping):
        return dict(partitions_of)
    written = {topic for agent in agents for topic in agent.writes} or set(counts)
    return {topic: partitions_of(topic) for topic in sorted(written)}


async def _connect(settings: EngineSettings) -> AIOKafkaAdminClient:
    while True:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=[host.strip() for host in settings.brokers.split(",") if host.strip()],
            request_timeout_ms=settings.request_timeout_ms,
            **credentials_to_aiokafka_auth(settings.security.credentials(), None),
        )
        try:
            await admin.start()
        except (KafkaConnectionError, OSError) as error:
            await admin.close()
            log.warning("no broker at %s yet (%s): trying again in %.0f s", settings.brokers, error, RETRY_S)
            await asyncio.sleep(RETRY_S)
        else:
            return admin


async def _counts(admin: Any) -> dict[str, int]:
    described = await admin.describe_topics(await admin.list_topics())
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def _brokers(admin: Any) -> int:
    return len((await admin.describe_cluster())["brokers"])


async def _create(admin: Any, settings: EngineSettings, missing: Mapping[str, int]) -> None:
    config = {**CHANGELOG_CONFIG, **settings.changelog_config}
    replication = settings.changelog_replication or min(USUAL_REPLICATION, await _brokers(admin))
    response = await admin.create_topics(
        [NewTopic(name, count, replication, topic_configs=config) for name, count in missing.items()]
    )
    for name, code, *_ in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise TopicsMissing([f"{name} could not be created: {for_code(code).__name__}"])
    for _ in range(VISIBLE_ATTEMPTS):
        if missing.keys() <= (await _counts(admin)).keys():
            return
        await asyncio.sleep(0.1)
    raise KafkaError(f"created {sorted(missing)}, but the broker does not list them")
