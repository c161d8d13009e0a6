"""Tables read again while the stream goes on and the source changes: who reads the warehouse at a barrier reads what MySQL held there."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from contracts.envelope import Envelope, Op, Row, encode_key
from contracts.errors import PipelineError
from contracts.position import GtidSet
from contracts.progress import Asked, Barrier, Position, Standing, TableState
from contracts.signals import Ask, Signal
from contracts.table import Column, Kind, TableId, TableSchema
from contracts.topics import Topics
from streamer.core.closing import ClosePolicy
from streamer.core.decoder import Records
from streamer.core.progress import OpenTransaction
from streamer.core.route import Choices, Route
from streamer.core.translate import Origin, gone_records
from streamer.ports import Ports
from streamer.service import Streamer, Tuning, placing
from streamer.service.asking import AskedRows, without
from streamer.service.beginning import Snapshot
from streamer.service.ddl import DdlFollower
from streamer.service.emptying import Emptying
from streamer.service.reading import Reading
from streamer.service.readings import TableReadings
from streamer.service.rereading import Rereading
from tests.fakes.broker import Broker
from tests.fakes.clock import FakeClock, Time
from tests.fakes.faults import Gate
from tests.fakes.kafka_clients import FakePositionStore, FakeSignals, FakeSink, FakeTopicAdmin
from tests.simulation.world import silent
from tests.streamer.binlog import FakeBinlog, FakeServer
from tests.streamer.live import KEYS, FakeTableReader, LiveSource

TOPICS = Topics("p")
ORDERS = TableId("shop", "orders")
ORDERS_TOPIC = TOPICS.rows(ORDERS)
BUSY = 160
STEPS_MAX = 4000
KEYLESS = frozenset({"items"})


def key_form(table: TableId) -> str:
    return TableSchema(table, (Column("id", Kind.INT, nullable=False),), ("id",)).key_form


@dataclass
class LiveClock(FakeClock):
    """While a process sleeps the server goes on."""

    source: LiveSource = field(kw_only=True)

    def sleep(self, pause: timedelta) -> None:
        for _ in range(20):
            self.source.step(busy=False)
        super().sleep(pause)


class LaggingBinlog(FakeBinlog):
    """The dump may be late."""

    def next(self, timeout: timedelta) -> bytes | None:
        source = self._source
        if isinstance(source, LiveSource) and not self._queue and self.lag and source.rng.random() < self.lag:
            source.time.advance(timeout)
            return None
        found = super().next(timeout)
        # A whole transaction at once: the dump is faster than the engine, too.
        while found is not None and self._queue:
            found += super().next(timeout) or b""
        return found

    lag = 0.0


@dataclass
class Reader:
    """Who reads the topics barrier by barrier, as the loader does."""

    broker: Broker
    source: LiveSource
    faults: list[str] = field(default_factory=list)
    target: dict[str, dict[int, dict[str, int]]] = field(default_factory=lambda: {"orders": {}, "items": {}})
    barriers: int = 0
    seqs: dict[str, int] = field(default_factory=dict)
    states: list[TableState] = field(default_factory=list)
    counts: dict[str, Counter[tuple[tuple[str, int], ...]]] = field(default_factory=dict)  # rows of the tables without a key
    reads: int = 0
    told: frozenset[str] = frozenset()
    damaged: dict[str, int] = field(default_factory=dict)  # by table the offset of the signal that asks for what is damaged
    mended: int = 0
    read: int = 0  # of the topic `position`
    records: dict[bytes, bytes] = field(default_factory=dict)

    def follow(self) -> None:
        committed = [Barrier.decode(entry.value or b"") for _, entry in self.broker.partition(TOPICS.progress).committed()]
        for barrier in committed[self.barriers :]:
            self.barriers += 1
            for topic, seq in barrier.next_seqs.items():
                reads = self.reads
                self._apply(topic, seq)
                if self.reads > reads and topic not in self.told:
                    self.faults.append(f"barrier {barrier.n}: rows of {topic} that were read, and no barrier said before that they come")
            self.told = frozenset(barrier.standings)
            self.states += [standing.state for standing in barrier.standings.values()]
            position = self.position(barrier.n)
            if barrier.partial:
                continue
            moment = self.source.moments[barrier.gtid_set.count()]
            for name, rows in self.target.items():
                topic = TOPICS.rows(TableId("shop", name))
                if name in self.damaged and position.next_signal > self.damaged[name] and topic not in position.asked:
                    del self.damaged[name]
                    self.mended += 1
                if name in self.damaged or topic in barrier.standings:
                    continue
                if name in self.source.keyless:
                    held = {row: count for row, count in self.counts.get(name, Counter()).items() if count}
                    wanted = Counter(map(_as_it_is, moment.rows[name].values()))
                    if held != wanted:
                        self.faults.append(f"barrier {barrier.n}: {name} is {held}, MySQL had {wanted}")
                elif rows != moment.rows[name]:
                    self.faults.append(f"barrier {barrier.n}: {name} is {rows}, MySQL had {moment.rows[name]}")

    def position(self, n: int) -> Position:
        """The one that was committed with the barrier of this number; called for rising numbers."""
        committed = [entry for _, entry in self.broker.partition(TOPICS.position).committed()]
        for entry in committed[self.read :]:
            self.read += 1
            self.records[entry.key or b""] = entry.value or b""
            if entry.key == Position.KEY and (found := Position.decode(self.records)) is not None and found.n == n:
                return found
        raise AssertionError(f"no position {n}")

    def _apply(self, topic: str, stop: int) -> None:
        rows = self.target[topic.rpartition(".")[2]]
        records = [entry for _, entry in self.broker.partition(topic).committed()]
        for seq in range(self.seqs.get(topic, 0), stop):
            envelope = Envelope.decode(records[seq].value or b"")
            assert envelope.source.seq == seq
            self.reads += envelope.op is Op.READ
            if topic.rpartition(".")[2] in self.source.keyless:
                self._fold(topic.rpartition(".")[2], envelope)
            elif envelope.op is Op.TRUNCATE:
                rows.clear()
            elif envelope.op is Op.DELETE:
                rows.pop(_row(envelope.before)["id"], None)
            else:
                row = _row(envelope.after)
                rows[row["id"]] = row
        self.seqs[topic] = stop

    def _fold(self, name: str, envelope: Envelope) -> None:
        """As whoever makes an append table's rows of its events."""
        counts = self.counts.setdefault(name, Counter())
        if envelope.op is Op.TRUNCATE:
            counts.clear()
        if envelope.before is not None:
            counts[_as_it_is(_row(envelope.before))] -= 1
        if envelope.after is not None:
            counts[_as_it_is(_row(envelope.after))] += 1


