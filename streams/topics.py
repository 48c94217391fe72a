"""Topics on a cluster: create what is declared, say where a live cluster differs, list what is there.

Topics are never auto-created: their partition counts and cleanup policies carry meaning. Every call opens a
client of its own and ends within ``timeout_s`` seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from schemas.registry import DEFAULT_PARTITIONS, TOPICS
from streams.topology import CONTROL, JOURNAL, PARTIALS, SOURCES

USUAL_REPLICATION = 3
TIMEOUT_S = 15.0
EXISTS_ALREADY = 36
"""Kafka's error code TOPIC_ALREADY_EXISTS."""

CLEANUP = "cleanup.policy"
RETENTION = "retention.ms"
COMPACTION_LAG = "min.compaction.lag.ms"
MESSAGE_BYTES = "max.message.bytes"

LARGEST_MESSAGE = 4 << 20
"""The engine's largest request. A dead letter of the largest input, or a large account, is above Kafka's 1 MiB."""
USUAL_MESSAGE = 1 << 20
"""What a topic takes unless it says otherwise."""
AROUND_MESSAGE = 64 << 10
"""Room for key and headers."""
CHANGELOG_CONFIG = {CLEANUP: "compact", MESSAGE_BYTES: str(LARGEST_MESSAGE), "segment.bytes": str(64 << 20)}
"""Of a table's changelog. Small segments are compacted sooner, which keeps a recovery short."""


@dataclass(frozen=True, slots=True)
class TopicDeclaration:
    """How a topic should be. ``name`` is without the prefix."""

    name: str
    config: Mapping[str, str] = field(default_factory=dict)
    """Settings at creation, by Kafka's names. Cleanup, compaction lag and message size are checked too."""
    partitions: int | None = None
    """A fixed count; None: the installation's (12 unless overridden)."""
    any_partitions: bool = False
    """True where any count serves: source topics belong to others."""
    follows: str | None = None
    """Name of the topic whose count this one must share: an agent's table is partitioned as its input."""
    least_retention_ms: int = 0
    """Records must be kept at least this long; unlimited (-1) always is enough."""


class Problem(NamedTuple):
    """One way in which a cluster differs from the declaration."""

    topic: str
    what: str
    """``missing``, ``partitions``, or the name of a topic setting."""
    expected: str
    found: str
    fix: str


class TopicInfo(NamedTuple):
    """A topic as the cluster has it."""

    name: str
    partitions: int
    replication_factor: int


class BrokerUnreachable(Exception):
    """No broker answered in time. ``address`` is what was asked."""

    def __init__(self, address: str, reason: object) -> None:
        super().__init__(
            f"no Kafka broker answers at {address} ({reason}); check that it runs and that --brokers or "
            "kafka.brokers names it, or start one for development with `headwater broker`"
        )
        self.address = address


class TopicRefusedError(Exception):
    """The cluster refused to create topics. ``refused`` pairs each name with the broker's reason."""

    def __init__(self, refused: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in refused))
        self.refused = list(refused)


def declared_topics(
    app_id: str,
    *,
    sources: Mapping[str, Sequence[str]] | None = None,
    lookback_ms: int = 0,
    max_message_bytes: int = USUAL_MESSAGE,
) -> list[TopicDeclaration]:
    """Every topic of an installation, in the order of the contract, table changelogs last.

    ``sources`` gives the source topics of each kind (``touchpoints``, ``leads``, ``deals``); None: one of each,
    named after it. They must keep records for ``lookback_ms``, the longest lookback, and take messages of
    ``max_message_bytes`` where that is more than brokers take by themselves. ``app_id`` begins the changelogs'
    names.
    """
    declarations = []
    size = (
        {MESSAGE_BYTES: str(max_message_bytes + AROUND_MESSAGE)} if max_message_bytes > USUAL_MESSAGE else {}
    )
    for name, topic in TOPICS.items():
        if name not in SOURCES:
            config = {**topic.config, MESSAGE_BYTES: str(LARGEST_MESSAGE)}
            fixed = None if topic.partitions == DEFAULT_PARTITIONS else topic.partitions
            declarations.append(TopicDeclaration(name, config, fixed))
            continue
        retention = str(max(topic.retention_ms or 0, lookback_ms))
        declarations += [
            TopicDeclaration(
                source,
                {**topic.config, RETENTION: retention, **size},
                any_partitions=True,
                least_retention_ms=lookback_ms,
            )
            for source in (sources or {}).get(name, (name,))
        ]
    return declarations + changelogs(app_id)


