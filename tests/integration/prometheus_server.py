"""A Prometheus on loopback that scrapes one target, and a dashboard's queries run through it."""

from __future__ import annotations

import http.client
import json
import math
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlencode

from streams.embedded import end, spawn
from tests.integration.kafka_local import HOST, free_port

SCRAPE_S = 1
READY_S = 30.0
BUILT_IN = {"__rate_interval": f"{5 * SCRAPE_S}s", "__range": "1h", "__interval": f"{SCRAPE_S}s"}
"""What Grafana itself would put for its own variables."""


class PanelQuery(NamedTuple):
    """One query of one panel, variables not yet put in."""

    panel: str
    expr: str


def panel_queries(dashboard: Path) -> list[PanelQuery]:
    """Every query of a classic dashboard, in the order of its panels."""
    panels = json.loads(dashboard.read_text())["panels"]
    return [PanelQuery(p["title"], t["expr"]) for p in panels for t in p.get("targets", ())]


def variables(dashboard: Path) -> dict[str, tuple[str, str, bool]]:
    """The dashboard's query variables: name to (metric, label, whether it begins with all values)."""
    found = {}
    for variable in json.loads(dashboard.read_text())["templating"]["list"]:
        if variable["type"] == "query":
            source = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"])
            assert source is not None, (
                f"{variable['name']}: {variable['query']} is not label_values(metric, label)"
            )
            found[variable["name"]] = (source[1], source[2], variable["includeAll"])
    return found


def substitute(expr: str, values: Mapping[str, str]) -> str:
    """Put variables in as Grafana would; raises KeyError for one that has no value."""
    known = {**BUILT_IN, **values}
    return re.sub(r"\$(\w+)", lambda found: known[found[1]], expr)


def find_prometheus() -> str | None:
    """The executable, or None."""
    return shutil.which("prometheus")


class PrometheusServer:
    """A server in the folder ``root`` that scrapes ``target`` (``host:port``, path ``/metrics``) every second."""

    def __init__(self, root: Path, target: str, binary: str) -> None:
        self.port, self.log_file = free_port(), root / "prometheus.log"
        root.mkdir(parents=True, exist_ok=True)
        config = root / "prometheus.yml"
        config.write_text(
            f"global: {{scrape_interval: {SCRAPE_S}s}}\n"
            f"scrape_configs: [{{job_name: headwater, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        self._command = [binary, f"--config.file={config}", f"--storage.tsdb.path={root / 'data'}"]
        self._command += [f"--web.listen-address={HOST}:{self.port}", "--log.level=warn"]

    def __enter__(self) -> PrometheusServer:
        self._process = spawn(self._command, self.log_file)
        limit = time.monotonic() + READY_S
        while not self._ready():
            assert self._process.poll() is None and time.monotonic() < limit, self.log_file.read_text()
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._process)

    def _ready(self) -> bool:
        try:
            return self._get("/-/ready")[0] == 200
        except OSError:
            return False

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def ask(self, path: str, **parameters: Any) -> Any:
        """``data`` of an API answer; raises AssertionError with Prometheus' own words when it is an error."""
        answer = json.loads(self._get(f"/api/v1/{path}?{urlencode(parameters, doseq=True)}")[1])
        assert answer["status"] == "success", f"{answer['errorType']}: {answer['error']} ({parameters})"
        return answer["data"]

    def wait_for_scrapes(self, count: int, deadline_s: float = 60.0) -> None:
        """Until ``count`` scrapes of the target have succeeded; AssertionError with the last failure if not."""
        limit = time.monotonic() + deadline_s
        while True:
            found = self.ask("query", query="sum(sum_over_time(up[1h]))")["result"]
            if found and float(found[0]["value"][1]) >= count:
                return
            failure = [target["lastError"] for target in self.ask("targets")["activeTargets"]]
            assert time.monotonic() < limit, f"fewer than {count} scrapes in {deadline_s:g} s: {failure}"
            time.sleep(0.1)

    def query_range(self, expr: str, seconds: int = 60) -> list[dict[str, Any]]:
        """The series of the last ``seconds``, one point a scrape."""
        (now,) = self.ask("query", query="time()")["result"][1:]
        parameters = {"start": float(now) - seconds, "end": float(now), "step": SCRAPE_S}
        series: list[dict[str, Any]] = self.ask("query_range", query=expr, **parameters)["result"]
        return series

    def variable_values(self, dashboard: Path) -> dict[str, str]:
        """A value for each of the dashboard's variables: everything, or the first value seen."""
        values = {}
        for name, (metric, label, everything) in variables(dashboard).items():
            seen = self.ask(f"label/{label}/values", **{"match[]": metric})
            assert seen, f"variable {name}: {metric} has no label {label}"
            values[name] = ".*" if everything else seen[0]
        return values


def failures(server: PrometheusServer, dashboard: Path) -> Iterator[str]:
    """What is wrong with the dashboard's queries: an error, or no number where data was expected."""
    values = server.variable_values(dashboard)
    for panel, expr in panel_queries(dashboard):
        asked = substitute(expr, values)
        try:
            series = server.query_range(asked)
        except AssertionError as error:
            yield f"{panel}: {error}"
            continue
        if not any(not math.isnan(float(value)) for one in series for _, value in one["values"]):
            yield f"{panel}: no data for {asked}"
