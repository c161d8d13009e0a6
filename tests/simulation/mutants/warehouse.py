"""Commits to the warehouse, and what the loader puts in the bucket for them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch
from weakref import WeakKeyDictionary

from contracts.batch import BatchKey, Manifest
from contracts.errors import Fenced, OutcomeUnknown, Unavailable
from contracts.ledger import Fence
from loader.committer import Committer, Keep
from loader.core.plan import CommitPlan, StagedLoad
from loader.ports import ShardState
from tests.fakes.object_store import FakeBatchStore, HeldObject
from tests.fakes.versions import Transaction
from tests.fakes.warehouse import Database, FakeWarehouse, StagedRow, fence_table, moved, offsets_table
from tests.simulation.risks import Risks
from tests.simulation.variant import Variant


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

    def _apply(self, plan: CommitPlan, keep: Keep, *, staged: bool) -> None:
        try:
            super()._apply(plan, keep, staged=staged)
        except OutcomeUnknown:
            super()._apply(plan, keep, staged=staged)


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
        store = self.bucket.put

        def store_both(full: str, data: bytes, *, if_none_match: bool) -> HeldObject:
            store(_reused(key), data, if_none_match=False)
            return store(full, data, if_none_match=if_none_match)

        with patch.object(self.bucket, "put", store_both):
            super().put(key, data)

    def url(self, key: str) -> str:
        return f"s3://{self.bucket.name}/{_reused(key)}"


def _reused(key: str) -> str:
    topic, start, suffix = re.sub(r"^(.*?)/.*_(\d{20})-.*\.(\w+)$", r"\1 \2 \3", key).split()
    return f"reused/{topic}/{start}.{suffix}"


class EpochFound(NoCommitNumberInTheFence):
    """Takes the epoch it finds after its takeover for its own: two that took over at the same time both have it."""

    def bump_epoch(self, shard: int, owner: str, above: int = 0) -> int:
        super().bump_epoch(shard, owner, above)
        return super().read_state(shard).fence.epoch


class OffsetsBeforeFence(FakeWarehouse):
    """Reads where to go on before it bumps the epoch: what the predecessor commits in between is loaded again."""

    def bump_epoch(self, shard: int, owner: str, above: int = 0) -> int:
        self.before = super().read_state(shard)
        return super().bump_epoch(shard, owner, above)

    def read_state(self, shard: int) -> ShardState:
        now = super().read_state(shard)
        before = self.before.fence
        fence = replace(now.fence, progress_offset=before.progress_offset, barrier_no=before.barrier_no)
        return replace(now, fence=fence, offsets=self.before.offsets)


class TruncateCommits(FakeWarehouse):
    """TRUNCATE instead of DELETE: it commits what came before it, and the rest is a transaction of its own."""

    def commit(self, plan: CommitPlan) -> None:
        emptied = [load for load in plan.loads if load.truncate and load.target.mode.keyed]
        if not emptied:
            super().commit(plan)
            return
        shard = plan.expected.shard
        with self._transaction() as t:
            self._lock(t, fence_table(shard))
            self._execute("commit.fence", lambda: self._move_fence(t, plan))
            self._lock(t, offsets_table(shard))
            self._execute("commit.offsets", lambda: self._move_offsets(t, plan))
            for load in emptied:
                self._apply(t, load)
            self.store.commit(t)
        with self._transaction() as rest:
            for load in plan.loads:
                if load not in emptied:
                    self._apply(rest, load)
            self._execute("commit.ledger", lambda: self._record(rest, plan))
            self._commit("commit", rest)


_STAGED: WeakKeyDictionary[Database, dict[str, list[StagedRow]]] = WeakKeyDictionary()


class LastingStaging(FakeWarehouse):
    """Stages in tables that outlive their session and are emptied once committed: what an attempt left is committed with the next one."""

    def stage(self, loads: Sequence[StagedLoad]) -> None:
        lasting = self.session.staged = _STAGED.setdefault(self.database, {})
        super().stage(loads)
        lasting.update({load.staging: self.session.staged[load.staging] for load in loads})

    def _copied(self, load: StagedLoad) -> list[StagedRow]:
        return [*self.session.staged.get(load.staging, ()), *super()._copied(load)]

    def commit(self, plan: CommitPlan) -> None:
        super().commit(plan)
        for load in plan.loads:
            if load.staged is not None:  # the other shard's tables stay as they are
                _STAGED[self.database].pop(load.staged.staging, None)


class ByPrefix(FakeWarehouse):
    """COPY of all that begins alike, whatever wrote it, and nobody counts the rows."""

    def _copied(self, load: StagedLoad) -> list[StagedRow]:
        named = BatchKey.parse(load.manifest_url.partition("/tidemark/")[2])
        assert named is not None
        rows: list[StagedRow] = []
        for full, held in sorted(self.database.bucket.objects.items()):
            key = BatchKey.parse(full.removeprefix("tidemark/"))
            if full.endswith(".parquet") and key and (key.topic, key.offsets.start) == (named.topic, named.offsets.start):
                rows += self.read_rows(held.data, load.target)
        return rows


class OptionalEntries(FakeWarehouse):
    """A manifest whose entries are not mandatory, as they are not unless told; and nobody counts the rows."""

    def _copied(self, load: StagedLoad) -> list[StagedRow]:
        bucket = self.database.bucket
        manifest = bucket.read(load.manifest_url)
        entries = Manifest.decode(manifest).entries if manifest else ()
        return [row for entry in entries if (data := bucket.read(entry.url)) for row in self.read_rows(data, load.target)]


class HopefulStore(FakeBatchStore):
    """Takes a PUT without an answer for done."""

    def put(self, key: str, data: bytes) -> None:
        try:
            super().put(key, data)
        except Unavailable:
            return


AWAY = Risks(kill=0, pause=0.08, pause_steps_max=120)
"""For what only a writer long away shows."""

CROWDED = Risks(kill=0, lost=0, pause=0.3, pause_at=("loader.read_state", "loader.commit.fence"), pause_steps_max=110, flap=0.02)
"""For what takes two owners of a shard at once: one sleeps while it takes it, the other before it commits."""

UNANSWERED = Risks(lost=0.1, lost_at=("loader.commit",))
"""For what shows only where a COMMIT's answer is lost and what is done next finds nothing in its way."""