def changelogs(app_id: str) -> list[TopicDeclaration]:
    """The changelogs of the agents' tables, each partitioned as the topic its agent reads."""
    inputs = {"journey": JOURNAL, "coordinator": CONTROL, "totals": PARTIALS}
    return [
        TopicDeclaration(f"{app_id}-{table}-changelog", CHANGELOG_CONFIG, follows=topic)
        for table, topic in inputs.items()
    ]


def kept_for_ever(declarations: Sequence[TopicDeclaration]) -> list[TopicDeclaration]:
    """The same without an age limit: the embedded broker deletes a record with an old timestamp at once."""
    return [
        replace(d, config={**d.config, RETENTION: "-1"}) if RETENTION in d.config else d for d in declarations
    ]


async def create_topics(
    brokers: str,
    declarations: Sequence[TopicDeclaration],
    *,
    prefix: str = "",
    partitions: int | None = None,
    replication_factor: int | None = None,
    timeout_s: float = TIMEOUT_S,
    client: Mapping[str, Any] | None = None,
) -> list[tuple[str, str]]:
    """Create the declared topics that are missing; returns (full name, ``created`` | ``exists``), in order.

    ``partitions`` overrides the default of 12 where a count is not fixed; a topic that follows another takes
    the count that one has. ``replication_factor`` None: 3, or the number of live brokers if that is less.
    ``client`` holds further aiokafka client options (security). Returns when every new partition has a
    leader. Raises BrokerUnreachable, or TopicRefusedError after creating what could be created.
    """
    async with _admin(brokers, timeout_s, client) as admin:
        described = await _describe(admin)
        copies = replication_factor or min(USUAL_REPLICATION, len(admin._client.cluster.brokers()) or 1)
        counts = _counts(declarations, partitions, _live_counts(described, prefix))
        missing = [d for d in declarations if prefix + d.name not in described]
        new = [
            NewTopic(prefix + d.name, counts[d.name], copies, topic_configs=dict(d.config)) for d in missing
        ]
        answer = (await admin.create_topics(new)).to_object()["topic_errors"] if new else []
        codes = {topic["topic"]: (topic["error_code"], topic["error_message"]) for topic in answer}
        refused = [
            (name, f"{text or code}")
            for name, (code, text) in codes.items()
            if code not in (0, EXISTS_ALREADY)
        ]
        created = {name for name, (code, _) in codes.items() if code == 0}
        await _wait_for_leaders(admin, created)
    if refused:
        raise TopicRefusedError(refused)
    return [
        (name, "created" if name in created else "exists") for name in (prefix + d.name for d in declarations)
    ]


async def check_topics(
    brokers: str,
    declarations: Sequence[TopicDeclaration],
    *,
    prefix: str = "",
    partitions: int | None = None,
    timeout_s: float = TIMEOUT_S,
    client: Mapping[str, Any] | None = None,
) -> list[Problem]:
    """Every way in which the cluster differs from the declarations; empty when it fits.

    ``partitions`` None accepts the count that the cluster's journal has, so that a cluster created with an
    override needs none to be checked. Raises BrokerUnreachable.
    """
    async with _admin(brokers, timeout_s, client) as admin:
        described = await _describe(admin)
        present = [prefix + d.name for d in declarations if prefix + d.name in described]
        configs = await _configs(admin, present)
    live = _live_counts(described, prefix)
    counts = _counts(declarations, partitions or live.get(JOURNAL), live)
    problems: list[Problem] = []
    for declaration in declarations:
        name = prefix + declaration.name
        if name not in described:
            fix = "headwater topics create"
            problems.append(
                Problem(name, "missing", f"{counts[declaration.name]} partitions", "no topic", fix)
            )
            continue
        problems += _count_problem(declaration, name, counts[declaration.name], len(described[name]))
        problems += _config_problems(declaration, name, configs[name], brokers)
    return problems


async def list_topics(
    brokers: str, *, prefix: str = "", timeout_s: float = TIMEOUT_S, client: Mapping[str, Any] | None = None
) -> list[TopicInfo]:
    """The cluster's topics whose name begins with ``prefix``, by name, Kafka's own left out."""
    async with _admin(brokers, timeout_s, client) as admin:
        described = await _describe(admin)
    return [
        TopicInfo(name, len(parts), min(len(part["replicas"]) for part in parts))
        for name, parts in sorted(described.items())
        if name.startswith(prefix)
    ]


