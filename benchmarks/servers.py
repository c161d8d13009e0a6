"""The servers a benchmark runs against: a stack of its own, and what has to be done to them before and between measurements."""

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks import machine
from benchmarks.window import Moment, Window
from contracts.topics import Topics
from devstack.mysql import MysqlServer
from devstack.pipeline import BUCKET, CAPTURE_PASSWORD, CAPTURE_USER, Pipeline
from devstack.process import Process
from devstack.stack import Stack, running_stack

DATABASE = "bench"  # the captured one
IDLE_PERCENT = 10.0  # of one core, all servers together
_IDLE_PATIENCE_S = 30.0
_NO_REDSHIFT = {"host": "unused", "database": "unused", "user": "unused", "password": "unused"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Servers:
    """MySQL, a broker and what else was asked for, all on this machine. Settings, logs and results of every run lie under `directory`,
    until the next start."""

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

    @property
    def families(self) -> dict[str, int]:
        """Servers behind a server, which start processes of their own: the stand-in's PostgreSQL."""
        stand_in = self.pids.get("redshift")
        found = machine.children(stand_in, "postgres") if stand_in is not None else []
        return {"postgres": found[0]} if found else {}

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

    def pipeline(self, name: str, settings: Mapping[str, Any] | None = None, *, directory: str | None = None) -> Pipeline:
        """A pipeline that captures the database `bench`, its settings those of production but for what `settings` says. `directory`: for
        its files, named as the pipeline when not given."""
        pipeline = Pipeline(self.stack, self.directory / (directory or name), name)
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
            "s3": {"bucket": BUCKET, **self.stack.s3.settings} if "s3" in self.stack.servers else {"bucket": "unused"},
            "redshift": self.stack.redshift.settings if "redshift" in self.stack.servers else _NO_REDSHIFT,
            "tables": {"include": [f"{DATABASE}.*"]},
            "streamer": {"snapshot": "never"},  # what was written is measured as it was logged
        }
        for section, values in (settings or {}).items():
            body[section] = {**body.get(section, {}), **values} if isinstance(values, Mapping) else values
        pipeline.directory.mkdir(parents=True)
        pipeline.config_path.write_text(yaml.safe_dump(body, sort_keys=False))
        return pipeline

    def empty_bucket(self) -> None:
        """Removes every object, which S3's stand-in holds in memory."""
        client = self.stack.s3.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            if objects := page.get("Contents", []):
                client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": item["Key"]} for item in objects], "Quiet": True})

    def forget(self, topics: Topics) -> None:
        """Deletes every topic of a pipeline, so that later runs meet neither its files nor its pages."""
        admin = self.stack.kafka.admin()
        names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(f"{topics.prefix}.")]
        if names:
            for future in admin.delete_topics(names).values():
                future.result(30)

    def settle(self) -> None:
        """Returns when the servers have been idle for a second, as after writing a workload they are not; says so when they never are."""
        deadline = time.monotonic() + _IDLE_PATIENCE_S
        while True:
            before = Moment.now(self.pids, self.families)
            time.sleep(1)
            window = Window.between(before, Moment.now(self.pids, self.families))
            percent = 100 * sum(window.servers_s.values()) / window.wall_s
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
def running_servers(directory: Path, say: Say, only: Collection[str] = ("mysql", "kafka")) -> Iterator[Servers]:
    """Starts the servers in `directory`, takes them down at the end, and removes what a killed run has left there. Raises Refused when
    a benchmark runs there now."""
    if (directory / "stack.json").exists():
        left = Stack.attach(directory)
        if not any(server.alive() for server in left.servers.values()):
            left.down()
    runs = directory / "runs"
    with running_stack(directory, only, say=say) as stack:
        shutil.rmtree(runs, ignore_errors=True)
        stack.mysql.create_capture_user(CAPTURE_USER, CAPTURE_PASSWORD)
        if "s3" in stack.servers:
            stack.s3.client().create_bucket(Bucket=BUCKET)
        yield Servers(stack, runs, say)
