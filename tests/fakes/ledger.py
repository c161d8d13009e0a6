"""The janitor's view of the warehouse in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from contracts.ledger import Guard, LedgerEntry
from janitor.core.snapshot import BatchId, LedgerBatch, PartitionOffset, TopicSnapshot
from tests.fakes.faults import Gate
from tests.fakes.versions import Transaction
from tests.fakes.warehouse import Database, FakeWarehouse, fence_table, ledger_table, offsets_table

OWNER = "janitor --fence"


class FakeLedger:
    """The janitor's Ledger over the fake database."""

    def __init__(self, database: Database, gate: Gate, guard: Guard | None) -> None:
        self.database = database
        self.gate = gate
        self.guard = guard
        self.session = FakeWarehouse(database, gate, service="janitor")

    @property
    def shards(self) -> range:
        return range(self.guard.shards if self.guard else 0)

    def topics(self) -> Mapping[str, str]:
        return self.gate.cross(
            "janitor.topics", lambda: {row.topic: row.source_table for shard in self.shards for row in self.database.offsets(shard)}
        )

    def snapshot(self, topic: str, since: int | None) -> TopicSnapshot:
        def read() -> TopicSnapshot:
            t = self.database.store.begin()
            entries = [(shard, entry) for shard, entry in self._entries(t) if entry.topic == topic]
            newest = max((entry for _, entry in entries), key=lambda entry: (entry.epoch, entry.offsets), default=None)
            return TopicSnapshot(
                topic,
                self.guard,
                self._epochs(t),
                self._offsets(t, topic),
                {
                    _id(entry): LedgerBatch(_id(entry), shard, entry.committed_at, entry.object_deleted_at)
                    for shard, entry in entries
                    if entry.object_deleted_at is None or (since is not None and entry.offsets.start >= since)
                },
                newest_topic_id=newest.topic_id if newest else None,
                ledger_empty=not any(True for _ in self._entries(t)),
            )

        return self.gate.cross("janitor.snapshot", read)

    def bump_epoch(self, shard: int, above: int = 0) -> int:
        return self.session.bump_epoch(shard, OWNER, above)

    def mark_deleted(self, topic: str, batches: Sequence[LedgerBatch], at: datetime) -> None:
        for shard in sorted({batch.shard for batch in batches}):
            wanted = {batch.id.nonce for batch in batches if batch.shard == shard}
            self.session.write("mark_deleted", ledger_table(shard), partial(_marked, topic, wanted, at))

    def abandon(self) -> None:
        """The process is gone; the server notices later."""
        self.session.abandon()

    def _epochs(self, t: Transaction) -> Mapping[int, int]:
        fences = [fence for shard in self.shards for _, fence in self.database.store.find(t, fence_table(shard), shard)]
        return {fence.shard: fence.epoch for fence in fences}

    def _offsets(self, t: Transaction, topic: str) -> Mapping[int, PartitionOffset]:
        found: dict[int, PartitionOffset] = {}
        for shard in self.shards:
            for _, row in self.database.store.find(t, offsets_table(shard), topic):
                found[row.partition] = PartitionOffset(shard, row.topic_id, row.next_offset)
        return found

    def _entries(self, t: Transaction) -> Iterator[tuple[int, LedgerEntry]]:
        """All of the ledger, by shard."""
        for shard in self.shards:
            for _, _, entry in self.database.store.scan(t, ledger_table(shard)):
                yield shard, entry


def _id(entry: LedgerEntry) -> BatchId:
    return BatchId(entry.partition, entry.offsets, entry.epoch, entry.batch_id)


def _marked(topic: str, wanted: set[str], at: datetime, entry: LedgerEntry) -> LedgerEntry | None:
    """The entry as it becomes, None when it stays."""
    if entry.topic != topic or entry.batch_id not in wanted or entry.object_deleted_at is not None:
        return None
    return replace(entry, object_deleted_at=at)
