"""Binlog events: raw bytes → typed values.

Source: MySQL 9.7, libs/mysql/binlog/event/{binlog_event,control_events,statement_events,rows_event}.h. A raw event is a 19-byte header, a
body, and four bytes of CRC32 where the file's FORMAT_DESCRIPTION said so; what comes in here has had its checksum taken off.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from contracts.errors import Corrupt
from streamer.core.charsets import decode_lossy
from streamer.core.cursor import Cursor
from streamer.core.gtids import AnonymousGtid, GtidEvent, PreviousGtids, parse_anonymous, parse_gtid, parse_previous, parse_tagged
from streamer.core.payload import TransactionPayload, parse_payload
from streamer.core.schemas import TableMap, parse_table_map

HEADER_SIZE = 19
CHECKSUM_SIZE = 4
_HEADER = struct.Struct("<IBIIIH")
_UTF8MB4 = 45  # collation id: utf8mb4_general_ci
DUMMY_TABLE_ID = 0xFF_FFFF  # of a rows event without rows that only ends a statement

ARTIFICIAL = 0x20  # header flag: made for this connection, not in the binlog file


class Type:
    """Type codes of the events this release knows."""

    QUERY = 2
    STOP = 3
    ROTATE = 4
    FORMAT_DESCRIPTION = 15
    XID = 16
    EXECUTE_LOAD_QUERY = 18
    TABLE_MAP = 19
    INCIDENT = 26
    HEARTBEAT = 27
    ROWS_QUERY = 29
    WRITE_ROWS = 30
    UPDATE_ROWS = 31
    DELETE_ROWS = 32
    GTID = 33
    ANONYMOUS_GTID = 34
    PREVIOUS_GTIDS = 35
    TRANSACTION_CONTEXT = 36
    VIEW_CHANGE = 37
    XA_PREPARE = 38
    PARTIAL_UPDATE_ROWS = 39
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    GTID_TAGGED = 42


# Companions of a statement-format QUERY, which is what tells the caller that rows went by unseen, and MySQL's own "ignore me".
IGNORABLE = {
    5: "INTVAR",
    9: "APPEND_BLOCK",
    11: "DELETE_FILE",
    13: "RAND",
    14: "USER_VAR",
    17: "BEGIN_LOAD_QUERY",
    28: "IGNORABLE",
}


@dataclass(frozen=True, slots=True)
class Header:
    """`timestamp_s`: the server's clock at the statement, settable by users; 0 in what a dump makes up. `log_pos`: where the next event
    begins, modulo 2^32; 0 for none. `size`: of the whole event."""

    timestamp_s: int
    type: int
    server_id: int
    size: int
    log_pos: int
    flags: int

    @classmethod
    def unpack(cls, head: bytes) -> "Header":
        """From at least HEADER_SIZE bytes."""
        return cls(*_HEADER.unpack_from(head))

    @classmethod
    def parse(cls, raw: bytes) -> "Header":
        """Raises Corrupt unless `raw` is one whole event by its own account."""
        if len(raw) < HEADER_SIZE:
            raise Corrupt(f"event header: {len(raw)} bytes, needs {HEADER_SIZE}")
        header = cls.unpack(raw)
        if header.size != len(raw):
            raise Corrupt(f"event of type {header.type}: header says {header.size} bytes, has {len(raw)}")
        return header


@dataclass(frozen=True, slots=True)
class FormatDescription:
    """Begins every binlog file. `checksum`: the events after it carry CRC32."""

    server_version: str
    checksum: bool


@dataclass(frozen=True, slots=True)
class Rotate:
    """The next event is in `file` at `offset`."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Query:
    """A statement as text: transaction control, DDL, or statement-format DML. `schema`: the default database, "" for none.
    `sql` is decoded by the client's character set; bytes that are not of it appear as `\\xNN`."""

    schema: str
    sql: str
    sql_mode: int = 0
    error_code: int = 0


@dataclass(frozen=True, slots=True)
class Xid:
    """Commits a transaction of a transactional engine."""

    xid: int


@dataclass(frozen=True, slots=True)
class XaPrepare:
    """Ends the rows of an XA transaction, whose commit or rollback is a QUERY that may be files away. `one_phase`: this is its commit.
    `xid`: as XA COMMIT spells it: X'gtrid',X'bqual',format."""

    xid: str
    one_phase: bool


class Change(Enum):
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class RowsEvent:
    """Row images of one table, still bytes; `streamer.core.rows` decodes them. `table`: the table map in force, None only in the
    rowless event that ends a statement. `present_before`, `present_after`: bitmaps of the columns in the images, empty where the
    change has no such image. `partial`: after images hold JSON diffs."""

    change: Change
    table_id: int
    table: TableMap | None
    end_of_statement: bool
    width: int
    present_before: bytes
    present_after: bytes
    partial: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class RowsQuery:
    """The statement behind the rows, if the server logs it. May hold row values: never log it."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """An idle or skipping server says how far the dump has come."""

    file: str
    offset: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The server was shut down; the next file follows."""


