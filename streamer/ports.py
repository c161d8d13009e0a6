"""What the streamer needs from the world. Real clients (`edges`) and the simulator's fakes fit these; every effect crosses one of them, and
the method's name is the name of its crash point (`streamer.<method>`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from contracts.position import GtidSet
from contracts.progress import Position
from contracts.table import TableId


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""

    def sleep(self, pause: timedelta) -> None: ...


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The source server, from one query: who it is, what it has executed and purged, its clock."""

    uuid: str
    executed: GtidSet
    purged: GtidSet
    now_us: int
    variables: Mapping[str, str]


class SourceServer(Protocol):
    """The control connection."""

    def take_turn(self, name: str) -> bool:
        """GET_LOCK without waiting: True when this streamer leads. A standby asks again."""

    def status(self) -> ServerStatus:
        """Raises Unavailable."""

    def unique_keys(self, table: TableId) -> Sequence[tuple[str, ...]]:
        """The table's unique keys without prefix parts, in definition order, as the server has them now."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One binlog event as the server sent it, header and checksum included."""

    data: bytes


class BinlogSource(Protocol):
    """The dump connection."""

    def start(self, executed: GtidSet) -> None:
        """Streams every transaction not in `executed`. Raises Gone when some of them are purged, Unavailable."""

    def next(self, timeout: timedelta) -> RawEvent | None:
        """The next event; None when the server sent nothing within `timeout`. Raises Unavailable when the connection is lost: start again
        from what is committed."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Message:
    """A record to be produced. Rows go to partition 0 of their topic, barriers to their shard's partition of `progress`."""

    topic: str
    key: bytes | None
    value: bytes
    partition: int = 0


class EnvelopeSink(Protocol):
    """The transactional producer. One transaction at a time: begin, send…, commit or abort."""

    def init(self) -> None:
        """Completes or aborts what a predecessor left open, and fences it. Raises Unavailable, Fenced."""

    def begin(self) -> None: ...

    def send(self, message: Message) -> None:
        """Queues; waits while the queue is full, never drops. Raises Fenced, Unavailable, Corrupt (too large a message)."""

    def commit(self) -> None:
        """Rows, barrier and position become visible together. Raises Fenced; Unavailable when it was aborted for certain; OutcomeUnknown when it may
        or may not be committed: `recycle`, then read the position again."""

    def abort(self) -> None:
        """Best effort: whoever calls this recycles next."""

    def recycle(self) -> None:
        """Closes this producer and makes a new one with a new producer epoch, so that no late EndTxn of the old one can touch what follows."""

    def unsettled(self) -> bool:
        """True when an EndTxn since the last init was retried or timed out, or the coordinator's connection changed: recycle before the next transaction."""

    def close(self) -> None: ...


class PositionStore(Protocol):
    """Reads the topic `position`; it is written only by transactions of the sink."""

    def read(self) -> Position | None:
        """The committed position, read to the end the topic has now; None when it holds none. Call after `init`."""


class TopicAdmin(Protocol):
    def ensure(self, topic: str, *, partitions: int, compacted: bool) -> None:
        """Creates the topic with the pipeline's retention, replication and message size, or checks the one that is there: Refused when its partition
        count differs. Raises Unavailable."""

    def row_topics(self) -> Sequence[str]:
        """The pipeline's row topics that hold or held records; row topics without a position mean halt."""
