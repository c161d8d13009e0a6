"""Readings of tables among statements and signals that end them, widen them or leave them alone."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from contracts.envelope import Op
from contracts.progress import TableState
from contracts.signals import Ask, Signal
from streamer.core.route import Choices, TableChoice
from streamer.core.selected import PythonRowPackets
from streamer.ports import ReadRequest, TableRows
from streamer.service import Streamer
from tests.fakes.tables import table_rows
from tests.streamer.binlog import SERVER, Source, query
from tests.streamer.test_service import ITEMS, ORDERS, ORDERS_TOPIC, TOPICS, BusyReader, World, captures

EXISTS = "CREATE TABLE IF NOT EXISTS orders (id INT PRIMARY KEY, v INT)"


class KeyedReader(BusyReader):
    """A TableReader of a table with ten rows, two a chunk. `seen`: whether its account may see the table;
    `slow_from`: the row before which it stops for now."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._asked: ReadRequest | None = None
        self.seen, self.slow_from = True, 10
        self.wheres: list[str | None] = []

    def ask(self, request: ReadRequest) -> None:
        self._asked = replace(request, rows_max=2)
        self.wheres.append(request.where)

    def rows(self) -> TableRows | None:
        asked = self._asked
        if asked is None or (asked.after is not None and int(asked.after.values[0]) + 1 >= self.slow_from < 10):
            return None
        self._asked = None
        if not self.seen:
            return TableRows(SERVER, None, PythonRowPackets(), None, True, self._source.end, 0)
        held: Mapping[int, Mapping[str, int | None]] = {n: {"id": n, "v": n} for n in range(10)}
        return table_rows(asked, ("id", "v"), held, self._source.end, 0, SERVER)

    def abandon(self) -> None:
        self._asked = None


@pytest.fixture
def world() -> World:
    made = World(choices=Choices(TOPICS, 1, captures))
    made.source.seen = (ORDERS.id,)
    return made


@pytest.fixture
def reader(world: World) -> KeyedReader:
    made = KeyedReader(world.source)
    world.readers = (made,)
    return made


@pytest.fixture
def streamer(world: World, reader: KeyedReader) -> Iterator[Streamer]:
    made = world.run()
    yield made
    made.close()


def ask(world: World, signal: Signal) -> None:
    epoch = world.broker.init("asker")
    world.broker.send("asker", epoch, TOPICS.signals, 0, None, signal.encode())
    world.broker.end("asker", epoch, commit=True)


def rest(world: World, streamer: Streamer) -> None:
    """Until nothing is streamed, heard nor read any more."""
    for _ in range(2_000):
        streamer.step()
        position = world.position()
        signals = world.broker.topics.get(TOPICS.signals)
        asked = len(signals.partitions[0].entries) - 1 if signals is not None else 0  # the last one is a marker
        if position is not None and position.gtid_set == world.source.executed and not position.rereads and position.next_signal >= asked:
            return
    raise AssertionError(f"not done: {world.position()}")


def ops(world: World) -> list[Op]:
    return [envelope.op for envelope in world.envelopes()]


def steps(streamer: Streamer) -> None:
    for _ in range(200):
        streamer.step()


def test_a_table_read_after_its_drop_is_there_so_a_statement_that_makes_it_if_need_be_does_nothing(
    world: World, streamer: Streamer
) -> None:
    """Somebody dropped it, and brought it back from a dump that is in no binlog."""
    rest(world, streamer)
    world.source.raw(query("DROP TABLE orders"))
    rest(world, streamer)
    ask(world, Signal("1", Ask.SNAPSHOT, ORDERS.id, resync=True))
    rest(world, streamer)
    before = ops(world)
    assert before == [*[Op.READ] * 10, Op.TRUNCATE, *[Op.READ] * 10]
    world.source.raw(query(EXISTS))
    rest(world, streamer)
    assert ops(world) == before
    position = world.position()
    assert position is not None
    assert position.dropped == frozenset()


def test_a_table_that_an_adopted_server_has_is_dropped_no_more(world: World, streamer: Streamer) -> None:
    """The server that took over lacks the last transaction, which is the DROP."""
    rest(world, streamer)
    world.source.raw(query("DROP TABLE orders"))
    rest(world, streamer)
    streamer.close()
    world.source.owner = None
    world.source.transactions.pop()
    world.streamer().adopt()
    position = world.position()
    assert position is not None
    assert position.dropped == frozenset()


def test_a_reading_goes_on_behind_a_statement_that_makes_its_table_if_need_be(world: World, reader: KeyedReader) -> None:
    reader.slow_from = 4
    streamer = world.run()
    steps(streamer)
    world.source.raw(query(EXISTS))
    steps(streamer)
    reader.slow_from = 10
    rest(world, streamer)
    streamer.close()
    assert [envelope.after for envelope in world.envelopes()] == [{"id": n, "v": n} for n in range(10)]


def test_a_table_that_cannot_be_seen_is_read_once_it_can_be_and_is_not_ok_before(
    world: World, reader: KeyedReader, streamer: Streamer
) -> None:
    rest(world, streamer)
    reader.seen = False
    world.source.raw(query("RENAME TABLE orders TO orders_old, orders_new TO orders"))
    steps(streamer)
    assert ops(world) == [*[Op.READ] * 10, Op.TRUNCATE]
    assert world.barriers()[-1].standings[ORDERS_TOPIC].state is TableState.REREADING
    reader.seen = True
    rest(world, streamer)
    assert ops(world) == [*[Op.READ] * 10, Op.TRUNCATE, *[Op.READ] * 10]