def _row(image: Row | None) -> dict[str, int]:
    assert image is not None
    return {name: value for name, value in image.items() if isinstance(value, int)}


def _as_it_is(row: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(row.items()))


class World:
    """One pipeline on a live source, in the order a seed decides."""

    def __init__(self, seed: int, *, lag: float = 0.3, alters: bool = True, keyless: frozenset[str] = frozenset()) -> None:
        self.rng = Random(seed)
        self.time = Time()
        self.broker = Broker()
        self.source = LiveSource(self.time, rng=self.rng, alters=alters, keyless=keyless)
        self.reader = Reader(self.broker, self.source)
        self.lag = lag
        self.snapshot = Snapshot.INITIAL
        for _ in range(12):  # what is there before the pipeline is
            self.source.step(busy=True)
        self.source.settle()
        self.streamer = self.started()

    def started(self) -> Streamer:
        self.source.owner = None
        gate = Gate(self.time)
        binlog = LaggingBinlog(self.source)
        binlog.lag = self.lag
        ports = Ports(
            LiveClock(self.time, source=self.source),
            FakeServer(self.source),
            binlog,
            FakeSink(self.broker, gate, "tidemark-p"),
            FakePositionStore(self.broker, gate, TOPICS.position),
            FakeTopicAdmin(self.broker, gate, "p"),
            [FakeTableReader(self.source) for _ in range(self.rng.choice((1, 2)))],
            FakeSignals(self.broker, gate, TOPICS.signals),
        )
        tuning = Tuning(close=ClosePolicy(rows_max=2, split_rows=2), hear_every=timedelta())
        choices = Choices(TOPICS, 1, lambda table: table.database == "shop", ("shop.*",))
        return Streamer(ports, choices, 99, tuning, snapshot=self.snapshot)

    def ask(self, signal: Signal) -> None:
        epoch = self.broker.init("asker")
        self.broker.send("asker", epoch, TOPICS.signals, 0, None, signal.encode())
        self.broker.end("asker", epoch, commit=True)

    def position(self) -> Position | None:
        return FakePositionStore(self.broker, Gate(self.time), TOPICS.position).read() if TOPICS.position in self.broker.topics else None

    def damage(self) -> None:
        """Somebody changes rows of the warehouse by hand, and asks for their keys to be read again."""
        name = self.rng.choice(("orders", "items"))
        rows = self.reader.target[name]
        keys = self.rng.sample(range(KEYS), self.rng.choice((1, 2, KEYS)))
        for key in keys:
            if self.rng.random() < 0.5:
                rows.pop(key, None)
            else:
                rows[key] = {"id": key, "v": -1}
        table = TableId("shop", name)
        # Until it is mended; no barrier on the way there can be one that is reached already.
        self.reader.damaged[name] = self.broker.partition(TOPICS.signals).end
        self.ask(
            Signal("k", Ask.REREAD, table, keys=tuple(encode_key(("id",), {"id": key}) or b"" for key in keys), key_form=key_form(table))
        )

    def turn(self, *, busy: bool, crash: float = 0.0, damage: float = 0.0) -> None:
        self.source.busy = busy
        if TOPICS.signals in self.broker.topics and self.rng.random() < damage:
            self.damage()
        for _ in range(self.rng.randrange(4)):
            self.source.step(busy=busy)
        if self.rng.random() < crash:
            self.streamer = self.started()
        self.streamer.step()
        if TOPICS.progress in self.broker.topics:
            self.reader.follow()

    def run(self, *, crash: float = 0.03, damage: float = 0.0) -> list[str]:
        """A busy time and then a calm one; what was wrong."""
        for _ in range(BUSY):
            self.turn(busy=True, crash=crash, damage=damage)
        for _ in range(STEPS_MAX):
            self.turn(busy=False)
            if self.at_rest() or self.reader.faults:
                return self.reader.faults
        return [f"not at rest: {self.position()}"]

    def at_rest(self) -> bool:
        position = self.position()
        done = position is not None and position.gtid_set.count() == len(self.source.transactions) and not position.readings
        return done and not self.broker.transactions and self.source.executed == (position.gtid_set if position else None)


