"""A stream of source records in which everything that a dashboard shows happens, over and over."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from itertools import count
from types import TracebackType

from aiokafka import AIOKafkaProducer

DAY_MS = 86_400_000
PAUSE_S = 0.05


def records(now_ms: int) -> Iterator[list[tuple[str, bytes]]]:
    """Batches of (topic, value), each one account's story up to ``now_ms``; every number makes another account.

    An account warms up and goes silent long ago (so it cools), has one deal won and one open, and sends one
    message that is no JSON.
    """
    for n in count():
        account, now = f"A{n}", now_ms + n
        touches = [("page_view", now - (100 - day) * DAY_MS) for day in range(4)] + [
            ("meeting", now - DAY_MS)
        ]
        yield [
            *(
                ("touchpoints", _event(f"t{n}-{i}", kind, at, account_id=account))
                for i, (kind, at) in enumerate(touches)
            ),
            (
                "leads",
                _event(f"l{n}", "lead_created", now - 90 * DAY_MS, account_id=account, lead_id=f"L{n}"),
            ),
            ("deals", _deal(n, "won", now - 2 * DAY_MS, stage="closed", status="won")),
            ("deals", _deal(n, "open", now, stage="qualification")),
            ("touchpoints", b"no JSON"),
        ]


def _deal(n: int, name: str, at: int, **fields: str) -> bytes:
    more = {"account_id": f"A{n}", "deal_id": f"D{n}-{name}", "amount": "1000", "currency": "EUR", **fields}
    return _event(f"d{n}-{name}", "deal_updated", at, **more)


def _event(event_id: str, kind: str, at: int, **fields: str) -> bytes:
    return json.dumps({"event_id": event_id, "type": kind, "occurred_at": at, **fields}).encode()


class Traffic:
    """Sends ``records`` from a thread of its own while the block runs; a failure ends the block's end."""

    def __init__(self, address: str, now_ms: int) -> None:
        self.address, self.now_ms = address, now_ms
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="traffic")

    def _run(self) -> None:
        try:
            asyncio.run(self._send())
        except BaseException as error:
            self._failure = error

    async def _send(self) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            for batch in records(self.now_ms):
                for topic, value in batch:
                    await producer.send(topic, value)
                await producer.flush()
                if await asyncio.to_thread(self._stop.wait, PAUSE_S):
                    return

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure
