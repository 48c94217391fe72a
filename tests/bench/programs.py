"""Entries as processes: started, watched from outside, ended."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from streams.embedded import spawn
from tests.bench.cluster import Cluster
from tests.bench.figures import BenchError, Sample

ROOT = Path(__file__).resolve().parents[2]
LOOK_S = 0.05
CHILDREN_S = 1.0
"""How often the tree is asked for new processes and its memory: that reads the whole process table."""
SAID = 1_500
MB = 1e6


class Tree:
    """CPU time and memory of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._members: list[psutil.Process] = [self._root]
        self._used: dict[int, float] = {}
        self._asked = 0.0
        self.rss_mb = 0.0
        """Most resident memory at once so far, as seen in the looks."""

    def cpu_s(self) -> float:
        """User and system time so far, that of ended members included as last seen."""
        if time.monotonic() - self._asked > CHILDREN_S:
            self._asked = time.monotonic()
            try:
                self._members = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                self._members = []
            self.rss_mb = max(self.rss_mb, sum(map(resident, self._members)) / MB)
        for member in self._members:
            try:
                times = member.cpu_times()
            except psutil.NoSuchProcess:
                continue
            self._used[member.pid] = times.user + times.system
        return sum(self._used.values())


def resident(process: psutil.Process) -> int:
    """Bytes in memory; 0 of a process that has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


class Program:
    """An entry: a Python program of this environment that runs until it is killed."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self.process = spawn(
            [sys.executable, *arguments],
            log,
            {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default", **environment},
        )
        self.tree = Tree(self.process.pid)

    def said(self) -> str:
        """The end of its output."""
        return self.log.read_text(errors="replace")[-SAID:]

    def check(self) -> None:
        """Raises BenchError when it has ended."""
        if self.process.poll() is not None:
            raise BenchError(f"it ended with {self.process.returncode}")

    def kill(self) -> None:
        """End it at once. Idempotent."""
        self.process.kill()
        self.process.wait()


@asynccontextmanager
async def running(
    arguments: Sequence[str], log: Path, environment: Mapping[str, str]
) -> AsyncIterator[Program]:
    """An entry for the time of the block; what it said joins the text of a failure."""
    program = Program(arguments, log, environment)
    try:
        yield program
    except BenchError as error:
        raise BenchError(f"{error}\n{program.said()}".rstrip()) from None
    finally:
        program.kill()


async def watch(
    cluster: Cluster,
    topics: str | Sequence[str],
    tree: Tree,
    check: Callable[[], None],
    finished: Callable[[Sequence[Sample]], bool],
    deadline_s: float,
) -> list[Sample]:
    """Look every ``LOOK_S`` at the ends of the topics until ``finished``, or ``deadline_s`` seconds have passed.

    The ends of several topics stand one behind the other. Looks at which nothing had changed are left out.
    ``check`` raises when the entry has ended.
    """
    samples: list[Sample] = []
    names = [topics] if isinstance(topics, str) else topics
    deadline = time.monotonic() + deadline_s
    async with cluster.watcher() as watcher:
        while time.monotonic() < deadline:
            check()
            ends = tuple([end for name in names for end in await watcher.ends(name)])
            if not samples or ends != samples[-1].ends:
                samples.append(Sample(time.monotonic(), ends, tree.cpu_s()))
            if finished(samples):
                return samples
            await asyncio.sleep(LOOK_S)
    seen = sum(samples[-1].ends) if samples else 0
    raise BenchError(f"not done after {deadline_s:.0f} s; {seen:,} outputs were visible")
