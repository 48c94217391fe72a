"""Joins handlers, engine and metrics: what a worker counts, and under which topic names it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streams.effects import Effects, Handler, Run, TableView
from streams.engine.observer import Observer
from streams.metrics import BUCKETS, Histogram, Metrics
from streams.service import Service
from streams.topology import ANSWERS, Agent


class Named:
    """A handler that writes bare topic names, with the installation's prefix put before them."""

    def __init__(self, handler: Handler, prefix: str) -> None:
        self.handler, self.prefix = handler, prefix
        self.assigned, self.revoked, self.newer = handler.assigned, handler.revoked, handler.newer

    def handle(self, run: Run, table: TableView) -> Effects:
        """The handler's effects under full topic names."""
        return self._named(self.handler.handle(run, table))

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        """The handler's effects under full topic names."""
        effects = self.handler.interval(partition, now_ms, table)
        return None if effects is None else self._named(effects)

    def _named(self, effects: Effects) -> Effects:
        if self.prefix:
            effects.outputs = [o._replace(topic=self.prefix + o.topic) for o in effects.outputs]
            effects.after = [o._replace(topic=self.prefix + o.topic) for o in effects.after]
        return effects


def named(agent: Agent, prefix: str) -> Handler:
    """The agent's handler under the installation's topic names."""
    return Named(agent.handler, prefix) if prefix else agent.handler


def observer(metrics: Metrics, service: Service, prefix: str) -> Observer:
    """Callbacks that turn what the engine reports into metrics; labels carry topic names without the prefix."""
    answers = {prefix + topic: topic for topic in ANSWERS}

    def run_handled(agent: str, topic: str, partition: int, records: int, seconds: float) -> None:
        metrics.observe("event_processing_seconds", seconds / records, agent, times=records)
        metrics.observe("batch_size_events", records, agent)
        for counts in service.counters():
            metrics.absorb(counts)

    def outputs_acked(agent: str, topics: Mapping[str, int], origins: Sequence[int], now_ms: int) -> None:
        seen = [answers[topic] for topic in topics if topic in answers]
        if seen:
            latencies = Histogram(BUCKETS)
            for origin in origins:
                latencies.observe(max(now_ms - origin, 0) / 1000)
            for topic in seen:
                metrics.histogram("end_to_end_latency_seconds", topic).add(latencies)

    def lag(records: Mapping[tuple[str, int], int]) -> None:
        metrics.replace(
            "consumer_lag_records",
            {(bare(topic), str(partition)): count for (topic, partition), count in records.items()},
        )

    def recovery(seconds: float, records: int) -> None:
        metrics.set("recovery_seconds", seconds)
        metrics.set("recovery_records", records)

    def bare(topic: str) -> str:
        return topic.removeprefix(prefix)

    return Observer(
        run_handled=run_handled,
        outputs_acked=outputs_acked,
        lag=lag,
        rebalance=lambda: metrics.count("rebalances_total"),
        recovery=recovery,
        gap_probed=lambda topic, partition: metrics.count("gap_probes_total", bare(topic), str(partition)),
        foreign_write=lambda topic, partition: metrics.count("foreign_writes_total", bare(topic)),
        ready=lambda ready, reasons: metrics.set("ready", int(ready)),
    )


def refresh(metrics: Metrics, service: Service, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Bring the gauges up to date; called when somebody asks. ``sizes``: table -> (keys, bytes)."""
    for counts in service.counters():
        metrics.absorb(counts)
    metrics.set_sums(service.journey.gauges())
    slices = service.journey.slices
    metrics.replace(
        "watermark_timestamp_seconds", {(str(n),): part.watermark / 1000 for n, part in slices.items()}
    )
    metrics.set("stuck_sources", len(service.coordinator.stuck))
    metrics.set("quarantined_accounts", sum(len(part.quarantined) for part in slices.values()))
    for table, (keys, size) in sizes.items():
        metrics.set("state_keys", keys, table)
        metrics.set("state_bytes", size, table)
