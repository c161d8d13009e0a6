"""One value of every wire form, with everything in it that its form can hold; the golden files pin their bytes."""

from dataclasses import replace
from datetime import UTC, datetime

from contracts.batch import BatchKey, Manifest, ManifestEntry
from contracts.envelope import Envelope, Op, Row, Source
from contracts.offsets import OffsetRange
from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.progress import Asked, Barrier, InProgress, Position, Reread, RowCursor, Standing, TableState
from contracts.signals import Ask, RowEvent, Signal
from contracts.table import Column, Kind, TableId, TableSchema

SERVER = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
OTHER = "00000000-0000-4000-8000-000000000001"

GTID_SET = GtidSet.parse(f"{SERVER}:1-5:7:night_job:1-3,{OTHER}:9")

SCHEMA = TableSchema(
    TableId("shop", "orders"),
    (
        Column("id", Kind.BIGINT, nullable=False, unsigned=True),
        Column("total", Kind.DECIMAL, precision=12, scale=2),
        Column("state", Kind.ENUM, nullable=False, charset="utf8mb4", labels=("new", "paid, sent", 'half"done"')),
        Column("placed", Kind.DATETIME, fraction=6),
        Column("größe", Kind.VARCHAR, length=40, charset="latin1"),
    ),
    ("id",),
)

ROW: Row = {"id": "18446744073709551615", "total": "-12.50", "state": "new", "placed": 1_700_000_000_000_001, "größe": 'ü\n"'}

ENVELOPE = Envelope(
    Op.UPDATE,
    {**ROW, "placed": None},
    ROW,
    Source(
        name="tm",
        table=SCHEMA.table,
        server_id=42,
        gtid=f"{SERVER}:night_job:3",
        file="binlog.000007",
        pos=1234,
        ts_ms=1_700_000_000_000,
        commit_ts_us=1_700_000_000_123_456,
        seq=17,
        ev=2,
        schema=SCHEMA.fingerprint,
        snapshot=False,
        key_change=True,
        raw={"placed": "0000-00-00 00:00:00.000000"},
        oversize=0,
    ),
    1_700_000_000_200,
)

DELETE = Envelope(
    Op.DELETE,
    {"id": 1},
    None,
    Source("tm", SCHEMA.table, 42, f"{SERVER}:6", "binlog.000007", 4, 1, 2, 3, 0, SCHEMA.fingerprint, snapshot=True, oversize=9_000_000),
    5,
)

BARRIER = Barrier(
    12,
    GTID_SET,
    1_700_000_000_123_456,
    True,
    {"tm.shop.orders": 18},
    {"tm.shop.items": Standing(TableState.REREADING, 1_699_999_999_000_000)},
)

RENEWING = replace(BARRIER, next_seqs={"tm.shop.orders": 18, "tm.shop.items": 7}, renewing=frozenset({"tm.shop.orders"}))
"""The last rows of `orders` were read; of `items` only some are."""

POSITION = Position(
    n=12,
    server_uuid=SERVER,
    gtid_set=GTID_SET,
    commit_ts_us=1_700_000_000_000_000,
    newest_commit_us=1_700_000_000_123_456,
    backstep_us=123_456,
    binlog=BinlogPosition("binlog.000007", 1234),
    in_progress=InProgress(Gtid(SERVER, 4, "night_job"), 20_000, "9f86d081884c7d65"),
    next_seqs={"tm.shop.orders": 18},
)

READING = Position(
    n=13,
    server_uuid=SERVER,
    gtid_set=GTID_SET,
    commit_ts_us=1,
    newest_commit_us=2,
    backstep_us=3,
    binlog=BinlogPosition("binlog.000007", 1234),
    next_seqs={"tm.shop.orders": 18},
    rereads={
        "tm.shop.orders": Reread(
            TableId("shop", "orders"),
            Standing(TableState.SNAPSHOTTING, 1_699_999_999_000_000),
            RowCursor(("id", "größe"), (b"42", b"\xfc\x00'")),
            "total > 1",
            17,
            paused=True,
        )
    },
    next_signal=3,
)

ASKED = replace(
    READING,
    rereads={},
    asked={"tm.shop.orders": Asked(TableId("shop", "orders"), Standing(TableState.REREADING, 1_699_999_999_000_000), (0, 2))},
)

SHARED = replace(POSITION, shards={"tm.shop.orders": 3})

SHAPED = replace(
    READING, rereads={topic: replace(reread, where=None, schema=SCHEMA.fingerprint) for topic, reread in READING.rereads.items()}
)

KEYS_SIGNAL = Signal("80", Ask.REREAD, TableId("shop", "orders"), keys=(b'{"id":1}', '{"id":"ü\\n"}'.encode()), key_form=SCHEMA.key_form)

EVENTS_SIGNAL = Signal(
    "81",
    Ask.EMIT,
    ENVELOPE.source.table,
    events=(RowEvent(b'{"id":1}', ENVELOPE.encode()), RowEvent(None, DELETE.encode())),
    schema=ENVELOPE.source.schema,
)

SIGNAL = Signal("7f", Ask.SNAPSHOT, TableId("shop", "orders"), where="id > 'ü'")

BATCH_KEY = BatchKey("tm.shop.Orders-Old", 0, datetime(2025, 8, 14, 15, 0, 9, tzinfo=UTC), 37, OffsetRange(1000, 26_000), 8, "0123abcd")

MANIFEST = Manifest((ManifestEntry(f"s3://bucket/tidemark/{BATCH_KEY.data}", 6_778_007),))