def schedules(seeds: Sequence[int], lag: float, damage: float = 0.0, keyless: frozenset[str] = frozenset()) -> None:
    reads = mended = 0
    with silent():
        for seed in seeds:
            world = World(seed, lag=lag, keyless=keyless)
            assert world.run(damage=damage) == [], f"seed {seed}"
            assert TableState.SNAPSHOTTING in world.reader.states
            assert not world.reader.damaged
            reads += world.reader.reads
            mended += world.reader.mended
    assert reads > len(seeds)
    assert mended > len(seeds) or not damage


@pytest.mark.parametrize("lag", [0.0, 0.3, 0.8])
def test_at_every_barrier_a_table_that_is_ok_holds_what_mysql_held(lag: float) -> None:
    schedules(range(4), lag)


@pytest.mark.parametrize("lag", [0.0, 0.8])
def test_rows_that_were_damaged_are_whole_once_their_keys_were_read_again(lag: float) -> None:
    schedules(range(1000, 1003), lag, damage=0.05)


@pytest.mark.parametrize("lag", [0.0, 0.3, 0.8])
def test_the_events_of_a_table_without_a_key_tell_at_every_barrier_what_mysql_held(lag: float) -> None:
    schedules((*range(2000, 2003), 2005, 2017), lag, keyless=KEYLESS)


