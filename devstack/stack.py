"""The servers of one directory as one thing: start them together, find them again, take them down."""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts.errors import Invalid, Refused
from devstack.cache import locked
from devstack.compose import ENGINE_VARIABLE, ComposeService, choose_engine, docker_answers, project_for
from devstack.fetch import Say, kafka_jars, mysql_root, say_on_stderr
from devstack.kafka import KafkaBroker
from devstack.mysql import MysqlServer
from devstack.ports import free_port
from devstack.prerequisites import provide
from devstack.process import Process, Runner, Server
from devstack.s3 import S3Server
from devstack.versions import HERE
from devstack.warehouse import RedshiftStandIn

SERVERS = ("mysql", "kafka", "s3", "redshift")
STATE_VERSION = 1


class Stack:
    """The stack of one directory. `stack.json` there holds engine and ports; each server's pid, log and data lie in a folder of its name.

    The servers a stack was not asked for are absent: `stack.kafka` of a stack without Kafka raises ValueError."""

    def __init__(
        self, directory: Path, engine: str, ports: Mapping[str, int], outlive: bool, mysql_settings: Mapping[str, str | int]
    ) -> None:
        self.directory = directory.absolute()
        self.engine = engine
        self.ports = dict(ports)
        self.outlive = outlive
        self.mysql_settings = dict(mysql_settings)
        self.project = project_for(self.directory, {name: port for name, port in self.ports.items() if name in SERVERS})
        self._guard = self._compose_guard() if engine == "docker" and not outlive else None
        self.servers: dict[str, Server] = {}
        for name in SERVERS:
            if name in self.ports:
                self.servers[name] = self._server(name)

    def _compose_guard(self) -> Process:
        """Containers know nothing of the process that wants them; this one does, and removes them when it is gone."""
        command = [sys.executable, "-m", "devstack.compose", self.project.name]
        return Process("guard", self.directory / "guard", lambda: command, cwd=HERE.parent, grace_seconds=60)

    def _server(self, name: str) -> Server:
        runner: Runner | None = ComposeService(self.project, name) if self.engine == "docker" else None
        common: dict[str, Any] = {"port": self.ports[name], "outlive": self.outlive, "runner": runner}
        folder = self.directory / name
        if name == "mysql":
            return MysqlServer(folder, settings=self.mysql_settings, **common)
        if name == "kafka":
            return KafkaBroker(folder, controller_port=self.ports["kafka_controller"], **common)
        if name == "s3":
            return S3Server(folder, **common)
        return RedshiftStandIn(folder, s3=self.s3, **common)

    def _named(self, name: str) -> Server:
        if name not in self.servers:
            raise ValueError(f"this stack has no {name}; it was started with {', '.join(self.servers)}")
        return self.servers[name]

    @property
    def mysql(self) -> MysqlServer:
        server = self._named("mysql")
        assert isinstance(server, MysqlServer)
        return server

    @property
    def kafka(self) -> KafkaBroker:
        server = self._named("kafka")
        assert isinstance(server, KafkaBroker)
        return server

    @property
    def s3(self) -> S3Server:
        server = self._named("s3")
        assert isinstance(server, S3Server)
        return server

    @property
    def redshift(self) -> RedshiftStandIn:
        server = self._named("redshift")
        assert isinstance(server, RedshiftStandIn)
        return server

    @classmethod
    def plan(
        cls,
        directory: Path,
        only: Collection[str] = SERVERS,
        *,
        outlive: bool = False,
        ports: Mapping[str, int] | None = None,
        mysql_settings: Mapping[str, str | int] | None = None,
    ) -> "Stack":
        """The stack that `up()` would start: what the directory holds already, plus `only`, on `ports` or free ones. Raises Invalid for a
        server nobody knows, and for ports that differ from those the directory's stack has."""
        if unknown := set(only) - set(SERVERS):
            raise Invalid(f"no server is called {sorted(unknown)[0]!r}; there are {', '.join(SERVERS)}")
        held = cls._read(directory)
        wanted = set(only) | {name for name in SERVERS if held and name in held["ports"]}
        if "redshift" in wanted:
            wanted.add("s3")  # its COPY reads there
        chosen = dict(held["ports"]) if held else {}
        for name, port in (ports or {}).items():
            if chosen.setdefault(name, port) != port:
                raise Invalid(f"the stack in {directory} has {name} on port {chosen[name]}; `down` it before giving it port {port}")
        for name in sorted(wanted | ({"kafka_controller"} if "kafka" in wanted else set())):
            if name not in chosen:
                chosen[name] = free_port()
        chosen = {name: port for name, port in chosen.items() if name in wanted or name == "kafka_controller"}
        engine = held["engine"] if held else choose_engine(os.environ.get(ENGINE_VARIABLE), docker_answers())
        settings = {**(held["mysql_settings"] if held else {}), **(mysql_settings or {})}
        if settings and engine == "docker":
            raise Invalid(f"MySQL settings of one's own need the native stack: set {ENGINE_VARIABLE}=native")
        return cls(directory, engine, chosen, outlive, settings)

    @classmethod
    def attach(cls, directory: Path) -> "Stack":
        """The stack that was started in `directory`. Raises Invalid when there is none."""
        held = cls._read(directory)
        if held is None:
            raise Invalid(f"no stack in {directory}; `python -m devstack up --dir {directory}` starts one")
        return cls(directory, held["engine"], held["ports"], True, held["mysql_settings"])

    @staticmethod
    def _read(directory: Path) -> dict[str, Any] | None:
        try:
            held: dict[str, Any] = json.loads((directory / "stack.json").read_text())
        except FileNotFoundError:
            return None
        if held.get("version") != STATE_VERSION:
            raise Invalid(
                f"{directory}/stack.json has version {held.get('version')}, this devstack reads {STATE_VERSION}; remove the directory"
            )
        return held

    def _write(self) -> None:
        state = {"version": STATE_VERSION, "engine": self.engine, "ports": self.ports, "mysql_settings": self.mysql_settings}
        aside = self.directory / "stack.json.new"
        aside.write_text(json.dumps(state, indent=2) + "\n")
        aside.rename(self.directory / "stack.json")

    def up(self, say: Say = say_on_stderr) -> None:
        """Starts every server that is not alive, together, and returns when all answer. When one fails, those started here are stopped
        again and the first error is raised."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with locked(self.directory / "lock"):
            self._write()
            down = [server for server in self.servers.values() if not server.alive()]
            if self.engine == "native":
                provide([server.name for server in down], say)
            if down:
                if self._guard and not self._guard.alive():
                    self._guard.start()
                say(f"starting {', '.join(server.name for server in down)} ({self.engine}) in {self.directory}")
            try:
                if self.engine == "docker":
                    # One call makes the project's network; the servers' own, made at once, would each try to.
                    self.project.run("up", "--detach", "--no-deps", *self.servers)
                _together(lambda server: _start(server, say), down)
                for server in self.servers.values():
                    server.wait_until_ready()
            except BaseException:
                _together(Server.stop, down)
                raise

    def down(self, keep: bool = False) -> None:
        """Stops every server; unless `keep`, removes what the stack wrote. Nothing happens when nothing runs."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with locked(self.directory / "lock"):
            _together(Server.stop, list(self.servers.values()))
            if keep:
                return
            if self._guard:
                self._guard.stop()
            elif self.engine == "docker":
                self.project.remove()
            for server in self.servers.values():
                server.remove()
            for name in (*SERVERS, "guard"):
                shutil.rmtree(self.directory / name, ignore_errors=True)
            (self.directory / "stack.json").unlink(missing_ok=True)
            (self.directory / "lock").unlink(missing_ok=True)
        if not any(self.directory.iterdir()):
            self.directory.rmdir()

    def environment(self) -> dict[str, str]:
        """Where the servers are, as the variables that override tidemark.yaml."""
        values: dict[str, object] = {}
        if "mysql" in self.servers:
            values |= {"MYSQL__HOST": self.mysql.host, "MYSQL__PORT": self.mysql.port, "MYSQL__ALLOW_PLAINTEXT": "true"}
        if "kafka" in self.servers:
            values |= {"KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers}
            values |= {"KAFKA__ALLOW_PLAINTEXT": "true", "KAFKA__REPLICATION_FACTOR": 1}
        if "s3" in self.servers:
            values |= {"S3__ENDPOINT_URL": self.s3.endpoint_url, "S3__ALLOW_PLAINTEXT": "true", "S3__REGION": self.s3.region}
            values |= {"S3__ACCESS_KEY_ID": self.s3.access_key, "S3__SECRET_ACCESS_KEY": self.s3.secret_key}
        if "redshift" in self.servers:
            warehouse = self.redshift
            values |= {"REDSHIFT__HOST": warehouse.host, "REDSHIFT__PORT": warehouse.port, "REDSHIFT__DATABASE": warehouse.database}
            values |= {"REDSHIFT__USER": warehouse.user, "REDSHIFT__PASSWORD": warehouse.password, "REDSHIFT__SSL_CA": warehouse.ca_file}
        return {f"TIDEMARK__{name}": str(value) for name, value in values.items()}


def _start(server: Server, say: Say) -> None:
    began = time.monotonic()
    if server.name == "mysql" and isinstance(server, MysqlServer) and server.configured_here:
        mysql_root(say)
    if server.name == "kafka" and isinstance(server, KafkaBroker) and server.configured_here:
        kafka_jars(say)
    server.start()
    say(f"{server.name} is ready after {time.monotonic() - began:.1f} s")


def _together(act: Callable[[Server], None], servers: list[Server]) -> None:
    """Does it to all servers at once and waits for all, then raises the first error."""
    with ThreadPoolExecutor(max_workers=max(1, len(servers))) as pool:
        futures = [pool.submit(act, server) for server in servers]
    for future in futures:
        future.result()


@contextmanager
def running_stack(
    directory: Path,
    only: Collection[str] = SERVERS,
    keep: bool = False,
    *,
    mysql_settings: Mapping[str, str | int] | None = None,
    say: Say = say_on_stderr,
) -> Iterator[Stack]:
    """A stack of this process alone: taken down at the end, and dead with this process even when that is killed. `keep` leaves its files.

    Raises Refused when the directory holds a stack of somebody else that runs."""
    stack = Stack.plan(directory, only, mysql_settings=mysql_settings)
    if any(server.alive() for server in stack.servers.values()):
        raise Refused(
            f"a stack runs in {directory} already; give this one another directory, or `python -m devstack down --dir {directory}`"
        )
    try:
        stack.up(say)
        yield stack
    finally:
        stack.down(keep=keep)
