"""Sending files to the source topics: check every line, send the good ones, keep what was not good enough."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, RequestTimedOutError

from schemas.context import Context
from schemas.errors import Rejected
from schemas.formats import Decoder, decoder_of
from streams.clock import now_ms
from streams.files import STDIN, Line, dead_letter, dump, kind_of, read_lines
from streams.keys import message_key
from streams.settings import Settings, sources
from streams.topics import BrokerUnreachable

IN_FLIGHT = 2_000
"""Messages sent and not yet acknowledged, at most."""
SAVED_EVERY = 1_000
PATIENCE_S = 30.0
"""How long the cluster may stay silent. The client itself would try for ever: it is idempotent."""
_HEAD_BYTES = 65_536
_SILENT = (KafkaConnectionError, KafkaTimeoutError, RequestTimedOutError)


class StateMismatch(Exception):
    """The file that a state remembers is not the one that is there now."""


class SendFailed(Exception):
    """The cluster refused a message; ``str`` names the line and the broker's reason."""


class Target(NamedTuple):
    """Where lines of a kind go."""

    topic: str
    decode: Decoder


class Outgoing(NamedTuple):
    """A line that has been looked at: either a message for ``topic``, or ``rejected``."""

    line: Line
    topic: str = ""
    key: bytes | None = None
    rejected: Rejected | None = None


@dataclass(slots=True)
class Report:
    """What became of the lines."""

    lines: int = 0
    sent: int = 0
    skipped: int = 0
    """Acknowledged in an earlier run."""
    refused: Counter[str] = field(default_factory=Counter)
    """Code -> lines."""


def targets(settings: Settings, form: str) -> dict[str, Target]:
    """Kind -> the first of its source topics in format ``form``; kinds without one are left out."""
    found: dict[str, Target] = {}
    decoders = sources(settings)
    for kind in settings.source_names():
        for source in getattr(settings.topics, kind):
            if source.format == form and kind not in found:
                topic = settings.topic(source.name)
                found[kind] = Target(topic, decoder_of(decoders[topic][1]))
    return found


def outgoing(
    lines: Iterable[Line], goals: Mapping[str, Target], contexts: Callable[[int], Context]
) -> Iterator[Outgoing]:
    """Look at lines one by one. Raises LookupError for a kind that no topic takes."""
    for line in lines:
        if line.rejected is not None or line.kind is None:
            yield Outgoing(line, rejected=line.rejected)
            continue
        goal = goals[line.kind]
        try:
            events = goal.decode(line.kind, line.message, (), contexts(now_ms()))
        except Rejected as rejected:
            yield Outgoing(line, rejected=rejected)
            continue
        key = message_key(events[0][1]) if events else ""
        yield Outgoing(line, goal.topic, key.encode() or None)


def default_kind(file: str, given: str | None, goals: Mapping[str, Target]) -> str | None:
    """The kind of lines that name none: as given, else by the file's name, else the only one that is possible."""
    only = next(iter(goals)) if len(goals) == 1 else None
    return given or kind_of(file) or only


