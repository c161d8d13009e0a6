"""A real Kafka broker: one KRaft node, plain text on the loopback."""

import base64
import shutil
import socket
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka.admin import AdminClient

from contracts.errors import Unavailable
from devstack.fetch import kafka_jars
from devstack.java import find_java
from devstack.ports import HOST, free_port
from devstack.process import Process, Runner, Server

LOG4J2 = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="WARN">
  <Appenders><Console name="out" target="SYSTEM_OUT"><PatternLayout pattern="%d %p %c{1}: %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


def properties(port: int, controller_port: int, data: Path, settings: Mapping[str, str | int]) -> dict[str, str | int]:
    """server.properties of a one-node broker; `settings` wins. Nothing creates a topic by accident, so a default never hides one that is
    missing; small internal topics make start and recovery quick."""
    listeners = f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": listeners,
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        # After kill -9 the controller refuses the new broker until the old one's session has run out: 9 s by default.
        "broker.heartbeat.interval.ms": 500,
        "broker.session.timeout.ms": 3000,
        **settings,
    }


class KafkaBroker(Server):
    """One broker and its controller in one process, from Maven's jars and a Java runtime. Data stays in `directory/data` over kill9() and
    start(). With a `runner` (Docker Compose's) it only speaks to a broker that somebody else configured."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        controller_port: int | None = None,
        settings: Mapping[str, str | int] | None = None,
        outlive: bool = False,
        name: str = "kafka",
        runner: Runner | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.host = HOST
        self.port = port or free_port()
        self.controller_port = controller_port or free_port()
        self.settings = dict(settings or {})
        self._properties = self.directory / "server.properties"
        self._log4j2 = self.directory / "log4j2.xml"
        self.configured_here = runner is None
        super().__init__(runner or Process(name, self.directory, self._command, outlive=outlive, cwd=self.directory))

    @property
    def bootstrap_servers(self) -> str:
        return f"{self.host}:{self.port}"

    def admin(self) -> AdminClient:
        """A new client. Hold on to it until its futures are done: they fail when it is collected."""
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})

    def probe(self) -> None:
        # librdkafka retries a refused connection for the whole timeout, so a plain connection asks first.
        with socket.create_connection((self.host, self.port), timeout=1):
            pass
        if not self.admin().list_topics(timeout=2).brokers:
            raise Unavailable("no broker has registered yet")

    def prepare(self) -> None:
        if not self.configured_here:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        data = self.directory / "data"
        lines = properties(self.port, self.controller_port, data, self.settings)
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        self._log4j2.write_text(LOG4J2)
        if not (data / "meta.properties").exists():
            shutil.rmtree(data, ignore_errors=True)
            self._format()

    def _java(self, *arguments: str) -> list[str]:
        return [find_java(), f"-Dlog4j2.configurationFile={self._log4j2}", "-cp", f"{kafka_jars()}/*", *arguments]

    def _command(self) -> list[str]:
        java, *rest = self._java("kafka.Kafka", str(self._properties))
        return [java, "-Xms128m", "-Xmx768m", *rest]

    def _format(self) -> None:
        # Kafka's own ids are 16 bytes in URL-safe base64; the fixed first byte keeps one from starting with "-" and reading as a flag.
        cluster_id = base64.urlsafe_b64encode(b"\x01" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        java, *rest = self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._properties))
        done = subprocess.run([java, "-XX:TieredStopAtLevel=1", *rest], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Unavailable(f"Kafka's storage could not be formatted:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
