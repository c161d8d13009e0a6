"""What travels from a cut to a commit: a table's share of a micro-batch, its Parquet, and the one transaction that makes all of them
visible."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import pyarrow as pa

from contracts.batch import BatchKey
from contracts.errors import Unfit
from contracts.ledger import Fence, LedgerEntry, TopicOffset
from contracts.offsets import OffsetRange
from contracts.table import TableId, TableSchema

PARTITION = 0
"""Row topics have one partition: a table's order is its offset order."""


class Mode(StrEnum):
    """How a target table follows its source: `merge` equals it, `soft_delete` keeps the last row of a key that is gone and marks it,
    `append` holds every event as a row."""

    MERGE = "merge"
    SOFT_DELETE = "soft_delete"
    APPEND = "append"

    @property
    def keyed(self) -> bool:
        """A key has one row: the last change of it is loaded, in the place of the row before."""
        return self is not Mode.APPEND


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column of a target table: the source column's name, the target's (lower case, unquoted), its Redshift type as SQL."""

    source: str
    name: str
    sql_type: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class TargetTable:
    """Where a source table's rows go. `columns` in table order without the columns the mode adds, none in a bare one; `key` by target
    names, empty only in append mode and in a bare one."""

    topic: str
    source: TableSchema
    schema: str
    name: str
    columns: tuple[TargetColumn, ...]
    key: tuple[str, ...]
    mode: Mode

    @property
    def key_columns(self) -> tuple[TargetColumn, ...]:
        """In key order."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.key)

    @property
    def bare(self) -> "TargetTable":
        """Table and mode alone: what a TRUNCATE, which names no schema, has to do with."""
        return replace(self, columns=(), key=())


@dataclass(frozen=True, slots=True)
class QuarantinedValue:
    """A value, or with `column` None a whole change, that could not be loaded: kept with its reason and raw text."""

    topic: str
    partition: int
    offset: int
    key: str | None
    column: str | None
    reason: str
    raw: str
    raw_size_bytes: int


@dataclass(frozen=True, slots=True)
class Staged:
    """Changes as the rows of their staging table, in offset order. `superseded`: changes left out for a later one of their row; `unformed`:
    changes quarantined whole, which are in `quarantine` with the values loaded as NULL."""

    table: pa.Table
    superseded: int
    unformed: int
    quarantine: tuple[QuarantinedValue, ...]


class Changes(Protocol):
    """Changes of one topic and one schema in offset order, never empty; a TRUNCATE is alone."""

    def __len__(self) -> int: ...

    @property
    def size_bytes(self) -> int:
        """Of the Kafka records they came in."""

    @property
    def stop_offset(self) -> int:
        """Behind the last one."""

    @property
    def commit_ts_us(self) -> int:
        """Of the first one."""

    @property
    def truncate(self) -> bool: ...

    def message_keys(self) -> Iterator[bytes | None]:
        """Every change's message key, in order."""

    def staged(self, schema: TableSchema, target: TargetTable) -> Staged:
        """What of them goes into the staging table. Called once: it may use them up."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a topic's changes of one schema go."""

    schema: TableSchema
    target: TargetTable


@dataclass(frozen=True, slots=True)
class Nowhere:
    """There is no target for a topic's changes of one schema, and `because` says why."""

    schema: TableSchema
    because: Unfit


@dataclass(frozen=True, slots=True)
class TableBatch:
    """One table's changes between two barriers, all of one schema, in offset order. `offsets` tiles on from the batch before.
    `truncate`: the only change is a TRUNCATE of the table."""

    topic: str
    partition: int
    schema: TableSchema
    offsets: OffsetRange
    next_seq: int
    changes: Changes

    @property
    def truncate(self) -> bool:
        return self.changes.truncate


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A TableBatch as Parquet for the staging table (`parquet` is None when there is nothing to COPY), with every record accounted for:
    records = superseded + applied + quarantined. `rows`: rows in the file. `bare`: some of them, in soft_delete mode, are keys alone."""

    parquet: bytes | None
    rows: int
    records: int
    superseded: int
    applied: int
    quarantined: int
    values_nulled: int
    quarantine: tuple[QuarantinedValue, ...] = ()
    bare: bool = False


@dataclass(frozen=True, slots=True)
class StagedLoad:
    """What COPY brings into staging: the manifest's URL and the rows it must hold. `staging` names the target's temp table. `bare`: as of
    EncodedBatch."""

    target: TargetTable
    staging: str
    manifest_url: str
    rows: int
    bare: bool = False


@dataclass(frozen=True, slots=True)
class TableLoad:
    """One table's part in a commit. `staged` is None when there is nothing to load (TRUNCATE, or every change quarantined). `truncate`:
    what the target holds goes first.
    `closes`: row keys whose open quarantine entries this load supersedes; a TRUNCATE supersedes all of the table's."""

    target: TargetTable
    key: BatchKey
    staged: StagedLoad | None
    truncate: bool
    entry: LedgerEntry
    quarantine: tuple[QuarantinedValue, ...]
    closes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passed:
    """A table's part of a commit that leaves the target as it is: all of `entry`'s records are superseded, by the rows that will be read
    anew. `target`: the target's name as SQL, empty when it has none. `because`, `emptied`: see TopicOffset."""

    topic: str
    source: TableId
    target: str
    entry: LedgerEntry
    because: str
    emptied: bool


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """The one transaction. First the compare-and-set: the fence must still be at `expected`'s epoch and commit_no, and becomes `fence`;
    then offsets, rows, quarantine, ledger. `offsets` holds the topics that moved; a topic's first batch inserts its row (`new_topics`).
    """

    expected: Fence
    fence: Fence
    offsets: tuple[TopicOffset, ...]
    new_topics: frozenset[str]
    loads: tuple[TableLoad, ...]
    at: datetime
    passed: tuple[Passed, ...] = ()

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """What the ledger gets."""
        return (*(load.entry for load in self.loads), *(passed.entry for passed in self.passed))