@pytest.mark.long
@pytest.mark.parametrize("damage", [0.0, 0.05])
@pytest.mark.parametrize("lag", [0.0, 0.3, 0.8])
def test_the_same_over_many_schedules(lag: float, damage: float) -> None:
    schedules(range(4, 80), lag, damage)


@pytest.mark.long
@pytest.mark.parametrize("lag", [0.0, 0.8])
def test_the_same_without_a_key(lag: float) -> None:
    schedules(range(2004, 2070), lag, keyless=KEYLESS)


def _nothing(*_: object, **__: object) -> None:
    """Instead of what the design does."""


_ENCODE = Position.encode_topic


def _without_readings(position: Position, topic: str) -> bytes:
    return _ENCODE(replace(position, rereads={}), topic)


def _without_keys(position: Position, topic: str) -> bytes:
    return _ENCODE(replace(position, asked={}), topic)


def _none_is_gone(_keys: object, way: Route, *_: object, **__: object) -> Records:
    return Records(way.topic, [], 0)


def _all_are_gone(keys: Sequence[bytes], way: Route, origin: Origin, *, first_seq: int, now_ms: int) -> Records:
    """Whatever the stream has taken of them meanwhile."""
    return gone_records([encode_key(("id",), {"id": key}) or b"" for key in range(KEYS)], way, origin, first_seq=first_seq, now_ms=now_ms)


MUTANTS: dict[str, tuple[object, str, object]] = {
    "no superseded filter": (Rereading, "took", _nothing),
    "not waiting for the high mark": (Reading, "passed", lambda self, _: self.drained),
    "low mark not behind the stream": (OpenTransaction, "streamed", property(lambda _: GtidSet())),
    "DDL does not end a reading": (TableReadings, "altered", _nothing),
    "DDL does not begin one": (DdlFollower, "_read_anew", _nothing),
    "readings known in memory only": (Position, "encode_topic", _without_readings),
    "rows sent in the middle of what was read ahead": (Reading, "drained", property(lambda _: True)),
}
KEY_MUTANTS: dict[str, tuple[object, str, object]] = {
    "no superseded filter": MUTANTS["no superseded filter"],
    "keys known in memory only": (Position, "encode_topic", _without_keys),
    "rows that are gone stay": (placing, "gone_records", _none_is_gone),
    "rows go that were not asked for": (placing, "gone_records", _all_are_gone),
}
KEYLESS_MUTANTS: dict[str, tuple[object, str, object]] = {
    "no superseded filter": MUTANTS["no superseded filter"],
    "not waiting for the high mark": MUTANTS["not waiting for the high mark"],
    "rows beside those sent before": (Emptying, "renew", _nothing),
}


def test_what_a_design_leaves_out_is_there() -> None:
    """Seen at every change, for the schedules are long."""
    assert [
        name for name, (owner, left_out, _) in {**MUTANTS, **KEY_MUTANTS, **KEYLESS_MUTANTS}.items() if left_out not in vars(owner)
    ] == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("mutants", "name", "damage", "keyless"),
    [
        *((MUTANTS, name, 0.0, frozenset[str]()) for name in MUTANTS),
        *((KEY_MUTANTS, name, 0.05, frozenset[str]()) for name in KEY_MUTANTS),
        *((KEYLESS_MUTANTS, name, 0.0, KEYLESS) for name in KEYLESS_MUTANTS),
    ],
)
def test_a_design_that_leaves_something_out_is_caught(
    mutants: dict[str, tuple[object, str, object]], name: str, damage: float, keyless: frozenset[str]
) -> None:
    with patch.object(*mutants[name]), silent():
        for seed in range(200):
            try:
                if World(seed, lag=0.3 if seed % 2 else 0.8, keyless=keyless).run(crash=0.05, damage=damage):
                    return
            except (AssertionError, PipelineError):
                return
    pytest.fail("not caught in 200 schedules")


