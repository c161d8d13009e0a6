"""The control connection: what becomes of it when nobody asks for long, and of the turn it may hold."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import Unavailable
from contracts.table import TableId
from devstack.mysql import MysqlServer
from devstack.stack import running_stack
from runtime.sections import Mysql
from runtime.uniquekeys import unique_keys
from streamer.core.preflight import hides_applied
from streamer.edges import mysql
from streamer.edges.mysql import MysqlServer as Edge

pytestmark = pytest.mark.stack


@pytest.fixture
def edge(settings: Mysql) -> Iterator[Edge]:
    with closing(Edge(settings)) as made:
        yield made


@pytest.fixture
def _long_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql, "_SILENT_SECONDS", 0)


def cut(server: MysqlServer, edge: Edge) -> None:
    """As wait_timeout does, or a NAT that forgets the connection."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("KILL %s", (edge._connection.thread_id(),))


@pytest.mark.usefixtures("_long_silent")
def test_a_connection_that_was_silent_for_long_is_made_anew_before_the_next_question(server: MysqlServer, edge: Edge) -> None:
    """A backfill asks once more after it has read the binlog for hours."""
    before = edge.status()
    cut(server, edge)
    assert edge.status().uuid == before.uuid


@pytest.mark.usefixtures("_long_silent")
def test_a_turn_is_never_lost_without_a_word(server: MysqlServer, edge: Edge, settings: Mysql) -> None:
    assert edge.take_turn("tidemark_edges")
    edge.status()
    with closing(Edge(settings)) as other:
        assert not other.take_turn("tidemark_edges")
    cut(server, edge)
    with pytest.raises(Unavailable, match="lost"):
        edge.status()


def test_a_turn_whose_holder_is_dead_is_freed(edge: Edge, settings: Mysql, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does not miss a host that went without a word until wait_timeout is over."""
    assert edge.take_turn("tidemark_dead")
    monkeypatch.setattr(mysql, "_DEAD_LOOK_SECONDS", 0.2)
    with closing(Edge(settings, timedelta(seconds=3))) as other:
        assert not other.take_turn("tidemark_dead")
        time.sleep(1)
        edge.status()  # it is alive
        time.sleep(1)
        assert not other.take_turn("tidemark_dead")
        deadline = time.monotonic() + 20
        while not other.take_turn("tidemark_dead"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with pytest.raises(Unavailable, match="lost"):
            edge.status()


def test_a_server_that_leaves_nothing_out_says_so(edge: Edge) -> None:
    assert list(edge.binlog_filters()) == []
    assert not edge.is_replica()
    assert not hides_applied(edge.status().variables)
    assert edge.status().variables["lower_case_table_names"] == "0"


def test_what_keeps_changes_out_of_the_binlog_is_found(tmp_path: Path) -> None:
    hiding = {"binlog-do-db": "shop", "binlog-ignore-db": "logs", "log_replica_updates": "OFF"}
    with running_stack(tmp_path, only={"mysql"}, mysql_settings=hiding) as stack:
        account = {"user": stack.mysql.user, "password": stack.mysql.password, "allow_plaintext": True}
        settings = Mysql.model_validate({"host": stack.mysql.host, "port": stack.mysql.port, **account})
        with closing(Edge(settings)) as edge, stack.mysql.connect() as connection, connection.cursor() as cursor:
            assert edge.binlog_filters() == ["binlog-do-db = shop", "binlog-ignore-db = logs"]
            assert hides_applied(edge.status().variables)
            cursor.execute("CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'nowhere'")
            assert edge.is_replica()
            # Why no list of databases is harmless.
            for statement in ("CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT)", "CREATE DATABASE logs", "USE logs"):
                cursor.execute(statement)
            before = edge.binlog_end()
            cursor.execute("TRUNCATE TABLE shop.orders")
            assert edge.binlog_end() == before


def test_a_table_that_is_dropped_between_two_questions_has_no_keys(server: MysqlServer) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in ("CREATE DATABASE going", "CREATE TABLE going.t (id INT NOT NULL UNIQUE)"):
            cursor.execute(statement)

        def ask(sql: str, *arguments: object) -> Sequence[Any]:
            if sql.startswith("SHOW INDEX"):
                cursor.execute("DROP TABLE IF EXISTS going.t")
            cursor.execute(sql, arguments or None)
            return list(cursor.fetchall())

        assert unique_keys(ask, TableId("going", "t")) == []
