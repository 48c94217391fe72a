"""Sections ``kafka``, ``topics`` and ``worker``: the cluster, what is read from it, and the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema, field_validator, model_validator

from schemas.formats import FORMATS, NATIVE, Format, with_options
from schemas.formats.field_map import SCHEMA as FIELDS_SCHEMA
from streams.settings.values import EngineName, PositiveSpan, Section, TopicName
from streams.topology import ANSWERS, CONTROL, DEAD_LETTERS, JOURNAL, PARTIALS

_OURS = frozenset((*ANSWERS, CONTROL, DEAD_LETTERS, JOURNAL, PARTIALS))
KINDS = ("touchpoints", "leads", "deals")
MIN_SESSION_TIMEOUT_MS = 6_000
"""Kafka's default ``group.min.session.timeout.ms``; a broker refuses less."""
LARGEST_INPUT = 3 << 20
"""A journal record or dead letter is its message and up to 1 MiB of keys and headers: ``LARGEST_MESSAGE``."""


class Tls(Section):
    """Encryption. Without a CA file the system's certificates are trusted."""

    enabled: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    """Client certificate (PEM), for mutual TLS."""
    key_file: Path | None = None
    key_password: SecretStr | None = None
    verify_hostname: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [name for name in ("ca_file", "cert_file", "key_file") if getattr(self, name) is not None]
        if given and not self.enabled:
            raise ValueError(f"{' and '.join(given)} without TLS: set enabled: true")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("a client certificate needs both cert_file and key_file")
        return self

    @field_validator("ca_file", "cert_file", "key_file")
    @classmethod
    def _there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError("is not a file: correct the path, or mount it")
        return path


