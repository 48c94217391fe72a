from __future__ import annotations

import json
import re
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from streams.metrics import DECLARED, PREFIX
from tests.integration.prometheus_server import PanelQuery, panel_queries, substitute, variables

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "headwater.json"
VALUES = dict.fromkeys(variables(DASHBOARD), ".*")
QUERIES = panel_queries(DASHBOARD)
NOT_SHOWN = {
    "stuck_sources": "0 unless a source partition cannot be read, which its lag shows",
    "recovery_records": "says why a recovery lasted as long as it did, which is shown",
    "gap_probes_total": "counts only after a fault; the engine's log says more",
    "foreign_writes_total": "counts only after a worker was frozen past its session; the engine's log says more",
}


def selectors(expr: str) -> list[promql_parser.VectorSelector]:
    found = []
    promql_parser.walk(
        promql_parser.parse(expr),
        lambda node: found.append(node) if isinstance(node, promql_parser.VectorSelector) else None,
    )
    return found


def declared_name(sample: str) -> str:
    bare = sample.removeprefix(PREFIX)
    histogram = re.sub(r"_(bucket|sum|count)$", "", bare)
    return histogram if DECLARED.get(histogram) and DECLARED[histogram].kind == "histogram" else bare


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def test_the_dashboard_is_what_its_script_builds() -> None:
    built = runpy.run_path(str(GRAFANA / "build_dashboard.py"))["build"]()
    assert built == DASHBOARD.read_text(), "run deploy/grafana/build_dashboard.py"


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.panel)
def test_a_query_parses_and_uses_declared_metrics_and_labels_only(query: PanelQuery) -> None:
    expr = substitute(query.expr, VALUES)
    for selector in selectors(expr):
        assert selector.name is not None and selector.name.startswith(PREFIX)
        metric = DECLARED[declared_name(selector.name)]
        labels = {*metric.labels, "instance", "le"}
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels
        for grouping in re.findall(r"by \(([^)]*)\)", expr):
            assert set(re.split(r",\s*", grouping)) <= labels


def test_every_declared_metric_is_shown() -> None:
    shown = {declared_name(s.name or "") for q in QUERIES for s in selectors(substitute(q.expr, VALUES))}
    assert shown == set(DECLARED) - set(NOT_SHOWN)


def test_counters_are_never_shown_raw() -> None:
    for query in QUERIES:
        expr = substitute(query.expr, VALUES)
        for name in re.findall(rf"{PREFIX}\w+", expr):
            if DECLARED[declared_name(name)].kind != "gauge":
                assert re.search(rf"(rate|increase)\({name}\{{", expr), query


def test_variables_come_from_declared_metrics_and_their_labels() -> None:
    for metric, label, _ in variables(DASHBOARD).values():
        assert label in {*DECLARED[declared_name(metric)].labels, "instance"}


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    assert Counter(panel["id"] for panel in panels()).most_common(1)[0][1] == 1
    cells = Counter(
        (x, y)
        for panel in panels()
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    )
    assert max(cells.values()) == 1
    assert max(x for x, _ in cells) < 24


def test_the_provisioned_folder_and_data_source_are_those_of_the_compose_file() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "headwater.yaml").read_text())
    source = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())
    grafana = yaml.safe_load((GRAFANA.parent / "compose.yaml").read_text())["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"] if volume.startswith("./"))
    assert mounts["./grafana/dashboards"] == provider["providers"][0]["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
