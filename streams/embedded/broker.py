"""The embedded broker: a Kafka-speaking server from a wheel, for demos, tests and laptops."""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import subprocess
import tempfile
import weakref
from importlib.util import find_spec
from pathlib import Path

from streams.embedded.child import Server, end, spawn
from streams.embedded.readiness import BrokerNotReadyError, wait_until_ready

NOTICE = (
    "The embedded broker is for development: one node, records in memory. Use Apache Kafka in production."
)
HOST = "127.0.0.1"
PACKAGE = "noida_db"

log = logging.getLogger(__name__)


class EmbeddedBrokerUnavailableError(Exception):
    """The broker's wheel is not installed, or does not run on this platform."""


class EmbeddedBroker(Server):
    """One broker on loopback, a child process that ends with this process.

    ``start`` blocks for well under a second and may be called from any thread; a stopped broker may be
    started again. As a context manager it starts on a free port with a data folder of its own.

    Not Apache Kafka: it does not compact, and it enforces ``retention.ms`` at once against the record's
    own timestamp, so topics that take old events need ``retention.ms=-1``. On Linux it also ends when this
    process is killed (see ``launcher``); a temporary data folder then stays behind.
    """

    def __init__(self, *, ready_deadline_s: float = 30.0) -> None:
        self.ready_deadline_s = ready_deadline_s
        self._process: subprocess.Popen[bytes] | None = None
        self._address: tuple[str, int] | None = None
        self._log_file: Path | None = None
        self._cleanup: weakref.finalize[[subprocess.Popen[bytes], Path | None], EmbeddedBroker] | None = None

    @property
    def pid(self) -> int:
        """Of the server itself, not of a wrapper. Raises RuntimeError before ``start``."""
        return self._running().pid

    @property
    def address(self) -> str:
        """``host:port``. Raises RuntimeError before ``start``."""
        self._running()
        assert self._address is not None
        return "{}:{}".format(*self._address)

    @property
    def log_file(self) -> Path | None:
        """What the server prints; in the data folder."""
        return self._log_file

    def start(self, port: int | None = None, data_dir: Path | None = None) -> str:
        """Start and wait until it serves; returns ``host:port``.

        ``port`` None takes a free one. ``data_dir`` None takes a temporary folder that ``stop`` removes; a
        given one is created if need be and kept, and holds the topics over a restart. Raises
        EmbeddedBrokerUnavailableError, BrokerNotReadyError (with the end of the log), or RuntimeError
        when it runs already.
        """
        if self._process is not None:
            raise RuntimeError(f"the embedded broker runs already, on {self.address}")
        binary = find_binary()
        folder = data_dir or Path(tempfile.mkdtemp(prefix="headwater-broker-"))
        folder.mkdir(parents=True, exist_ok=True)
        self._log_file = folder / "broker.log"
        offset = self._log_file.stat().st_size if self._log_file.exists() else 0
        command = [str(binary), "start", "--only", "kafka", "--host", HOST]
        command += ["--kafka-port", str(port or 0), "--data-dir", str(folder)]
        self._process = process = spawn(command, self._log_file)
        self._cleanup = weakref.finalize(self, _end, process, None if data_dir else folder)
        try:
            self._address = wait_until_ready(
                lambda: _listening(self._log_file, offset),
                lambda: process.poll() is not None,
                self.ready_deadline_s,
            )
        except BrokerNotReadyError as error:
            said = self.said()
            self.stop()
            raise BrokerNotReadyError(f"{error}; it said:\n{said}") from None
        log.warning("%s Listening on %s, pid %d, log %s", NOTICE, self.address, process.pid, self._log_file)
        return self.address

    def said(self) -> str:
        """The end of what the server printed; empty before the first start."""
        if self._log_file is None or not self._log_file.exists():
            return ""
        return self._log_file.read_text(errors="replace").strip()[-2000:]

    def wait(self) -> int:
        """Block until the server ends by itself; returns its exit status."""
        return self._running().wait()

    def stop(self) -> None:
        """End the server, by force after 10 s, and remove a temporary data folder. Idempotent."""
        if self._cleanup is not None:
            self._cleanup()
        self._process = self._address = self._cleanup = None

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL); otherwise as ``stop``."""
        process = self._running()
        process.kill()
        process.wait()
        self.stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the embedded broker is not started")
        return self._process


def find_binary() -> Path:
    """The server's executable in the installed wheel; raises EmbeddedBrokerUnavailableError."""
    here = f"{platform.system()} {platform.machine()}"
    advice = "use Apache Kafka instead (--brokers), or Linux or macOS on x86-64 or arm64"
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise EmbeddedBrokerUnavailableError(
            f"the embedded broker (noida-db) is not installed on {here}; {advice}"
        )
    binary = Path(found.origin).with_name("noida-db")
    if not binary.is_file():
        raise EmbeddedBrokerUnavailableError(f"no server for {here} ({binary} is missing); {advice}")
    if not os.access(binary, os.X_OK):  # some installers drop the mode that the wheel records
        binary.chmod(0o755)
    return binary


def _listening(log_file: Path | None, offset: int) -> tuple[str, int] | None:
    """The address that the server says it took, in what it wrote behind ``offset``."""
    if log_file is None or not log_file.exists():
        return None
    said = log_file.read_bytes()[offset:]
    found = re.search(rb"^\s*kafka\s+(\S+):(\d+)\s*$", said, re.MULTILINE)
    return (found[1].decode(), int(found[2])) if found else None


def _end(process: subprocess.Popen[bytes], temporary: Path | None) -> None:
    end(process)
    if temporary is not None:
        shutil.rmtree(temporary, ignore_errors=True)
