"""The loop over fakes: what is on Kafka after any crash, and what makes it stop."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from typing import ClassVar

import pytest
from structlog.testing import capture_logs

from contracts.envelope import Envelope, Op, decode_key
from contracts.errors import Corrupt, Fenced, Gone, Invalid, PipelineError, Refused, Unavailable
from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.progress import Barrier, Position, TableState
from contracts.signals import Ask, Signal
from contracts.table import Column, Kind, TableId, TableSchema
from contracts.topics import Topics
from runtime.selection import TableSelection
from streamer.core.closing import ClosePolicy
from streamer.core.decoder import DecoderFactory
from streamer.core.definition import Definition
from streamer.core.events import Header, Query
from streamer.core.route import Choices, TableChoice
from streamer.core.selected import PythonRowPackets
from streamer.core.stream import Located
from streamer.core.transactions import EventJudge, UnderWay
from streamer.core.twin import PythonDecoder
from streamer.ports import Ports, ReadRequest, TableReader, TableRows
from streamer.service import Streamer, Tuning, lock_name
from streamer.service.beginning import Snapshot
from tests.decoders import DECODERS, decoder_named
from tests.fakes.broker import Broker
from tests.fakes.clock import FakeClock, Time
from tests.fakes.faults import Fate, Gate, Killed
from tests.fakes.kafka_clients import FakePositionStore, FakeSignals, FakeSink, FakeTopicAdmin
from tests.fakes.tables import answer
from tests.streamer.binlog import COMMIT_US, SERVER, FakeBinlog, FakeServer, Source, Table, event, query, xa_prepare, xid

TOPICS = Topics("p")
ORDERS = Table("orders")
ITEMS = Table("items")
LOGS = Table("logs", database="other")
ORDERS_TOPIC = "p.shop.orders"


class Positions(FakePositionStore):
    """Asked before the topic is there, too."""

    def read(self) -> Position | None:
        return super().read() if self.topic in self.broker.topics else None


def captures(table: TableId) -> bool:
    return table.database == "shop"


def everything(table: TableId) -> bool:
    return TableSelection.of(("*.*",)).captures(table)


@dataclass
class World:
    time: Time = field(default_factory=Time)
    broker: Broker = field(default_factory=Broker)
    choices: Choices = field(default_factory=lambda: Choices(TOPICS, 1, captures, ("shop.*",)))
    tuning: Tuning = field(default_factory=Tuning)
    readers: Sequence[TableReader] = ()
    stood_by: int = 0  # how often a streamer found that another one leads
    decoder: ClassVar[DecoderFactory] = PythonDecoder

    def __post_init__(self) -> None:
        self.source = Source(self.time)
        self.gate = Gate(self.time)

    def streamer(self, name: str = "a", since_us: int | None = None) -> Streamer:
        self.gate = Gate(self.time)
        self.sink = FakeSink(self.broker, self.gate, "tidemark-p")
        self.binlog = FakeBinlog(self.source)
        self.admin = FakeTopicAdmin(self.broker, self.gate, "p")
        ports = Ports(
            FakeClock(self.time),
            FakeServer(self.source, name),
            self.binlog,
            self.sink,
            Positions(self.broker, self.gate, TOPICS.position),
            self.admin,
            self.readers,
            FakeSignals(self.broker, self.gate, TOPICS.signals),
        )
        snapshot = Snapshot.INITIAL if self.readers else Snapshot.NEVER
        return Streamer(
            ports, self.choices, 99, self.tuning, None, self.decoder, since_us=since_us, snapshot=snapshot, stand_by=self.stand_by
        )

    def stand_by(self) -> None:
        self.stood_by += 1

    def run(self, streamer: Streamer | None = None, steps: int = 3000) -> Streamer:
        """Until everything the source has executed is on Kafka."""
        streamer = streamer or self.streamer()
        for _ in range(steps):
            streamer.step()
            position = self.position()
            if position is not None and self.source.executed == position.gtid_set:
                return streamer
        raise AssertionError(f"not done after {steps} steps: {self.position()}")

    def position(self) -> Position | None:
        """What is committed at this moment."""
        return Position.decode({key: value for key, value in self.records(TOPICS.position) if key is not None})

    def records(self, topic: str, partition: int = 0) -> list[tuple[bytes | None, bytes]]:
        if topic not in self.broker.topics:
            return []
        return [(entry.key, entry.value or b"") for _, entry in self.broker.partition(topic, partition).committed()]

    def envelopes(self, topic: str = ORDERS_TOPIC) -> list[Envelope]:
        return [Envelope.decode(value) for _, value in self.records(topic)]

    def barriers(self, shard: int = 0) -> list[Barrier]:
        return [Barrier.decode(value) for _, value in self.records(TOPICS.progress, shard)]


class BusyReader:
    """A TableReader that is never done."""

    def ask(self, request: ReadRequest) -> None:
        self.asked = request

    def rows(self) -> TableRows | None:
        return None

    def abandon(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture(params=DECODERS, autouse=True)
def _decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "decoder", staticmethod(decoder_named(request.param)))


@pytest.fixture
def world() -> World:
    return World()


def trade(source: Source) -> None:
    """Inserts, an update, a key change, a delete, a truncate, a second table, one nobody captures, and a new column."""
    source.commit(ORDERS.insert((1, 10), (2, 20)), ITEMS.insert((7, 70)))
    source.commit(ORDERS.update(((1, 10), (1, 11)), ((2, 20), (5, 20))))
    source.commit(LOGS.insert((1, 1)))
    source.commit(ORDERS.delete((5, 20)))
    source.raw(query("TRUNCATE TABLE orders"))
    source.commit(ORDERS.insert((3, 30)))
    source.raw(query("ALTER TABLE orders ADD COLUMN w INT"))
    source.commit(replace(ORDERS, columns=("id", "v", "w")).insert((4, 40, 400)))


OPS = ["c", "c", "u", "d", "c", "d", "t", "c", "c"]


def assert_exactly_once(world: World) -> None:
    envelopes = world.envelopes()
    assert [envelope.op.value for envelope in envelopes] == OPS
    assert [envelope.source.seq for envelope in envelopes] == list(range(len(OPS)))
    assert [envelope.after for envelope in world.envelopes("p.shop.items")] == [{"id": 7, "v": 70}]
    assert "p.other.logs" not in world.broker.topics
    numbers = [barrier.n for barrier in world.barriers()]
    assert numbers == list(range(1, len(numbers) + 1))
    position = world.position()
    assert position is not None
    assert position.next_seqs == {ORDERS_TOPIC: len(OPS), "p.shop.items": 1}


def test_every_row_change_becomes_an_envelope_with_a_barrier_behind_it(world: World) -> None:
    trade(world.source)
    world.run()
    assert_exactly_once(world)
    assert world.barriers()[-1].gtid_set == world.source.executed
    deleted, created = world.envelopes()[3:5]
    assert (deleted.before, created.after) == ({"id": 2, "v": 20}, {"id": 5, "v": 20})
    assert deleted.source.key_change
    assert created.source.key_change
    assert [decode_key(key) for key, _ in world.records(ORDERS_TOPIC)[3:5] if key] == [{"id": 2}, {"id": 5}]


def test_changes_wait_for_each_other_while_a_table_is_being_read_and_no_longer_than_a_kafka_transaction_may(world: World) -> None:
    reader = BusyReader()
    world.readers, world.source.seen = (reader,), (ORDERS.id,)
    streamer = world.run()
    while not hasattr(reader, "asked"):
        streamer.step()
    began, before = world.time.elapsed_us, len(world.barriers())
    for number in range(100):
        world.source.commit(ORDERS.insert((number, number)))
        for _ in range(8):
            streamer.step()
    world.run(streamer)
    took = timedelta(microseconds=world.time.elapsed_us - began)
    assert 2 <= len(world.barriers()) - before <= took / world.tuning.close.age_max + 2
    streamer.close()


def test_a_schema_is_on_its_topic_with_the_first_row_that_uses_it(world: World) -> None:
    trade(world.source)
    world.run()
    schemas = {key.decode(): TableSchema.decode(value) for key, value in world.records(TOPICS.schemas) if key}
    for envelope in world.envelopes():
        if envelope.op is not Op.TRUNCATE:
            assert schemas[f"{ORDERS_TOPIC}/{envelope.source.schema}"].key == ("id",)


def test_a_truncate_and_a_new_schema_begin_a_kafka_transaction_of_their_table(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 10)))
    world.source.raw(query("TRUNCATE TABLE orders"))
    world.source.commit(ORDERS.insert((3, 30)))
    world.source.commit(replace(ORDERS, columns=("id", "w")).insert((4, 40)))
    world.run()
    assert [barrier.next_seqs.get(ORDERS_TOPIC) for barrier in world.barriers() if barrier.next_seqs] == [1, 2, 3, 4]


def test_the_rows_of_a_create_select_do_not_come_with_the_truncate_before_them(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 10)))
    world.source.raw(query("DROP TABLE orders"))
    create = query("CREATE TABLE `orders` (`id` int, `v` int) START TRANSACTION")
    world.source.raw(query("BEGIN"), create, *ORDERS.insert((1, 11), (2, 20)), xid())
    world.run()
    assert [envelope.op for envelope in world.envelopes()] == [Op.CREATE, Op.TRUNCATE, Op.CREATE, Op.CREATE]
    assert [barrier.next_seqs.get(ORDERS_TOPIC) for barrier in world.barriers() if barrier.next_seqs] == [1, 2, 4]


def test_a_create_select_that_selects_nothing_keeps_no_truncate_among_rows(world: World) -> None:
    world.source.commit(ITEMS.insert((1, 10)))
    world.source.commit(ORDERS.insert((1, 10)))
    streamer = world.run()
    world.source.raw(query("DROP TABLE orders"))
    world.source.raw(query("BEGIN"), query("CREATE TABLE `orders` (`id` int, `v` int) START TRANSACTION"), xid())
    world.source.commit(ITEMS.insert((2, 20)))
    world.source.raw(query("TRUNCATE TABLE items"))
    world.run(streamer)
    items = TOPICS.rows(ITEMS.id)
    assert [envelope.op for envelope in world.envelopes(items)] == [Op.CREATE, Op.CREATE, Op.TRUNCATE]
    assert [barrier.next_seqs[items] for barrier in world.barriers() if items in barrier.next_seqs] == [1, 2, 3]


class HoldingReader(BusyReader):
    """A TableReader that finds at once the rows that the table holds, in a table without a key."""

    def __init__(self, source: Source, *rows: tuple[int, int]) -> None:
        self._source = source
        self.held = rows
        self._wanted: TableId | None = None

    def ask(self, request: ReadRequest) -> None:
        self._wanted = request.table

    def rows(self) -> TableRows | None:
        if (table := self._wanted) is None:
            return None
        self._wanted = None
        packets = PythonRowPackets()
        packets.take(answer(("id", "v"), [[str(value).encode() for value in row] for row in self.held]))
        schema = TableSchema(table, (Column("id", Kind.INT, nullable=True), Column("v", Kind.INT, nullable=True)), ())
        return TableRows(SERVER, Definition(schema, ()), packets, None, True, self._source.end, 0)

    def abandon(self) -> None:
        self._wanted = None


KEYLESS = Table("orders", key_columns=0)
CREATED = "CREATE TABLE orders (id INT, v INT)"


def made_while_down(world: World, *statements: str) -> None:
    """A table is made and gets rows while no streamer runs; it is there when the next one looks."""
    world.readers = (HoldingReader(world.source, (1, 10), (2, 20)),)
    world.run()
    world.source.owner, world.source.seen = None, (ORDERS.id,)
    for statement in statements:
        world.source.raw(query(statement))
    world.source.commit(KEYLESS.insert((1, 10), (2, 20)))


def rest(world: World, streamer: Streamer) -> None:
    """Until nothing is streamed nor read any more."""
    for _ in range(1000):
        streamer.step()
        position = world.position()
        if position is not None and position.gtid_set == world.source.executed and not position.rereads:
            return
    raise AssertionError(f"not done: {world.position()}")


@pytest.mark.parametrize("statements", [(CREATED,), ("DROP TABLE IF EXISTS orders", "CREATE TABLE IF NOT EXISTS orders (id INT, v INT)")])
def test_a_table_made_while_the_streamer_was_down_comes_by_the_stream_alone(world: World, statements: tuple[str, ...]) -> None:
    made_while_down(world, *statements)
    streamer = world.streamer()
    rest(world, streamer)
    assert [envelope.op for envelope in world.envelopes()] == [Op.CREATE, Op.CREATE]
    assert world.barriers()[-1].standings == {}
    streamer.close()


def test_a_table_that_may_have_been_there_is_read_also_where_its_create_is_streamed(world: World) -> None:
    made_while_down(world, "CREATE TABLE IF NOT EXISTS orders (id INT, v INT)")
    streamer = world.streamer()
    rest(world, streamer)
    first, *others = world.envelopes()
    # What came by the stream is told as gone, under the schema of what comes instead.
    assert [first.op, *[envelope.op for envelope in others]] == [Op.CREATE, Op.CREATE, Op.TRUNCATE, Op.READ, Op.READ]
    assert {envelope.source.schema for envelope in others} == {first.source.schema}
    streamer.close()


@pytest.mark.parametrize("fate", [Fate.KILL_BEFORE, Fate.KILL_AFTER, Fate.LOSE_ANSWER])
@pytest.mark.parametrize("crossing", range(4))
def test_it_does_so_whenever_the_streamer_is_interrupted(world: World, crossing: int, fate: Fate) -> None:
    made_while_down(world, CREATED)
    streamer = world.streamer()
    world.gate.at("streamer.commit", *[Fate.RUN] * crossing, fate)
    try:
        rest(world, streamer)
    except Killed:
        world.gate.settle()
        world.source.owner, streamer = None, world.streamer()
        rest(world, streamer)
    assert [envelope.op for envelope in world.envelopes()] == [Op.CREATE, Op.CREATE]
    streamer.close()


def test_a_table_made_and_altered_while_the_streamer_was_down_is_read_for_the_alter(world: World) -> None:
    made_while_down(world, CREATED)
    world.source.raw(query("ALTER TABLE orders MODIFY v BIGINT"))
    streamer = world.streamer()
    rest(world, streamer)
    assert [envelope.op for envelope in world.envelopes()] == [Op.CREATE, Op.CREATE, Op.TRUNCATE, Op.READ, Op.READ]
    streamer.close()


def test_a_reading_that_somebody_asked_for_after_the_create_is_not_ended_by_it(world: World) -> None:
    """Also when the streamer is started again meanwhile: the CREATE is behind the position. It has forgotten its TRUNCATE then."""
    made_while_down(world, CREATED)
    streamer = world.streamer()
    rest(world, streamer)
    epoch = world.broker.init("asker")
    world.broker.send("asker", epoch, TOPICS.signals, 0, None, Signal("1", Ask.SNAPSHOT, ORDERS.id, resync=True).encode())
    world.broker.end("asker", epoch, commit=True)
    while not (position := world.position()) or not position.next_signal:
        streamer.step()
    streamer.close()
    world.source.owner, streamer = None, world.streamer()
    rest(world, streamer)
    assert [envelope.op for envelope in world.envelopes()] == [Op.CREATE, Op.CREATE, Op.TRUNCATE, Op.TRUNCATE, Op.READ, Op.READ]
    streamer.close()


def followed_by_another(world: World, sql: str, database: str, table: Table, *, restarts: bool) -> None:
    """A row, DDL that ends the table, one of its name again, and its first row."""
    world.source.commit(table.insert((1, 10)))
    streamer = world.run()
    if restarts:
        world.source.owner, streamer = None, world.streamer()
    world.source.raw(query(sql, database))
    world.source.raw(query(f"CREATE DATABASE `{database}`", database))
    world.source.raw(query(f"CREATE TABLE IF NOT EXISTS `{table.name}` (id INT)", table.database))
    world.source.commit(table.insert((2, 20)))
    world.run(streamer)


ODD, EVEN = Table("orders", database="my.shop"), Table("or ders", database="my_shop")


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("table", [ORDERS, Table("or ders"), ODD, EVEN])
def test_the_rows_of_a_dropped_database_go_when_there_is_a_table_of_their_tables_name_again(table: Table, restarts: bool) -> None:
    world = World(choices=Choices(TOPICS, 1, everything, ("*.*",)))
    followed_by_another(world, f"DROP DATABASE `{table.database}`", table.database, table, restarts=restarts)
    assert [envelope.op for envelope in world.envelopes(TOPICS.rows(table.id))] == [Op.CREATE, Op.TRUNCATE, Op.CREATE]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(
    ("dropped", "table"), [("my_shop", ODD), ("my.shop", EVEN), ("sho", ORDERS), ("my.shop", Table("orders", database="my_shop"))]
)
def test_the_rows_of_another_database_stay_also_where_its_topics_are_named_alike(dropped: str, table: Table, restarts: bool) -> None:
    world = World(choices=Choices(TOPICS, 1, everything, ("*.*",)))
    world.source.seen = (table.id,)
    followed_by_another(world, f"DROP DATABASE `{dropped}`", dropped, table, restarts=restarts)
    assert [envelope.op for envelope in world.envelopes(TOPICS.rows(table.id))] == [Op.CREATE, Op.CREATE]


def test_the_readings_of_a_dropped_database_end(world: World) -> None:
    world.readers, world.source.seen = (BusyReader(),), (ORDERS.id,)
    streamer = world.run()
    assert ORDERS_TOPIC in world.barriers()[-1].standings
    world.source.raw(query("DROP DATABASE shop"))
    with capture_logs() as logged:
        world.run(streamer)
    position = world.position()
    assert position is not None
    assert position.dropped == {ORDERS_TOPIC}
    assert not position.rereads
    assert not world.barriers()[-1].standings
    assert [line["topics"] for line in logged if line["event"] == "database.dropped"] == [[ORDERS_TOPIC]]
    streamer.close()


@pytest.mark.parametrize("end", ["RENAME TABLE orders TO other.orders", "DROP TABLE orders"])
def test_rows_of_an_altered_table_are_told_to_be_read_anew_though_the_table_is_gone_at_once(world: World, end: str) -> None:
    world.source.commit(ORDERS.insert((1, 10)))
    streamer = world.run()
    world.source.raw(query("ALTER TABLE orders ADD COLUMN w INT"))
    world.source.commit(replace(ORDERS, columns=("id", "v", "w")).insert((4, 40, 400)))
    world.source.raw(query(end))
    world.run(streamer)
    told = [(barrier.next_seqs, ORDERS_TOPIC in barrier.renewing) for barrier in world.barriers() if barrier.next_seqs]
    assert told == [({ORDERS_TOPIC: 1}, False), ({ORDERS_TOPIC: 2}, True)]
    assert world.barriers()[-1].standings == {}


FATES = [
    (effect, fate, crossing)
    for effect in ("streamer.init", "streamer.ensure", "streamer.send", "streamer.commit")
    for fate in (Fate.KILL_BEFORE, Fate.KILL_AFTER, Fate.LOSE_ANSWER, Fate.LOSE_REQUEST, Fate.KILL_SENT)
    for crossing in (0, 1, 2, 4)
    if effect != "streamer.init" or crossing == 0
]


@pytest.mark.parametrize(("effect", "fate", "crossing"), FATES)
@pytest.mark.parametrize("split_rows", [250_000, 1])
def test_a_fault_at_any_effect_neither_loses_nor_repeats_rows(effect: str, fate: Fate, crossing: int, split_rows: int) -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_rows=split_rows)))
    trade(world.source)
    streamer = world.streamer()
    world.gate.at(effect, *[Fate.RUN] * crossing, fate)
    first = world.gate
    try:
        world.run(streamer)
    except Killed:
        first.settle()
        world.source.owner = None
        world.run()
    first.settle()
    assert_exactly_once(world)


def test_an_unanswered_commit_that_comes_late_does_not_end_the_next_transaction(world: World) -> None:
    trade(world.source)
    streamer = world.streamer()
    world.gate.at("streamer.commit", Fate.RUN, Fate.DELAY)
    for _ in range(400):
        streamer.step()
        if world.gate.belated and len(world.records(TOPICS.progress)) > 1:
            world.gate.settle()
    assert_exactly_once(world)


def test_a_commit_that_was_asked_twice_is_followed_by_a_new_producer(world: World) -> None:
    trade(world.source)
    streamer = world.streamer()
    world.sink.repeats = 1.0
    world.run(streamer)
    assert_exactly_once(world)
    assert world.gate.crossed.count("streamer.init") >= len(world.barriers())


@pytest.mark.parametrize("xa", [False, True])
def test_a_transaction_of_more_bytes_than_may_be_held_is_split_unless_it_is_xas(xa: bool) -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_bytes=1_000)))
    rows = [item for number in range(8) for item in ORDERS.insert((number, number))]  # some 400 bytes each
    if xa:
        world.source.raw(query("XA START X'31',X'',1"), *rows, query("XA END X'31',X'',1"), xa_prepare(b"1", one_phase=True))
    else:
        world.source.commit(rows)
    world.run()
    split = [barrier.next_seqs[ORDERS_TOPIC] for barrier in world.barriers() if barrier.next_seqs]
    assert split[-1] == 8
    assert max(after - before for before, after in pairwise((0, *split))) == (8 if xa else 3)
    assert [barrier.partial for barrier in world.barriers() if barrier.next_seqs] == [*[True] * (len(split) - 1), False]


def test_a_transaction_larger_than_the_split_is_partial_until_its_end() -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_rows=2)))
    world.source.commit(ORDERS.insert((1, 1)))
    world.source.commit(ORDERS.insert(*((key, 0) for key in range(10, 15))))
    world.run()
    barriers = [
        (barrier.next_seqs[ORDERS_TOPIC], barrier.partial, barrier.gtid_set.count()) for barrier in world.barriers() if barrier.next_seqs
    ]
    assert barriers == [(2, True, 1), (4, True, 1), (6, False, 2)]
    assert [envelope.source.ev for envelope in world.envelopes()] == [0, 0, 1, 2, 3, 4]


def test_the_last_part_of_a_split_transaction_is_whole_at_once_also_without_rows() -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_rows=2)))
    world.source.raw(query("BEGIN"), *ORDERS.insert((1, 0), (2, 0)), *ORDERS.insert((3, 0)), *LOGS.insert((1, 1)), xid())
    streamer = world.streamer()
    while len(world.records(TOPICS.progress)) < 2:
        streamer.step()
    before = world.time.now()
    world.run(streamer)
    assert [barrier.partial for barrier in world.barriers()] == [False, True, False]
    assert world.time.now() == before


def halted_inside_a_split(world: World) -> None:
    world.source.commit(ORDERS.insert(*((key, 0) for key in range(6))))
    streamer = world.streamer()
    world.gate.at("streamer.commit", Fate.RUN, Fate.RUN, Fate.KILL_AFTER)
    with pytest.raises(Killed):
        world.run(streamer)
    world.source.owner = None
    position = world.position()
    assert position is not None
    assert position.in_progress is not None
    assert position.in_progress.rows_done == 4


def test_a_split_transaction_is_gone_on_with_at_the_first_row_that_is_not_out() -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_rows=2)))
    halted_inside_a_split(world)
    world.run()
    assert [(envelope.source.seq, envelope.source.ev, envelope.after) for envelope in world.envelopes()] == [
        (key, key, {"id": key, "v": 0}) for key in range(6)
    ]


def test_the_rows_of_a_create_select_that_are_out_are_not_emptied_when_it_is_gone_on_with() -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_rows=2)))
    create = query("CREATE TABLE `orders` (`id` int, `v` int) START TRANSACTION")
    world.source.raw(query("BEGIN"), create, *ORDERS.insert(*((key, 0) for key in range(6))), xid())
    streamer = world.streamer()
    world.gate.at("streamer.commit", Fate.RUN, Fate.RUN, Fate.KILL_AFTER)
    with pytest.raises(Killed):
        world.run(streamer)
    world.source.owner = None
    world.run()
    assert [(envelope.op, envelope.after) for envelope in world.envelopes()] == [(Op.CREATE, {"id": key, "v": 0}) for key in range(6)]


def test_a_split_transaction_whose_rows_are_others_now_is_not_gone_on_with() -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_rows=2)))
    halted_inside_a_split(world)
    world.source.transactions.clear()
    world.source.commit(ORDERS.insert(*((key, 0) for key in (0, 2, 1, 3, 4, 5))))
    with pytest.raises(Corrupt, match="other rows or in another order"):
        world.run()


def test_a_split_transaction_that_is_shorter_now_is_not_gone_on_with() -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_rows=2)))
    halted_inside_a_split(world)
    world.source.transactions.clear()
    world.source.commit(ORDERS.insert((0, 0), (1, 0)))
    with pytest.raises(Corrupt, match="only 2"):
        world.run()


def test_a_server_without_the_split_transaction_is_refused_though_no_whole_one_is_lost() -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_rows=2)))
    halted_inside_a_split(world)
    world.source.transactions.clear()
    with pytest.raises(Gone, match=f"{SERVER}:1"):
        world.run()


def test_every_shard_gets_a_barrier_at_least_once_a_second() -> None:
    world = World(choices=Choices(TOPICS, 3, captures, ("shop.*",), {ORDERS.id: TableChoice(shard=1)}))
    world.source.commit(ORDERS.insert((1, 1)))
    streamer = world.run()
    began = world.time.now()
    for _ in range(40):
        streamer.step()
    seconds = (world.time.now() - began).total_seconds()
    assert seconds > 5
    for shard in range(3):
        assert len(world.barriers(shard)) >= seconds
    touched = [barrier.n for barrier in world.barriers(1) if barrier.next_seqs]
    assert len(touched) == 1
    assert not any(barrier.next_seqs for shard in (0, 2) for barrier in world.barriers(shard))


def test_the_promise_of_an_idle_source_is_its_clock_and_only_with_nothing_unread(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    streamer = world.run()
    assert world.barriers()[-1].commit_ts_us == COMMIT_US + 1_000
    for _ in range(30):
        streamer.step()
    clock_us = int(world.time.now().timestamp() * 1_000_000)
    assert clock_us - 3_000_000 < world.barriers()[-1].commit_ts_us <= clock_us


def test_commit_times_that_step_back_never_take_back_a_promise(world: World) -> None:
    steps = [0, 1_000, 5_000, 2_000, 6_000, 9_000]
    world.source.commit_us = lambda number: COMMIT_US + steps[number]
    for number in range(1, 6):
        world.source.commit(ORDERS.insert((number, 0)))
        streamer = world.streamer()
        world.source.owner = None
        world.run(streamer)
    promised = [barrier.commit_ts_us - COMMIT_US for barrier in world.barriers() if barrier.next_seqs]
    assert promised == [1_000, 5_000, 5_000, 5_000, 6_000]


def test_a_standby_waits_until_the_lock_is_free(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    leader = world.run(world.streamer("a"))
    standby = world.streamer("b")
    for _ in range(5):
        standby.step()
    assert (world.gate.crossed, world.stood_by) == ([], 5)
    leader.close()
    world.source.commit(ORDERS.insert((2, 2)))
    world.run(standby)
    assert world.stood_by == 5
    assert [envelope.source.seq for envelope in world.envelopes()] == [0, 1]


def test_the_topics_of_all_tables_are_kept_as_the_settings_want_also_of_those_that_rest(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    world.run().close()
    restarted = world.streamer()
    while not restarted.streaming:
        restarted.step()
    assert world.admin.kept == {TOPICS.progress, TOPICS.signals, ORDERS_TOPIC}  # those that are compacted keep all there is


def test_a_replaced_streamer_is_fenced_and_says_so(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    zombie = world.run(world.streamer("a"))
    world.source.owner = None
    world.run(world.streamer("b"))
    world.source.commit(ORDERS.insert((2, 2)))
    with pytest.raises(Fenced):
        world.run(zombie)
    assert len(world.envelopes()) == 1


def test_a_lost_connection_leads_back_to_what_is_committed(world: World) -> None:
    trade(world.source)
    world.source.breaks = [(after, Unavailable("lost")) for after in (3, 7, 12, 20)]
    world.run()
    assert_exactly_once(world)


def test_pauses_between_two_failures_grow_and_end_with_success(world: World) -> None:
    streamer = world.streamer()
    world.gate.at("streamer.init", *[Fate.LOSE_REQUEST] * 3)
    for wanted in (1, 2, 4):
        before = world.time.now()
        while world.time.now() == before:
            streamer.step()
        assert world.time.now() - before == timedelta(seconds=wanted)
    world.run(streamer)


@pytest.mark.parametrize("name", ["log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata", "gtid_mode"])
def test_a_server_that_does_not_log_all_we_need_is_refused_before_anything_is_made(world: World, name: str) -> None:
    world.source.variables[name] = "OFF"
    with pytest.raises(Invalid, match=name):
        world.run()
    assert not world.broker.topics


def test_a_captured_table_changed_by_cascades_the_binlog_does_not_hold_is_refused() -> None:
    world = World()
    world.source.variables["version"] = "8.4.6"
    world.source.cascading = (TableId("elsewhere", "child"),)
    world.run()
    world = World()
    world.source.variables["version"] = "8.4.6"
    world.source.cascading = (TableId("shop", "order_items"),)
    with pytest.raises(Invalid, match=r"foreign keys change rows of shop\.order_items"):
        world.run()


def settle(world: World, streamer: Streamer) -> None:
    """A while in which nothing is committed at the source: the server is looked at again."""
    until = world.time.now() + 3 * world.tuning.look_every
    while world.time.now() < until:
        streamer.step()


ADDED = "ALTER TABLE items ADD CONSTRAINT c FOREIGN KEY (v) REFERENCES orders (id) ON DELETE CASCADE"


@pytest.mark.parametrize("ddl", [ADDED, "CREATE TABLE items (id INT)", "RENAME TABLE other.items TO items"])
def test_a_foreign_key_whose_cascades_the_binlog_does_not_hold_halts_the_stream_when_it_is_added(world: World, ddl: str) -> None:
    world.source.variables["version"] = "8.4.6"
    world.source.commit(ORDERS.insert((1, 10)), ITEMS.insert((7, 1)))
    streamer = world.run()
    world.source.raw(query(ddl))
    world.source.cascading = (ITEMS.id,)
    with pytest.raises(Refused, match=r"foreign keys change rows of shop\.items.*streamer snapshot -t shop\.items --resync") as raised:
        settle(world, streamer)
    assert raised.value.fields["fault"] == "cascade"
    world.source.owner = None
    with pytest.raises(Invalid, match=r"foreign keys change rows of shop\.items.*streamer snapshot -t shop\.items --resync"):
        world.run()


def test_a_foreign_key_is_asked_for_only_once_the_server_shows_it(world: World) -> None:
    world.source.variables["version"] = "8.4.6"
    world.source.commit(ITEMS.insert((7, 1)))
    streamer = world.run()
    settle(world, streamer)
    world.source.raw(query(ADDED))
    world.source.sent_early = 1
    settle(world, streamer)
    assert len(world.source.transactions) == world.barriers()[-1].gtid_set.count()
    world.source.cascading = (ITEMS.id,)  # from here on a SELECT sees it
    settle(world, streamer)
    world.source.sent_early = 0
    with pytest.raises(Refused, match=r"foreign keys change rows of shop\.items"):
        settle(world, streamer)


def test_keys_are_not_asked_for_without_need(world: World) -> None:
    world.source.commit(ITEMS.insert((7, 1)))
    streamer = world.run()
    world.source.cascading = (ITEMS.id,)  # in the binlog, on this server
    world.source.raw(query(ADDED))
    settle(world, streamer)
    world.source.variables["version"] = "8.4.6"
    world.source.raw(query("ALTER TABLE logs ADD FOREIGN KEY (v) REFERENCES orders (id) ON DELETE CASCADE", "other"))
    world.source.raw(query("TRUNCATE TABLE items"))
    settle(world, streamer)


def test_keys_that_the_server_did_not_show_yet_when_a_session_began_are_asked_for_then(world: World) -> None:
    world.source.variables["version"] = "8.4.6"
    world.source.raw(query(ADDED))
    world.run()
    world.source.owner = None
    streamer = world.streamer()
    while not streamer.streaming:
        streamer.step()
    world.source.cascading = (ITEMS.id,)
    with pytest.raises(Refused, match=r"foreign keys change rows of shop\.items"):
        settle(world, streamer)


@pytest.mark.parametrize(("setting", "empties"), [("1", True), ("0", False)])
def test_a_server_that_lower_cases_names_is_understood_however_a_statement_is_typed(world: World, setting: str, empties: bool) -> None:
    world.source.variables["lower_case_table_names"] = setting
    world.source.commit(ORDERS.insert((1, 10)))
    world.source.raw(query("TRUNCATE TABLE Shop.Orders", "logs"))
    world.run()
    assert [envelope.op for envelope in world.envelopes()] == ([Op.CREATE, Op.TRUNCATE] if empties else [Op.CREATE])


def test_a_statement_that_changes_rows_of_a_table_however_typed_stops_the_stream(world: World) -> None:
    world.source.variables["lower_case_table_names"] = "1"
    world.source.commit([query("UPDATE Orders SET v = 1", "SHOP")])
    with pytest.raises(Refused, match="logged as a statement"):
        world.run()


def test_a_server_that_compares_names_otherwise_than_it_stores_them_is_refused(world: World) -> None:
    world.source.variables["lower_case_table_names"] = "2"
    with pytest.raises(Invalid, match="lower_case_table_names is 2"):
        world.run()
    assert not world.broker.topics


def test_a_name_in_the_settings_that_a_server_cannot_have_is_refused_with_the_one_it_has() -> None:
    world = World(choices=Choices(TOPICS, 1, captures, ("shop.*",), names=("shop.*", "shop.Secrets", "shop.orders")))
    world.source.variables["lower_case_table_names"] = "1"
    with pytest.raises(Invalid, match=r"write shop\.secrets") as refused:
        world.run()
    assert "shop.*" not in refused.value.message
    world.source.variables["lower_case_table_names"] = "0"
    world.source.owner = None
    world.run()


def test_a_server_that_leaves_databases_out_of_its_binlog_is_refused(world: World) -> None:
    world.source.binlog_filters = ("binlog-ignore-db = logs",)
    with pytest.raises(Invalid, match=r"take binlog-ignore-db out of the server's my\.cnf"):
        world.run()
    assert not world.broker.topics


def test_a_replica_that_does_not_log_what_it_applies_is_refused_and_a_source_may_be_set_up_like_that(world: World) -> None:
    world.source.variables["log_replica_updates"] = "OFF"
    world.source.is_replica = True
    with pytest.raises(Invalid, match="RESET REPLICA ALL"):
        world.run()
    assert not world.broker.topics
    world.source.owner, world.source.is_replica = None, False
    world.run()
    world = World()
    world.source.variables["log_replica_updates"], world.source.is_replica = "ON", True
    world.run()


def test_a_table_that_is_named_and_may_not_be_seen_is_refused_whatever_else_may(world: World) -> None:
    """Only its changes would come, and its state be ok."""
    items = TableId("shop", "items")
    replication = "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `t`@`%`"
    world.source.granted = (replication, "GRANT SELECT ON `shop`.`items` TO `t`@`%`")
    world.source.seen = (items,)
    world.choices = Choices(TOPICS, 1, captures, ("shop.orders", "shop.items"))
    with pytest.raises(Invalid, match=r"GRANT SELECT ON `shop`\.`orders` TO") as raised:
        world.run()
    assert "items" not in raised.value.message
    world.source.owner = None
    world.choices = Choices(TOPICS, 1, lambda table: table == items, ("shop.orders", "shop.items"))  # the other one is excluded
    with capture_logs() as logged:
        world.run()
    assert "tables.unseen" not in [line["event"] for line in logged]
    world.source.owner = None
    world.choices = Choices(TOPICS, 1, lambda table: table == items, ("shop.*",))
    with capture_logs() as logged:
        world.run()
    (told,) = [line for line in logged if line["event"] == "tables.unseen"]
    assert told["advice"] == "GRANT SELECT ON `shop`.* TO `t`@`%`"


def test_a_mode_that_needs_a_key_is_refused_at_start_and_left_to_the_loader_when_the_key_is_lost() -> None:
    keyless = Table("orders", key_columns=0)
    world = World(choices=Choices(TOPICS, 1, captures, ("shop.*",), {keyless.id: TableChoice(needs_key=True)}))
    world.source.seen = (keyless.id,)
    with pytest.raises(Invalid, match="ADD PRIMARY KEY"):
        world.run()
    world.source.keys[keyless.id] = [("id",)]
    world.source.commit(keyless.insert((1, 1)))
    world.source.owner = None
    world.run()
    assert [key for key, _ in world.records(ORDERS_TOPIC)] == [None]  # it has none in the event's own schema, whatever the server says now
    world.source.keys.clear()
    world.source.commit(keyless.insert((2, 2)))
    world.source.owner = None
    world.run()
    assert len(world.records(ORDERS_TOPIC)) == 2


def test_a_configured_key_that_no_unique_key_proves_is_warned_of_where_rows_are_loaded_by_it() -> None:
    orders = TableId("shop", "orders")
    for append, unique, warned in ((False, ("other",), 1), (False, ("id",), 0), (True, ("other",), 0)):
        world = World(choices=Choices(TOPICS, 1, captures, ("shop.*",), {orders: TableChoice(("id",), append=append)}))
        world.source.seen = (orders,)
        world.source.keys[orders] = [unique]
        with capture_logs() as logged:
            world.run()
        told = [line for line in logged if line["event"] == "key.unproven"]
        assert len(told) == warned
        assert all(line["log_level"] == "warning" and "shop.orders" in line["because"] for line in told)


def test_no_pipeline_begins_while_an_xa_transaction_is_prepared() -> None:
    world = World()
    world.source.prepared_xa = ("X'31',X'',1",)
    with pytest.raises(Refused, match=r"XA transactions X'31',X'',1 are prepared"):
        world.run()
    world.source.prepared_xa, world.source.owner = None, None  # this account may not know
    with capture_logs() as logged:
        world.run()
    assert "xa.unknown" in [line["event"] for line in logged]
    world.source.prepared_xa, world.source.owner = ("X'31',X'',1",), None  # prepared since: its event was met, or is to come
    world.run()


@pytest.mark.parametrize(("late", "ddl"), [(False, ""), (True, ""), (True, "CREATE TABLE orders (id INT PRIMARY KEY, v INT)")])
def test_a_table_whose_shard_was_set_otherwise_is_refused_before_rows_of_it_go_there(late: bool, ddl: str) -> None:
    """`late`: it is there again only while the stream runs. `ddl`: what comes first."""
    world = World(choices=Choices(TOPICS, 2, captures, ("shop.*",), {ORDERS.id: TableChoice(shard=0)}))
    world.source.seen = (ORDERS.id,)
    world.source.commit(ORDERS.insert((1, 10)))
    world.run()
    world.source.owner, world.source.seen = None, () if late else (ORDERS.id,)
    world.choices = Choices(TOPICS, 2, captures, ("shop.*",), {ORDERS.id: TableChoice(shard=1)})
    if ddl:
        world.source.raw(query(ddl))
    world.source.commit(ORDERS.insert((2, 20)))
    with pytest.raises(Invalid, match=r"Set tables\.override\.shop\.orders\.shard: 0"):
        world.run()
    assert len(world.envelopes()) == 1
    assert [barrier.next_seqs for barrier in world.barriers(1) if barrier.next_seqs] == []
    world.choices, world.source.owner = Choices(TOPICS, 2, captures, ("shop.*",), {ORDERS.id: TableChoice(shard=0)}), None
    world.run()
    assert [envelope.op for envelope in world.envelopes()] == [Op.CREATE, *[Op.TRUNCATE] * bool(ddl), Op.CREATE]


def test_a_table_without_a_key_has_messages_without_one(world: World) -> None:
    world.source.commit(Table("orders", key_columns=0).insert((1, 1)))
    world.run()
    assert [key for key, _ in world.records(ORDERS_TOPIC)] == [None]


def test_a_row_is_not_named_by_a_key_that_came_behind_it(world: World) -> None:
    """Two rows of one value that the column may have had until then would be one row of the key, and a DELETE take both."""
    keyless, keyed = Table("orders", key_columns=0, nullable=False), Table("orders", nullable=False)
    world.source.raw(query("CREATE TABLE orders (id INT NOT NULL, v INT NOT NULL)"))
    world.source.commit(keyless.insert((1, 10), (1, 11)))
    world.source.commit(keyless.delete((1, 11)))
    world.source.raw(query("ALTER TABLE orders ADD UNIQUE (id)"))
    world.source.keys[keyless.id] = [("id",)]
    world.source.commit(keyed.insert((2, 20)))
    world.run()
    assert [key for key, _ in world.records(ORDERS_TOPIC)] == [None, None, None, b'{"id":2}']


@pytest.mark.parametrize(
    ("transaction", "error", "words"),
    [
        ((query("XA START X'31',X'',1"), *ORDERS.insert((9, 9)), query("XA END X'31',X'',1"), xa_prepare(b"1")), Refused, "X'31',X'',1"),
        ((query("BEGIN"), query("UPDATE orders SET v = 1"), xid()), Refused, "binlog_format = STATEMENT"),
        ((query("CREATE TABLE items (id INT PRIMARY KEY) SELECT 1 AS id"),), Refused, "as a statement (CREATE … SELECT …)"),
        ((query("BEGIN"), *ORDERS.insert((9, 9)), query("ROLLBACK")), Refused, "ROLLBACK"),
        ((query("BEGIN"), event(26, b"\x01\0\x04lost")), Gone, "lost events"),
        ((query("BEGIN"), event(99, b"")), Corrupt, "unknown type 99"),
        ((query("BEGIN"), *ORDERS.insert((9, 9), present=1), xid()), Corrupt, "column v"),
    ],
)
def test_what_could_hide_a_change_halts_and_leaves_nothing_of_its_transaction(
    world: World, transaction: tuple[bytes, ...], error: type[PipelineError], words: str
) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    world.source.raw(*transaction)
    with pytest.raises(error) as raised:
        world.run()
    assert words in raised.value.message
    assert len(world.envelopes()) <= 1
    assert not world.broker.partition(ORDERS_TOPIC).open


class PunctualBinlog(FakeBinlog):
    """One whose heartbeats come, from some moment on, exactly when the streamer has one due."""

    punctual = False

    def next(self, timeout: timedelta) -> bytes | None:
        if (found := super().next(timeout)) is None and self.punctual:
            self._told = 4  # so that it sends another
            return super().next(timedelta(0))
        return found


def test_an_idle_server_moves_the_watermark_also_where_its_heartbeats_fall_together_with_ours(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.streamer.test_service.FakeBinlog", PunctualBinlog)
    world.source.commit(ORDERS.insert((1, 10)))
    streamer = world.run()
    before = world.barriers()[-1]
    assert isinstance(world.binlog, PunctualBinlog)
    world.binlog.punctual = True
    for _ in range(40):
        streamer.step()
    assert world.barriers()[-1].n > before.n + 5
    assert world.barriers()[-1].commit_ts_us > before.commit_ts_us


class HurriedBinlog(FakeBinlog):
    """One that sends without a pause, though not fast."""

    def next(self, timeout: timedelta) -> bytes | None:
        self._source.time.advance(timedelta(seconds=1))
        return super().next(timeout)


def test_an_xa_transaction_with_rows_of_other_tables_for_a_long_time_passes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.streamer.test_service.FakeBinlog", HurriedBinlog)
    others = [item for number in range(40) for item in LOGS.insert((number, number))]
    begin, end = query("XA START X'31',X'',1"), (query("XA END X'31',X'',1"), xa_prepare(b"1", one_phase=True))
    world.source.raw(begin, *ORDERS.insert((1, 10)), *others, *end)
    world.run()
    assert len(world.envelopes()) == 1


def test_rows_wait_no_longer_for_a_transaction_that_brings_others_all_the_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.streamer.test_service.FakeBinlog", HurriedBinlog)
    world.source.commit(ORDERS.insert((1, 10)), *[LOGS.insert((number, number)) for number in range(40)], ORDERS.insert((2, 20)))
    streamer = world.streamer()
    while not world.envelopes() and world.time.elapsed_us < 40_000_000:
        streamer.step()
    assert world.time.elapsed_us < 40_000_000
    assert world.barriers()[-1].partial
    world.run(streamer)
    assert [envelope.after for envelope in world.envelopes()] == [{"id": 1, "v": 10}, {"id": 2, "v": 20}]


def test_an_xa_transaction_committed_in_one_phase_is_like_any_other(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    world.source.raw(query("XA START X'31',X'',1"), *ORDERS.insert((9, 9)), query("XA END X'31',X'',1"), xa_prepare(b"1", one_phase=True))
    world.run()
    assert len(world.envelopes()) == 2


def test_an_xa_transaction_is_never_split_and_gets_a_kafka_transaction_of_its_own() -> None:
    world = World(tuning=Tuning(close=ClosePolicy(split_rows=2)))
    world.source.commit(ORDERS.insert((1, 1)))
    end = (query("XA END X'31',X'',1"), xa_prepare(b"1", one_phase=True))
    world.source.raw(query("XA START X'31',X'',1"), *ORDERS.insert((8, 8), (9, 9)), *end)
    world.run()
    assert [barrier.next_seqs[ORDERS_TOPIC] for barrier in world.barriers() if barrier.next_seqs] == [1, 3]
    world.source.owner = None
    world.source.raw(query("XA START X'31',X'',1"), *ORDERS.insert((4, 4), (5, 5), (6, 6)), *end)
    with pytest.raises(Refused, match="does not fit one Kafka transaction"):
        world.run()
    assert len(world.envelopes()) == 3


def test_a_rollback_after_rows_nobody_captures_passes(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    world.source.raw(query("BEGIN", "other"), *LOGS.insert((1, 1)), query("ROLLBACK", "other"))
    world.source.commit(ORDERS.insert((2, 2)))
    world.run()
    assert len(world.envelopes()) == 2


def test_xa_and_statements_on_tables_nobody_captures_pass(world: World) -> None:
    world.source.raw(query("XA START X'31',X'',1", "other"), *LOGS.insert((9, 9)), query("XA END X'31',X'',1", "other"), xa_prepare(b"1"))
    world.source.raw(query("BEGIN", "other"), query("UPDATE logs SET v = 1", "other"), xid())
    world.source.raw(query("XA ROLLBACK X'31',X'',1", "other"))
    world.source.commit(ORDERS.insert((1, 1)))
    world.run()
    assert len(world.envelopes()) == 1


HEARTBEAT = "INSERT INTO mysql.rds_heartbeat2(id, value) values (1,1) ON DUPLICATE KEY UPDATE value = 1"


def test_a_heartbeat_of_the_servers_own_that_is_logged_as_a_statement_passes_also_where_all_tables_are_captured() -> None:
    world = World(choices=Choices(TOPICS, 1, everything, ("*.*",)))
    world.source.raw(query("BEGIN", ""), query(HEARTBEAT, ""), xid())
    world.source.commit(ORDERS.insert((1, 1)))
    world.run()
    assert len(world.envelopes()) == 1
    world.source.owner = None
    world.source.raw(query("BEGIN", ""), query("DELETE FROM mysql.t WHERE id = shop.writes_orders()", ""), xid())
    with pytest.raises(Refused, match="binlog_format = STATEMENT"):
        world.run()


def test_the_words_of_statements_are_not_kept_once_they_were_held_against_the_selection() -> None:
    asked: list[TableId] = []

    def captures_none(table: TableId) -> bool:
        asked.append(table)
        return False

    judge = EventJudge(captures_none)
    place = BinlogPosition("f", 4)
    at = Located(Query("other", "UPDATE logs SET v = 1"), Header(0, 2, 1, 0, 0, 0), place, place)
    under_way = UnderWay(Gtid(SERVER, 1), 0, begun=True, rows=False)
    counts = []
    for _ in range(2):
        assert list(judge.judge(at, under_way)) == []
        counts.append(len(asked))
    assert counts == [counts[0], 2 * counts[0]]


def test_a_first_run_is_refused_when_row_topics_are_there(world: World) -> None:
    world.broker.create(ORDERS_TOPIC, 1, compacted=False)
    world.broker.append(ORDERS_TOPIC, None, b"{}")
    with pytest.raises(Refused, match=r"p\.position holds no position"):
        world.run()


def test_a_new_pipeline_has_a_position_before_it_has_read_an_event(world: World) -> None:
    world.source.breaks = [(0, Unavailable("lost"))]
    streamer = world.streamer()
    while world.source.breaks:
        streamer.step()
    position = world.position()
    assert position is not None
    assert (position.n, position.gtid_set) == (1, GtidSet())


def test_an_unanswered_commit_is_followed_by_a_new_producer_and_no_abort(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    streamer = world.streamer()
    world.gate.at("streamer.commit", Fate.RUN, Fate.LOSE_ANSWER)
    while world.sink.epoch != -1 or not world.gate.crossed:
        streamer.step()
    assert "streamer.abort" not in world.gate.crossed
    world.run(streamer)
    assert len(world.envelopes()) == 1


def test_a_first_run_killed_before_its_first_commit_is_a_first_run_again(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    streamer = world.streamer()
    world.gate.at("streamer.commit", Fate.RUN, Fate.KILL_BEFORE)
    with pytest.raises(Killed):
        world.run(streamer)
    world.source.owner = None
    world.run()
    assert len(world.envelopes()) == 1


def test_a_first_run_is_refused_when_binlogs_were_purged(world: World) -> None:
    world.source.purged = GtidSet.parse(f"{SERVER}:1-5")
    with pytest.raises(Gone, match="has purged binlogs"):
        world.run()


def test_a_server_that_lacks_what_is_on_kafka_or_purged_what_is_not_is_refused(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    world.source.commit(ORDERS.insert((2, 2)))
    world.run()
    world.source.owner = None
    lost = world.source.transactions.pop()
    with pytest.raises(Gone, match=f"{SERVER}:2"):
        world.run()
    world.source.transactions.append(lost)
    world.source.commit(ORDERS.insert((3, 3)))
    world.source.purged = GtidSet.parse(f"{SERVER}:1-3")
    world.source.owner = None
    with pytest.raises(Gone, match=f"not on Kafka yet: {SERVER}:3"):
        world.run()


def test_another_server_with_the_same_history_is_gone_on_with(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    world.run()
    world.source.owner, world.source.uuid = None, "99999999-2222-3333-4444-555555555555"
    world.source.commit(ORDERS.insert((2, 2)))
    world.run()
    position = world.position()
    assert position is not None
    assert position.server_uuid == world.source.uuid
    assert Gtid(SERVER, 2) in position.gtid_set


def test_nothing_is_taken_of_a_server_that_took_over_between_the_look_at_it_and_the_dump(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    world.source.dumps_from = "99999999-2222-3333-4444-555555555555"
    streamer = world.streamer()
    for _ in range(20):
        streamer.step()
    assert world.envelopes() == []
    assert world.source.owner is None  # it asks on the next connection, which may lead there, too
    world.source.dumps_from = ""
    world.run(streamer)
    assert len(world.envelopes()) == 1


def test_a_failover_that_is_interrupted_before_its_first_transaction_leaves_no_place_of_the_old_servers_files(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    world.run()
    world.source.owner, world.source.uuid = None, "99999999-2222-3333-4444-555555555555"
    streamer = world.streamer()
    while world.position().server_uuid != world.source.uuid:  # type: ignore[union-attr]  # it was run once
        streamer.step()
    # Nothing of the first server's files begins where this one's do.
    world.source.owner, world.source.began_anew = None, True
    world.source.commit(ORDERS.insert((2, 2)))
    world.run()
    assert len(world.records(ORDERS_TOPIC)) == 2


def test_a_server_whose_binlog_begins_anew_is_refused_though_it_has_all_our_gtids(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    world.run()
    world.source.owner, world.source.began_anew = None, True
    with pytest.raises(Gone, match=f"not the one that was streamed up to binlog.000001.*{SERVER}:1"):
        world.run()


def test_a_server_that_loses_its_history_under_the_stream_halts_it(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    streamer = world.run()
    for _ in range(20):
        streamer.step()
    world.source.transactions.clear()
    with pytest.raises(Gone, match=f"on Kafka already: {SERVER}:1"):
        world.run(streamer)


def lossy_failover(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)), ITEMS.insert((1, 1)))
    world.source.commit(ORDERS.insert((2, 2)))
    world.run()
    world.source.seen = (TableId("shop", "orders"), TableId("shop", "new"))
    world.source.owner = None
    world.source.transactions.pop()


def test_a_server_is_adopted_in_one_kafka_transaction_that_empties_every_table_and_has_it_read(world: World) -> None:
    lossy_failover(world)
    before = world.position()
    assert before is not None
    adopted = world.streamer().adopt()
    assert (str(adopted.given_up), str(adopted.gtid_set)) == (f"{SERVER}:2", f"{SERVER}:1")
    position = world.position()
    assert position is not None
    assert position.n == before.n + 1
    assert position.gtid_set == world.source.executed
    assert {topic: reread.standing.state for topic, reread in position.rereads.items()} == {
        ORDERS_TOPIC: TableState.REREADING,
        "p.shop.new": TableState.SNAPSHOTTING,
    }
    assert position.dropped == {"p.shop.items"}
    assert world.envelopes()[-1].op is Op.TRUNCATE
    barrier = world.barriers()[-1]
    assert barrier.next_seqs == {ORDERS_TOPIC: len(world.envelopes())}
    assert barrier.standings == {topic: reread.standing for topic, reread in position.rereads.items()}


def test_the_stream_goes_on_from_an_adopted_server(world: World) -> None:
    lossy_failover(world)
    world.streamer().adopt()
    world.source.owner = None
    world.source.commit(ORDERS.insert((3, 3)))
    world.run()
    assert world.envelopes()[-1].after == {"id": 3, "v": 3}


@pytest.mark.parametrize(("why", "words"), [("at work", "at work"), ("new", "nothing to adopt"), ("nothing lost", "--yes")])
def test_a_server_is_not_adopted_without_need(world: World, why: str, words: str) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    if why != "new":
        world.run()
    world.source.owner = "another" if why == "at work" else None
    with pytest.raises(Refused, match=words):
        world.streamer().adopt()
    if why == "nothing lost":
        world.source.owner = None
        world.streamer().adopt(anyway=True)


def test_a_row_over_the_limit_goes_as_its_key_and_size() -> None:
    world = World(tuning=Tuning(message_bytes_max=100))
    world.source.commit(ORDERS.insert((1, 1)))
    world.run()
    (envelope,) = world.envelopes()
    assert envelope.after == {"id": 1}
    assert envelope.source.oversize > 100


def test_closing_leaves_no_open_kafka_transaction(world: World) -> None:
    world.source.commit(ORDERS.insert((1, 1)))
    streamer = world.streamer()
    while ORDERS_TOPIC not in world.broker.topics or not world.broker.partition(ORDERS_TOPIC).open:
        streamer.step()
    streamer.close()
    assert not world.broker.partition(ORDERS_TOPIC).open
    assert world.envelopes() == []


def test_the_lock_of_a_long_pipeline_name_is_short_and_its_own() -> None:
    assert lock_name("shop") == "tidemark:shop"
    long = [lock_name(letter * 64) for letter in "ab"]
    assert len(set(long)) == 2
    assert all(len(name) <= 64 for name in long)
