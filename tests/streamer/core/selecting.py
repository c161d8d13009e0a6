"""Rows of a real server read by SELECT, as an edge reads them, and the binlog's word on the same rows."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from pymysql.constants import COMMAND

from contracts.envelope import Value
from contracts.progress import RowCursor
from contracts.table import TableId, TableSchema
from devstack.mysql import MysqlServer
from runtime.sections import Mysql
from streamer.core.decoder import Record
from streamer.core.decoders import Decoders
from streamer.core.definition import COLUMNS_SQL, Definition, read_definition
from streamer.core.route import Route, route
from streamer.core.select import SESSION_SQL, quote, select_keys, select_rows
from streamer.core.selected import RowPackets
from streamer.core.translate import Origin
from streamer.edges.mysql import MysqlServer as Edge
from tests.kernel.driving import choices, drive
from tests.streamer.core.recording import record

ORIGIN = Origin("corpus", 7, "11111111-2222-3333-4444-555555555555:1", "binlog.000001", 4, 1000, 1_000_000)
NOW_MS = 1_700_000_000_000
RECORD_BYTES_MAX = 64 << 20
ALL_ROWS = 1_000_000
Told = tuple[bytes | None, bytes, tuple[tuple[str, str], ...]]
"""Of a row: its Kafka key, its image as JSON, and what JSON cannot carry."""


@dataclass
class Reading:
    """A connection as the protocol's edge has it. `block`: bytes taken at a time."""

    server: MysqlServer
    connection: Any
    edge: Edge
    block: int = 1 << 20

    def definition(self, table: TableId) -> Definition:
        with self.connection.cursor() as cursor:
            cursor.execute(COLUMNS_SQL, (table.database, table.name))
            return read_definition(table, cursor.fetchall(), self.edge.unique_keys(table))

    def answer(self, sql: str) -> Iterator[bytes]:
        """The server's bytes, as they come, until nobody asks for more."""
        self.connection._execute_command(COMMAND.COM_QUERY, sql)
        while True:
            yield self.connection._sock.recv(self.block)

    def take(self, sql: str, packets: RowPackets) -> RowPackets:
        for received in self.answer(sql):
            if packets.take(received):
                return packets
        raise AssertionError("an answer has no end")

    def explain(self, sql: str) -> str:
        with self.connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN FORMAT=TREE {sql}")
            return str(cursor.fetchone()[0])


@contextmanager
def reading(server: MysqlServer) -> Iterator[Reading]:
    account = {"user": server.user, "password": server.password, "allow_plaintext": True}
    settings = Mysql.model_validate({"host": server.host, "port": server.port, **account})
    edge = Edge(settings)
    with server.connect(init_command=SESSION_SQL) as connection:
        try:
            yield Reading(server, connection, edge)
        finally:
            edge.close()


def way_of(schema: TableSchema) -> Route:
    return route(schema, choices())


def told(record: Record, image: bytes) -> Told:
    """`image`: `before` or `after`, the other of which is null."""
    key, value = record["key"], record["value"]
    assert value is not None
    head, behind = {b"before": (b'{"before":', b',"after":null'), b"after": (b'{"before":null,"after":', b"")}[image]
    end = value.index(behind + b',"source":{"version":"tidemark-1"')
    assert value.startswith(head)
    raw = orjson.loads(value)["source"].get("raw", {})
    return key, value[len(head) : end], tuple(raw.items())


@dataclass(frozen=True)
class Selected:
    """A table read by SELECT."""

    definition: Definition
    way: Route
    records: Sequence[Record]

    @property
    def told(self) -> list[Told]:
        return [told(record, b"after") for record in self.records]


def read_all(server: Reading, decoders: Decoders, table: TableId) -> Selected:
    definition = server.definition(table)
    packets = server.take(select_rows(definition, None, None, ALL_ROWS), decoders.row_packets())
    return encoded(decoders, definition, packets)


def encoded(decoders: Decoders, definition: Definition, packets: RowPackets, bytes_max: int = RECORD_BYTES_MAX) -> Selected:
    way = way_of(definition.schema)
    rows, left_out = decoders.selected(definition, way, bytes_max).encode(packets, set(), ORIGIN, 0, NOW_MS, 0, packets.rows)
    assert (left_out, rows.topic, len(rows.records)) == (0, way.topic, packets.rows)
    assert rows.size_bytes == sum(len(record["value"] or b"") for record in rows.records)
    return Selected(definition, way, rows.records)


def read_in_chunks(server: Reading, decoders: Decoders, definition: Definition, rows_max: int) -> tuple[Selected, int]:
    """All rows, so many at a time, and how many SELECTs it took."""
    records: list[Record] = []
    after: RowCursor | None = None
    places = [[column.name for column in definition.schema.columns].index(name) for name in definition.order]
    chunks = 0
    while True:
        packets = server.take(select_rows(definition, after, None, rows_max), decoders.row_packets())
        chunks += 1
        records += encoded(decoders, definition, packets).records
        if packets.rows < rows_max:
            return Selected(definition, way_of(definition.schema), records), chunks
        texts = packets.last(places)
        after = RowCursor(definition.order, tuple(text for text in texts if text is not None))


def read_keys(server: Reading, decoders: Decoders, definition: Definition, keys: Sequence[Mapping[str, Value]]) -> Selected:
    return encoded(decoders, definition, server.take(select_keys(definition, keys), decoders.row_packets()))


@dataclass(frozen=True)
class Deleted:
    """What the binlog said of a table's rows when they were deleted, every one in a whole image."""

    schema: TableSchema
    told: Counter[Told]


def delete_all(server: MysqlServer, tables: Sequence[TableId], decoder: str) -> dict[TableId, Deleted]:
    """Deletes the rows of the tables, those without any left out."""
    raws = record(
        server,
        ["SET SESSION sql_safe_updates = OFF", *(f"DELETE FROM {quote(table.database)}.{quote(table.name)}" for table in tables)],
    )
    schemas: dict[str, TableSchema] = {}
    rows: dict[str, Counter[Told]] = {}
    for kind, *rest in drive(decoder, raws, record_bytes_max=RECORD_BYTES_MAX):
        assert kind != "error", rest
        if kind == "routed":
            schemas[rest[0]] = rest[1]
        elif kind == "chunk":
            for topic, records, _ in rest[0]:
                rows.setdefault(topic, Counter()).update(told({"key": key, "value": value}, b"before") for key, value in records)
    return {schemas[topic].table: Deleted(schemas[topic], found) for topic, found in rows.items()}


def tables_of(server: MysqlServer, databases: Sequence[str]) -> list[TableId]:
    with server.connect() as connection, connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(databases))
        cursor.execute(f"SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ({marks})", tuple(databases))
        return [TableId(*row) for row in cursor.fetchall()]
