"""Known-bad designs. Each is a small change of the real code or of what the fakes do for it; a simulation that does not find every one of
them proves nothing by finding no fault in the design."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import loader.service
from contracts.errors import Fenced, Gone, OutcomeUnknown
from contracts.ledger import Fence, TopicOffset
from contracts.progress import Barrier
from janitor.core.classify import State, Verdict, classify
from janitor.service import Janitor, Survey
from loader.committer import Committer, Keep
from loader.core.cut import Cut, CutReason, OpenBatch, Start
from loader.core.plan import CommitPlan
from loader.core.records import Record
from loader.core.shard import start_of_rows
from loader.ports import ShardState
from tests.fakes.kafka_clients import FakeSink
from tests.fakes.object_store import FakeBatchStore
from tests.fakes.versions import Transaction
from tests.fakes.warehouse import FakeWarehouse, fence_table, moved, offsets_table
from tests.simulation.schedule import Risks
from tests.simulation.world import Variant

SEEDS_MAX = 500
"""Within so many seeds each must be caught."""


class SelectFence(FakeWarehouse):
    """Looks at the fence instead of writing it, and writes blindly: under SNAPSHOT isolation two owners both commit."""

    def commit(self, plan: CommitPlan) -> None:
        shard = plan.expected.shard
        with self._transaction() as t:
            self._execute("commit.fence", lambda: self._look_at_fence(t, plan))
            self._execute("commit.offsets", lambda: self._move_offsets(t, plan))
            for load in plan.loads:
                self._apply(t, load)
            self._execute("commit.ledger", lambda: self._record(t, plan))
            number, held = self.store.find(t, fence_table(shard), shard)[0]
            self.store.write(t, fence_table(shard), number, shard, moved(held, plan.fence), blind=True)
            self._commit("commit", t)

    def _look_at_fence(self, t: Transaction, plan: CommitPlan) -> None:
        _, held = self.store.find(t, fence_table(plan.expected.shard), plan.expected.shard)[0]
        if held.epoch != plan.expected.epoch:
            raise Fenced("the epoch is another one")

    def _move_offsets(self, t: Transaction, plan: CommitPlan) -> None:
        table = offsets_table(plan.expected.shard)
        for row in plan.offsets:
            found = self.store.find(t, table, row.topic)
            if found:
                self.store.write(t, table, found[0][0], row.topic, row, blind=True)
            else:
                self.store.insert(t, table, row.topic, row)


class NoEpochInTheFence(FakeWarehouse):
    """WHERE commit_no = …: rows stay right, but the janitor's proof fails: an attempt of an old epoch can be committed."""

    def owns(self, fence: Fence, expected: Fence) -> bool:
        return fence.commit_no == expected.commit_no


class NoCommitNumberInTheFence(FakeWarehouse):
    """WHERE epoch = …: whatever is sent twice is committed twice."""

    def owns(self, fence: Fence, expected: Fence) -> bool:
        return fence.epoch == expected.epoch


class ResendingCommitter(Committer):
    """Takes a COMMIT without an answer for one that did not happen."""

    def _apply(self, plan: CommitPlan, keep: Keep) -> None:
        try:
            super()._apply(plan, keep)
        except OutcomeUnknown:
            super()._apply(plan, keep)


class ResumingFromKafka(FakeWarehouse):
    """Believes the offsets committed to the group, as consumers do that know no better."""

    def read_state(self, shard: int) -> ShardState:
        state = super().read_state(shard)
        mirrored = {topic: offset for (topic, partition), (offset, _) in self.database.mirror.items() if partition in (0, shard)}
        progress = next((offset for topic, offset in mirrored.items() if topic.endswith(".progress")), 0)
        offsets = {topic: replace(row, next_offset=mirrored.get(topic, 0)) for topic, row in state.offsets.items()}
        return replace(state, fence=replace(state.fence, progress_offset=progress), offsets=offsets)


class ReusedNames(FakeBatchStore):
    """Names an object by what it holds from where on: a later attempt takes the place of an earlier one."""

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        self.bucket.put(self._reused(key), data, if_none_match=False)

    def url(self, key: str) -> str:
        return f"s3://{self.bucket.name}/{self._reused(key)}"

    def _reused(self, key: str) -> str:
        topic, start, suffix = re.sub(r"^(.*?)/.*_(\d{20})-.*\.(\w+)$", r"\1 \2 \3", key).split()
        return f"reused/{topic}/{start}.{suffix}"


class KeepingProducer(FakeSink):
    """Goes on with a producer one of whose EndTxns was answered late: its copy ends the next transaction before its time."""

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        self.repeats = 0.2
        super().commit(meanwhile)

    def unsettled(self) -> bool:
        return False


class HopefulProducer(FakeSink):
    """Takes an EndTxn without an answer for a committed one."""

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        try:
            super().commit(meanwhile)
        except OutcomeUnknown:
            self.recycle()
            self.init()


class RenewingProducer(FakeSink):
    """Renews itself and lets its owner go on from memory: whoever took over in between is fenced, and what it published comes again."""

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        super().commit(meanwhile)
        if self.gate.rng.random() < 0.3:
            self.recycle()
            self.init()


