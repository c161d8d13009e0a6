"""A warehouse for the suites: the fake database, or the warehouse stand-in behind redshift_connector. Both COPY the loader's own
Parquet."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Protocol

from contracts.batch import BatchKey, Manifest, ManifestEntry, sha256_hex
from contracts.envelope import Op, encode_key
from contracts.ledger import Fence, Guard, LedgerEntry, TopicOffset
from contracts.offsets import OffsetRange
from contracts.position import GtidSet
from contracts.progress import TableState
from contracts.sql import qualified, quote
from contracts.table import Column, Kind, TableId, TableSchema
from devstack.stack import Stack
from janitor.edges.redshift import RedshiftLedger
from janitor.edges.s3 import S3Bucket
from janitor.ports import Bucket as JanitorBucket
from janitor.ports import Ledger
from loader.core.changes import DecodedChanges
from loader.core.encode import encode
from loader.core.plan import CommitPlan, Mode, StagedLoad, TableBatch, TableLoad, TargetTable
from loader.core.records import Change
from loader.core.refusal import moving
from loader.core.staging import staging_name
from loader.core.target import DELETED, TargetNaming, target_table
from loader.edges.redshift import RedshiftWarehouse, WarehouseOptions
from loader.edges.s3 import S3BatchStore
from loader.edges.targets import Former, nothing_known
from loader.ports import BatchStore, Warehouse
from tests.fakes.clock import Time
from tests.fakes.faults import Gate
from tests.fakes.ledger import FakeLedger
from tests.fakes.object_store import Bucket, FakeBatchStore, FakeJanitorBucket
from tests.fakes.parquet_rows import rows_as_parquet
from tests.fakes.warehouse import Database, FakeWarehouse, target_name
from tests.loader.core.rowmaker import change, delete, upsert

AT = datetime(2025, 8, 14, 15, 0, tzinfo=UTC)
GTIDS = GtidSet.parse("11111111-2222-3333-4444-555555555555:1-9")
TOPIC = "p.shop.orders"
Stored = list[tuple[int, int | None]]


def guard(name: str) -> Guard:
    return Guard("p", name, "tidemark", "cluster", 1)


class WarehouseScene(Protocol):
    name: str

    def warehouse(self) -> Warehouse:
        """A session of its own."""

    @property
    def store(self) -> BatchStore: ...

    def rows(self, target: TargetTable) -> Stored:
        """The target's id and v, in order; asked past the port."""

    def marks(self, target: TargetTable) -> dict[int, bool]:
        """Of a soft_delete table: which id is marked as deleted."""

    def drop(self, target: TargetTable) -> None:
        """Somebody drops the table."""

    def move(self, target: TargetTable, to: TargetTable) -> None:
        """Somebody gives the table another name."""

    def ledger(self) -> list[str]:
        """Batch ids in the ledger of shard 0, in order."""

    def janitors_ledger(self) -> Ledger: ...

    def janitors_bucket(self) -> JanitorBucket: ...

    def close(self) -> None: ...


@dataclass
class FakeWarehouseScene:
    name: str

    def __post_init__(self) -> None:
        self.bucket = Bucket(Time(), self.name)
        self.database = Database(self.bucket)
        self.database.create_shard(0)
        self.store = FakeBatchStore(self.bucket, Gate())

    def warehouse(self) -> Warehouse:
        return FakeWarehouse(self.database, Gate(), rows_as_parquet)

    def rows(self, target: TargetTable) -> Stored:
        found = [dict(row) for row in self.database.rows(target_name(target))]
        return sorted((row["id"], row["v"]) for row in found)

    def marks(self, target: TargetTable) -> dict[int, bool]:
        return {row["id"]: row[DELETED] for row in map(dict, self.database.rows(target_name(target)))}

    def drop(self, target: TargetTable) -> None:
        self.database.drop(target_name(target))

    def move(self, target: TargetTable, to: TargetTable) -> None:
        self.database.move(target_name(target), target_name(to))

    def ledger(self) -> list[str]:
        return sorted(entry.batch_id for entry in self.database.ledger(0))

    def janitors_ledger(self) -> Ledger:
        return FakeLedger(self.database, Gate(), guard(self.name))

    def janitors_bucket(self) -> JanitorBucket:
        return FakeJanitorBucket(self.bucket, Gate())

    def close(self) -> None:
        """Nothing outlives the test."""


