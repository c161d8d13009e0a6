"""One commit as ordered SQL. The order is the protocol: the fence's compare-and-set first, so that nobody who lost the shard gets any
further and the transaction's snapshot begins behind that lock; then offsets, then tables by name, then quarantine and ledger.

Nothing here commits by itself (TRUNCATE and VACUUM would) or needs a transaction of its own (ALTER does). Values are always bound.
Source: Redshift guide, "Serializable isolation", "TRUNCATE", "DELETE".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

from contracts.ledger import Fence
from contracts.progress import TableState
from contracts.sql import qualified, quote
from loader.core.plan import CommitPlan, Mode, TableLoad, TargetColumn, TargetTable
from loader.core.target import BARE, DELETED, table_columns

Item = TypeVar("Item")
Bound = None | bool | int | str | datetime

BINDS_MAX = 32_767
"""What one statement may bind. Source: redshift_connector, Int16 of the Parse message."""

QUARANTINE_ROWS_MAX = 64
"""Quarantined values in one INSERT: each may be 64 KiB, and a statement 16 MB."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with `%s` for each value bound. `rows`: how many it must touch, None when any number will do. `target`: whose rows it changes,
    None for the commit tables'."""

    sql: str
    values: tuple[Bound, ...] = ()
    rows: int | None = None
    target: TargetTable | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CommitTables:
    """The commit tables of a shard, as SQL names."""

    schema: str
    shard: int

    def named(self, table: str) -> str:
        return qualified(self.schema, f"{table}_{self.shard}")


def compare_and_set(plan: CommitPlan, tables: CommitTables) -> Statement:
    """The fence moves by one commit. Touches one row, or somebody else owns the shard."""
    held, becomes = plan.expected, plan.fence
    return Statement(
        f"UPDATE {tables.named('fence')} SET commit_no = commit_no + 1, progress_offset = %s, barrier_no = %s, gtid_set = %s, partial = %s,"
        f" commit_ts_us = %s WHERE shard = %s AND epoch = %s AND commit_no = %s",
        (
            becomes.progress_offset,
            becomes.barrier_no,
            str(becomes.gtid_set),
            becomes.partial,
            becomes.commit_ts_us,
            held.shard,
            held.epoch,
            held.commit_no,
        ),
        rows=1,
    )


def hold_fence(fence: Fence, tables: CommitTables) -> Statement:
    """Keeps the shard from being taken over until this transaction ends. Touches one row, or somebody else owns the shard."""
    sql = f"UPDATE {tables.named('fence')} SET epoch = epoch WHERE shard = %s AND epoch = %s"
    return Statement(sql, (fence.shard, fence.epoch), rows=1)


def hold_back(topic: str, tables: CommitTables) -> Statement:
    """The table isn't `ok` before rows of it are committed: from now on it has other columns than at the last barrier."""
    sql = (
        f"UPDATE {tables.named('offsets')} SET state = CASE WHEN state = %s THEN %s ELSE state END, because = %s"
        " WHERE topic = %s AND state <> %s"
    )
    ok, rereading, parked = TableState.OK.value, TableState.REREADING.value, TableState.PARKED.value
    return Statement(sql, (ok, rereading, "its columns were altered, and its rows are on their way", topic, parked))


def after_the_fence(plan: CommitPlan, tables: CommitTables) -> Iterator[Statement]:
    """Every further statement of the transaction, but for its COMMIT."""
    yield from _offsets(plan, tables)
    for load in plan.loads:
        for statement in _apply(load):
            yield replace(statement, target=load.target)
    for load in plan.loads:
        yield from _quarantine(load, plan.at, tables)
    yield from _ledger(plan, tables)


def _offsets(plan: CommitPlan, tables: CommitTables) -> Iterator[Statement]:
    # DELETE and INSERT move any number of topics in two statements. That no blind write does harm is the compare-and-set's work.
    moved = [offset.topic for offset in plan.offsets if offset.topic not in plan.new_topics]
    for topics in _chunks(moved, 1000):
        yield Statement(f"DELETE FROM {tables.named('offsets')} WHERE topic IN ({_marks(len(topics))})", tuple(topics), rows=len(topics))
    rows: list[tuple[Bound, ...]] = [
        (
            o.topic,
            o.partition,
            o.topic_id,
            o.next_offset,
            o.next_seq,
            o.state.value,
            o.state_since_us,
            o.source_table,
            o.target_table,
            o.because,
            o.emptied,
        )
        for o in plan.offsets
    ]
    columns = (
        "topic",
        "partition",
        "topic_id",
        "next_offset",
        "next_seq",
        "state",
        "state_since_us",
        "source_table",
        "target_table",
        "because",
        "emptied",
    )
    yield from _insert(tables.named("offsets"), columns, rows)


