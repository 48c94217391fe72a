"""Brokers for every suite: the embedded one, Apache Kafka, or both in turn."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from streams.embedded import EmbeddedBroker
from tests.integration.kafka_local import KafkaUnavailableError, LocalKafka, find_jars, find_java
from tests.loudly import report, skip_loudly

Broker = EmbeddedBroker | LocalKafka
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")  # the same examples every time: a red run can be run again
INTEGRATION = Path(__file__).parent / "integration"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a script that was started in the background ignores it, and what it starts would never end by it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """A fresh embedded broker."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalKafka]:
    """One Apache Kafka node for the whole run; a test that stops it starts it again, and uses ``prefix``."""
    try:
        find_java()
        find_jars()
    except KafkaUnavailableError as error:
        skip_loudly(request.config, "The Apache Kafka suite", str(error), "HEADWATER_REQUIRE_KAFKA")
    with LocalKafka(tmp_path_factory.mktemp("kafka") / "node") as node:
        yield node


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Each of the two in turn; ``broker.address`` is what clients take."""
    node = request.getfixturevalue(f"{request.param}_broker")
    assert isinstance(node, EmbeddedBroker | LocalKafka)
    return node


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A topic prefix, and group name, that no other test has."""
    return f"t{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:8]}-"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if INTEGRATION in item.path.parents:
            item.add_marker(pytest.mark.integration)
        if "kafka_broker" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kafka)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report(terminalreporter, config)
