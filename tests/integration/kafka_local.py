"""One Apache Kafka node on loopback for the tests: no container; Maven fetches the jars, once.

    python -m tests.integration.kafka_local    starts one and prints its address until Ctrl-C

The jars go to ``~/.cache/headwater-kafka`` (or ``HEADWATER_KAFKA_CACHE``). Needs Java 17 or newer, and Maven
for the first use. The node is its own controller and ends with the process that started it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from streams.embedded import Server, end, spawn, wait_until_ready

VERSION = "4.4.0"
HOST = "127.0.0.1"
POM = Path(__file__).with_name("kafka-pom.xml")
JAVA_AT_LEAST = 17
READY_S = 120.0
"""A killed node with many partitions needs most of a minute beside busy cores."""

LOGGING = """\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c{1})%n
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
logger.values.name=org.apache.kafka.common.config
logger.values.level=WARN
"""


class KafkaUnavailableError(Exception):
    """Apache Kafka cannot run on this machine; the text says what is missing."""


def cache_folder() -> Path:
    """Where the jars are kept between runs."""
    given = os.environ.get("HEADWATER_KAFKA_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "headwater-kafka"


def find_java() -> str:
    """The ``java`` to run; raises KafkaUnavailableError when there is none or it is too old."""
    home = os.environ.get("JAVA_HOME")
    java = (home and shutil.which(str(Path(home) / "bin" / "java"))) or shutil.which("java")
    if not java:
        raise KafkaUnavailableError(f"java was not found: install Java {JAVA_AT_LEAST} or set JAVA_HOME")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < JAVA_AT_LEAST:
        raise KafkaUnavailableError(
            f"Kafka {VERSION} needs Java {JAVA_AT_LEAST} or newer, {java} is older: {said!r}"
        )
    return java


def find_jars() -> Path:
    """The folder of jars, downloaded on first use; raises KafkaUnavailableError when that fails."""
    jars = cache_folder() / VERSION
    if (jars / "complete").exists():
        return jars
    mvn = shutil.which("mvn")
    if mvn is None:
        raise KafkaUnavailableError(
            f"mvn was not found, and {jars} does not hold Kafka's jars yet: install Maven"
        )
    jars.parent.mkdir(parents=True, exist_ok=True)
    with (jars.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (jars / "complete").exists():  # another run was faster
            return jars
        part = Path(tempfile.mkdtemp(prefix="part-", dir=jars.parent))
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={part}"]
        command = [mvn, "-B", "-ntp", "-q", "-f", str(POM), f"-Dkafka.version={VERSION}", *goal]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(part)
            raise KafkaUnavailableError(
                f"Maven could not fetch Kafka {VERSION}: {(done.stdout + done.stderr)[-1500:]}"
            )
        (part / "complete").touch()
        shutil.rmtree(jars, ignore_errors=True)
        part.rename(jars)
    return jars


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class LocalKafka(Server):
    """A node in the folder ``root``, with the same ports and data over restarts.

    ``heap`` is the JVM's, ``settings`` are the broker's own and win over the ones written here.
    """

    def __init__(self, root: Path, *, heap: str = "384m", settings: dict[str, str] | None = None) -> None:
        self.root, self.heap, self.settings = root, heap, settings or {}
        self.port = free_port()
        self.controller = free_port()
        self.behind_proxy, self.proxied = free_port(), free_port()
        """A second listener, and the port that it tells clients to come to: a test may put a proxy between."""
        self.log_file = root / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Of the Java process."""
        assert self._process is not None, "the node is not started"
        return self._process.pid

    def start(self) -> str:
        """Start and wait until Metadata names the node; returns ``host:port``. Idempotent."""
        if self._process is None:
            self.root.mkdir(parents=True, exist_ok=True)
            java = [find_java(), *self._java_options(find_jars())]
            config = self._write_config()
            if not (self.root / "data" / "meta.properties").exists():
                form = [
                    "kafka.tools.StorageTool",
                    "format",
                    "-t",
                    "AAAAAAAAAAAAAAAAAAAAAQ",
                    "-c",
                    str(config),
                ]
                done = subprocess.run([*java, *form], capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout + done.stderr
            self._process = process = spawn([*java, "kafka.Kafka", str(config)], self.log_file)
            wait_until_ready(
                address=lambda: (HOST, self.port),
                ended=lambda: process.poll() is not None,
                deadline_s=READY_S,
            )
        return self.address

    def stop(self) -> None:
        """SIGTERM, and wait. Idempotent."""
        if self._process is not None:
            end(self._process, stop_s=30.0)
            self._process = None

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def restart(self) -> str:
        """Stop if it runs, and start: same address, same data."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        os.kill(self.pid, signal.SIGCONT)

    def _java_options(self, jars: Path) -> list[str]:
        logging = self.root / "log4j2.properties"
        logging.write_text(LOGGING)
        options = [
            f"-Xmx{self.heap}",
            "-Xms128m",
            "-XX:+UseG1GC",
            "-XX:-UsePerfData",
        ]
        options += ["-XX:+ExitOnOutOfMemoryError", "-Djava.net.preferIPv4Stack=true"]
        return [*options, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{jars}/*"]

    def _write_config(self) -> Path:
        listeners = f"PLAINTEXT://{self.address},PROXIED://{HOST}:{self.behind_proxy}"
        single = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self.controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{listeners},CONTROLLER://{HOST}:{self.controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address},PROXIED://{HOST}:{self.proxied}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            # topics that ask for it are compacted while a test waits
            "log.cleaner.backoff.ms": "250",
            "log.dirs": str(self.root / "data"),
            **{f"{topic}.replication.factor": "1" for topic in single},
            **{f"{topic}.num.partitions": "2" for topic in single},
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # a killed node may come back when its former self has timed out
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            # a topic that nobody declared is a defect
            "auto.create.topics.enable": "false",
            **self.settings,
        }
        path = self.root / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return path


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, LocalKafka(Path(folder)) as node:
        print(node.address, f"pid {node.pid}, log {node.log_file}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            sys.exit(0)
