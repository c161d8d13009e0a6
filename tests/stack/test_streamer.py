"""The streamer as a process, between a real MySQL and a real Kafka: nothing lost, nothing repeated, whatever dies; and what it refuses."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.cimpl import NewTopic
from pymysql.connections import Connection

from contracts.envelope import Envelope, Op
from contracts.errors import Fenced, Invalid
from contracts.position import GtidSet
from contracts.progress import Barrier, Position
from contracts.table import TableId, TableSchema
from contracts.topics import Topics
from devstack.mysql import MysqlServer
from devstack.stack import Stack, running_stack
from runtime.sections import Kafka
from streamer.edges.kafka import KafkaSink
from streamer.edges.topics import KafkaPositions, KafkaTopics
from streamer.ports import Message
from tests.decoders import needs_kernel
from tests.kernel import corpus
from tests.marks import long
from tests.streamer.core import recording
from tests.streamer.core.selecting import tables_of, told
from tests.streamer.core.test_selected_on_a_server import KINDS

pytestmark = pytest.mark.stack

PATIENCE_S = 90


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("servers"), ("mysql", "kafka")) as stack:
        stack.mysql.create_capture_user("tidemark", "capture-only")
        yield stack


@dataclass
class World:
    """A pipeline `name` that captures the database of its own name, and its streamers."""

    stack: Stack
    directory: Path
    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    server: MysqlServer | None = None
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @property
    def mysql(self) -> MysqlServer:
        return self.server or self.stack.mysql

    @property
    def kafka(self) -> Kafka:
        servers = self.stack.kafka.bootstrap_servers
        return Kafka.model_validate({"bootstrap_servers": servers, "allow_plaintext": True, "replication_factor": 1})

    @property
    def topics(self) -> Topics:
        return Topics(self.name)

    def configure(self) -> Path:
        path = self.directory / "tidemark.yaml"
        body: dict[str, Any] = {
            "pipeline": self.name,
            "mysql": {
                "host": self.mysql.host,
                "port": self.mysql.port,
                "user": "tidemark",
                "password": "capture-only",
                "allow_plaintext": True,
            },
            "kafka": {"bootstrap_servers": self.stack.kafka.bootstrap_servers, "allow_plaintext": True, "replication_factor": 1},
            "s3": {"bucket": "unused"},
            "redshift": {"host": "unused", "database": "unused", "user": "unused", "password": "unused"},
            "tables": {"include": [f"{self.name}.*"]},
            "streamer": {"snapshot": "never"},
        }
        for section, values in self.settings.items():
            body[section] = {**body.get(section, {}), **values} if isinstance(values, dict) else values
        path.write_text(yaml.safe_dump(body))
        return path

    def _arguments(self, *verb: str) -> dict[str, Any]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("TIDEMARK")}
        return {"args": [sys.executable, "-m", "streamer", *verb], "env": {**clean, "TIDEMARK_CONFIG": str(self.configure())}}

    def start(self, *options: str, crash: str | None = None) -> "subprocess.Popen[bytes]":
        arguments = self._arguments(*options)
        if crash:
            arguments["env"] |= {"TIDEMARK_TEST": "1", "TIDEMARK_CRASH": crash}
        out = self.log(len(self.processes)).open("wb")
        process = subprocess.Popen(**arguments, stdout=out, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def log(self, number: int) -> Path:
        return self.directory / f"streamer-{number}.log"

    def said(self, event: str, number: int) -> bool:
        return f'"event":"{event}"' in self.log(number).read_text(errors="replace")

    def run(self, *verb: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(**self._arguments(*verb), capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
                assert process.wait(15) == 0

    def kill(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()

    def position(self) -> Position | None:
        return KafkaPositions(self.kafka, self.topics).peek()

    def executed(self) -> GtidSet:
        with self.mysql.connect() as connection:
            return GtidSet.parse(query(connection, "SELECT @@GLOBAL.gtid_executed")[0][0])

    def wait_until_caught_up(self) -> Position:
        executed = self.executed()

        def caught_up() -> bool:
            position = self.position()
            return position is not None and executed.is_subset(position.gtid_set)

        try:
            patiently(caught_up, "the streamer did not catch up")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it said:\n{self._last_words()}") from None
        position = self.position()
        assert position is not None
        return position

    def waits_for(self, event: str, number: int) -> None:
        """Until streamer `number` has logged `event`."""
        patiently(lambda: self.said(event, number), f"streamer {number} never said {event}", pause_s=0.05)

    def _last_words(self) -> str:
        return self.log(len(self.processes) - 1).read_text(errors="replace")[-3000:]

    def records(self, topic: str, partition: int = 0) -> list[tuple[bytes | None, bytes]]:
        """Everything committed in a partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.stack.kafka.bootstrap_servers,
                "group.id": "unused",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.assign([TopicPartition(topic, partition, 0)])
        found: list[tuple[bytes | None, bytes]] = []
        try:
            while True:
                message = consumer.poll(10)
                assert message is not None, f"{topic} could not be read"
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    return found
                assert error is None, error
                value = message.value()
                assert isinstance(value, bytes)
                key = message.key()
                assert key is None or isinstance(key, bytes)
                found.append((key, value))
        finally:
            consumer.close()

    def envelopes(self, table: str) -> list[Envelope]:
        return [Envelope.decode(value) for _, value in self.records(f"{self.name}.{self.name}.{table}")]

    def barriers(self) -> list[Barrier]:
        return [Barrier.decode(value) for _, value in self.records(self.topics.progress)]


