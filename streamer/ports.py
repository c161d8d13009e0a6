"""What the streamer needs from the world. Real clients (`edges`) and the simulator's fakes fit these; every effect crosses one of them, and
the method's name is the name of its crash point (`streamer.<method>`).

Since these ports were first drawn: `Message` lives in `core.route` (the core builds messages) and is re-exported here; `SourceServer` got
`tables` and `grants`, which preflight asks; `unique_keys` gives usable keys only; `recycle` does no `init`: the
caller does, as after a start; `Tally` is what an observer of the service is told.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Position, RowCursor
from contracts.signals import Signal
from contracts.table import TableId
from streamer.core.decoder import Records
from streamer.core.definition import Definition
from streamer.core.route import Message as Message
from streamer.core.selected import RowPackets


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""

    def sleep(self, pause: timedelta) -> None: ...


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The source server, from one query: who it is, what it has executed and purged, its clock.

    `now_us` was read before `executed`. `variables`: the global ones preflight looks at, by lower-case name, values as SHOW VARIABLES
    spells them (`ON`, `ROW`, `FULL`, …).
    """

    uuid: str
    executed: GtidSet
    purged: GtidSet
    now_us: int
    variables: Mapping[str, str]


class SourceServer(Protocol):
    """The control connection. A lost one is made anew by the next call; the turn it held is then lost too."""

    def take_turn(self, name: str) -> bool:
        """GET_LOCK without waiting: True when this streamer leads. A standby asks again. Raises Unavailable."""

    def status(self) -> ServerStatus:
        """Raises Unavailable."""

    def tables(self) -> Sequence[TableId]:
        """Every base table this account may see, system schemas left out. Raises Unavailable."""

    def grants(self) -> Sequence[str]:
        """SHOW GRANTS of this account, one statement each. Raises Unavailable."""

    def unique_keys(self, table: TableId) -> Sequence[tuple[str, ...]]:
        """The keys that can name a row: primary key first, then unique keys in the server's order, each with every column NOT NULL and
        stored, and no prefix or expression parts, as the server has them now; the first one is what a table map names where there is no
        primary key. Empty, too, when the table is not there. Raises Unavailable."""

    def binlogs(self) -> Sequence[str]:
        """The binlog files the server still has, the oldest first. Raises Unavailable."""

    def previous_gtids(self, file: str) -> GtidSet:
        """What the server had executed when this file began. Raises Unavailable, also when the file is gone by now."""

    def event_at(self, place: BinlogPosition) -> str | None:
        """What the event that begins at this place says of itself, empty at the end of its file; None when none begins there. Raises
        Unavailable."""

    def binlog_end(self) -> BinlogPosition:
        """Where the server's binlog ends. Raises Unavailable."""

    def prepared_xa(self) -> Sequence[str] | None:
        """The XA transactions that are prepared and not ended, by xid; None when this account may not know. Raises Unavailable."""

    def cascading(self) -> Sequence[TableId]:
        """The tables whose rows a foreign key changes when its parent's change. Raises Unavailable."""

    def binlog_filters(self) -> Sequence[str]:
        """The options, with their values, by which the server leaves databases out of its binlog. Raises Unavailable."""

    def is_replica(self) -> bool:
        """Whether it applies what it gets from another server, or is set up to. Raises Unavailable."""

    def definition(self, table: TableId) -> Definition | None:
        """The table as it is now; None when it is not there. Raises Unavailable; Invalid, naming the column, for a type not known."""

    def close(self) -> None: ...


class BinlogSource(Protocol):
    """The dump connection."""

    def start(self, executed: GtidSet) -> str:
        """Streams every transaction not in `executed`; what an earlier start streams ends. Gives the UUID of the server that does. Raises
        Gone when some of them are purged (or `next` does), Unavailable."""

    def next(self, timeout: timedelta) -> bytes | None:
        """The next events, whole as the server sent them, header and checksum included, back to back; None when there was none within
        `timeout`. Raises Unavailable when the connection is lost: start again from what is committed."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Rows of a table in the order of its key, those behind `after`. They are read once the server has committed all of `streamed`, so that
    no change of which a row has passed us is missing from them. At most about `size_bytes_max` and `rows_max` rows; a table that has no
    key to be read by is read whole. `keys`: instead all rows with these Kafka keys, and maybe others; of a single key however large."""

    table: TableId
    streamed: GtidSet
    after: RowCursor | None
    where: str | None
    rows_max: int
    size_bytes_max: int
    keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class TableRows:
    """What was read. `definition`: None when there is no such table. `end`: the last row. `last`: there is no row behind it; of those with
    the keys, none that is not here. `high`: every transaction whose changes the rows show ends in the server's binlog at this place or
    before. `read_us`: the server's clock. `fault`: why no row of the table, as it is now, can be found by the keys asked for; empty when
    they can."""

    server_uuid: str
    definition: Definition | None
    packets: RowPackets
    end: RowCursor | None
    last: bool
    high: BinlogPosition
    read_us: int
    fault: str = ""


