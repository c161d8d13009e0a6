"""The servers a benchmark runs against: a stack of its own, and what has to be done to them before and between measurements."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import machine
from contracts.topics import Topics
from devstack.mysql import MysqlServer
from devstack.pipeline import CAPTURE_PASSWORD, CAPTURE_USER, Pipeline
from devstack.process import Process
from devstack.stack import Stack, running_stack

DATABASE = "bench"  # the captured one
IDLE_PERCENT = 10.0  # of one core, both servers together
_IDLE_PATIENCE_S = 30.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Servers:
    """MySQL and a broker, both on this machine. Settings, logs and results of every run lie under `directory`, until the next start."""

    stack: Stack
    directory: Path
    say: Say

    @property
    def mysql(self) -> MysqlServer:
        return self.stack.mysql

    @property
    def pids(self) -> dict[str, int]:
        """The servers' own processes by name; none that run in Docker, whose CPU then counts as `other`."""
        found = {name: server.runner.pid for name, server in self.stack.servers.items() if isinstance(server.runner, Process)}
        return {name: pid for name, pid in found.items() if pid is not None}

    def execute(self, *statements: str) -> None:
        """As root, one after the other."""
        with self.mysql.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def fresh_binlog(self) -> None:
        """An empty database `bench`, and a binlog that holds nothing but its creation."""
        self.execute(f"DROP DATABASE IF EXISTS {DATABASE}", "RESET BINARY LOGS AND GTIDS", f"CREATE DATABASE {DATABASE}")

    def binlog_bytes(self) -> int:
        with self.mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW BINARY LOGS")
            return sum(int(row[1]) for row in cursor.fetchall())

    def pipeline(self, name: str, settings: Mapping[str, Any] | None = None) -> Pipeline:
        """A pipeline that captures the database `bench`, its settings those of production but for what `settings` says."""
        pipeline = Pipeline(self.stack, self.directory / name, name)
        body: dict[str, Any] = {
            "pipeline": name,
            "mysql": {
                "host": self.mysql.host,
                "port": self.mysql.port,
                "user": CAPTURE_USER,
                "password": CAPTURE_PASSWORD,
                "allow_plaintext": True,
            },
            "kafka": {"bootstrap_servers": self.stack.kafka.bootstrap_servers, "allow_plaintext": True, "replication_factor": 1},
            "s3": {"bucket": "unused"},
            "redshift": {"host": "unused", "database": "unused", "user": "unused", "password": "unused"},
            "tables": {"include": [f"{DATABASE}.*"]},
        }
        for section, values in (settings or {}).items():
            body[section] = {**body.get(section, {}), **values} if isinstance(values, Mapping) else values
        pipeline.directory.mkdir(parents=True)
        pipeline.config_path.write_text(yaml.safe_dump(body, sort_keys=False))
        return pipeline

    def forget(self, topics: Topics) -> None:
        """Deletes every topic of a pipeline, so that later runs meet neither its files nor its pages."""
        admin = self.stack.kafka.admin()
        names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(f"{topics.prefix}.")]
        if names:
            for future in admin.delete_topics(names).values():
                future.result(30)

    def settle(self) -> None:
        """Returns when both servers have been idle for a second, as after writing a workload they are not; says so when they never are."""
        deadline = time.monotonic() + _IDLE_PATIENCE_S
        while True:
            before = {name: machine.cpu_s(pid) for name, pid in self.pids.items()}
            time.sleep(1)
            percent = 100 * sum(machine.cpu_s(pid) - before[name] for name, pid in self.pids.items())
            if percent < IDLE_PERCENT:
                return
            if time.monotonic() > deadline:
                self.say(f"  the servers still use {percent:.0f} % of a core after {_IDLE_PATIENCE_S:.0f} s; going on")
                return

    @contextmanager
    def global_settings(self, **settings: int) -> Iterator[None]:
        """Sets MySQL's global variables for the block. New connections have them as their own."""
        with self.mysql.connect() as connection, connection.cursor() as cursor:
            before = {}
            for name in settings:
                cursor.execute(f"SELECT @@GLOBAL.{name}")
                before[name] = int(cursor.fetchone()[0])
        self.execute(*(f"SET GLOBAL {name} = {value}" for name, value in settings.items()))
        try:
            yield
        finally:
            self.execute(*(f"SET GLOBAL {name} = {value}" for name, value in before.items()))


@contextmanager
def running_servers(directory: Path, say: Say) -> Iterator[Servers]:
    """Starts MySQL and Kafka in `directory`, takes them down at the end, and removes what a killed run has left there. Raises Refused when
    a benchmark runs there now."""
    if (directory / "stack.json").exists():
        left = Stack.attach(directory)
        if not any(server.alive() for server in left.servers.values()):
            left.down()
    runs = directory / "runs"
    with running_stack(directory, ("mysql", "kafka"), say=say) as stack:
        shutil.rmtree(runs, ignore_errors=True)
        stack.mysql.create_capture_user(CAPTURE_USER, CAPTURE_PASSWORD)
        yield Servers(stack, runs, say)