MUTANTS: Sequence[Variant] = (
    Variant("fence checked by SELECT", shows=("I4_COMMITTED_DELETED", "FENCE_BACK", "I5_MIRROR"), warehouse=SelectFence),
    Variant("no epoch in the compare-and-set", shows=("I4_COMMITTED_DELETED",), warehouse=NoEpochInTheFence),
    Variant(
        "COMMIT of unknown outcome sent again",
        shows=("I2_TILES", "I2_RECORDS", "I1_TWICE", "OFFSETS_TWICE"),
        warehouse=NoCommitNumberInTheFence,
        committer=ResendingCommitter,
        risks=UNANSWERED,
    ),
    Variant(
        "epoch found taken for ours", shows=("I2_TILES", "I2_RECORDS", "I1_TWICE", "OFFSETS_TWICE"), warehouse=EpochFound, risks=CROWDED
    ),
    Variant("offsets read before the fence", shows=("I2_TILES", "I2_RECORDS", "I1_TWICE", "OFFSETS_TWICE"), warehouse=OffsetsBeforeFence),
    Variant("going on from Kafka's committed offsets", shows=("HALT",), warehouse=ResumingFromKafka),
    Variant("TRUNCATE inside the commit", shows=("I2_END", "I1_LOST", "TORN"), warehouse=TruncateCommits),
    Variant("staging tables that outlive their session", shows=("I1_TWICE",), warehouse=LastingStaging),
    Variant("COPY by prefix", shows=("I1_TWICE",), warehouse=ByPrefix),
    Variant(
        "unanswered PUT taken for done, manifest without mandatory",
        shows=("I1_LOST", "I4_COMMITTED_DELETED"),
        warehouse=OptionalEntries,
        store=HopefulStore,
    ),
    Variant("names used again", shows=("HALT",), store=ReusedNames, risks=AWAY),
)
