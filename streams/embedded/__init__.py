"""A broker for development, behind one small interface so that it can be replaced."""

from streams.embedded.broker import NOTICE, EmbeddedBroker, EmbeddedBrokerUnavailableError, find_binary
from streams.embedded.child import Server, end, spawn
from streams.embedded.readiness import BrokerNotReadyError, live_brokers, wait_until_ready

__all__ = [
    "NOTICE",
    "BrokerNotReadyError",
    "EmbeddedBroker",
    "EmbeddedBrokerUnavailableError",
    "Server",
    "end",
    "find_binary",
    "live_brokers",
    "spawn",
    "wait_until_ready",
]
