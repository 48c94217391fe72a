"""Child processes that end with this process, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

LAUNCHER = Path(__file__).with_name("launcher.py")
STOP_S = 10.0
"""How long a server may take to write its data after SIGTERM before it is killed."""


class Server(ABC):
    """What runs in processes of its own, at most as long as a ``with`` block."""

    @abstractmethod
    def start(self) -> str:
        """Start and wait until it serves; returns ``host:port``."""

    @abstractmethod
    def stop(self) -> None:
        """End it. Idempotent."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def spawn(
    command: Sequence[str], log_file: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start ``command`` through the launcher, its output appended to ``log_file``; the pid is its own.

    ``environment`` is added to this process's.

    The process is forked by a thread that waits for its end, because the kernel ties the child to the
    thread that forked it, and a caller's own thread may end earlier (``asyncio.to_thread``). It gets a
    session of its own, so that Ctrl-C reaches the program, which stops its server when done with it.
    """
    started: Future[subprocess.Popen[bytes]] = Future()
    launch = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *command]

    def hold() -> None:
        try:
            with log_file.open("ab") as out:
                process = subprocess.Popen(
                    launch,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                    env={**os.environ, **(environment or {})},
                )
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(process)
        process.wait()

    threading.Thread(target=hold, name="child-holder", daemon=True).start()
    return started.result()


def end(process: subprocess.Popen[bytes], stop_s: float = STOP_S) -> None:
    """SIGTERM, then SIGKILL after ``stop_s`` seconds; a paused process is woken first. Idempotent."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(stop_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