def _counts(
    declarations: Sequence[TopicDeclaration], partitions: int | None, live: Mapping[str, int]
) -> dict[str, int]:
    """The partition count each topic should have; a followed topic that exists decides for its followers."""
    counts = {d.name: d.partitions or partitions or DEFAULT_PARTITIONS for d in declarations}
    for d in declarations:
        if d.follows is not None:
            counts[d.name] = live.get(d.follows) or counts.get(d.follows) or counts[d.name]
    return counts


def _count_problem(declaration: TopicDeclaration, name: str, expected: int, found: int) -> list[Problem]:
    if declaration.any_partitions or found == expected:
        return []
    why = f" (as {declaration.follows})" if declaration.follows else ""
    fix = "a count in use cannot change: create the topics under another topic_prefix and replay the input"
    return [Problem(name, "partitions", f"{expected}{why}", str(found), fix)]


def _config_problems(
    declaration: TopicDeclaration, name: str, found: Mapping[str, str], brokers: str
) -> list[Problem]:
    def problem(what: str, expected: str, wanted: str) -> Problem:
        fix = (
            f"kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics "
            f"--entity-name {name} --add-config {what}={wanted}"
        )
        return Problem(name, what, expected, found.get(what, "not set"), fix)

    problems = []
    policy = declaration.config.get(CLEANUP)
    if policy is not None and found.get(CLEANUP) != policy:
        problems.append(problem(CLEANUP, policy, policy))
    for what in (COMPACTION_LAG, MESSAGE_BYTES):
        least = declaration.config.get(what)
        if least is not None and int(found.get(what, "0")) < int(least):
            problems.append(problem(what, f"at least {least}", least))
    kept = int(found.get(RETENTION, "-1"))
    if "delete" in found.get(CLEANUP, "") and 0 <= kept < declaration.least_retention_ms:
        problems.append(problem(RETENTION, f"-1 or at least {declaration.least_retention_ms}", "-1"))
    return problems


def _live_counts(described: Mapping[str, Sequence[Any]], prefix: str) -> dict[str, int]:
    """Partition counts by name without the prefix."""
    return {
        name.removeprefix(prefix): len(parts) for name, parts in described.items() if name.startswith(prefix)
    }


class _Heard(logging.Handler):
    """Keeps what the client logs: its exceptions leave the cause out."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@asynccontextmanager
async def _admin(
    brokers: str, timeout_s: float, client: Mapping[str, Any] | None
) -> AsyncIterator[AIOKafkaAdminClient]:
    heard = _Heard()
    logging.getLogger("aiokafka").addHandler(heard)
    admin = AIOKafkaAdminClient(
        bootstrap_servers=brokers, request_timeout_ms=int(timeout_s * 1000), **(client or {})
    )
    try:
        async with asyncio.timeout(timeout_s):
            await admin.start()
            yield admin
    except TimeoutError:
        raise BrokerUnreachable(brokers, f"no answer within {timeout_s:g} s") from None
    except (KafkaError, OSError) as error:
        raise BrokerUnreachable(brokers, heard.lines[-1] if heard.lines else error) from error
    finally:
        await admin.close()
        logging.getLogger("aiokafka").removeHandler(heard)


async def _describe(admin: AIOKafkaAdminClient) -> dict[str, list[dict[str, Any]]]:
    """Partitions of every topic. Asking for all never creates one, as asking for a name may."""
    topics = await admin.describe_topics()
    return {topic["topic"]: topic["partitions"] for topic in topics if not topic["is_internal"]}


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        resource["resource_name"]: {e["config_names"]: e["config_value"] for e in resource["config_entries"]}
        for answer in answers
        for resource in answer.to_object()["resources"]
    }


async def _wait_for_leaders(admin: AIOKafkaAdminClient, names: set[str]) -> None:
    """Apache Kafka answers before a new partition has a leader; whoever asks it then gets an error."""
    while names:
        described = await _describe(admin)
        if all(name in described and all(part["leader"] >= 0 for part in described[name]) for name in names):
            return
        await asyncio.sleep(0.05)
