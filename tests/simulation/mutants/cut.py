"""Where the loader cuts, and what it takes Kafka's answers for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import loader.service.reading
from contracts.errors import Gone, PipelineError
from contracts.ledger import TopicOffset
from contracts.progress import Barrier
from loader.core.cut import Cut, CutReason, OpenBatch
from loader.core.lane import Lane, Part, Start
from loader.core.mirror import Mirror
from loader.core.records import Record
from loader.core.shard import start_of_rows
from loader.ports import LogBounds
from loader.service.reading import Reading
from loader.service.shard import ShardLoader
from tests.fakes.kafka_clients import FakeShardLog
from tests.simulation.risks import Risks
from tests.simulation.variant import Variant

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


_take = Lane.take


def leave_the_last_row(self: Lane, stop_seq: int, *, renewing: bool) -> Part | None:
    """Cuts before the barrier it says it has reached."""
    return _take(self, stop_seq - 1, renewing=renewing)


def leave_out_unread(self: OpenBatch, record: Record) -> None:
    """Leaves out of a barrier the topics nobody reads yet."""
    barrier = Barrier.decode(record.value or b"")
    known = {topic: seq for topic, seq in barrier.next_seqs.items() if topic in self.topics}
    _add_barrier(self, replace(record, value=replace(barrier, next_seqs=known).encode()))


def halt_at_a_late_marker(self: FakeShardLog, topic: str) -> LogBounds:
    """Takes the first open transaction for the end of the log: rows whose barrier is visible before they are seem lost."""
    bounds = _bounds(self, topic)
    return replace(bounds, end=bounds.stable_end)


_bounds = FakeShardLog.bounds
_commit = ShardLoader._commit


def mirror_first(self: ShardLoader, reading: Reading, cut: Cut, topic_ids: dict[str, str]) -> None:
    """Tells Kafka what is loaded, then loads it."""
    next_offsets = {self._topics.progress: cut.progress_offset} | {part.topic: part.offsets.stop for part in cut.parts}
    self._membership.mirror(self._shard, next_offsets, "")
    _commit(self, reading, cut, topic_ids)


def number_first(self: ShardLoader, reading: Reading, cut: Cut, topic_ids: dict[str, str]) -> None:
    """Tells Kafka the number of a commit, then makes it. Where it is not made, the warehouse will look restored."""
    fence = reading.tenure.fence
    note = Mirror(datetime.fromtimestamp(0, UTC), fence.commit_no + 1, fence.epoch)
    self._membership.mirror(self._shard, {self._topics.progress: fence.progress_offset}, str(note))
    _commit(self, reading, cut, topic_ids)


def stop_without_a_look(self: ShardLoader, error: PipelineError) -> None:
    """Halts although it may be a zombie, whose picture of the log is an old one."""
    raise error


AWAY = Risks(kill=0, lost=0, pause=0.15, pause_at=("loader.poll",), pause_steps_max=110, expiry=1)
"""For what only a loader shows that was away, has its shard again, and finds gone what another one has loaded."""

MUTANTS: Sequence[Variant] = (
    Variant("cut not at a barrier", shows=("TORN", "AHEAD"), patches=((OpenBatch, "cut", cut_anywhere),)),
    Variant("cut before the barrier", shows=("TORN", "AHEAD"), patches=((Lane, "take", leave_the_last_row),)),
    Variant("partial barrier taken for a whole one", shows=("TORN", "AHEAD"), patches=((OpenBatch, "_add_barrier", ignore_partial),)),
    Variant("topics of a barrier that nobody reads left out", shows=("TORN",), patches=((OpenBatch, "_add_barrier", leave_out_unread),)),
    Variant(
        "expired idle partition taken for a loss", shows=("HALT",), patches=((loader.service.reading, "start_of_rows", halt_at_expiry),)
    ),
    Variant("late marker taken for a loss", shows=("HALT",), patches=((FakeShardLog, "bounds", halt_at_a_late_marker),)),
    Variant("Kafka told before the commit", shows=("I5_MIRROR",), patches=((ShardLoader, "_commit", mirror_first),)),
    Variant("Kafka told of a commit before it is made", shows=("I5_MIRROR",), patches=((ShardLoader, "_commit", number_first),)),
    Variant("zombie that halts", shows=("HALT",), patches=((ShardLoader, "_stop", stop_without_a_look),), risks=AWAY),
)
