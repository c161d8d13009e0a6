"""The loader's ports as scripted actors: each notes what is asked of it in one journal, and fails when told to."""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from contracts.errors import Gone, PipelineError
from contracts.ledger import Fence
from contracts.position import GtidSet
from contracts.table import TableSchema
from loader.core.plan import CommitPlan, EncodedBatch, StagedLoad, TableBatch, TargetTable
from loader.core.records import Record, Records
from loader.ports import LogBounds, ShardState
from tests.loader.core.reading import NOW, SCHEMA

Result = TypeVar("Result")


@dataclass
class Journal:
    """Effects in order. `faults`: by effect, what its next calls raise; None lets one pass."""

    effects: list[str] = field(default_factory=list)
    faults: dict[str, deque[PipelineError | None]] = field(default_factory=dict)

    def note(self, effect: str) -> None:
        self.effects.append(effect)
        waiting = self.faults.get(effect.split(" ")[0])
        fault = waiting.popleft() if waiting else None
        if fault is not None:
            raise fault

    def fail(self, effect: str, *errors: PipelineError | None) -> None:
        self.faults[effect] = deque(errors)


class Time:
    def __init__(self) -> None:
        self.at = NOW
        self.slept: list[timedelta] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, pause: timedelta) -> None:
        self.slept.append(pause)
        self.at += pause


class Inline:
    """A worker that does everything at once; while it is `busy`, when it is asked about it later."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.busy = False
        self.started: list[Task[Any]] = []

    def start(self, task: Callable[[], Result]) -> "Task[Result]":
        job = Task(self, task)
        self.started.append(job)
        job.wait(timedelta(0))
        return job

    def close(self) -> None:
        self.journal.note("worker ends")


class Task(Generic[Result]):
    def __init__(self, worker: Inline, task: Callable[[], Result]) -> None:
        self.worker = worker
        self.task = task
        self.over = False
        self.value: Result | None = None
        self.error: PipelineError | None = None

    def wait(self, timeout: timedelta) -> bool:
        if not self.over and not self.worker.busy:
            self.over = True
            try:
                self.value = self.task()
            except PipelineError as error:
                self.error = error
        return self.over

    def result(self) -> Result:
        if self.error is not None:
            raise self.error
        return cast(Result, self.value)


class Store:
    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        self.journal.note(f"put {key.rpartition('.')[2]}")
        self.objects[key] = data

    def url(self, key: str) -> str:
        return f"s3://lake/{key}"


class Book:
    def find(self, topic: str, fingerprint: str) -> TableSchema:
        return SCHEMA

    def newest(self, topic: str) -> TableSchema:
        return SCHEMA


class Shelf:
    """A warehouse that remembers one shard's fence and what it was told to commit."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.fence = Fence(0, 0, 0, "", 0, 0, GtidSet(), False, 0)
        self.state = ShardState(self.fence, {})
        self.plans: list[CommitPlan] = []

    def bump_epoch(self, shard: int, owner: str) -> int:
        self.journal.note("bump")
        self.state = replace(self.state, fence=replace(self.state.fence, epoch=self.state.fence.epoch + 1, owner=owner))
        return self.state.fence.epoch

    def read_state(self, shard: int) -> ShardState:
        self.journal.note("read")
        return self.state

    def ensure_target(self, target: TargetTable, fence: Fence, *, renewing: bool, afresh: bool = False) -> None:
        self.journal.note("ensure" + " renewing" * renewing + " afresh" * afresh + " bare" * (not target.columns))

    def stage(self, loads: Sequence[StagedLoad]) -> None:
        self.journal.note(f"stage {' '.join(load.target.name for load in loads)}")

    def commit(self, plan: CommitPlan) -> None:
        self.journal.note("commit")
        self.plans.append(plan)
        offsets = {**self.state.offsets, **{offset.topic: offset for offset in plan.offsets}}
        self.state = ShardState(plan.fence, offsets)

    def trim(self, fence: Fence, before: datetime) -> int:
        self.journal.note(f"trim before {before:%Y-%m-%d %H:%M}")
        return 2

    def close(self) -> None:
        self.journal.note("close warehouse")


class Group:
    def __init__(self, journal: Journal, *shards: int) -> None:
        self.journal = journal
        self.shards = frozenset(shards)
        self.mirrored_notes: list[tuple[int, dict[str, int], str]] = []

    def poll(self, timeout: timedelta) -> frozenset[int]:
        return self.shards

    def mirror(self, shard: int, next_offsets: Mapping[str, int], note: str) -> None:
        self.journal.note("mirror")
        self.mirrored_notes.append((shard, dict(next_offsets), note))

    def mirrored(self, shard: int) -> str:
        return next((note for number, _, note in reversed(self.mirrored_notes) if number == shard), "")

    def close(self) -> None:
        self.journal.note("leave")


class Log:
    """Topics as lists of records; `low` and `ends` of topics that differ from what the lists say."""

    def __init__(self, journal: Journal, records: dict[str, list[Record]]) -> None:
        self.journal = journal
        self.records = records
        self.low: dict[str, int] = {}
        self.ids: dict[str, str] = {}
        self.gone: set[str] = set()
        self.positions: dict[str, int] = {}
        self.held: frozenset[str] = frozenset()
        self.closed = False

    def seek(self, next_offsets: Mapping[str, int]) -> None:
        self.journal.note("seek")
        self.positions = dict(next_offsets)

    def add(self, topic: str, next_offset: int) -> None:
        self.journal.note(f"add {topic}")
        self.positions[topic] = next_offset

    def hold(self, topics: frozenset[str]) -> None:
        self.held = topics

    def poll(self, records_max: int, timeout: timedelta) -> list[Records]:
        self.journal.note("poll")
        out: list[Records] = []
        for topic, position in self.positions.items():
            if topic not in self.held:
                found = [record for record in self.records[topic] if record.offset >= position]
                if found:
                    out.append(Records.of(*found))
                self.positions[topic] = found[-1].offset + 1 if found else position
        return out

    def position(self, topic: str) -> int:
        return max(self.positions[topic], self.low.get(topic, 0))

    def bounds(self, topic: str) -> LogBounds:
        end = max(self.low.get(topic, 0), *(record.offset + 1 for record in self.records[topic]), 0)
        return LogBounds(self.low.get(topic, 0), end, end)

    def retention(self, topics: Collection[str]) -> timedelta | None:
        return timedelta(hours=168)

    def topic_id(self, topic: str) -> str:
        if topic in self.gone:
            raise Gone(f"there is no topic {topic}")
        return self.ids.get(topic, "id-1")

    def close(self) -> None:
        self.closed = True


def encode_all(batch: TableBatch, target: TargetTable) -> EncodedBatch:
    """Every change applied; a TRUNCATE stages nothing."""
    count = len(batch.changes)
    return EncodedBatch(None if batch.truncate else b"parquet", count, count, 0, count, 0, 0)
