"""A batching runtime on Faust's extension points: handlers get runs of records and return effects.

Faust keeps group membership, assignment, rebalancing, flow control, supervision and the recovery's orchestration. The
engine hands an agent all records of one partition from one fetch, writes pre-built batches, and commits only what is
acknowledged. It knows nothing of what the records mean.
"""

from streams.engine.app import EngineApp, build_app
from streams.engine.errors import (
    EngineError,
    InvalidSettings,
    NoAssignment,
    RecordTooLarge,
    TopicsMissing,
    UnknownTopic,
)
from streams.engine.follower import FollowerSpec
from streams.engine.observer import Health, Observer
from streams.engine.settings import AgentSpec, EngineSettings, Security, changelog_name
from streams.engine.worker import run_worker, serve

__all__ = [
    "AgentSpec",
    "EngineApp",
    "EngineError",
    "EngineSettings",
    "FollowerSpec",
    "Health",
    "InvalidSettings",
    "NoAssignment",
    "Observer",
    "RecordTooLarge",
    "Security",
    "TopicsMissing",
    "UnknownTopic",
    "build_app",
    "changelog_name",
    "run_worker",
    "serve",
]
