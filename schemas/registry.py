"""One declaration per topic: who writes it, what its key and rows are, and how Kafka keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from schemas.events import EVENTS, EventType
from schemas.metric_rows import Cost, FunnelStage, Models, Revenue, SourceDisagreement, StageTeam
from schemas.outbound import AccountJourney, Alert, Credit, ModelParameters, Probability
from schemas.row import Row

DAY_MS = 86_400_000
DEFAULT_PARTITIONS = 12
COMPACTION_LAG_MS = 7 * DAY_MS
"""A sink may be this slow and still see every version and every tombstone of a compacted output."""

# What a full rebuild reads: the shipped lookback (365 days) and max_lateness (90 days); older facts change nothing.
SOURCE_RETENTION_MS = 455 * DAY_MS
# State lives in the changelogs, and a rebuild starts from the sources, so the log itself is read only from the
# last committed offset on. What it must outlive is the longest time a worker stays away: a month of it is more
# than any outage that goes unnoticed, and an erased person's bytes are gone within the month the law allows.
LOG_RETENTION_MS = 30 * DAY_MS
ALERT_RETENTION_MS = 90 * DAY_MS
DEAD_LETTER_RETENTION_MS = 30 * DAY_MS

Cleanup = Literal["delete", "compact"]
Direction = Literal["in", "out", "internal"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic, named without the installation's prefix."""

    name: str
    direction: Direction
    key: str
    """What the key is, in words."""
    description: str
    cleanup: Cleanup = "delete"
    retention_ms: int | None = None
    """How long records are kept; None for a compacted topic, which keeps the last of every key."""
    partitions: int = DEFAULT_PARTITIONS
    any_partitions: bool = False
    """True where any count serves: source topics belong to others."""
    compaction_lag_ms: int | None = None
    events: Mapping[str, EventType] | None = None
    """Type -> what it holds, for a source topic."""
    rows: tuple[type[Row], ...] = ()
    """The kinds of row, for an output."""

    @property
    def config(self) -> dict[str, str]:
        """The topic's settings at creation, by Kafka's names."""
        settings: dict[str, str] = {"cleanup.policy": self.cleanup}
        if self.retention_ms is not None:
            settings["retention.ms"] = str(self.retention_ms)
        if self.compaction_lag_ms is not None:
            settings["min.compaction.lag.ms"] = str(self.compaction_lag_ms)
            settings["delete.retention.ms"] = str(self.compaction_lag_ms)
        return settings


def _source(name: str, description: str) -> Topic:
    return Topic(
        name, "in", "any; ingest re-keys", description, "delete", SOURCE_RETENTION_MS,
        any_partitions=True, events=EVENTS[name],
    )  # fmt: skip


def _output(name: str, key: str, description: str, *rows: type[Row], direction: Direction = "out") -> Topic:
    return Topic(
        name, direction, key, description, "compact", compaction_lag_ms=COMPACTION_LAG_MS, rows=rows
    )  # fmt: skip


def _log(name: str, key: str, description: str, partitions: int = DEFAULT_PARTITIONS) -> Topic:
    return Topic(name, "internal", key, description, "delete", LOG_RETENTION_MS, partitions)


TOPICS: Mapping[str, Topic] = MappingProxyType({
    topic.name: topic
    for topic in (
        _source("touchpoints", "touches, inbound and outbound, and spend"),
        _source("leads", "leads, qualification, identity links, merges, erasure"),
        _source("deals", "deal patches, movements of recurring revenue, refunds"),
        _output(
            "attribution-credits", "credit_id", "one row per conversion and touch, all models as columns", Credit
        ),
        _output(
            "pipeline-probabilities", "subject_id (deal:<id> or lead:<id>)",
            "chance of winning, expected value, reasons", Probability,
        ),
        Topic(
            "account-alerts", "out", "account_id, so that an account's alerts stay in order",
            "cooled, rewarmed, stuck_deal, follow_up_missed", "delete", ALERT_RETENTION_MS, rows=(Alert,),
        ),
        _output(
            "account-journeys", "account_id", "snapshot of an account for writing back to a CRM", AccountJourney
        ),
        _output(
            "funnel-metrics", "row_id (kind, window and segment)",
            "the funnel by stage, credit by segment, models side by side, costs, CRM sources against first touches",
            FunnelStage, Revenue, StageTeam, Models, Cost, SourceDisagreement,
        ),
        _output("forecasts", "period, segment and currency", "forecast and its interval"),
        _output(
            "model-parameters", "parameter_id (holds model and version)", "learned parameters; old versions stay",
            ModelParameters, direction="internal",
        ),
        _log("journal", "root of the native key", "everything that can change an account, in one log"),
        # one partition: identity needs one total order, and carries links and watermarks, not traffic
        _log("control", "source partition or identifier", "identity links and source watermarks", 1),
        Topic(
            "identity", "internal", "identifier, node or mark, with its kind before it",
            "what has been decided about identities; every worker keeps a copy", "compact", partitions=1,
            compaction_lag_ms=COMPACTION_LAG_MS,
        ),
        # not compacted: journal partitions share a row's key, and the last of them is not all of them
        _log("partials", "metric row", "partial sums of a journal partition, absolute"),
        Topic(
            "dead-letters", "out", "the original key", "original bytes, key and headers, with the reason as headers",
            "delete", DEAD_LETTER_RETENTION_MS,
        ),
    )
})  # fmt: skip
"""Name -> declaration, in the order of the contract."""
