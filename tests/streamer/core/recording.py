"""Statements run on a real server → the events they left in its binlog, taken as a replica would."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pymysql.constants import COMMAND

from contracts.envelope import Value
from devstack.mysql import MysqlServer
from streamer.core.events import RowsEvent
from streamer.core.rows import RowChange, RowDecoder
from streamer.core.stream import EventStream, Located

NON_BLOCK = 1


def binlog_end(server: MysqlServer) -> tuple[str, int]:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW BINARY LOG STATUS")
        row = cursor.fetchone()
        assert row is not None
        return str(row[0]), int(row[1])


def dump(server: MysqlServer, file: str, offset: int, *, checksum: str | None = None) -> Iterator[bytes]:
    """Raw events from there to the end of the binlog. `checksum`: what the replica says it can read; None: what the server writes."""
    connection: Any = server.connect()
    with connection:
        with connection.cursor() as cursor:
            cursor.execute("SET @source_binlog_checksum = " + (f"'{checksum}'" if checksum else "@@global.binlog_checksum"))
        command = struct.pack("<IHI", offset, NON_BLOCK, 4711) + file.encode()
        connection._execute_command(COMMAND.COM_BINLOG_DUMP, command)
        while True:
            packet = connection._read_packet()
            if packet.is_eof_packet():
                return
            yield bytes(packet._data[1:])


def record(server: MysqlServer, statements: Iterable[str | tuple[str, Sequence[object]]]) -> list[bytes]:
    """The raw events of statements run on one connection, from the dump's rotate on."""
    file, offset = binlog_end(server)
    run(server, statements)
    return list(dump(server, file, offset))


def run(server: MysqlServer, statements: Iterable[str | tuple[str, Sequence[object]]]) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            if isinstance(statement, str):
                cursor.execute(statement)
            else:
                cursor.execute(*statement)


def decoded(raws: Iterable[bytes]) -> list[Located]:
    stream = EventStream()
    return [located for raw in raws for located in stream.feed(raw)]


def changes(raws: Iterable[bytes]) -> list[tuple[str, RowChange]]:
    """Table name and row of every row change."""
    found: list[tuple[str, RowChange]] = []
    for located in decoded(raws):
        event = located.event
        if isinstance(event, RowsEvent) and event.table is not None:
            found += [(event.table.table.name, change) for change in RowDecoder(event.table).rows(event)]
    return found


def after_images(raws: Iterable[bytes]) -> list[dict[str, Value]]:
    return [change.after for _, change in changes(raws) if change.after is not None]
