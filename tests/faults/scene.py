"""A pipeline with servers of its own that things are done to: a shop on one MySQL, a replica of it where one is wanted, and the shared
Kafka, bucket and warehouse."""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import orjson
import yaml
from confluent_kafka import TopicPartition
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.cimpl import NewTopic

from contracts.position import GtidSet
from demo.shop import TABLES, Shop
from devstack.mysql import MysqlServer
from devstack.pipeline import CAPTURE_PASSWORD, CAPTURE_USER, Pipeline, Service, running_pipeline, wait_until
from devstack.ports import free_port
from devstack.stack import Stack
from tests.stack.scenario import assert_equal, events, logs

HALT_PATIENCE_S = 60


@dataclass(frozen=True)
class Halt:
    """How a service ended: after how long, what it said, what its metric said, and its exit code."""

    service: str
    seconds: float
    message: str
    fault: str
    exit_code: int


@dataclass
class Scene:
    """A pipeline whose source is `source`, and what is done to it."""

    stack: Stack
    directory: Path
    pipeline: Pipeline
    source: MysqlServer
    shop: Shop
    others: list[MysqlServer] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    streamer: Service | None = None
    loader: Service | None = None

    def topic(self, table: str) -> str:
        return f"{self.pipeline.name}.{self.pipeline.name}.{table}"

    @property
    def topics(self) -> list[str]:
        """The row topics and `progress`."""
        return [*map(self.topic, TABLES), f"{self.pipeline.name}.progress"]

    def trade(self, transactions: int = 40) -> None:
        for _ in range(transactions):
            self.shop.act()

    def sql(self, server: MysqlServer, *statements: str) -> list[tuple[object, ...]]:
        """What the last one answers."""
        with server.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return [tuple(row) for row in cursor.fetchall()]

    def start_streamer(self) -> Service:
        self.streamer = self._start("streamer")
        return self.streamer

    def start_loader(self) -> Service:
        self.loader = self._start("loader")
        return self.loader

    def _start(self, name: str) -> Service:
        """With settings of its own: each needs a port for its metrics."""
        self.ports[name] = free_port()
        settings = self.directory / f"{name}.yaml"
        settings.write_text(yaml.safe_dump({**self.pipeline.config(), "metrics": {"listen": f"127.0.0.1:{self.ports[name]}"}}))
        return self.pipeline.start(name, "--config", str(settings))

    def stop(self, service: Service | None) -> None:
        if service is not None and service.running():
            service.stop()

    def equal(self) -> None:
        # After a RESET the set that was loaded may hold the numbers the server counts now, and the auditor would not wait.
        wait_until(self._is_at_this_history, 60, "the loader is at another history")
        assert_equal(self.pipeline, 60)

    def _is_at_this_history(self) -> bool:
        done = self.pipeline.run("loader", "status", "--json")
        if done.returncode:
            return False  # there is no ledger yet
        (shard,) = (line for line in map(orjson.loads, done.stdout.splitlines()) if "shard" in line)
        return GtidSet.parse(shard["gtid_set"]).is_subset(self.executed(self.source))

    def server(self, name: str, server_id: int) -> MysqlServer:
        """Another empty MySQL, that may be captured."""
        made = MysqlServer(self.directory / name, server_id=server_id, name=f"mysql-{name}")
        made.start()
        self.others.append(made)
        made.create_capture_user(CAPTURE_USER, CAPTURE_PASSWORD)
        self.sql(made, "RESET BINARY LOGS AND GTIDS")
        return made

    def replica(self) -> MysqlServer:
        """One of the source, that has all of it."""
        made = self.server("replica", 12)
        self.sql(
            made,
            f"CHANGE REPLICATION SOURCE TO SOURCE_HOST='{self.source.host}', SOURCE_PORT={self.source.port}, SOURCE_USER='{CAPTURE_USER}',"
            f" SOURCE_PASSWORD='{CAPTURE_PASSWORD}', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1",
            "START REPLICA",
        )
        self.wait_for_replica(made)
        return made

    def wait_for_replica(self, replica: MysqlServer) -> None:
        executed = self.sql(self.source, "SELECT @@GLOBAL.gtid_executed")[0][0]
        assert self.sql(replica, f"SELECT WAIT_FOR_EXECUTED_GTID_SET('{executed}', 30)") == [(0,)]

    def move_to(self, server: MysqlServer) -> None:
        """The settings name another server from now on, and the shop trades there."""
        self.pipeline.settings = {**self.pipeline.settings, "mysql": {"port": server.port}}
        self.configure()
        self.source = server
        self.shop._connection = server.connect(database=self.pipeline.name)

    def take_address(self, replica: MysqlServer) -> float:
        """`replica` answers where the source did, and the source is gone; since when, as a monotonic time."""
        self.source.stop()
        replica.stop()
        replica.port = self.source.port
        replica.start()
        self.move_to(replica)
        return time.monotonic()

    def open_shop(self, server: MysqlServer) -> None:
        """Another one of that name."""
        self.shop = Shop(server.connect(), 2, database=self.pipeline.name)
        self.shop.create()
        self.shop.fill(customers=30, products=20)

    def lose(self, transactions: int) -> None:
        """They are loaded, and the shop is not to know of them any more."""
        shop = self.shop
        known = shop._customers[:], shop._skus[:], shop._open_orders[:]
        self.trade(transactions)
        self.equal()
        shop._customers, shop._skus, shop._open_orders = known

    def executed(self, server: MysqlServer) -> GtidSet:
        return GtidSet.parse(str(self.sql(server, "SELECT @@GLOBAL.gtid_executed")[0][0]))

    def executed_count(self, server: MysqlServer) -> int:
        return self.executed(server).count()

    def wait_until_followed(self) -> None:
        """No table is parked any more."""

        def followed() -> bool:
            lines = map(orjson.loads, self.run("loader", "status", "--json").splitlines())
            return all(line.get("state") != "parked" for line in lines)

        wait_until(followed, 60, "a table stays parked")

    def wait_until_streamed(self) -> None:
        def streamed() -> bool:
            return bool(orjson.loads(self.run("streamer", "status", "--json"))["behind_transactions"] == 0)

        wait_until(streamed, 30, "the streamer is behind")

    def configure(self) -> None:
        self.pipeline.config_path.write_text(yaml.safe_dump(self.pipeline.config(), sort_keys=False))

    def ends(self, *topics: str) -> dict[str, int]:
        """The offset behind the last record of each."""
        admin = self.stack.kafka.admin()
        asked = {TopicPartition(topic, 0): OffsetSpec.latest() for topic in topics}  # type: ignore[no-untyped-call]
        return {place.topic: future.result().offset for place, future in admin.list_offsets(asked).items()}

    def expire(self, *topics: str) -> None:
        """All that these hold now, as retention would."""
        admin = self.stack.kafka.admin()
        places = [TopicPartition(topic, 0, end) for topic, end in self.ends(*topics).items()]
        for future in admin.delete_records(places).values():
            future.result()

    def delete(self, topic: str) -> None:
        admin = self.stack.kafka.admin()
        admin.delete_topics([topic])[topic].result()
        wait_until(lambda: topic not in admin.list_topics(timeout=10).topics, 10, f"{topic} stays")

    def create(self, topic: str) -> None:
        admin = self.stack.kafka.admin()
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()

    def backup(self) -> Callable[[], None]:
        """The warehouse as it is; returns what brings it back."""
        warehouse, kept = self.stack.redshift, self.directory / "backup"
        warehouse.stop()
        _copy(warehouse.data, kept)
        warehouse.start()

        def restore() -> None:
            warehouse.stop()
            shutil.rmtree(warehouse.data)
            _copy(kept, warehouse.data)
            warehouse.start()

        return restore

    def halt(self, service: Service | None, since: float) -> Halt:
        """What `service` halts with. `since`: a monotonic time, when it could know first."""
        assert service is not None
        deadline = since + HALT_PATIENCE_S
        while service.running() and not events([service], "process.halted", "process.failed"):
            assert time.monotonic() < deadline, f"{service.name} does not halt\n{logs(self.pipeline)}"
            time.sleep(0.05)
        seconds = time.monotonic() - since
        label = self.halted_label(service)
        code = service.stop()
        said = events([service], "process.failed")
        assert said, service.tail()
        return Halt(service.name, seconds, said[-1]["message"], label, code)

    def halted_label(self, service: Service) -> str:
        """The fault that its metric names while it lingers."""
        with urlopen(f"http://127.0.0.1:{self.ports[service.name]}/metrics") as answer:
            found = re.search(r'tidemark_halted\{fault="(\w+)"\} 1.0', answer.read().decode())
        assert found, f"no metric says that {service.name} has halted"
        return found[1]

    def run(self, service: str, *arguments: str, code: int = 0) -> str:
        done = self.pipeline.run(service, *arguments, timeout_s=90)
        assert done.returncode == code, f"{service} {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def _copy(source: Path, target: Path) -> None:
    """With owners and rights: PostgreSQL runs as a user of its own."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


@contextmanager
def scene(stack: Stack, directory: Path, name: str) -> Iterator[Scene]:
    """Streamer and loader at work, both sides equal."""
    source = MysqlServer(directory / "source", server_id=11, name="mysql-source")
    source.start()
    made: Scene | None = None
    try:
        source.create_capture_user(CAPTURE_USER, CAPTURE_PASSWORD)
        settings = {
            "redshift": {"schema": f"tidemark_{name}"},
            "s3": {"prefix": f"lake-{name}"},
            "mysql": {"port": source.port},
        }
        with running_pipeline(stack, directory, name=name, tables=[f"{name}.*"], settings=settings) as pipeline:
            made = Scene(stack, directory, pipeline, source, Shop(source.connect(), 1, database=name))
            made.shop.create()
            made.shop.fill(customers=60, products=40)
            made.start_streamer()
            made.start_loader()
            made.trade()
            made.equal()
            yield made
    finally:
        for server in (source, *(made.others if made else ())):
            if server.alive():
                server.stop()
