"""Writes the Grafana dashboard: ``python deploy/grafana/build_dashboard.py``.

The dashboard is the table ``ROWS`` below; the SDK only turns it into Grafana's JSON. Each worker reports what
its own partitions hold, so amounts are summed over workers, and the watermark is the least of them.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, StackingConfig, VizLegendOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

OUTPUT = Path(__file__).with_name("dashboards") / "headwater.json"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH, HEIGHT = 24, 8


class Query(NamedTuple):
    """A PromQL expression and the legend of its series."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """A chart, or with ``kind`` ``stat`` one large number."""

    title: str
    text: str
    unit: str
    queries: tuple[Query, ...]
    kind: str = "lines"
    """``lines`` | ``stack`` | ``stat``."""


class Row(NamedTuple):
    """A titled row of panels of equal width."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str) -> str:
    """Per-second rate of a counter, summed over the chosen workers."""
    return f'sum by ({by}) (rate({metric}{{instance=~"$instance"}}[$__rate_interval]))'


def increase(metric: str, by: str) -> str:
    """What a counter grew by in the time range shown, summed over the chosen workers."""
    return f'sum by ({by}) (increase({metric}{{instance=~"$instance"}}[$__range]))'


def total(metric: str, by: str, more: str = "") -> str:
    """A gauge, summed over the chosen workers."""
    return f'sum by ({by}) ({metric}{{instance=~"$instance"{more}}})'


def quantiles(histogram: str, by: str = "") -> tuple[Query, ...]:
    """p50 and p99 of a histogram."""
    label = f"{{{{{by}}}}} " if by else ""
    labels = f"le, {by}" if by else "le"
    return tuple(
        Query(f"histogram_quantile({q}, {rate(f'{histogram}_bucket', labels)})", f"{label}{name}")
        for q, name in ((0.5, "p50"), (0.99, "p99"))
    )


WATERMARK = 'headwater_watermark_timestamp_seconds{instance=~"$instance"}'
MONEY = ', currency=~"$currency"'

# A table: one argument per line would triple it.
# fmt: off
ROWS = (
    Row("Overview", (
        Panel("Workers ready", "Workers that have joined and recovered.", "short", (
            Query('sum(headwater_ready{instance=~"$instance"})', "ready"),), "stat"),
        Panel("Events", "Source events taken in, whatever became of them.", "eps", (
            Query(f"sum({rate('headwater_events_total', 'topic')})", "events"),), "stat"),
        Panel("Lag", "Records not yet handled, over all topics.", "short", (
            Query('sum(headwater_consumer_lag_records{instance=~"$instance"})', "records"),), "stat"),
        Panel("Latency p99", "From the input record's timestamp to the acknowledged output.", "s",
            quantiles("headwater_end_to_end_latency_seconds")[1:], "stat"),
        Panel("Watermark age", "Wall clock less the least watermark. Grows while sources are idle.", "s", (
            Query(f"time() - min({WATERMARK})", "age"),), "stat"),
        Panel("Dead letters", "Records set aside in the time range shown.", "short", (
            Query(f"sum({increase('headwater_dead_letters_total', 'code')})", "records"),), "stat"),
        Panel("Quarantined accounts", "Set aside because their facts made the computation fail.", "short", (
            Query('sum(headwater_quarantined_accounts{instance=~"$instance"})', "accounts"),), "stat"),
    )),
    Row("Throughput", (
        Panel("Events by topic", "Source events per second.", "eps", (
            Query(rate("headwater_events_total", "topic"), "{{topic}}"),), "stack"),
        Panel("Events by outcome", "Late, invalid, bot and future events beside the good ones.", "eps", (
            Query(rate("headwater_events_total", "outcome"), "{{outcome}}"),), "stack"),
        Panel("Processing time per record", "In each agent's handler.", "s",
            quantiles("headwater_event_processing_seconds", "agent")),
        Panel("Run size", "Records handled together.", "short",
            quantiles("headwater_batch_size_events", "agent")),
    )),
    Row("Lag and latency", (
        Panel("Lag by topic", "End offset less committed offset.", "short", (
            Query(total("headwater_consumer_lag_records", "topic"), "{{topic}}"),)),
        Panel("Lag of the ten worst partitions", "One far above the rest: hot key, stuck worker.", "short", (
            Query(f"topk(10, {total('headwater_consumer_lag_records', 'topic, partition')})",
                  "{{topic}} {{partition}}"),)),
        Panel("End-to-end latency", "From the input record's timestamp to the acknowledged output.", "s",
            quantiles("headwater_end_to_end_latency_seconds", "output")),
    )),
    Row("Watermark and readiness", (
        Panel("Watermark age by partition", "Timers and alerts of a partition wait for its watermark.", "s", (
            Query(f"time() - min by (partition) ({WATERMARK})", "{{partition}}"),)),
        Panel("Ready", "1 when the worker has joined and recovered.", "short", (
            Query('headwater_ready{instance=~"$instance"}', "{{instance}}"),)),
        Panel("Recovery and rebalances", "Seconds of the last; count in the time range.", "short", (
            Query('headwater_recovery_seconds{instance=~"$instance"}', "recovery s {{instance}}"),
            Query(increase("headwater_rebalances_total", "instance"), "rebalances {{instance}}"))),
        Panel("Version", "Workers by version; more than one while a new one rolls out.", "short", (
            Query(total("headwater_build_info", "version"), "{{version}}"),)),
    )),
    Row("Credits", (
        Panel("Credited amount by channel, $model", "In minor units. It falls on refunds.", "short", (
            Query(total("headwater_credited_amount_minor", "channel, currency", f'{MONEY}, model="$model"'),
                  "{{channel}} {{currency}}"),), "stack"),
        Panel("Credited amount by model", "In minor units; each shares out the same sums.", "short", (
            Query(total("headwater_credited_amount_minor", "model, currency", MONEY),
                  "{{model}} {{currency}}"),)),
        Panel("Credits emitted", "Rows per second, revisions included.", "eps", (
            Query(rate("headwater_credits_emitted_total", "conversion"), "{{conversion}}"),), "stack"),
    )),
    Row("Open pipeline", (
        Panel("Open deals by stage", "", "short", (
            Query(total("headwater_open_deals", "pipeline, stage"), "{{pipeline}} {{stage}}"),), "stack"),
        Panel("Amount by stage", "In minor units.", "short", (
            Query(total("headwater_pipeline_amount_minor", "pipeline, stage, currency", MONEY),
                  "{{pipeline}} {{stage}} {{currency}}"),), "stack"),
        Panel("Expected value by stage", "Amount times win probability, in minor units.", "short", (
            Query(total("headwater_pipeline_expected_value_minor", "pipeline, stage, currency", MONEY),
                  "{{pipeline}} {{stage}} {{currency}}"),), "stack"),
    )),
    Row("Probabilities, temperature and alerts", (
        Panel("Probability updates by cause", "Rows per second.", "eps", (
            Query(rate("headwater_probability_updates_total", "cause"), "{{cause}}"),), "stack"),
        Panel("Accounts by temperature", "", "short", (
            Query(total("headwater_accounts", "temperature"), "{{temperature}}"),), "stack"),
        Panel("Alerts by kind and status", "In the time range shown; late events retract some.", "short", (
            Query(increase("headwater_alerts_total", "kind, status"), "{{kind}} {{status}}"),)),
    )),
    Row("Dead letters", (
        Panel("Dead letters by code", "Per second.", "cps", (
            Query(rate("headwater_dead_letters_total", "code"), "{{code}}"),), "stack"),
        Panel("Dead letters by topic", "Per second.", "cps", (
            Query(rate("headwater_dead_letters_total", "topic"), "{{topic}}"),), "stack"),
    )),
    Row("State", (
        Panel("Keys by table", "", "short", (
            Query(total("headwater_state_keys", "table"), "{{table}}"),)),
        Panel("Bytes by table", "", "bytes", (
            Query(total("headwater_state_bytes", "table"), "{{table}}"),)),
    )),
)
# fmt: on


