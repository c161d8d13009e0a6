"""`streamer --from-timestamp T --again`: the row events of append tables, from a window of the binlog through signals to their topics."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count, islice
from random import Random
from unittest.mock import patch

import pytest

from contracts.envelope import Envelope, with_seq
from contracts.errors import Unavailable
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Position, TableState
from contracts.signals import EVENTS_BYTES_MAX, Ask, RowEvent, Signal
from contracts.table import Column, Kind, TableSchema
from streamer.core import emission, window
from streamer.core.closing import ClosePolicy
from streamer.core.definition import Definition
from streamer.core.emission import Emission
from streamer.core.route import Choices, TableChoice
from streamer.edges.keys import SqliteKeys
from streamer.service import Streamer, Tuning, asking
from streamer.service.backfill import Mending, collect, mendings
from streamer.service.emitting import Emitting, emissions
from streamer.service.requests import AHEAD, Requests
from tests.decoders import DECODERS, decoder_named
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Fate, Killed
from tests.simulation.world import silent
from tests.streamer import test_service
from tests.streamer.binlog import COMMIT_US, Source, Table, query
from tests.streamer.test_service import ITEMS, ORDERS, ORDERS_TOPIC, TOPICS, captures
from tests.streamer.test_window import Beside, numbers

LOOSE = Table("loose", key_columns=0)
CHOICES = Choices(TOPICS, 1, captures, ("shop.*",), {ORDERS.id: TableChoice(append=True)})
LARGE = 400  # bytes: a record with a longer number than most
WIDER = replace(ORDERS, columns=("id", "v", "w"))


@pytest.fixture
def keys() -> Iterator[SqliteKeys]:
    with closing(SqliteKeys(1 << 20)) as made:
        yield made


@pytest.fixture(params=DECODERS)
def decoder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def definition(table: Table) -> Definition:
    columns = tuple(Column(name, Kind.INT, nullable=place >= table.key_columns) for place, name in enumerate(table.columns))
    key = table.columns[: table.key_columns]
    return Definition(TableSchema(table.id, columns, key), key)


@dataclass
class World(test_service.World):
    """Orders are appended by choice, loose rows for want of a key; items are merged."""

    choices: Choices = CHOICES
    tuning: Tuning = field(default_factory=lambda: Tuning(hear_every=timedelta()))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.source.definitions |= {table.id: definition(table) for table in (ORDERS, ITEMS, LOOSE)}

    def streamer(self, name: str = "a", since_us: int | None = None) -> Streamer:
        self.source.owner = None
        return super().streamer(name, since_us)

    def calm(self, streamer: Streamer | None = None) -> Streamer:
        """Until all that was asked for is done, too."""
        streamer = self.run(streamer)
        for _ in range(3000):
            streamer.step()
            position = self.position()
            assert position is not None
            if not position.asked and position.next_signal >= self.signals and self.source.executed == position.gtid_set:
                return streamer
        raise AssertionError(f"not done: {self.position()}")

    signals = 0

    def send(self, signal: Signal) -> int:
        self.broker.append(TOPICS.signals, None, signal.encode())
        self.signals = self.broker.partition(TOPICS.signals).end
        return self.signals - 1

    def rows(self, topic: str = ORDERS_TOPIC) -> list[tuple[bytes | None, bytes]]:
        """Records, but for their seqs, which are checked."""
        records = self.records(topic)
        assert [Envelope.decode(value).source.seq for _, value in records] == list(range(len(records)))
        return [(key, with_seq(value, 0)) for key, value in records]


def traded(world: World) -> None:
    source = world.source
    source.commit(ORDERS.insert((1, 10), (2, 20)), ITEMS.insert((7, 70)))
    source.commit(ORDERS.update(((1, 10), (1, 11)), ((2, 20), (5, 20))), LOOSE.insert((1, 1)))
    source.commit(ORDERS.delete((5, 20)), ITEMS.update(((7, 70), (7, 71))))
    source.commit(LOOSE.insert((1, 1)), ORDERS.insert((5, 21)))
    source.commit(LOOSE.delete((1, 1)))


def scanned(source: Source, first: int, stop: int, keys: SqliteKeys, name: str, *, again: bool = True) -> Sequence[Mending]:
    beside, made = Beside(source, FakeClock(source.time)), decoder_named(name)("p", 8 << 20, None)
    scan = collect(beside, CHOICES, captures, (numbers(1, first), numbers(1, stop)), made, keys, lambda done, total: None, again=again)
    return mendings(beside.server, CHOICES, scan, keys, again=again)


def found(source: Source, first: int, stop: int) -> Iterator[Emission]:
    beside, between = Beside(source, FakeClock(source.time)), (numbers(1, first), numbers(1, stop))
    return emissions(beside, CHOICES, {ORDERS.id, LOOSE.id}, between, decoder_named("python")("p", 8 << 20, None), lambda: False)


def test_events_of_append_tables_are_counted_and_keys_of_others_found(decoder: str, keys: SqliteKeys) -> None:
    world = World()
    traded(world)
    made = scanned(world.source, 2, 5, keys, decoder)
    assert [(mending.table.name, mending.keys, mending.events, mending.left) for mending in made] == [
        ("items", 1, 0, ""),
        ("loose", 0, 2, ""),
        ("orders", 0, 5, ""),
    ]
    made = scanned(world.source, 2, 5, keys, decoder, again=False)
    assert {mending.table.name: (mending.keys, mending.events, "--again" in mending.left) for mending in made} == {
        "items": (1, 0, False),
        "loose": (0, 0, True),
        "orders": (0, 0, True),
    }


def test_a_table_with_another_schema_since_is_refused_until_it_has_the_present_one(decoder: str, keys: SqliteKeys) -> None:
    source = World().source
    source.commit(ORDERS.insert((1, 10)))
    source.raw(query("ALTER TABLE orders ADD COLUMN w INT"))
    source.commit(WIDER.insert((2, 20, 200)))
    source.definitions[ORDERS.id] = definition(WIDER)
    (made,) = scanned(source, 1, 4, keys, decoder)
    assert "2025-08-14T14:50:00.001001+00:00" in made.refused
    assert source.commit_us(1) + 1 == COMMIT_US + 1_001
    (made,) = scanned(source, 2, 4, keys, decoder)
    assert (made.refused, made.events) == ("", 1)
    source.definitions[ORDERS.id] = definition(ORDERS)
    (made,) = scanned(source, 1, 4, keys, decoder)
    assert "14:50:00.003001" in made.refused, "altered again since, and no row came"


@pytest.mark.parametrize("statement", ["TRUNCATE TABLE orders", "DROP TABLE orders", "RENAME TABLE other.orders TO orders"])
def test_what_is_no_row_event_is_told_and_nothing_is_read_whole_for_it(keys: SqliteKeys, statement: str) -> None:
    world = World()
    world.source.commit(ORDERS.insert((1, 10)))
    world.source.raw(query(statement))
    world.source.commit(ORDERS.insert((1, 11)))
    (made,) = scanned(world.source, 1, 4, keys, "python")
    assert (made.table, made.snapshot, made.left, made.refused, made.events) == (ORDERS.id, "", "", "", 2)
    assert made.unsent.startswith(" ".join(statement.split()[:2]))
    sent = [Envelope.decode(event.value).op.value for each in found(world.source, 1, 4) for event in each.events]
    assert sent == ["c", "c"]


def test_what_is_emitted_is_what_the_stream_sent(decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large transactions, read piece by piece, and rows too large for a record, too."""
    monkeypatch.setattr(window, "ROWS_MAX", 3)
    monkeypatch.setattr(emission, "EVENTS_MAX", 4)
    world = World(tuning=Tuning(message_bytes_max=LARGE))
    traded(world)
    world.source.commit(*(ORDERS.insert((number, 0), (number + 1, 0), (number + 2, -(10**9))) for number in range(10, 40, 3)))
    world.source.commit(ORDERS.insert((9, 0)))
    world.run()
    beside, between = Beside(world.source, FakeClock(world.time)), (GtidSet(), numbers(1, 8))
    found = emissions(beside, CHOICES, {ORDERS.id}, between, decoder_named(decoder)("p", LARGE, None), lambda: False)
    made = [event for each in found for event in each.events]
    stream = [Envelope.decode(value) for _, value in world.records(ORDERS_TOPIC)]
    assert {envelope.source.oversize > 0 for envelope in stream} == {True, False}
    assert [event.key for event in made] == [key for key, _ in world.records(ORDERS_TOPIC)]
    again = [Envelope.decode(event.value) for event in made]
    assert [without_size(envelope) for envelope in again] == [without_size(envelope) for envelope in stream]


