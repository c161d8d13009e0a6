"""A warehouse that accepts everything at once and remembers what a commit promises: fence, offsets, batches."""

from collections.abc import Callable, Sequence

from benchmarks.loader.measured import Batch
from contracts.errors import Corrupt, Fenced
from contracts.ledger import Fence, Guard, TopicOffset
from contracts.position import GtidSet
from loader.core.plan import CommitPlan, StagedLoad, TargetTable
from loader.ports import ShardState


class AcceptingWarehouse:
    """The loader's `Warehouse` for one pipeline of one shard, in memory. `done` is called in the commit by which `rows` row changes of
    `topic` are loaded. Raises Corrupt for a commit that skips, repeats or quarantines a record."""

    def __init__(self, topic: str, rows: int, done: Callable[[], None]) -> None:
        self._topic = topic
        self._rows = rows
        self._done = done
        self._fence = Fence(0, 0, 0, "", 0, 0, GtidSet(), False, 0)
        self._offsets: dict[str, TopicOffset] = {}
        self._staged: set[str] = set()
        self.batches: list[Batch] = []

    def prepare(self, _: Guard) -> None:
        """Nothing is there to be made."""

    def bump_epoch(self, _: int, owner: str) -> int:
        held = self._fence
        self._fence = Fence(
            held.shard,
            held.epoch + 1,
            held.commit_no,
            owner,
            held.progress_offset,
            held.barrier_no,
            held.gtid_set,
            held.partial,
            held.commit_ts_us,
        )
        return self._fence.epoch

    def read_state(self, _: int) -> ShardState:
        return ShardState(self._fence, dict(self._offsets))

    def ensure_target(self, _: TargetTable, fence: Fence, *, renewing: bool, afresh: bool = False) -> None:
        """It would fit."""

    def stage(self, loads: Sequence[StagedLoad]) -> None:
        self._staged |= {load.manifest_url for load in loads}

    def commit(self, plan: CommitPlan) -> None:
        held = self._fence
        if (plan.expected.epoch, plan.expected.commit_no) != (held.epoch, held.commit_no):
            raise Fenced(
                f"the fence is at epoch {held.epoch}, commit {held.commit_no}, not {plan.expected.epoch}, {plan.expected.commit_no}"
            )
        for load in plan.loads:
            entry, before = load.entry, self._offsets.get(load.entry.topic)
            start = before.next_offset if before else 0
            if entry.offsets.start != start:
                raise Corrupt(f"{entry.topic}: a batch begins at offset {entry.offsets.start}, and {start} is next")
            if entry.quarantined or load.quarantine:
                raise Corrupt(f"{entry.topic}: {len(load.quarantine)} values of {entry.offsets} were quarantined; all of them fit")
            rows, url = (load.staged.rows, load.staged.manifest_url) if load.staged else (0, "")
            if url and url not in self._staged:
                raise Corrupt(f"{entry.topic}: {entry.offsets} was never staged")
            if entry.topic == self._topic:
                stop = entry.offsets.stop
                self.batches.append(Batch(start, stop, entry.records, entry.superseded, entry.quarantined, rows, url))
        self._fence = plan.fence
        self._offsets |= {offset.topic: offset for offset in plan.offsets}
        loaded = self._offsets.get(self._topic)
        if loaded is not None and loaded.next_seq >= self._rows and not plan.fence.partial:
            self._done()

    def close(self) -> None:
        """Nothing is held."""
