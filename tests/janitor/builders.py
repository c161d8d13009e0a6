"""Attempts, snapshots and neighbours in few words, for the janitor's tests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from contracts.batch import BatchKey
from contracts.errors import Unavailable
from contracts.ledger import Guard
from contracts.offsets import OffsetRange
from janitor.core.classify import Verdict, classify, gather
from janitor.core.snapshot import BatchId, LedgerBatch, PartitionOffset, StoredObject, TopicSnapshot
from janitor.ports import Listing, Top

TOPIC = "shop.shop.orders"
OTHER = "shop.shop.lines"
NOW = datetime(2025, 8, 14, 18, 0, 0, tzinfo=UTC)
SESSION = datetime(2025, 8, 14, 15, 3, 12, tzinfo=UTC)
GUARD = Guard("shop", "bucket", "tidemark", "r:5439/dev", 1)


def attempt(
    start: int = 0, stop: int | None = None, *, epoch: int = 1, nonce: str = "0a0a0a0a", topic: str = TOPIC, session: datetime = SESSION
) -> BatchKey:
    return BatchKey(topic, 0, session, 1, OffsetRange(start, stop or start + 10), epoch, nonce)


def stored(key: str, age: timedelta = timedelta(hours=2), size_bytes: int = 100) -> StoredObject:
    return StoredObject(key, f'"{abs(hash((key, age))):x}"', size_bytes, NOW - age)


def objects(*keys: BatchKey, age: timedelta = timedelta(hours=2)) -> list[StoredObject]:
    return [stored(name, age) for key in keys for name in (key.data, key.manifest)]


def committed(key: BatchKey, *, shard: int = 0, age: timedelta = timedelta(hours=2)) -> LedgerBatch:
    return LedgerBatch(BatchId.of(key), shard, NOW - age)


def snapshot(
    *batches: LedgerBatch,
    epochs: Mapping[int, int] | None = None,
    next_offset: int | None = 100,
    topic_id: str = "A",
    newest_topic_id: str = "A",
    topic: str = TOPIC,
    shard: int = 0,
    guard: Guard | None = GUARD,
    ledger_empty: bool | None = None,
) -> TopicSnapshot:
    """Epoch 5; loaded up to 100. `newest_topic_id`: the last of the batches'."""
    offsets = {} if next_offset is None else {0: PartitionOffset(shard, topic_id, next_offset)}
    empty = not batches if ledger_empty is None else ledger_empty
    held = {batch.id: batch for batch in batches}
    return TopicSnapshot(topic, guard, epochs or {0: 5}, offsets, held, newest_topic_id if batches else None, empty)


def judged(some: Iterable[StoredObject], held: TopicSnapshot) -> list[Verdict]:
    return classify(gather(some, held.topic), held)


@dataclass
class FakeBucket:
    """A bucket below its prefix. `effects` tells the order of calls; `during_list` runs while a list is under way."""

    objects: dict[str, StoredObject] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)
    uploads: list[tuple[str, datetime]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def put(self, *some: StoredObject) -> None:
        self.objects |= {stored.key: stored for stored in some}

    def top(self) -> Top:
        return Top(
            sorted({key.split("/")[0] for key in self.objects if "/" in key}), [o for key, o in self.objects.items() if "/" not in key]
        )

    def list(self, folder: str) -> Listing:
        self.effects.append(f"list {folder}")
        return Listing(NOW, [self.objects[key] for key in sorted(self.objects) if key.startswith(f"{folder}/")])

    def delete(self, stored: StoredObject) -> bool:
        self.effects.append("delete")
        there = self.objects.get(stored.key)
        if there is not None and there.etag != stored.etag:
            return False
        if self.objects.pop(stored.key, None):
            self.deleted.append(stored.key)
        return True

    def abort_uploads(self, beginning: str, older_than: timedelta) -> int:
        old = [item for item in self.uploads if item[0].startswith(beginning) and NOW - item[1] > older_than]
        self.uploads = [item for item in self.uploads if item not in old]
        return len(old)


@dataclass
class FakeLedger:
    """Snapshots by topic. `unreachable`: every question fails."""

    snapshots: dict[str, TopicSnapshot] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)
    marked: list[tuple[str, str]] = field(default_factory=list)
    unreachable: bool = False

    def topics(self) -> Mapping[str, str]:
        self._answer()
        return {topic: topic.partition(".")[2] for topic, held in self.snapshots.items() if held.offsets}

    def snapshot(self, topic: str, since: int | None) -> TopicSnapshot:
        self._answer()
        self.effects.append(f"snapshot {topic}")
        held = self.snapshots.get(topic) or snapshot(topic=topic, next_offset=None)
        kept = {
            id: batch
            for id, batch in held.batches.items()
            if batch.object_deleted_at is None or (since is not None and id.offsets.start >= since)
        }
        return replace(held, batches=kept)

    def bump_epoch(self, shard: int, above: int = 0) -> int:
        self._answer()
        self.effects.append(f"bump {shard}")
        for topic, held in self.snapshots.items():
            self.snapshots[topic] = replace(held, epochs={**held.epochs, shard: max(held.epochs[shard], above) + 1})
        return 0

    def mark_deleted(self, topic: str, batches: Sequence[LedgerBatch], at: datetime) -> None:
        self.effects.append(f"mark {topic}")
        self.marked += [(topic, batch.id.nonce) for batch in batches]

    def _answer(self) -> None:
        if self.unreachable:
            raise Unavailable("Redshift at r:5439: connection refused")