def without_seq(event: RowEvent) -> RowEvent:
    return replace(event, value=with_seq(event.value, 0))


def without_size(envelope: Envelope) -> Envelope:
    """Without seq, moment of handling and, of a row too large, the digits of the seq in its size."""
    source = envelope.source
    return replace(envelope, source=replace(source, seq=0, oversize=source.oversize // 100), ts_ms=0)


@pytest.mark.parametrize("stop", range(14))
def test_after_a_stop_the_moment_it_tells_goes_on_without_gap(stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emission, "EVENTS_MAX", 3)
    monkeypatch.setattr(window, "ROWS_MAX", 2)
    source = World().source
    for number in range(12):
        source.commit(ORDERS.insert(*((row, number) for row in range(9 if number == 5 else 1 + number % 3))))
    emitting = Emitting(Outbox(), COMMIT_US)
    sent: list[RowEvent] = []
    for signal in islice(emitting.signals(found(source, 1, 13), lambda: "x"), stop):
        emitting.send(signal)
        sent += signal.events
    everything = [event for each in found(source, 1, 13) for event in each.events]
    first = next((number for number in range(1, 13) if source.commit_us(number) >= emitting.before_us), 13)
    rest = [event for each in found(source, first, 13) for event in each.events]
    assert [without_seq(event) for event in sent[: len(sent) - emitting.beyond] + rest] == list(map(without_seq, everything))
    assert emitting.sent == len(sent)
    assert ("sends again" in str(emitting)) == (emitting.beyond > 0)


def test_a_request_that_kafka_may_have_taken_is_told() -> None:
    source = World().source
    source.commit(ORDERS.insert((1, 1)))
    emitting = Emitting(Outbox(Unavailable("no answer")), COMMIT_US)
    with pytest.raises(Unavailable):
        emitting.send(next(emitting.signals(found(source, 1, 2), lambda: "an_id")))
    assert (emitting.sent, emitting.before_us) == (0, COMMIT_US)
    assert "signal.heard with id an_id?" in str(emitting)


def test_the_binlog_is_read_no_further_than_the_streamer_has_taken() -> None:
    source = World().source
    for number in range(50):
        source.commit(ORDERS.insert((number, 1)))
    beside = Beside(source, FakeClock(source.time))
    made = emissions(beside, CHOICES, {ORDERS.id}, (GtidSet(), numbers(1, 51)), decoder_named("python")("p", 8 << 20, None), lambda: False)
    with patch.object(emission, "EVENTS_MAX", 5):
        next(made)
    assert beside.binlog._next == 6


@dataclass
class Idle:
    """A streamer that does nothing, asked until it was looked at so often."""

    sent: int = 0
    looks: int = 0

    def send(self, signal: Signal) -> int:
        self.sent += 1
        return self.sent

    def latest(self) -> Position | None:
        self.looks += 1
        return None


@pytest.mark.parametrize(("size_bytes", "ahead"), [(1, AHEAD), (EVENTS_BYTES_MAX // 2, AHEAD), (3 * EVENTS_BYTES_MAX, 3)])
def test_fewer_signals_wait_when_they_are_large(size_bytes: int, ahead: int) -> None:
    source = World().source
    source.commit(ORDERS.insert((1, 1)))
    (emitted,) = found(source, 1, 2)
    envelope = Envelope.decode(emitted.events[0].value)
    large = RowEvent(None, replace(envelope, after={"v": "x" * size_bytes}).encode())
    signals = (Signal(str(number), Ask.EMIT, ORDERS.id, events=(large,), schema=emitted.schema) for number in range(20))
    idle = Idle()
    list(Requests(idle, idle, FakeClock(source.time), TOPICS).follow(signals, lambda: idle.looks == 3))
    assert idle.sent == ahead


@dataclass
class Outbox:
    """Takes everything, or fails."""

    failure: Unavailable | None = None

    def send(self, signal: Signal) -> int:
        if self.failure is not None:
            raise self.failure
        return 0


def test_a_transaction_the_pipeline_does_not_have_is_not_emitted(decoder: str) -> None:
    world = World()
    traded(world)
    beside, between = Beside(world.source, FakeClock(world.time)), (GtidSet(), numbers(1, 2).union(numbers(3, 5)))
    made = emissions(beside, CHOICES, {ORDERS.id}, between, decoder_named(decoder)("p", 8 << 20, None), lambda: False)
    gtids = [Envelope.decode(event.value).source.gtid.rpartition(":")[2] for each in made for event in each.events]
    assert gtids == ["1", "1", "3", "4"]


FATES = [
    (effect, fate, crossing)
    for effect in ("streamer.send", "streamer.commit")
    for fate in (Fate.KILL_BEFORE, Fate.KILL_AFTER, Fate.LOSE_ANSWER, Fate.LOSE_REQUEST, Fate.KILL_SENT)
    for crossing in range(0, 14, 1 if effect == "streamer.commit" else 3)
]


@pytest.mark.parametrize(("effect", "fate", "crossing"), FATES)
def test_events_are_emitted_once_more_whatever_befalls_the_streamer(
    effect: str, fate: Fate, crossing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emission, "EVENTS_MAX", 2)
    with silent():
        world = World(tuning=Tuning(close=ClosePolicy(rows_max=3), hear_every=timedelta()))
        traded(world)
        streamer = world.run()
        before = {topic: world.rows(topic) for topic in (ORDERS_TOPIC, "p.shop.loose", "p.shop.items")}
        ids = count()
        for signal in Emitting(world, 0).signals(found(world.source, 2, 5), lambda: str(next(ids))):
            world.send(signal)
        assert world.signals > 3
        world.gate.at(effect, *[Fate.RUN] * crossing, fate)
        first = world.gate
        for late in ((), (ORDERS.insert((9, 90)),)):
            if late:
                world.source.commit(*late)
            try:
                streamer = world.calm(streamer)
            except Killed:
                first.settle()
                streamer = world.calm()
            first.settle()
    assert world.rows("p.shop.items") == before["p.shop.items"]
    assert world.rows("p.shop.loose") == before["p.shop.loose"] + before["p.shop.loose"][:2]
    after = world.rows()
    assert after[:-1] == before[ORDERS_TOPIC] + before[ORDERS_TOPIC][2:]
    assert (Envelope.decode(after[-1][1]).after or {})["id"] == 9
    states = [TableState.REREADING in {held.state for held in barrier.standings.values()} for barrier in world.barriers()]
    assert True in states
    assert not states[-1]


@pytest.mark.parametrize("seed", range(8))
def test_events_go_out_between_the_transactions_of_a_busy_source(seed: int) -> None:
    """Split ones, too, with the streamer begun anew at any moment."""
    rng = Random(seed)
    with silent():
        world = World(tuning=Tuning(close=ClosePolicy(rows_max=2, split_rows=2, split_age=timedelta()), hear_every=timedelta()))
        traded(world)
        streamer = world.run()
        emitted = list(found(world.source, 1, 6))
        ids = count(6)
        for each in emitted:
            world.send(Signal("x", Ask.EMIT, each.table, events=each.events, schema=each.schema))
        for _ in range(60):
            if rng.random() < 0.3:
                world.source.commit(*(ORDERS.insert((next(ids), 0)) for _ in range(rng.choice((1, 1, 2, 7)))))
            if rng.random() < 0.1:
                streamer = world.streamer()
            streamer.step()
        world.calm(streamer)
    rows = world.rows()
    again = [(event.key, with_seq(event.value, 0)) for each in emitted if each.table == ORDERS.id for event in each.events]
    assert len(again) == 7
    assert all(rows.count(row) == (2 if row in again else 1) for row in rows)
    started = rows.index(again[0], 7)
    assert rows[started : started + 7] == again, "in one piece, as their signal"
    gtids = [Envelope.decode(value).source.gtid for _, value in rows]
    before, behind = gtids[started - 1], gtids[started + 7] if started + 7 < len(gtids) else ""
    assert before != behind, "not inside a transaction"


@pytest.mark.parametrize("fault", ["altered", "gone", "merged", "unreadable"])
def test_events_that_do_not_fit_the_table_any_more_are_given_up(fault: str) -> None:
    with silent():
        world = World()
        traded(world)
        streamer = world.run()
        before = world.rows()
        signals = list(Emitting(world, 0).signals(found(world.source, 1, 2), lambda: "1"))
        if fault == "altered":
            world.source.definitions[ORDERS.id] = definition(WIDER)
        elif fault == "gone":
            del world.source.definitions[ORDERS.id]
        elif fault == "merged":
            streamer.close()
            world.choices = replace(CHOICES, tables={})
            streamer = world.streamer()
        else:
            streamer.close()
            world.choices = replace(CHOICES, tables={ORDERS.id: TableChoice(key=("none",), append=True)})
            streamer = world.streamer()
        for signal in signals:
            world.send(signal)
        world.calm(streamer)
    assert world.rows() == before


def test_a_stop_leaves_what_is_not_sent_yet() -> None:
    with silent():
        world = World()
        traded(world)
        streamer = world.run()
        before = world.rows()
        for signal in Emitting(world, 0).signals(found(world.source, 1, 5), lambda: "1"):
            world.send(signal)
        world.send(Signal("2", Ask.STOP, ORDERS.id))
        world.send(Signal("3", Ask.STOP, LOOSE.id))
        world.calm(streamer)
    assert world.rows() == before


def test_no_more_is_held_of_large_events_than_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "EVENTS_BYTES_MAX", 100)
    position = Position(1, "s", GtidSet(), 0, 0, 0, BinlogPosition.unknown())
    held = asking.AskedRows(position)
    world = World()
    traded(world)
    (signal, *_) = Emitting(world, 0).signals(found(world.source, 1, 2), lambda: "1")
    size_bytes = sum(event.size_bytes for event in signal.events)
    for offset in range(3200 // size_bytes + 1):
        assert not held.full
        held.hold(offset, signal)
    assert held.full
    held.drop([0])
    assert not held.full
