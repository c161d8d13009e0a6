"""How much of a table is read at a time, and what goes together."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from contracts.errors import Invalid, PipelineError, Refused, Unavailable
from contracts.position import BinlogPosition, GtidSet
from contracts.progress import Reread, RowCursor, Standing, TableState
from contracts.signals import Ask, Signal
from contracts.table import Column, Kind, TableId, TableSchema
from streamer.core.chunks import ROWS_FIRST, SIZE_BYTES, TIME, ChunkSize
from streamer.core.definition import Definition
from streamer.core.select import select_rows
from streamer.core.selected import PythonRowPackets
from streamer.ports import ReadRequest, TableRows
from streamer.service.rereading import STRUCK_MAX, Keys, Rereading, Sent
from tests.fakes.tables import answer

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HIGH = BinlogPosition("binlog.000001", 100)
REREADS = {"t": Reread(TableId("d", "t"), Standing(TableState.SNAPSHOTTING, 1))}
ROWS_MAX = 30_000


class Reader:
    """A TableReader that has read whatever it was asked for."""

    def __init__(self) -> None:
        self.asked: list[ReadRequest] = []
        self.abandoned = 0

    def ask(self, request: ReadRequest) -> None:
        self.asked.append(request)

    def rows(self) -> TableRows:
        return TableRows("s", None, PythonRowPackets(), RowCursor(("id",), (b"1",)), False, HIGH, 0)

    def abandon(self) -> None:
        self.abandoned += 1

    def close(self) -> None:
        pass


def test_a_chunk_is_ready_once_the_stream_has_passed_its_end() -> None:
    rereading = Rereading([Reader()], ROWS_MAX)
    assert not rereading.ready(lambda place: True)
    rereading.ask(REREADS, {}, GtidSet(), NOW)
    assert not rereading.ready(lambda place: True), "it is being read"
    rereading.collect("s", NOW)
    assert rereading.ready(lambda place: place == HIGH)
    assert not rereading.ready(lambda place: False)
    assert rereading.next(lambda place: True)
    assert not rereading.ready(lambda place: True)


def test_rows_of_another_server_than_the_streams_are_not_sent_and_its_connection_is_given_up() -> None:
    reader = Reader()
    rereading = Rereading([reader], ROWS_MAX)
    rereading.ask(REREADS, {}, GtidSet(), NOW)
    with pytest.raises(Unavailable, match="tables are read from server s, and the stream from other"):
        rereading.collect("other", NOW)
    assert reader.abandoned == 1


def test_a_table_whose_order_is_of_other_values_by_now_is_asked_for_again_until_the_stream_has_its_alter() -> None:
    labels = Definition(TableSchema(TableId("d", "t"), (Column("k", Kind.ENUM, nullable=False, labels=("x", "y")),), ("k",)), ("k",))

    class Altered(Reader):
        def rows(self) -> TableRows:
            select_rows(labels, self.asked[-1].after, None, ROWS_MAX)
            raise AssertionError("no label is named so")

    reader = Altered()
    rereading = Rereading([reader], ROWS_MAX)
    rereads = {"t": replace(REREADS["t"], after=RowCursor(("k",), (b"abc",)))}
    for now in (NOW, NOW + timedelta(seconds=4), NOW + timedelta(seconds=5)):
        rereading.ask(rereads, {}, GtidSet(), now)
        rereading.collect("s", now)
        assert not rereading.busy
    assert len(reader.asked) == 2


def test_a_commit_counts_for_the_size_of_what_comes_next() -> None:
    def asked_after(rows_in_transaction: int, took: timedelta) -> int:
        reader = Reader()
        rereading = Rereading([reader], ROWS_MAX)
        rereading.ask(REREADS, {}, GtidSet(), NOW)
        rereading.collect("s", NOW)
        rereading.committed(Sent("t", 1000, 1000, TIME / 4), rows_in_transaction, took)
        rereading.ask(REREADS, {}, GtidSet(), NOW)
        return reader.asked[-1].rows_max

    assert asked_after(1000, TIME / 4) == 2 * ROWS_FIRST
    assert asked_after(1000, TIME * 3 / 4) == ROWS_FIRST
    assert asked_after(1000, TIME * 15 / 4) == ROWS_FIRST // 4
    assert asked_after(3000, TIME * 9 / 4) == ROWS_FIRST, "a third of the transaction was the chunk's"


def test_a_chunk_grows_from_small_beginnings_and_never_beyond_any_limit() -> None:
    size, quick = ChunkSize(ROWS_MAX), timedelta(milliseconds=1)
    sizes = []
    for _ in range(7):
        sizes.append(size.rows)
        size = size.after(size.rows, 10 * size.rows, quick)
    assert sizes == [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
    assert size.after(30_000, 30_000 * 1000, quick).rows == SIZE_BYTES // 1000
    assert size.after(10, 10, TIME * 100).rows == 1
    assert size.after(0, 0, quick) == size


def test_keys_whose_rows_are_too_large_together_are_asked_for_in_smaller_parts_and_never_taken_for_gone() -> None:
    """The reader gives the rows of as many keys as one chunk has room for."""
    room = 3

    class Wide(Reader):
        def rows(self) -> TableRows:
            keys = self.asked[-1].keys
            found = PythonRowPackets()
            found.take(answer(("id",), [[b"1"]] * min(len(keys), room)))
            return TableRows("s", None, found, None, len(keys) <= room, HIGH, 0)

    reader = Wide()
    rereading = Rereading([reader], ROWS_MAX)
    signal = Signal("1", Ask.REREAD, TableId("d", "t"), keys=tuple(b'{"id":%d}' % number for number in range(7)), key_form="f")
    keys, sent = Keys(5, signal), []
    while keys.done < len(signal.keys):
        rereading.ask({}, {"t": [keys]}, GtidSet(), NOW)
        rereading.collect("s", NOW)
        while (found := rereading.next(lambda place: True)) is not None:
            assert found[0].keys is not None
            assert found[1].last
            sent.append(found[0].keys.keys)
            keys.done = found[0].keys.stop
    assert len(reader.asked[0].keys) == 7
    assert [len(part) for part in sent] == [1] * 7
    assert sum(sent, ()) == signal.keys


@pytest.mark.parametrize("error", [Invalid("not a condition"), Refused("not to be read"), Unavailable("gone")])
def test_a_reading_that_fails_is_tried_again_later(error: PipelineError) -> None:
    """It must not end the stream, and whoever asked for it can still stop it."""

    class Failing(Reader):
        def rows(self) -> TableRows:
            raise error

    reader = Failing()
    rereading = Rereading([reader], ROWS_MAX)
    for minutes in (0, 1):
        rereading.ask(REREADS, {}, GtidSet(), NOW + timedelta(minutes=minutes))
        rereading.collect("s", NOW + timedelta(minutes=minutes))
        rereading.ask(REREADS, {}, GtidSet(), NOW + timedelta(minutes=minutes))
        assert len(reader.asked) == minutes + 1


def test_a_chunk_that_waits_behind_too_many_changes_is_given_up_and_read_again() -> None:
    rereading = Rereading([Reader()], ROWS_MAX)
    rereading.ask(REREADS, {}, GtidSet(), NOW)
    rereading.collect("s", NOW)
    for at in range(0, STRUCK_MAX, 1000):
        rereading.took("t", [b"%d" % key for key in range(at, at + 1000)], NOW)
    rereading.took("t", [b"0"], NOW)
    assert rereading.ready(lambda place: True)
    with capture_logs() as logged:
        rereading.took("t", [b"another"], NOW)
    assert [line["event"] for line in logged] == ["reread.failed"]
    rereading.ask(REREADS, {}, GtidSet(), NOW)
    assert not rereading.busy
    rereading.ask(REREADS, {}, GtidSet(), NOW + timedelta(minutes=1))
    assert rereading.busy
