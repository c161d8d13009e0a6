"""What the next commit of a shard would be, with nothing sent: the loader itself, on paper in the place of bucket and warehouse."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from contracts.errors import PipelineError
from contracts.ledger import Fence
from loader.core.plan import CommitPlan, StagedLoad, TargetTable
from loader.core.staging import COPIED_ROWS, StagingTables
from loader.core.statements import Bound, CommitTables, Statement, after_the_fence, compare_and_set
from loader.edges.worker import FutureJob
from loader.ports import BatchStore, ShardLog, ShardState
from loader.service import Loader

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement that would be sent, and when: `table` (before, in transactions of their own), `staging` or `commit`."""

    transaction: str
    sql: str
    values: tuple[Bound, ...] = ()


@dataclass(slots=True)
class Paper:
    """What would have been sent. `objects`: bytes by the URL they would have."""

    objects: dict[str, int] = field(default_factory=dict)
    statements: list[Sent] = field(default_factory=list)
    plan: CommitPlan | None = None


class Readable(Protocol):
    """What a rehearsal asks the real warehouse."""

    def read_state(self, shard: int) -> ShardState: ...

    def preparation(self, target: TargetTable, *, renewing: bool, afresh: bool) -> list[str]: ...


class PaperStore:
    """A `BatchStore`."""

    def __init__(self, store: BatchStore, paper: Paper) -> None:
        self._paper = paper
        self.url = store.url

    def put(self, key: str, data: bytes) -> None:
        self._paper.objects[self.url(key)] = len(data)


class PaperWarehouse:
    """A `Warehouse` that reads from the real one, as if it had granted the next epoch."""

    def __init__(self, warehouse: Readable, paper: Paper, *, schema: str, iam_role: str) -> None:
        self._warehouse = warehouse
        self._paper = paper
        self._schema = schema
        self._iam_role = iam_role
        self._staging = StagingTables()
        self._created: set[str] = set()

    def bump_epoch(self, shard: int, owner: str) -> int:
        return self._warehouse.read_state(shard).fence.epoch + 1

    def read_state(self, shard: int) -> ShardState:
        state = self._warehouse.read_state(shard)
        return replace(state, fence=replace(state.fence, epoch=state.fence.epoch + 1))

    def ensure_target(self, target: TargetTable, fence: Fence, *, renewing: bool, afresh: bool = False) -> None:
        if target.topic not in self._created:
            self._created.add(target.topic)
            statements = self._warehouse.preparation(target, renewing=renewing, afresh=afresh)
            self._paper.statements += [Sent("table", statement) for statement in statements]

    def stage(self, loads: Sequence[StagedLoad]) -> None:
        for load in loads:
            for statement in (*self._staging.fill(load, self._iam_role), COPIED_ROWS):
                self._paper.statements.append(Sent("staging", statement))

    def commit(self, plan: CommitPlan) -> None:
        tables = CommitTables(self._schema, plan.fence.shard)
        clearing = [Statement(sql) for load in plan.loads if load.staged for sql in self._staging.clear(load.staged)]
        statements = [compare_and_set(plan, tables), *after_the_fence(plan, tables), *clearing]
        self._paper.statements += [Sent("commit", statement.sql, statement.values) for statement in statements]
        self._paper.plan = plan

    def trim(self, fence: Fence, before: datetime) -> int:
        return 0

    def close(self) -> None: ...


class PaperMembership:
    """A `Membership` of one, which joins no group."""

    def __init__(self, shard: int) -> None:
        self._shard = shard

    def poll(self, timeout: timedelta) -> frozenset[int]:
        return frozenset({self._shard})

    def mirror(self, shard: int, next_offsets: Mapping[str, int], note: str) -> None: ...

    def mirrored(self, shard: int) -> str:
        return ""

    def close(self) -> None: ...


class PaperWorker:
    """A `Worker` without a thread: what is started is over."""

    def start(self, task: Callable[[], Result]) -> FutureJob[Result]:
        done: Future[Result] = Future()
        try:
            done.set_result(task())
        except PipelineError as error:
            done.set_exception(error)
        return FutureJob(done)

    def close(self) -> None: ...


