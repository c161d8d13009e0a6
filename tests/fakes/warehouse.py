"""The warehouse in memory: the loader's port over versioned rows. A commit plan is executed as its SQL is: statement by statement, each one
an effect that can fail, with the compare-and-set on the fence first."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import orjson

from contracts.batch import Manifest
from contracts.errors import Corrupt, Fenced, OutcomeUnknown, PipelineError, Refused, Unavailable, Unfit
from contracts.ledger import Fence, LedgerEntry, TopicOffset
from contracts.position import GtidSet
from contracts.progress import TableState
from loader.core.plan import CommitPlan, Mode, QuarantinedValue, StagedLoad, TableLoad, TargetTable
from loader.core.refusal import elsewhere, gone
from loader.core.target import DELETED
from loader.ports import ShardState
from tests.fakes.faults import Gate
from tests.fakes.object_store import Bucket
from tests.fakes.versions import Conflict, Ended, Isolation, Store, Transaction

T = TypeVar("T")

LOCK_PATIENCE = timedelta(seconds=30)
"""How long a new owner waits for the fence's lock before it ends the session that holds it."""


@dataclass(frozen=True, slots=True)
class StagedRow:
    """A row of a staging table. `key` is None in append mode. `deleted`: the key's last change is a delete; `values` is then empty in
    merge mode, and elsewhere where the row is `bare`."""

    key: Hashable
    deleted: bool
    values: tuple[tuple[str, Any], ...]
    bare: bool = False


@dataclass(frozen=True, slots=True)
class OpenEntry:
    """A quarantined value and whether a later event has closed it."""

    value: QuarantinedValue
    batch_id: str
    open: bool = True


class Database:
    """What all sessions share."""

    def __init__(self, bucket: Bucket, isolation: Isolation = Isolation.SNAPSHOT) -> None:
        self.bucket = bucket
        self.store = Store(isolation)
        self.targets: dict[str, TargetTable] = {}
        self.obstructed: set[str] = set()
        """Targets that can't be altered, nor be looked at without finding that out."""
        self.gone: set[str] = set()
        """Targets that somebody dropped or moved."""
        self.loaded_into: dict[str, str] = {}
        """By topic the target that was made for it last."""
        self.mirror: Mapping[tuple[str, int], tuple[int, str]] = {}
        """What Kafka has been told; only a wrong design reads it."""

    def create_shard(self, shard: int) -> None:
        """The fence row `loader` makes when the pipeline is created."""
        t = self.store.begin()
        self.store.insert(t, fence_table(shard), shard, Fence(shard, 0, 0, "", 0, 0, GtidSet(), False, 0))
        self.store.commit(t)

    def fence(self, shard: int) -> Fence:
        fence: Fence = self.store.now(fence_table(shard))[0]
        return fence

    def offsets(self, shard: int) -> list[TopicOffset]:
        return self.store.now(offsets_table(shard))

    def ledger(self, shard: int) -> list[LedgerEntry]:
        return self.store.now(ledger_table(shard))

    def drop(self, target: str) -> None:
        """What somebody does, who thinks that nobody needs the table."""
        t = self.store.begin()
        self.store.lock(t, target)
        for number, key, _ in self.store.scan(t, target):
            self.store.write(t, target, number, key, None)
        self.store.commit(t)
        self.gone.add(target)

    def move(self, target: str, to: str) -> None:
        """What somebody does, who wants the table under another name."""
        t = self.store.begin()
        self.store.lock(t, target)
        for _, key, values in self.store.scan(t, target):
            self.store.insert(t, to, key, values)
        self.store.commit(t)
        self.targets[to] = self.targets[target]
        self.gone.discard(to)
        self.drop(target)

    def stands(self, target: str) -> bool:
        return target in self.targets and target not in self.gone

    def rows(self, target: str) -> list[tuple[tuple[str, Any], ...]]:
        """A target table's rows, in no order."""
        return self.store.now(target)


def fence_table(shard: int) -> str:
    return f"fence_{shard}"


def offsets_table(shard: int) -> str:
    return f"offsets_{shard}"


