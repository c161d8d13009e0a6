"""A new pipeline that begins at a moment: what it holds, what it refuses, and how few files it looks into."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from contracts.errors import Invalid, Refused, Unavailable
from contracts.position import GtidSet
from streamer.core.events import Type
from streamer.ports import Ports
from streamer.service.backfill import set_before
from tests.fakes.clock import FakeClock
from tests.streamer.binlog import COMMIT_US, SERVER, FakeServer, Table, event
from tests.streamer.test_service import World

ORDERS = Table("orders")
STEP_US = 1_000
FILES, IN_A_FILE = 6, 3
LAST = FILES * IN_A_FILE


def commit_us(number: int) -> int:
    return COMMIT_US + number * STEP_US


def world(files: int = FILES) -> World:
    """Transactions 1, 2, …, three in a file, each an insert of its own number."""
    made = World()
    for file in range(files):
        if file:
            made.source.rotate()
        for _ in range(IN_A_FILE):
            made.source.commit(ORDERS.insert((len(made.source.transactions) + 1, 0)))
    return made


def numbers(made: World) -> list[object]:
    return [envelope.after["id"] for envelope in made.envelopes("p.shop.orders") if envelope.after]


@pytest.mark.parametrize("first", range(1, LAST + 1))
@pytest.mark.parametrize("earlier_us", [0, 1, STEP_US - 1])
def test_the_stream_begins_with_the_first_transaction_of_then_or_later(first: int, earlier_us: int) -> None:
    made = world()
    made.run(made.streamer(since_us=commit_us(first) - earlier_us))
    assert numbers(made) == list(range(first, LAST + 1))


def test_a_moment_behind_the_last_transaction_is_followed_by_what_comes() -> None:
    made = world()
    streamer = made.run(made.streamer(since_us=commit_us(LAST) + 1))
    made.source.commit(ORDERS.insert((100, 0)))
    made.run(streamer)
    assert numbers(made) == [100]


def test_an_empty_server_and_empty_files_hold_every_moment() -> None:
    made = World()
    made.source.rotate()
    streamer = made.streamer(since_us=COMMIT_US)
    streamer.step()
    streamer.step()
    made.source.commit(ORDERS.insert((1, 0)))
    made.source.rotate()
    made.run(streamer)
    assert numbers(made) == [1]


def test_a_few_files_are_looked_into_and_one_is_read() -> None:
    made = world(files=64)
    made.run(made.streamer(since_us=commit_us(100)))
    assert numbers(made)[0] == 100
    assert made.binlog.starts == 6 + 1 + 1  # six looks halve 64 files to one; that one is read, and then the stream begins


def test_sessions_that_set_the_time_change_nothing() -> None:
    """Row events carry a time that a session may choose; ours stands in the GTID event alone."""
    made = World()
    made.source.commit(ORDERS.insert((1, 0)))
    made.source.commit([event(Type.ROWS_QUERY, b"\0x", timestamp_s=4_000_000_000), *ORDERS.insert((2, 0))])
    made.source.commit(ORDERS.insert((3, 0)))
    made.run(made.streamer(since_us=commit_us(3)))
    assert numbers(made) == [3]


def test_what_is_purged_is_refused_with_the_oldest_moment_there_is() -> None:
    made = world()
    made.source.purge()
    made.source.purge()
    oldest = 2 * IN_A_FILE + 1
    with pytest.raises(Refused, match="has purged its older binlogs") as refused:
        made.run(made.streamer(since_us=commit_us(oldest) - 1))
    assert datetime.fromtimestamp(commit_us(oldest) / 1e6, UTC).isoformat() in refused.value.message
    assert refused.value.exit_code == 3
    assert made.position() is None
    made.source.owner = None
    made.run(made.streamer(since_us=commit_us(oldest)))
    assert numbers(made) == list(range(oldest, LAST + 1))


def test_a_moment_to_come_is_refused() -> None:
    made = world()
    now_us = int(made.time.now().timestamp() * 1_000_000)
    with pytest.raises(Invalid, match="is in the future"):
        made.run(made.streamer(since_us=now_us + 60_000_000))
    assert made.position() is None


def test_a_running_pipeline_is_not_set_back() -> None:
    made = world()
    made.run().close()
    before = numbers(made)
    with pytest.raises(Refused, match="never set back"):
        made.run(made.streamer("b", since_us=commit_us(2)))
    assert numbers(made) == before


def test_what_interrupts_the_search_or_the_stream_does_not_make_it_begin_elsewhere() -> None:
    made = world()
    streamer = made.streamer(since_us=commit_us(5))
    # The search reads eight events of a dump at most, so the first of these interrupts it, and the others the stream.
    made.source.breaks = [(5, Unavailable("gone")), (12, Unavailable("gone again")), (9, Unavailable("and again"))]
    made.run(streamer)
    assert made.source.breaks == []
    assert numbers(made) == list(range(5, LAST + 1))


def test_a_transaction_without_a_gtid_on_the_way_is_refused() -> None:
    made = world()
    gtid, (_, *events) = made.source.transactions[3]
    body = bytes(25) + b"\x02" + bytes(16) + commit_us(4).to_bytes(7, "little") + b"\x64"
    made.source.transactions[3] = (gtid, [event(Type.ANONYMOUS_GTID, body), *events])
    with pytest.raises(Refused, match="without a GTID"):
        made.run(made.streamer(since_us=commit_us(6)))
    assert made.position() is None


def test_the_first_position_names_what_came_before() -> None:
    made = world()
    made.run(made.streamer(since_us=commit_us(LAST)))
    position = made.position()
    assert position is not None
    assert position.gtid_set == GtidSet.of({(SERVER, ""): [(1, LAST + 1)]})
    assert sum(position.next_seqs.values()) == 1


def test_a_dump_that_holds_back_transactions_is_given_up() -> None:
    """The server says it has executed one more than its binlog gives."""
    made = world()
    executed = made.source.executed
    made.source.transactions.pop()
    status = replace(FakeServer(made.source).status(), executed=executed)
    made.streamer()
    ports = Ports(FakeClock(made.time), FakeServer(made.source), made.binlog, *(cast(Any, None),) * 5)
    with pytest.raises(Unavailable, match="its dump does not send them"):
        set_before(ports, status, commit_us(LAST) + 1)
