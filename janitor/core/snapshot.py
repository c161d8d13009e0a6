"""What the janitor looks at: objects as S3 lists them, and one topic's ledger, offsets and fences as one warehouse snapshot holds them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.batch import BatchKey
from contracts.errors import Refused
from contracts.ledger import Guard
from contracts.offsets import OffsetRange


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a list. `key` is below the bucket's prefix; `etag` as S3 writes it, quotes included; `stored_at` by S3's clock."""

    key: str
    etag: str
    size_bytes: int
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class BatchId:
    """What tells one attempt of a topic from every other: all that its key says to machines."""

    partition: int
    offsets: OffsetRange
    epoch: int
    nonce: str

    @classmethod
    def of(cls, key: BatchKey) -> "BatchId":
        return cls(key.partition, key.offsets, key.epoch, key.nonce)


@dataclass(frozen=True, slots=True)
class LedgerBatch:
    """A committed batch of the topic. `shard`: whose ledger holds it."""

    id: BatchId
    shard: int
    committed_at: datetime
    object_deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PartitionOffset:
    """How far a partition is loaded, in which incarnation of its topic, by which shard."""

    shard: int
    topic_id: str
    next_offset: int


@dataclass(frozen=True, slots=True)
class TopicSnapshot:
    """Guard, fences, offsets and ledger of one moment. `guard`: None when its row is absent. `epochs`: the fence's epoch by shard.
    `batches`: of the ledger those that may have objects. `newest_topic_id`: the incarnation of the topic that the ledger's newest batch was
    read from; None without batches. `ledger_empty`: no shard has committed anything, or all of it was removed."""

    topic: str
    guard: Guard | None
    epochs: Mapping[int, int]
    offsets: Mapping[int, PartitionOffset]
    batches: Mapping[BatchId, LedgerBatch]
    newest_topic_id: str | None
    ledger_empty: bool

    @property
    def owners(self) -> Collection[int]:
        """The shard that owns the topic; all of them while none has loaded it, for whose it is then nobody here can tell."""
        return {offset.shard for offset in self.offsets.values()} or self.epochs.keys()

    @property
    def epochs_of_owner(self) -> tuple[int, int]:
        """The lowest and the highest epoch the topic's owner may have: twice the same, but for a topic no shard has loaded yet. What is
        below the lowest is dead whoever owns it."""
        epochs = [self.epochs[shard] for shard in self.owners]
        return min(epochs), max(epochs)

    def fenced(self) -> "TopicSnapshot":
        """As it would be once every shard that may own the topic is above the highest epoch one of them has."""
        _, highest = self.epochs_of_owner
        return replace(self, epochs={**self.epochs, **dict.fromkeys(self.owners, highest + 1)})

    @property
    def superseded(self) -> bool:
        """True while the ledger's newest batch is of another incarnation of the topic than the offsets: then offsets prove nothing."""
        newest = self.newest_topic_id
        return newest is not None and any(offset.topic_id != newest for offset in self.offsets.values())


def refuse_unprovable(snapshot: TopicSnapshot, ours: Guard) -> None:
    """Raises Refused unless this ledger is the one our bucket's batches are committed to, and whole."""
    held = snapshot.guard
    if held is None:
        raise Refused("the ledger's guard row (pipeline) is absent: no loader has made it, so nothing is proven and nothing was deleted")
    if held != ours:
        differing = [name for name in Guard.__slots__ if getattr(held, name) != getattr(ours, name)]
        told = ", ".join(f"{name} {getattr(held, name)!r} there, {getattr(ours, name)!r} in the settings" for name in differing)
        raise Refused(f"the ledger is of another pipeline ({told}); nothing is proven and nothing was deleted")
    if absent := sorted(set(range(held.shards)) - set(snapshot.epochs)):
        raise Refused(f"the fence row of shard {absent[0]} is absent; without it nothing is proven, and nothing was deleted", shards=absent)
