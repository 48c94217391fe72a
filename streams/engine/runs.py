"""A run on its way through Faust: one message, one event, many records."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from faust.serializers.schemas import Schema
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.effects import Record


class RunMessage(ConsumerMessage):
    """Consecutive records of one partition. ``offset`` is the last record's."""

    __slots__ = ("done", "held", "left", "owner", "records", "since")

    def __init__(self, tp: TP, records: Sequence[Record], generation: int, owner: object) -> None:
        last = records[-1]
        super().__init__(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000.0, 0, None, None, None, None, 0, 0, tp,
            generation_id=generation,
        )  # fmt: skip
        self.records = records
        self.owner = owner
        """The bookkeeping it was handed over by; after a rebalance there is a new one."""
        self.left = 0
        """Offsets known to wait behind it (``streams.effects.Run.left``)."""
        self.held = False
        """True when its effects are acknowledged but the handler still owes something for it."""
        self.done = False
        """True when its effects are acknowledged and paid for: the only thing that makes its offset committable."""
        self.since = monotonic()
        """When it was handed over."""

    def shorten(self, taken: int) -> None:
        """Its handler took only the first records."""
        self.left += len(self.records) - taken
        self.records = self.records[:taken]
        self.offset = self.records[-1].offset  # type: ignore[misc]  # a slot of the base


class RunSchema(Schema):
    """Hands the whole message over as the event's value; nothing is decoded."""

    def compile(self, app: Any, **_: Any) -> Any:
        """Function that makes a message into an event."""
        create_event = app.create_event

        async def decode(message: RunMessage, *, propagate: bool = False) -> Any:
            return create_event(None, message, None, message)

        return decode