class Sasl(Section):
    """Who we are. OAUTHBEARER takes its token from ``token_file``, ``token``, or the ``token_url``."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
    username: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    """Read again whenever the broker asks, so that something else may renew it."""
    token_url: str | None = None
    """Endpoint of the client credentials grant (RFC 6749, section 4.4)."""
    client_id: str | None = None
    client_secret: SecretStr | None = None
    scope: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mechanism != "OAUTHBEARER":
            if self.username is None or self.password is None:
                raise ValueError(f"{self.mechanism} needs username and password")
            return self
        sources = [name for name in ("token", "token_file", "token_url") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise ValueError("OAUTHBEARER needs exactly one of token, token_file and token_url")
        if self.token_url is not None and (self.client_id is None or self.client_secret is None):
            raise ValueError("token_url needs client_id and client_secret")
        return self


class Security(Section):
    """How to reach the brokers. Without anything set: plain text."""

    tls: Tls = Tls()
    sasl: Sasl | None = None


def _joined(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list) else value


class Kafka(Section):
    """The cluster."""

    brokers: Annotated[str, BeforeValidator(_joined, json_schema_input_type=str | list[str])] = (
        "127.0.0.1:9092"
    )
    """``host:port``, several separated by commas or as a list."""
    security: Security = Security()

    @field_validator("brokers")
    @classmethod
    def _addresses(cls, value: str) -> str:
        addresses = [each.strip() for each in value.split(",") if each.strip()]
        if not addresses:
            raise ValueError("is empty: give host:port of at least one broker")
        for address in addresses:
            host, colon, port = address.rpartition(":")
            if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
                raise ValueError(f"{address!r} is not host:port")
        return ",".join(addresses)


def _texts(value: Any) -> Any:
    """Ids in YAML are often numbers."""
    if not isinstance(value, dict):
        return value
    return {str(key) if type(key) is int else key: each for key, each in value.items()}


Names = Annotated[dict[str, str], BeforeValidator(_texts)]
FieldMaps = Annotated[dict[str, Any] | list[Any], WithJsonSchema(FIELDS_SCHEMA)]


class SourceTopic(Section):
    """A topic that is read, named without the prefix."""

    name: TopicName
    format: str = NATIVE
    """What its records are written in; any of the input formats."""
    track_events: dict[str, str] | None = None
    """``segment``, ``snowplow``, ``posthog``: name of an event -> touch type, or ``ignore``; replaces the shipped
    table."""
    group_type: str | None = None
    """``posthog``: the type of group whose keys are account ids; default ``company``."""
    stages: Names | None = None
    """``hubspot``, ``pipedrive``, ``salesforce_cdc``: id of a stage there -> configured stage; ids that are not
    named are taken as they are."""
    pipelines: Names | None = None
    """``hubspot``, ``pipedrive``: id of a pipeline there -> configured pipeline; replaces the shipped table."""
    lead_stages: Names | None = None
    """``hubspot``, ``salesforce_cdc``: lifecycle stage or status of a lead there -> created, mql, sql or
    disqualified; replaces the shipped table."""
    id_prefix: str | None = None
    """``hubspot``, ``pipedrive``, ``salesforce_cdc``: goes before the ids of contacts, accounts, leads and deals,
    where two systems number theirs alike."""
    fields: FieldMaps | None = None
    """``field_map``, ``debezium``: native field -> where it stands; one map, or one for each type of message."""

    @field_validator("name")
    @classmethod
    def _not_ours(cls, value: str) -> str:
        if value in _OURS:
            raise ValueError("is a topic of our own: read another one")
        return value

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in FORMATS:
            raise ValueError(f"is no input format: use one of {', '.join(FORMATS)}")
        return value

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        self.form()
        return self

    def form(self) -> str | Format:
        """The format with its options, as ``schemas.formats.decoder_of`` takes it."""
        options = {name: getattr(self, name) for name in FORMAT_OPTIONS}
        given = any(value is not None for value in options.values())
        made = with_options(self.format, options)
        return made if given else self.format


FORMAT_OPTIONS = tuple(name for name in SourceTopic.model_fields if name not in ("name", "format"))


def _named(value: Any) -> Any:
    """A plain name stands for a topic in the native format, and one entry for a list of it."""
    entries = value if isinstance(value, list) else [value]
    return [{"name": entry} if isinstance(entry, str) else entry for entry in entries]


_Entry = str | SourceTopic
Sources = Annotated[
    tuple[SourceTopic, ...], BeforeValidator(_named, json_schema_input_type=_Entry | list[_Entry])
]


class Topics(Section):
    """Topics read, per kind, and how new topics are made."""

    touchpoints: Sources = (SourceTopic(name="touchpoints"),)
    leads: Sources = (SourceTopic(name="leads"),)
    deals: Sources = (SourceTopic(name="deals"),)
    partitions: Annotated[int, Field(ge=1, le=1_024)] = 12
    """Of a topic at creation; the journal's count never changes afterwards."""
    replication_factor: Annotated[int, Field(ge=1, le=15)] | None = None
    """None: 3, or the number of brokers if that is less."""
    max_message_bytes: Annotated[int, Field(ge=1_024, le=LARGEST_INPUT)] = 1 << 20
    """A longer message is refused as too_large. At most 3 MiB, since what follows from a message must fit a
    request of 4 MiB. Above 1 MiB, ``max.message.bytes`` of the source topics must be higher too:
    ``headwater topics create`` sees to it, ``headwater topics check`` says where it is not."""
    future_limit: PositiveSpan = 5 / 1_440
    """How far ahead of the clock an event may be."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [source.name for kind in KINDS for source in getattr(self, kind)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"topic {', '.join(twice)} is named twice: a topic has one kind and one format")
        return self


class Worker(Section):
    """The engine. Times in milliseconds unless the name says seconds."""

    app_id: EngineName = "headwater"
    """Consumer group, and first part of the changelogs' names."""
    data_dir: Path = Path("headwater-data")
    """A directory of this worker's own."""
    store: Literal["memory", "rocksdb"] = "memory"
    """Where the state is kept beside its changelog topics. ``memory``: quick, and a start reads all of them.
    ``rocksdb``: on disk under ``data_dir``, for state that is larger than memory; a start on the same directory
    reads only what is new."""
    session_timeout_ms: Annotated[int, Field(ge=MIN_SESSION_TIMEOUT_MS, le=300_000)] = 10_000
    heartbeat_interval_ms: Annotated[int, Field(ge=1)] = 3_000
    request_timeout_ms: Annotated[int, Field(ge=1)] = 40_000
    commit_interval_ms: Annotated[int, Field(ge=1)] = 500
    batch_max: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Records in a run, at most. The same for all workers of a group."""
    max_open_runs: Annotated[int, Field(ge=1, le=64)] = 4
    """Runs of one partition under way at once. The same for all workers of a group."""
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = None
    tick_ms: Annotated[int, Field(ge=1)] = 1_000
    """Least wall clock between two ticks of event time."""
    source_idle_s: Annotated[float, Field(gt=0)] = 30.0
    """A source partition silent for so long no longer holds event time back."""
    backlog_after_s: Annotated[float, Field(gt=0)] = 900.0
    """An event that is older than this when it is read belongs to a backlog: its account is answered when event time
    has passed it, so that a history is answered once and not with every topic that catches up."""
    assignment_deadline_s: Annotated[float, Field(gt=0)] = 120.0
    stop_deadline_s: Annotated[float, Field(gt=0)] = 30.0

    @model_validator(mode="after")
    def _timeouts_fit(self) -> Self:
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            raise ValueError(
                f"heartbeat_interval_ms {self.heartbeat_interval_ms} is more than a third of "
                f"session_timeout_ms {self.session_timeout_ms}: lower the one or raise the other"
            )
        if self.request_timeout_ms < self.session_timeout_ms:
            raise ValueError(
                f"request_timeout_ms {self.request_timeout_ms} is below session_timeout_ms "
                f"{self.session_timeout_ms}: raise it"
            )
        return self
