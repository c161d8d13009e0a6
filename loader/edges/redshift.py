"""Redshift as the loader uses it: the commit tables, the takeover of a shard, staging, and the one transaction.

Source: Redshift guide, "Serializable isolation", "SVV_TRANSACTIONS".
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from redshift_connector.core import Connection

from contracts.errors import Corrupt, Fenced, Invalid, OutcomeUnknown, PipelineError, Refused, Unavailable
from contracts.ledger import Fence, Guard, TopicOffset, ledger_ddl
from contracts.position import GtidSet
from contracts.progress import TableState
from contracts.sql import qualified, quote
from loader.core.plan import CommitPlan, StagedLoad, TargetTable
from loader.core.refusal import NOT_ALLOWED, of_table, refusal
from loader.core.staging import COPIED_ROWS, STAGED, StagingTables
from loader.core.statements import CommitTables, Statement, after_the_fence, compare_and_set
from loader.core.status import Watermark
from loader.core.trimming import trimming
from loader.edges.session import Session
from loader.edges.targets import Former, TargetTables, nothing_known
from loader.ports import ShardState
from runtime.crash import crash_point

QUERY_CANCELED = "57014"
PREPARE_TRIES = 5


@dataclass(frozen=True, slots=True)
class WarehouseOptions:
    """`schema`: of the commit tables. `lock_patience`: how long a takeover waits for the fence's lock before it ends the session that
    holds it. `statement_timeout`: the session's own, as its connection sets it."""

    schema: str
    iam_role: str
    lock_patience: timedelta
    statement_timeout: timedelta
    grant_select_to: Sequence[str] = ()


class _LockedOut(Exception):
    """A statement waited for a lock longer than it may."""


