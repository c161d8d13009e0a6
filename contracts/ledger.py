"""The commit tables in the warehouse: their rows as values, and the DDL that makes them (`ledger.sql`).

The fence row of a shard is the truth about what is loaded: it moves by compare-and-set on (epoch, commit_no), in the transaction that
carries the rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from contracts.offsets import OffsetRange
from contracts.position import GtidSet
from contracts.progress import TableState


@dataclass(frozen=True, slots=True)
class Fence:
    """A shard's one row: who may commit (`epoch`), how often was committed (`commit_no`), and up to which barrier.

    `progress_offset`: next offset to read of the shard's partition of `progress`. `gtid_set`, `commit_ts_us` (complete up to) are those of
    the last whole barrier; `partial` is true while the last commit ended inside a source transaction.
    """

    shard: int
    epoch: int
    commit_no: int
    owner: str
    progress_offset: int
    barrier_no: int
    gtid_set: GtidSet
    partial: bool
    commit_ts_us: int


@dataclass(frozen=True, slots=True)
class TopicOffset:
    """How far one topic partition is loaded: next offset and next seq to read. Grows only, and only together with the fence's commit_no.
    `topic_id` is Kafka's: a recreated topic is another topic. `because`: why the table is parked, and what to run, or that its target
    was altered and its rows are on their way; else empty.
    `emptied`: a TRUNCATE was read since, so whatever the target holds goes with the first rows that fit it."""

    topic: str
    partition: int
    topic_id: str
    next_offset: int
    next_seq: int
    state: TableState
    state_since_us: int
    source_table: str
    target_table: str
    because: str = ""
    emptied: bool = False


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A committed batch. The ranges of a partition tile [first, next_offset) without gap or overlap; every record read is accounted for."""

    batch_id: str
    topic: str
    partition: int
    topic_id: str
    epoch: int
    offsets: OffsetRange
    records: int
    superseded: int
    applied: int
    quarantined: int
    values_nulled: int
    manifest_key: str
    manifest_sha256: str
    committed_at: datetime
    object_deleted_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.records != self.superseded + self.applied + self.quarantined:
            raise ValueError(
                f"batch {self.batch_id} of {self.topic} {self.offsets}: {self.records} records read, but {self.superseded} superseded"
                f" + {self.applied} applied + {self.quarantined} quarantined"
            )


@dataclass(frozen=True, slots=True)
class Guard:
    """The one row of `pipeline`: whose ledger this schema holds. Who finds another bucket, prefix or cluster than its own settings name
    has a copy or somebody else's ledger before it, and touches nothing. `cluster`: see `cluster_id`."""

    pipeline: str
    bucket: str
    prefix: str
    cluster: str
    shards: int


def cluster_id(host: str, port: int, database: str) -> str:
    """The warehouse a ledger was made in: a restored copy of it answers elsewhere."""
    return f"{host}:{port}/{database}"


SHARDED = ("fence", "offsets", "ledger", "quarantine")


def ledger_ddl(schema: str, shards: int) -> Iterator[str]:
    """Every statement that makes the commit tables in `schema` (quoted), in order, each safe to repeat. Run each with autocommit."""
    per_shard, shared, watermarks = _sections()
    yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
    for shard in range(shards):
        for statement in per_shard:
            yield statement.format(schema=schema, shard=shard)
    for statement in shared:
        yield statement.format(schema=schema)
    for name in SHARDED:
        # The fence's row names its shard; the other tables' rows get it here.
        column = "" if name == "fence" else "{shard} AS shard, "
        parts = [f"SELECT {column.format(shard=shard)}t.* FROM {schema}.{name}_{shard} AS t" for shard in range(shards)]
        yield f"CREATE OR REPLACE VIEW {schema}.{name} AS {' UNION ALL '.join(parts)}"
    for statement in watermarks:
        yield statement.format(schema=schema)


def _sections() -> tuple[list[str], list[str], list[str]]:
    text = files("contracts").joinpath("ledger.sql").read_text(encoding="utf-8")
    _, _, rest = text.partition("-- per shard\n")
    per_shard, _, rest = rest.partition("-- shared\n")
    shared, _, watermarks = rest.partition("-- watermarks\n")
    return _statements(per_shard), _statements(shared), _statements(watermarks)


def _statements(text: str) -> list[str]:
    return [statement.strip() for statement in text.split(";\n") if statement.strip()]