def test_a_table_nobody_has_met_that_is_asked_for_and_is_not_there_is_given_up(
    world: World, reader: KeyedReader, streamer: Streamer
) -> None:
    rest(world, streamer)
    reader.seen = False
    ask(world, Signal("1", Ask.SNAPSHOT, ITEMS.id))
    rest(world, streamer)
    assert ops(world) == [Op.READ] * 10


@pytest.mark.parametrize(
    ("first", "then", "read"), [(None, "v > 3", None), ("v > 3", "v > 5", None), ("v > 3", None, None), ("v > 3", "v > 3", "v > 3")]
)
def test_a_reading_by_another_condition_than_the_one_at_work_is_of_all_rows(
    world: World, reader: KeyedReader, streamer: Streamer, first: str | None, then: str | None, read: str | None
) -> None:
    rest(world, streamer)
    reader.slow_from = 4
    ask(world, Signal("1", Ask.SNAPSHOT, ORDERS.id, first))
    steps(streamer)
    ask(world, Signal("2", Ask.SNAPSHOT, ORDERS.id, then))
    steps(streamer)
    reader.slow_from = 10
    rest(world, streamer)
    assert reader.wheres[-1] == read
    assert ops(world)[-10:] == [Op.READ] * 10
    assert [envelope.after for envelope in world.envelopes()][-10:] == [{"id": n, "v": n} for n in range(10)]


def renewing(world: World) -> list[bool]:
    """Of each barrier behind rows: whether every row of the table comes with it or after it."""
    return [ORDERS_TOPIC in barrier.renewing for barrier in world.barriers() if barrier.next_seqs]


def test_the_barriers_behind_rows_that_are_read_say_whether_all_are(world: World, reader: KeyedReader, streamer: Streamer) -> None:
    rest(world, streamer)
    assert set(renewing(world)) == {True}
    told = len(renewing(world))
    world.source.commit(ORDERS.insert((10, 10)))
    rest(world, streamer)
    assert renewing(world)[told:] == [False]
    for where, whole in (("v > 3", False), (None, True)):
        told = len(renewing(world))
        ask(world, Signal("1", Ask.SNAPSHOT, ORDERS.id, where))
        rest(world, streamer)
        assert set(renewing(world)[told:]) == {whole}
    assert all(barrier.renewing <= barrier.next_seqs.keys() for barrier in world.barriers())


BY_V = {ORDERS.id: TableChoice(key=("v",))}


def halfway(world: World, reader: KeyedReader) -> None:
    """Four of the ten rows are read; then the streamer ends."""
    reader.slow_from = 4
    streamer = world.run()
    steps(streamer)
    streamer.close()
    assert len(world.envelopes()) == 4


def to_the_end(world: World, reader: KeyedReader) -> list[Mapping[str, object] | None]:
    """By another streamer. Returns the rows it read."""
    before, reader.seen, reader.slow_from = len(world.envelopes()), True, 10
    streamer = world.run()
    rest(world, streamer)
    streamer.close()
    return [envelope.after for envelope in world.envelopes()[before:] if envelope.op is Op.READ]


ALL = [{"id": n, "v": n} for n in range(10)]


def test_a_reading_during_which_another_key_is_set_begins_anew(world: World, reader: KeyedReader) -> None:
    """Whoever makes the target again for the first row that has the new key counts on all the others."""
    halfway(world, reader)
    world.choices = replace(world.choices, tables=BY_V)
    assert to_the_end(world, reader) == ALL


@pytest.mark.parametrize(("row", "read"), [(True, ALL), (False, ALL[4:])])
def test_a_reading_begins_anew_once_a_row_of_it_came_by_another_key(
    world: World, reader: KeyedReader, row: bool, read: list[dict[str, int]]
) -> None:
    """Though the settings are the former ones again, and none of its chunks was sent under the others."""
    halfway(world, reader)
    as_it_was = world.choices
    world.choices, reader.seen = replace(as_it_was, tables=BY_V), False
    streamer = world.run()
    if row:
        world.source.commit(ORDERS.insert((10, 10)))
    steps(streamer)
    streamer.close()
    assert ops(world) == [*[Op.READ] * 4, *[Op.CREATE] * row]
    world.choices = as_it_was
    assert to_the_end(world, reader) == read


def test_a_table_that_is_excluded_while_it_is_read_is_read_no_more(world: World, reader: KeyedReader) -> None:
    halfway(world, reader)
    world.choices = replace(world.choices, captures=lambda table: captures(table) and table != ORDERS.id)
    assert to_the_end(world, reader) == []
    assert not world.barriers()[-1].standings


class Spelling(KeyedReader):
    """By the catalogue, the table's schema is another one than by its table maps."""

    def rows(self) -> TableRows | None:
        found = super().rows()
        if found is None or found.definition is None:
            return found
        schema = found.definition.schema
        columns = tuple(replace(column, charset=None if column.name == "id" else "binary") for column in schema.columns)
        return replace(found, definition=replace(found.definition, schema=replace(schema, columns=columns)))


def test_a_reading_ends_also_where_catalogue_and_table_map_part(world: World) -> None:
    reader = Spelling(world.source)
    world.readers = (reader,)
    streamer = world.run()
    for n in range(10, 40):
        world.source.commit(ORDERS.insert((n, n)))
        for _ in range(10):
            streamer.step()
    position = world.position()
    assert position is not None
    assert not position.rereads
    streamer.close()
    read = [envelope.after for envelope in world.envelopes() if envelope.op is Op.READ]
    assert read[-10:] == ALL
