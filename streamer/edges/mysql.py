"""MySQL's control connection: the turn, the server's state, and what its tables are."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pymysql
import structlog
from pymysql.constants import ER
from pymysql.err import MySQLError

from contracts.errors import Invalid, Unavailable
from contracts.position import BinlogPosition, GtidSet
from contracts.table import TableId
from runtime.connect import mysql
from runtime.sections import Mysql
from runtime.selection import SYSTEM_DATABASES
from runtime.uniquekeys import unique_keys
from streamer.core.definition import COLUMNS_SQL, Definition, read_definition
from streamer.core.preflight import Grants
from streamer.ports import ServerStatus

_log = structlog.get_logger()

LOCK_NAME_MAX = 64  # MySQL manual, "Locking Functions"
_DEAD_LOOK_SECONDS = 20  # it lists all sessions, where the account may see them
_SILENT_SECONDS = 60  # less than the server or anything in between may end a silent connection after
VARIABLES = (
    "server_id",
    "log_bin",
    "binlog_format",
    "binlog_row_image",
    "binlog_row_metadata",
    "gtid_mode",
    "version",
    "innodb_native_foreign_keys",
    "binlog_expire_logs_seconds",
    "binlog_expire_logs_auto_purge",
    "log_replica_updates",
    "lower_case_table_names",
)
_FILTERS = ("binlog-do-db", "binlog-ignore-db")  # as SHOW BINARY LOG STATUS has them


def end_of_binlog(ask: Callable[..., Sequence[Any]]) -> BinlogPosition:
    """Where the server will write its next transaction. `ask`: sends a statement with its arguments, and gives the rows."""
    file, offset, *_ = _binary_log_status(ask)[0]
    return BinlogPosition(file, int(offset))


def _binary_log_status(ask: Callable[..., Sequence[Any]]) -> Sequence[Any]:
    try:
        return ask("SHOW BINARY LOG STATUS")
    except pymysql.err.ProgrammingError as error:
        if error.args[0] != ER.PARSE_ERROR:
            raise
        return ask("SHOW MASTER STATUS")  # its name before MySQL 8.2


class MysqlServer:
    """A SourceServer: one control connection, made at the first use and anew after it was lost, or was silent for long while no turn
    depends on it: a backfill reads the binlog for hours between two questions."""

    def __init__(self, settings: Mysql, dead_after: timedelta = timedelta(minutes=10)) -> None:
        """`dead_after`: a turn's holder that asked nothing for so long is gone."""
        self._settings = settings
        self._dead_after = dead_after
        self._look_for_dead_at = 0.0
        self._connection: Any = None
        self._has_turn = False
        self._asked_at = 0.0

    def take_turn(self, name: str) -> bool:
        if len(name) > LOCK_NAME_MAX:
            raise ValueError(f"a lock name has at most {LOCK_NAME_MAX} characters, got {len(name)}")
        self._has_turn = self._locked(name) or (self._ended_dead_holder(name) and self._locked(name))
        return self._has_turn

    def _locked(self, name: str) -> bool:
        return bool(self._rows("SELECT GET_LOCK(%s, 0)", name)[0][0] == 1)

    def _ended_dead_holder(self, name: str) -> bool:
        """Whether the session that holds the turn was ended: one whose host is gone keeps it until the server misses it. Every account
        sees its own sessions, and may end them. Source: MySQL manual, "SHOW PROCESSLIST Statement", "KILL Statement"."""
        if time.monotonic() < self._look_for_dead_at:
            return False
        self._look_for_dead_at = time.monotonic() + _DEAD_LOOK_SECONDS
        holder = self._rows("SELECT IS_USED_LOCK(%s)", name)[0][0]
        for session, _, _, _, command, seconds, *_ in self._rows("SHOW PROCESSLIST"):
            if session == holder and command == "Sleep" and seconds >= self._dead_after.total_seconds():
                with self._translating():
                    try:
                        self._ask("KILL CONNECTION %s", session)
                    except MySQLError as error:
                        if error.args[0] in (ER.NO_SUCH_THREAD, ER.KILL_DENIED_ERROR):
                            return False  # it has gone, or is another account's
                        raise
                _log.warning("turn.freed", lock=name, session=session, silent_seconds=seconds)
                return True
        return False

    def turn_taken(self, name: str) -> bool:
        """Whether a streamer holds this turn. Raises Unavailable."""
        return self._rows("SELECT IS_USED_LOCK(%s)", name)[0][0] is not None

    def definition(self, table: TableId) -> Definition | None:
        columns = self._rows(COLUMNS_SQL, table.database, table.name)
        return read_definition(table, columns, self.unique_keys(table)) if columns else None

    def status(self) -> ServerStatus:
        # The clock stands first in the list, so it is read before the set; both are read before anything is sent.
        columns = ", ".join(f"@@GLOBAL.{name}" for name in ("server_uuid", "gtid_executed", "gtid_purged"))
        found = self._rows(f"SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS UNSIGNED), {columns}")[0]
        marks = ", ".join(["%s"] * len(VARIABLES))
        variables = self._rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({marks})", *VARIABLES)
        return ServerStatus(
            uuid=str(found[1]).lower(),
            executed=GtidSet.parse(found[2]),
            purged=GtidSet.parse(found[3]),
            now_us=int(found[0]),
            variables={str(name).lower(): str(value) for name, value in variables},
        )

    def tables(self) -> Sequence[TableId]:
        own = sorted(SYSTEM_DATABASES)
        marks = ", ".join(["%s"] * len(own))
        found = self._rows(
            "SELECT table_schema, table_name FROM information_schema.tables "
            f"WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ({marks}) ORDER BY 1, 2",
            *own,
        )
        return [TableId(database, name) for database, name in found]

    def grants(self) -> Sequence[str]:
        return [str(row[0]) for row in self._rows("SHOW GRANTS")]

    def unique_keys(self, table: TableId) -> Sequence[tuple[str, ...]]:
        with self._translating():
            return unique_keys(self._ask, table)

    def event_at(self, place: BinlogPosition) -> str | None:
        try:
            found = self._rows("SHOW BINLOG EVENTS IN %s FROM %s LIMIT 1", place.file, place.offset)
        except Unavailable as error:
            if error.fields.get("code") != ER.ERROR_WHEN_EXECUTING_COMMAND:
                raise
            return None
        if not found:
            return ""
        _, at, _, _, _, text = found[0]
        return str(text) if int(at) == place.offset else None

    def binlog_end(self) -> BinlogPosition:
        with self._translating():
            return end_of_binlog(self._ask)

    def prepared_xa(self) -> Sequence[str] | None:
        if not Grants.parse(self.grants()).globally("XA_RECOVER_ADMIN"):
            return None  # the server would say that data is damaged
        prepared = []
        for kind, transaction_bytes, _, data in self._rows("XA RECOVER CONVERT XID"):
            digits, split = str(data).removeprefix("0x"), 2 * int(transaction_bytes)
            prepared.append(f"X'{digits[:split].lower()}',X'{digits[split:].lower()}',{kind}")
        return prepared

    def cascading(self) -> Sequence[TableId]:
        found = self._rows(
            "SELECT DISTINCT constraint_schema, table_name FROM information_schema.referential_constraints "
            "WHERE update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT')"
        )
        return [TableId(database, name) for database, name in found]

    def binlog_filters(self) -> Sequence[str]:
        with self._translating():
            found = _binary_log_status(self._ask)
        # Nothing is found where the binlog is off.
        return [f"{option} = {names}" for row in found for option, names in zip(_FILTERS, row[2:4], strict=True) if names]

    def is_replica(self) -> bool:
        with self._translating():
            return bool(self._ask("SHOW REPLICA STATUS"))

    def binlogs(self) -> Sequence[str]:
        return [str(row[0]) for row in self._rows("SHOW BINARY LOGS")]

    def previous_gtids(self, file: str) -> GtidSet:
        # The first event describes the format, the second is the set.
        for _, _, kind, _, _, text in self._rows("SHOW BINLOG EVENTS IN %s LIMIT 2", file):
            if kind == "Previous_gtids":
                return GtidSet.parse(text)
        raise Unavailable(f"binlog file {file} does not begin with a set of GTIDs; the server may just be writing it")

    def close(self) -> None:
        if self._connection is not None:
            self._connection._force_close()
            self._connection = None
        self._has_turn = False

    def _rows(self, sql: str, *arguments: object) -> Sequence[Any]:
        with self._translating():
            return self._ask(sql, *arguments)

    def _ask(self, sql: str, *arguments: object) -> Sequence[Any]:
        """Raises what the driver does, and what keeps a connection from being made."""
        if not self._has_turn and time.monotonic() - self._asked_at >= _SILENT_SECONDS:
            self.close()
        if self._connection is None:
            self._connection = mysql.connect(
                self._settings,
                autocommit=True,
                read_timeout=30,
                write_timeout=30,
                init_command="SET SESSION wait_timeout = 3600, time_zone = '+00:00'",
            )
        with self._connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            self._asked_at = time.monotonic()
            return list(cursor.fetchall())

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except pymysql.err.ProgrammingError as error:
            raise Invalid(f"MySQL refuses a question of the streamer: {error.args[-1]} (error {error.args[0]})") from error
        except (MySQLError, OSError) as error:
            self.close()
            if error.args and error.args[0] in (ER.SPECIFIC_ACCESS_DENIED_ERROR, *mysql.ACCESS_DENIED):
                raise Invalid(f"MySQL refuses a question of the streamer: {error.args[-1]} (error {error.args[0]})") from error
            code = error.args[0] if len(error.args) > 1 else None
            raise Unavailable(f"the control connection to MySQL was lost: {error.args[-1] if error.args else error}", code=code) from error