def test_rows_are_read_again_when_somebody_asks_and_the_target_is_emptied_first_if_told() -> None:
    with silent():
        world = World(1, alters=False)
        assert world.run(crash=0.0) == []
        before = world.reader.reads
        held = dict(world.reader.target["orders"])
        world.reader.target["orders"][99] = {"id": 99, "v": 99}  # by hand
        world.ask(Signal("1", Ask.SNAPSHOT, ORDERS, resync=True))
        for _ in range(200):
            world.turn(busy=False)
        assert world.reader.faults == []
        assert world.reader.target["orders"] == held
        assert world.reader.reads > before or not held
        assert world.reader.states[-1] is TableState.REREADING
        position = world.position()
        assert position is not None
        assert (position.rereads, position.next_signal > 0) == ({}, True)


@pytest.mark.parametrize("fault", ["key form", "no table"])
def test_keys_of_another_form_or_of_no_table_are_given_up(fault: str) -> None:
    """A key may name another row by then, so nothing is deleted for it."""
    with silent():
        world = next(
            made for made in (World(seed, alters=False) for seed in range(50)) if made.run(crash=0.0) == [] and made.reader.target["orders"]
        )
        world.reader.target["orders"][77] = {"id": 77, "v": 77}
        held = dict(world.reader.target["orders"])
        if fault == "no table":
            del world.source.moments[-1].columns["orders"]
        form = "another" if fault == "key form" else key_form(ORDERS)
        world.ask(Signal("1", Ask.REREAD, ORDERS, keys=(b'{"id":77}',), key_form=form))
        seen = len(world.reader.states)
        for _ in range(400):
            world.turn(busy=False)
        position = world.position()
        assert position is not None
        assert (position.asked, position.next_signal > 0) == ({}, True)
        assert TableState.REREADING in world.reader.states[seen:]
        assert world.reader.target["orders"] == held


def test_keys_are_left_when_the_reading_is_stopped() -> None:
    with silent():
        world = World(2, alters=False)
        assert world.run(crash=0.0) == []
        seen = world.reader.reads
        for number in range(3):
            world.ask(Signal(str(number), Ask.REREAD, ORDERS, keys=(b'{"id":0}',), key_form=key_form(ORDERS)))
        world.ask(Signal("4", Ask.STOP, ORDERS))
        for _ in range(100):
            world.turn(busy=False)
        position = world.position()
        assert position is not None
        assert (position.readings, world.reader.reads, world.reader.faults) == ({}, seen, [])


def test_a_signal_that_lies_before_those_acted_on_is_passed_over_and_told() -> None:
    with silent():
        world = World(2, alters=False)
        assert world.run(crash=0.0) == []
        for number in range(3):
            world.ask(Signal(str(number), Ask.PAUSE, ORDERS))  # of a table that is not being read
        while not (position := world.position()) or position.next_signal < 3:
            world.turn(busy=False)
    heard_from = position.next_signal
    world.broker.delete(TOPICS.signals)
    world.broker.create(TOPICS.signals)
    reads = world.reader.reads
    with capture_logs() as logged:
        for number in range(2):
            world.ask(Signal(str(number), Ask.SNAPSHOT, ORDERS))
            for _ in range(100):
                world.turn(busy=False)
    told = [(line["event"], line["offset"]) for line in logged if line["event"].startswith("signal")]
    assert told == [("signal.passed_over", 0), ("signal.passed_over", 2)]  # the marker of a transaction lies between
    assert f"from offset {heard_from} on" in next(line["because"] for line in logged if line["event"] == "signal.passed_over")
    assert (world.reader.reads, world.reader.faults) == (reads, [])


