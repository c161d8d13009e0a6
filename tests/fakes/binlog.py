"""MySQL as the streamer sees it: a control connection with its lock, and a dump connection that sends raw events."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.table import TableId
from streamer.core.events import ARTIFICIAL, Type
from streamer.ports import ServerStatus
from tests.fakes.faults import Gate
from tests.streamer.binlog import READY, event, format_description

FILE = "binlog.000001"


@dataclass
class Server:
    """A source server: its binlog by transaction, raw events without positions; `executed`: its own account of it. `turn`: the process that
    holds the lock."""

    uuid: str
    executed: GtidSet
    binlog: Sequence[tuple[Gtid, Sequence[bytes]]]
    tables: Sequence[TableId]
    variables: dict[str, str] = field(default_factory=lambda: dict(READY))
    turn: object | None = None


class FakeSourceServer:
    """The control connection of one process. The lock goes with the connection: `drop` says that the server has noticed its end."""

    def __init__(self, server: Server, gate: Gate) -> None:
        self.server = server
        self.gate = gate
        self.dropped = False

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

    def prepared_xa(self) -> Sequence[str] | None:
        return self.gate.cross("streamer.prepared_xa", lambda: ())

    def cascading(self) -> Sequence[TableId]:
        return self.gate.cross("streamer.cascading", lambda: ())

    def binlogs(self) -> Sequence[str]:
        return (FILE,)

    def previous_gtids(self, file: str) -> GtidSet:
        return GtidSet()

    def event_at(self, place: BinlogPosition) -> str | None:
        return ""

    def unique_keys(self, table: TableId) -> Sequence[tuple[str, ...]]:
        return ()

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
        self._events: list[bytes] = []

    def start(self, executed: GtidSet) -> None:
        def start() -> list[bytes]:
            rotate = event(Type.ROTATE, struct.pack("<Q", 4) + FILE.encode(), flags=ARTIFICIAL, timestamp_s=0)
            wanted = [raw for gtid, events in self.server.binlog if gtid not in executed for raw in events]
            return [rotate, format_description(), *wanted]

        self._events = _placed(self.gate.cross("streamer.start", start))

    def next(self, timeout: timedelta) -> bytes | None:
        if not self._events:
            self.gate.wait("streamer.next", lambda: False, timeout)
            return None
        self.gate.cross("streamer.next", lambda: None)
        return self._events.pop(0)

    def close(self) -> None:
        self._events = []


def _placed(events: Sequence[bytes]) -> list[bytes]:
    """The events with the positions they have in a file that begins with them."""
    at, placed = 4, []
    for raw in events:
        data = bytearray(raw)
        if data[4] != Type.ROTATE:
            at += len(data)
            data[13:17] = at.to_bytes(4, "little")
        placed.append(bytes(data))
    return placed
