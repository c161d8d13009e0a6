"""One shard's records, read on from where the warehouse says, and gathered until there is a reason to cut."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from contracts.errors import Gone
from contracts.ledger import TopicOffset
from contracts.topics import Topics
from loader.core.cut import Cut, CutPolicy, CutReason, OpenBatch
from loader.core.gap import rows_missing
from loader.core.lane import OpenRun, Start
from loader.core.shard import Tenure, start_of_progress, start_of_rows
from loader.ports import Clock, ShardLog

RECORDS_MAX = 500
"""Records of one poll: few enough that a batch is cut soon after it is full, and that they stay in the processor's caches."""

LOSS_CHECK_EVERY = timedelta(seconds=1)


class Reading:
    """A shard that was taken, from `seek` on. `tenure`: as the last commit left it, whoever commits says so. `astray`: the reader has lost
    its place, and only another reading finds it."""

    def __init__(
        self,
        tenure: Tenure,
        topics: Topics,
        policy: CutPolicy,
        log: ShardLog,
        destinations: OpenRun,
        clock: Clock,
        captured: Callable[[TopicOffset], bool],
    ) -> None:
        self.tenure = tenure
        self.astray = False
        self._topics = topics
        self._policy = policy
        self._log = log
        self._clock = clock
        self._captured = captured
        self._batch = OpenBatch(topics.progress, tenure.fence.progress_offset, tenure.fence.barrier_no, {}, destinations)
        self._loss_checked_at = clock.now()
        self._held: frozenset[str] = frozenset()
        self._more = False  # the last poll did not show all there is

    @property
    def awaits_rows(self) -> bool:
        """Whether a barrier was read whose rows were not."""
        return bool(self._batch.awaited)

    def seek(self) -> timedelta | None:
        """SEEK: where the warehouse says, if Kafka still has it. The shortest retention of what is read, None when Kafka keeps all. The
        topic of a table that has left the pipeline may be deleted: it is read on once a barrier names it, and not before."""
        progress, held = self._topics.progress, self.tenure.fence.progress_offset
        bounds = self._log.bounds(progress)
        offsets = {progress: start_of_progress(progress, held, bounds.low, bounds.stable_end)}
        for topic in sorted(topic for topic, loaded in self.tenure.offsets.items() if self._captured(loaded)):
            start = start_in(self._log, topic, self.tenure.offsets)
            self._batch.open(topic, start)
            offsets[topic] = start.offset
        self._log.seek(offsets)
        return self._log.retention(offsets)

    def reason_to_cut(self) -> CutReason | None:
        return self._batch.reason_to_cut(self._policy, self._clock.now(), more=self._more)

    def cut(self, reason: CutReason) -> tuple[Cut, dict[str, str]]:
        """What was gathered up to a barrier, and Kafka's ids of the topics in it."""
        cut = self._batch.cut(reason, self._clock.now())
        return cut, {part.topic: self._batch.topic_id(part.topic) for part in cut.parts}

    def poll(self, timeout: timedelta) -> bool:
        """POLL. True when anything was read, or the place was lost. Raises Gone where rows of a barrier are."""
        held = self._batch.ahead(self._policy)
        if held != self._held:
            self._log.hold(held)
            self._held = held
        try:
            found = self._log.poll(RECORDS_MAX, timeout)
        except Gone:
            # Kafka expires an idle table's segments under a reader too. The rule of SEEK knows that from a loss.
            self.astray = True
            return True
        now = self._clock.now()
        for records in found:
            self._batch.add(records, now)
        self._more = sum(map(len, found)) >= RECORDS_MAX
        for topic in sorted(self._batch.unread):
            start = start_in(self._log, topic, self.tenure.offsets)
            self._batch.open(topic, start)
            self._log.add(topic, start.offset)
        if not found and now - self._loss_checked_at >= LOSS_CHECK_EVERY:
            self._loss_checked_at = now
            self.refuse_loss()
        return bool(found)

    def refuse_loss(self) -> None:
        """A barrier is visible only once its rows are in their partitions. Read to the end, marker or not, without them: they are gone."""
        for topic, seq in self._batch.awaited.items():
            bounds = self._log.bounds(topic)
            if self._log.position(topic) >= bounds.end:
                held = self.tenure.offsets.get(topic)
                table = held.source_table if held else topic.removeprefix(f"{self._topics.prefix}.")
                raise rows_missing(topic, table, seq, bounds.end)


def start_in(log: ShardLog, topic: str, offsets: Mapping[str, TopicOffset]) -> Start:
    """Where a topic of rows is read on, if Kafka has that still under the topic's id. `offsets`: as the warehouse has them."""
    topic_id = log.topic_id(topic)
    bounds = log.bounds(topic)
    return start_of_rows(topic, topic_id, offsets.get(topic), bounds.low, bounds.stable_end)


def end_of_progress(log: ShardLog, topic: str, next_offset: int) -> int:
    """The offset behind the last barrier Kafka holds now, `next_offset` when it holds none from there on. Moves the reader."""
    bounds = log.bounds(topic)
    log.seek({topic: max(next_offset, bounds.low)})
    end = next_offset
    while log.position(topic) < bounds.stable_end:
        for records in log.poll(RECORDS_MAX, timedelta(milliseconds=200)):
            end = max([end, *(offset + 1 for offset in records.offsets if offset < bounds.stable_end)])
    return end