class TableReader(Protocol):
    """A connection that reads tables, one request at a time, beside everything else."""

    def ask(self, request: ReadRequest) -> None:
        """Begins to read."""

    def rows(self) -> TableRows | None:
        """What was asked for; None while it is being read. Raises Unavailable: ask again; Refused: this table can't be read, and why."""

    def abandon(self) -> None:
        """What was asked for is not wanted any more."""

    def close(self) -> None: ...


class SignalLog(Protocol):
    """Reads the topic `signals`."""

    def hear(self, offset: int) -> Sequence[tuple[int, bytes]]:
        """Records from this offset on, or the first one kept behind it, with their offsets; does not wait for any. Raises Unavailable."""

    def close(self) -> None: ...


class KeyStore(Protocol):
    """Keys of topics, each once, in any number."""

    def add(self, topic: str, keys: Sequence[bytes]) -> None: ...

    def count(self, topic: str) -> int: ...

    def batches(self, topic: str, keys_max: int, size_bytes_max: int) -> Iterator[tuple[bytes, ...]]:
        """All keys of a topic, in order, in batches of at most so many, and so many bytes, or one key."""


class SignalOutbox(Protocol):
    """Asks the running streamer."""

    def send(self, signal: Signal) -> int:
        """The signal's offset in the topic. Raises Unavailable when Kafka does not take it."""


class PositionFollower(Protocol):
    def latest(self) -> Position | None:
        """What of the position was committed since this follower was made, a topic's part only where it changed; None while nothing was.
        Does not wait. Raises Unavailable."""


class EnvelopeSink(Protocol):
    """The transactional producer. One transaction at a time: begin, send…, commit or abort."""

    def init(self) -> None:
        """Completes or aborts what a predecessor left open, and fences it. Raises Unavailable, Fenced."""

    def begin(self) -> None:
        """Raises Fenced, Unavailable."""

    def send(self, message: Message) -> None:
        """Queues; waits while the queue is full, never drops. Raises Fenced, Unavailable, Corrupt (too large a message)."""

    def send_rows(self, rows: Records) -> None:
        """Queues them for the topic's partition 0, in order. As `send`."""

    def commit(self, meanwhile: Callable[[], bool] | None = None) -> None:
        """Rows, barrier and position become visible together. `meanwhile` may be called while the answer is awaited, until it returns
        False; it must not raise, nor touch the sink. Raises Fenced; Unavailable when it was aborted for certain; OutcomeUnknown when it may
        or may not be committed: `recycle`, then read the position again."""

    def abort(self) -> None:
        """Best effort, never raises: whoever calls this recycles next."""

    def recycle(self) -> None:
        """Closes this producer and makes a new one, so that no late EndTxn of the old one can touch what follows: the new one's `init`,
        which the caller does next, gets a new producer epoch."""

    def unsettled(self) -> bool:
        """True when an EndTxn since the last init was retried or timed out, or the coordinator's connection changed: recycle before the
        next transaction."""

    def close(self) -> None: ...


class PositionStore(Protocol):
    """Reads the topic `position`; it is written only by transactions of the sink."""

    def read(self) -> Position | None:
        """The committed position, read to the end the topic has now; None when it holds none. Call after `init`. Raises Unavailable,
        Corrupt."""


class TopicAdmin(Protocol):
    def ensure(self, topic: str, *, partitions: int, compacted: bool) -> None:
        """Creates the topic with the pipeline's retention, replication and message size, or checks the one that is there: Refused when its
        partition count differs. Raises Unavailable."""

    def keep(self, topics: Collection[str]) -> None:
        """Has those of these topics that are there, none of them compacted, keep records for the pipeline's retention at least: a longer
        one stays. Where that isn't allowed, it is told and left. Raises Unavailable."""

    def row_topics(self) -> Sequence[str]:
        """The pipeline's row topics that hold or held records; row topics without a position mean halt. Raises Unavailable."""


@dataclass(slots=True)
class Tally:
    """What was committed since it was last told. `newest_commit_us`: the newest commit time on Kafka, the server's clock while it is idle.
    `behind`: transactions the server had executed and Kafka had not, when last asked. `rereads`: tables being read again. `purged_at_us`:
    when the server may purge what must be read next; None when it does not by itself. `read`: rows that were read of tables since it was
    last told."""

    rows: int = 0
    size_bytes: int = 0
    source_transactions: int = 0
    kafka_transactions: int = 0
    newest_commit_us: int = 0
    behind: int = 0
    rereads: int = 0
    purged_at_us: int | None = None
    read: int = 0


@dataclass(frozen=True, slots=True)
class Ports:
    """All of them, as a service takes them."""

    clock: Clock
    server: SourceServer
    binlog: BinlogSource
    sink: EnvelopeSink
    positions: PositionStore
    topics: TopicAdmin
    readers: Sequence[TableReader]
    signals: SignalLog
