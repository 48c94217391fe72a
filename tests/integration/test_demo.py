"""``headwater demo`` as a user runs it: a process that ends by itself and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

COMMAND = [sys.executable, "-m", "streams.cli.main", "demo"]
SECONDS = 120


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Temporary folders in a place of their own, and no settings from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    return {**kept, "TMPDIR": str(tmp_path), "COLUMNS": "80"}


def left_running(folder: Path) -> list[str]:
    """Processes that were told of the folder: the broker and the worker name it on their command lines."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        words = process.info["cmdline"] or []
        inherited = (process.info["environ"] or {}).get("TMPDIR")
        if process.info["status"] != psutil.STATUS_ZOMBIE and (
            inherited == str(folder) or any(str(folder) in word for word in words)
        ):
            found.append(" ".join(words))
    return found


def test_once_with_json_prints_one_object_and_leaves_nothing_behind(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    ended = subprocess.run(
        [*COMMAND, "--once", "--events", "1500", "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    (line,) = ended.stdout.splitlines()
    found = json.loads(line)
    assert {"events", "credits", "alerts", "dead_letters", "conservation_ok", "seconds"} <= set(found)
    assert (found["events"], found["processed"], found["conservation_ok"]) == (1500, 1500, True)
    assert found["credits"] > 1000 and found["alerts"] > 0 and found["dead_letters"] > 0
    assert found["seconds"] > 0
    assert left_running(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_demo_to_watch_prints_where_everything_listens_and_ends_with_ctrl_c(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    said: list[str] = []
    with subprocess.Popen(
        [*COMMAND, "--rate", "1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            deadline = time.monotonic() + SECONDS
            for line in process.stdout:
                said.append(line)
                if line.startswith("credit ") or time.monotonic() > deadline:
                    break
            assert len(left_running(tmp_path)) == 3  # the demo itself, the broker and the worker
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    text = "".join(said) + rest
    assert (process.returncode, errors) == (0, "")
    brokers = r"127\.0\.0\.1:\d+"
    for pattern in (
        rf"(?m)^broker +{brokers} .*for development",
        rf"(?m)^worker +http://{brokers}/metrics +http://{brokers}/readyz$",
        rf"(?m)^watch +headwater tail attribution-credits --brokers {brokers}$",
    ):
        assert re.search(pattern, text), text
    assert any(line.startswith("credit ") for line in said), text
    assert left_running(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_cut_short_claims_no_success_and_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path, environment: dict[str, str]
) -> None:
    with subprocess.Popen(
        [*COMMAND, "--once", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            deadline = time.monotonic() + SECONDS
            while not list(tmp_path.glob("headwater-demo-*/worker.log")):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(number)
            out, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out, errors) == (130, "", "")
    assert left_running(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
