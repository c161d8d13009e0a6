"""A binlog written by hand: as much of it as the service's tests need, and a source that streams it."""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from contracts.errors import PipelineError
from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.table import TableId
from streamer.core.definition import Definition
from streamer.core.events import ARTIFICIAL, Type
from streamer.ports import ServerStatus
from tests.fakes.clock import Time

SERVER = "11111111-2222-3333-4444-555555555555"
COMMIT_US = 1_755_183_000_000_000  # before the fake clock's first moment
FILE = "binlog.000001"

Row = Sequence[int | None]


@dataclass(frozen=True)
class Table:
    """A table of INT columns; the first `key_columns` of them are its primary key. `nullable`: whether the others may be NULL."""

    name: str
    columns: tuple[str, ...] = ("id", "v")
    database: str = "shop"
    key_columns: int = 1
    nullable: bool = True

    @property
    def id(self) -> TableId:
        return TableId(self.database, self.name)

    def map(self) -> bytes:
        width = len(self.columns)
        names = b"".join(_text(name) for name in self.columns)
        nullable = sum(1 << place for place in range(self.key_columns, width) if self.nullable)
        body = (90).to_bytes(6, "little") + b"\0\0" + _text(self.database) + b"\0" + _text(self.name) + b"\0"
        body += bytes([width]) + b"\x03" * width + b"\0" + nullable.to_bytes((width + 7) // 8, "little")
        body += _field(1, b"\0" * ((width + 7) // 8)) + _field(4, names)
        if self.key_columns:
            body += _field(8, bytes(range(self.key_columns)))
        return event(Type.TABLE_MAP, body)

    def insert(self, *rows: Row, present: int | None = None) -> list[bytes]:
        return self._rows(Type.WRITE_ROWS, [(row,) for row in rows], [present])

    def delete(self, *rows: Row, present: int | None = None) -> list[bytes]:
        return self._rows(Type.DELETE_ROWS, [(row,) for row in rows], [present])

    def update(self, *rows: tuple[Row, Row], present: int | None = None) -> list[bytes]:
        return self._rows(Type.UPDATE_ROWS, rows, [None, present])

    def _rows(self, kind: int, rows: Iterable[Sequence[Row]], present: Sequence[int | None]) -> list[bytes]:
        width = len(self.columns)
        size = (width + 7) // 8
        masks = [(1 << width) - 1 if mask is None else mask for mask in present]
        body = (
            (90).to_bytes(6, "little") + b"\x01\0" + b"\x02\0" + bytes([width]) + b"".join(mask.to_bytes(size, "little") for mask in masks)
        )
        body += b"".join(_image(row, mask) for images in rows for row, mask in zip(images, masks, strict=True))
        return [self.map(), event(kind, body)]


def event(kind: int, body: bytes, *, flags: int = 0, timestamp_s: int = 1_755_184_000) -> bytes:
    """Positions are put in by the source, which knows where it stands."""
    return struct.pack("<IBIIIH", timestamp_s, kind, 1, 19 + len(body), 0, flags) + body


def query(sql: str, database: str = "shop") -> bytes:
    name = database.encode()
    return event(Type.QUERY, bytes(8) + bytes([len(name)]) + b"\0\0" + b"\0\0" + name + b"\0" + sql.encode())


def payload(*inner: bytes) -> bytes:
    """A transaction's events in one, as under binlog_transaction_compression, but stored as they are (compression NONE)."""
    data = b"".join(inner)
    size, length = struct.pack("<BQ", 254, len(data)), struct.pack("<BQ", 254, len(data))
    return event(
        Type.TRANSACTION_PAYLOAD, b"\x02\x03\xfc" + struct.pack("<H", 255) + b"\x03\x09" + size + b"\x01\x09" + length + b"\0" + data
    )


def gtid(number: int, commit_us: int, server: str = SERVER) -> bytes:
    body = b"\0" + UUID(server).bytes + struct.pack("<QBQQ", number, 2, 0, 1) + commit_us.to_bytes(7, "little") + b"\x64"
    return event(Type.GTID, body)


def xid() -> bytes:
    return event(Type.XID, struct.pack("<Q", 7))


def xa_prepare(gtrid: bytes, one_phase: bool = False) -> bytes:
    return event(Type.XA_PREPARE, bytes([one_phase]) + struct.pack("<III", 1, len(gtrid), 0) + gtrid)


def format_description() -> bytes:
    body = struct.pack("<H50sIB", 4, b"9.7.4", 0, 19) + bytes(41) + b"\0" + bytes(4)
    return event(Type.FORMAT_DESCRIPTION, body)


READY = {
    "log_bin": "ON",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL",
    "gtid_mode": "ON",
    "server_id": "1",
    "version": "9.7.4",
    "innodb_native_foreign_keys": "OFF",
}


@dataclass
class Source:
    """A server's history, and both connections to it. `breaks`: errors that the next reads raise, each after so many events."""

    time: Time
    transactions: list[tuple[Gtid, list[bytes]]] = field(default_factory=list)
    purged: GtidSet = field(default_factory=GtidSet)
    variables: dict[str, str] = field(default_factory=lambda: dict(READY))
    granted: tuple[str, ...] = ("GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `t`@`%`",)
    seen: tuple[TableId, ...] = ()
    keys: dict[TableId, list[tuple[str, ...]]] = field(default_factory=dict)
    cascading: tuple[TableId, ...] = ()
    binlog_filters: tuple[str, ...] = ()
    is_replica: bool = False
    prepared_xa: tuple[str, ...] | None = ()
    definitions: dict[TableId, Definition] = field(default_factory=dict)
    breaks: list[tuple[int, PipelineError]] = field(default_factory=list)
    owner: str | None = None
    uuid: str = SERVER
    dumps_from: str = ""
    """The server that a dump connection leads to, where that is another one than the control connection does."""
    began_anew: bool = False
    sent_early: int = 0
    """So many of the transactions it has sent it has not committed yet."""
    commit_us: Callable[[int], int] = lambda number: COMMIT_US + number * 1_000
    files: list[tuple[str, GtidSet]] = field(default_factory=lambda: [(FILE, GtidSet())])

    def commit(self, *parts: list[bytes]) -> Gtid:
        """A transaction of row events."""
        return self.raw(query("BEGIN"), *(item for part in parts for item in part), xid())

    def raw(self, *events: bytes) -> Gtid:
        """A transaction of any events after its GTID."""
        number = len(self.transactions) + 1
        self.transactions.append((Gtid(SERVER, number), [gtid(number, self.commit_us(number)), *events]))
        return self.transactions[-1][0]

    def rotate(self) -> None:
        """What comes goes into a new file."""
        self.files.append((f"binlog.{len(self.files) + 1:06d}", self.executed))

    def purge(self) -> None:
        """The oldest file is gone."""
        self.files.pop(0)
        self.purged = self.files[0][1]

    @property
    def end(self) -> BinlogPosition:
        """Of the binlog, as the dump gives it."""
        return BinlogPosition(FILE, 4 + len(format_description()) + sum(len(item) for _, events in self.transactions for item in events))

    @property
    def executed(self) -> GtidSet:
        count = len(self.transactions) - self.sent_early
        return GtidSet.of({(SERVER, ""): [(1, count + 1)]} if count else {})


class FakeBinlog:
    """A BinlogSource. The time passes only while it waits."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.starts = 0
        self._executed = GtidSet()
        self._next = 0
        self._queue: list[bytes] = []
        self._at = 4
        self._told = 4  # the last position the reader knows of
        self._given = 0

    def start(self, executed: GtidSet) -> str:
        self._executed = executed
        self.starts += 1
        self._next, self._at, self._given, self._told = 0, 4, 0, 4
        rotate = event(Type.ROTATE, struct.pack("<Q", 4) + FILE.encode(), flags=ARTIFICIAL, timestamp_s=0)
        self._queue = [rotate, format_description()]
        return self._source.dumps_from or self._source.uuid

    def next(self, timeout: timedelta) -> bytes | None:
        source = self._source
        if source.breaks and self._given >= source.breaks[0][0]:
            raise source.breaks.pop(0)[1]
        while not self._queue and self._next < len(source.transactions):
            number, events = source.transactions[self._next]
            self._next += 1
            if number not in self._executed:
                self._queue = list(events)
            else:
                self._at += sum(map(len, events))
        if not self._queue and self._told < self._at:
            # Where it stands after what it has left out.
            self._told = self._at
            return _at(event(Type.HEARTBEAT, FILE.encode(), timestamp_s=0), self._at)
        if not self._queue:
            source.time.advance(timeout)
            return None
        self._given += 1
        data = self._queue.pop(0)
        if data[4] == Type.ROTATE:
            return data
        self._at += len(data)
        self._told = self._at
        return _at(data, self._at)

    def close(self) -> None:
        self._queue = []


def _at(data: bytes, end: int) -> bytes:
    """The event with the place where it ends."""
    return data[:13] + end.to_bytes(4, "little") + data[17:]


class FakeServer:
    """A SourceServer for one streamer of this name."""

    def __init__(self, source: Source, name: str = "a") -> None:
        self._source = source
        self._name = name

    def take_turn(self, name: str) -> bool:
        assert len(name) <= 64
        if self._source.owner is None:
            self._source.owner = self._name
        return self._source.owner == self._name

    def turn_taken(self, name: str) -> bool:
        return self._source.owner is not None

    def definition(self, table: TableId) -> Definition | None:
        return self._source.definitions.get(table)

    def status(self) -> ServerStatus:
        source = self._source
        now_us = int(source.time.now().timestamp() * 1_000_000)
        return ServerStatus(source.uuid, source.executed, source.purged, now_us, source.variables)

    def tables(self) -> Sequence[TableId]:
        return self._source.seen

    def grants(self) -> Sequence[str]:
        return self._source.granted

    def unique_keys(self, table: TableId) -> Sequence[tuple[str, ...]]:
        return self._source.keys.get(table, [])

    def binlogs(self) -> Sequence[str]:
        return [file for file, _ in self._source.files]

    def previous_gtids(self, file: str) -> GtidSet:
        return dict(self._source.files)[file]

    def event_at(self, place: BinlogPosition) -> str | None:
        return None if self._source.began_anew else ""

    def binlog_end(self) -> BinlogPosition:
        return BinlogPosition(self._source.files[-1][0], 100 + len(self._source.transactions))

    def prepared_xa(self) -> Sequence[str] | None:
        return self._source.prepared_xa

    def binlog_filters(self) -> Sequence[str]:
        return self._source.binlog_filters

    def is_replica(self) -> bool:
        return self._source.is_replica

    def cascading(self) -> Sequence[TableId]:
        return self._source.cascading

    def close(self) -> None:
        if self._source.owner == self._name:
            self._source.owner = None


def _text(text: str) -> bytes:
    data = text.encode()
    return bytes([len(data)]) + data


def _field(kind: int, value: bytes) -> bytes:
    return bytes([kind, len(value)]) + value


def _image(row: Row, mask: int) -> bytes:
    values = [value for place, value in enumerate(row) if mask >> place & 1]
    nulls = sum(1 << place for place, value in enumerate(values) if value is None)
    return nulls.to_bytes((len(values) + 7) // 8, "little") + b"".join(struct.pack("<i", value) for value in values if value is not None)
