"""MySQL as the streamer sees it: a control connection with its lock, and a dump connection that sends raw events; while it is read the
server goes on. A commit takes three steps, in binlog order: it is written to the binlog, where the dump may send it at once; it is
committed in the engine, where a SELECT sees it; it is added to gtid_executed."""

import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate

from contracts.errors import Unavailable
from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.table import TableId
from streamer.core.definition import Definition
from streamer.core.events import ARTIFICIAL, Type
from streamer.ports import ServerStatus
from tests.fakes.clock import Time
from tests.fakes.faults import Gate
from tests.streamer.binlog import READY, event, format_description

FILE = "binlog.000001"


@dataclass
class Server:
    """A source server: all its binlog will be, by transaction, raw events without positions, and how far it is. `executed_of`: its GTID set
    after so many of them. `begins_at`: where in its file its first transaction begins. `turn`: the process that holds the lock.

    `moved_to`: the server that has taken over, to which its name leads from then on; who was connected stays so until it is `down`."""

    uuid: str
    time: Time
    binlog: Sequence[tuple[Gtid, Sequence[bytes]]]
    executed_of: Callable[[int], GtidSet]
    tables: Sequence[TableId]
    variables: dict[str, str] = field(default_factory=lambda: dict(READY))
    turn: object | None = None
    written: int = 0
    begins_at: int = 4
    moved_to: "Server | None" = None
    down: bool = False

    def __post_init__(self) -> None:
        sizes = (sum(map(len, events)) for _, events in self.binlog)
        self._ends = list(accumulate(sizes, initial=self.begins_at + len(format_description())))
        self._visible_us: list[int] = []
        self._executed_us: list[int] = []

    def write(self, visible_after: timedelta, executed_after: timedelta) -> None:
        """The next transaction goes into the binlog; the engine has committed it so much later at the earliest, and so much after that
        it is in gtid_executed."""
        now_us, step = self.time.elapsed_us, timedelta(microseconds=1)
        self._visible_us.append(max(now_us + visible_after // step, self._visible_us[-1] if self._visible_us else 0))
        self._executed_us.append(max(self._visible_us[-1] + executed_after // step, self._executed_us[-1] if self._executed_us else 0))
        self.written += 1

    def follow(self, other: "Server", count: int) -> None:
        """Takes over from it: so many of its transactions are there, and become visible when they would have there."""
        self.written = count
        self._visible_us, self._executed_us = other._visible_us[:count], other._executed_us[:count]
        other.moved_to = self

    @property
    def current(self) -> "Server":
        """The one a new connection leads to."""
        return self.moved_to or self

    @property
    def visible(self) -> int:
        """Of how many transactions a SELECT sees the changes."""
        return bisect_right(self._visible_us, self.time.elapsed_us)

    @property
    def executed(self) -> GtidSet:
        return self.executed_of(bisect_right(self._executed_us, self.time.elapsed_us))

    @property
    def end(self) -> BinlogPosition:
        """Of the binlog."""
        return self.place(self.written)

    def place(self, count: int) -> BinlogPosition:
        """Behind the first so many transactions."""
        return BinlogPosition(FILE, self._ends[count])


class FakeSourceServer:
    """The control connection of one process. The lock goes with the connection: `drop` says that the server has noticed its end."""

    def __init__(self, server: Server, gate: Gate) -> None:
        self._known = server
        self.gate = gate
        self.dropped = False

    @property
    def server(self) -> Server:
        return self._known.current

    def take_turn(self, name: str) -> bool:
        def take() -> bool:
            if self.server.turn is None and not self.dropped:
                self.server.turn = self
            return self.server.turn is self

        return self.gate.cross("streamer.take_turn", take)

    def status(self) -> ServerStatus:
        def ask() -> ServerStatus:
            now_us = int(self.gate.time.now().timestamp() * 1_000_000)
            return ServerStatus(self.server.uuid, self.server.executed, GtidSet(), now_us, self.server.variables)

        return self.gate.cross("streamer.status", ask)

    def tables(self) -> Sequence[TableId]:
        return self.gate.cross("streamer.tables", lambda: self.server.tables)

    def grants(self) -> Sequence[str]:
        return self.gate.cross("streamer.grants", lambda: ("GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `t`@`%`",))

    def binlog_end(self) -> BinlogPosition:
        return self.gate.cross("streamer.binlog_end", lambda: BinlogPosition(FILE, 4 + self.server.executed.count()))

    def prepared_xa(self) -> Sequence[str] | None:
        return self.gate.cross("streamer.prepared_xa", lambda: ())

    def cascading(self) -> Sequence[TableId]:
        return self.gate.cross("streamer.cascading", lambda: ())

    def binlog_filters(self) -> Sequence[str]:
        return ()

    def is_replica(self) -> bool:
        return False

    def binlogs(self) -> Sequence[str]:
        return (FILE,)

    def previous_gtids(self, file: str) -> GtidSet:
        return GtidSet()

    def event_at(self, place: BinlogPosition) -> str | None:
        return ""

    def unique_keys(self, table: TableId) -> Sequence[tuple[str, ...]]:
        return ()

    def definition(self, table: TableId) -> Definition | None:
        raise AssertionError(f"nobody asks what {table} is: no row events are sent again here")

    def close(self) -> None:
        self.drop()

    def drop(self) -> None:
        self.dropped = True
        if self.server.turn is self:
            self.server.turn = None


class FakeBinlogSource:
    """The dump connection of one process."""

    def __init__(self, server: Server, gate: Gate) -> None:
        self.server = server
        self.gate = gate
        self._executed = GtidSet()
        self._next = 0
        self._events: list[bytes] = []
        self._at = 4
        self._told = 4  # the place the reader knows of

    def start(self, executed: GtidSet) -> str:
        self.server = self.gate.cross("streamer.start", lambda: self.server.current)
        self._executed, self._next = executed, 0
        self._at = self._told = self.server.begins_at
        rotate = event(Type.ROTATE, struct.pack("<Q", 4) + FILE.encode(), flags=ARTIFICIAL, timestamp_s=0)
        self._events = [rotate, format_description()]
        return self.server.uuid

    def next(self, timeout: timedelta) -> bytes | None:
        if not self._more():
            self.gate.wait("streamer.next", self._more, timeout)
        else:
            self.gate.cross("streamer.next", lambda: None)
        if self.server.down:
            raise Unavailable("the connection to the server was lost")
        if not self._more():
            return None
        if not self._events:
            # Where the dump stands after what it has left out.
            return self._placed(event(Type.HEARTBEAT, FILE.encode(), timestamp_s=0))
        data = self._events.pop(0)
        if data[4] == Type.ROTATE:
            return data
        self._at += len(data)
        return self._placed(data)

    def close(self) -> None:
        self._events, self._next = [], len(self.server.binlog)

    def _more(self) -> bool:
        while not self._events and self._next < self.server.written:
            gtid, events = self.server.binlog[self._next]
            self._next += 1
            if gtid in self._executed:
                self._at = self.server.place(self._next).offset
            else:
                self._events = list(events)
        return bool(self._events) or self._told < self._at

    def _placed(self, data: bytes) -> bytes:
        """With the place where it ends."""
        self._told = self._at
        return data[:13] + self._at.to_bytes(4, "little") + data[17:]
