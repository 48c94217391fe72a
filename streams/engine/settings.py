"""What an engine is built from: settings, and one specification per agent."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import faust

from streams.effects import Handler
from streams.engine.errors import InvalidSettings

PartitionCounts = Mapping[str, int] | Callable[[str], int]
"""Partition count per topic name."""

MIN_SESSION_TIMEOUT_MS = 6_000
"""Kafka's default ``group.min.session.timeout.ms``. Faust keeps waiting for ever when the broker refuses less."""


@dataclass(frozen=True, slots=True)
class Security:
    """How to reach the brokers. Without anything set: plain text."""

    ssl_context: ssl.SSLContext | None = None
    sasl_mechanism: str | None = None
    """PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token_provider: Any = field(default=None, repr=False)
    """For OAUTHBEARER: an aiokafka ``AbstractTokenProvider``."""

    def credentials(self) -> Any:
        """As Faust wants them; None for plain text."""
        if self.token_provider is not None:
            return faust.OAuthCredentials(oauth_cb=self.token_provider, ssl_context=self.ssl_context)
        if self.sasl_mechanism is not None:
            return faust.SASLCredentials(
                username=self.username,
                password=self.password,
                mechanism=self.sasl_mechanism,
                ssl_context=self.ssl_context,
            )
        return None if self.ssl_context is None else faust.SSLCredentials(self.ssl_context)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of one worker; times in milliseconds unless the name says seconds. Raises ``InvalidSettings``."""

    app_id: str
    """Consumer group, and first part of the names of changelog topics."""
    brokers: str
    """``host:port`` of one or more brokers, separated by commas."""
    data_dir: str
    store: Literal["memory", "rocksdb"] = "memory"
    """Where tables are kept: in memory, or in RocksDB under ``data_dir``, from where a restart goes on."""
    client_id: str = ""
    """How the worker calls itself at the brokers; empty: by the app_id."""
    session_timeout_ms: int = 10_000
    heartbeat_interval_ms: int = 3_000
    rebalance_timeout_ms: int = 60_000
    """How long the group waits in a rebalance for members to finish what they began."""
    request_timeout_ms: int = 40_000
    """Of one request to a broker; a batch is retried until it is written, however long that takes."""
    commit_interval_ms: int = 500
    batch_max: int = 500
    """Records in a run, at most: the longest time an agent holds the event loop."""
    max_open_runs: int = 4
    """Full runs of one partition whose effects may be under way at the same time; more of them if they are small."""
    yield_lag: int = 20_000
    """An agent waits while the topics that it yields to lag by more records, in this worker, until half are left."""
    fetch_max_wait_ms: int = 100
    fetch_max_bytes: int = 2 << 20
    """Of one partition in one fetch."""
    check_crcs: bool = True
    batch_bytes: int = 1 << 20
    """Size at which a record batch is closed. A larger record travels in a batch of its own."""
    max_request_bytes: int = 4 << 20
    """A record above this is refused with ``RecordTooLarge``."""
    compression: str | None = None
    assignment_deadline_s: float = 120.0
    """A worker that is not given an assignment within this time, at start or in a rebalance, ends."""
    commit_deadline_s: float = 120.0
    """A worker that cannot commit for so long what it has handled, although brokers answer, ends."""
    stop_deadline_s: float = 30.0
    """Time for a clean stop; what is not acknowledged then is handled again by the next owner."""
    security: Security = field(default_factory=Security)
    changelog_replication: int | None = None
    """Replication factor of changelog topics that the worker creates; None: 3, or as many as there are brokers."""
    changelog_config: Mapping[str, str] = field(default_factory=dict)
    create_changelogs: bool = True

    def __post_init__(self) -> None:
        problems = self.problems()
        if problems:
            raise InvalidSettings(problems)

    @property
    def replay_window(self) -> int:
        """Records of one partition that may have been handled beyond its committed offset.

        The engine stops handing over records of a partition when so many are not committed, so it bounds what an
        earlier owner of the partition can have done that the group does not know of: runs whose effects were
        under way (``max_open_runs``), and as many again that were acknowledged and waited for the next commit.
        All workers of a group must therefore run with the same ``batch_max`` and ``max_open_runs``.
        """
        return 2 * self.max_open_runs * self.batch_max

    def problems(self) -> list[str]:
        """Everything that is wrong, in words."""
        found = []
        if not self.app_id:
            found.append("app_id is empty")
        if not self.brokers.strip(", "):
            found.append("brokers is empty")
        if self.session_timeout_ms < MIN_SESSION_TIMEOUT_MS:
            found.append(
                f"session_timeout_ms is {self.session_timeout_ms}, brokers refuse less than {MIN_SESSION_TIMEOUT_MS}"
            )
        if not 0 < self.heartbeat_interval_ms * 3 <= self.session_timeout_ms:
            found.append("heartbeat_interval_ms must be positive and at most a third of session_timeout_ms")
        if self.request_timeout_ms < self.session_timeout_ms:
            found.append("request_timeout_ms must not be below session_timeout_ms")
        for name in (
            "commit_interval_ms",
            "batch_max",
            "max_open_runs",
            "yield_lag",
            "fetch_max_wait_ms",
            "fetch_max_bytes",
        ):
            if getattr(self, name) < 1:
                found.append(f"{name} must be at least 1")
        if self.commit_deadline_s * 1000 <= self.commit_interval_ms:
            found.append("commit_deadline_s must be longer than commit_interval_ms")
        if self.rebalance_timeout_ms < self.session_timeout_ms:
            found.append("rebalance_timeout_ms must not be below session_timeout_ms")
        if not 0 < self.batch_bytes <= self.max_request_bytes:
            found.append("batch_bytes must be positive and at most max_request_bytes")
        return found


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent: a handler, the topics it reads and the table it owns."""

    name: str
    topics: tuple[str, ...]
    """All consumed with the same handler. With a table they must have equal partition counts."""
    handler: Handler
    table: str | None = None
    interval_s: float | None = None
    """How often the handler's ``interval`` is called for every owned partition; None: never."""
    writes: tuple[str, ...] = ()
    """Topics the handler writes to; they are checked at start."""
    yields_to: tuple[str, ...] = ()
    """Topics of other agents, which yield to none, that come first: see ``EngineSettings.yield_lag``."""


def changelog_name(app_id: str, table: str) -> str:
    """Name of a table's changelog topic."""
    return f"{app_id}-{table}-changelog"


def agent_problems(agents: tuple[AgentSpec, ...]) -> list[str]:
    """What is wrong with a set of agents, in words."""
    found = []
    names = [agent.name for agent in agents]
    tables = [agent.table for agent in agents if agent.table is not None]
    topics = [topic for agent in agents for topic in agent.topics]
    for kind, values in (("agent", names), ("table", tables), ("topic", topics)):
        found += [f"{kind} {v!r} is used twice" for v in sorted({v for v in values if values.count(v) > 1})]
    found += [f"agent {agent.name!r} reads no topic" for agent in agents if not agent.topics]
    found += [
        f"interval_s of agent {agent.name!r} must be positive"
        for agent in agents
        if agent.interval_s is not None and agent.interval_s <= 0
    ]
    patient = {topic for agent in agents if agent.yields_to for topic in agent.topics}
    for agent in agents:
        for topic in agent.yields_to:
            if topic not in topics:
                found.append(f"agent {agent.name!r} yields to {topic!r}, which no agent reads")
            elif topic in patient:
                found.append(
                    f"agent {agent.name!r} yields to {topic!r}, which is read by one that yields itself"
                )
    return found if agents else ["no agents"]
