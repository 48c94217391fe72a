"""Seeded input. The same arguments give the same bytes on every release of Python."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, count, groupby
from random import Random
from typing import Any, NamedTuple, TypeVar

import orjson

T = TypeVar("T")
ZIPF = 0.8
"""In the journey job the account of rank n is met in proportion to n to the power of minus this."""
ACCOUNT = "acc"
P_DUPLICATE = 0.01
DUPLICATE_OF_LAST = 20
"""A duplicate repeats one of so many events before it."""
DISORDER_MS = 60_000
DAY_MS = 86_400_000
END_MS = 1_780_000_000_000
"""Event time ends here: past, so that nothing lies in the future."""
SPAN_MS = 30 * DAY_MS

KINDS = (
    ("page_view", 50), ("ad_click", 8), ("ad_impression", 8), ("email_open", 10), ("email_click", 6),
    ("email_sent", 8), ("call_attempt", 2), ("message_sent", 2), ("download", 2), ("chat", 1), ("webinar", 1),
    ("form_submit", 1), ("email_reply", 1),
)  # fmt: skip
CHANNELS = (
    ("direct", 20), ("organic_search", 25), ("paid_search", 15), ("email", 12), ("paid_social", 8),
    ("organic_social", 6), ("referral", 6), ("display", 3), ("webinar", 2), ("outbound_sales", 3),
)  # fmt: skip
VISITS = (
    ("https://www.google.com/", ""),
    ("https://www.google.com/", "?utm_source=google&utm_medium=cpc&utm_campaign=brand"),
    ("https://www.linkedin.com/", "?utm_source=linkedin&utm_medium=paid_social&utm_campaign=pipeline"),
    ("", "?utm_source=newsletter&utm_medium=email&utm_campaign=march"),
    ("https://partner.example.com/tools", ""),
    ("", ""),
)
PAGES = ("pricing", "product", "docs/start", "blog/attribution", "customers", "security")
BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/139.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.5 Safari/605.1.15",
)


class Touch(NamedTuple):
    """A record of a source topic; the key is the account."""

    key: bytes
    value: bytes


class Draw:
    """Chance by ``Random.random`` alone, the one method whose values never change between releases."""

    def __init__(self, seed: int, accounts: int, exponent: float) -> None:
        self.unit: Callable[[], float] = Random(seed).random
        self._accounts = list(accumulate((rank + 1) ** -exponent for rank in range(accounts)))
        self._kinds = self._cumulated(KINDS)
        self._channels = self._cumulated(CHANNELS)

    def _cumulated(self, choices: Sequence[tuple[str, int]]) -> list[int]:
        return list(accumulate(weight for _, weight in choices))

    def _index(self, cumulated: Sequence[float]) -> int:
        return min(bisect(cumulated, self.unit() * cumulated[-1]), len(cumulated) - 1)

    def account(self) -> str:
        """An account; with an exponent above 0 the first ones most often."""
        return f"{ACCOUNT}-{self._index(self._accounts):06}"

    def kind(self) -> str:
        """A touch type."""
        return KINDS[self._index(self._kinds)][0]

    def channel(self) -> str:
        """A channel of the journey job."""
        return CHANNELS[self._index(self._channels)][0]

    def below(self, limit: int) -> int:
        """A whole number from 0 up."""
        return int(self.unit() * limit)


def touches(seed: int, events: int, accounts: int, exponent: float = ZIPF) -> Iterator[Touch]:
    """Input of the journey job: about 290 bytes each, up to a minute out of order, one in a hundred repeated."""
    draw = Draw(seed, accounts, exponent)
    sent: list[Touch] = []
    step = SPAN_MS / events
    for number in range(events):
        if sent and draw.unit() < P_DUPLICATE:
            touch = sent[-1 - draw.below(min(len(sent), DUPLICATE_OF_LAST))]
        else:
            account = draw.account()
            at = END_MS - SPAN_MS + int(number * step) + draw.below(2 * DISORDER_MS) - DISORDER_MS
            touch = Touch(account.encode(), orjson.dumps(_job_event(draw, number, account, at)))
        sent.append(touch)
        del sent[:-DUPLICATE_OF_LAST]
        yield touch


def _job_event(draw: Draw, number: int, account: str, at: int) -> dict[str, Any]:
    return {
        "event_id": f"touch-{number:09}",
        "type": draw.kind(),
        "source": "native",
        "occurred_at": at,
        "account_id": account,
        "anonymous_id": f"visitor-{draw.below(1 << 40):012x}",
        "channel": draw.channel(),
        "campaign": f"spring-webinar-series-{draw.below(40):03}",
        "url": f"https://www.example.com/{PAGES[draw.below(len(PAGES))]}?ref={draw.below(1 << 52):016x}",
    }


def steady_touches(seed: int, accounts: int, at_ms: Callable[[int], int]) -> Iterator[Touch]:
    """Input of the journey job without end: in order, never twice, every account as often as any other.

    ``at_ms`` gives the event time (epoch ms) of the touch with that number.
    """
    draw = Draw(seed, accounts, 0.0)
    for number in count():
        account = draw.account()
        yield Touch(account.encode(), orjson.dumps(_job_event(draw, number, account, at_ms(number))))


def visits(seed: int, accounts: int, at_ms: Callable[[int], int]) -> Iterator[Touch]:
    """Touchpoints for the product, without end: in order, never twice, every account as often as any other, channels
    still to be classified.

    ``at_ms`` gives the event time (epoch ms) of the touch with that number.
    """
    draw = Draw(seed, accounts, 0.0)
    for number in count():
        yield _visit(draw, f"visit-{seed}-{number:09}", draw.account(), at_ms(number))


def histories(
    seed: int, accounts: int, depth: int, at_ms: Callable[[int], int], name: str = ACCOUNT
) -> Iterator[Touch]:
    """As ``visits``, but each account has exactly ``depth`` touches, which come one after another."""
    draw = Draw(seed, 1, 0.0)
    for number in range(accounts * depth):
        account = f"{name}-{number // depth:06}"
        yield _visit(draw, f"history-{name}-{seed}-{number:09}", account, at_ms(number))


def _visit(draw: Draw, event_id: str, account: str, at: int) -> Touch:
    referrer, query = VISITS[draw.below(len(VISITS))]
    event = {
        "event_id": event_id,
        "type": draw.kind(),
        "occurred_at": at,
        "account_id": account,
        "anonymous_id": f"visitor-{account}",
        "url": f"https://www.example.com/{PAGES[draw.below(len(PAGES))]}{query}",
        "referrer": referrer,
        "user_agent": BROWSERS[draw.below(len(BROWSERS))],
    }
    return Touch(account.encode(), orjson.dumps(event))


def evenly(events: int, begin_ms: int, end_ms: int) -> Callable[[int], int]:
    """Event times that rise evenly from ``begin_ms`` to ``end_ms``."""
    return lambda number: begin_ms + (end_ms - begin_ms) * number // events


def shuffled_within(hours: Iterable[tuple[int, T]], seed: int) -> Iterator[T]:
    """(hour, item) in order of their hours, the items of an hour in any order."""
    unit = Random(seed).random
    for _, group in groupby(hours, key=lambda pair: pair[0]):
        items = [item for _, item in group]
        for last in range(len(items) - 1, 0, -1):
            other = int(unit() * (last + 1))
            items[last], items[other] = items[other], items[last]
        yield from items
