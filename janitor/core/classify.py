"""Keys, ledger and fence → committed, in flight, orphan or foreign, each with its proof.

An attempt that the ledger doesn't hold is dead when its epoch is below the fence's, or when it starts below its partition's next offset:
the commit's compare-and-set on (epoch, commit_no) refuses the former for ever, and next offsets move only together with commit_no, so an
attempt prepared before a move can't pass either. True only of a list taken before the snapshot: what was committed in between is in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.batch import SUFFIXES, BatchKey
from janitor.core.snapshot import BatchId, LedgerBatch, StoredObject, TopicSnapshot


class State(StrEnum):
    """COMMITTED: in the ledger. ORPHAN: can never be. IN_FLIGHT: not in the ledger, without proof that it can't be. FOREIGN: not ours."""

    COMMITTED = "committed"
    ORPHAN = "orphan"
    IN_FLIGHT = "in-flight"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One attempt, or one foreign object (then `key` is None). `objects`: its data, its manifest or both, in key order."""

    state: State
    proof: str
    objects: tuple[StoredObject, ...]
    key: BatchKey | None = None
    batch: LedgerBatch | None = None

    @property
    def stored_at(self) -> datetime:
        """When S3 stored the younger of its objects."""
        return max(stored.stored_at for stored in self.objects)

    @property
    def size_bytes(self) -> int:
        return sum(stored.size_bytes for stored in self.objects)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Objects listed below one topic: its attempts, each with what there is of it, by their keys without the ending; and all others."""

    attempts: Mapping[str, tuple[BatchKey, Sequence[StoredObject]]]
    others: Sequence[StoredObject]

    @property
    def first_offset(self) -> int | None:
        """The lowest offset an attempt starts at: no batch of the ledger that starts below it has an object here."""
        return min((key.offsets.start for key, _ in self.attempts.values()), default=None)


def gather(objects: Iterable[StoredObject], topic: str) -> Gathered:
    """`objects`: everything listed below the topic."""
    attempts: dict[str, tuple[BatchKey, list[StoredObject]]] = {}
    others = []
    for stored in objects:
        stem, _, suffix = stored.key.rpartition(".")
        if stem in attempts and suffix in SUFFIXES:  # parsed once: an attempt's two keys differ in nothing else
            attempts[stem][1].append(stored)
            continue
        key = BatchKey.parse(stored.key)
        if key is None or key.topic != topic:
            others.append(stored)
        else:
            attempts[stem] = (key, [stored])
    return Gathered(attempts, others)


def classify(gathered: Gathered, snapshot: TopicSnapshot) -> list[Verdict]:
    """Verdicts in key order. `gathered`: of the snapshot's topic, listed before the snapshot was taken."""
    verdicts = [Verdict(State.FOREIGN, "not the key of a batch of this topic", (stored,)) for stored in gathered.others]
    for key, objects in gathered.attempts.values():
        state, proof = judge(key, snapshot)
        found = tuple(sorted(objects, key=lambda stored: stored.key))
        verdicts.append(Verdict(state, proof, found, key, snapshot.batches.get(BatchId.of(key))))
    return sorted(verdicts, key=lambda verdict: verdict.objects[0].key)


def judge(key: BatchKey, snapshot: TopicSnapshot) -> tuple[State, str]:
    """The state of an attempt of the snapshot's topic, and why."""
    batch = snapshot.batches.get(BatchId.of(key))
    if batch is not None:
        return State.COMMITTED, f"in the ledger of shard {batch.shard} since {batch.committed_at:%Y-%m-%d %H:%M:%S}"
    lowest, highest = snapshot.epochs_of_owner
    if key.epoch < lowest:
        return State.ORPHAN, f"epoch {key.epoch} is below the fence's {lowest}"
    if key.epoch > highest:
        return State.IN_FLIGHT, f"epoch {key.epoch} was never granted by a fence at {highest}: was the warehouse restored from a copy?"
    offset = snapshot.offsets.get(key.partition)
    if offset is None:
        return State.IN_FLIGHT, f"epoch {key.epoch} is the fence's, and nothing of the partition is loaded yet"
    if snapshot.superseded:
        return State.IN_FLIGHT, f"epoch {key.epoch} is the fence's, and the topic was made again: its offsets prove nothing"
    if key.offsets.start < offset.next_offset:
        return State.ORPHAN, f"starts at {key.offsets.start}, below the next offset {offset.next_offset}"
    return State.IN_FLIGHT, f"epoch {key.epoch} is the fence's and start {key.offsets.start} not below the next offset {offset.next_offset}"


def missing(verdicts: Iterable[Verdict], snapshot: TopicSnapshot) -> Sequence[LedgerBatch]:
    """Batches of the ledger that nothing in the list belongs to, and of which no deletion is recorded."""
    listed = {BatchId.of(verdict.key) for verdict in verdicts if verdict.key is not None}
    return [batch for id, batch in snapshot.batches.items() if id not in listed and batch.object_deleted_at is None]
