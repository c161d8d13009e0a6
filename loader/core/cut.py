"""The open micro-batch of a shard: what was read and not yet committed, which barriers it has reached, and when and where to cut it.

A cut is always at a barrier, so a commit brings every table of the shard to the same point of the source. A table's part of a cut holds
rows of one schema only, and a TRUNCATE stands alone in its part.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from contracts.errors import Corrupt
from contracts.progress import Barrier
from loader.core.changes import memory_of
from loader.core.lane import Lane, OpenRun, Part, Start
from loader.core.records import Record, Records

BEHIND_FACTOR = 4
"""How much longer a batch may fill while the reader has not caught up."""


class CutReason(StrEnum):
    ROWS = "rows"
    BYTES = "bytes"
    AGE = "age"
    SCHEMA = "schema"
    TRUNCATE = "truncate"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class CutPolicy:
    """When a batch closes. `rows_max` and `size_bytes_max` count what lies before a reached barrier, in bytes of Kafka records;
    `memory_bytes_max` all that is held, as it lies in memory; `age_max`: longest anything read waits for its commit."""

    rows_max: int
    size_bytes_max: int
    age_max: timedelta
    memory_bytes_max: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Everything up to `barrier`. `whole`: the last barrier in it that isn't inside a source transaction, if there is one.
    `progress_offset`: the next to read."""

    reason: CutReason
    barrier: Barrier
    progress_offset: int
    whole: Barrier | None
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        return sum(len(part.changes) for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A barrier read, and the offset behind it."""

    barrier: Barrier
    next_offset: int
    size_bytes: int


class OpenBatch:
    """The rows and barriers of a shard read since its last cut.

    `add` every record in the order the reader delivers a topic's; then, until it names none, `open` each topic in `unread`; then ask
    `reason_to_cut`. What is cut is gone from here: whoever cannot commit it begins again from what the warehouse says.
    """

    def __init__(self, progress: str, progress_offset: int, barrier_no: int, starts: Mapping[str, Start], open_run: OpenRun) -> None:
        """`progress`: the topic of the barriers. `progress_offset`, `barrier_no`: as the fence has them."""
        self._progress = progress
        self._open_run = open_run
        self._progress_offset = progress_offset
        self._barrier_no = barrier_no
        self._lanes: dict[str, Lane] = {}
        self._marks: deque[_Mark] = deque()
        self._reached = 0
        self._unread: set[str] = set()
        self._mixed: set[str] = set()  # topics whose changes need more than one part
        self._covered: dict[str, int] = {}  # by the reached barriers: next seq of each topic they name
        self._opened_at: datetime | None = None
        self.rows = 0
        self.reached_rows = 0
        self.reached_bytes = 0
        self.memory_bytes = 0
        for topic, start in starts.items():
            self.open(topic, start)

    def open(self, topic: str, start: Start) -> None:
        """From now on `topic` is read, from `start`."""
        self._lanes[topic] = Lane(topic, start, start.next_seq, start.next_offset, self._open_run)
        self._unread.discard(topic)

    @property
    def topics(self) -> frozenset[str]:
        return frozenset(self._lanes)

    def topic_id(self, topic: str) -> str:
        return self._lanes[topic].start.topic_id

    def add(self, records: Records, now: datetime) -> None:
        """Takes records in. Raises Corrupt for what breaks the streamer's promises: form, order, contiguous seqs; Gone when rows expired
        unread; and what it takes to know where rows go. Whoever has seen it raise begins again."""
        if self._opened_at is None:
            self._opened_at = now
        if records.topic == self._progress:
            for record in records:
                self._add_barrier(record)
            return
        lane = self._lanes[records.topic]
        lane.add(records)
        self.rows += len(records)
        self._count(lane)

    def _count(self, lane: Lane) -> None:
        held = lane.memory_bytes
        self.memory_bytes += held - lane.counted_bytes
        lane.counted_bytes = held
        if lane.part_ends is None:
            self._mixed.discard(lane.topic)
        else:
            self._mixed.add(lane.topic)

    def _add_barrier(self, record: Record) -> None:
        barrier = record.decoded(Barrier.decode)
        if barrier.n <= self._barrier_no:
            raise Corrupt(
                f"{record.topic} at offset {record.offset}: barrier {barrier.n} follows barrier {self._barrier_no}",
                topic=record.topic,
                offset=record.offset,
            )
        self._barrier_no = barrier.n
        mark = _Mark(barrier, record.offset + 1, len(record.value or b""))
        self._marks.append(mark)
        self.memory_bytes += memory_of(mark.size_bytes)
        self._unread.update(barrier.next_seqs.keys() - self._lanes.keys())

    @property
    def unread(self) -> frozenset[str]:
        """Topics a barrier names that nobody reads yet: to be read from their beginning before a cut."""
        return frozenset(self._unread)

    @property
    def awaited(self) -> Mapping[str, int]:
        """By topic the next seq without which the first barrier not reached can't be."""
        self._reach()
        if self._reached == len(self._marks):
            return {}
        named = self._marks[self._reached].barrier.next_seqs
        return {topic: seq for topic, seq in named.items() if topic not in self._lanes or self._lanes[topic].next_seq < seq}

    def ahead(self, policy: CutPolicy) -> frozenset[str]:
        """Topics to hold back: what is held fills its share of memory, and only others bring the next barrier nearer."""
        if self.memory_bytes < policy.memory_bytes_max:
            return frozenset()
        awaited = self.awaited or {self._progress: 0}
        return frozenset({*self._lanes, self._progress} - awaited.keys())

    def reason_to_cut(self, policy: CutPolicy, now: datetime, *, more: bool = False) -> CutReason | None:
        """Why this micro-batch closes now, or None to keep filling it. Never a reason while no barrier is reached.

        `more`: there is more to read at once. Then age alone is less of a reason: a larger batch brings the warehouse up sooner. A barrier
        inside a source transaction is no place to stop for age alone, but rather there than over size or memory.
        """
        self._reach()
        if not self._reached:
            return None
        for topic in sorted(self._mixed):
            first, second, *_ = self._lanes[topic].runs
            if self._covered.get(topic, 0) > second.first:
                return CutReason.TRUNCATE if first.truncate or second.truncate else CutReason.SCHEMA
        if self.reached_rows >= policy.rows_max:
            return CutReason.ROWS
        if self.reached_bytes >= policy.size_bytes_max:
            return CutReason.BYTES
        if self.memory_bytes >= policy.memory_bytes_max:
            return CutReason.MEMORY
        age_max = policy.age_max * (BEHIND_FACTOR if more else 1)
        if self._opened_at is not None and now - self._opened_at >= age_max and self._last_whole(self._reached) is not None:
            return CutReason.AGE
        return None

    def cut(self, reason: CutReason, now: datetime) -> Cut:
        """Closes the batch at the last barrier possible, a whole one if there is any. Raises Corrupt when rows that can't share a part
        aren't parted by a barrier; ValueError when no barrier is reached."""
        self._reach()
        if not self._reached:
            raise ValueError("a cut needs a barrier")
        allowed = self._allowed()
        if not allowed:
            named = self._marks[0].barrier
            mixed = [topic for topic, seq in named.next_seqs.items() if seq > (self._lanes[topic].part_ends or seq)]
            raise Corrupt(
                f"barrier {named.n} of {self._progress} covers rows of two schemas of one table, or a TRUNCATE among rows:"
                f" {', '.join(mixed)}",
                topics=mixed,
            )
        last = self._last_whole(allowed)
        count = allowed if last is None else last + 1
        marks = [self._marks.popleft() for _ in range(count)]
        self._reached -= count
        self.memory_bytes -= sum(memory_of(mark.size_bytes) for mark in marks)
        covered: dict[str, int] = {}
        for mark in marks:
            covered.update(mark.barrier.next_seqs)
        renewing = self._renewing([mark.barrier for mark in marks])
        parts = [part for topic, seq in sorted(covered.items()) if (part := self._lanes[topic].take(seq, renewing=topic in renewing))]
        for part in parts:
            self.rows -= len(part.changes)
            self.reached_rows -= len(part.changes)
            self.reached_bytes -= part.changes.size_bytes
            self._count(self._lanes[part.topic])
        self._progress_offset = marks[-1].next_offset
        self._opened_at = now if self.rows or self._marks else None
        whole = None if last is None else marks[last].barrier
        return Cut(reason, marks[-1].barrier, self._progress_offset, whole, tuple(parts))

    def _renewing(self, barriers: Sequence[Barrier]) -> set[str]:
        """The tables that were being read anew when the first of their changes before these barriers came."""
        renewing: dict[str, bool] = {}
        for barrier in barriers:
            for topic, seq in barrier.next_seqs.items():
                if seq > self._lanes[topic].first_seq:
                    renewing.setdefault(topic, topic in barrier.renewing)
        return {topic for topic, anew in renewing.items() if anew}

    def _reach(self) -> None:
        """Counts the barriers reached: every partition they and those before them name is read up to the seq named."""
        while self._reached < len(self._marks):
            named = self._marks[self._reached].barrier.next_seqs
            if any(topic not in self._lanes or self._lanes[topic].next_seq < seq for topic, seq in named.items()):
                return
            self._reached += 1
            for topic, seq in named.items():
                lane = self._lanes[topic]
                since = max(self._covered.get(topic, 0), lane.first_seq)
                self.reached_rows += max(since, seq) - since
                self.reached_bytes += lane.size_bytes(max(since, seq)) - lane.size_bytes(since)
                self._covered[topic] = max(seq, self._covered.get(topic, 0))

    def _allowed(self) -> int:
        """How many of the reached barriers a cut may take in without mixing a table's schemas."""
        for at in range(self._reached):
            for topic, seq in self._marks[at].barrier.next_seqs.items():
                ends = self._lanes[topic].part_ends
                if ends is not None and seq > ends:
                    return at
        return self._reached

    def _last_whole(self, count: int) -> int | None:
        """The index of the last of the first `count` barriers that isn't inside a source transaction."""
        return next((at for at in range(count - 1, -1, -1) if not self._marks[at].barrier.partial), None)
