"""Tables read again while the stream goes on: chunks of rows between two marks, without a lock on the source.

A chunk is asked for once the server has committed everything of which the stream has taken a row; it is sent when the stream has passed
the end that the binlog had after the rows were read. Whatever the stream takes of the table in between is newer than the chunk, or the
same: it strikes its key from it. So each row that is left is as it is at the place where it is sent. Source: "DBLog: A Watermark Based
Change-Data-Capture Framework" (Netflix, 2019), with the server's own GTIDs for marks instead of a table that is written to.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from contracts.errors import Invalid, Refused, Unavailable
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Reread
from contracts.signals import KEYS_MAX, Signal
from streamer.core.chunks import SIZE_BYTES, ChunkSize
from streamer.ports import ReadRequest, TableReader, TableRows

_AHEAD = 2  # chunks of a table, the one that waits to be sent included
_HARD_LIMIT = 4  # times the size wanted
_PAUSE = timedelta(seconds=5)  # after a reading that failed
STRUCK_MAX = 200_000
"""Keys a chunk remembers, some 25 MB. A chunk that was read while the stream was hours behind would wait for all that lies between: it is
read again, nearer."""

log = structlog.get_logger()


@dataclass(eq=False)
class Keys:
    """What the signal at `offset` asks for. `done`: how many of its keys were sent."""

    offset: int
    signal: Signal
    done: int = 0


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The keys [start, stop) of a signal."""

    of: Keys
    start: int
    stop: int

    @property
    def keys(self) -> tuple[bytes, ...]:
        return self.of.signal.keys[self.start : self.stop]


