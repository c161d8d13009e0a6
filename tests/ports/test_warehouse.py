"""Warehouse: the fake database, and the warehouse stand-in behind redshift_connector. Both COPY the loader's own Parquet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Protocol

import pytest

from contracts.batch import BatchKey, Manifest, ManifestEntry, sha256_hex
from contracts.envelope import Op
from contracts.errors import Corrupt, Fenced, Unavailable
from contracts.ledger import Fence, Guard, LedgerEntry, TopicOffset
from contracts.offsets import OffsetRange
from contracts.position import GtidSet
from contracts.progress import TableState
from contracts.sql import quote
from contracts.table import Column, Kind, TableId, TableSchema
from devstack.stack import Stack
from loader.core.encode import encode
from loader.core.plan import Change, CommitPlan, Mode, StagedLoad, TableBatch, TableLoad, TargetTable
from loader.core.target import TargetNaming, target_table
from loader.edges.redshift import RedshiftWarehouse, WarehouseOptions
from loader.edges.s3 import S3BatchStore
from loader.ports import BatchStore, Warehouse
from tests.fakes.clock import Time
from tests.fakes.faults import Gate
from tests.fakes.object_store import Bucket, FakeBatchStore
from tests.fakes.parquet_rows import rows_as_parquet
from tests.fakes.warehouse import Database, FakeWarehouse, target_name
from tests.loader.core.rowmaker import change, delete, upsert
from tests.ports.conftest import BOTH

AT = datetime(2025, 8, 14, 15, 0, tzinfo=UTC)
GTIDS = GtidSet.parse("11111111-2222-3333-4444-555555555555:1-9")
TOPIC = "p.shop.orders"
Stored = list[tuple[int, int | None]]


class Scene(Protocol):
    name: str

    def warehouse(self) -> Warehouse:
        """A session of its own."""

    @property
    def store(self) -> BatchStore: ...

    def rows(self, target: TargetTable) -> Stored:
        """The target's id and v, in order; asked past the port."""

    def ledger(self) -> list[str]:
        """Batch ids in the ledger of shard 0, in order."""


@dataclass
class FakeScene:
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

    def ledger(self) -> list[str]:
        return sorted(entry.batch_id for entry in self.database.ledger(0))


@dataclass
class RealScene:
    stack: Stack
    name: str
    opened: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        client = self.stack.s3.client()
        client.create_bucket(Bucket=self.name)
        self.store = S3BatchStore(client, self.name, "tidemark")
        first = self.warehouse()
        assert isinstance(first, RedshiftWarehouse)
        first.prepare(Guard("p", self.name, "tidemark", "cluster", 1))

    def warehouse(self) -> Warehouse:
        options = WarehouseOptions(self.name, "arn:aws:iam::123456789012:role/copy", timedelta(seconds=5), timedelta(seconds=30))
        session = RedshiftWarehouse(lambda: self.stack.redshift.connect(ssl=False), options)
        self.opened.append(session)
        return session

    def rows(self, target: TargetTable) -> Stored:
        return sorted((row[0], row[1]) for row in self._query(f"SELECT id, v FROM {quote(target.schema)}.{quote(target.name)}"))

    def ledger(self) -> list[str]:
        return sorted(row[0] for row in self._query(f"SELECT batch_id FROM {quote(self.name)}.ledger_0"))

    def _query(self, sql: str) -> Sequence[Any]:
        with self.stack.redshift.connect(ssl=False) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            found: Sequence[Any] = cursor.fetchall()
            return found

    def close(self) -> None:
        for session in self.opened:
            session.close()


@pytest.fixture(params=BOTH)
def scene(request: pytest.FixtureRequest, unused_name: str) -> Iterator[Scene]:
    if request.param == "fake":
        yield FakeScene(unused_name)
        return
    real = RealScene(request.getfixturevalue("stack"), unused_name)
    yield real
    real.close()