def test_a_signal_that_expired_before_its_keys_were_read_is_named_and_left() -> None:
    with silent():
        world = World(2, alters=False)
        assert world.run(crash=0.0) == []
    position = world.position()
    assert position is not None
    asked = Asked(ORDERS, Standing(TableState.REREADING, 1), (0, 1))
    keys = AskedRows(replace(position, asked={ORDERS_TOPIC: asked}, next_signal=2))
    assert keys.hear_at == 0
    keys.heard(1, Signal("1", Ask.REREAD, ORDERS, keys=(b'{"id":0}',), key_form="f").encode())
    assert keys.lost({ORDERS_TOPIC: asked}) == {ORDERS_TOPIC: [0]}
    assert [held.offset for held in keys.keys_of(asked)] == [1]
    assert without(asked, [0]) == replace(asked, signals=(1,))
    assert without(asked, [0, 1]) is None


def test_a_reading_waits_while_it_is_paused_and_is_given_up_when_it_is_stopped() -> None:
    with silent():
        world = World(2, alters=False)
        assert world.run(crash=0.0) == []
        for ask in (Ask.SNAPSHOT, Ask.PAUSE):
            world.ask(Signal("1", ask, ORDERS))
        for _ in range(100):
            world.turn(busy=False)
        position = world.position()
        assert position is not None
        assert position.rereads[ORDERS_TOPIC].paused
        world.ask(Signal("2", Ask.STOP, ORDERS))
        for _ in range(100):
            world.turn(busy=False)
        position = world.position()
        assert position is not None
        assert position.rereads == {}
        assert world.reader.faults == []


def test_a_signal_that_is_none_or_for_a_table_nobody_captures_is_passed_over() -> None:
    with silent():
        world = World(3, alters=False)
        assert world.run(crash=0.0) == []
        world.ask(Signal("1", Ask.SNAPSHOT, TableId("other", "t")))
        before = world.position()
        for _ in range(50):
            world.turn(busy=False)
        position = world.position()
        assert position is not None
        assert before is not None
        assert position.next_signal > before.next_signal
        assert position.rereads == {}


def test_a_signal_for_a_table_that_the_server_spells_otherwise_is_passed_over() -> None:
    """Its rows would be found, and go to a topic of their own."""
    with silent():
        world = World(3, alters=False)
        assert world.run(crash=0.0) == []
        world.source.variables["lower_case_table_names"] = "1"
        world.streamer = world.started()
        world.ask(Signal("1", Ask.SNAPSHOT, TableId("shop", "Orders")))
        heard = 0
        for _ in range(50):
            world.turn(busy=False)
            position = world.position()
            assert position is not None
            assert position.rereads == {}
            heard = position.next_signal
        assert heard > 0


def test_a_table_that_is_met_later_is_read_and_no_table_in_mode_never() -> None:
    with silent():
        world = next(made for made in (World(seed, alters=False) for seed in range(50)) if all(made.source.moments[-1].rows.values()))
        seen = world.source.seen
        world.source.seen = seen[:1]
        world.streamer = world.started()
        for _ in range(100):
            world.turn(busy=False)
        reads = world.reader.reads
        world.source.seen = seen
        world.streamer = world.started()
        for _ in range(200):
            world.turn(busy=False)
        assert world.reader.reads > reads
        assert world.reader.target["items"] == world.source.moments[-1].rows["items"]

        world = World(4, alters=False)
        world.snapshot = Snapshot.NEVER
        world.streamer = world.started()
        for _ in range(100):
            world.turn(busy=False)
        assert world.reader.reads == 0


def test_only_a_snapshot_ends_when_all_rows_are_on_kafka() -> None:
    with silent():
        world = World(5, alters=False)
        world.snapshot = Snapshot.ONLY
        world.streamer = world.started()
        turns = 0
        while not world.streamer.finished:
            world.turn(busy=turns < 50)
            turns += 1
            assert turns < STEPS_MAX
        position = world.position()
        assert position is not None
        assert position.rereads == {}
        assert world.reader.reads > 0