def _apply(load: TableLoad) -> Iterator[Statement]:
    target, deleted = load.target, quote(DELETED)
    table = qualified(target.schema, target.name)
    if load.truncate and target.mode is Mode.MERGE:
        yield Statement(f"DELETE FROM {table}")
    if load.truncate and target.mode is Mode.SOFT_DELETE:
        yield Statement(f"UPDATE {table} SET {deleted} = TRUE WHERE NOT {deleted}")
    if load.staged is None:
        return
    staging = quote(load.staged.staging)
    names = ", ".join(quote(column.name) for column in table_columns(target))
    insert = f"INSERT INTO {table} ({names}) SELECT {names} FROM {staging}"
    if target.mode is Mode.APPEND:
        yield Statement(insert, rows=load.staged.rows)
        return
    same_key = " AND ".join(_same(f"{quote(target.name)}.", f"{staging}.", column) for column in target.key_columns)
    delete = f"DELETE FROM {table} USING {staging} WHERE {same_key}"
    if target.mode is Mode.MERGE:
        yield Statement(delete)
        yield Statement(f"{insert} WHERE NOT {deleted}")
    elif not load.staged.bare:  # so each row is staged whole, a delete's as its last one
        yield Statement(delete)
        yield Statement(insert, rows=load.staged.rows)
    else:
        bare, marks = f"{staging}.{quote(BARE)}", f"{staging}.{quote(BARE)} AND {staging}.{deleted}"
        yield Statement(f"UPDATE {table} SET {deleted} = TRUE FROM {staging} WHERE {same_key} AND {marks}")
        yield Statement(f"{delete} AND NOT ({marks})")
        yield Statement(f"{insert} WHERE NOT {bare}")


def _same(left: str, right: str, column: TargetColumn) -> str:
    name = quote(column.name)
    equal = f"{left}{name} = {right}{name}"
    # Redshift ignores trailing spaces when it compares text, MySQL's newer collations don't: 'a' and 'a ' may be two rows.
    # Source: Redshift guide, "Character types: significance of trailing blanks".
    if column.sql_type.startswith("VARCHAR"):
        return f"{equal} AND OCTET_LENGTH({left}{name}) = OCTET_LENGTH({right}{name})"
    return equal


def _quarantine(load: TableLoad, at: datetime, tables: CommitTables) -> Iterator[Statement]:
    """Closes what this load supersedes before it enters what it couldn't load."""
    table, topic = tables.named("quarantine"), load.target.topic
    if load.truncate and load.target.mode.keyed:
        yield Statement(f"UPDATE {table} SET closed_at = %s WHERE topic = %s AND closed_at IS NULL", (utc(at), topic))
    for keys in _chunks(load.closes, 1000):
        yield Statement(
            f"UPDATE {table} SET closed_at = %s WHERE topic = %s AND closed_at IS NULL AND row_key IN ({_marks(len(keys))})",
            (utc(at), topic, *keys),
        )
    columns = (
        "topic",
        "partition",
        "record_offset",
        "row_key",
        "column_name",
        "reason",
        "raw_value",
        "raw_size_bytes",
        "batch_id",
        "quarantined_at",
    )
    rows: list[tuple[Bound, ...]] = [
        (q.topic, q.partition, q.offset, q.key, q.column, q.reason, q.raw, q.raw_size_bytes, load.entry.batch_id, utc(at))
        for q in load.quarantine
    ]
    yield from _insert(table, columns, rows, QUARANTINE_ROWS_MAX)


def _ledger(plan: CommitPlan, tables: CommitTables) -> Iterator[Statement]:
    columns = (
        "batch_id",
        "topic",
        "partition",
        "topic_id",
        "epoch",
        "start_offset",
        "end_offset",
        "records",
        "superseded",
        "applied",
        "quarantined",
        "values_nulled",
        "manifest_key",
        "manifest_sha256",
        "committed_at",
    )
    rows: list[tuple[Bound, ...]] = []
    for e in plan.entries:
        counts = (e.records, e.superseded, e.applied, e.quarantined, e.values_nulled)
        place = (e.batch_id, e.topic, e.partition, e.topic_id, e.epoch, e.offsets.start, e.offsets.stop)
        rows.append((*place, *counts, e.manifest_key, e.manifest_sha256, utc(e.committed_at)))
    yield from _insert(tables.named("ledger"), columns, rows)


def _insert(table: str, columns: Sequence[str], rows: Sequence[tuple[Bound, ...]], rows_max: int = 1000) -> Iterator[Statement]:
    assert rows_max * len(columns) <= BINDS_MAX
    names = ", ".join(quote(column) for column in columns)
    row = f"({_marks(len(columns))})"
    for some in _chunks(rows, rows_max):
        values = tuple(value for one in some for value in one)
        yield Statement(f"INSERT INTO {table} ({names}) VALUES {', '.join([row] * len(some))}", values, rows=len(some))


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)


def utc(at: datetime) -> datetime:
    """As a TIMESTAMP without zone holds it."""
    return at.astimezone(UTC).replace(tzinfo=None)
