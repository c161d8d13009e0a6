"""What a reader delivers, for tests: rows and barriers of two tables, as Kafka records."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from contracts.envelope import Envelope, Op, Source, encode_key
from contracts.position import GtidSet
from contracts.progress import Barrier, Standing, TableState
from contracts.table import Column, Kind, TableId, TableSchema
from loader.core.changes import OpenChanges, OpenDecodedChanges
from loader.core.cut import CutPolicy, OpenBatch
from loader.core.lane import Start
from loader.core.plan import Destination
from loader.core.records import Record, Records
from loader.core.target import TargetNaming, target_table

PROGRESS = "tm.progress"
ORDERS, ITEMS = "tm.shop.orders", "tm.shop.items"
SERVER = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NEVER = CutPolicy(rows_max=10**9, size_bytes_max=10**12, age_max=timedelta(days=1), memory_bytes_max=10**12)
SCHEMA = TableSchema(TableId("shop", "orders"), (Column("id", Kind.INT, nullable=False),), ("id",))


def row(offset: int, seq: int | None = None, *, topic: str = ORDERS, schema: str = "a", op: Op = Op.CREATE) -> Records:
    """A row change; its seq is its offset unless given."""
    image = None if op is Op.TRUNCATE else {"id": offset}
    before, after = (image, None) if op is Op.DELETE else (None, image)
    place = seq if seq is not None else offset
    source = Source("tm", SCHEMA.table, 1, f"{SERVER}:1", "b.1", 4, 0, 1_000_000 + place, place, 0, schema)
    value = Envelope(op, before, after, source, 0).encode()
    return Records.of(Record(topic, offset, encode_key(("id",), image) if image else None, value))


def barrier(offset: int, partial: bool = False, standings: Mapping[str, Standing] | None = None, **next_seqs: int) -> Records:
    """A barrier whose number and GTID set follow its offset; `orders=2, items=1` are next seqs. Of tables in `standings` all rows come."""
    return Records.of(Record(PROGRESS, offset, None, named(offset, partial, standings, **next_seqs).encode()))


def named(offset: int, partial: bool = False, standings: Mapping[str, Standing] | None = None, **next_seqs: int) -> Barrier:
    gtids = GtidSet.parse(f"{SERVER}:1-{offset + 1}")
    seqs = {f"tm.shop.{table}": seq for table, seq in next_seqs.items()}
    told = standings or {}
    return Barrier(offset + 1, gtids, 1000 * (offset + 1), partial, seqs, told, frozenset(seqs.keys() & told.keys()))


def snapshotting(topic: str, since_us: int) -> dict[str, Standing]:
    return {topic: Standing(TableState.SNAPSHOTTING, since_us)}


def start(offset: int = 0, *, next_offset: int | None = None, next_seq: int = 0) -> Start:
    return Start("id-1", offset, offset if next_offset is None else next_offset, next_seq)


def open_run(topic: str, fingerprint: str, next_seq: int, truncate: bool) -> tuple[Destination, OpenChanges]:
    """Every topic's rows are of one schema, whatever they say."""
    naming = TargetNaming("{db}", topic.rpartition(".")[2])
    return Destination(SCHEMA, target_table(topic, SCHEMA, naming, None)), OpenDecodedChanges()


def open_batch(*records: Records, starts: Mapping[str, Start] | None = None, at: datetime = NOW) -> OpenBatch:
    batch = OpenBatch(PROGRESS, 0, 0, {ORDERS: start(), ITEMS: start()} if starts is None else starts, open_run)
    for record in records:
        batch.add(record, at)
    return batch
