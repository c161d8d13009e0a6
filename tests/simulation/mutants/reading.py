"""Tables read anew while the stream goes on."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Barrier, Position
from loader.core.collapse import latest
from loader.core.records import Change
from streamer.core.progress import OpenTransaction
from streamer.ports import Message
from streamer.service.ddl import DdlFollower
from streamer.service.reading import Reading
from streamer.service.readings import TableReadings
from streamer.service.rereading import Rereading
from streamer.service.session import Session
from tests.simulation import binlog, encoder, source
from tests.simulation.binlog import LiveServer
from tests.simulation.mutants.producer import LONG
from tests.simulation.risks import Risks
from tests.simulation.variant import Variant


def _nothing(*_: object, **__: object) -> None:
    """Instead of what the design does."""


def end_by_executed(self: LiveServer) -> BinlogPosition:
    """The high mark by gtid_executed: a transaction is seen by the SELECT before it is in that set."""
    return self.place(self.executed.count())


def forget_the_row_before(changes: Sequence[Change], key: Sequence[str], *, keep_gone: bool = False) -> Sequence[Change]:
    """In a soft_delete table too, what says that a row was looked for in vain supersedes the change that tells how it was."""
    return latest(changes, key)


_took = Rereading.took


def strike_while_read(self: Rereading, topic: str, keys: Collection[bytes | None], now: datetime) -> None:
    """What the stream takes once the rows are there strikes nothing: the filter ends before the high mark is passed."""
    if any(chunk.rows is None for chunk in self._chunks.get(topic, ())):
        _took(self, topic, keys, now)


def strike_the_last(self: Rereading, topic: str, keys: Collection[bytes | None], now: datetime) -> None:
    """Of the keys that are taken together only the last one is struck: of a key change, the new one."""
    _took(self, topic, list(keys)[-1:], now)


_collect = Rereading.collect


def forget_the_struck(self: Rereading, server_uuid: str, now: datetime) -> None:
    """The low mark is taken once the rows are there: what the stream took before, since they were asked for, strikes nothing."""
    waiting = [chunk for chunks in self._chunks.values() for chunk in chunks if chunk.rows is None]
    _collect(self, server_uuid, now)
    for chunk in waiting:
        if chunk.rows is not None:
            chunk.struck.clear()


_between = Session._between_transactions


def move_the_cursor_first(self: Session, now: datetime) -> None:
    """The cursor moves when rows were read, not when they are sent."""
    _between(self, now)
    for topic, chunks in self._rereading._chunks.items():
        for chunk in chunks:
            if chunk.rows is not None and chunk.rows.end is not None and topic in self._transaction.open.rereads:
                self._transaction.open.reread(topic, replace(self._transaction.open.rereads[topic], after=chunk.rows.end))


def ask_untold(self: Session, now: datetime) -> None:
    """Rows are asked for before a barrier has said that they come."""
    held = self._transaction.position
    told = self._transaction.position = replace(held, rereads=self._transaction.open.rereads)
    try:
        _between(self, now)
    finally:
        if self._transaction.position is told:
            self._transaction.position = held


_encode_topic = Position.encode_topic


def forget_readings(self: Position, topic: str) -> bytes:
    """Readings are known in memory only."""
    return _encode_topic(replace(self, rereads={}), topic)


_barriers = OpenTransaction._barriers


def tell_nothing(self: OpenTransaction, position: Position, shards: Collection[int]) -> Iterator[Message]:
    """Barriers say of every table that it is ok."""
    for message in _barriers(self, position, shards):
        yield replace(message, value=replace(Barrier.decode(message.value), standings={}).encode())


READINGS = Risks(kill=0.003, lost=0.006, pause=0.02, asking=0.06, haste=0.08, transactions=(10, 14), tables=1, statements=0.05)
"""For what takes a reading while the table changes."""

LATE = replace(READINGS, kill=0, lost=0, pause=0.2, pause_at=("streamer.next",), pause_steps_max=25)
"""The same with a stream that is late, so that what was read waits for it."""

ASKED = Risks(asking=0.06, haste=0.3)
"""For what takes a reading to begin and to end in one Kafka transaction."""

CRASHES = Risks(kill=0.05, asking=0.03, haste=0.15)
"""For what is right as long as nobody dies."""

STATEMENTS = replace(LATE, statements=0.25)
"""As late, and the table is altered and emptied."""

SLOW_COMMITS = (binlog, "STEP_MAX_MS", 2_400)
"""A little less than the streamer's patience with a server that has sent what it has not committed."""


def _reading(name: str, shows: tuple[str, ...], owner: object, attribute: str, value: object, risks: Risks = READINGS) -> Variant:
    return Variant(name, shows=shows, patches=((owner, attribute, value), SLOW_COMMITS), risks=risks, streams=True)


MUTANTS: Sequence[Variant] = (
    _reading("rows read: nothing is struck", ("STALE", "AHEAD", "TORN"), Rereading, "took", _nothing),
    _reading("rows read: struck only while they are read", ("STALE",), Rereading, "took", strike_while_read),
    Variant(
        "rows read: only the last of the keys is struck",
        shows=("STALE",),
        patches=((Rereading, "took", strike_the_last), (source, "MOVES", 0.75)),
        risks=LATE,
        streams=True,
    ),
    _reading("rows read: low mark after they are there", ("STALE",), Rereading, "collect", forget_the_struck),
    _reading("rows read: low mark not behind the stream", ("STALE",), OpenTransaction, "streamed", property(lambda _: GtidSet())),
    _reading("rows read: high mark not waited for", ("AHEAD", "STALE"), Reading, "passed", lambda self, _: self.drained),
    _reading("rows read: high mark by gtid_executed", ("TORN", "AHEAD", "STALE"), LiveServer, "end", property(end_by_executed), LATE),
    _reading("rows read: sent in the middle of what was read ahead", ("HALT",), Reading, "drained", property(lambda _: True)),
    _reading("rows read: cursor moves when they are read", ("TORN",), Session, "_between_transactions", move_the_cursor_first, CRASHES),
    Variant(
        "rows read: asked for before it is told",
        shows=("UNANNOUNCED",),
        patches=((Session, "_between_transactions", ask_untold), LONG),
        risks=ASKED,
        streams=True,
    ),
    _reading("readings in memory only", ("TORN",), Position, "encode_topic", forget_readings, CRASHES),
    _reading("readings not told by barriers", ("TORN",), OpenTransaction, "_barriers", tell_nothing),
    _reading("TRUNCATE or DDL does not end a reading", ("STALE",), TableReadings, "altered", _nothing, STATEMENTS),
    _reading("DDL does not begin a reading", ("TORN",), DdlFollower, "_read_anew", _nothing, STATEMENTS),
    Variant(
        "soft_delete: looked for in vain counts like any delete",
        shows=("I1_LOST", "I1_OTHER"),
        patches=((encoder, "latest", forget_the_row_before),),
    ),
)
