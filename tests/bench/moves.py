"""Facts that move: how long a stitch takes, and whether a large account that moves stalls its neighbours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.clock import now_ms
from streams.partitioning import partition_of
from streams.topology import CREDITS, JOURNEYS
from tests.bench import data
from tests.bench.cluster import PARTITIONS
from tests.bench.data import Touch
from tests.bench.figures import BenchError, quantile
from tests.bench.flow import Flow, p99, steady
from tests.bench.product import WORKER, check_of, installed, nothing_lags
from tests.bench.setup import SEED, Bench
from tests.integration.live import Live, LiveWorker

STITCHED = 300
"""Touches of a visitor who identifies."""
OLD, NEW = "old-000000", "new-000000"
ORDINARY = 4
"""While an account moves, the ordinary rate divided by this goes to the partition that it moves from."""
Ids = Callable[[str], Mapping[str, str]]


def naming(touches: Iterator[Touch], ids: Ids) -> Iterator[Touch]:
    """The touches with other identifiers: what they carry follows from the account."""
    for key, value in touches:
        event = orjson.loads(value)
        account = event.pop("account_id")
        del event["anonymous_id"]
        yield Touch(key, orjson.dumps({**event, **ids(account)}))


def contact_of(account: str) -> dict[str, str]:
    """The one contact of an account."""
    return {"contact_id": f"contact-{account}"}


def account_itself(account: str) -> dict[str, str]:
    """Nothing for identity to do."""
    return {"account_id": account}


def fact(kind: str, event_id: str, at: int, key: str, **fields: Any) -> Touch:
    """A record of a source topic."""
    return Touch(
        key.encode(), orjson.dumps({"event_id": event_id, "type": kind, "occurred_at": at, **fields})
    )


def identified(number: int, at: int, account: str, **ids: str) -> Touch:
    """Somebody says who it is."""
    return fact("contact_identified", f"identified-{number}", at, account, account_id=account, **ids)


async def until_nothing_lags(*workers: LiveWorker, deadline_s: float) -> None:
    """Wait. Raises BenchError after the deadline."""
    deadline = time.monotonic() + deadline_s
    seen = 0
    while seen < 5:
        seen = seen + 1 if await asyncio.to_thread(nothing_lags, *workers) else 0
        check_of(*workers)()
        if time.monotonic() > deadline:
            raise BenchError(f"something lags after {deadline_s:.0f} s")
        await asyncio.sleep(0.1)


class Stitch(NamedTuple):
    """Of all repetitions, seconds."""

    seconds: list[float]

    def __str__(self) -> str:
        return f"stitch: p50 {quantile(self.seconds, 0.5):.3f} s, at most {max(self.seconds):.3f} s"


async def stitches(bench: Bench, repetitions: int) -> Stitch:
    """From ``contact_identified`` to the last revised credit of the account's won deal. Raises BenchError."""
    async with installed(bench, "stitch") as live:
        now = now_ms()
        await bench.cluster.load(f"{live.prefix}touchpoints", waiting(repetitions, now))
        deals = (
            fact(
                "deal_updated", f"won-{n}", now - data.DAY_MS, f"acc-{n}", account_id=f"acc-{n}",
                deal_id=f"D{n}", stage="closed", status="won", amount="1000.01", currency="EUR",
            )
            for n in range(repetitions)
        )  # fmt: skip
        await bench.cluster.load(f"{live.prefix}deals", deals)
        # past the records behind a start, after which every fact is answered by itself
        others = data.visits(SEED, bench.sizes.accounts, data.evenly(bench.sizes.backlog, now - 9_000, now))
        await bench.cluster.load(f"{live.prefix}touchpoints", islice(others, bench.sizes.backlog))
        worker = live.worker(**WORKER).start()
        await until_nothing_lags(worker, deadline_s=bench.sizes.deadline_s)
        seconds = []
        async with (
            at_end(bench, live.prefix + CREDITS) as reader,
            AIOKafkaProducer(bootstrap_servers=bench.cluster.broker, linger_ms=0) as producer,
        ):
            for n in range(repetitions):
                check_of(worker)()
                record = identified(
                    n, now_ms(), f"acc-{n}", contact_id=f"contact-{n}", anonymous_id=f"visitor-{n}"
                )
                begin = time.monotonic()
                await producer.send(f"{live.prefix}leads", record.value, key=record.key)
                seconds.append(
                    await last_credit(reader, f"acc-{n}", STITCHED, bench.sizes.deadline_s) - begin
                )
    return Stitch(seconds)


