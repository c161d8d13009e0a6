"""Tables read by SELECT, each reader on a connection and a thread of its own.

Everything a reading depends on is asked on that one connection, in this order: that the server has committed what the stream has taken, who
the server is, what the table is, its rows, the end of the binlog. A single SELECT outside a transaction sees one consistent state.
Source: MySQL manual, "Consistent Nonlocking Reads", "Text Resultset".
"""

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from pymysql.constants import COMMAND, ER
from pymysql.converters import encoders
from pymysql.err import MySQLError

from contracts.envelope import decode_key
from contracts.errors import Invalid, Refused, Unavailable
from contracts.progress import RowCursor
from contracts.table import TableId
from runtime.connect import mysql
from runtime.sections import Mysql
from runtime.uniquekeys import unique_keys
from streamer.core.definition import COLUMNS_SQL, Definition, read_definition
from streamer.core.select import SESSION_SQL, select_keys, select_rows
from streamer.core.selected import RowPackets, SelectFailed
from streamer.edges.mysql import end_of_binlog
from streamer.ports import ReadRequest, TableRows

_WAIT_SECONDS = 20  # for the server to commit what it has sent us
_SILENCE_SECONDS = 600  # a sort without an index may take its time
_EXECUTION_MS_MAX = 570_000  # then the server ends it: it would go on long after we have given it up, once for each try
_WRITE_SECONDS = 30
_RECEIVE_BYTES = 256 * 1024
_SESSION = "SET SESSION wait_timeout = 3600, net_write_timeout = 600, transaction_isolation = 'REPEATABLE-READ'"


class MysqlTableReader:
    """A TableReader."""

    def __init__(self, settings: Mysql, packets: Callable[[], RowPackets]) -> None:
        self._settings = settings
        self._packets = packets
        self._connection: Any = None
        self._worker = ThreadPoolExecutor(1, "reread")
        self._future: Future[TableRows] | None = None

    def ask(self, request: ReadRequest) -> None:
        self._future = self._worker.submit(self._read, request)

    def rows(self) -> TableRows | None:
        if self._future is None or not self._future.done():
            return None
        future, self._future = self._future, None
        return future.result()

    def abandon(self) -> None:
        self._future = None
        # The thread gets out of its read; the server notices when it writes.
        connection = self._connection
        if connection is not None and connection._sock is not None:
            with suppress(OSError):
                connection._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.abandon()
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _read(self, request: ReadRequest) -> TableRows:
        try:
            return self._asked(request)
        except (MySQLError, OSError, SelectFailed) as error:
            self._drop()
            code = error.code if isinstance(error, SelectFailed) else error.args[0] if error.args else None
            what = f"rows of {request.table} could not be read: {error.args[-1] if error.args else error} (error {code})"
            if code in (ER.PARSE_ERROR, ER.BAD_FIELD_ERROR, ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR):
                raise Refused(what, table=str(request.table)) from error
            raise Unavailable(what, table=str(request.table)) from error
        except BaseException:
            self._drop()
            raise

    def _asked(self, request: ReadRequest) -> TableRows:
        if self._ask("SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", str(request.streamed), _WAIT_SECONDS)[0][0] != "0":
            raise Unavailable(f"the server has not committed within {_WAIT_SECONDS} s what it has sent: {request.streamed}")
        uuid, now_us = self._ask("SELECT @@GLOBAL.server_uuid, CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS UNSIGNED)")[0]
        definition = self._definition(request.table)
        packets, end, last, fault = self._packets(), None, True, ""
        if definition is not None and request.keys:
            try:
                sql = select_keys(definition, [decode_key(key) for key in request.keys])
            except Invalid as error:
                fault = error.message
            else:
                last = self._select(packets, sql, request, definition)
        elif definition is not None:
            after = request.after if request.after is not None and request.after.columns == definition.order else None
            last = self._select(packets, select_rows(definition, after, request.where, request.rows_max), request, definition)
            places = [place for name in definition.order for place, column in enumerate(definition.schema.columns) if column.name == name]
            if places and packets.rows:
                end = RowCursor(definition.order, tuple(value or b"" for value in packets.last(places)))
        if self._connection is None and self._ask("SELECT @@GLOBAL.server_uuid")[0][0] != uuid:
            raise Unavailable("the server has changed while a table was being read")
        return TableRows(uuid.lower(), definition, packets, end, last, end_of_binlog(self._ask), int(now_us), fault)

    def _definition(self, table: TableId) -> Definition | None:
        columns = self._ask(COLUMNS_SQL, table.database, table.name)
        return read_definition(table, columns, unique_keys(self._ask, table)) if columns else None

    def _select(self, packets: RowPackets, sql: str, request: ReadRequest, definition: Definition) -> bool:
        """Reads rows; whether there are none behind them. The connection is gone when they were too many."""
        connection = self._connection
        connection._execute_command(COMMAND.COM_QUERY, sql)
        # The driver left its write timeout on the socket, and sets the other one only where it reads itself.
        connection._sock.settimeout(_SILENCE_SECONDS)
        connection._current_timeout = _SILENCE_SECONDS
        while True:
            if not (received := connection._rfile.read1(_RECEIVE_BYTES)):
                raise Unavailable(f"the server closed the connection on which {request.table} was read")
            if packets.take(received):
                return bool(request.keys) or not definition.order or packets.rows < request.rows_max
            if packets.rows and packets.size_bytes > request.size_bytes_max and len(request.keys) != 1:
                break
        self._drop()  # what the server goes on to send is for nobody
        if not definition.order and not request.keys:
            raise Refused(
                f"table {request.table} has no unique key of NOT NULL columns, so its rows can be read only all at once, and they are more "
                f"than {request.size_bytes_max} bytes: ALTER TABLE … ADD PRIMARY KEY, or leave it out of the snapshot: "
                f"streamer snapshot -t {request.table} --stop",
                table=str(request.table),
            )
        return False

    def _ask(self, sql: str, *arguments: object) -> Sequence[Any]:
        if self._connection is None:
            self._connection = mysql.connect(
                self._settings,
                autocommit=True,
                read_timeout=_SILENCE_SECONDS,
                write_timeout=_WRITE_SECONDS,
                use_unicode=False,
                conv=encoders,
            )
            with self._connection.cursor() as cursor:
                for statement in (SESSION_SQL, _SESSION, f"SET SESSION max_execution_time = {_EXECUTION_MS_MAX}"):
                    cursor.execute(statement)
        with self._connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            # The catalogue's names and our own numbers are UTF-8 in any case.
            return [tuple(value.decode() if isinstance(value, bytes) else value for value in row) for row in cursor.fetchall()]

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection._force_close()
            self._connection = None
