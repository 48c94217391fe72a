from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.embedded import (
    BrokerNotReadyError,
    EmbeddedBroker,
    EmbeddedBrokerUnavailableError,
    find_binary,
    live_brokers,
    wait_until_ready,
)
from streams.embedded import broker as broker_module


def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> bool:
    limit = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_started_broker_names_itself_in_a_metadata_answer() -> None:
    with EmbeddedBroker() as broker:
        host, port = broker.address.split(":")
        assert [(name, at) for _, name, at in live_brokers(host, int(port))] == [("127.0.0.1", int(port))]


def test_the_pid_is_the_servers_own_and_it_is_gone_after_stop_with_its_temporary_folder() -> None:
    broker = EmbeddedBroker()
    broker.start()
    pid, log_file = broker.pid, broker.log_file
    assert log_file is not None
    assert Path(f"/proc/{pid}/exe").resolve() == find_binary().resolve()
    broker.stop()
    broker.stop()
    assert not alive(pid)
    assert not log_file.parent.exists()


def test_a_given_folder_and_port_are_kept_over_a_crash_and_a_restart(tmp_path: Path) -> None:
    broker = EmbeddedBroker()
    first = broker.start(data_dir=tmp_path / "data")
    broker.kill()
    assert broker.start(port=int(first.rsplit(":")[1]), data_dir=tmp_path / "data") == first
    broker.stop()
    assert (tmp_path / "data" / "broker.log").exists()


def test_nothing_reaches_the_terminal_but_the_notice_that_it_is_for_development(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with EmbeddedBroker():
        assert "for development" in caplog.text
    assert capfd.readouterr() == ("", "")


STARTER = """
import asyncio, os, signal
from streams.embedded import EmbeddedBroker
broker = EmbeddedBroker()
asyncio.run(asyncio.to_thread(broker.start))  # the thread that called start is gone after this line
print(broker.pid, flush=True)
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent was killed")
def test_the_broker_ends_when_its_starter_is_killed_but_not_before(tmp_path: Path) -> None:
    command, environment = [sys.executable, "-c", STARTER], {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert alive(pid)
        os.kill(starter.pid, signal.SIGKILL)
    assert until(lambda: not alive(pid))


def test_a_taken_port_is_refused_with_what_the_server_said() -> None:
    with EmbeddedBroker() as first, pytest.raises(BrokerNotReadyError, match="it said"):
        EmbeddedBroker(ready_deadline_s=5).start(port=int(first.address.rsplit(":")[1]))


def test_a_second_start_is_refused() -> None:
    with EmbeddedBroker() as broker, pytest.raises(RuntimeError, match="runs already"):
        broker.start()


def test_a_missing_wheel_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "PACKAGE", "no_such_wheel")
    with pytest.raises(EmbeddedBrokerUnavailableError, match="--brokers"):
        EmbeddedBroker().start()


def test_waiting_for_a_silent_address_ends_at_the_deadline() -> None:
    with pytest.raises(BrokerNotReadyError, match="not ready after"):
        wait_until_ready(lambda: ("127.0.0.1", 1), lambda: False, deadline_s=0.1)