class JanitorByAge(Janitor):
    """Takes what is old and not in the ledger for dead."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        found = super().survey(topic, as_if_fenced=as_if_fenced)
        return replace(found, verdicts=[self._judged(verdict, found) for verdict in found.verdicts])

    def _judged(self, verdict: Verdict, found: Survey) -> Verdict:
        old = found.at - verdict.stored_at > timedelta(seconds=2)
        return replace(verdict, state=State.ORPHAN) if verdict.state is State.IN_FLIGHT and old else verdict


class JanitorWithoutClauses(Janitor):
    """Takes what is not in the ledger for dead."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        found = super().survey(topic, as_if_fenced=as_if_fenced)
        dead = [replace(v, state=State.ORPHAN) if v.state is State.IN_FLIGHT else v for v in found.verdicts]
        return replace(found, verdicts=dead)


class JanitorOfThisEpoch(Janitor):
    """epoch <= fence's instead of <."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        listing = self._bucket.list(topic)
        snapshot = self._snapshot(topic)
        bumped = replace(snapshot, epochs={shard: epoch + 1 for shard, epoch in snapshot.epochs.items()})
        return Survey(topic, listing.at, classify(listing.objects, bumped), snapshot)


class JanitorOfTheNextOffset(Janitor):
    """start <= next_offset instead of <."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        listing = self._bucket.list(topic)
        snapshot = self._snapshot(topic)
        offsets = {number: replace(offset, next_offset=offset.next_offset + 1) for number, offset in snapshot.offsets.items()}
        return Survey(topic, listing.at, classify(listing.objects, replace(snapshot, offsets=offsets)), snapshot)


class LedgerBeforeList(Janitor):
    """Reads the ledger, then lists, then reads the fence: what was committed in between looks dead."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        ledger = self._snapshot(topic)
        listing = self._bucket.list(topic)
        snapshot = replace(self._snapshot(topic), batches=ledger.batches)
        return Survey(topic, listing.at, classify(listing.objects, snapshot), snapshot)


class LedgerOlderThanFence(Janitor):
    """Lists first, as it must, but takes ledger and fence from two snapshots."""

    def survey(self, topic: str, *, as_if_fenced: bool = False) -> Survey:
        listing = self._bucket.list(topic)
        ledger = self._snapshot(topic)
        snapshot = replace(self._snapshot(topic), batches=ledger.batches)
        return Survey(topic, listing.at, classify(listing.objects, snapshot), snapshot)


_cut = OpenBatch.cut
_add_barrier = OpenBatch._add_barrier


def cut_anywhere(self: OpenBatch, reason: CutReason, now: object) -> Cut:
    """Takes along every row that was read, behind the barrier too."""
    last = self._marks[self._reached - 1]
    seqs = {topic: lane.next_seq if lane.part_ends is None else lane.part_ends for topic, lane in self._lanes.items()}
    barrier = replace(last.barrier, next_seqs={**last.barrier.next_seqs, **seqs})
    self._marks[self._reached - 1] = replace(last, barrier=barrier)
    return _cut(self, reason, now)  # type: ignore[arg-type]  # whatever the original takes


def ignore_partial(self: OpenBatch, record: Record) -> None:
    """Takes a barrier inside a source transaction for a whole one."""
    barrier = Barrier.decode(record.value or b"")
    _add_barrier(self, replace(record, value=replace(barrier, partial=False).encode()))


def halt_at_expiry(topic: str, topic_id: str, held: TopicOffset | None, low: int, stable_end: int) -> Start:
    """Takes the segments an idle table's retention removed for rows that are lost."""
    if held is not None and low > held.next_offset:
        raise Gone(f"{topic} begins at {low}, was loaded up to {held.next_offset}")
    return start_of_rows(topic, topic_id, held, low, stable_end)


AWAY = Risks(kill=0, pause=0.08, pause_steps_max=120)
"""For what only a writer long away shows."""

UNANSWERED = Risks(lost=0.1, lost_at=("loader.commit",))
"""For what shows only where a COMMIT's answer is lost and what is done next finds nothing in its way."""

MUTANTS: Sequence[Variant] = (
    Variant("fence checked by SELECT", warehouse=SelectFence),
    Variant("no epoch in the compare-and-set", warehouse=NoEpochInTheFence),
    Variant("COMMIT of unknown outcome sent again", warehouse=NoCommitNumberInTheFence, committer=ResendingCommitter, risks=UNANSWERED),
    Variant("going on from Kafka's committed offsets", warehouse=ResumingFromKafka),
    Variant("names used again", store=ReusedNames, risks=AWAY),
    Variant("producer kept after a late EndTxn", sink=KeepingProducer),
    Variant("producer renewed, position not read again", sink=RenewingProducer, risks=Risks(flap=0.08)),
    Variant("unanswered EndTxn taken for committed", sink=HopefulProducer),
    Variant("janitor by age", janitor=JanitorByAge),
    Variant("janitor without epoch and offset clauses", janitor=JanitorWithoutClauses),
    Variant("janitor: epoch <= instead of <", janitor=JanitorOfThisEpoch),
    Variant("janitor: start <= instead of <", janitor=JanitorOfTheNextOffset),
    Variant("janitor: ledger read before the list", janitor=LedgerBeforeList),
    Variant("janitor: ledger older than the fence", janitor=LedgerOlderThanFence),
    Variant("cut not at a barrier", patches=((OpenBatch, "cut", cut_anywhere),)),
    Variant("expired idle partition taken for a loss", patches=((loader.service, "start_of_rows", halt_at_expiry),)),
    Variant("partial barrier taken for a whole one", patches=((OpenBatch, "_add_barrier", ignore_partial),)),
)