def ledger_table(shard: int) -> str:
    return f"ledger_{shard}"


def quarantine_table(shard: int) -> str:
    return f"quarantine_{shard}"


def target_name(target: TargetTable) -> str:
    return f"{target.schema}.{target.name}"


def moved(held: Fence, to: Fence) -> Fence:
    """The fence row after a commit, as its UPDATE sets it: epoch and owner are nobody's to set but by a takeover."""
    return replace(to, epoch=held.epoch, owner=held.owner, commit_no=held.commit_no + 1)


def marked(values: tuple[tuple[str, Any], ...], deleted: bool) -> tuple[tuple[str, Any], ...]:
    """A row of a table in soft_delete mode."""
    return tuple(sorted({**dict(values), DELETED: deleted}.items()))


def rows_as_json(data: bytes, target: TargetTable) -> list[StagedRow]:
    """What `tests.simulation.encoder` writes: [[key, deleted, {column: value}, bare], …]."""
    return [StagedRow(key, deleted, tuple(sorted(values.items())), bare) for key, deleted, values, bare in orjson.loads(data)]


ReadRows = Callable[[bytes, TargetTable], list[StagedRow]]


@dataclass
class _Session:
    transaction: Transaction | None = None
    staged: dict[str, list[StagedRow]] = field(default_factory=dict)