NUMBERS = count(1)


def schema_of(scene: Scene) -> TableSchema:
    columns = (Column("id", Kind.INT, nullable=False), Column("v", Kind.INT))
    return TableSchema(TableId(f"{scene.name}_shop", "orders"), columns, ("id",))


@dataclass
class Writer:
    """A loader's work on shard 0 in one session, by hand."""

    scene: Scene
    mode: Mode = Mode.MERGE

    def __post_init__(self) -> None:
        self.session = self.scene.warehouse()
        self.schema = schema_of(self.scene)
        self.target = target_table(TOPIC, self.schema, TargetNaming(), self.mode)
        self.session.ensure_target(self.target)
        self.take()

    def take(self) -> None:
        self.epoch = self.session.bump_epoch(0, "writer")
        self.state = self.session.read_state(0)

    @property
    def fence(self) -> Fence:
        return self.state.fence

    def upsert(self, id: int, v: int | None) -> Change:
        return upsert(self.next_offset, {"id": id, "v": v}, schema=self.schema)

    def delete(self, id: int) -> Change:
        return delete(self.next_offset, {"id": id, "v": None}, schema=self.schema)

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
        batch = TableBatch(TOPIC, 0, self.schema, offsets, offsets.stop, placed)
        key = BatchKey(TOPIC, 0, AT, 1, offsets, self.epoch, f"{next(NUMBERS):08x}")
        encoded = encode(batch, self.target)
        staged, sha256 = None, ""
        if encoded.parquet is not None:
            manifest = Manifest((ManifestEntry(self.scene.store.url(key.data), len(encoded.parquet)),)).encode()
            self.scene.store.put(key.data, encoded.parquet)
            self.scene.store.put(key.manifest, manifest)
            sha256 = sha256_hex(manifest)
            staged = StagedLoad(self.target, f"staged_{key.nonce}", self.scene.store.url(key.manifest), encoded.rows)
            self.session.stage(staged)
        counts = (encoded.records, encoded.superseded, encoded.applied, encoded.quarantined, encoded.values_nulled)
        entry = LedgerEntry(key.nonce, TOPIC, 0, "id-1", self.epoch, offsets, *counts, key.manifest, sha256, AT)
        row = TopicOffset(TOPIC, 0, "id-1", offsets.stop, offsets.stop, TableState.OK, 1, "shop.orders", target_name(self.target))
        fence = replace(self.fence, commit_no=self.fence.commit_no + 1, progress_offset=offsets.stop, barrier_no=9, gtid_set=GTIDS)
        load = TableLoad(self.target, key, staged, batch.truncate, entry, encoded.quarantine)
        new = frozenset() if TOPIC in self.state.offsets else frozenset({TOPIC})
        return CommitPlan(self.fence, replace(fence, commit_ts_us=7), (row,), new, (load,), AT)

    def commit(self, *changes: Change) -> CommitPlan:
        plan = self.plan(*changes)
        self.session.commit(plan)
        self.state = self.session.read_state(0)
        return plan


def test_each_takeover_is_granted_a_higher_epoch(scene: Scene) -> None:
    first, second = scene.warehouse(), scene.warehouse()
    granted = [first.bump_epoch(0, "a"), second.bump_epoch(0, "b"), first.bump_epoch(0, "a")]
    assert granted == [1, 2, 3]
    fence = second.read_state(0).fence
    assert (fence.epoch, fence.owner, fence.commit_no) == (3, "a", 0)


def test_a_commit_moves_fence_offsets_rows_and_ledger_together(scene: Scene) -> None:
    writer = Writer(scene)
    plan = writer.commit(writer.upsert(1, 10), writer.upsert(2, 20), writer.upsert(1, 11))
    assert scene.rows(writer.target) == [(1, 11), (2, 20)]
    assert scene.ledger() == [plan.loads[0].entry.batch_id]
    fence = writer.fence
    assert (fence.commit_no, fence.progress_offset, fence.barrier_no, fence.gtid_set, fence.commit_ts_us) == (1, 3, 9, GTIDS, 7)
    assert writer.state.offsets == {TOPIC: plan.offsets[0]}


