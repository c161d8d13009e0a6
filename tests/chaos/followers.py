"""MySQL servers that follow the source: one to take its place, one that stands still at any GTID set."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from contracts.position import GtidSet
from devstack.mysql import MysqlServer
from devstack.pipeline import CAPTURE_PASSWORD, CAPTURE_USER
from tests.chaos.workload import TAGS

PATIENCE_S = 60
_NEVER = 1 << 62
"""No GTID has this number."""
_QUICK = ("SET GLOBAL sync_binlog = 0", "SET GLOBAL innodb_flush_log_at_trx_commit = 2")
_SAFE = ("SET GLOBAL sync_binlog = 1", "SET GLOBAL innodb_flush_log_at_trx_commit = 1")


def executed(server: MysqlServer) -> GtidSet:
    return GtidSet.parse(str(ask(server, "SELECT @@GLOBAL.gtid_executed")[0][0]).replace("\n", ""))


def ask(server: MysqlServer, *statements: str) -> list[tuple[Any, ...]]:
    """What the last one answers."""
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def received(server: MysqlServer) -> GtidSet:
    """What a server that follows has, run or not."""
    rows = ask(server, "SELECT received_transaction_set FROM performance_schema.replication_connection_status")
    return GtidSet.parse(str(rows[0][0]).replace("\n", "") if rows else "").union(executed(server))


def _change_source(source: MysqlServer) -> str:
    return (
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{source.host}', SOURCE_PORT = {source.port}, SOURCE_USER = '{CAPTURE_USER}',"
        f" SOURCE_PASSWORD = '{CAPTURE_PASSWORD}', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1"
    )


def _wait(server: MysqlServer, done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        faults = ask(
            server,
            "SELECT last_error_message FROM performance_schema.replication_applier_status_by_worker WHERE last_error_number <> 0"
            " UNION SELECT last_error_message FROM performance_schema.replication_connection_status WHERE last_error_number <> 0",
        )
        assert time.monotonic() < deadline, f"{server.name} does not {what}: {faults}"
        time.sleep(0.05)


class Standby:
    """A replica that may become the source: it has every transaction as soon as it can. What it has run isn't safe from a power cut before
    it is the source."""

    def __init__(self, server: MysqlServer) -> None:
        self.server = server

    def follow(self, source: MysqlServer) -> None:
        ask(self.server, *_QUICK, _change_source(source), "START REPLICA")

    def wait_for(self, wanted: GtidSet) -> None:
        _wait(self.server, lambda: wanted.is_subset(executed(self.server)), "catch up")

    @contextmanager
    def lagging(self) -> Iterator[None]:
        """It gets nothing new while the block runs."""
        ask(self.server, "STOP REPLICA")
        try:
            yield
        finally:
            ask(self.server, "START REPLICA")

    def promote(self) -> MysqlServer:
        """It follows nobody any more."""
        ask(self.server, "STOP REPLICA", "RESET REPLICA ALL", *_SAFE)
        return self.server


class Oracle:
    """A replica that receives everything and runs it only up to where it is told: MySQL as it was at one GTID set."""

    def __init__(self, directory: Path) -> None:
        # Nobody needs what it knows after a crash of the machine.
        settings: dict[str, str | int] = {
            "skip-log-bin": 1,
            "innodb-flush-log-at-trx-commit": 0,
            "innodb-doublewrite": "OFF",
            "replica-parallel-workers": 1,
            "skip-replica-start": 1,
        }
        self.server = MysqlServer(directory, server_id=72, name="mysql-oracle", settings=settings)

    def follow(self, source: MysqlServer) -> None:
        """`source` has all that was received from another before, of which nothing may wait to be run."""
        ask(self.server, "STOP REPLICA", _change_source(source), "START REPLICA IO_THREAD")

    def executed(self) -> GtidSet:
        return executed(self.server)

    def wait_until_received(self, wanted: GtidSet) -> None:
        _wait(self.server, lambda: wanted.is_subset(received(self.server)), "receive what it is to")

    def advance(self, until: GtidSet) -> None:
        """Runs exactly `until`, a beginning of the source's history that holds all that was run before."""
        # Told to stop after a set, MySQL 9.7 runs one transaction more now and then, when the last one's GTID has a tag.
        behind = dict.fromkeys(self._named(until), 1)
        behind |= {key: intervals[-1][1] for key, intervals in until}
        forbidden = GtidSet.of({key: [(first, _NEVER)] for key, first in behind.items()})
        ask(self.server, f"START REPLICA SQL_THREAD UNTIL SQL_BEFORE_GTIDS = '{forbidden}'")
        _wait(self.server, lambda: until.is_subset(self.executed()), f"reach {until}")
        ask(self.server, "STOP REPLICA SQL_THREAD")
        found = self.executed()
        assert found == until, f"the oracle stands at {found}, not at {until}"

    def _named(self, until: GtidSet) -> set[tuple[str, str]]:
        """Every server and tag that the next transaction may be of."""
        uuid = str(ask(self.server, "SELECT source_uuid FROM performance_schema.replication_connection_status")[0][0])
        return {key for key, _ in until.union(received(self.server))} | {(uuid, tag) for tag in TAGS}