@dataclass(eq=False)
class Chunk:
    """Rows asked for, by the order of the table or by keys. `struck`: keys of which the stream has something since. `rows`: None while they
    are being read."""

    topic: str
    reader: TableReader | None
    keys: KeyRange | None = None
    struck: set[bytes] = field(default_factory=set)
    rows: TableRows | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A chunk that was handed to the producer, and how long that took. `rows`: keys of it, when it was asked for by keys."""

    topic: str
    rows: int
    size_bytes: int
    took: timedelta
    by_keys: bool = False


class Rereading:
    """The chunks between asking and sending."""

    def __init__(self, readers: Sequence[TableReader], rows_max: int) -> None:
        """`rows_max`: of a chunk."""
        self._idle = list(readers)
        self._held_max = _AHEAD * len(readers)
        self._rows_max = rows_max
        self._chunks: dict[str, deque[Chunk]] = {}
        self._sizes: dict[tuple[str, bool], ChunkSize] = {}  # by topic, and whether by keys
        self._again_at: dict[str, datetime] = {}

    def watches(self, topic: str) -> bool:
        """Whether changes of the topic's table are to be told."""
        return bool(self._chunks.get(topic))

    def took(self, topic: str, keys: Collection[bytes | None], now: datetime) -> None:
        """The stream has taken changes of these keys."""
        for chunk in self._chunks.get(topic, ()):
            for key in keys:
                if key is None:  # nothing tells which row it was
                    self.failed(topic, "it has no key, and rows of it changed while all were read", now)
                    return
                chunk.struck.add(key)
            if len(chunk.struck) > STRUCK_MAX:
                self.failed(topic, f"more than {STRUCK_MAX} of its rows changed while some were read", now)
                return

    def spoil(self, topic: str) -> None:
        """What is held or being read of the table is not to be sent."""
        for chunk in self._chunks.pop(topic, ()):
            if chunk.reader is not None:
                chunk.reader.abandon()
                self._idle.append(chunk.reader)

    def spoil_all(self) -> None:
        for topic in list(self._chunks):
            self.spoil(topic)

    def ask(self, rereads: Mapping[str, Reread], asked: Mapping[str, Sequence[Keys]], streamed: GtidSet, now: datetime) -> None:
        """Lets idle readers read on: keys first, then the tables. `streamed`: all transactions of which a row was taken."""
        wanted = {topic: reread for topic, reread in rereads.items() if not reread.paused}
        for topic in self._chunks.keys() - wanted.keys() - asked.keys():
            self.spoil(topic)
        for depth in range(_AHEAD):
            for topic in {**asked, **wanted}:
                if not self._idle or sum(map(len, self._chunks.values())) >= self._held_max:
                    return
                if len(self._chunks.get(topic, ())) == depth and self._again_at.get(topic, now) <= now:
                    self._ask(topic, wanted.get(topic), asked.get(topic, ()), streamed)

    def _ask(self, topic: str, reread: Reread | None, asked: Sequence[Keys], streamed: GtidSet) -> None:
        """For what comes behind the chunks there are, if that is known by now."""
        chunks = self._chunks.get(topic, ())
        size = self._size(topic, by_keys=True)
        if (keys := _next_keys(asked, chunks, size.rows)) is not None:
            request = ReadRequest(keys.of.signal.table, streamed, None, None, size.rows, _HARD_LIMIT * SIZE_BYTES, keys.keys)
        elif reread is not None and (before := [chunk for chunk in chunks if chunk.keys is None][-1:]) and not _goes_on(before[0]):
            return
        elif reread is not None:
            after = before[0].rows.end if before and before[0].rows is not None else reread.after
            size = self._size(topic, by_keys=False)
            request = ReadRequest(reread.table, streamed, after, reread.where, size.rows, _HARD_LIMIT * SIZE_BYTES)
        else:
            return
        reader = self._idle.pop(0)
        reader.ask(request)
        self._chunks.setdefault(topic, deque()).append(Chunk(topic, reader, keys))

    def _size(self, topic: str, *, by_keys: bool) -> ChunkSize:
        return self._sizes.setdefault((topic, by_keys), ChunkSize(min(self._rows_max, KEYS_MAX) if by_keys else self._rows_max))

    def collect(self, server_uuid: str, now: datetime) -> None:
        """Takes over what was read. Raises Unavailable when it was read from another server than the stream is."""
        for topic in list(self._chunks):
            for chunk in self._chunks.get(topic, ()):
                if chunk.reader is None:
                    continue
                try:
                    chunk.rows = chunk.reader.rows()
                except (Unavailable, Refused, Invalid) as error:
                    self.failed(topic, error.message, now)
                    break
                if chunk.rows is not None:
                    if chunk.rows.server_uuid != server_uuid:
                        chunk.reader.abandon()  # its next connection may lead elsewhere
                        raise Unavailable(f"tables are read from server {chunk.rows.server_uuid}, and the stream from {server_uuid}")
                    self._idle.append(chunk.reader)
                    chunk.reader = None
                    if chunk.keys is not None and not chunk.rows.last:
                        # Which of the other keys have rows is not known, so none of them can be sent.
                        self._sizes[topic, True] = ChunkSize(
                            self._size(topic, by_keys=True).rows_max, min(chunk.rows.packets.rows, chunk.keys.stop - chunk.keys.start) // 2
                        )
                        self.spoil(topic)
                        break

    def failed(self, topic: str, error: str, now: datetime) -> None:
        """The table can't be read now; it is tried again."""
        log.warning("reread.failed", topic=topic, error=error, again_in_seconds=_PAUSE.total_seconds())
        self._again_at[topic] = now + _PAUSE
        self.spoil(topic)

    @property
    def busy(self) -> bool:
        """Whether a chunk is being read, or was read and is not sent yet."""
        return any(self._chunks.values())

    @property
    def waiting(self) -> bool:
        """Whether a chunk was read that is not sent yet."""
        return any(chunks[0].rows is not None for chunks in self._chunks.values() if chunks)

    def ready(self, passed: Callable[[BinlogPosition], bool]) -> bool:
        """Whether `next` has one."""
        return any(chunks and (rows := chunks[0].rows) is not None and passed(rows.high) for chunks in self._chunks.values())

    def next(self, passed: Callable[[BinlogPosition], bool]) -> tuple[Chunk, TableRows] | None:
        """A chunk that may be sent, in its table's order; it is the caller's then. `passed`: the stream has passed that place."""
        for topic, chunks in self._chunks.items():
            if chunks and (rows := chunks[0].rows) is not None and passed(rows.high):
                # The next table's turn comes first afterwards.
                self._chunks[topic] = self._chunks.pop(topic)
                return chunks.popleft(), rows
        return None

    def committed(self, sent: Sent, rows: int, took: timedelta) -> None:
        """A chunk is on Kafka, in a transaction of so many rows whose commit took that long."""
        share = took * min(1.0, sent.rows / max(rows, 1))
        size = self._size(sent.topic, by_keys=sent.by_keys)
        self._sizes[sent.topic, sent.by_keys] = size.after(sent.rows, sent.size_bytes, sent.took + share)


def _next_keys(asked: Sequence[Keys], chunks: Collection[Chunk], count: int) -> KeyRange | None:
    """At most so many of the keys that no chunk is for."""
    begun = {chunk.keys.of.offset: chunk.keys.stop for chunk in chunks if chunk.keys is not None}
    for keys in asked:
        start = begun.get(keys.offset, keys.done)
        if start < len(keys.signal.keys):
            return KeyRange(keys, start, min(start + count, len(keys.signal.keys)))
    return None


def _goes_on(chunk: Chunk) -> bool:
    return chunk.rows is not None and not chunk.rows.last and chunk.rows.end is not None
