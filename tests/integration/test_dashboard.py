from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from prometheus_client import start_http_server
from prometheus_client.core import Metric

from streams.metrics import METRICS, Metrics
from tests.integration.prometheus_server import PrometheusServer, failures, find_prometheus
from tests.loudly import skip_loudly

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards" / "headwater.json"


class BusyMetrics(Metrics):
    """The worker's own registry, in which everything moves at each scrape."""

    def __init__(self) -> None:
        super().__init__()
        self.scrapes = 0

    def collect(self) -> Iterable[Metric]:
        self.scrapes += 1
        for declared in METRICS:
            labels = [f"some_{label}" for label in declared.labels]
            match declared.kind:
                case "counter":
                    self.count(declared.name, *labels, by=self.scrapes)
                case "gauge":
                    self.set(declared.name, float(self.scrapes), *labels)
                case "histogram":
                    self.observe(
                        declared.name, declared.buckets[self.scrapes % len(declared.buckets)], *labels
                    )
        return super().collect()


@pytest.fixture(scope="module")
def metrics_target() -> Iterator[str]:
    """``host:port`` that serves ``/metrics`` with traffic on every metric."""
    server, thread = start_http_server(0, "127.0.0.1", BusyMetrics().registry)
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def prometheus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, metrics_target: str
) -> Iterator[PrometheusServer]:
    """A Prometheus that has scraped the target often enough for every rate."""
    binary = find_prometheus()
    if binary is None:
        reason = "prometheus was not found: install it (Debian: prometheus)"
        skip_loudly(request.config, "The dashboard suite", reason, "HEADWATER_REQUIRE_PROMETHEUS")
    with PrometheusServer(tmp_path_factory.mktemp("prometheus"), metrics_target, binary) as server:
        server.wait_for_scrapes(4)
        yield server


def test_every_panel_shows_data(prometheus: PrometheusServer) -> None:
    assert list(failures(prometheus, DASHBOARD)) == []


@pytest.mark.parametrize(
    ("expr", "said"),
    [("sum(rate(headwater_events_total)", "bad_data"), ("headwater_no_such_metric", "no data")],
    ids=["wrong syntax", "unknown metric"],
)
def test_a_panel_that_shows_nothing_is_found(
    prometheus: PrometheusServer, tmp_path: Path, expr: str, said: str
) -> None:
    board = json.loads(DASHBOARD.read_text())
    broken = next(panel for panel in board["panels"] if panel.get("targets"))
    broken["targets"][0]["expr"] = expr
    (tmp_path / "board.json").write_text(json.dumps(board))
    (failure,) = failures(prometheus, tmp_path / "board.json")
    assert failure.startswith(f"{broken['title']}: ") and said in failure


def test_a_machine_without_prometheus_skips_the_dashboard_suite_loudly(tmp_path: Path) -> None:
    one = f"{Path(__file__)}::test_every_panel_shows_data"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", one]
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "The dashboard suite DID NOT RUN" in done.stdout