@dataclass
class RealWarehouseScene:
    stack: Stack
    name: str
    login: dict[str, str] = field(default_factory=dict)
    """The loader's user and password, where it is not the administrator."""
    opened: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        client = self.stack.s3.client()
        client.create_bucket(Bucket=self.name)
        self.store = S3BatchStore(client, self.name, "tidemark")
        first = self.warehouse()
        assert isinstance(first, RedshiftWarehouse)
        first.prepare(guard(self.name))

    def warehouse(self, former: Former = nothing_known) -> Warehouse:
        options = WarehouseOptions(self.name, "arn:aws:iam::123456789012:role/copy", timedelta(seconds=5), timedelta(seconds=30))
        session = RedshiftWarehouse(lambda: self.stack.redshift.connect(ssl=False, **self.login), options, former)
        self.opened.append(session)
        return session

    def rows(self, target: TargetTable) -> Stored:
        return sorted((row[0], row[1]) for row in self._query(f"SELECT id, v FROM {quote(target.schema)}.{quote(target.name)}"))

    def marks(self, target: TargetTable) -> dict[int, bool]:
        return dict(self._query(f"SELECT id, {quote(DELETED)} FROM {quote(target.schema)}.{quote(target.name)}"))

    def drop(self, target: TargetTable) -> None:
        self.do(f"DROP TABLE {qualified(target.schema, target.name)}")

    def move(self, target: TargetTable, to: TargetTable) -> None:
        for statement in moving(to, (target.schema, target.name)):
            self.do(statement)

    def do(self, sql: str) -> None:
        """As a person does it."""
        with self.stack.redshift.connect(ssl=False) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(sql)

    def ledger(self) -> list[str]:
        return sorted(row[0] for row in self._query(f"SELECT batch_id FROM {quote(self.name)}.ledger_0"))

    def janitors_ledger(self) -> Ledger:
        ledger = RedshiftLedger(self._connect, self.name)
        self.opened.append(ledger)
        return ledger

    def janitors_bucket(self) -> JanitorBucket:
        return S3Bucket(self.stack.s3.client(), self.name, "tidemark")

    def _connect(self) -> Any:
        return self.stack.redshift.connect(ssl=False)

    def _query(self, sql: str) -> Sequence[Any]:
        with self.stack.redshift.connect(ssl=False) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            found: Sequence[Any] = cursor.fetchall()
            return found

    def close(self) -> None:
        for session in self.opened:
            session.close()


NUMBERS = count(1)


def schema_of(scene: WarehouseScene) -> TableSchema:
    columns = (Column("id", Kind.INT, nullable=False), Column("v", Kind.INT))
    return TableSchema(TableId(f"{scene.name}_shop", "orders"), columns, ("id",))


@dataclass
class Writer:
    """A loader's work on shard 0 in one session, by hand."""

    scene: WarehouseScene
    mode: Mode = Mode.MERGE
    at: datetime = AT
    """When it commits."""

    def __post_init__(self) -> None:
        self.session = self.scene.warehouse()
        self.schema = schema_of(self.scene)
        self.target = target_table(TOPIC, self.schema, TargetNaming(), self.mode)
        self.take()
        self.session.ensure_target(self.target, self.fence, renewing=False)

    def take(self) -> None:
        self.epoch = self.session.bump_epoch(0, "writer")
        self.state = self.session.read_state(0)

    @property
    def fence(self) -> Fence:
        return self.state.fence

    def upsert(self, id: int, v: int | None) -> Change:
        return upsert(self.next_offset, {"id": id, "v": v}, schema=self.schema)

    def delete(self, id: int, v: int | None = None) -> Change:
        return delete(self.next_offset, {"id": id, "v": v}, schema=self.schema)

    def lost(self, op: Op, id: int) -> Change:
        """A change whose row was too large for a message."""
        return change(self.next_offset, op, None, schema=self.schema, key=encode_key(("id",), {"id": id}), oversize=9_000_000)

    def truncate(self) -> Change:
        return change(self.next_offset, Op.TRUNCATE, None, schema=self.schema)

    @property
    def next_offset(self) -> int:
        return self.state.offsets[TOPIC].next_offset if TOPIC in self.state.offsets else 0

    def plan(self, *changes: Change) -> CommitPlan:
        """Puts the changes in the bucket, and stages them; what would commit them."""
        start = self.next_offset
        placed = [replace(one, offset=start + number) for number, one in enumerate(changes)]
        offsets = OffsetRange(start, start + len(placed))
        batch = TableBatch(TOPIC, 0, self.schema, offsets, offsets.stop, DecodedChanges(placed))
        key = BatchKey(TOPIC, 0, AT, 1, offsets, self.epoch, f"{next(NUMBERS):08x}")
        encoded = encode(batch, self.target)
        staged, sha256 = None, ""
        if encoded.parquet is not None:
            manifest = Manifest((ManifestEntry(self.scene.store.url(key.data), len(encoded.parquet)),)).encode()
            self.scene.store.put(key.data, encoded.parquet)
            self.scene.store.put(key.manifest, manifest)
            sha256 = sha256_hex(manifest)
            staged = StagedLoad(self.target, staging_name(self.target), self.scene.store.url(key.manifest), encoded.rows, encoded.bare)
            self.session.stage([staged])
        counts = (encoded.records, encoded.superseded, encoded.applied, encoded.quarantined, encoded.values_nulled)
        entry = LedgerEntry(key.nonce, TOPIC, 0, "id-1", self.epoch, offsets, *counts, key.manifest if staged else "", sha256, self.at)
        row = TopicOffset(TOPIC, 0, "id-1", offsets.stop, offsets.stop, TableState.OK, 1, "shop.orders", target_name(self.target))
        fence = replace(self.fence, commit_no=self.fence.commit_no + 1, progress_offset=offsets.stop, barrier_no=9, gtid_set=GTIDS)
        load = TableLoad(self.target, key, staged, batch.truncate, entry, encoded.quarantine)
        new = frozenset() if TOPIC in self.state.offsets else frozenset({TOPIC})
        return CommitPlan(self.fence, replace(fence, commit_ts_us=7), (row,), new, (load,), self.at)

    def commit(self, *changes: Change) -> CommitPlan:
        plan = self.plan(*changes)
        self.session.commit(plan)
        self.state = self.session.read_state(0)
        return plan
