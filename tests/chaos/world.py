"""The pipeline on servers of its own, each behind a proxy, with traffic that outlives whatever dies."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pymysql
from confluent_kafka import Consumer, KafkaException, TopicPartition
from redshift_connector.core import Connection

from contracts.position import GtidSet
from contracts.progress import Barrier
from contracts.topics import Topics
from devstack.mysql import MysqlServer
from devstack.pipeline import Pipeline, Service, running_pipeline
from devstack.redshift.faults import FaultRules
from devstack.stack import SERVERS, Stack
from tests.chaos.bucket import Bucket
from tests.chaos.cut import Cut, take
from tests.chaos.followers import Oracle, Standby, executed
from tests.chaos.proxy import Proxy
from tests.chaos.records import Records
from tests.chaos.workload import DATABASE, TABLES, Workload, create
from tests.stack.scenario import events, loaded, logs, query

LEDGER = "tidemark_chaos"
PREFIX = "lake-chaos/"
PAUSE_S = 0.004
"""Between two transactions of the traffic."""
SWEEP = ("orphans", "--all-tables", "--all", "--yes", "--json")
RECOVERY_MAX_S = 120.0
SWEEP_MAX_S = 900.0
"""Whoever takes longer has not recovered."""


class World:
    """`services`: who is to run now, by the name it was started under. `source`: the MySQL that trades; `standby` may take its place."""

    def __init__(self, stack: Stack, pipeline: Pipeline, proxies: dict[str, Proxy], standby: Standby, oracle: Oracle, seed: int) -> None:
        self.stack, self.pipeline, self.proxies, self.seed = stack, pipeline, proxies, seed
        self.source, self.standby, self.oracle = stack.mysql, standby, oracle
        self.records = Records(stack.kafka.bootstrap_servers, f"tidemark-{pipeline.name}-loader")
        self.bucket = Bucket(stack.s3.client(), PREFIX, stack.directory / "s3" / "log")
        self.rules, self.journal = FaultRules(stack.redshift.faults_path), stack.redshift.journal_path
        self.services: dict[str, Service] = {}
        self.transactions = self.ddl = self.revived = self.orphans_deleted = 0
        self.crashes: Counter[str] = Counter()
        """By crash point, how many died there."""
        self.not_reached: Counter[str] = Counter()
        """By crash point, how many lived on that were to die there."""
        self._traffic = threading.Event()
        self._idle = threading.Event()
        self._over = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._trade, daemon=True)

    def start(self, name: str, crash: str | None = None) -> Service:
        """The streamer, or a loader: `loader`, `loader-2`."""
        kind = name.partition("-")[0]
        arguments = ("--instance", name) if kind == "loader" else ()
        self.services[name] = self.pipeline.start(kind, *arguments, crash=crash)
        return self.services[name]

    def restart(self, name: str, crash: str | None = None) -> Service:
        self.services[name].kill9()
        return self.start(name, crash)

    def sweep(self, *arguments: str) -> int:
        """A janitor over all there is, which is more with each cycle; how many orphans it deleted. Raises AssertionError when it failed or
        was refused: a loader that dies, begins or loads may not keep it from its work, and nothing else is wrong meanwhile."""
        done = self.pipeline.run("janitor", *SWEEP, *arguments, timeout_s=SWEEP_MAX_S)
        assert done.returncode == 0, f"the janitor ended with {done.returncode}: {done.stderr}"
        deleted = len(done.stdout.splitlines())
        self.orphans_deleted += deleted
        return deleted

    def ended(self) -> list[str]:
        """Who has ended without being told to."""
        return [name for name, service in self.services.items() if not service.running()]

    def _revive(self) -> None:
        """Starts again whom Kafka has thrown out of its group, as whatever runs containers would: a broker that was killed may remember an
        older member of the name."""
        for name in self.ended():
            if "Static consumer fenced" in self.services[name].tail(3):
                self.revived += 1
                self.start(name)

    def executed(self) -> GtidSet:
        return executed(self.source)

    def recovered(self) -> tuple[float, float]:
        """How many seconds streamer and loader take from now on until all that is committed at the source has gone through them. Raises
        AssertionError when it takes too long, or when one of them has ended."""
        wanted, began = self.executed(), time.monotonic()
        streamer = self._until(lambda: not wanted.minus(self._published()), "on Kafka", began)
        loader = self._until(lambda: not wanted.minus(self.loaded()), "in the warehouse", began)
        return streamer, loader

    def _until(self, done: Callable[[], bool], where: str, began: float) -> float:
        while not done():
            if self._failure is not None:
                raise self._failure
            took = time.monotonic() - began
            self._revive()
            if (ended := self.ended()) or took > RECOVERY_MAX_S:
                raise AssertionError(f"after {took:.1f} s not all is {where}; ended: {ended}\n{logs(self.pipeline)}")
            time.sleep(0.05)
        return time.monotonic() - began

    def _published(self) -> GtidSet:
        """What the last barrier says is on Kafka."""
        topic = Topics(self.pipeline.name).progress
        consumer = Consumer(
            {
                "bootstrap.servers": self.stack.kafka.bootstrap_servers,
                "group.id": "tidemark-chaos",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=5)
            consumer.assign([TopicPartition(topic, 0, max(0, end - 40))])
            found, deadline = GtidSet(), time.monotonic() + 1
            while time.monotonic() < deadline:
                for message in consumer.consume(100, 0.1):
                    if not message.error():
                        found = Barrier.decode(message.value() or b"").gtid_set
                if consumer.position([TopicPartition(topic, 0)])[0].offset >= end:
                    break
            return found
        except KafkaException:
            return GtidSet()
        finally:
            consumer.close()

    def settle(self) -> None:
        """Waits until everything is through, also what is read of tables. Somebody has to see to it that nobody writes."""
        self.recovered()
        self._until(self._all_read, "read", time.monotonic())

    def begin(self) -> None:
        """Waits until every table was read for the first time, and is loaded."""
        streamer = [self.services["streamer"]]
        self._until(lambda: len({event["topic"] for event in events(streamer, "reread.done")}) == len(TABLES), "read", time.monotonic())
        with self.quiet():
            self.settle()

    def loaded(self) -> GtidSet:
        with self.warehouse() as connection:
            return loaded(connection, LEDGER)

    def epoch(self) -> int:
        """Of the fence."""
        with self.warehouse() as connection:
            return int(query(connection, f"SELECT epoch FROM {LEDGER}.fence")[0][0])

    def owner(self) -> str:
        """The loader that took the shard last."""
        with self.warehouse() as connection:
            return str(query(connection, f"SELECT owner FROM {LEDGER}.fence")[0][0])

    def _all_read(self) -> bool:
        with self.warehouse() as connection:
            return query(connection, f"SELECT COUNT(*) FROM {LEDGER}.offsets WHERE state <> 'ok'") == [[0]]

    @contextmanager
    def warehouse(self) -> Iterator[Connection]:
        with self.stack.redshift.connect(ssl=False) as connection:
            connection.autocommit = True
            yield connection

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nobody writes to the source while the block runs."""
        self._traffic.clear()
        self._idle.clear()  # it may be of the last time
        assert self._idle.wait(30), "the traffic doesn't end"
        try:
            yield
        finally:
            self._traffic.set()

    def cut(self) -> Cut | None:
        """What the warehouse holds now, if it is whole."""
        with self.stack.redshift.connect(ssl=False) as connection:
            return take(connection, LEDGER, DATABASE, TABLES)

    def divert(self, server: MysqlServer) -> None:
        """`server` answers where the pipeline looks for its source."""
        self.proxies["mysql"].upstream = server.port
        self.proxies["mysql"].reset()

    def fail_over(self) -> None:
        """The source dies, and the standby, which has all of it, takes its place; when the old source is back it follows."""
        with self.quiet():
            self.standby.wait_for(self.executed())
            self.oracle.advance(self.executed())  # what it has received of the old source is lost when it turns to the new one
            old, self.source = self.source, self.standby.promote()
            old.kill9()
            self.divert(self.source)
        self.oracle.follow(self.source)
        old.start()
        self.standby = Standby(old)
        self.standby.follow(self.source)

    def _trade(self) -> None:
        number = 0
        while not self._over:
            number += 1
            try:
                with self.source.connect(database=DATABASE, autocommit=False) as connection:
                    workload = Workload(connection, self.seed * 1000 + number)
                    while not self._over:
                        if not self._traffic.is_set():
                            self._idle.set()
                            self._traffic.wait(0.05)
                            continue
                        self._idle.clear()
                        ddl = workload.ddl
                        workload.act()
                        self.transactions += 1
                        self.ddl += workload.ddl - ddl
                        time.sleep(PAUSE_S)
            except (pymysql.err.OperationalError, pymysql.err.InterfaceError, ConnectionError):
                time.sleep(0.2)  # the server was killed, or refused what met an ALTER
            except BaseException as error:
                self._failure = error
                return

    @contextmanager
    def trading(self) -> Iterator[None]:
        self._traffic.set()
        self._thread.start()
        try:
            yield
        finally:
            self._over = True
            self._thread.join(30)


