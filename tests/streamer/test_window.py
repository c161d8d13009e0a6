"""A backfill beside a running streamer: what a window of the binlog says, and that what is asked for by it makes a damaged target whole."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

import pytest

from contracts.errors import Refused, Unavailable
from contracts.position import GtidSet
from contracts.progress import Position
from contracts.signals import Ask, Signal
from contracts.table import Column, Kind, TableId, TableSchema
from streamer.core import window
from streamer.core.definition import Definition
from streamer.core.window import WindowScan
from streamer.edges.keys import SqliteKeys
from streamer.service.backfill import Mending, collect, mendings, signals
from streamer.service.requests import AHEAD, Requests
from tests.decoders import DECODERS, decoder_named
from tests.fakes.clock import FakeClock
from tests.simulation.world import silent
from tests.streamer import test_reread, test_service
from tests.streamer.binlog import SERVER, FakeBinlog, FakeServer, Source, query, xa_prepare
from tests.streamer.test_service import ITEMS, LOGS, ORDERS, TOPICS, captures, trade

NAMES = ("orders", "items")


@dataclass
class Beside:
    """Connections of its own to the source server."""

    source: Source
    clock: FakeClock

    def __post_init__(self) -> None:
        self.server = FakeServer(self.source, "backfill")
        self.binlog = FakeBinlog(self.source)
        for name in NAMES:
            table = TableId("shop", name)
            columns = (Column("id", Kind.INT, nullable=False), Column("v", Kind.INT))
            self.source.definitions.setdefault(table, Definition(TableSchema(table, columns, ("id",)), ("id",)))


def numbers(first: int, stop: int) -> GtidSet:
    """The transactions [first, stop)."""
    return GtidSet.of({(SERVER, ""): [(first, stop)]}) if first < stop else GtidSet()


@pytest.fixture
def keys() -> Iterator[SqliteKeys]:
    with closing(SqliteKeys(1 << 20)) as made:
        yield made


@pytest.fixture(params=DECODERS)
def found(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def collected(source: Source, first: int, stop: int, keys: SqliteKeys, decoder: str = "python") -> WindowScan:
    made = decoder_named(decoder)("p", 8 << 20, None)
    choices = test_service.World().choices
    beside = Beside(source, FakeClock(source.time))
    return collect(beside, choices, captures, (numbers(1, first), numbers(1, stop)), made, keys, lambda done, total: None)


def listed(keys: SqliteKeys, topic: str) -> list[bytes]:
    return [key for batch in keys.batches(topic, 2, 1000) for key in batch]


def test_a_window_holds_the_keys_of_its_own_transactions(found: str, keys: SqliteKeys) -> None:
    source = test_service.World().source
    source.commit(ORDERS.insert((0, 0)))
    source.commit(LOGS.insert((1, 1)))
    source.commit(ORDERS.update(((1, 10), (1, 11)), ((2, 20), (5, 20))), ITEMS.insert((7, 70)))
    source.commit(ORDERS.delete((3, 20)))
    source.commit(LOGS.insert((1, 1)))
    source.commit(ORDERS.insert((9, 0)))
    scan = collected(source, 2, 6, keys, found)
    assert listed(keys, "p.shop.orders") == [b'{"id":1}', b'{"id":2}', b'{"id":3}', b'{"id":5}']
    assert listed(keys, "p.shop.items") == [b'{"id":7}']
    assert (scan.left, sorted(scan.tables), scan.files) == (0, ["p.shop.items", "p.shop.orders"], ["binlog.000001"])


@pytest.mark.parametrize("stop", range(3, 9))
def test_it_ends_with_the_transaction_it_was_told(found: str, keys: SqliteKeys, stop: int) -> None:
    source = test_service.World().source
    for number in range(8):
        source.commit(ORDERS.insert((number, 0)) if number % 3 else LOGS.insert((number, 0)))
    collected(source, 2, stop, keys, found)
    assert listed(keys, "p.shop.orders") == [b'{"id":%d}' % number for number in range(1, stop - 1) if number % 3]


def test_a_transaction_the_pipeline_does_not_have_is_passed_over(found: str, keys: SqliteKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failover the pipeline may lack one in the middle: the stream brings it."""
    monkeypatch.setattr(window, "ROWS_MAX", 3)
    source = test_service.World().source
    for number in range(1, 5):
        source.commit(*(ORDERS.insert((number + row, 0)) for row in ((0,) if number != 3 else range(100, 110))))
    made = decoder_named(found)("p", 8 << 20, None)
    last = numbers(1, 3).union(numbers(4, 5))
    beside = Beside(source, FakeClock(source.time))
    collect(beside, test_service.World().choices, captures, (numbers(1, 2), last), made, keys, lambda done, total: None)
    assert listed(keys, "p.shop.orders") == [b'{"id":2}', b'{"id":4}']


