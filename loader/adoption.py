"""A shard goes on with what Kafka holds now: what was lost is named, and the tables that lack it are read again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from contracts.envelope import Envelope
from contracts.errors import Gone
from contracts.ledger import TopicOffset
from contracts.progress import Barrier, TableState
from loader.core.adoption import Found, adopted, plan
from loader.core.evolve import reading
from loader.core.records import Record
from loader.core.shard import start_of_progress
from loader.ports import Clock, ShardLog, ShardState, Warehouse

_RECORDS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Adoption:
    """What becomes of a shard: the topics that go on elsewhere, as they were and as they are then; where its barriers go on, and whether
    some of them are lost."""

    moves: tuple[tuple[TopicOffset, TopicOffset], ...]
    progress_offset: int
    barriers_lost: bool

    @property
    def parked(self) -> tuple[TopicOffset, ...]:
        return tuple(now for _, now in self.moves if now.state is TableState.PARKED)

    @property
    def skipped(self) -> tuple[tuple[TopicOffset, TopicOffset], ...]:
        """Those of which rows are lost."""
        return tuple((then, now) for then, now in self.moves if now.next_seq != then.next_seq or now.state is TableState.PARKED)


def proposed(
    state: ShardState, topics: Mapping[str, TopicOffset], progress: str, log: ShardLog, keyed: Callable[[TopicOffset], bool]
) -> Adoption:
    """`topics`: those to look at, as they stand. `keyed`: whether a topic's target holds a row for each of the table's. Raises Gone when a
    topic is not there, Corrupt, Unavailable."""
    fence, bounds = state.fence, log.bounds(progress)
    progress_offset, lost = fence.progress_offset, False
    try:
        start_of_progress(progress, progress_offset, bounds.low, bounds.stable_end)
    except Gone:
        lost = True
        # One offset is passed over where it expires, and must not be a barrier's: the one before a barrier, or the end, never is.
        progress_offset = max(0, _first(log, progress, lambda record: _barrier_no(record) > fence.barrier_no)[0] - 1)
    moves = []
    for topic, held in sorted(topics.items()):
        now = adopted(held, _found(log, topic, held), fence.commit_ts_us, keyed=keyed(held), lost=lost)
        if now != held:
            moves.append((held, now))
    return Adoption(tuple(moves), progress_offset, lost)


def not_let_go(offsets: Mapping[str, TopicOffset], log: ShardLog, captured: Callable[[TopicOffset], bool]) -> dict[str, TopicOffset]:
    """Those of the topics of which something may be lost: all but the deleted ones of tables that have left the pipeline."""

    def is_there(topic: str) -> bool:
        try:
            log.topic_id(topic)
        except Gone:
            return False
        return True

    return {topic: held for topic, held in offsets.items() if captured(held) or is_there(topic)}


def adopt(warehouse: Warehouse, shard: int, owner: str, propose: Callable[[ShardState], Adoption], clock: Clock) -> Adoption:
    """Takes the shard, so whoever holds it begins anew, and moves it. Raises Fenced when somebody takes it meanwhile: again; Unavailable,
    OutcomeUnknown."""
    warehouse.bump_epoch(shard, owner)
    state = warehouse.read_state(shard)
    adoption = propose(state)
    warehouse.commit(plan(state.fence, state.offsets, [now for _, now in adoption.moves], adoption.progress_offset, clock.now()))
    return adoption


def _found(log: ShardLog, topic: str, held: TopicOffset) -> Found:
    topic_id, bounds = log.topic_id(topic), log.bounds(topic)
    if topic_id == held.topic_id and bounds.low <= held.next_offset <= bounds.stable_end:
        log.seek({topic: held.next_offset})
        following = next(_records(log, topic, bounds.stable_end), None)
        if following is None or _seq(following) == held.next_seq:
            return Found(topic_id, held.next_offset, None)
    seqs: list[int] = []

    def reached(record: Record) -> bool:
        seqs.append(_seq(record))
        return seqs[-1] >= held.next_seq

    offset, reached_it = _first(log, topic, reached)
    return Found(topic_id, offset, seqs[-1] if reached_it else None)


def _first(log: ShardLog, topic: str, wanted: Callable[[Record], bool]) -> tuple[int, bool]:
    """The offset of the first record that is, and True; the topic's end, and False, when none is. Moves the reader."""
    bounds = log.bounds(topic)
    log.seek({topic: bounds.low})
    for record in _records(log, topic, bounds.stable_end):
        if wanted(record):
            return record.offset, True
    return bounds.stable_end, False


def _records(log: ShardLog, topic: str, end: int) -> Iterator[Record]:
    while log.position(topic) < end:
        for records in log.poll(_RECORDS_MAX, timedelta(milliseconds=200)):
            yield from (record for record in records if record.offset < end)


def _seq(record: Record) -> int:
    return record.decoded(Envelope.decode).source.seq


def _barrier_no(record: Record) -> int:
    return record.decoded(Barrier.decode).n


def told(shard: int, adoption: Adoption) -> Sequence[str]:
    """For people."""
    lines = (
        [f"shard {shard}: barriers were lost; it goes on at offset {adoption.progress_offset} of them"] if adoption.barriers_lost else []
    )
    for then, now in adoption.moves:
        where = f"{now.source_table}: goes on at offset {now.next_offset} of {now.topic}, seq {now.next_seq}"
        lost = f"; seq {then.next_seq} to {now.next_seq - 1} are lost" if now.next_seq != then.next_seq else ""
        parked = f"; parked until: {reading(now.source_table)}" if now.state is TableState.PARKED else ""
        lines.append(where + lost + parked)
    return lines
