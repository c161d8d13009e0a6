"""How a shard goes on with what Kafka holds now, when what it would have read next is gone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from contracts.ledger import Fence, TopicOffset
from contracts.progress import TableState
from loader.core.evolve import reading
from loader.core.plan import CommitPlan


@dataclass(frozen=True, slots=True)
class Found:
    """What a topic holds now. `offset`, `seq`: of its first record at or behind the seq that is to be read next; without one, `offset` is
    the topic's end and `seq` None."""

    topic_id: str
    offset: int
    seq: int | None


def adopted(held: TopicOffset, found: Found, since_us: int, *, keyed: bool, lost: bool = False) -> TopicOffset:
    """Where the loading of the topic goes on. `since_us`: up to when the shard is loaded. A table that lacks rows is parked until it was
    emptied and read again; one whose target holds every event (`keyed` false) lacks them for ever, and goes on. `lost`: rows may be
    missing, whatever the seqs say."""
    seq = held.next_seq if found.seq is None else found.seq
    if not held.topic_id and seq == held.next_seq and not lost:
        return held  # nothing was loaded and nothing is missing: a row would say "ok" of a table that may be in its snapshot
    moved = replace(held, topic_id=found.topic_id, next_offset=found.offset, next_seq=seq)
    if (seq == held.next_seq and not lost) or not keyed:
        return moved
    missing = f"seq {held.next_seq} to {seq - 1}" if seq != held.next_seq else f"seq {seq} on"
    return replace(
        moved,
        state=TableState.PARKED,
        state_since_us=since_us,
        because=f"rows of it, {missing}, were lost in Kafka: {reading(held.source_table)}",
        emptied=False,
    )


def paused(held: TopicOffset, since_us: int) -> TopicOffset:
    """The table is left as it is, because a person wants it so. `since_us`: up to when the shard is loaded."""
    because = f"paused by hand; to go on: {reading(held.source_table)}"
    return replace(held, state=TableState.PARKED, state_since_us=since_us, because=because, emptied=False)


def plan(fence: Fence, held: Mapping[str, TopicOffset], moved: Sequence[TopicOffset], progress_offset: int, at: datetime) -> CommitPlan:
    """The commit that moves the shard there."""
    return CommitPlan(
        expected=fence,
        fence=replace(fence, commit_no=fence.commit_no + 1, progress_offset=progress_offset),
        offsets=tuple(sorted(moved, key=lambda offset: offset.topic)),
        new_topics=frozenset(offset.topic for offset in moved if offset.topic not in held),
        loads=(),
        at=at,
    )
