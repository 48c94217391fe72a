"""The journey job as a plain Faust application: one agent, one table, one awaited send per event."""

from __future__ import annotations

import os
from typing import Any

import faust
import orjson

from tests.bench.cluster import PARTITIONS
from tests.bench.job import fold, new_state

ENV = os.environ
RAW = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}

app = faust.App(
    ENV["BENCH_APP_ID"],
    broker=f"kafka://{ENV['BENCH_BROKER']}",
    store="memory://",
    datadir=ENV["BENCH_STATE_DIR"],
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    table_standby_replicas=0,
    topic_disable_leader=True,
    # larger than the defaults, where that only helps
    broker_max_poll_records=5_000,
    consumer_max_fetch_size=2 << 20,
    producer_max_batch_size=512 << 10,
    broker_check_crcs=False,
)
source = app.topic(ENV["BENCH_INPUT"], **RAW)
output = app.topic(ENV["BENCH_OUTPUT"], **RAW)
accounts = app.Table("accounts", key_type=bytes, default=new_state, partitions=PARTITIONS)


@app.agent(source)  # type: ignore[untyped-decorator]
async def journey(stream: Any) -> None:
    """Fold, store, answer."""
    async for key, value in stream.items():
        state = accounts[key]
        row = fold(state, orjson.loads(value))
        accounts[key] = state
        await output.send(key=key, value=orjson.dumps(row))


if __name__ == "__main__":
    app.main()
