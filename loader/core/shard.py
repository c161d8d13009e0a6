"""A shard in one session's hands: its fence and offsets as the last commit left them, where reading goes on, and what the next commit
will say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from contracts.batch import BatchKey
from contracts.ledger import Fence, TopicOffset
from contracts.offsets import OffsetRange
from contracts.progress import Barrier, TableState
from contracts.sql import qualified
from loader.core.cut import Cut
from loader.core.gap import barriers_expired, topic_recreated, topic_shorter
from loader.core.lane import Start
from loader.core.plan import PARTITION, CommitPlan, Passed, TableLoad


@dataclass(frozen=True, slots=True)
class Tenure:
    """What a session holds while its epoch lasts. `session`: when the epoch was granted, whole seconds UTC. `number`: of the next batch.
    `open_keys`: by topic the row keys that have open quarantine entries."""

    fence: Fence
    offsets: Mapping[str, TopicOffset]
    open_keys: Mapping[str, frozenset[str]]
    session: datetime
    number: int = 1

    @classmethod
    def begin(
        cls, fence: Fence, offsets: Mapping[str, TopicOffset], open_keys: Mapping[str, frozenset[str]], granted_at: datetime
    ) -> "Tenure":
        return cls(fence, offsets, open_keys, granted_at.astimezone(UTC).replace(microsecond=0))

    def key(self, topic: str, offsets: OffsetRange, nonce: str) -> BatchKey:
        """The name of an attempt at the session's next batch."""
        return BatchKey(topic, PARTITION, self.session, self.number, offsets, self.fence.epoch, nonce)

    def plan(
        self, cut: Cut, loads: Sequence[TableLoad], topic_ids: Mapping[str, str], at: datetime, passed: Sequence[Passed] = ()
    ) -> CommitPlan:
        """The one transaction that makes `cut` visible. For each part of the cut `loads` or `passed` holds what becomes of it;
        `topic_ids` Kafka's id of each topic in it."""
        fence = replace(
            self.fence,
            commit_no=self.fence.commit_no + 1,
            progress_offset=cut.progress_offset,
            barrier_no=cut.barrier.n,
            partial=cut.barrier.partial,
        )
        if cut.whole is not None:
            # A barrier inside a source transaction promises nothing new: the set and the time stay those of the last whole one.
            fence = replace(fence, gtid_set=cut.whole.gtid_set, commit_ts_us=max(self.fence.commit_ts_us, cut.whole.commit_ts_us))
        followed = {load.target.topic: load.target for load in loads}
        parked = {part.topic: part for part in passed}
        moved: list[TopicOffset] = []
        for part in cut.parts:
            held, stays, since_us = self.offsets.get(part.topic), parked.get(part.topic), part.changes.commit_ts_us
            if stays is None:
                target = followed[part.topic]
                source, named = target.source.table, qualified(target.schema, target.name)
                state, state_since_us = _standing(part.topic, held, cut.barrier, since_us)
            else:
                source, named, state = stays.source, stays.target, TableState.PARKED
                state_since_us = held.state_since_us if held is not None and held.state is state else since_us
            moved.append(
                TopicOffset(
                    topic=part.topic,
                    partition=PARTITION,
                    topic_id=topic_ids[part.topic],
                    next_offset=part.offsets.stop,
                    next_seq=part.next_seq,
                    state=state,
                    state_since_us=state_since_us,
                    source_table=str(source),
                    target_table=named,
                    because=stays.because if stays else "",
                    emptied=stays is not None and stays.emptied,
                )
            )
        for topic, held in self.offsets.items():
            if topic in followed or topic in parked or held.state is TableState.PARKED:
                continue
            state, state_since_us = _standing(topic, held, cut.barrier, held.state_since_us)
            if held.because and state is TableState.OK:
                continue  # altered for a commit that didn't come about, it isn't until rows of it come
            if state != held.state:
                moved.append(replace(held, state=state, state_since_us=state_since_us))
        return CommitPlan(
            expected=self.fence,
            fence=fence,
            offsets=tuple(sorted(moved, key=lambda offset: offset.topic)),
            new_topics=frozenset(offset.topic for offset in moved if offset.topic not in self.offsets),
            loads=tuple(sorted(loads, key=lambda load: (load.target.schema, load.target.name))),
            passed=tuple(passed),
            at=at,
        )

    def after(self, plan: CommitPlan) -> "Tenure":
        """The shard once `plan` is committed."""
        open_keys = dict(self.open_keys)
        for load in plan.loads:
            if not load.target.mode.keyed:
                open_keys.pop(load.target.topic, None)  # an event supersedes none
                continue
            still_open = frozenset[str]() if load.truncate else open_keys.get(load.target.topic, frozenset()) - frozenset(load.closes)
            open_keys[load.target.topic] = still_open | {value.key for value in load.quarantine if value.key is not None}
        return replace(
            self,
            fence=plan.fence,
            offsets={**self.offsets, **{offset.topic: offset for offset in plan.offsets}},
            open_keys=open_keys,
            number=self.number + 1,
        )


def _standing(topic: str, held: TopicOffset | None, barrier: Barrier, since_us: int) -> tuple[TableState, int]:
    """A barrier names every table of the shard that isn't ok, so whoever it doesn't name is ok."""
    if named := barrier.standings.get(topic):
        return named.state, named.since_us
    if held is not None:
        return TableState.OK, held.state_since_us if held.state is TableState.OK else barrier.commit_ts_us
    return TableState.OK, since_us


def start_of_rows(topic: str, topic_id: str, held: TopicOffset | None, low: int, stable_end: int) -> Start:
    """Where reading a row topic goes on; a topic never loaded (`held` None) is read from its beginning, seq 0.

    An idle table's segments expire under its last transaction marker: the low watermark may lie past `next_offset` with nothing lost.
    Reading then starts there, and the first record's seq must be the one expected. Raises Gone when the topic is another one or
    shorter than what was loaded from it.
    """
    if held is None:
        return Start(topic_id, offset=low, next_offset=0, next_seq=0)
    if held.topic_id != topic_id:
        raise topic_recreated(topic, held.source_table, held.next_seq, held.topic_id, topic_id)
    if held.next_offset > stable_end:
        raise topic_shorter(topic, held.source_table, held.next_offset, stable_end)
    return Start(topic_id, max(held.next_offset, low), held.next_offset, held.next_seq)


def start_of_progress(topic: str, next_offset: int, low: int, stable_end: int) -> int:
    """Where reading the shard's barriers goes on. Raises Gone when barriers not yet read have expired: rows may have with them.

    A transaction has one barrier a shard, so right behind a barrier that was loaded is its transaction's marker, which expires with it
    while nothing is streamed. Of what expired behind that nothing tells whether it was barriers, or a transaction that was aborted.
    """
    if next_offset > stable_end:
        raise topic_shorter(topic, "", next_offset, stable_end)
    if low > next_offset + (1 if next_offset else 0):
        raise barriers_expired(topic, next_offset, low)
    return max(next_offset, low)