def patiently(done: Callable[[], object], complaint: str, pause_s: float = 0.3) -> None:
    """Asking costs a Kafka client each time, on a machine that has better to do."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_S} s: {complaint}")
        time.sleep(pause_s)


@contextmanager
def world(stack: Stack, directory: Path, name: str, server: MysqlServer | None = None, **settings: Any) -> Iterator[World]:
    made = World(stack, directory, name, settings, server)
    with made.mysql.connect() as connection:
        run(connection, f"CREATE DATABASE {name}", f"CREATE TABLE {name}.orders (id INT PRIMARY KEY, v INT)")
    try:
        yield made
        made.stop()
    finally:
        made.kill()


def run(connection: "Connection[Any]", *statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def query(connection: "Connection[Any]", statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def folded(envelopes: list[Envelope]) -> dict[int, Any]:
    """What a table holds after all these changes, in this order."""
    rows: dict[int, Any] = {}
    for envelope in envelopes:
        if envelope.op is Op.TRUNCATE:
            rows.clear()
        elif envelope.op is Op.DELETE:
            assert envelope.before is not None
            rows.pop(envelope.before["id"])  # type: ignore[arg-type]  # an INT column
        else:
            assert envelope.after is not None
            rows[envelope.after["id"]] = envelope.after["v"]  # type: ignore[index]  # an INT column
    return rows


def assert_exactly_once(made: World, table: str = "orders") -> list[Envelope]:
    """Seqs without gap, each row of each transaction once, and together what MySQL holds; every barrier names seqs that are there."""
    envelopes = made.envelopes(table)
    assert [envelope.source.seq for envelope in envelopes] == list(range(len(envelopes)))
    places = [(envelope.source.gtid, envelope.source.ev) for envelope in envelopes]
    assert len(set(places)) == len(places)
    with made.mysql.connect() as connection:
        assert folded(envelopes) == dict(query(connection, f"SELECT id, v FROM {made.name}.{table}"))
    barriers = made.barriers()
    assert [barrier.n for barrier in barriers] == sorted({barrier.n for barrier in barriers})
    named = [barrier.next_seqs[topic] for barrier in barriers for topic in barrier.next_seqs if topic.endswith(f".{table}")]
    assert named[-1] == len(envelopes)
    assert named == sorted(named)
    times = [barrier.commit_ts_us for barrier in barriers]
    assert times == sorted(times)
    position = made.position()
    assert position is not None
    assert position.next_seqs[f"{made.name}.{made.name}.{table}"] == len(envelopes)
    return envelopes


def test_rows_reach_kafka_with_barriers_schema_and_position(servers: Stack, tmp_path: Path) -> None:
    with world(servers, tmp_path, "plain") as made, servers.mysql.connect(database="plain") as connection:
        made.start()
        run(
            connection,
            "INSERT INTO orders VALUES (1, 10), (2, 20), (3, 30)",
            "UPDATE orders SET v = 11 WHERE id = 1",
            "UPDATE orders SET id = 7 WHERE id = 2",
            "DELETE FROM orders WHERE id = 3",
            "TRUNCATE orders",
            "INSERT INTO orders VALUES (4, 40)",
            "ALTER TABLE orders ADD COLUMN w INT",
            "INSERT INTO orders VALUES (5, 50, 500)",
        )
        made.wait_until_caught_up()
        patiently(lambda: (found := made.position()) is not None and not found.rereads, "the altered table is not read again")
        everything = assert_exactly_once(made)
        envelopes = [envelope for envelope in everything if envelope.op is not Op.READ]
        assert [envelope.op.value for envelope in envelopes] == ["c", "c", "c", "u", "d", "c", "d", "t", "c", "c"]
        read = [dict(envelope.after or {}) for envelope in everything if envelope.op is Op.READ]
        assert {"id": 4, "v": 40, "w": None} in read
        assert len(read) <= 2
        assert [envelope.source.seq for envelope in envelopes if envelope.source.key_change] == [4, 5]
        schemas = {key: TableSchema.decode(value) for key, value in made.records(made.topics.schemas)}
        for envelope in envelopes:
            if envelope.op is not Op.TRUNCATE:
                assert f"plain.plain.orders/{envelope.source.schema}".encode() in schemas
        assert [len(schema.columns) for schema in schemas.values()] == [2, 3]
        # A truncate stands alone: its barrier is one seq after the one before it.
        cuts = [barrier.next_seqs["plain.plain.orders"] for barrier in made.barriers() if barrier.next_seqs]
        assert {7, 8} <= set(cuts)


@needs_kernel
def test_both_decoders_read_the_rows_of_all_kinds_into_the_same_records(servers: Stack, tmp_path: Path) -> None:
    recording.run(servers.mysql, [*corpus.PREPARE, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", *KINDS.statements])
    tables = tables_of(servers.mysql, ["kinds"])
    found: dict[str, list[Any]] = {}
    for decoder in ("kernel", "python"):
        settings = {"tables": {"include": ["kinds.*"]}, "streamer": {"snapshot": "only", "decoder": decoder}}
        directory = tmp_path / decoder
        directory.mkdir()
        made = World(servers, directory, f"kinds_{decoder}", settings)
        done = made.run()
        assert done.returncode == 0, done.stdout + done.stderr
        assert f'"decoder":"{decoder}"' in done.stdout
        for table in tables:
            for key, value in made.records(made.topics.rows(table)):
                source = Envelope.decode(value).source
                found.setdefault(decoder, []).append(
                    (table, told({"key": key, "value": value}, b"after"), source.seq, source.ev, source.schema)
                )
    assert found["kernel"] == found["python"]
    assert len(found["kernel"]) == 14


def test_an_idle_source_is_complete_up_to_its_own_clock(servers: Stack, tmp_path: Path) -> None:
    with world(servers, tmp_path, "idle") as made, servers.mysql.connect(database="idle") as connection:
        made.start()
        run(connection, "INSERT INTO orders VALUES (1, 1)")
        position = made.wait_until_caught_up()
        committed_us = position.newest_commit_us

        def later() -> bool:
            now = made.position()
            return now is not None and now.commit_ts_us > committed_us + 2_000_000

        patiently(later, "the promise did not move while nothing happened")
        assert made.position().gtid_set == position.gtid_set  # type: ignore[union-attr]  # it was there


@pytest.mark.parametrize(
    "crash",
    [
        "streamer.commit.after:4",
        *long(
            "streamer.send_rows.before:6",
            "streamer.commit.before:4",
            "streamer.init.after:1",
            "streamer.start.after:1",
            "streamer.ensure.after:4",
        ),
    ],
)
def test_a_streamer_killed_at_any_effect_goes_on_without_loss_or_repeat(servers: Stack, tmp_path: Path, crash: str) -> None:
    name = "crash_" + crash.split(".", 1)[1].replace(".", "_").replace(":", "")
    with world(servers, tmp_path, name) as made, servers.mysql.connect(database=name) as connection:
        dying = made.start(crash=crash)
        number = 0
        while dying.poll() is None and number < 2000:
            number += 1
            run(connection, f"INSERT INTO orders VALUES ({number}, 0), (-{number}, 1)", f"UPDATE orders SET v = v + 1 WHERE id = {number}")
        assert dying.wait(PATIENCE_S) == -signal.SIGKILL
        made.start()
        run(connection, "DELETE FROM orders WHERE id % 3 = 0")
        made.wait_until_caught_up()
        assert len(assert_exactly_once(made)) > 3 * number


def test_a_standby_waits_and_takes_over_when_the_leader_is_killed(servers: Stack, tmp_path: Path) -> None:
    with world(servers, tmp_path, "pair") as made, servers.mysql.connect(database="pair") as connection:
        leader = made.start()
        run(connection, "INSERT INTO orders VALUES (1, 1)")
        made.wait_until_caught_up()
        made.start()
        made.waits_for("turn.awaited", 1)
        assert not made.said("turn.taken", 1)
        leader.kill()
        leader.wait()
        run(connection, "INSERT INTO orders VALUES (2, 2)")
        made.wait_until_caught_up()
        assert made.said("turn.taken", 1)
        assert len(assert_exactly_once(made)) == 2


def test_a_leader_that_wakes_after_it_was_replaced_writes_nothing_more(servers: Stack, tmp_path: Path) -> None:
    with world(servers, tmp_path, "zombie") as made, servers.mysql.connect(database="zombie") as connection:
        zombie = made.start()
        run(connection, "INSERT INTO orders VALUES (1, 1)")
        made.wait_until_caught_up()
        zombie.send_signal(signal.SIGSTOP)
        # The network gave it up before it did: its lock is free.
        for (thread,) in query(
            connection, "SELECT owner_thread_id FROM performance_schema.metadata_locks WHERE object_name = 'tidemark:zombie'"
        ):
            session = query(connection, f"SELECT processlist_id FROM performance_schema.threads WHERE thread_id = {thread}")
            run(connection, f"KILL {session[0][0]}")
        made.start()
        run(connection, "INSERT INTO orders VALUES (2, 2)")
        made.wait_until_caught_up()
        zombie.send_signal(signal.SIGCONT)
        run(connection, *(f"INSERT INTO orders VALUES ({number}, 0)" for number in range(3, 40)))
        patiently(lambda: zombie.poll() is not None or made.said("stream.interrupted", 0), "the zombie noticed nothing")
        made.wait_until_caught_up()
        assert len(assert_exactly_once(made)) == 39
        zombie.kill()
        zombie.wait()


def test_a_producer_is_fenced_by_its_successor_and_its_rows_are_never_seen(servers: Stack, tmp_path: Path) -> None:
    made = World(servers, tmp_path, "fence")
    KafkaTopics(made.kafka, made.topics).ensure("fence.shop.orders", partitions=1, compacted=False)
    zombie, successor = (KafkaSink(made.kafka, made.topics, 64 << 20) for _ in range(2))
    zombie.init()
    zombie.begin()
    zombie.send(Message("fence.shop.orders", b"1", b"zombie"))
    successor.init()
    with pytest.raises(Fenced):
        zombie.commit()
    successor.begin()
    successor.send(Message("fence.shop.orders", b"1", b"successor"))
    successor.commit()
    assert not successor.unsettled()
    assert made.records("fence.shop.orders") == [(b"1", b"successor")]
    zombie.close()
    successor.close()


def test_compressed_and_tagged_transactions_arrive_and_are_resumed_after(servers: Stack, tmp_path: Path) -> None:
    with world(servers, tmp_path, "wire") as made, servers.mysql.connect(database="wire") as connection:
        first = made.start()
        run(connection, "SET SESSION binlog_transaction_compression = ON")
        values = ", ".join(f"({number}, {number})" for number in range(1, 501))
        run(connection, f"INSERT INTO orders VALUES {values}", "SET SESSION binlog_transaction_compression = OFF")
        run(connection, "SET gtid_next = 'AUTOMATIC:tide'", "UPDATE orders SET v = 0 WHERE id = 1", "SET gtid_next = 'AUTOMATIC'")
        position = made.wait_until_caught_up()
        assert ":tide:" in str(position.gtid_set)
        first.kill()
        first.wait()
        run(connection, "SET gtid_next = 'AUTOMATIC:tide'", "UPDATE orders SET v = 0 WHERE id = 2", "SET gtid_next = 'AUTOMATIC'")
        made.start()
        made.wait_until_caught_up()
        envelopes = assert_exactly_once(made)
        assert len(envelopes) == 502
        assert ":tide:" in envelopes[-1].source.gtid


@pytest.mark.parametrize("crash", [None, *long("streamer.send_rows.before:6")])
def test_a_transaction_larger_than_the_split_is_partial_until_its_last_row(servers: Stack, tmp_path: Path, crash: str | None) -> None:
    name = "split_" + (crash or "whole").split(".")[-1].replace(":", "")
    with world(servers, tmp_path, name, batch={"rows": 100}) as made, servers.mysql.connect(database=name) as connection:
        values = ", ".join(f"({number}, {number})" for number in range(1050))
        run(connection, f"INSERT INTO orders VALUES {values}")
        process = made.start(crash=crash)
        if crash:
            assert process.wait(PATIENCE_S) == -signal.SIGKILL
            middle = made.position()
            assert middle is not None
            assert middle.in_progress is not None
            assert 0 < middle.in_progress.rows_done < 1050
            made.start()
        made.wait_until_caught_up()
        assert [envelope.source.ev for envelope in assert_exactly_once(made)] == list(range(1050))
        barriers = [barrier for barrier in made.barriers() if barrier.next_seqs]
        assert [barrier.partial for barrier in barriers] == [True] * 10 + [False]
        assert len({str(barrier.gtid_set) for barrier in barriers[:-1]}) == 1
        position = made.position()
        assert position is not None
        assert position.in_progress is None


def test_a_row_over_the_message_limit_goes_as_key_and_size(servers: Stack, tmp_path: Path) -> None:
    with (
        world(servers, tmp_path, "oversize", kafka={"message_bytes_max": 65536}) as made,
        servers.mysql.connect(database="oversize") as connection,
    ):
        made.start()
        run(
            connection,
            "CREATE TABLE docs (id INT PRIMARY KEY, body MEDIUMTEXT)",
            "INSERT INTO docs VALUES (1, REPEAT('x', 100000)), (2, 'y')",
        )
        made.wait_until_caught_up()
        large, small = made.envelopes("docs")
        assert large.after == {"id": 1}
        assert large.source.oversize > 100000
        assert small.after == {"id": 2, "body": "y"}
        assert small.source.oversize == 0


def test_a_lost_server_is_waited_for_and_the_stream_goes_on(servers: Stack, tmp_path: Path) -> None:
    with world(servers, tmp_path, "restart") as made, servers.mysql.connect(database="restart") as connection:
        made.start()
        run(connection, "INSERT INTO orders VALUES (1, 1)")
        made.wait_until_caught_up()
        for thread, user in query(connection, "SELECT id, user FROM information_schema.processlist"):
            if user == "tidemark":
                run(connection, f"KILL {thread}")
        made.waits_for("stream.interrupted", 0)
        run(connection, "INSERT INTO orders VALUES (2, 2)")
        made.wait_until_caught_up()
        assert len(assert_exactly_once(made)) == 2


def test_status_shows_the_position_and_how_far_it_is_behind(servers: Stack, tmp_path: Path) -> None:
    with world(servers, tmp_path, "status") as made, servers.mysql.connect(database="status") as connection:
        before = made.run("status", "--json")
        assert before.returncode == 0, before.stderr
        assert orjson.loads(before.stdout)["started"] is False
        made.start()
        made.wait_until_caught_up()
        made.stop()
        run(connection, "INSERT INTO orders VALUES (1, 1)", "INSERT INTO orders VALUES (2, 1)")
        shown = orjson.loads(made.run("status", "--json").stdout)
        assert shown["behind_transactions"] == 2
        assert shown["lag_seconds"] >= 0
        assert shown["missing_at_source"] == ""
        assert 719 < shown["binlog_headroom_hours"] <= 720  # MySQL keeps its binlogs for 30 days unless told otherwise


@pytest.fixture(scope="module")
def odd(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MysqlServer]:
    """A server whose settings these tests may change."""
    server = MysqlServer(tmp_path_factory.mktemp("odd"), server_id=77)
    server.start()
    server.wait_until_ready()
    server.create_capture_user("tidemark", "capture-only")
    with server.connect() as connection:
        run(
            connection,
            "CREATE DATABASE refuse",
            "CREATE TABLE refuse.keyless (v INT)",
            "CREATE TABLE refuse.orders (id INT PRIMARY KEY, v INT)",
        )
    yield server
    server.stop()


REFUSALS = {
    "format": ("SET GLOBAL binlog_format = STATEMENT", "SET GLOBAL binlog_format = ROW", "SET PERSIST binlog_format = ROW"),
    "image": ("SET GLOBAL binlog_row_image = MINIMAL", "SET GLOBAL binlog_row_image = FULL", "SET PERSIST binlog_row_image = FULL"),
    "metadata": (
        "SET GLOBAL binlog_row_metadata = MINIMAL",
        "SET GLOBAL binlog_row_metadata = FULL",
        "SET PERSIST binlog_row_metadata = FULL",
    ),
    "gtids": ("SET GLOBAL gtid_mode = ON_PERMISSIVE", "SET GLOBAL gtid_mode = ON", "SET PERSIST gtid_mode = ON"),
    "slave": (
        "REVOKE REPLICATION SLAVE ON *.* FROM tidemark@'%'",
        "GRANT REPLICATION SLAVE ON *.* TO tidemark@'%'",
        "GRANT REPLICATION SLAVE ON *.* TO `tidemark`@`%`",
    ),
    "client": (
        "REVOKE REPLICATION CLIENT ON *.* FROM tidemark@'%'",
        "GRANT REPLICATION CLIENT ON *.* TO tidemark@'%'",
        "GRANT REPLICATION CLIENT ON *.* TO `tidemark`@`%`",
    ),
    "select": (
        "REVOKE SELECT ON *.* FROM tidemark@'%'",
        "GRANT SELECT ON *.* TO tidemark@'%'",
        "GRANT SELECT ON `refuse`.* TO `tidemark`@`%`",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_server_that_cannot_be_captured_is_refused_with_the_sql_that_mends_it(
    servers: Stack, odd: MysqlServer, tmp_path: Path, what: str
) -> None:
    spoil, mend, fix = REFUSALS[what]
    made = World(servers, tmp_path, "refuse", server=odd)
    with odd.connect() as connection:
        run(connection, spoil)
        try:
            for verb in ([], ["check"]):
                done = made.run(*verb)
                assert done.returncode == 2, done.stdout + done.stderr
                assert fix in done.stdout + done.stderr
        finally:
            run(connection, mend)


def test_an_explicit_merge_of_a_table_without_a_key_is_refused_at_start(servers: Stack, odd: MysqlServer, tmp_path: Path) -> None:
    made = World(servers, tmp_path, "refuse", {"tables": {"override": {"refuse.keyless": {"mode": "merge"}}}}, odd)
    done = made.run()
    assert done.returncode == 2
    assert "ALTER TABLE `refuse`.`keyless` ADD PRIMARY KEY" in done.stderr


def test_check_warns_of_a_configured_key_that_nothing_proves_and_finds_no_fault_in_it(
    servers: Stack, odd: MysqlServer, tmp_path: Path
) -> None:
    done = World(servers, tmp_path, "refuse", {"tables": {"override": {"refuse.keyless": {"key": ["v"]}}}}, odd).run("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn   MySQL: the key of refuse.keyless in tables.override (v)" in done.stdout
    assert "ok     MySQL" in done.stdout


@pytest.mark.long
def test_no_pipeline_begins_while_an_xa_transaction_is_prepared(servers: Stack, odd: MysqlServer, tmp_path: Path) -> None:
    with (
        world(servers, tmp_path, "early_xa", odd, streamer={"snapshot": "initial"}) as made,
        odd.connect(database="early_xa") as connection,
    ):
        run(connection, "XA START 'trx8', 'b', 7", "INSERT INTO orders VALUES (2, 2)", "XA END 'trx8', 'b', 7", "XA PREPARE 'trx8', 'b', 7")
        process = made.start()
        assert process.wait(PATIENCE_S) == 3
        assert f"X'{b'trx8'.hex()}',X'{b'b'.hex()}',7 are prepared" in made.log(0).read_text()
        run(connection, "XA COMMIT 'trx8', 'b', 7")
        made.start()
        made.wait_until_caught_up()
        patiently(lambda: len(made.envelopes("orders")) == 1, "the row is not read")


@pytest.mark.parametrize("what", ["xa", "statement", "minimal"])
def test_a_change_that_cannot_be_known_halts_the_stream_and_says_whose_it_is(
    servers: Stack, odd: MysqlServer, tmp_path: Path, what: str
) -> None:
    name = f"halt_{what}"
    with world(servers, tmp_path, name, odd) as made, odd.connect(database=name) as connection:
        process = made.start()
        run(connection, "INSERT INTO orders VALUES (1, 1)")
        made.wait_until_caught_up()
        if what == "xa":
            run(connection, "XA START 'trx7'", "INSERT INTO orders VALUES (2, 2)", "XA END 'trx7'", "XA PREPARE 'trx7'")
        elif what == "statement":
            run(connection, "SET SESSION binlog_format = STATEMENT", "UPDATE orders SET v = 9")
        else:
            run(connection, "SET SESSION binlog_row_image = MINIMAL", "INSERT INTO orders (id) VALUES (3)")
        code, words = {
            "xa": (3, f"X'{b'trx7'.hex()}'"),
            "statement": (3, "binlog_format = STATEMENT"),
            "minimal": (1, "SET PERSIST binlog_row_image = FULL"),
        }[what]
        assert process.wait(PATIENCE_S) == code
        assert words in made.log(0).read_text()
        assert len(made.envelopes("orders")) == 1
        if what == "xa":
            run(connection, "XA ROLLBACK 'trx7'")


def test_a_first_run_is_refused_when_rows_are_there_without_a_position(servers: Stack, tmp_path: Path) -> None:
    with world(servers, tmp_path, "lost") as made:
        KafkaTopics(made.kafka, made.topics).ensure("lost.lost.orders", partitions=1, compacted=False)
        sink = KafkaSink(made.kafka, Topics("other"), 64 << 20)
        sink.init()
        sink.begin()
        sink.send(Message("lost.lost.orders", None, b"{}"))
        sink.commit()
        sink.close()
        done = made.run()
        assert done.returncode == 3
        assert "lost.position" in done.stderr


def test_a_repartitioned_topic_is_refused(servers: Stack, tmp_path: Path) -> None:
    with world(servers, tmp_path, "parts") as made, servers.mysql.connect(database="parts") as connection:
        run(connection, "INSERT INTO orders VALUES (1, 1)")
        admin = servers.kafka.admin()
        admin.create_topics([NewTopic("parts.parts.orders", 3, 1)])["parts.parts.orders"].result(10)
        done = made.run()
        assert done.returncode == 3
        assert "has 3 partitions" in done.stderr


@pytest.mark.long
def test_a_server_that_lost_our_transactions_or_purged_the_next_ones_is_refused(servers: Stack, odd: MysqlServer, tmp_path: Path) -> None:
    """The last test on the odd server: it loses its history."""
    with world(servers, tmp_path, "gone", odd) as made:
        made.start()
        made.wait_until_caught_up()
        made.stop()
        with odd.connect() as connection:
            run(connection, "INSERT INTO gone.orders VALUES (1, 1)")
            odd.purge_binlogs()
            missing = query(connection, "SELECT @@GLOBAL.gtid_purged")[0][0].split(":")[0]
        done = made.run()
        assert done.returncode == 3
        assert "purged" in done.stderr
        assert missing in done.stderr
        fresh = World(servers, tmp_path, "fresh", {"tables": {"include": ["gone.*"]}}, odd)
        done = fresh.run()
        assert done.returncode == 3
        assert "has purged binlogs" in done.stderr
        with odd.connect() as connection:
            run(connection, "RESET BINARY LOGS AND GTIDS")
        done = made.run()
        assert done.returncode == 3
        assert "never executed transactions that are on Kafka" in done.stderr


def test_two_tables_whose_topics_kafka_takes_for_one_are_refused_aloud(servers: Stack) -> None:
    section = Kafka.model_validate({"bootstrap_servers": servers.kafka.bootstrap_servers, "allow_plaintext": True, "replication_factor": 1})
    names = Topics("collide")
    topics = KafkaTopics(section, names)
    topics.ensure(names.rows(TableId("a_b", "c")), partitions=1, compacted=False)
    with pytest.raises(Invalid, match=r"tables\.exclude"):
        topics.ensure(names.rows(TableId("a", "b_c")), partitions=1, compacted=False)
