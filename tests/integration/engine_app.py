"""The worker of the engine's integration tests: counts per key, with state and one output for each record.

Started as a process: settings come from the environment, progress goes to a file of JSON lines (PROGRESS).
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streams.effects import Effects, Output, Run, StatelessHandler, TableView
from streams.engine import AgentSpec, EngineSettings, FollowerSpec, Observer, build_app, run_worker
from streams.engine.lease import Lease
from streams.replica import CompactMap

ENV = os.environ


class Count(StatelessHandler):
    """State: "count applied-offset". A record at or below the applied offset does not count again."""

    def __init__(self, output: str) -> None:
        self.output = output

    def assigned(self, partition: int, table: TableView) -> None:
        counts = {key.decode(): decode(value)[0] for key, value in table.items()}
        say(event="assigned", partition=partition, keys=len(counts), counts=counts)

    def revoked(self, partition: int) -> None:
        say(event="revoked", partition=partition)

    def handle(self, run: Run, table: TableView) -> Effects:
        time.sleep(float(ENV.get("DRAG", "0")))
        busy_until = time.process_time() + float(ENV.get("BURN", "0")) * len(run.records)
        while time.process_time() < busy_until:
            pass
        effects = Effects(origins=[record.timestamp for record in run.records])
        changed: dict[bytes, tuple[int, int]] = {}
        for record in run.records:
            key = record.key or b""
            if record.value == b"poison":
                raise ValueError("poison")
            count, applied = changed.get(key) or decode(table.get(key))
            if record.offset > applied:
                changed[key] = count, applied = count + 1, record.offset
            value = b"%s %d %d" % (record.value or b"", count, run.left)
            if record.value == b"large":
                value = bytes(5 << 20)
            effects.outputs.append(Output(self.output, key, value, [("n", b"1")]))
        if not ENV.get("STATELESS"):
            effects.state = [(key, b"%d %d" % state) for key, state in changed.items()]
        return effects

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        return decode(new)[1] >= decode(old)[1]

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        output = ENV.get("TICKS")
        return (
            Effects(outputs=[Output(output, None, b"%d" % now_ms, partition=partition % 3)])
            if output
            else None
        )


class Relay(StatelessHandler):
    """Passes records of several topics on, by their keys."""

    def __init__(self, output: str) -> None:
        self.output = output

    def handle(self, run: Run, table: TableView) -> Effects:
        return Effects(outputs=[Output(self.output, record.key, record.value) for record in run.records])


class LookUp(StatelessHandler):
    """Answers each record with what a followed topic has under its key."""

    def __init__(self, output: str) -> None:
        self.output, self.known = output, CompactMap()

    def take(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        for key, value in records:
            if value is None:
                self.known.remove(key or b"")
            else:
                self.known.put(key or b"", value)
            time.sleep(float(ENV.get("FOLLOW_DRAG", "0")))
        say(event="followed", key=(key or b"").decode())

    def handle(self, run: Run, table: TableView) -> Effects:
        found = [(record.key, self.known.get(record.key or b"")) for record in run.records]
        return Effects(outputs=[Output(self.output, key, value) for key, value in found])


def decode(value: bytes | None) -> tuple[int, int]:
    count, applied = (value or b"0 -1").split()
    return int(count), int(applied)


def say(**what: Any) -> None:
    """Append a line to the progress file."""
    with Path(ENV["PROGRESS"]).open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "at": time.monotonic(), **what}) + "\n")


def slow_broker(seconds: float) -> None:
    """Delay every produce request."""
    from aiokafka.producer import sender

    send = sender.SendProduceReqHandler.do

    async def do(self: Any, node_id: int) -> Any:
        await asyncio.sleep(seconds)
        return await send(self, node_id)

    sender.SendProduceReqHandler.do = do


def observer() -> Observer:
    def recovery(seconds: float, records: int) -> None:
        say(event="recovery", seconds=seconds, records=records)

    def ready(is_ready: bool, reasons: Sequence[str]) -> None:
        say(event="ready", ready=is_ready, reasons=list(reasons))

    def gap(topic: str, partition: int) -> None:
        say(event="gap", topic=topic, partition=partition)

    def foreign(topic: str, partition: int) -> None:
        say(event="foreign", topic=topic, partition=partition)

    return Observer(recovery=recovery, ready=ready, gap_probed=gap, foreign_write=foreign)


def main() -> int:
    logging.basicConfig(
        level=ENV.get("LOG", "WARNING"), format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    if "SLOW" in ENV:
        slow_broker(float(ENV["SLOW"]))
    session_ms = int(ENV.get("SESSION_MS", "6000"))
    settings = EngineSettings(
        app_id=ENV["APP"],
        brokers=ENV["BROKER"],
        data_dir=ENV["DATA"],
        client_id=ENV["CLIENT"],
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=1000,
        rebalance_timeout_ms=session_ms,
        request_timeout_ms=max(session_ms, 40_000),
        commit_interval_ms=int(ENV.get("COMMIT_MS", "200")),
        batch_max=int(ENV.get("BATCH", "100")),
        assignment_deadline_s=float(ENV.get("DEADLINE", "60")),
        commit_deadline_s=float(ENV.get("COMMIT_DEADLINE", "60")),
        yield_lag=int(ENV.get("YIELD_LAG", "20000")),
    )
    table = None if ENV.get("STATELESS") else "counts"
    spec = AgentSpec(
        "count",
        (ENV["INPUT"],),
        Count(ENV["OUTPUT"]),
        table,
        0.2 if "TICKS" in ENV else None,
        (ENV["OUTPUT"],),
    )
    agents = [spec]
    if "RELAY" in ENV:
        topics = tuple(ENV["RELAY"].split(","))
        first = (ENV["INPUT"],) if "YIELD_LAG" in ENV else ()
        agents.append(AgentSpec("relay", topics, Relay(ENV["INPUT"]), None, None, (ENV["INPUT"],), first))
    followers = []
    if "FOLLOW" in ENV:
        followed, asked, answers = ENV["FOLLOW"].split(",")
        look_up = LookUp(answers)
        agents.append(AgentSpec("look-up", (asked,), look_up, writes=(answers,)))
        followers.append(FollowerSpec("known", followed, look_up.take, ("look-up",)))
    app = build_app(
        settings, agents, observer=observer(), clock=lambda: time.time_ns() // 1_000_000, followers=followers
    )
    if "UNHELD" in ENV:  # it may send whatever happened to it
        app.lease = Lease(math.inf)
    return run_worker(app)


if __name__ == "__main__":
    sys.exit(main())