class State:
    """How many lines of each file are done with, in a file that survives interruptions.

    Done is: acknowledged by the cluster, or refused and written to the dead letters, and so are all lines before.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.files: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            self.files = json.loads(path.read_text())["files"]

    def begin(self, file: str) -> int:
        """The number of the last line done with, 0 for none. Raises StateMismatch, or OSError."""
        if self.path is None:
            return 0
        known = self.files.get(file)
        with Path(file).open("rb") as content:
            head = content.read(_HEAD_BYTES if known is None else known["head_bytes"])
        digest = sha256(head).hexdigest()
        if known is None:
            self.files[file] = {"lines": 0, "head_bytes": len(head), "head_sha256": digest}
        elif known["head_sha256"] != digest:
            raise StateMismatch(
                f"{file} does not begin as it did when {self.path} was written: remove that file"
            )
        return int(self.files[file]["lines"])

    def done(self, file: str, number: int) -> None:
        """Remember a line; ``save`` makes it last."""
        if self.path is not None:
            self.files[file]["lines"] = number

    def save(self) -> None:
        """Write the state, all or nothing."""
        if self.path is not None:
            draft = self.path.with_name(self.path.name + ".new")
            draft.write_text(json.dumps({"files": self.files}, indent=1))
            draft.replace(self.path)


class DeadLetters:
    """A file of refused lines (R13), made when the first one comes; what earlier runs refused stays in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def write(self, line: Line, rejected: Rejected) -> None:
        """Add a line, and have it reach the file at once: what the state calls done is there."""
        if self._file is None:
            self._file = self.path.open("ab")
        row = dead_letter(line.kind or "", line.file, line.number, line.raw, rejected)
        self._file.write(dump(row) + b"\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


class Sender:
    """Sends looked-at lines in order, keeps up to ``IN_FLIGHT`` unacknowledged, and settles them in order."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        brokers: str,
        state: State,
        letters: DeadLetters,
        rate: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.producer, self.brokers, self.rate = producer, brokers, rate
        self.patience_s = patience_s
        self.state, self.letters = state, letters
        self.report = Report()
        self._open: deque[tuple[Outgoing, asyncio.Future[Any] | None]] = deque()
        self._began = 0.0
        self._settled = 0

    async def send(self, item: Outgoing) -> None:
        """Take one line; waits for the rate and for room. Raises BrokerUnreachable or SendFailed."""
        self.report.lines += 1
        future: asyncio.Future[Any] | None = None
        if item.rejected is None:
            await self._pace()
            sending = self.producer.send(item.topic, item.line.message, item.key)
            future = await self._answer(item, sending)
            self.report.sent += 1
        self._open.append((item, future))
        while self._open and (len(self._open) >= IN_FLIGHT or self._first_is_answered()):
            await self._settle()

    async def finish(self) -> None:
        """Wait until everything is acknowledged."""
        while self._open:
            await self._settle()

    async def _pace(self) -> None:
        if self.rate is None:
            return
        now = asyncio.get_running_loop().time()
        if not self._began:
            self._began = now
        due = self._began + self.report.sent / self.rate
        if due > now:
            await asyncio.sleep(due - now)

    def _first_is_answered(self) -> bool:
        future = self._open[0][1]
        return future is None or future.done()

    async def _answer(self, item: Outgoing, awaited: Awaitable[Any]) -> Any:
        """What the client answers. Raises BrokerUnreachable or SendFailed."""
        try:
            async with asyncio.timeout(self.patience_s):
                return await awaited
        except TimeoutError:
            raise BrokerUnreachable(self.brokers, f"no answer within {self.patience_s:g} s") from None
        except _SILENT as error:
            raise BrokerUnreachable(self.brokers, error) from error
        except KafkaError as error:
            where = f"{item.line.file} line {item.line.number}"
            raise SendFailed(f"{where}: {item.topic} does not take it: {error!r}") from error

    async def _settle(self) -> None:
        item, future = self._open[0]
        if future is not None:
            await self._answer(item, future)
        elif item.rejected is not None:
            self.letters.write(item.line, item.rejected)
            self.report.refused[item.rejected.code] += 1
        self._open.popleft()
        self.state.done(item.line.file, item.line.number)
        self._settled += 1
        if self._settled % SAVED_EVERY == 0:
            self.state.save()


async def send_files(
    files: Iterable[str],
    sender: Sender,
    goals: Mapping[str, Target],
    contexts: Callable[[int], Context],
    *,
    kind: str | None,
    form: str,
    max_bytes: int,
    advance: Callable[[float], None],
) -> Report:
    """Send every line of every file that is not done with; the state is saved however it ends.

    Raises BrokerUnreachable, SendFailed, StateMismatch, FileUnreadable, OSError, or LookupError for a kind that no
    topic takes.
    """
    report, state = sender.report, sender.state
    try:
        for file in files:
            done = state.begin(file)
            lines = read_lines(file, kind=default_kind(file, kind, goals), form=form, max_bytes=max_bytes)
            fresh = _after(lines, done, report, advance)
            for item in outgoing(fresh, goals, contexts):
                await sender.send(item)
        await sender.finish()
    finally:
        state.save()
    return report


def _after(
    lines: Iterator[Line], done: int, report: Report, advance: Callable[[float], None]
) -> Iterator[Line]:
    for line in lines:
        advance(len(line.raw) + 1)
        if line.number > done:
            yield line
        else:
            report.skipped += 1


def resumable(files: Iterable[str]) -> bool:
    """Whether a later run can tell which lines of these files are done with."""
    return STDIN not in files


def report_row(report: Report, dead_letters: Path, seconds: float) -> dict[str, Any]:
    """What a run did, as plain values."""
    refused = sum(report.refused.values())
    return {
        "lines": report.lines, "sent": report.sent, "skipped": report.skipped,
        "refused": refused,
        "codes": dict(sorted(report.refused.items())), "dead_letters": str(dead_letters) if refused else None,
        "seconds": round(seconds, 3),
    }  # fmt: skip
