"""Every metric of a worker, in one list, and what feeds them.

Handlers count in plain Counters keyed (metric, *labels); ``Metrics.absorb`` moves those into Prometheus. Gauges
over the worker's accounts come from the partial sums that the journey agent keeps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "headwater_"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_000)
OTHER = "other"
"""Label of a channel outside the configured list."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric as users see it."""

    name: str
    kind: str
    """``counter`` | ``gauge`` | ``histogram``."""
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = BUCKETS


METRICS = (
    Declared("events_total", "counter", "Source events by what became of them.", ("topic", "type", "outcome")),
    Declared("event_processing_seconds", "histogram", "Time in a handler per record.", ("agent",),
             (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1)),
    Declared("end_to_end_latency_seconds", "histogram",
             "From a source record's timestamp to the acknowledgement of what its run sent to a topic that users "
             "read; each source record of the run counts under every such topic.", ("output",)),
    Declared("consumer_lag_records", "gauge", "Records between committed offset and end.", ("topic", "partition")),
    Declared("watermark_timestamp_seconds", "gauge", "Event time of a journal partition.", ("partition",)),
    Declared("batch_size_events", "histogram", "Records in a run.", ("agent",), SIZES),
    Declared("credits_emitted_total", "counter", "Credit rows sent, deletions left out.", ("conversion",)),
    Declared("credited_amount_minor", "gauge", "Won amount by model and channel.", ("model", "channel", "currency")),
    Declared("probability_updates_total", "counter", "Probability rows sent.", ("cause",)),
    Declared("alerts_total", "counter", "Alert rows sent.", ("kind", "status")),
    Declared("open_deals", "gauge", "Open deals.", ("pipeline", "stage")),
    Declared("pipeline_amount_minor", "gauge", "Amount of open deals.", ("pipeline", "stage", "currency")),
    Declared("pipeline_expected_value_minor", "gauge", "Amount of open deals times their chance of winning.",
             ("pipeline", "stage", "currency")),
    Declared("accounts", "gauge", "Accounts by temperature.", ("temperature",)),
    Declared("dead_letters_total", "counter", "Records sent to the dead-letter topic.", ("topic", "code")),
    Declared("state_keys", "gauge", "Keys in a table's owned partitions.", ("table",)),
    Declared("state_bytes", "gauge", "Bytes of keys and values in a table's owned partitions.", ("table",)),
    Declared("stuck_sources", "gauge", "Source partitions given up although records wait in them."),
    Declared("quarantined_accounts", "gauge", "Accounts set aside because their facts made the computation fail."),
    Declared("rebalances_total", "counter", "Rebalances this worker took part in."),
    Declared("recovery_seconds", "gauge", "Duration of the last recovery of tables."),
    Declared("recovery_records", "gauge", "Changelog records read in the last recovery of tables."),
    Declared("gap_probes_total", "counter", "Offsets missing at first sight that were fetched again.",
             ("topic", "partition")),
    Declared("foreign_writes_total", "counter",
             "Times another writer's records were found in a changelog and overruled.", ("topic",)),
    Declared("ready", "gauge", "1 when the worker has joined, recovered and can write."),
    Declared("build_info", "gauge", "Always 1; the version is the label.", ("version",)),
)  # fmt: skip
DECLARED: Mapping[str, Declared] = {metric.name: metric for metric in METRICS}


class Histogram:
    """Buckets of one labelled histogram. Values are observed many at a time."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def add(self, other: Histogram) -> None:
        """Count everything that another one with the same bounds has counted."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Metrics(Collector):
    """What a worker exposes. ``channels`` are the channel names that may be labels."""

    def __init__(self, channels: Iterable[str] = ()) -> None:
        self.channels = frozenset(channels)
        self.counters: Counter[tuple[str, ...]] = Counter()
        self.values: dict[tuple[str, ...], float] = {}
        self.histograms: dict[tuple[str, ...], Histogram] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def absorb(self, counts: Counter[tuple[str, ...]]) -> None:
        """Take over what a handler has counted."""
        if counts:
            self.counters.update(counts)
            counts.clear()

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Raise a counter."""
        self.counters[name, *labels] += by

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        self.values[name, *labels] = value

    def replace(self, name: str, values: Mapping[tuple[str, ...], float]) -> None:
        """Set a gauge under these labels, and drop it under all others: what is no longer ours must not stay."""
        for key in [key for key in self.values if key[0] == name and key[1:] not in values]:
            del self.values[key]
        self.values.update({(name, *labels): value for labels, value in values.items()})

    def observe(self, name: str, value: float, *labels: str, times: int = 1) -> None:
        """Count a value in a histogram."""
        self.histogram(name, *labels).observe(value, times)

    def histogram(self, name: str, *labels: str) -> Histogram:
        """The histogram of a metric under these labels."""
        found = self.histograms.get((name, *labels))
        if found is None:
            found = self.histograms[name, *labels] = Histogram(DECLARED[name].buckets)
        return found

    def set_sums(self, sums: Mapping[tuple[str, ...], Sequence[int]]) -> None:
        """Gauges from the partial sums of the worker's partitions."""
        gauges: Counter[tuple[str, ...]] = Counter()
        for (metric, *labels), values in sums.items():
            match metric:
                case "credited":
                    model, channel, currency = labels
                    shown = channel if channel in self.channels else OTHER
                    gauges["credited_amount_minor", model, shown, currency] += values[0]
                case "pipeline":
                    gauges["pipeline_amount_minor", *labels] += values[0]
                    gauges["pipeline_expected_value_minor", *labels] += values[1]
                case "open_deals" | "accounts":
                    gauges[metric, *labels] += values[0]
        for key in [key for key in self.values if key[0] in FROM_SUMS and key not in gauges]:
            del self.values[key]
        self.values.update(gauges)

    def collect(self) -> Iterable[Metric]:
        """All metrics in the order they are declared; those never fed are shown without samples."""
        for declared in METRICS:
            name = PREFIX + declared.name
            if declared.kind == "histogram":
                yield self._histogram(name, declared)
                continue
            family = Metric(name.removesuffix("_total"), declared.help, declared.kind)
            source: Mapping[tuple[str, ...], float] = (
                self.counters if declared.kind == "counter" else self.values
            )
            for key, value in source.items():
                if key[0] == declared.name:
                    family.add_sample(name, dict(zip(declared.labels, key[1:], strict=True)), value)
            yield family

    def _histogram(self, name: str, declared: Declared) -> Metric:
        family = HistogramMetricFamily(name, declared.help, labels=declared.labels)
        for key, found in self.histograms.items():
            if key[0] == declared.name:
                buckets, running = [], 0
                for bound, count in zip((*found.bounds, None), found.counts, strict=True):
                    running += count
                    buckets.append(("+Inf" if bound is None else str(float(bound)), running))
                family.add_metric(key[1:], buckets, found.total)
        return family


FROM_SUMS = frozenset(
    {
        "credited_amount_minor",
        "pipeline_amount_minor",
        "pipeline_expected_value_minor",
        "open_deals",
        "accounts",
    }
)
