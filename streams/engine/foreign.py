"""Records of another writer in our changelog, and how they are overruled.

A worker that was frozen past its session and wakes up may still write state of a partition that has a new owner: no
broker fences it. The owner notices when its own records do not follow its last ones, reads what lies between, and
writes its own values of those keys again.
"""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from faust.types import TP

from streams.engine.errors import EngineError
from streams.engine.settings import EngineSettings

READ_S = 30.0


class WriteTracker:
    """Where our own records of each changelog partition end."""

    def __init__(self) -> None:
        self._ends: dict[TP, int] = {}

    def begin(self, tp: TP, end: int) -> None:
        """The table is complete up to ``end``, the offset of the next record."""
        self._ends[tp] = end

    def clear(self) -> None:
        """A rebalance began: what follows our records may be read by the recovery."""
        self._ends.clear()

    def acknowledged(self, tp: TP, base: int, end: int) -> tuple[int, int] | None:
        """Our records ``base`` to ``end - 1`` are on the log; the range of another writer's before them, or None.

        A broker that recognised a repeated batch may not know its offsets (both -1): then the next one starts anew.
        """
        expected = self._ends.get(tp)
        if base < 0:
            self._ends.pop(tp, None)
            return None
        self._ends[tp] = end
        return (expected, base) if expected is not None and base > expected else None


async def read_keys(settings: EngineSettings, tp: TP, start: int, stop: int) -> list[bytes]:
    """Keys of the records from ``start`` to ``stop - 1``, each once. Raises ``EngineError`` after 30 s."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=[host.strip() for host in settings.brokers.split(",") if host.strip()],
        client_id=settings.client_id or settings.app_id,
        enable_auto_commit=False,
        **credentials_to_aiokafka_auth(settings.security.credentials(), None),
    )
    await consumer.start()
    try:
        place = TopicPartition(tp.topic, tp.partition)
        consumer.assign([place])
        consumer.seek(place, start)
        keys: dict[bytes, None] = {}
        waited = 0.0
        while await consumer.position(place) < stop:
            records = (await consumer.getmany(timeout_ms=1_000)).get(place, [])
            waited = 0.0 if records else waited + 1.0
            if waited > READ_S:
                raise EngineError(f"{tp.topic}/{tp.partition}: offsets {start} to {stop} cannot be read")
            keys |= dict.fromkeys(r.key for r in records if r.offset < stop and r.key is not None)
        return list(keys)
    finally:
        await consumer.stop()
