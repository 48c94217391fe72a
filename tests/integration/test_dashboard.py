from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import start_http_server
from prometheus_client.core import Metric

from streams.clock import now_ms
from streams.embedded import EmbeddedBroker, end, spawn
from streams.metrics import METRICS, Metrics
from streams.topics import create_topics, declared_topics, kept_for_ever
from tests.integration.prometheus_server import PrometheusServer, failures, find_prometheus
from tests.integration.traffic import Traffic
from tests.loudly import skip_loudly

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards" / "headwater.json"

SETTLED_S = 60.0


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


@contextmanager
def busy_registry(folder: Path) -> Iterator[str]:
    """Serves every declared metric."""
    server, thread = start_http_server(0, "127.0.0.1", BusyMetrics().registry)
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def busy_worker(folder: Path) -> Iterator[str]:
    """``headwater worker`` under traffic."""
    with EmbeddedBroker() as broker:
        declared = kept_for_ever(declared_topics("headwater"))
        asyncio.run(create_topics(broker.address, declared, partitions=3))
        log_file = folder / "worker.log"
        worker = spawn([sys.executable, "-m", "streams.cli.main", "worker", "--port", "0"], log_file, {
            "HEADWATER_KAFKA__BROKERS": broker.address, "HEADWATER_WORKER__DATA_DIR": str(folder / "data"),
        })  # fmt: skip
        try:
            with Traffic(broker.address, now_ms()):
                yield announced(worker, log_file)
        finally:
            end(worker, stop_s=40.0)
        assert worker.returncode == 0, log_file.read_text()


def announced(worker: subprocess.Popen[bytes], log_file: Path, deadline_s: float = 60.0) -> str:
    """The address that a worker says it serves on."""
    limit = time.monotonic() + deadline_s
    while not (found := re.search(r"http://([\d.]+:\d+)/metrics", log_file.read_text())):
        assert worker.poll() is None and time.monotonic() < limit, log_file.read_text()
        time.sleep(0.05)
    return found[1]


@pytest.fixture(scope="module", params=[busy_registry, busy_worker], ids=["registry", "worker"])
def metrics_target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` that serves ``/metrics`` while everything happens."""
    with request.param(tmp_path_factory.mktemp("target")) as target:
        yield target


@pytest.fixture(scope="module")
def prometheus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, metrics_target: str
) -> Iterator[PrometheusServer]:
    """A Prometheus that has scraped the target until every panel shows data, or long enough."""
    binary = find_prometheus()
    if binary is None:
        reason = "prometheus was not found: install it (Debian: prometheus)"
        skip_loudly(request.config, "The dashboard suite", reason, "HEADWATER_REQUIRE_PROMETHEUS")
    with PrometheusServer(tmp_path_factory.mktemp("prometheus"), metrics_target, binary) as server:
        server.wait_for_scrapes(4)
        limit = time.monotonic() + SETTLED_S
        while any(failures(server, DASHBOARD)) and time.monotonic() < limit:
            time.sleep(0.5)
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
    one = f"{Path(__file__)}::test_every_panel_shows_data[registry]"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", one]
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "The dashboard suite DID NOT RUN" in done.stdout