def test_a_transaction_larger_than_a_step_is_taken_whole_or_not_at_all(
    found: str, keys: SqliteKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "ROWS_MAX", 3)
    source = test_service.World().source
    for first in (0, 10, 20):
        source.commit(*(ORDERS.insert((first + number, 0)) for number in range(10)))
    collected(source, 2, 3, keys, found)
    assert len(listed(keys, "p.shop.orders")) == 10
    assert listed(keys, "p.shop.orders")[0] == b'{"id":10}'


def test_an_empty_window_reads_nothing(keys: SqliteKeys) -> None:
    source = test_service.World().source
    source.commit(ORDERS.insert((0, 0)))
    scan = collected(source, 2, 2, keys)
    assert (scan.left, scan.tables, scan.files) == (0, {}, [])


def test_rows_whose_outcome_is_open_stop_it_as_they_stop_the_stream(keys: SqliteKeys) -> None:
    source = test_service.World().source
    source.raw(query("XA START X'61',X'',1"), *ORDERS.insert((1, 1)), query("XA END X'61',X'',1"), xa_prepare(b"a"))
    with pytest.raises(Refused, match="XA transaction"):
        collected(source, 1, 2, keys)


@pytest.mark.parametrize(
    ("statement", "whole"),
    [
        ("TRUNCATE TABLE orders", "TRUNCATE TABLE"),
        ("DROP TABLE orders", "DROP TABLE"),
        ("ALTER TABLE orders DROP PARTITION p0", "ALTER TABLE"),
        ("RENAME TABLE new_orders TO orders", "RENAME TABLE"),
        ("DROP DATABASE shop", "DROP DATABASE shop"),
        ("TRUNCATE TABLE items", ""),
        ("ALTER TABLE orders ADD COLUMN w INT", ""),
        ("CREATE TABLE orders (id INT PRIMARY KEY)", ""),
    ],
)
def test_a_table_that_lost_rows_nobody_names_is_read_whole(keys: SqliteKeys, statement: str, whole: str) -> None:
    source = test_service.World().source
    source.commit(ORDERS.insert((1, 1)))
    source.raw(query(statement))
    source.commit(ORDERS.insert((2, 1)))
    scan = collected(source, 1, 4, keys)
    made = {mending.table.name: mending for mending in mendings(FakeServer(source), test_service.World().choices, scan, keys)}["orders"]
    assert made.snapshot.startswith(whole)
    assert bool(made.snapshot) == bool(whole)
    asked = list(signals(made, keys, lambda: "x"))
    assert [(signal.ask, signal.resync) for signal in asked] == ([(Ask.SNAPSHOT, True)] if whole else [(Ask.REREAD, False)])
    if not whole:
        assert asked[0].keys == (b'{"id":1}', b'{"id":2}')


@pytest.mark.parametrize("statement", ["TRUNCATE TABLE Shop.Orders", "DROP DATABASE SHOP"])
def test_a_statement_is_of_the_table_the_server_takes_it_for(keys: SqliteKeys, statement: str) -> None:
    source = test_service.World().source
    source.variables["lower_case_table_names"] = "1"
    source.commit(ORDERS.insert((1, 1)))
    source.raw(query(statement))
    scan = collected(source, 1, 3, keys)
    (made,) = mendings(FakeServer(source), test_service.World().choices, scan, keys)
    assert made.snapshot.startswith(statement.split(" S")[0])


def test_what_cannot_be_found_by_its_keys_is_read_whole_and_what_is_gone_left(keys: SqliteKeys) -> None:
    source = test_service.World().source
    trade(source)
    source.commit(ITEMS.insert((1, 1)))
    scan = collected(source, 1, len(source.transactions) + 1, keys)
    orders, items = (TableId("shop", name) for name in NAMES)
    of_items = source.definitions[items]
    wider = (replace(of_items.schema.columns[0], kind=Kind.BIGINT), *of_items.schema.columns[1:])
    source.definitions[items] = replace(of_items, schema=replace(of_items.schema, columns=wider))
    del source.definitions[orders]
    choices = test_service.World().choices
    assert mendings(FakeServer(source), choices, scan, keys) == [
        Mending(items, "p.shop.items", 2, source.definitions[items].schema.key_form, "its key became another one, or of another type"),
        Mending(orders, "p.shop.orders", left="it is not there any more"),
    ]
    source.definitions[items] = replace(of_items, schema=replace(of_items.schema, key=()))
    assert "--again emits its events" in mendings(FakeServer(source), choices, scan, keys)[0].left