def _targets(panel: Panel) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + index))
        for index, query in enumerate(panel.queries)
    ]


def _build_panel(panel: Panel, number: int, width: int) -> stat.Panel | timeseries.Panel:
    built: stat.Panel | timeseries.Panel
    if panel.kind == "stat":
        reduce = ReduceDataOptions().calcs(["lastNotNull"])
        built = stat.Panel().reduce_options(reduce).no_value("0").height(HEIGHT // 2)
    else:
        legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
        lines = timeseries.Panel().legend(legend.show_legend(True)).show_points(VisibilityMode.NEVER)
        lines = lines.axis_soft_min(0).fill_opacity(10).height(HEIGHT)
        built = lines.stacking(StackingConfig().mode(StackingMode.NORMAL)) if panel.kind == "stack" else lines
    built = built.id(number).title(panel.title).unit(panel.unit).datasource(SOURCE).span(width)
    for target in _targets(panel):
        built = built.with_target(target)
    return built.description(panel.text) if panel.text else built


def _variable(name: str, label: str, query: str, *, many: bool) -> dashboard.QueryVariable:
    """A variable filled from the label values seen; ``many`` allows several and begins with all of them."""
    variable = dashboard.QueryVariable(name).label(label).datasource(SOURCE).query(query)
    variable = variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    if not many:
        return variable
    everything = VariableOption(text="All", value="$__all", selected=True)
    return variable.include_all(True).multi(True).all_value(".*").current(everything)


def build() -> str:
    """The dashboard as JSON text."""
    board = dashboard.Dashboard("Headwater").uid("headwater").tags(["headwater"]).timezone("browser")
    board = board.refresh("10s").time("now-1h", "now").tooltip(DashboardCursorSync.CROSSHAIR).editable()
    board = board.with_variable(
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    )
    for name, label, query, many in (
        ("instance", "Worker", "label_values(headwater_ready, instance)", True),
        # one at a time: models share out the same sums, adding them up means nothing
        ("model", "Model", "label_values(headwater_credited_amount_minor, model)", False),
        ("currency", "Currency", "label_values(headwater_credited_amount_minor, currency)", True),
    ):
        board = board.with_variable(_variable(name, label, query, many=many))
    ids = count(1)
    for row in ROWS:
        board = board.with_row(dashboard.Row(row.title).id(next(ids)))
        for panel in row.panels:
            board = board.with_panel(_build_panel(panel, next(ids), WIDTH // len(row.panels)))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(build())
