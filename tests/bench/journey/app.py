"""The journey benchmark's job on the engine: one touch in, one scored row out, compact state per account."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

# The harness runs entries with its own interpreter: take the packages of this project's environment.
PROJECT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(PROJECT), *map(str, (PROJECT / ".venv" / "lib").glob("python3*/site-packages"))]

import orjson
from state import Account, load

from streams.effects import Effects, Output, Run, TableView
from streams.engine import AgentSpec, EngineSettings, build_app, run_worker

ENV = os.environ


class Journey:
    """Folds touches into live accounts, which are read back from the table when they are first touched."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.accounts: dict[int, dict[bytes, Account]] = {}

    def assigned(self, partition: int, table: TableView) -> None:
        """Accounts are loaded as they are touched."""
        self.accounts[partition] = {}

    def revoked(self, partition: int) -> None:
        """Forget the live accounts."""
        del self.accounts[partition]

    def handle(self, run: Run, table: TableView) -> Effects:
        """One row for each touch, the changed accounts as state."""
        accounts, partition, topic = self.accounts[run.partition], run.partition, self.output
        effects = Effects()
        outputs = effects.outputs
        dirty: dict[bytes, Account] = {}
        loads, dumps = orjson.loads, orjson.dumps
        for record in run.records:
            key = record.key or b""
            account = dirty.get(key)
            if account is None:
                account = accounts.get(key)
                if account is None:
                    account = accounts[key] = load(table.get, key)
                dirty[key] = account
            outputs.append(Output(topic, key, dumps(account.apply(loads(record.value or b""))), (), partition))
        for key, account in dirty.items():
            account.dump(key, effects.state)
        return effects

    def interval(self, partition: int, now_ms: int, table: TableView) -> Effects | None:
        """Nothing is due by the clock."""
        return None

    def newer(self, key: bytes, old: bytes, new: bytes) -> bool:
        """The last record counts."""
        return True


def main() -> int:
    """Run until killed."""
    settings = EngineSettings(
        app_id=ENV["BENCH_APP_ID"],
        brokers=ENV["BENCH_BROKER"],
        data_dir=ENV["BENCH_STATE_DIR"],
        session_timeout_ms=int(ENV["BENCH_SESSION_TIMEOUT_MS"]),
        heartbeat_interval_ms=1_000,
        batch_max=int(ENV.get("BATCH_MAX", "2000")),
        check_crcs=False,
    )
    agent = AgentSpec("journey", (ENV["BENCH_INPUT"],), Journey(ENV["BENCH_OUTPUT"]), "journeys")
    return run_worker(build_app(settings, [agent], clock=lambda: time.time_ns() // 1_000_000))


if __name__ == "__main__":
    sys.exit(main())