def test_keys_are_kept_once_in_order_and_beyond_what_memory_is_to_hold() -> None:
    with closing(SqliteKeys(64 << 10)) as keys:
        for part in range(40):
            keys.add("a", [b"%06d" % (number * 7919 % 10_000) for number in range(part * 250, part * 250 + 500)])
            keys.add("b", [b"%d" % part])
        assert keys._new_bytes <= 32 << 10
        assert (keys.count("a"), keys.count("b"), keys.count("c")) == (10_000, 40, 0)
        batches = list(keys.batches("a", 300, 1 << 20))
        assert [key for batch in batches for key in batch] == [b"%06d" % number for number in range(10_000)]
        assert {len(batch) for batch in batches[:-1]} == {300}
        assert {len(batch) for batch in keys.batches("a", 300, 60)} == {10}
        assert next(keys.batches("a", 300, 1)) == (b"000000",)


@dataclass
class Streaming:
    """The running streamer as a backfill sees it, and its clock: while it sleeps the streamer goes on."""

    world: test_reread.World
    waiting_max: int = 0

    def send(self, signal: Signal) -> int:
        self.world.ask(signal)
        return self.world.broker.partition(TOPICS.signals).end - 2  # behind it stands the marker of its transaction

    def latest(self) -> Position | None:
        position = self.world.position()
        if position is not None:
            self.waiting_max = max(self.waiting_max, sum(len(asked.signals) for asked in position.asked.values()))
        return position


class Going(FakeClock):
    """Busy for a while and then calm: each DDL has what is held of its table read again."""

    world: test_reread.World
    turns = 0

    def sleep(self, pause: timedelta) -> None:
        for _ in range(10):
            self.turns += 1
            busy = self.turns < test_reread.BUSY
            self.world.turn(busy=busy, crash=0.02 if busy else 0.0)
        assert self.turns < test_reread.STEPS_MAX, f"not done: {self.world.position()}"
        super().sleep(pause)


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_target_is_whole_at_the_end_while_the_stream_goes_on(seed: int, keys: SqliteKeys) -> None:
    with silent():
        world = test_reread.World(seed, alters=False)
        assert world.run() == []
        held = world.reader.target
        beside = Beside(world.source, FakeClock(world.time))
        position = world.position()
        assert position is not None
        since = position.gtid_set.count() // 2
        decoder = decoder_named("python")("p", 8 << 20, None)
        choices = replace(test_service.World().choices)
        scan = collect(beside, choices, captures, (numbers(1, since + 1), position.gtid_set), decoder, keys, lambda done, total: None)
        for name in NAMES:
            for (key,) in keys.batches(f"p.shop.{name}", 1, 1000):
                number = int(key.rpartition(b":")[2].rstrip(b"}"))
                held[name].pop(number, None)
                if number % 2:
                    held[name][number] = {"id": number, "v": -1}
            world.reader.damaged[name] = 1 << 40
        found = mendings(beside.server, choices, scan, keys)
        assert found
        clock = Going(world.time)
        clock.world = world
        streaming = Streaming(world)
        ids = count()
        for _ in range(2):  # a second run changes nothing
            asked = [signal for mending in found for signal in signals(mending, keys, lambda: str(next(ids)))]
            requests = Requests(streaming, streaming, clock, TOPICS)
            assert sum(requests.follow(asked, lambda: False)) == sum(1 if each.snapshot else each.keys for each in found)
            world.reader.damaged.clear()
        assert world.run(crash=0.0) == []
        assert held == world.source.moments[-1].rows


def test_no_more_than_a_few_signals_wait_at_a_time_and_a_stop_is_heard() -> None:
    with silent():
        world = test_reread.World(1, alters=False)
        assert world.run(crash=0.0) == []
        clock = Going(world.time)
        clock.world = world
        streaming = Streaming(world)
        form = test_reread.key_form(test_reread.ORDERS)
        asked = [Signal(str(number), Ask.REREAD, test_reread.ORDERS, keys=(b'{"id":%d}' % number,), key_form=form) for number in range(40)]
        assert sum(Requests(streaming, streaming, clock, TOPICS).follow(asked, lambda: False)) == 40
        assert 1 < streaming.waiting_max <= AHEAD
        assert sum(Requests(streaming, streaming, clock, TOPICS).follow(asked, lambda: True)) == 0


def test_a_streamer_that_does_not_run_is_noticed() -> None:
    with silent():
        world = test_reread.World(1, alters=False)
        assert world.run(crash=0.0) == []
        streaming = Streaming(world)
        asked = [Signal("1", Ask.SNAPSHOT, test_reread.ORDERS)]
        with pytest.raises(Unavailable, match="is the streamer running"):
            list(Requests(streaming, streaming, FakeClock(world.time), TOPICS).follow(asked, lambda: False))
