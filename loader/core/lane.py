"""What was read of one topic and not yet cut: runs of changes that may share a part of a cut, in the order of their seqs."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from contracts.envelope import Envelope, Op
from contracts.errors import Corrupt
from contracts.offsets import OffsetRange
from loader.core.changes import OpenChanges
from loader.core.gap import rows_expired
from loader.core.plan import Changes, Destination, Nowhere
from loader.core.records import Change, Record, Records


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading a topic begins: `offset`. Loaded is everything before `next_offset`, and the next record's seq is `next_seq`."""

    topic_id: str
    offset: int
    next_offset: int
    next_seq: int


@dataclass(frozen=True, slots=True)
class Part:
    """One table's share of a cut: changes of one schema, never empty. `offsets` tiles on from the part before. `renewing`: every row MySQL
    holds of the table comes anew, with the first of these changes or after it."""

    topic: str
    destination: Destination | Nowhere
    offsets: OffsetRange
    next_seq: int
    changes: Changes
    renewing: bool = False


OpenRun = Callable[[str, str, int, bool], tuple[Destination | Nowhere, OpenChanges]]
"""Given a topic, a schema's fingerprint, the next seq and whether it is that of a TRUNCATE, which may name no schema: where such changes
go, and what collects them. Raises Corrupt, Invalid, Unavailable."""


@dataclass(slots=True)
class _Run:
    """Consecutive changes that may share a part, from seq `first`."""

    first: int
    fingerprint: str
    truncate: bool
    destination: Destination | Nowhere
    changes: OpenChanges

    @property
    def next_seq(self) -> int:
        return self.first + len(self.changes)

    def takes(self, change: Change) -> bool:
        return not self.truncate and change.envelope.op is not Op.TRUNCATE and self.fingerprint == change.envelope.source.schema


@dataclass(slots=True)
class Lane:
    """What was read of one topic and not yet cut, from seq `first_seq` on. The last run stays when it is empty: the next rows may be like
    those before."""

    topic: str
    start: Start
    first_seq: int
    next_offset: int
    open_run: OpenRun
    runs: deque[_Run] = field(default_factory=deque)
    counted_bytes: int = 0
    """Of memory, by the batch."""

    @property
    def next_seq(self) -> int:
        return self.runs[-1].next_seq if self.runs else self.first_seq

    @property
    def part_ends(self) -> int | None:
        """The first seq that cannot be in the same part as the changes before it."""
        return self.runs[1].first if len(self.runs) > 1 else None

    @property
    def memory_bytes(self) -> int:
        return sum(run.changes.memory_bytes for run in self.runs)

    def size_bytes(self, stop_seq: int) -> int:
        """Of the records before `stop_seq`."""
        return sum(run.changes.size_bytes(max(0, min(len(run.changes), stop_seq - run.first))) for run in self.runs)

    def add(self, records: Records) -> None:
        at = 0
        while at < len(records):
            if self.runs:
                at += self.runs[-1].changes.read(records, at)
                if at == len(records):
                    return
            change = self._decoded(records[at])
            if not self.runs or not self.runs[-1].takes(change):
                self._begin(change)
                if not self.runs[-1].truncate:
                    continue  # its like may be read all at once
            self.runs[-1].changes.put(change)
            at += 1

    def _decoded(self, record: Record) -> Change:
        envelope = record.decoded(Envelope.decode)
        if envelope.source.seq != self.next_seq:
            self._refuse(envelope, record.offset)
        return Change(record.offset, record.key, envelope, record.size_bytes)

    def _begin(self, change: Change) -> None:
        """A run for changes like this one."""
        truncate, seq = change.envelope.op is Op.TRUNCATE, self.next_seq
        fingerprint = change.envelope.source.schema
        run = _Run(seq, fingerprint, truncate, *self.open_run(self.topic, fingerprint, seq, truncate))
        if self.runs and not self.runs[-1].changes:
            self.runs.pop()
        self.runs.append(run)

    def take(self, stop_seq: int, *, renewing: bool) -> Part | None:
        """Removes what lies before `stop_seq`, as a part."""
        count = stop_seq - self.first_seq
        if count <= 0:
            return None
        run = self.runs[0]
        changes = run.changes.take(count)
        offsets = OffsetRange(self.next_offset, changes.stop_offset)
        self.first_seq, self.next_offset = stop_seq, offsets.stop
        run.first = stop_seq
        if not run.changes and (run.truncate or len(self.runs) > 1):
            self.runs.popleft()
        return Part(self.topic, run.destination, offsets, stop_seq, changes, renewing)

    def _refuse(self, change: Envelope, offset: int) -> NoReturn:
        topic, seq = self.topic, change.source.seq
        if self.next_seq == self.start.next_seq and seq > self.next_seq:
            # The first record there is: those before it are not there any more.
            raise rows_expired(topic, str(change.source.table), self.next_seq, seq, offset)
        raise Corrupt(
            f"topic {topic} at offset {offset}: seq {seq} where {self.next_seq} must follow",
            topic=topic,
            offset=offset,
            expected_seq=self.next_seq,
            seq=seq,
        )
