"""Several dumps at once off one server: which of them it takes for one replica, and what the one that must go is told."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from contracts.errors import Unavailable
from contracts.position import GtidSet
from devstack.mysql import MysqlServer
from runtime.lifecycle import Stop
from runtime.sections import Mysql
from runtime.settings import Settings
from streamer.edges.dump import MysqlBinlog
from streamer.wiring import beside

pytestmark = pytest.mark.stack


def events(dump: MysqlBinlog, server: MysqlServer, name: str) -> bytes:
    """All it is sent up to a database of this name, which is made now."""
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    found = b""
    while name.encode() not in found:
        found += dump.next(timedelta(seconds=30)) or b""
    return found


def test_a_dump_whose_place_another_one_took_tries_again(server: MysqlServer, settings: Mysql) -> None:
    """The server has error 1236 for this as for binlogs that are gone."""
    with closing(MysqlBinlog(settings, 4001, "tidemark-p")) as first, closing(MysqlBinlog(settings, 4001, "tidemark-p")) as second:
        first.start(GtidSet())
        second.start(GtidSet())
        with pytest.raises(Unavailable, match="another streamer of this pipeline"):
            events(first, server, "taken")
        assert events(second, server, "kept")


@contextmanager
def backfill(mysql: Mysql) -> Iterator[MysqlBinlog]:
    """The dump of one: nothing else of a pipeline is asked."""
    sections = {
        "mysql": mysql,
        "kafka": {"bootstrap_servers": "nowhere", "allow_plaintext": True},
        "s3": {"bucket": "none"},
        "redshift": {"host": "nowhere", "database": "none", "user": "nobody", "password": "none"},
        "tables": {"include": ["shop.*"]},
    }
    with beside(Settings.model_validate({"pipeline": "beside", **sections}), Stop()) as ports:
        yield ports.binlog


def test_two_backfills_of_a_pipeline_read_the_binlog_at_once(server: MysqlServer, settings: Mysql) -> None:
    with backfill(settings) as first, backfill(settings) as second:
        first.start(GtidSet())
        second.start(GtidSet())
        assert events(first, server, "one")
        assert events(second, server, "two")
