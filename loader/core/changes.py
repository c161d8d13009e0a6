"""Row changes on their way from the reader to a batch: while they are collected, and once they are a table's part of a cut.

There are two kinds. The readable one keeps every change decoded; the kernel's keeps columns, and decoded changes only where it leaves
them to the readable way. Both come to the same staging table.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contracts.envelope import Op
from contracts.table import TableSchema
from loader.core.collapse import latest
from loader.core.form import RowForm
from loader.core.plan import Changes, Mode, Staged, TargetTable
from loader.core.records import Change, Records

RECORD_OVERHEAD_BYTES = 1024
"""What a decoded change takes beyond its text."""

DECODED_FACTOR = 3
"""How much larger the text of an envelope is once it is Python objects: 1.2 to 3.5 times measured, for long values and for many short ones,
the overhead above not counted."""


class OpenChanges(Protocol):
    """Changes that may share a part, while they are read. Seqs follow one another from the first, and whoever adds has seen to that."""

    def __len__(self) -> int: ...

    @property
    def memory_bytes(self) -> int: ...

    def size_bytes(self, count: int) -> int:
        """Of the records of the first `count`."""

    def read(self, records: Records, begin: int) -> int:
        """Takes records in from index `begin` on, as far as they are changes like these whose seqs follow, and returns how many. It may
        stop before any: that one is then decoded, judged, and `put` if it belongs here."""

    def put(self, change: Change) -> None: ...

    def take(self, count: int) -> Changes:
        """Removes the first `count`."""


def memory_of(size_bytes: int) -> int:
    """What a record of this size takes in memory once it is decoded."""
    return RECORD_OVERHEAD_BYTES + DECODED_FACTOR * size_bytes


@dataclass(frozen=True, slots=True)
class DecodedChanges:
    """Changes, readably."""

    changes: Sequence[Change]

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def size_bytes(self) -> int:
        return sum(change.size_bytes for change in self.changes)

    @property
    def stop_offset(self) -> int:
        return self.changes[-1].offset + 1

    @property
    def commit_ts_us(self) -> int:
        return self.changes[0].envelope.source.commit_ts_us

    @property
    def truncate(self) -> bool:
        return len(self.changes) == 1 and self.changes[0].envelope.op is Op.TRUNCATE

    def message_keys(self) -> Iterator[bytes | None]:
        return (change.key for change in self.changes)

    def staged(self, schema: TableSchema, target: TargetTable) -> Staged:
        kept = self.changes
        if target.mode.keyed:
            kept = latest(kept, schema.key, keep_gone=target.mode is Mode.SOFT_DELETE)
        form = RowForm(schema, target, kept)
        table = form.table()
        return Staged(table, len(self.changes) - len(kept), len(form.unformed), tuple(form.quarantine()))


@dataclass(slots=True)
class OpenDecodedChanges:
    """Changes, readably, while they are read. `ends[i]`: bytes of the records up to and with change `i`, and of all taken before."""

    changes: list[Change] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    taken_bytes: int = 0

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def memory_bytes(self) -> int:
        return RECORD_OVERHEAD_BYTES * len(self.changes) + DECODED_FACTOR * self.size_bytes(len(self.changes))

    def size_bytes(self, count: int) -> int:
        return self.ends[count - 1] - self.taken_bytes if count else 0

    def read(self, records: Records, begin: int) -> int:
        return 0

    def put(self, change: Change) -> None:
        before = self.ends[-1] if self.ends else self.taken_bytes
        self.changes.append(change)
        self.ends.append(before + change.size_bytes)

    def take(self, count: int) -> DecodedChanges:
        taken, self.changes = self.changes[:count], self.changes[count:]
        self.taken_bytes += self.size_bytes(count)
        self.ends = self.ends[count:]
        return DecodedChanges(taken)