class PaperClock:
    """Time that stands still: nothing grows old while it is read."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def sleep(self, pause: timedelta) -> None:
        self._at += pause


def rehearse(loader: Loader, log: ShardLog, paper: Paper, clock: PaperClock, *, progress: str, age_max: timedelta) -> CommitPlan | None:
    """Reads on until the first commit would be due, whatever for, or all that Kafka holds is read and it is due for its age: the plan, or
    None when there is nothing to commit. Raises what the loader would stop for."""
    end = log.bounds(progress).stable_end
    while paper.plan is None:
        moved = loader.step(timedelta(milliseconds=200))
        for shard in loader.shards.values():
            if shard.trouble is not None:
                raise shard.trouble
        if not moved and paper.plan is None:
            awaiting = [shard for shard in loader.shards.values() if shard.awaits_rows]
            for shard in awaiting:
                shard.refuse_loss()
            if log.position(progress) < end or awaiting:
                continue
            clock.sleep(age_max)
            loader.step(timedelta(0))
            break
    return paper.plan


def plan_lines(shard: int, paper: Paper) -> Iterator[dict[str, object]]:
    """The plan as `--json` shows it, an object a line: the commit, then each table, then each statement in order."""
    plan = paper.plan
    if plan is None:
        return
    yield {
        "shard": shard,
        "kind": "commit",
        "commit_no": plan.fence.commit_no,
        "barrier_no": plan.fence.barrier_no,
        "gtid_set": str(plan.fence.gtid_set),
        "partial": plan.fence.partial,
        "tables": len(plan.loads),
        "objects": len(paper.objects),
        "size_bytes": sum(paper.objects.values()),
    }
    for load in plan.loads:
        entry = load.entry
        yield {
            "shard": shard,
            "kind": "table",
            "topic": entry.topic,
            "target": f"{load.target.schema}.{load.target.name}",
            "mode": load.target.mode.value,
            "truncate": load.truncate,
            "offset_start": entry.offsets.start,
            "offset_stop": entry.offsets.stop,
            "records": entry.records,
            "superseded": entry.superseded,
            "applied": entry.applied,
            "quarantined": entry.quarantined,
            "values_nulled": entry.values_nulled,
            "key": load.key.data if load.staged else None,
        }
    for passed in plan.passed:
        entry = passed.entry
        yield {
            "shard": shard,
            "kind": "passed",
            "topic": entry.topic,
            "table": str(passed.source),
            "offset_start": entry.offsets.start,
            "offset_stop": entry.offsets.stop,
            "records": entry.records,
            "because": passed.because or None,
        }
    for sent in paper.statements:
        values = [value.isoformat() if isinstance(value, datetime) else value for value in sent.values]
        yield {"shard": shard, "kind": "sql", "transaction": sent.transaction, "sql": sent.sql, "values": values}


TRANSACTIONS = {
    "table": "to make and alter tables, ahead of the commit:",
    "staging": "to fill the staging tables, a transaction for each hundred:",
    "commit": "the commit, one transaction:",
}
VALUES_SHOWN = 12


def plan_text(shard: int, lines: Sequence[dict[str, Any]]) -> str:
    """The same for people."""
    if not lines:
        return f"shard {shard}: nothing to commit"
    head, *rest = lines
    out = [
        f"shard {shard}: commit {head['commit_no']} up to barrier {head['barrier_no']}{' (partial)' if head['partial'] else ''},"
        f" {head['tables']} tables, {head['objects']} objects of {head['size_bytes']} bytes; nothing was sent"
    ]
    for line in rest:
        if line["kind"] == "table":
            what = "TRUNCATE" if line["truncate"] else f"{line['records']} records, {line['superseded']} superseded"
            bad = f", {line['quarantined']} rows and {line['values_nulled']} values to quarantine"
            out.append(f"  {line['target']} ({line['mode']}): {what}{bad if line['quarantined'] or line['values_nulled'] else ''}")
            if line["key"]:
                out.append(f"    {line['key']}")
        elif line["kind"] == "passed":
            out.append(
                f"  {line['table']} is parked: {line['records']} records are passed over. {line['because'] or 'It is followed again'}"
            )
    section = ""
    for line in rest:
        if line["kind"] == "sql":
            if line["transaction"] != section:
                section = line["transaction"]
                out.append(TRANSACTIONS[section])
            values = line["values"]
            shown = ", ".join(map(repr, values[:VALUES_SHOWN])) + (f", … {len(values)} in all" if len(values) > VALUES_SHOWN else "")
            out.append(f"  {line['sql']};" + (f"  -- {shown}" if values else ""))
    return "\n".join(out)
