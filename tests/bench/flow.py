"""A steady flow of touches, and when each was answered, seen from another process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson
from confluent_kafka import Producer

from streams.partitioning import partition_of
from tests.bench.cluster import PARTITIONS, client
from tests.bench.data import Touch
from tests.bench.figures import BenchError, quantile
from tests.bench.programs import Program, running
from tests.bench.setup import Bench

TICK_S = 0.001
"""Shortest sleep: what falls due meanwhile is sent together."""
FLUSH_S = 30.0
Check = Callable[[], None]
"""Raises BenchError when a process that must run has ended."""
Sent = tuple[int, str, int]
"""(nanoseconds of the monotonic clock just before, account, number of the touch within it)"""


class Answered(NamedTuple):
    """A touch and its answer, nanoseconds of the monotonic clock."""

    account: str
    sent_ns: int
    seen_ns: int

    @property
    def ms(self) -> float:
        """How long it took."""
        return (self.seen_ns - self.sent_ns) / 1e6


class Flow:
    """Sends in a thread from ``start`` to ``finish``. ``check`` may be exchanged meanwhile."""

    def __init__(
        self, bench: Bench, topic: str, rate: int, check: Check, observer: Program, files: Files
    ) -> None:
        self.bench, self.topic, self.rate, self.check = bench, topic, rate, check
        self.observer, self.files = observer, files
        self.had: Counter[str] = Counter()
        self.known = 0
        self.sent: list[Sent] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, touches: Iterator[Touch]) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, args=(touches,), name="pace")
        self._thread.start()

    def _run(self, touches: Iterator[Touch]) -> None:
        try:
            self._pace(touches)
        except BaseException as error:  # handed to whoever asks for the answers
            self._error = error

    def _pace(self, touches: Iterator[Touch]) -> None:
        producer = Producer(client(self.bench.cluster.broker, acks="all", linger_ms=0))
        began = time.monotonic()
        for number, (key, value) in enumerate(touches):
            early = began + number / self.rate - time.monotonic()
            if early > 0:
                time.sleep(max(early, TICK_S))
                producer.poll(0)
            if self._stop.is_set():
                break
            account = key.decode()
            self.had[account] += 1
            self.sent.append((time.monotonic_ns(), account, self.known + self.had[account]))
            producer.produce(self.topic, value, key, partition_of(key, PARTITIONS))
        if producer.flush(FLUSH_S):
            raise BenchError("the touches could not be sent")

    async def last(self, seconds: float) -> None:
        """Let it flow for so long. Raises what ``check`` does."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._checked()
            await asyncio.sleep(min(0.05, left))

    async def until(self, reached: Callable[[], bool], deadline_s: float) -> None:
        """Wait for a condition, which is asked in a thread. Raises BenchError after the deadline."""
        deadline = time.monotonic() + deadline_s
        while not await asyncio.to_thread(reached):
            self._checked()
            if time.monotonic() > deadline:
                raise BenchError(f"waited {deadline_s:.0f} s in vain")
            await asyncio.sleep(0.05)

    def _checked(self) -> None:
        self.check()
        self.observer.check()

    def stop(self) -> None:
        """Send no more. Idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    async def finish(self) -> list[Answered]:
        """Send no more, and wait for all answers. Raises BenchError."""
        await asyncio.to_thread(self.stop)
        if self._error is not None:
            raise BenchError(f"sending failed: {self._error}")
        self.files.goal.with_suffix(".part").write_text(str(self.files.backlog + len(self.sent)))
        self.files.goal.with_suffix(".part").rename(self.files.goal)
        deadline = time.monotonic() + self.bench.sizes.deadline_s
        while self.observer.process.poll() is None:
            self.check()
            if time.monotonic() > deadline:
                raise BenchError(f"not all touches were answered in {self.bench.sizes.deadline_s:.0f} s")
            await asyncio.sleep(0.05)
        if self.observer.process.returncode != 0:
            raise BenchError(f"the observer ended with {self.observer.process.returncode}")
        return match_answers(self.sent, orjson.loads(self.files.seen.read_bytes()))

    def per_second(self, since_ns: int) -> float:
        """Touches per second that were really sent, from an instant on."""
        instants = [at for at, _, _ in self.sent if at >= since_ns]
        if len(instants) < 2:
            raise BenchError("hardly anything was sent")
        return (len(instants) - 1) / (instants[-1] - instants[0]) * 1e9


class Files(NamedTuple):
    """What the observer and the flow tell each other."""

    goal: Path
    seen: Path
    backlog: int


@asynccontextmanager
async def steady(
    bench: Bench,
    source: str,
    output: str,
    touches: Iterator[Touch],
    *,
    rate: int,
    check: Check,
    backlog: int = 0,
    known: int = 0,
) -> AsyncIterator[Flow]:
    """Touches flow into ``source`` at the rate, once a backlog of them is answered, so that nothing is cold.

    With ``known`` every account already has so many touches, answered before.
    """
    first = list(islice(touches, backlog))
    await bench.cluster.load(source, first)
    files = Files(bench.folder / f"{output}.goal", bench.folder / f"{output}.json", backlog)
    arguments = ["-m", "tests.bench.entries.observe", bench.cluster.broker, output, str(PARTITIONS)]
    arguments += [str(known), str(backlog), str(files.goal), str(files.seen)]
    async with running(arguments, bench.folder / f"{output}-observer.log", {}) as observer:
        flow = Flow(bench, source, rate, check, observer, files)
        flow.had.update(touch.key.decode() for touch in first)
        flow.known = known
        try:
            await flow.until(lambda: "caught up" in observer.said(), bench.sizes.deadline_s)
            flow.start(touches)
            yield flow
        finally:
            flow.stop()
            files.seen.unlink(missing_ok=True)


def match_answers(sent: Iterable[Sent], seen: Iterable[Sent]) -> list[Answered]:
    """Each touch with the first row that counts it.

    Rows (instant in ns, account, touches) are in order per account. Raises BenchError for a touch without one.
    """
    rows: dict[str, list[tuple[int, int]]] = {}
    for at, account, touches in seen:
        rows.setdefault(account, []).append((touches, at))
    answers = []
    position: dict[str, int] = {}
    for at, account, number in sent:
        of_account = rows.get(account, [])
        index = position.get(account, 0)
        while index < len(of_account) and of_account[index][0] < number:
            index += 1
        if index == len(of_account):
            raise BenchError(f"touch {number} of {account} was never answered")
        position[account] = index
        answers.append(Answered(account, at, of_account[index][1]))
    return answers


def waits(answers: Iterable[Answered], since_ns: int, until_ns: int) -> list[float]:
    """Milliseconds that the touches sent in a span waited."""
    return [answer.ms for answer in answers if since_ns <= answer.sent_ns < until_ns]


def p99(answers: Iterable[Answered], since_ns: int, until_ns: int) -> float:
    """Their 99th percentile."""
    return quantile(waits(answers, since_ns, until_ns), 0.99)
