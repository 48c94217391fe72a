"""The declaration of every topic."""

from __future__ import annotations

import pytest

from schemas.events import EVENTS
from schemas.registry import TOPICS, Topic

CONTRACT = {
    "touchpoints": ("in", "delete"),
    "leads": ("in", "delete"),
    "deals": ("in", "delete"),
    "attribution-credits": ("out", "compact"),
    "pipeline-probabilities": ("out", "compact"),
    "account-alerts": ("out", "delete"),
    "account-journeys": ("out", "compact"),
    "funnel-metrics": ("out", "compact"),
    "forecasts": ("out", "compact"),
    "model-parameters": ("internal", "compact"),
    "journal": ("internal", "delete"),
    "control": ("internal", "delete"),
    "identity": ("internal", "compact"),
    "partials": ("internal", "delete"),
    "dead-letters": ("out", "delete"),
}
COMPACTED = [topic for topic in TOPICS.values() if topic.cleanup == "compact"]
DELETED = [topic for topic in TOPICS.values() if topic.cleanup == "delete"]
DAY_MS = 86_400_000


def name_of(topic: Topic) -> str:
    return topic.name


def test_the_topics_are_those_of_the_contract_in_its_order() -> None:
    declared = {topic.name: (topic.direction, topic.cleanup) for topic in TOPICS.values()}
    assert list(declared.items()) == list(CONTRACT.items())


@pytest.mark.parametrize("topic", COMPACTED, ids=name_of)
def test_a_compacted_topic_lets_a_slow_sink_see_every_version_for_a_week(topic: Topic) -> None:
    assert topic.config == {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(7 * DAY_MS),
        "delete.retention.ms": str(7 * DAY_MS),
    }


@pytest.mark.parametrize("topic", DELETED, ids=name_of)
def test_a_topic_that_is_not_compacted_says_how_long_it_keeps_records(topic: Topic) -> None:
    assert topic.config == {"cleanup.policy": "delete", "retention.ms": str(topic.retention_ms)}
    assert (topic.retention_ms or 0) >= 30 * DAY_MS


def test_sources_are_kept_for_a_whole_lookback_and_all_lateness() -> None:
    assert TOPICS["touchpoints"].retention_ms == (365 + 90) * DAY_MS


def test_alerts_are_kept_for_ninety_days() -> None:
    assert TOPICS["account-alerts"].retention_ms == 90 * DAY_MS


def test_what_needs_one_order_has_one_partition() -> None:
    assert {topic.name for topic in TOPICS.values() if topic.partitions == 1} == {"control", "identity"}
    assert {topic.partitions for topic in TOPICS.values()} == {1, 12}


def test_only_sources_may_have_any_partition_count_and_types() -> None:
    sources = {name for name, topic in TOPICS.items() if topic.direction == "in"}
    assert {name for name, topic in TOPICS.items() if topic.any_partitions} == sources
    assert {name: topic.events for name, topic in TOPICS.items() if topic.events} == dict(EVENTS)


@pytest.mark.parametrize("topic", [topic for topic in COMPACTED if topic.rows], ids=name_of)
def test_rows_of_a_compacted_topic_end_with_version_and_is_deleted_and_hold_their_key(topic: Topic) -> None:
    for row in topic.rows:
        assert list(row.model_fields)[-2:] == ["version", "is_deleted"]
        assert topic.key.split()[0] in row.model_fields


@pytest.mark.parametrize(
    "row", [row for topic in TOPICS.values() for row in topic.rows], ids=lambda r: r.__name__
)
def test_every_time_of_a_row_is_followed_by_its_milliseconds(row: type) -> None:
    names = list(row.model_fields)  # type: ignore[attr-defined]
    times = [name for name in names if name.endswith(("_at", "as_of", "_through")) or name == "at"]
    assert [names[names.index(name) + 1] for name in times] == [f"{name}_ms" for name in times]
