"""Seeded, believable B2B journeys as native events, in arrival order.

A world of companies that look around anonymously, say who they are, talk to sales, buy, grow, leave, fall silent
and come back; with strangers, crawlers, advertising costs, late and repeated events, and a few that cannot be
read. ``generate`` is a pure function of its arguments.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator

from streams.generator_stories import STORIES, advertising, crawler, stranger, tell
from streams.generator_world import DAY_MS, Arrival, Message, World

__all__ = ["SPAN_MS", "Message", "generate"]

SPAN_MS = 270 * DAY_MS
"""How long the world exists before ``end_ms``."""
_LENGTH = 0.35
"""How much of the span a journey lasts, roughly."""
_LAST_START = 0.98
_STRANGERS, _CRAWLERS, _CAMPAIGNS = 9, 2, 1
"""Beside the accounts of one deck of stories."""

Begin = Callable[[World, int], None]


def generate(seed: int, events: int, end_ms: int) -> Iterator[Message]:
    """Exactly ``events`` messages in the order in which they arrive.

    Event times (epoch ms) begin ``SPAN_MS`` before ``end_ms`` and end shortly before it. An event arrives within
    90 seconds, a late one or a repetition within 7 days. The number of accounts grows with ``events``, the mix
    stays.
    """
    world = World(seed, end_ms)
    begins = _shuffled(world)
    waiting: list[Arrival] = []
    planned = 0
    while planned < events:
        start = end_ms - SPAN_MS + int(SPAN_MS * _start_of(planned / events))
        # Nothing that begins from here on arrives before its beginning.
        while waiting and waiting[0].at < start:
            yield heapq.heappop(waiting).message
        next(begins)(world, start)
        arrivals = world.fetch()
        if planned + len(arrivals) > events:
            arrivals = sorted(arrivals)[: events - planned]
        planned += len(arrivals)
        for arrival in arrivals:
            heapq.heappush(waiting, arrival)
    while waiting:
        yield heapq.heappop(waiting).message


def _start_of(share: float) -> float:
    """When, as a part of the span, the journey begins before which this share of all events is planned.

    Journeys begin at a steady rate. Those that begin in the last ``_LENGTH`` of the span are cut off by its end
    and bring fewer events each, so the share planned is a straight line up to there and a parabola after it.
    """
    whole = 1 - _LENGTH / 2
    straight = (1 - _LENGTH) / whole
    if share <= straight:
        return share * whole
    return min(1 - math.sqrt(2 * _LENGTH * whole * (1 - share)), _LAST_START)


def _shuffled(world: World) -> Iterator[Begin]:
    """Stories without end, deck after deck, so that few events already hold the whole mix."""
    shares: list[tuple[int, Begin]] = [
        (_STRANGERS, stranger),
        (_CRAWLERS, crawler),
        (_CAMPAIGNS, advertising),
    ]
    shares += [(copies, tell(story)) for copies, story in STORIES]
    deck: list[Begin] = [begin for copies, begin in shares for _ in range(copies)]
    while True:
        for last in range(len(deck) - 1, 0, -1):
            other = world.whole(0, last)
            deck[last], deck[other] = deck[other], deck[last]
        yield from deck