@dataclass(frozen=True, slots=True)
class Incident:
    """The server lost events. What follows is not all that happened: stop."""

    number: int
    message: str


@dataclass(frozen=True, slots=True)
class ViewChange:
    """Group replication changed its members. Holds no rows."""


@dataclass(frozen=True, slots=True)
class TransactionContext:
    """Group replication's certification data. Holds no rows."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event of the explicit list of harmless ones (`IGNORABLE`)."""

    type: int


Event = (
    FormatDescription
    | Rotate
    | PreviousGtids
    | GtidEvent
    | AnonymousGtid
    | Query
    | Xid
    | XaPrepare
    | TableMap
    | RowsEvent
    | RowsQuery
    | TransactionPayload
    | Heartbeat
    | Stop
    | Incident
    | ViewChange
    | TransactionContext
    | Ignored
)


def event_size(block: bytes, at: int) -> int:
    """Bytes of the raw event at this place of `block`. Raises Corrupt when they go beyond its end."""
    size = int.from_bytes(block[at + 9 : at + 13], "little")
    if not HEADER_SIZE <= size <= len(block) - at:
        raise Corrupt(f"an event of {size} bytes where {len(block) - at} are left")
    return size


def split_events(block: bytes) -> Iterator[bytes]:
    """The raw events that lie back to back in `block`. Raises Corrupt when their sizes do not add up to it."""
    at = 0
    while at < len(block):
        size = event_size(block, at)
        yield block if size == len(block) else block[at : at + size]
        at += size


def parse(header: Header, body: bytes) -> Event:
    """The event a header and a body without checksum stand for; rows events come without their table. Raises Corrupt, also for a type
    this release does not know: it might hold rows."""
    if (parser := _PARSERS.get(header.type)) is not None:
        return parser(header, body)
    if header.type in IGNORABLE:
        return Ignored(header.type)
    raise Corrupt(f"event of unknown type {header.type}: it may hold changes; this release must learn it first")


def parse_format_description(raw: bytes) -> FormatDescription:
    """From the raw event: its last five bytes, algorithm and checksum, are there whatever the algorithm. Raises Corrupt."""
    c = Cursor(raw, "format description", HEADER_SIZE)
    if (version := c.u16()) != 4:
        raise Corrupt(f"{c.what}: binlog version {version}; only version 4 (MySQL 5.0 and later) is read")
    server_version = c.take(50).rstrip(b"\0").decode("ascii", "backslashreplace")
    c.u32()
    if (length := c.u8()) != HEADER_SIZE:
        raise Corrupt(f"{c.what}: headers of {length} bytes; only {HEADER_SIZE} are read")
    if c.left < CHECKSUM_SIZE + 1 + Type.TABLE_MAP:
        raise Corrupt(f"{c.what}: {c.left} bytes are too few for its table of types and its checksum")
    algorithm = raw[-CHECKSUM_SIZE - 1]
    if algorithm not in (0, 1):
        raise Corrupt(f"{c.what}: unknown checksum algorithm {algorithm}")
    return FormatDescription(server_version, algorithm == 1)


def _rotate(header: Header, body: bytes) -> Rotate:
    c = Cursor(body, "rotate event")
    offset = _offset(c, c.u64())
    return Rotate(_file(c, c.left), offset)


def _offset(c: Cursor, offset: int) -> int:
    if offset >= 1 << 63:
        raise Corrupt(f"{c.what}: no file is as long as to have an offset of {offset}")
    return offset


def _file(c: Cursor, size: int) -> str:
    name = c.utf8(size)
    if not name or len(name) > 512 or "\0" in name:
        raise Corrupt(f"{c.what}: {name[:80]!r} is not a file name")
    return name


def _heartbeat(header: Header, body: bytes) -> Heartbeat:
    c = Cursor(body, "heartbeat event")
    return Heartbeat(_file(c, c.left), header.log_pos)


def _heartbeat_v2(header: Header, body: bytes) -> Heartbeat:
    c = Cursor(body, "heartbeat event, version 2")
    file, offset = "", -1
    while c and (field := c.lenenc()) != 0:
        value = Cursor(c.lenenc_bytes(), c.what)
        if field == 1:
            file = _file(value, value.left)
        elif field == 2:
            offset = _offset(c, value.lenenc())
    if not file or offset < 0:
        raise Corrupt(f"{c.what}: file or position is missing")
    return Heartbeat(file, offset)


