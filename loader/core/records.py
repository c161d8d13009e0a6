"""What is read: Kafka's records, and the row changes they carry."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from contracts.envelope import Envelope
from contracts.errors import Corrupt

Decoded = TypeVar("Decoded")


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record."""

    topic: str
    offset: int
    key: bytes | None
    value: bytes | None

    @property
    def size_bytes(self) -> int:
        return len(self.value or b"") + len(self.key or b"")

    def decoded(self, decode: Callable[[bytes], Decoded]) -> Decoded:
        """What the value says. Raises Corrupt, which names the record, where `decode` raises ValueError."""
        try:
            return decode(self.value or b"null")
        except ValueError as error:
            raise Corrupt(f"{self.topic} at offset {self.offset}: {error}", topic=self.topic, offset=self.offset) from error


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one topic in the order of their offsets, as the reader delivered them; the three lists go together."""

    topic: str
    offsets: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]

    @classmethod
    def of(cls, *records: Record) -> "Records":
        """Records of one topic, at least one."""
        return cls(records[0].topic, [r.offset for r in records], [r.key for r in records], [r.value for r in records])

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, at: int) -> Record:
        return Record(self.topic, self.offsets[at], self.keys[at], self.values[at])

    def __iter__(self) -> Iterator[Record]:
        return (self[at] for at in range(len(self)))


@dataclass(frozen=True, slots=True)
class Change:
    """A row change, decoded: its offset, its message key as bytes (what identifies the row), the envelope, and the record's size."""

    offset: int
    key: bytes | None
    envelope: Envelope
    size_bytes: int
