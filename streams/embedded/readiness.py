"""Whether a broker serves: a Metadata answer that names a live broker. An open port says too little."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

METADATA, VERSION = 3, 4
CLIENT = b"headwater"
POLL_S = 0.02
"""Between two tries; a broker on the same machine is ready within tens of them."""


class BrokerNotReadyError(Exception):
    """The broker did not answer in time, or ended while starting."""


def live_brokers(host: str, port: int, timeout_s: float = 2.0) -> list[tuple[int, str, int]]:
    """(node id, host, port) of each live broker, by a Metadata v4 request that asks for no topic.

    Raises OSError when nobody answers in time, struct.error when the answer is not Kafka's.
    """
    head = struct.pack(">hhih", METADATA, VERSION, 1, len(CLIENT)) + CLIENT
    body = struct.pack(">i?", 0, False)
    with socket.create_connection((host, port), timeout=timeout_s) as connection:
        connection.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        (size,) = struct.unpack(">i", _receive(connection, 4))
        answer = _receive(connection, size)
    (count,) = struct.unpack_from(">i", answer, 8)  # behind the correlation id and the throttle time
    at, brokers = 12, []
    for _ in range(count):
        node, length = struct.unpack_from(">ih", answer, at)
        name = answer[at + 6 : at + 6 + length].decode()
        at += 6 + length
        broker_port, rack = struct.unpack_from(">ih", answer, at)
        at += 6 + max(rack, 0)
        brokers.append((node, name, broker_port))
    return brokers


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionResetError("the connection was closed in the middle of an answer")
        data += part
    return data


def wait_until_ready(
    address: Callable[[], tuple[str, int] | None], ended: Callable[[], bool], deadline_s: float
) -> tuple[str, int]:
    """Block until the broker at ``address()`` serves; returns that address.

    ``address`` may give None while it is not known yet; ``ended`` says that the process is gone. Raises
    BrokerNotReadyError when it is, or after ``deadline_s`` seconds.
    """
    limit = time.monotonic() + deadline_s
    while time.monotonic() < limit:
        if ended():
            raise BrokerNotReadyError("the broker ended while starting")
        try:
            where = address()
            if where and live_brokers(*where):
                return where
        except (OSError, struct.error):
            pass
        time.sleep(POLL_S)
    raise BrokerNotReadyError(f"the broker was not ready after {deadline_s:g} s")
