from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.embedded import EmbeddedBroker, live_brokers


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "streams.cli.main", "broker", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_asked_to_stop_and_says_what_it_is(number: signal.Signals) -> None:
    with running("--port", "0", "--json") as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        host, port = said["brokers"].split(":")
        assert live_brokers(host, int(port))
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert out == "" and "for development" in err
    with pytest.raises(ConnectionRefusedError):
        live_brokers(host, int(port))


def test_a_port_that_is_taken_is_said_so_with_our_own_options() -> None:
    with EmbeddedBroker() as other:
        other_port = other.address.rsplit(":")[1]
        with running("--port", other_port) as process:
            out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert out == ""
    assert err == (
        f"Error: port {other_port} of this machine is taken: --port N takes another, --port 0 any free one\n"
    )


def test_it_fails_with_the_servers_words_when_it_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "broker.log").mkdir()
    with running("--port", "0", "--data-dir", str(tmp_path)) as process:
        out, err = process.communicate(timeout=20)
    assert process.returncode == 1 and out == "" and "broker.log" in err


def test_it_fails_when_the_server_ends_by_itself() -> None:
    with running("--port", "0", "--json") as process:
        assert process.stdout is not None
        os.kill(json.loads(process.stdout.readline())["pid"], signal.SIGKILL)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1 and "ended by itself" in err
