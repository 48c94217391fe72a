from __future__ import annotations

from dataclasses import fields

from schemas.registry import TOPICS
from streams.engine.settings import EngineSettings, changelog_name
from streams.settings.kafka import LARGEST_INPUT
from streams.topics import LARGEST_MESSAGE, TopicDeclaration, declared_topics, kept_for_ever

DAY_MS = 86_400_000


def by_name(declarations: list[TopicDeclaration]) -> dict[str, TopicDeclaration]:
    return {declaration.name: declaration for declaration in declarations}


def test_every_registered_topic_and_every_table_changelog_is_declared() -> None:
    names = [declaration.name for declaration in declared_topics("app")]
    assert names == [*TOPICS, *(changelog_name("app", t) for t in ("journey", "coordinator", "totals"))]


def test_a_changelog_follows_the_topic_of_its_agent_and_is_compacted() -> None:
    declared = by_name(declared_topics("app"))
    follows = {name: d.follows for name, d in declared.items() if d.follows}
    assert follows == {
        "app-journey-changelog": "journal",
        "app-coordinator-changelog": "control",
        "app-totals-changelog": "partials",
    }
    assert {declared[name].config["cleanup.policy"] for name in follows} == {"compact"}


def test_only_control_and_identity_have_a_fixed_count_and_only_sources_may_have_any() -> None:
    declared = declared_topics("app")
    assert {d.name: d.partitions for d in declared if d.partitions} == {"control": 1, "identity": 1}
    assert {d.name for d in declared if d.any_partitions} == {"touchpoints", "leads", "deals"}


def test_several_source_topics_may_feed_one_kind() -> None:
    declared = by_name(declared_topics("app", sources={"touchpoints": ["web", "calls"], "leads": ["crm"]}))
    assert {d.name for d in declared.values() if d.any_partitions} == {"web", "calls", "crm", "deals"}
    assert "touchpoints" not in declared


def test_a_source_is_kept_and_must_be_kept_as_long_as_the_lookback() -> None:
    for days in (365, 1_000):
        touchpoints = by_name(declared_topics("app", lookback_ms=days * DAY_MS))["touchpoints"]
        assert touchpoints.least_retention_ms == days * DAY_MS
        assert int(touchpoints.config["retention.ms"]) >= days * DAY_MS


def test_a_source_must_take_messages_of_the_size_that_is_accepted() -> None:
    assert "max.message.bytes" not in by_name(declared_topics("app"))["deals"].config
    larger = by_name(declared_topics("app", max_message_bytes=LARGEST_INPUT))["deals"]
    assert LARGEST_INPUT < int(larger.config["max.message.bytes"]) < LARGEST_MESSAGE


def test_whatever_a_worker_may_write_fits_into_the_topics_it_writes_to() -> None:
    (limit,) = (f.default for f in fields(EngineSettings) if f.name == "max_request_bytes")
    assert limit == LARGEST_MESSAGE
    written = [d for d in declared_topics("app") if not d.any_partitions]
    assert {d.config["max.message.bytes"] for d in written} == {str(LARGEST_MESSAGE)}


def test_kept_for_ever_lifts_every_age_limit_and_changes_nothing_else() -> None:
    for before, after in zip(declared_topics("app"), kept_for_ever(declared_topics("app")), strict=True):
        limits = {"retention.ms": "-1"} if "retention.ms" in before.config else {}
        assert after.config == {**before.config, **limits}
        assert (after.name, after.partitions, after.follows) == (
            before.name,
            before.partitions,
            before.follows,
        )
