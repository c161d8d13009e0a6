"""What travels from a cut to a commit: a table's share of a micro-batch, its Parquet, and the one transaction that makes all of them
visible."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.batch import BatchKey
from contracts.envelope import Envelope
from contracts.ledger import Fence, LedgerEntry, TopicOffset
from contracts.offsets import OffsetRange
from contracts.table import TableSchema


class Mode(StrEnum):
    """How a target table follows its source: `merge` equals it, `append` holds every event as a row."""

    MERGE = "merge"
    APPEND = "append"


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as the reader delivered it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Change:
    """A row change read from a topic: its offset, its message key as bytes (what identifies the row), and the envelope."""

    offset: int
    key: bytes | None
    envelope: Envelope
    size_bytes: int


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column of a target table: the source column's name, the target's (lower case, unquoted), its Redshift type as SQL."""

    source: str
    name: str
    sql_type: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class TargetTable:
    """Where a source table's rows go. `columns` in table order without the columns the mode adds; `key` by target names, empty only in
    append mode."""

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


@dataclass(frozen=True, slots=True)
class TableBatch:
    """One table's changes between two barriers, all of one schema, in offset order. `offsets` tiles on from the batch before.
    `truncate`: the only change is a TRUNCATE of the table."""

    topic: str
    partition: int
    schema: TableSchema
    offsets: OffsetRange
    next_seq: int
    changes: Sequence[Change]

    @property
    def truncate(self) -> bool:
        return len(self.changes) == 1 and self.changes[0].envelope.op.value == "t"


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
class EncodedBatch:
    """A TableBatch as Parquet for the staging table (`parquet` is None when there is nothing to COPY), with every record accounted for:
    records = superseded + applied + quarantined. `rows`: rows in the file."""

    parquet: bytes | None
    rows: int
    records: int
    superseded: int
    applied: int
    quarantined: int
    values_nulled: int
    quarantine: tuple[QuarantinedValue, ...] = ()


@dataclass(frozen=True, slots=True)
class StagedLoad:
    """What COPY brings into staging: the manifest's URL and the rows it must hold. `staging` names this attempt's temp table."""

    target: TargetTable
    staging: str
    manifest_url: str
    rows: int


@dataclass(frozen=True, slots=True)
class TableLoad:
    """One table's part in a commit. `staged` is None when there is nothing to merge (TRUNCATE, or every change quarantined).
    `closes`: row keys whose open quarantine entries this load supersedes; a TRUNCATE supersedes all of the table's."""

    target: TargetTable
    key: BatchKey
    staged: StagedLoad | None
    truncate: bool
    entry: LedgerEntry
    quarantine: tuple[QuarantinedValue, ...]
    closes: tuple[str, ...] = ()


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
