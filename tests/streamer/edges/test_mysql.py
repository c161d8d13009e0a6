"""The control connection: what becomes of it when nobody asks for long, and of the turn it may hold."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from contracts.errors import Unavailable
from devstack.mysql import MysqlServer
from runtime.sections import Mysql
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
