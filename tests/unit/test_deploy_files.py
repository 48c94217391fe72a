from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.settings import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def test_every_yaml_file_is_clean() -> None:
    command = [sys.executable, "-m", "yamllint", "--strict", "-c", str(DEPLOY / ".yamllint"), str(DEPLOY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_publishes_to_loopback_only_pins_its_image_and_can_be_judged(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert re.search(r":(local|v?\d+\.\d+\.\d+)$", service["image"])
    built_here = "build" in service  # such an image brings its own check
    assert built_here or "test" in service["healthcheck"]


def test_services_start_in_the_order_of_what_they_need() -> None:
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert SERVICES["worker"]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}
    assert SERVICES["topics"]["restart"] == "no"


def test_every_named_volume_and_secret_is_declared() -> None:
    whole = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert {name for name in mounted if not name.startswith("./")} == set(whole["volumes"])
    assert all((DEPLOY / name).is_dir() for name in mounted if name.startswith("./"))
    assert {name for service in SERVICES.values() for name in service.get("secrets", ())} == set(
        whole["secrets"]
    )


def test_the_worker_listens_beyond_loopback_only_with_a_token_that_prometheus_sends() -> None:
    environment = SERVICES["worker"]["environment"]
    assert environment["HEADWATER_WEB__HOST"] == "0.0.0.0"
    assert environment["HEADWATER_WEB__TOKEN"].startswith("${HEADWATER_WEB__TOKEN:?")
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/web_token"
    assert SERVICES["prometheus"]["secrets"] == ["web_token"]
    assert job["dns_sd_configs"][0]["names"] == ["worker"]


@pytest.mark.parametrize("chosen", ["", "0123456789abcdef0123456789abcdef"], ids=["least", "all"])
@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" in service])
def test_what_compose_sets_are_settings(name: str, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``chosen`` stands in for optional variables, those with ``:-``."""
    for key, value in SERVICES[name]["environment"].items():
        required = re.sub(r"\$\{\w+:\?.*\}", "token", value)
        monkeypatch.setenv(key, re.sub(r"\$\{\w+:-\}", chosen, required))
    assert load_settings().kafka.brokers == "kafka:19092"


def test_the_image_runs_locked_packages_as_an_ordinary_user_and_hears_signals() -> None:
    assert any("--require-hashes -r requirements.lock" in run for run in instructions("RUN"))
    assert instructions("USER") == ["10001:10001"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("ENTRYPOINT") == ['["headwater"]'] and instructions("CMD") == ['["worker"]']
    assert len(instructions("FROM")) == 2
    (check,) = instructions("HEALTHCHECK")
    assert "/readyz" in check and "CMD [" in check


def test_what_the_image_copies_is_let_through_and_nothing_else() -> None:
    copied = {
        word for line in instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]
    }
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line[1:] for line in kept if line.startswith("!")} == copied


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_scrape_configuration() -> None:
    command = ["promtool", "check", "config", "--syntax-only", str(DEPLOY / "prometheus" / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
