"""What the engine reports, as a worker exposes it."""

from __future__ import annotations

from streams import instrument
from streams.agents.slice import Slice
from streams.effects import Effects, Output, Run, StatelessHandler, TableView
from streams.engine.observer import Observer
from streams.memory.executor import MemoryTable
from streams.metrics import Metrics
from tests.builders import service


class Writer(StatelessHandler):
    """Writes one record beside its state and one behind it."""

    def handle(self, run: Run, table: TableView) -> Effects:
        return Effects([Output("account-alerts", b"k", b"v")], after=[Output("journal", b"k", b"v")])


def watched(prefix: str = "") -> tuple[Metrics, Observer]:
    metrics = Metrics()
    return metrics, instrument.observer(metrics, service(), prefix)


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Label values -> value of a metric as it is exposed."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"headwater_{name}"
    }


def test_lag_is_shown_of_the_partitions_that_are_owned_now() -> None:
    metrics, observer = watched()
    observer.lag({("journal", 0): 5, ("journal", 1): 7, ("deals", 0): 0})
    observer.lag({("journal", 1): 2})
    assert samples(metrics, "consumer_lag_records") == {("journal", "1"): 2}
    observer.lag({})
    assert samples(metrics, "consumer_lag_records") == {}


def test_a_watermark_is_shown_of_the_partitions_that_are_owned_now() -> None:
    metrics, made = Metrics(), service()
    made.journey.slices = {0: Slice(), 1: Slice()}
    made.journey.slices[1].watermark = 5_500
    instrument.refresh(metrics, made, {})
    assert samples(metrics, "watermark_timestamp_seconds").keys() == {("0",), ("1",)}
    made.journey.revoked(0)
    instrument.refresh(metrics, made, {})
    assert samples(metrics, "watermark_timestamp_seconds") == {("1",): 5.5}


def test_replacing_a_gauge_leaves_the_others_alone() -> None:
    metrics = Metrics()
    metrics.set("ready", 1)
    metrics.replace("consumer_lag_records", {("journal", "0"): 3})
    assert samples(metrics, "ready") == {(): 1}
    assert samples(metrics, "consumer_lag_records") == {("journal", "0"): 3}


def test_topics_are_labels_without_the_installations_prefix() -> None:
    metrics, observer = watched("eu-")
    observer.lag({("eu-journal", 0): 5})
    observer.gap_probed("eu-journal", 0)
    observer.foreign_write("eu-worker-journey-changelog", 0)
    observer.outputs_acked("journey", {"eu-account-alerts": 1}, [500], 1_500)
    assert samples(metrics, "consumer_lag_records") == {("journal", "0"): 5}
    assert samples(metrics, "gap_probes_total") == {("journal", "0"): 1}
    assert samples(metrics, "foreign_writes_total") == {("worker-journey-changelog",): 1}
    assert samples(metrics, "end_to_end_latency_seconds_sum") == {("account-alerts",): 1.0}


def test_foreign_writes_are_counted_by_changelog() -> None:
    metrics, observer = watched()
    for partition in (0, 0, 3):
        observer.foreign_write("hw-journey-changelog", partition)
    assert samples(metrics, "foreign_writes_total") == {("hw-journey-changelog",): 3}


def test_a_recovery_is_shown_with_its_length_and_what_it_read() -> None:
    metrics, observer = watched()
    observer.recovery(2.5, 700)
    assert samples(metrics, "recovery_seconds") == {(): 2.5}
    assert samples(metrics, "recovery_records") == {(): 700}


def test_latency_counts_every_origin_under_every_topic_that_users_read_and_no_other() -> None:
    metrics, observer = watched()
    observer.outputs_acked(
        "journey", {"attribution-credits": 3, "account-journeys": 1, "partials": 2}, [1_000, 1_400], 1_500
    )
    observer.outputs_acked("ingest", {"journal": 5, "control": 1}, [1_000], 1_500)
    counts = samples(metrics, "end_to_end_latency_seconds_count")
    assert counts == {("attribution-credits",): 2, ("account-journeys",): 2}


def test_everything_a_handler_writes_goes_to_the_installations_topics() -> None:
    handler = instrument.Named(Writer(), "eu-")
    effects = handler.handle(Run("journal", 0, [], 0), MemoryTable())
    assert [each.topic for each in (*effects.outputs, *effects.after)] == ["eu-account-alerts", "eu-journal"]
