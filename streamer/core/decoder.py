"""What a decoder does: raw events in, records ready for Kafka out, and the few things only its caller can decide.

Two decoders give the same bytes: `streamer.core.twin`, in readable Python, and `tidemark_kernel`, in Rust, behind `streamer.core.kernel`.
A decoder knows the stream (files, positions, table maps, transactions) and rows; it asks about a table the first time it meets its map,
and shows every event that is not of the common run: DDL, XA, whatever may have to stop the stream.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from contracts.position import BinlogPosition
from contracts.progress import InProgress
from streamer.core.commit_times import SourceCommits
from streamer.core.route import Route
from streamer.core.schemas import TableMap
from streamer.core.stream import Located
from streamer.core.transactions import UnderWay

Record = Mapping[str, bytes | None]
"""`key` and `value` of a record."""

CHUNK_BYTES = 1 << 20
"""About how large a chunk gets: large enough to make little of what each costs, small enough to be cut in time."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one topic, in their order. `size_bytes`: of their values."""

    topic: str
    records: Sequence[Record]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of captured tables and the source commits among them. Rows of a transaction that is not committed by its end are in it, too:
    `in_progress` says how many of them are handed on by then. `under_way`: a source transaction has begun that the chunk does not end."""

    records: Sequence[Records]
    commits: SourceCommits | None
    under_way: bool
    in_progress: InProgress | None

    @property
    def rows(self) -> int:
        return sum(len(of_topic.records) for of_topic in self.records)

    @property
    def size_bytes(self) -> int:
        return sum(of_topic.size_bytes for of_topic in self.records)


@dataclass(frozen=True, slots=True)
class Unrouted:
    """The next rows are of a table map nothing is known about: `use` it or `ignore` it. `in_progress`: as of a chunk that ends here."""

    table: TableMap
    in_progress: InProgress | None


@dataclass(frozen=True, slots=True)
class Shown:
    """An event for the caller to judge, in the transaction that is under way; `began` and `ended` tell the decoder what it was."""

    at: Located
    under_way: UnderWay | None


Step = Chunk | Unrouted | Shown


class Decoder(Protocol):
    """Made for one stream of events. After an error it is of no use."""

    def feed(self, events: bytes, now: datetime) -> None:
        """Whole raw events, back to back, and when they were received, which their envelopes tell. Take all steps before the next."""

    def next(self, close_at: int, stop_at: int) -> Step | None:
        """The next step; None when all that was fed is taken. A chunk ends at the first source commit by which it has `close_at` records,
        and in any case once it has `stop_at` (> 0) of them, is large, or whatever was fed ends. Raises Corrupt naming the position, also
        for rows the pipeline must not do without (a column that a row image leaves out)."""

    def use(self, table: TableMap, way: Route, next_seq: int) -> None:
        """The rows of this map go to the route's topic, counted from `next_seq`. Another map of the same topic is unrouted thereby."""

    def ignore(self, table: TableMap) -> None:
        """The rows of this map are nobody's."""

    def forget(self, topic: str) -> None:
        """The topic's seqs were counted elsewhere: the map in use for it is unrouted."""

    def began(self) -> None:
        """The event shown began the transaction whose GTID came before it."""

    def ended(self) -> None:
        """The event shown ended the transaction under way."""

    @property
    def position(self) -> BinlogPosition:
        """Where the next event begins."""


class DecoderFactory(Protocol):
    def __call__(self, pipeline: str, message_bytes_max: int, in_progress: InProgress | None) -> Decoder:
        """A decoder for a stream from its start. `message_bytes_max`: of a record, key and value; a larger row goes without its values.
        `in_progress`: the transaction whose first rows are on Kafka already: they are checked and left out."""
