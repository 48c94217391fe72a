"""What a user sees of a worker that cannot start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from streams.embedded import EmbeddedBroker
from streams.topics import create_topics, declared_topics


async def test_a_worker_whose_port_is_taken_says_so_in_one_line_and_exits_1(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    await create_topics(embedded_broker.address, declared_topics("headwater"), partitions=1)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}
    environment["HEADWATER_WORKER__DATA_DIR"] = str(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "streams.cli.main", "worker", "--port", str(port)]
        ended = subprocess.run(  # noqa: ASYNC221
            [*command, "--brokers", embedded_broker.address],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
    assert ended.returncode == 1
    assert [line for line in ended.stderr.splitlines() if not line.startswith("Warning: ")] == [
        f"Error: cannot serve probes and metrics on 127.0.0.1:{port}: address already in use; "
        "--port N takes another, --port 0 any free one"
    ]
