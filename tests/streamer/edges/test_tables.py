"""Tables read by SELECT: how long the server may be silent, and that nothing is left behind on it."""

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from contracts.errors import Unavailable
from contracts.position import GtidSet
from contracts.table import TableId
from devstack.mysql import MysqlServer
from runtime.sections import Mysql
from streamer.core.selected import PythonRowPackets
from streamer.edges import tables
from streamer.edges.mysql import MysqlServer as Edge
from streamer.edges.tables import MysqlTableReader
from streamer.ports import ReadRequest, TableRows

pytestmark = pytest.mark.stack

ORDERS = TableId("edges", "orders")


@pytest.fixture(scope="module", autouse=True)
def _orders(server: MysqlServer) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in ("CREATE DATABASE edges", "CREATE TABLE edges.orders (id INT PRIMARY KEY)", "INSERT INTO edges.orders VALUES (7)"):
            cursor.execute(statement)


@pytest.fixture
def reader(settings: Mysql) -> Iterator[MysqlTableReader]:
    with closing(MysqlTableReader(settings, PythonRowPackets)) as made:
        yield made


def read(reader: MysqlTableReader, where: str | None = None) -> TableRows:
    reader.ask(ReadRequest(ORDERS, GtidSet(), None, where, 1000, 1 << 20))
    while (found := reader.rows()) is None:
        time.sleep(0.01)
    return found


def running(server: MysqlServer) -> list[str]:
    """The SELECTs of the table that the server is at work on."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT info FROM performance_schema.processlist WHERE info LIKE 'SELECT `id` FROM `edges`%'")
        return [str(info) for (info,) in cursor.fetchall()]


def test_the_first_row_may_come_long_after_the_command_was_sent(reader: MysqlTableReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver sets its write timeout on the socket for a command, and its read timeout only where it reads the answer itself."""
    monkeypatch.setattr(tables, "_WRITE_SECONDS", 1)
    assert read(reader, "SLEEP(2) = 0").packets.rows == 1


def test_a_select_that_is_given_up_ends_at_the_server_too(
    server: MysqlServer, reader: MysqlTableReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_EXECUTION_MS_MAX", 2000)
    with pytest.raises(Unavailable, match="execution time exceeded"):
        read(reader, "SLEEP(600) = 0")
    assert running(server) == []


def test_a_select_that_waits_for_a_lock_is_given_up_by_the_server_too(
    server: MysqlServer, reader: MysqlTableReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_EXECUTION_MS_MAX", 2000)
    read(reader)  # so that it is the SELECT that waits, not what is asked before it
    with server.connect() as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLES edges.orders WRITE")
        with pytest.raises(Unavailable, match="execution time exceeded"):
            read(reader)
        assert running(server) == []


def test_a_view_is_no_table(server: MysqlServer, reader: MysqlTableReader, settings: Mysql) -> None:
    """Its name comes to be asked for by a RENAME, which is written for views as for tables."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE VIEW edges.seen AS SELECT * FROM edges.orders")
    reader.ask(ReadRequest(TableId("edges", "seen"), GtidSet(), None, None, 1000, 1 << 20))
    while (found := reader.rows()) is None:
        time.sleep(0.01)
    assert (found.definition, found.packets.rows, found.last) == (None, 0, True)
    with closing(Edge(settings)) as edge:
        assert edge.definition(TableId("edges", "seen")) is None
        assert edge.definition(ORDERS) is not None