class RedshiftWarehouse:
    """The loader's `Warehouse` over redshift_connector. Right under SNAPSHOT isolation and under SERIALIZABLE: every transaction that
    writes begins with the write that others would be in the way of."""

    def __init__(self, connect: Callable[[], Connection], options: WarehouseOptions, former: Former = nothing_known) -> None:
        """`connect`: a new connection; raises Unavailable, Invalid. `former`: what targets were by schemas loaded before."""
        self._session = Session(connect)
        self._options = options
        self._staging = StagingTables()
        self._staging_session = 0
        self._targets = TargetTables(self._session, options.schema, options.grant_select_to, former)
        self._log = structlog.get_logger()

    def prepare(self, guard: Guard) -> None:
        """Makes the commit tables and their first rows, or checks that those there are this pipeline's. Raises Refused for another
        bucket, prefix, cluster or pipeline, Invalid for another number of shards or a database that does not know a key from another,
        Unavailable."""
        self._refuse_collation()
        for _ in range(PREPARE_TRIES):
            held = self.guard()
            if held is not None:
                _refuse_other(held, guard, self._options.schema)
                return
            try:
                self._create(guard)
            except (Unavailable, Invalid) as error:
                # Two loaders of a new pipeline make the same tables; one of them is told so in many ways.
                self._log.warning("pipeline.creation_contested", message=error.message)
                contested = error
                time.sleep(1)
        raise contested

    def guard(self) -> Guard | None:
        """Whose ledger the schema holds; None when there is none yet."""
        table = qualified(self._options.schema, "pipeline")
        with self._session.transaction() as transaction:
            there = transaction.run("SELECT 1 FROM svv_tables WHERE table_schema = %s AND table_name = 'pipeline'", (self._options.schema,))
            rows = transaction.run(f"SELECT id, bucket, prefix, cluster_id, shards FROM {table}") if there else []
        if len(rows) > 1:
            raise Corrupt(f"{table} has {len(rows)} rows; it must have one")
        return Guard(*rows[0]) if rows else None

    def regrant(self, held: Fence, epoch: int, commit_no: int, owner: str) -> None:
        """The shard of a restored warehouse goes on from there. Raises Fenced when the fence is not as it was."""
        table = CommitTables(self._options.schema, held.shard).named("fence")
        with self._session.transaction() as transaction:
            moved = Statement(
                f"UPDATE {table} SET epoch = %s, commit_no = %s, owner = %s WHERE shard = %s AND epoch = %s AND commit_no = %s",
                (epoch, commit_no, owner, held.shard, held.epoch, held.commit_no),
            )
            if transaction.touch(moved) != 1:
                raise Fenced(
                    f"shard {held.shard} is no longer at epoch {held.epoch}, commit {held.commit_no}: stop its loaders, and try again"
                )
            transaction.commit(f"epoch {epoch} of shard {held.shard}")

    def move_guard(self, guard: Guard) -> None:
        """The ledger is of this warehouse from now on: a backup of another was restored into it. Raises as `prepare` for anything else
        that differs."""
        held = self.guard()
        if held is None:
            raise Invalid(f"schema {self._options.schema} holds no ledger yet: start the loader first")
        _refuse_other(replace(held, cluster=guard.cluster), guard, self._options.schema)
        with self._session.transaction() as transaction:
            transaction.run(f"UPDATE {qualified(self._options.schema, 'pipeline')} SET cluster_id = %s", (guard.cluster,))
            transaction.commit("the warehouse's own name")

    def bump_epoch(self, shard: int, owner: str) -> int:
        # Whoever held the shard meanwhile may have changed its tables.
        self._targets.forget()
        try:
            return self._bump(shard, owner, self._options.lock_patience)
        except _LockedOut:
            self._end_holders(shard)
        try:
            return self._bump(shard, owner, self._options.statement_timeout)
        except _LockedOut as error:
            raise Unavailable(f"the fence of shard {shard} stays locked by a session that is not ours to end") from error

    def read_state(self, shard: int) -> ShardState:
        tables = CommitTables(self._options.schema, shard)
        with self._session.transaction() as transaction:
            fences = transaction.run(
                "SELECT shard, epoch, commit_no, owner, progress_offset, barrier_no, gtid_set, partial, commit_ts_us"
                f" FROM {tables.named('fence')} WHERE shard = %s",
                (shard,),
            )
            offsets = transaction.run(
                'SELECT topic, "partition", topic_id, next_offset, next_seq, state, state_since_us, source_table, target_table, because,'
                f" emptied FROM {tables.named('offsets')}"
            )
            open_keys = transaction.run(
                f"SELECT DISTINCT topic, row_key FROM {tables.named('quarantine')} WHERE closed_at IS NULL AND row_key IS NOT NULL"
            )
        if len(fences) != 1:
            raise Corrupt(f"{tables.named('fence')} has {len(fences)} rows for shard {shard}; it must have one", shard=shard)
        keys_by_topic: dict[str, set[str]] = {}
        for topic, key in open_keys:
            keys_by_topic.setdefault(topic, set()).add(key)
        return ShardState(
            fence=_fence(fences[0]),
            offsets={row[0]: _topic_offset(row) for row in offsets},
            open_keys={topic: frozenset(keys) for topic, keys in keys_by_topic.items()},
        )

    def ensure_target(self, target: TargetTable, fence: Fence, *, renewing: bool, afresh: bool = False) -> None:
        self._targets.ensure(target, fence, renewing=renewing, afresh=afresh)

    def preparation(self, target: TargetTable, *, renewing: bool, afresh: bool) -> list[str]:
        return self._targets.preparation(target, renewing=renewing, afresh=afresh)

    def stage(self, loads: Sequence[StagedLoad]) -> None:
        with self._session.transaction() as transaction:
            staging = self._staging_now()
            for load in loads:
                for statement in staging.fill(load, self._options.iam_role):
                    with self._staged(load):
                        transaction.run(statement)
                copied = transaction.run(COPIED_ROWS)[0][0]
                if copied != load.rows:
                    raise Corrupt(
                        f"COPY of {load.manifest_url} loaded {copied} rows, but {load.rows} were written: an object of it was changed",
                        manifest=load.manifest_url,
                        rows=load.rows,
                        copied=copied,
                    )
            try:
                transaction.commit("staging")
            except OutcomeUnknown as error:
                # Staging tables are the session's own, and it is over.
                raise Unavailable(error.message) from error
            self._staging = staging

    def commit(self, plan: CommitPlan) -> None:
        tables, shard = CommitTables(self._options.schema, plan.fence.shard), plan.fence.shard
        with self._session.transaction() as transaction:
            staging = self._staging_now()
            staged = [load.staged for load in plan.loads if load.staged is not None]
            if any(load.staging not in staging.filled for load in staged):
                raise Unavailable("the staging tables went with the session they were filled in")
            if transaction.touch(compare_and_set(plan, tables)) != 1:
                raise Fenced(
                    f"shard {shard} is no longer at epoch {plan.expected.epoch}, commit {plan.expected.commit_no}",
                    shard=shard,
                    epoch=plan.expected.epoch,
                    commit_no=plan.expected.commit_no,
                )
            for statement in after_the_fence(plan, tables):
                with self._telling_whose(statement):
                    touched = transaction.touch(statement)
                if statement.rows is not None and touched != statement.rows:
                    raise Corrupt(f"{touched} rows touched where {statement.rows} must be: {statement.sql[:200]}", shard=shard)
            for load in staged:
                for clearing in staging.clear(load):
                    transaction.run(clearing)
            crash_point("loader.commit.merged")
            transaction.commit(f"commit {plan.fence.commit_no} of shard {shard}")
            self._staging = staging

    def trim(self, fence: Fence, before: datetime) -> int:
        tables = CommitTables(self._options.schema, fence.shard)
        with self._session.transaction() as transaction:
            transaction.hold(fence, tables)
            forgotten = sum(transaction.touch(statement) for statement in trimming(before, tables))
            transaction.commit(f"what shard {fence.shard} forgets of its ledger")
        return forgotten

    @contextmanager
    def _telling_whose(self, statement: Statement) -> Iterator[None]:
        """What a target can't do concerns that table alone."""
        try:
            yield
        except (Invalid, Unavailable) as error:
            target, code = statement.target, str(error.fields.get("code", ""))
            if target is None or not code:
                raise
            self._refuse_lost_staging(error)
            told = refusal(target, code, error.message, self._options.grant_select_to)
            if told is None and isinstance(error, Unavailable):
                raise of_table(error, target) from error
            raise told or error from error

    @contextmanager
    def _staged(self, load: StagedLoad) -> Iterator[None]:
        try:
            yield
        except (Invalid, Unavailable) as error:
            self._refuse_lost_staging(error)
            if isinstance(error, Unavailable):
                raise of_table(error, load.target, manifest=load.manifest_url) from error
            raise

    def _refuse_lost_staging(self, error: PipelineError) -> None:
        """Raises Unavailable for a staging table that is gone while its session seems the same: no target's fault. Redshift may start a
        session anew by itself. Source: Redshift guide, "STL_RESTARTED_SESSIONS"."""
        if error.fields.get("code") == "42P01" and STAGED in error.message:
            self._session.forget()
            raise Unavailable(f"a staging table went, so its session is another: {error.message}") from error

    def _staging_now(self) -> StagingTables:
        """A copy, to become what is there once its statements are committed."""
        if self._staging_session != self._session.number:
            self._staging, self._staging_session = StagingTables(), self._session.number
        return self._staging.copy()

    def close(self) -> None:
        self._session.forget()

    def watermarks(self) -> list[Watermark]:
        """What the view says of every table, by name."""
        columns = ", ".join(field.name for field in fields(Watermark))
        rows = self._session.run(f"SELECT {columns} FROM {qualified(self._options.schema, 'watermarks')} ORDER BY source_table")
        return [Watermark(*map(_plain, row)) for row in rows]

    def check(self) -> None:
        """Raises what `prepare` would of this database, and `stage` if this user may not make temp tables."""
        self._refuse_collation()
        with self._session.transaction() as transaction:
            transaction.run(f"CREATE TEMP TABLE {quote('tidemark_check')} (a INTEGER)")

    def _refuse_collation(self) -> None:
        """Where text is compared without its case, the row of one key would be deleted for another's. Source: Redshift guide,
        "DB_COLLATION"."""
        ((collation,),) = self._session.run("SELECT db_collation()")
        if collation != "case_sensitive":
            raise Invalid(
                f"the database compares text by {collation}: a row would be taken for another whose key differs in case alone. Make"
                " one with CREATE DATABASE … COLLATE CASE_SENSITIVE, and set redshift.database to it",
                collation=collation,
            )

    def _create(self, guard: Guard) -> None:
        schema = self._options.schema
        for statement in ledger_ddl(quote(schema), guard.shards):
            self._session.run(statement)
        table = qualified(schema, "pipeline")
        with self._session.transaction() as transaction:
            transaction.run(f"LOCK {table}")  # takes no snapshot: what is read next is what the one before us committed
            if transaction.run(f"SELECT 1 FROM {table}"):
                return
            for shard in range(guard.shards):
                fence = CommitTables(schema, shard).named("fence")
                transaction.run(
                    f"INSERT INTO {fence} (shard, epoch, commit_no, owner, progress_offset, barrier_no, gtid_set, partial, commit_ts_us)"
                    " VALUES (%s, 0, 0, '', 0, 0, '', FALSE, 0)",
                    (shard,),
                )
            transaction.run(
                f"INSERT INTO {table} (id, bucket, prefix, cluster_id, shards, created_at) VALUES (%s, %s, %s, %s, %s, %s)",
                (guard.pipeline, guard.bucket, guard.prefix, guard.cluster, guard.shards, datetime.now(UTC).replace(tzinfo=None)),
            )
            transaction.commit(f"the first rows of schema {schema}")
        self._log.info("pipeline.created", schema=schema, shards=guard.shards)

    def _bump(self, shard: int, owner: str, patience: timedelta) -> int:
        """Raises _LockedOut when the fence stays locked for `patience`."""
        table = CommitTables(self._options.schema, shard).named("fence")
        with self._limited(patience), self._session.transaction() as transaction:
            try:
                transaction.run(f"UPDATE {table} SET epoch = epoch + 1, owner = %s WHERE shard = %s", (owner[:256], shard))
            except Unavailable as error:
                if error.fields.get("code") != QUERY_CANCELED:
                    raise
                raise _LockedOut from error
            epochs = transaction.run(f"SELECT epoch FROM {table} WHERE shard = %s", (shard,))
            if len(epochs) != 1:
                raise Corrupt(f"{table} has {len(epochs)} rows for shard {shard}; it must have one", shard=shard)
            transaction.commit(f"epoch {epochs[0][0]} of shard {shard}")
        return int(epochs[0][0])

    def _end_holders(self, shard: int) -> None:
        """Ends the sessions that hold the fence's lock: a predecessor that is gone, or hangs in its transaction. Its COMMIT, if it was
        sent, has happened or never will. Another user's (the janitor's, a person's) is named and left."""
        holders = self._session.run(
            "SELECT DISTINCT t.pid FROM svv_transactions AS t JOIN pg_class AS c ON c.oid = t.relation"
            " JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = %s AND t.granted AND t.lock_mode <> 'AccessShareLock' AND t.pid <> pg_backend_pid()",
            (self._options.schema, f"fence_{shard}"),
        )
        for (pid,) in holders:
            try:
                self._session.run("SELECT pg_terminate_backend(%s)", (pid,))
            except Invalid as error:
                if error.fields.get("code") != NOT_ALLOWED:
                    raise
                self._log.warning("session.not_ours", shard=shard, pid=pid, message=error.message)
            else:
                self._log.warning("session.ended", shard=shard, pid=pid)

    @contextmanager
    def _limited(self, limit: timedelta) -> Iterator[None]:
        """Statements of this session end after `limit` while the block runs."""
        self._limit_statements(limit)
        try:
            yield
        finally:
            if self._session.is_open:
                try:
                    self._limit_statements(self._options.statement_timeout)
                except PipelineError:
                    self._session.forget()

    def _limit_statements(self, limit: timedelta) -> None:
        self._session.run(f"SET statement_timeout TO {math.ceil(limit.total_seconds() * 1000)}")