class FakeWarehouse:
    """One session with the database. `read_rows`: the parser of what the loader put in the bucket."""

    def __init__(
        self,
        database: Database,
        gate: Gate,
        read_rows: Callable[[bytes, TargetTable], list[StagedRow]] = rows_as_json,
        service: str = "loader",
    ) -> None:
        self.database = database
        self.gate = gate
        self.read_rows = read_rows
        self.service = service
        self.session = _Session()

    @property
    def store(self) -> Store:
        return self.database.store

    # -- the port

    def bump_epoch(self, shard: int, owner: str, above: int = 0) -> int:
        with self._transaction() as t:
            if not self._await_lock(t, "bump_epoch.lock", fence_table(shard), LOCK_PATIENCE):
                self.store.rollback(self.store.locks[fence_table(shard)])  # ends the session that holds it
            self.store.lock(t, fence_table(shard))

            def bump() -> Fence:
                found = self.store.find(t, fence_table(shard), shard)
                if not found:
                    raise Refused(f"there is no fence row of shard {shard}", shard=shard)
                number, fence = found[0]
                bumped: Fence = replace(fence, epoch=max(fence.epoch, above) + 1, owner=owner)
                self.store.write(t, fence_table(shard), number, shard, bumped)
                return bumped

            bumped = self._execute("bump_epoch.update", bump)
            self._commit("bump_epoch", t)
            return bumped.epoch

    def read_state(self, shard: int) -> ShardState:
        with self._transaction() as t:

            def read() -> ShardState:
                found = self.store.find(t, fence_table(shard), shard)
                if not found:
                    raise Refused(f"there is no fence row of shard {shard}", shard=shard)
                offsets: dict[str, TopicOffset] = {}
                for _, _, row in self.store.scan(t, offsets_table(shard)):
                    offsets[row.topic] = row
                open_keys: dict[str, set[str]] = {}
                for _, _, entry in self.store.scan(t, quarantine_table(shard)):
                    if entry.open and entry.value.key is not None:
                        open_keys.setdefault(entry.value.topic, set()).add(entry.value.key)
                return ShardState(found[0][1], offsets, {topic: frozenset(keys) for topic, keys in open_keys.items()})

            return self._execute("read_state", read)

    def ensure_target(self, target: TargetTable, fence: Fence, *, renewing: bool, afresh: bool = False) -> None:
        named = target_name(target)
        with self._transaction() as t:

            def create() -> None:
                there = self.database.targets.get(named)
                if not target.columns:
                    if there is not None and there.mode is not target.mode:
                        raise Unfit(f"{named} is keyed otherwise", table=named)
                    return
                if named in self.database.obstructed and (afresh or there != target):
                    raise Unfit(f"{named} has a column of somebody else's", table=named)
                former = self.database.loaded_into.get(target.topic, named)
                if there == target and former == named and not (named in self.database.gone and afresh):
                    return
                self._refuse_lost(target, former, renewing=renewing, afresh=afresh)
                found = self.store.find(t, fence_table(fence.shard), fence.shard)
                if not found or found[0][1].epoch != fence.epoch:
                    raise Fenced(f"shard {fence.shard} is not at epoch {fence.epoch} any more", shard=fence.shard)
                if self.database.stands(named) and renewing:
                    self._hold_back(target.topic, fence.shard)
                self.database.targets[named] = target
                self.database.loaded_into[target.topic] = named
                self.database.gone.discard(named)

            self._execute("ensure_target", create)

    def _refuse_lost(self, target: TargetTable, former: str, *, renewing: bool, afresh: bool) -> None:
        """Raises what the loader's edge does where a table made now would lack what was loaded before."""
        named = target_name(target)
        stands, left = self.database.stands(named), self.database.stands(former)
        if former != named and (left or not stands) and not (afresh and target.mode.keyed):
            schema, _, name = former.partition(".")
            raise elsewhere(target, (schema, name), both=stands)
        if former == named and named in self.database.gone and not (renewing and target.mode.keyed):
            raise gone(target, ())

    def _hold_back(self, topic: str, shard: int) -> None:
        """In one step: an altered table isn't `ok` any more."""
        t, table = self.store.begin(), offsets_table(shard)
        if not self.store.lockable(t, table):
            raise Unavailable(f"{table} is locked")
        self.store.lock(t, table)
        for number, key, row in self.store.scan(t, table):
            if row.topic == topic and row.state is not TableState.PARKED:
                state = TableState.REREADING if row.state is TableState.OK else row.state
                self.store.write(t, table, number, key, replace(row, state=state, because="its columns were altered"))
        self.store.commit(t)

    def stage(self, loads: Sequence[StagedLoad]) -> None:
        copied = dict(self.session.staged)
        for load in loads:
            self._execute("stage", partial(self._copy, load, copied))
        self.session.staged = copied

    def _copy(self, load: StagedLoad, into: dict[str, list[StagedRow]]) -> None:
        into[load.staging] = self._copied(load)

    def commit(self, plan: CommitPlan) -> None:
        shard = plan.expected.shard
        with self._transaction() as t:
            self._lock(t, fence_table(shard))
            self._execute("commit.fence", lambda: self._move_fence(t, plan))
            self._lock(t, offsets_table(shard))
            self._execute("commit.offsets", lambda: self._move_offsets(t, plan))
            for load in sorted(plan.loads, key=lambda load: target_name(load.target)):
                self._apply(t, load)
            self._execute("commit.ledger", lambda: self._record(t, plan))
            self._commit("commit", t)

    def trim(self, fence: Fence, before: datetime) -> int:
        ledger = ledger_table(fence.shard)
        with self._transaction() as t:
            self._lock(t, fence_table(fence.shard))

            def forget() -> int:
                found = self.store.find(t, fence_table(fence.shard), fence.shard)
                if not found or found[0][1].epoch != fence.epoch:
                    raise Fenced(f"shard {fence.shard} is not at epoch {fence.epoch} any more", shard=fence.shard)
                held = list(self.store.scan(t, ledger))
                last: dict[str, datetime] = {}
                for _, _, entry in held:
                    last[entry.topic] = max(entry.committed_at, last.get(entry.topic, entry.committed_at))
                old = [
                    (ledger, number, key)
                    for number, key, entry in held
                    if entry.committed_at < before
                    and (entry.object_deleted_at is not None or not entry.manifest_key)
                    and entry.committed_at not in last.values()
                ]
                for table, number, key in old:
                    self.store.lock(t, table)
                    self.store.write(t, table, number, key, None)
                return len(old)

            forgotten = self._execute("trim", forget)
            self._commit("trim", t)
            return forgotten

    def close(self) -> None:
        self._drop_session()

    def abandon(self) -> None:
        """The process is gone. The server notices later; a COMMIT on its way still counts."""
        self._drop_session()

    def write(self, effect: str, table: str, change: Callable[[Any], Any]) -> None:
        """UPDATE of a whole table in a transaction of its own: `change` gives each row's new value, None where it stays."""
        with self._transaction() as t:
            self._lock(t, table)

            def update() -> None:
                for number, key, row in self.store.scan(t, table):
                    if (changed := change(row)) is not None:
                        self.store.write(t, table, number, key, changed)

            self._execute(f"{effect}.update", update)
            self._commit(effect, t)

    # -- statements

    def _move_fence(self, t: Transaction, plan: CommitPlan) -> None:
        expected, shard = plan.expected, plan.expected.shard
        matching = [row for row in self.store.find(t, fence_table(shard), shard) if self.owns(row[1], expected)]
        if len(matching) != 1:
            raise Fenced(f"shard {shard} is not at epoch {expected.epoch}, commit {expected.commit_no} any more", shard=shard)
        number, held = matching[0]
        self.store.write(t, fence_table(shard), number, shard, moved(held, plan.fence))

    def owns(self, fence: Fence, expected: Fence) -> bool:
        """The condition of the compare-and-set."""
        return fence.epoch == expected.epoch and fence.commit_no == expected.commit_no

    def _move_offsets(self, t: Transaction, plan: CommitPlan) -> None:
        table = offsets_table(plan.expected.shard)
        for row in plan.offsets:
            if row.topic in plan.new_topics:
                self.store.insert(t, table, row.topic, row)
                continue
            self.store.lock(t, table)
            found = self.store.find(t, table, row.topic)
            if len(found) != 1:
                raise Corrupt(f"{len(found)} offsets rows of {row.topic}", topic=row.topic)
            self.store.write(t, table, found[0][0], row.topic, row)

    def _apply(self, t: Transaction, load: TableLoad) -> None:
        table = target_name(load.target)
        mode = load.target.mode
        if table in self.database.gone and (load.truncate or load.staged):
            raise gone(load.target, ())
        if mode.keyed and (load.truncate or load.staged):
            self._lock(t, table)
        if load.truncate and mode.keyed:
            empty = self._delete_all if mode is Mode.MERGE else self._mark_all
            self._execute("commit.truncate", lambda: empty(t, table))
        if load.staged is not None:
            staged = self.session.staged.get(load.staged.staging)
            if staged is None:
                raise Unavailable(f"staging table {load.staged.staging} went with its session: stage again")
            if mode is Mode.SOFT_DELETE and load.staged.bare:
                self._execute("commit.delete", lambda: self._mark_keys(t, table, staged))
            if mode.keyed:
                self._execute("commit.delete", lambda: self._delete_keys(t, table, staged))
            self._execute("commit.insert", lambda: self._insert(t, table, staged, mode))

    def _delete_all(self, t: Transaction, table: str) -> None:
        for number, key, _ in self.store.scan(t, table):
            self.store.write(t, table, number, key, None)

    def _mark_all(self, t: Transaction, table: str) -> None:
        for number, key, values in self.store.scan(t, table):
            if not dict(values)[DELETED]:
                self.store.write(t, table, number, key, marked(values, True))

    def _mark_keys(self, t: Transaction, table: str, staged: list[StagedRow]) -> None:
        for row in staged:
            if row.bare and row.deleted:
                for number, values in self.store.find(t, table, row.key):
                    self.store.write(t, table, number, row.key, marked(values, True))

    def _delete_keys(self, t: Transaction, table: str, staged: list[StagedRow]) -> None:
        for row in staged:
            if not (row.bare and row.deleted):
                for number, _ in self.store.find(t, table, row.key):
                    self.store.write(t, table, number, row.key, None)

    def _insert(self, t: Transaction, table: str, staged: list[StagedRow], mode: Mode) -> None:
        for row in staged:
            if mode is Mode.SOFT_DELETE and not row.bare:
                self.store.insert(t, table, row.key, marked(row.values, row.deleted))
            elif mode is not Mode.SOFT_DELETE and not row.deleted:
                self.store.insert(t, table, row.key, row.values)

    def _record(self, t: Transaction, plan: CommitPlan) -> None:
        """Quarantine and ledger."""
        shard = plan.expected.shard
        for load in plan.loads:
            closes, topic = set(load.closes), load.target.topic
            emptied = load.truncate and load.target.mode.keyed
            if closes or emptied:
                self.store.lock(t, quarantine_table(shard))
                for number, key, entry in self.store.scan(t, quarantine_table(shard)):
                    if entry.open and entry.value.topic == topic and (emptied or entry.value.key in closes):
                        self.store.write(t, quarantine_table(shard), number, key, replace(entry, open=False))
            for value in load.quarantine:
                self.store.insert(t, quarantine_table(shard), topic, OpenEntry(value, load.entry.batch_id))
            self.store.insert(t, ledger_table(shard), load.entry.batch_id, load.entry)
        for passed in plan.passed:
            self.store.insert(t, ledger_table(shard), passed.entry.batch_id, passed.entry)

    def _copied(self, load: StagedLoad) -> list[StagedRow]:
        """COPY … MANIFEST of mandatory entries, row count checked."""
        manifest = self.database.bucket.read(load.manifest_url)
        if manifest is None:
            raise Unavailable(f"COPY: {load.manifest_url} does not exist", code="XX000", manifest=load.manifest_url)
        rows: list[StagedRow] = []
        for entry in Manifest.decode(manifest).entries:
            data = self.database.bucket.read(entry.url)
            if data is None:
                raise Unavailable(f"COPY: mandatory {entry.url} does not exist", code="XX000", manifest=load.manifest_url)
            if len(data) != entry.size_bytes:
                raise Corrupt(f"COPY: {entry.url} has {len(data)} bytes, its manifest says {entry.size_bytes}")
            rows += self.read_rows(data, load.target)
        if len(rows) != load.rows:
            raise Corrupt(f"COPY of {load.manifest_url}: {len(rows)} rows, expected {load.rows}")
        return rows

    # -- the session

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        """A transaction of this session. An error rolls it back, unless the session was lost with it; a kill leaves it to the server."""
        t = self.session.transaction = self.store.begin()
        try:
            yield t
        except Conflict as error:
            self._end(t)
            raise Unavailable(f"rolled back: {error}") from error
        except Ended as error:
            self._drop_session()
            raise Unavailable(f"the session was ended: {error}") from error
        except PipelineError:
            self._end(t)
            raise
        self._end(t)

    def _end(self, t: Transaction) -> None:
        if self.session.transaction is t:
            self.session.transaction = None
            self.store.rollback(t)

    def _execute(self, effect: str, statement: Callable[[], T]) -> T:
        """One statement. When its answer does not come the session is lost, and its transaction open until the server notices."""
        try:
            return self.gate.cross(f"{self.service}.{effect}", statement)
        except Unavailable:
            self._drop_session()
            raise

    def _commit(self, effect: str, t: Transaction) -> None:
        def commit() -> None:
            try:
                self.store.commit(t)
            except (Conflict, Ended) as error:
                raise Unavailable(f"rolled back at COMMIT: {error}") from error

        try:
            self.gate.cross(f"{self.service}.{effect}", commit, OutcomeUnknown)
        except OutcomeUnknown:
            self._drop_session()
            raise

    def _await_lock(self, t: Transaction, effect: str, table: str, patience: timedelta) -> bool:
        if self.store.lockable(t, table):
            return True
        return self.gate.wait(f"{self.service}.{effect}", lambda: self.store.lockable(t, table), patience)

    def _lock(self, t: Transaction, table: str) -> None:
        if not self._await_lock(t, "commit.lock", table, 2 * LOCK_PATIENCE):
            self.store.rollback(t)
            raise Unavailable(f"statement timeout: the lock on {table} is taken")
        self.store.lock(t, table)

    def _drop_session(self) -> None:
        """The connection is gone: temp tables with it; the server rolls back what is open when it notices."""
        t = self.session.transaction
        self.session = _Session()
        if t is not None and t.open:
            self.gate.later(lambda: self.store.rollback(t))