def _query(header: Header, body: bytes) -> Query:
    c = Cursor(body, "query event")
    c.take(8)  # thread id, execution time
    schema_size = c.u8()
    error_code = c.u16()
    status_size = c.u16()
    if header.type == Type.EXECUTE_LOAD_QUERY:
        c.take(13)  # file id, where the file name is in the text, duplicate handling
    sql_mode, collation = _status_variables(c.take(status_size))
    schema = c.utf8(schema_size)
    if c.u8() != 0:
        raise Corrupt(f"{c.what}: the default database's name does not end in NUL")
    return Query(schema, decode_lossy(c.rest(), collation), sql_mode, error_code)


_STATUS_SIZES = {0: 4, 1: 8, 3: 4, 4: 6}


def _status_variables(data: bytes) -> tuple[int, int]:
    """SQL mode and client collation. They are written in rising order of code; what comes after these two is not needed."""
    c = Cursor(data, "query event, status variables")
    sql_mode, collation = 0, _UTF8MB4
    while c:
        code = c.u8()
        if code == 6:  # catalog
            c.take(c.u8())
        elif (size := _STATUS_SIZES.get(code)) is None:
            break
        elif code == 1:
            sql_mode = c.u64()
        elif code == 4:
            collation = c.u16()
            c.take(4)  # collations of connection and server
            break
        else:
            c.take(size)
    return sql_mode, collation


def _xid(header: Header, body: bytes) -> Xid:
    return Xid(Cursor(body, "xid event").u64())


def _xa_prepare(header: Header, body: bytes) -> XaPrepare:
    c = Cursor(body, "XA prepare event")
    one_phase = c.u8() != 0
    form, gtrid_size, bqual_size = c.u32(), c.u32(), c.u32()
    if gtrid_size > 64 or bqual_size > 64:
        raise Corrupt(f"{c.what}: an XID of {gtrid_size} and {bqual_size} bytes; each part has at most 64")
    gtrid, bqual = c.take(gtrid_size), c.take(bqual_size)
    return XaPrepare(f"X'{gtrid.hex()}',X'{bqual.hex()}',{form}", one_phase)


def _table_map(header: Header, body: bytes) -> TableMap:
    return parse_table_map(body)


_CHANGES = {
    Type.WRITE_ROWS: Change.INSERT,
    Type.UPDATE_ROWS: Change.UPDATE,
    Type.DELETE_ROWS: Change.DELETE,
    Type.PARTIAL_UPDATE_ROWS: Change.UPDATE,
}


def _rows(header: Header, body: bytes) -> RowsEvent:
    c = Cursor(body, "rows event")
    table_id = c.uint(6)
    flags = c.u16()
    if (extra := c.u16()) < 2:
        raise Corrupt(f"{c.what}: extra data of {extra} bytes, which counts its own length of 2")
    c.take(extra - 2)
    width = c.lenenc()
    change = _CHANGES[header.type]
    bitmap = (width + 7) // 8
    present_before = c.take(bitmap) if change is not Change.INSERT else b""
    present_after = c.take(bitmap) if change is not Change.DELETE else b""
    partial = header.type == Type.PARTIAL_UPDATE_ROWS
    return RowsEvent(change, table_id, None, bool(flags & 1), width, present_before, present_after, partial, c.rest())


def _incident(header: Header, body: bytes) -> Incident:
    c = Cursor(body, "incident event")
    number = c.u16()
    return Incident(number, c.utf8(c.u8()))


_PARSERS: dict[int, Callable[[Header, bytes], Event]] = {
    Type.QUERY: _query,
    Type.EXECUTE_LOAD_QUERY: _query,
    Type.STOP: lambda header, body: Stop(),
    Type.ROTATE: _rotate,
    Type.XID: _xid,
    Type.TABLE_MAP: _table_map,
    Type.INCIDENT: _incident,
    Type.HEARTBEAT: _heartbeat,
    Type.HEARTBEAT_V2: _heartbeat_v2,
    Type.ROWS_QUERY: lambda header, body: RowsQuery(),
    Type.WRITE_ROWS: _rows,
    Type.UPDATE_ROWS: _rows,
    Type.DELETE_ROWS: _rows,
    Type.PARTIAL_UPDATE_ROWS: _rows,
    Type.GTID: lambda header, body: parse_gtid(body),
    Type.GTID_TAGGED: lambda header, body: parse_tagged(body),
    Type.ANONYMOUS_GTID: lambda header, body: parse_anonymous(body),
    Type.PREVIOUS_GTIDS: lambda header, body: parse_previous(body),
    Type.TRANSACTION_CONTEXT: lambda header, body: TransactionContext(),
    Type.VIEW_CHANGE: lambda header, body: ViewChange(),
    Type.XA_PREPARE: _xa_prepare,
    Type.TRANSACTION_PAYLOAD: lambda header, body: parse_payload(body),
}