def _refuse_other(held: Guard, ours: Guard, schema: str) -> None:
    """The ledger there must be of this pipeline, bucket and warehouse; with another's nothing can be proven."""
    for name in ("pipeline", "bucket", "prefix", "cluster"):
        if getattr(held, name) != getattr(ours, name):
            restored = " When it was restored from a backup of that one: loader adopt-warehouse." if name == "cluster" else ""
            raise Refused(
                f"schema {schema} holds the ledger of {name} {getattr(held, name)!r}, the settings say {getattr(ours, name)!r}."
                f" Set redshift.schema to a schema of this pipeline's own, or mend the setting.{restored}",
                schema=schema,
                setting=name,
            )
    if held.shards != ours.shards:
        raise Invalid(
            f"state_shards is {ours.shards}, but the pipeline was created with {held.shards}; it is fixed for a pipeline's life."
            f" Set state_shards: {held.shards}"
        )


def _plain(value: Any) -> Any:
    """A catalog's or an aggregate's value: times are UTC, sums come as DECIMAL."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    return int(value) if isinstance(value, Decimal) else value


def _fence(row: Sequence[Any]) -> Fence:
    shard, epoch, commit_no, owner, progress_offset, barrier_no, gtid_set, partial, commit_ts_us = row
    return Fence(shard, epoch, commit_no, owner, progress_offset, barrier_no, GtidSet.parse(gtid_set), partial, commit_ts_us)


def _topic_offset(row: Sequence[Any]) -> TopicOffset:
    topic, partition, topic_id, next_offset, next_seq, state, *rest = row
    return TopicOffset(topic, partition, topic_id, next_offset, next_seq, TableState(state), *rest)