@contextmanager
def running_world(directory: Path, seed: int) -> Iterator[World]:
    """Servers, proxies, streamer and loader, under traffic."""
    stack = Stack.plan(directory / "stack")
    with ExitStack() as held:
        proxies = {name: held.enter_context(Proxy(stack.ports[name]).running()) for name in SERVERS}
        # Clients go to where the broker says it is.
        stack.kafka.settings["advertised.listeners"] = f"PLAINTEXT://127.0.0.1:{proxies['kafka'].port}"
        held.callback(stack.down)
        stack.up()
        with stack.mysql.connect() as connection:
            create(connection)
        standby = MysqlServer(directory / "standby", server_id=71, name="mysql-standby")
        oracle = Oracle(directory / "oracle")
        for server in (standby, oracle.server):
            held.callback(server.stop)
            server.start()
        settings: dict[str, Any] = {
            "mysql": {"port": proxies["mysql"].port},
            "kafka": {"bootstrap_servers": f"127.0.0.1:{proxies['kafka'].port}"},
            "s3": {"prefix": PREFIX.rstrip("/"), "keep_committed_seconds": 0, "endpoint_url": f"http://127.0.0.1:{proxies['s3'].port}"},
            "redshift": {"schema": LEDGER, "port": proxies["redshift"].port, "lock_patience_seconds": 2, "statement_timeout_seconds": 20},
            "batch": {"seconds": 0.3},
        }
        pipeline = held.enter_context(
            running_pipeline(stack, directory / "pipeline", name="chaos", tables=[f"{DATABASE}.*"], settings=settings)
        )
        world = World(stack, pipeline, proxies, Standby(standby), oracle, seed)
        world.standby.follow(world.source)
        oracle.follow(world.source)
        held.enter_context(world.trading())
        world.start("streamer")
        world.start("loader")
        yield world
