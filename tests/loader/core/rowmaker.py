"""Changes as the loader reads them, for tests: one table, one envelope after the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.envelope import Envelope, Op, Row, Source, encode_key
from contracts.offsets import OffsetRange
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.changes import DecodedChanges
from loader.core.plan import EncodedBatch, Mode, TableBatch, TargetTable
from loader.core.records import Change
from loader.core.target import TargetNaming, target_table

TOPIC = "tm.shop.orders"
GTID = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7"
ORDERS = TableSchema(
    TableId("shop", "orders"),
    (
        Column("id", Kind.INT, nullable=False),
        Column("name", Kind.VARCHAR, length=2, charset="utf8mb4"),
        Column("total", Kind.DECIMAL, precision=5, scale=2),
    ),
    ("id",),
)


def change(offset: int, op: Op, row: Row | None, *, schema: TableSchema = ORDERS, key: bytes | None = None, **source: Any) -> Change:
    """A change of `row`, which a delete has before and all others after; the message key is its key's unless given."""
    seq = source.pop("seq", offset)
    before, after = (row, None) if op is Op.DELETE else (None, row)
    commit_ts_us = source.pop("commit_ts_us", 1_700_000_000_000_000 + offset)
    origin = Source("tm", schema.table, 1, GTID, "b.1", 4, 0, commit_ts_us, seq, 0, schema.fingerprint, **source)
    if key is None and row is not None and all(name in row for name in schema.key):
        key = encode_key(schema.key, row)
    envelope = Envelope(op, before, after, origin, 0)
    return Change(offset, key, envelope, len(envelope.encode()))


def upsert(offset: int, row: Row, **source: Any) -> Change:
    return change(offset, Op.CREATE, row, **source)


def delete(offset: int, row: Row, **source: Any) -> Change:
    return change(offset, Op.DELETE, row, **source)


def batch_of(changes: Sequence[Change], schema: TableSchema = ORDERS) -> TableBatch:
    stop = changes[-1].offset + 1 if changes else 1
    return TableBatch(TOPIC, 0, schema, OffsetRange(0, stop), stop, DecodedChanges(changes))


def target_of(schema: TableSchema = ORDERS, mode: Mode | None = None) -> TargetTable:
    return target_table(TOPIC, schema, TargetNaming(), mode)


def staged(encoded: EncodedBatch) -> list[Mapping[str, Any]]:
    """The Parquet file's rows."""
    if encoded.parquet is None:
        return []
    rows: list[Mapping[str, Any]] = pq.read_table(pa.BufferReader(encoded.parquet)).to_pylist()
    return rows