def test_the_next_commit_merges_by_key(scene: Scene) -> None:
    writer = Writer(scene)
    writer.commit(writer.upsert(1, 10), writer.upsert(2, 20), writer.upsert(3, 30))
    writer.commit(writer.delete(2), writer.upsert(3, None), writer.upsert(4, 40))
    assert scene.rows(writer.target) == [(1, 10), (3, None), (4, 40)]
    assert (writer.fence.commit_no, writer.next_offset) == (2, 6)


def test_a_truncate_leaves_what_comes_after_it(scene: Scene) -> None:
    writer = Writer(scene)
    writer.commit(writer.upsert(1, 10), writer.upsert(2, 20))
    writer.commit(writer.truncate())
    assert scene.rows(writer.target) == []
    writer.commit(writer.upsert(2, 21))
    assert scene.rows(writer.target) == [(2, 21)]


def test_in_append_mode_every_event_is_a_row(scene: Scene) -> None:
    writer = Writer(scene, Mode.APPEND)
    writer.commit(writer.upsert(1, 10), writer.upsert(1, 11))
    writer.commit(writer.upsert(1, 10))
    assert scene.rows(writer.target) == [(1, 10), (1, 10), (1, 11)]


def test_who_lost_the_epoch_commits_nothing(scene: Scene) -> None:
    zombie, successor = Writer(scene), Writer(scene)
    with pytest.raises(Fenced):
        zombie.commit(zombie.upsert(1, 10))
    assert (scene.rows(zombie.target), scene.ledger()) == ([], [])
    successor.commit(successor.upsert(1, 11))
    assert scene.rows(successor.target) == [(1, 11)]


def test_the_same_commit_is_not_made_twice(scene: Scene) -> None:
    writer = Writer(scene, Mode.APPEND)
    plan = writer.commit(writer.upsert(1, 10))
    load = plan.loads[0].staged
    assert load is not None
    writer.session.stage(load)
    with pytest.raises(Fenced):
        writer.session.commit(plan)
    assert scene.rows(writer.target) == [(1, 10)]
    assert len(scene.ledger()) == 1


def test_a_commit_prepared_before_another_one_is_refused(scene: Scene) -> None:
    writer = Writer(scene)
    early = writer.plan(writer.upsert(1, 10))
    writer.commit(writer.upsert(1, 11))
    with pytest.raises(Fenced):
        writer.session.commit(early)
    assert scene.rows(writer.target) == [(1, 11)]


def test_staging_is_the_sessions_own_and_may_be_done_again(scene: Scene) -> None:
    writer = Writer(scene)
    plan = writer.plan(writer.upsert(1, 10))
    load = plan.loads[0].staged
    assert load is not None
    writer.session.stage(load)
    scene.warehouse().stage(load)
    writer.session.commit(plan)
    assert scene.rows(writer.target) == [(1, 10)]


def test_copied_rows_are_counted(scene: Scene) -> None:
    writer = Writer(scene)
    load = writer.plan(writer.upsert(1, 10)).loads[0].staged
    assert load is not None
    with pytest.raises(Corrupt):
        writer.session.stage(replace(load, staging="staged_again", rows=2))


def test_a_missing_object_fails_the_copy(scene: Scene) -> None:
    writer = Writer(scene)
    load = writer.plan(writer.upsert(1, 10)).loads[0].staged
    assert load is not None
    key = "gone.manifest"
    scene.store.put(key, Manifest((ManifestEntry(scene.store.url("gone.parquet"), 10),)).encode())
    with pytest.raises(Unavailable):
        writer.session.stage(replace(load, staging="staged_gone", manifest_url=scene.store.url(key)))
