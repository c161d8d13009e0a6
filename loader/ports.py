"""What the loader needs from the world.

Real clients (`edges`) and the simulator's fakes fit these; every effect crosses one of them, and the method's name is the name of its
crash point (`loader.<method>`)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from contracts.ledger import Fence, TopicOffset
from contracts.table import TableSchema
from loader.core.plan import CommitPlan, StagedLoad, TargetTable
from loader.core.records import Records

Result = TypeVar("Result")
Done = TypeVar("Done", covariant=True)


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""

    def sleep(self, pause: timedelta) -> None: ...


class Job(Protocol[Done]):
    """Something the worker does, or did."""

    def wait(self, timeout: timedelta) -> bool:
        """Whether it is over, at the latest after `timeout`."""

    def result(self) -> Done:
        """What it returned; raises what it raised. Only once it is over."""


class Worker(Protocol):
    """Does what waits for bucket and warehouse, one thing after the other, beside the loop that reads. It alone uses them."""

    def start(self, task: Callable[[], Result]) -> Job[Result]:
        """Behind everything started before."""

    def close(self) -> None:
        """Returns when what is under way is over; what waited behind it is not begun."""


class Membership(Protocol):
    """The loaders' consumer group on `progress`: Kafka elects who owns which shard."""

    def poll(self, timeout: timedelta) -> frozenset[int]:
        """The shards assigned to this process now. Must be called at least every few seconds, or the group gives them away."""

    def mirror(self, shard: int, next_offsets: Mapping[str, int], note: str) -> None:
        """Commits next offsets by topic to Kafka, with the note as metadata, for lag tools and `mirrored`: partition `shard` of `progress`,
        partition 0 of row topics. Best effort, never raises for refusal."""

    def mirrored(self, shard: int) -> str:
        """The note of the shard's last mirror that reached Kafka; empty when there is none. Raises Unavailable."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LogBounds:
    """The oldest offset kept, the last stable offset (exclusive end of what read_committed can see), and the offset the next record
    will get: between the two lie transactions whose outcome has not reached this partition yet."""

    low: int
    stable_end: int
    end: int


class ShardLog(Protocol):
    """A consumer of one shard's partitions that never joins a group: read_committed, positions given by `seek`, partition 0 of each
    row topic and the shard's partition of `progress`."""

    def seek(self, next_offsets: Mapping[str, int]) -> None:
        """Read exactly these topics on from these offsets; replaces what was read before."""

    def add(self, topic: str, next_offset: int) -> None:
        """Read one topic more."""

    def hold(self, topics: frozenset[str]) -> None:
        """Deliver nothing of exactly these topics until told otherwise; their positions stay. How reading stays within memory."""

    def poll(self, records_max: int, timeout: timedelta) -> list[Records]:
        """What is there, in order within a topic, at most `records_max` records in all; empty after `timeout`. Raises Gone when an offset
        no longer exists, Unavailable."""

    def position(self, topic: str) -> int:
        """The next offset this reader will deliver of a topic; past control records and aborted transactions it has skipped."""

    def bounds(self, topic: str) -> LogBounds: ...

    def retention(self, topics: Collection[str]) -> timedelta | None:
        """The shortest time for which Kafka keeps a record of any of these; None when it keeps them for ever, or this user may not know.
        Raises Unavailable."""

    def topic_id(self, topic: str) -> str:
        """Kafka's own id: a topic that was deleted and made again has another. Raises Gone when there is no such topic."""

    def close(self) -> None: ...


class SchemaBook(Protocol):
    """Table schemas by fingerprint, from the topic `schemas`."""

    def find(self, topic: str, fingerprint: str) -> TableSchema:
        """Raises Corrupt when the topic, read to its end, does not hold it: a row is never published before its schema."""

    def newest(self, topic: str) -> TableSchema:
        """The schema announced last for a row topic; it may be newer than the record at hand. Raises Corrupt when there is none."""


class BatchStore(Protocol):
    """The bucket."""

    def put(self, key: str, data: bytes) -> None:
        """Stores a new object under the bucket's prefix; an existing one is never overwritten (Corrupt). Verified by checksum.
        Raises Unavailable; the object may appear later all the same."""

    def url(self, key: str) -> str:
        """`s3://bucket/prefix/key`."""


@dataclass(frozen=True, slots=True)
class ShardState:
    """Fence and offsets of a shard, from one snapshot; and by topic the row keys that have open quarantine entries."""

    fence: Fence
    offsets: Mapping[str, TopicOffset]
    open_keys: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Warehouse(Protocol):
    """One session with the warehouse."""

    def bump_epoch(self, shard: int, owner: str) -> int:
        """Takes the shard over: epoch + 1 in a transaction of its own, and the epoch granted. Waits for an undecided COMMIT of a
        predecessor, and ends the session that holds the fence for too long. Raises Unavailable, OutcomeUnknown (the epoch may have
        been bumped)."""

    def read_state(self, shard: int) -> ShardState:
        """Fence and offsets in one snapshot, begun after every earlier call of this session ended."""

    def ensure_target(self, target: TargetTable, fence: Fence, *, renewing: bool, afresh: bool = False) -> None:
        """Creates schema, table and grants if they are not there, and makes a table that is there follow its schema, in transactions of its
        own; `renewing`: every row MySQL holds comes anew; `afresh`: so it does, and what was loaded goes first; look at the table, whatever
        was seen or done before. Of a bare target it changes nothing, and asks only whether the table there, if one is, is loaded in the
        target's mode. Raises Unfit when the table there can't follow and can be read again once a person has mended it, Invalid when its
        rows would be lost, or are in a table of another name, Fenced when a newer epoch than `fence` owns the shard, Unavailable,
        OutcomeUnknown."""

    def stage(self, loads: Sequence[StagedLoad]) -> None:
        """COPYs each load into the staging table it names, which then holds its rows and no others; row counts checked. All in one
        transaction, which holds no lock others could wait for. Raises Unavailable, `manifest` and `code` among its fields where the
        warehouse refused one load in its own words, Corrupt."""

    def commit(self, plan: CommitPlan) -> None:
        """The one transaction. Raises Fenced when the compare-and-set fails, Unavailable when it was rolled back for certain (the staging
        tables may be gone with the session: stage again), OutcomeUnknown when COMMIT was sent and its answer lost: then read the
        state after a new epoch, never send it again. Raises Unfit, `topic` among its fields, when a target can't take its rows and can be
        read again (it is gone, or a column of it, or is another one), Invalid when its rows would be lost, or the loader has no right to
        it any more; then, too, it was rolled back, and what was staged is there."""

    def trim(self, fence: Fence, before: datetime) -> int:
        """Forgets batches that were committed before then, unless their objects are still there or they are a topic's last, and quarantined
        values mended before then. Returns how many of both. Raises Fenced when a newer epoch than `fence` owns the shard, Unavailable,
        OutcomeUnknown."""

    def close(self) -> None: ...