def waiting(visitors: int, now: int) -> Iterator[Touch]:
    """Touches of unknown visitors, and one of each account, which alone has the credit as yet."""
    touches = data.histories(
        SEED,
        visitors,
        STITCHED,
        data.evenly(visitors * STITCHED, now - 30 * data.DAY_MS, now - 2 * data.DAY_MS),
    )
    for number, touch in enumerate(naming(touches, lambda _: {})):
        visitor = f"visitor-{number // STITCHED}"
        yield Touch(visitor.encode(), orjson.dumps({**orjson.loads(touch.value), "anonymous_id": visitor}))
    for n in range(visitors):
        yield fact(
            "page_view",
            f"known-{n}",
            now - 3 * data.DAY_MS,
            f"acc-{n}",
            account_id=f"acc-{n}",
            channel="Email",
        )


@asynccontextmanager
async def at_end(bench: Bench, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A reader of what comes from now on."""
    async with AIOKafkaConsumer(
        bootstrap_servers=bench.cluster.broker, enable_auto_commit=False, fetch_max_wait_ms=10
    ) as reader:
        tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        reader.assign(tps)
        await reader.seek_to_end(*tps)
        for tp in tps:
            await reader.position(tp)
        yield reader


async def last_credit(reader: AIOKafkaConsumer, account: str, touches: int, deadline_s: float) -> float:
    """Instant of the last credit row of an account, once so many touches have one and no more comes for a second."""
    seen: set[str] = set()
    begin = last = time.monotonic()
    while len(seen) < touches or time.monotonic() - last < 1.0:
        if time.monotonic() - begin > deadline_s:
            raise BenchError(f"{len(seen)} of {touches} touches of {account} have a credit")
        for records in (await reader.getmany(timeout_ms=100)).values():
            for record in records:
                row = orjson.loads(record.value) if record.value else {}
                if row.get("account_id") == account and not row["is_deleted"]:
                    seen.add(row["touch_id"])
                    last = time.monotonic()
    return last


class Moving(NamedTuple):
    """An account moves while others go on."""

    touches: int
    before_ms: float
    """99th percentile of ordinary touches of the partition before,"""
    meanwhile_ms: float
    """and of those sent while it moves."""
    seconds: float
    """From the merge to the row of the other account that counts all."""

    def __str__(self) -> str:
        return (
            f"{self.touches:,} touches moved in {self.seconds:.1f} s; others wait {self.before_ms:.0f} ms before and "
            f"{self.meanwhile_ms:.0f} ms meanwhile (p99)"
        )


async def moving(bench: Bench, number: int) -> Moving:
    """Ordinary touches of one journal partition while its largest account leaves it. Raises BenchError."""
    sizes, count = bench.sizes, bench.sizes.moved
    home = partition_of(f"A:{OLD}".encode(), PARTITIONS)
    now = now_ms()
    old = naming(
        data.histories(
            SEED, 1, count, data.evenly(count, now - 30 * data.DAY_MS, now - data.DAY_MS), name="old"
        ),
        account_itself,
    )
    others = (
        touch
        for touch in naming(data.visits(SEED + number, sizes.accounts, lambda _: now_ms()), account_itself)
        if partition_of(b"A:" + touch.key, PARTITIONS) == home
    )

    def touches() -> Iterator[Touch]:
        yield from old
        yield from others

    async with installed(bench, f"moving-{number}") as live:
        worker = live.worker(**WORKER).start()
        source, output = f"{live.prefix}touchpoints", live.prefix + JOURNEYS
        rate, backlog = max(sizes.rate // ORDINARY, 50), count + sizes.backlog // ORDINARY
        async with steady(
            bench, source, output, touches(), rate=rate, check=check_of(worker), backlog=backlog
        ) as flow:
            await flow.last(sizes.settle_s)
            begin = time.monotonic_ns()
            await flow.last(sizes.measured_s)
            moved = time.monotonic_ns()
            await merge(bench, live, flow, count)
            end = time.monotonic_ns()
            # the rows of the account that got them answer as many touches again
            flow.files = flow.files._replace(backlog=backlog + count)
            answers = await flow.finish()
    return Moving(count, p99(answers, begin, moved), p99(answers, moved, end), (end - moved) / 1e9)


async def merge(bench: Bench, live: Live, flow: Flow, count: int) -> None:
    """Say that the accounts are one, and wait for the row that counts so many touches."""
    record = fact("account_merged", "merge", now_ms(), OLD, account_id=OLD, into_account_id=NEW)
    deadline = time.monotonic() + bench.sizes.deadline_s
    async with at_end(bench, live.prefix + JOURNEYS) as reader:
        await bench.cluster.load(f"{live.prefix}leads", [record])
        while time.monotonic() < deadline:
            flow.check()
            for records in (await reader.getmany(timeout_ms=20)).values():
                for found in records:
                    row = orjson.loads(found.value) if found.value else {}
                    if row.get("account_id") == NEW and row["touches"] == count:
                        return
    raise BenchError("the account did not move")
