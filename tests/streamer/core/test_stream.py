"""Event by event, from bytes captured once; and bytes that are not what they claim."""

import random
import struct

import pytest
import zstandard

from contracts.errors import Corrupt, Invalid
from contracts.position import BinlogPosition, Gtid, GtidSet
from contracts.table import Kind, TableId
from streamer.core.events import (
    Change,
    Event,
    FormatDescription,
    Heartbeat,
    Ignored,
    Incident,
    Query,
    Rotate,
    RowsEvent,
    RowsQuery,
    Stop,
    TransactionContext,
    ViewChange,
    XaPrepare,
    Xid,
)
from streamer.core.gtids import AnonymousGtid, GtidEvent, PreviousGtids, read_commit
from streamer.core.rows import RowChange
from streamer.core.schemas import TableMap
from streamer.core.stream import EventStream
from tests.streamer.core.golden import NAMES, begun, body_of, event, golden, rows_of, with_body

SERVER = "d8af01fb-e72c-11f1-bfe0-02fc00000001"
TABLE = TableId("shop", "goods")
ROW = {
    "id": 1,
    "name": "Äpfel",
    "price": "-1.50",
    "state": "old",
    "doc": '{"a": [1, 2.5, "x", null], "long": "0123456789012345678901234567890123456789"}',
    "made": 1709210096789,
    "at": "2024-01-01T00:00:00.000001Z",
    "n": "18446744073709551615",
    "b": "AQAAAA==",
    "bits": "Ew==",
    "f": 1.1,
    "tags": "a,b",
    "t": -36672340000,
    "v": [1.5, -2.0],
    "g": {"wkb": "AQEAAAAAAAAAAADwPwAAAAAAAABA", "srid": None},
}
EMPTY = {"id": 2, **dict.fromkeys(list(ROW)[1:])}


def read(name: str) -> Event:
    return next(iter(begun(table=True).feed(golden(name)))).event


def rows(name: str) -> list[RowChange]:
    return rows_of(begun(table=True).feed(golden(name)))


def test_every_captured_event_has_a_test_of_its_own_or_is_of_the_list_of_harmless_ones() -> None:
    assert {name for name in NAMES if isinstance(read(name), Ignored)} == {"intvar", "rand", "user_var", "begin_load_query"}
    assert len(NAMES) == 27


def test_the_head_of_a_file() -> None:
    assert read("format_description") == FormatDescription("9.7.4-2", checksum=True)
    assert read("previous_gtids") == PreviousGtids(GtidSet())
    tagged = read("previous_gtids_tagged")
    assert isinstance(tagged, PreviousGtids)
    assert str(tagged.gtids) == f"{SERVER}:1-12:blue:1"


def test_rotates_move_the_position_those_in_the_file_after_their_own_bytes() -> None:
    stream = EventStream()
    (made_up,) = stream.feed(golden("rotate_of_the_dump"))
    assert made_up.event == Rotate("binlog.000001", 349)
    assert made_up.start == made_up.end == stream.position == BinlogPosition("binlog.000001", 349)
    _ = list(stream.feed(golden("format_description")))
    (real,) = stream.feed(golden("rotate"))
    assert real.event == Rotate("binlog.000002", 4)
    assert real.start == BinlogPosition("binlog.000001", 349)
    assert real.end == BinlogPosition("binlog.000001", 349 + 44)
    assert stream.position == BinlogPosition("binlog.000002", 4)


def test_gtids_with_and_without_tag_and_none() -> None:
    plain, tagged, anonymous = read("gtid"), read("gtid_tagged"), read("anonymous_gtid")
    assert isinstance(plain, GtidEvent)
    assert (plain.gtid, plain.transaction_length, plain.sequence_number) == (Gtid(SERVER, 2), 185, 2)
    assert plain.immediate_commit_us == plain.original_commit_us == 1795433587522688
    assert isinstance(tagged, GtidEvent)
    assert tagged.gtid == Gtid(SERVER, 1, "blue")
    assert tagged.immediate_commit_us > plain.immediate_commit_us
    assert isinstance(anonymous, AnonymousGtid)
    assert anonymous.immediate_commit_us > tagged.immediate_commit_us


def test_a_glance_at_a_gtid_event_sees_what_reading_it_gives() -> None:
    body = body_of(golden("gtid"))
    at = 1 + 16 + 8 + 1 + 16
    replicated = body[:at] + struct.pack("<Q", 1 << 55 | int.from_bytes(body[at : at + 7], "little"))[:7] + bytes(7) + body[at + 7 :]
    for raw in (golden("gtid"), with_body(golden("gtid"), replicated)):
        (located,) = begun().feed(raw)
        assert isinstance(located.event, GtidEvent)
        assert read_commit(b"front" + raw, 5, len(raw)) == (located.event.gtid, located.event.immediate_commit_us)
    other = with_body(golden("gtid"), body[: at - 17] + b"\1" + body[at - 16 :])
    for raw, why in (
        (golden("gtid")[:67], "67 bytes"),
        (other, "unknown kind 1"),
        (with_body(golden("gtid"), bytes(25) + b"\2" + bytes(30)), "number 0"),
    ):
        with pytest.raises(Corrupt, match=why):
            read_commit(raw, 0, len(raw))


def test_a_transaction_from_another_server_keeps_when_it_was_first_committed() -> None:
    body = body_of(golden("gtid"))
    immediate = int.from_bytes(body[42:49], "little")
    replicated = body[:42] + (immediate | 1 << 55).to_bytes(7, "little") + (immediate - 5).to_bytes(7, "little") + body[49:]
    (located,) = begun().feed(with_body(golden("gtid"), replicated))
    assert isinstance(located.event, GtidEvent)
    assert (located.event.immediate_commit_us, located.event.original_commit_us) == (immediate, immediate - 5)
    assert located.event.transaction_length == 185


def test_statements_and_ends_of_transactions() -> None:
    begin, ddl, load = read("query_begin"), read("query_ddl"), read("execute_load_query")
    assert isinstance(begin, Query)
    assert (begin.schema, begin.sql, begin.error_code) == ("", "BEGIN", 0)
    assert isinstance(ddl, Query)
    assert ddl.sql.startswith("create table shop.goods (id int primary key")
    assert isinstance(load, Query)
    assert load.sql.startswith("LOAD DATA INFILE")
    assert isinstance(read("xid"), Xid)
    assert read("xa_prepare") == XaPrepare("X'67',X'62',3", one_phase=False)
    assert read("rows_query") == RowsQuery()
    assert read("stop") == Stop()


def test_heartbeats_of_both_versions_name_where_the_dump_is() -> None:
    assert read("heartbeat") == read("heartbeat_v2") == Heartbeat("binlog.000003", 244)


def test_events_that_no_server_here_would_write() -> None:
    stream = begun()
    made = [event(26, b"\x01\x00\x05LOST!"), event(36, b"anything"), event(37, b"anything")]
    assert [located.event for raw in made for located in stream.feed(raw)] == [Incident(1, "LOST!"), TransactionContext(), ViewChange()]


def test_a_table_map_says_what_the_table_is() -> None:
    table_map = read("table_map")
    assert isinstance(table_map, TableMap)
    assert (table_map.table, table_map.schema.key) == (TABLE, ("id",))
    columns = table_map.schema.by_name
    assert list(columns) == list(ROW)
    assert (columns["name"].kind, columns["name"].length, columns["name"].charset) == (Kind.VARCHAR, 20, "utf8mb4")
    assert (columns["price"].precision, columns["price"].scale) == (10, 2)
    assert (columns["state"].labels, columns["tags"].labels) == (("new", "old"), ("a", "b"))
    assert (columns["made"].fraction, columns["at"].fraction, columns["t"].fraction) == (3, 6, 2)
    assert (columns["n"].unsigned, columns["id"].unsigned, columns["id"].nullable, columns["n"].nullable) == (True, False, False, True)
    assert (columns["b"].kind, columns["b"].length, columns["bits"].length, columns["v"].length) == (Kind.BINARY, 4, 5, 2)


def test_rows_inserted_updated_and_deleted() -> None:
    assert [(row.change, row.before, row.after) for row in rows("write_rows")] == [(Change.INSERT, None, ROW), (Change.INSERT, None, EMPTY)]
    assert [(row.before, row.after) for row in rows("update_rows")] == [(ROW, {**ROW, "name": "Birnen"})]
    assert [(row.change, row.before, row.after) for row in rows("delete_rows")] == [(Change.DELETE, EMPTY, None)]
    partial = read("partial_update_rows")
    assert isinstance(partial, RowsEvent)
    assert partial.partial
    (row,) = rows("partial_update_rows")
    assert row.before == {**ROW, "name": "Birnen"}
    assert row.after == {**row.before, "doc": str(ROW["doc"]).replace("2.5", "7")}


def test_a_payload_gives_its_events_in_its_place() -> None:
    found = list(begun().feed(golden("transaction_payload")))
    assert [type(located.event) for located in found] == [Query, TableMap, RowsEvent, Xid]
    assert len({(located.start, located.end) for located in found}) == 1
    (row,) = rows_of(found)
    assert row.after == {**EMPTY, "id": 3, "name": "z" * 20}


def payload(inner: bytes, *, declared: int | None = None, compression: int = 0) -> bytes:
    data = zstandard.compress(inner) if compression == 0 else inner
    size = struct.pack("<BQ", 254, len(inner) if declared is None else declared)
    length = struct.pack("<BQ", 254, len(data))
    fields = b"\x02\x03" + b"\xfc" + struct.pack("<H", compression) + b"\x03\x09" + size + b"\x01\x09" + length + b"\x00"
    return event(40, fields + data)


def inner_event(raw: bytes) -> bytes:
    """Without checksum, as inside a payload."""
    return raw[:9] + struct.pack("<I", len(raw) - 4) + raw[13:-4]


def test_an_uncompressed_payload_reads_as_a_compressed_one() -> None:
    inner = inner_event(golden("table_map")) + inner_event(golden("write_rows")) + inner_event(golden("xid"))
    for compression in (0, 255):
        found = list(begun().feed(payload(inner, compression=compression)))
        assert [row.after for row in rows_of(found)] == [ROW, EMPTY]
        assert isinstance(found[-1].event, Xid)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (payload(b"x" * 100, declared=1 << 40), "over the limit"),
        (payload(inner_event(golden("xid")) * 2, declared=27), "more than it says"),
        (payload(inner_event(golden("xid")), declared=54), "ends inside"),
        (payload(b"\0" * 100_000), "an inner event of 0 bytes"),
        (payload(inner_event(golden("xid"))[:9] + b"\xff\xff\xff\x7f" + b"\0" * 20), "an inner event of 2147483647 bytes"),
        (payload(inner_event(golden("transaction_payload"))), "cannot be inside"),
        (payload(b"x" * 30, compression=7), "unknown compression 7"),
    ],
)
def test_a_payload_that_lies_is_corrupt(raw: bytes, message: str) -> None:
    with pytest.raises(Corrupt, match=message):
        list(begun().feed(raw))


def test_the_next_event_is_not_taken_before_a_payload_is_read_to_its_end() -> None:
    stream = begun()
    next(iter(stream.feed(golden("transaction_payload"))))
    with pytest.raises(ValueError, match="not all taken"):
        stream.feed(golden("xid"))


def test_an_unknown_type_is_refused_with_its_number_and_position() -> None:
    stream = begun()
    with pytest.raises(Corrupt, match=r"unknown type 99: .* at binlog position binlog\.000001:4"):
        stream.feed(event(99, b"", flags=0x80))


def test_old_row_events_are_refused() -> None:
    with pytest.raises(Corrupt, match="unknown type 23"):
        begun().feed(event(23, b"\0" * 20))


def test_a_flipped_bit_anywhere_breaks_the_checksum() -> None:
    raw = golden("xid")
    for at in range(19, len(raw)):
        broken = bytearray(raw)
        broken[at] ^= 1
        with pytest.raises(Corrupt, match="checksum"):
            begun().feed(bytes(broken))


def test_rows_without_their_table_map_are_corrupt() -> None:
    with pytest.raises(Corrupt, match="no table map for table id"):
        begun().feed(golden("write_rows"))
    stream = begun(table=True)
    _ = list(stream.feed(golden("write_rows")))  # ends the statement, and with it the map
    with pytest.raises(Corrupt, match="no table map for table id"):
        stream.feed(golden("write_rows"))


def test_an_event_without_rows_that_only_ends_a_statement_has_no_table() -> None:
    (located,) = begun().feed(event(32, b"\xff\xff\xff\0\0\0" + b"\x01\0" + b"\x02\0" + b"\x01\xff"))
    assert isinstance(located.event, RowsEvent)
    assert located.event.table is None
    assert located.event.end_of_statement


def test_events_before_a_format_description_are_refused_but_for_a_dumps_rotate_with_or_without_checksum() -> None:
    with pytest.raises(Corrupt, match="before any format description"):
        EventStream().feed(golden("xid"))
    raw = golden("rotate_of_the_dump")
    bare = raw[:9] + struct.pack("<I", len(raw) - 4) + raw[13:-4]
    (located,) = EventStream().feed(bare)
    assert located.event == Rotate("binlog.000001", 349)


def test_a_position_past_four_gigabytes_goes_on_counting() -> None:
    stream = EventStream("binlog.000001", (1 << 32) - 10)
    _ = list(
        stream.feed(
            with_body(
                golden("format_description")[:13] + b"\0\0\0\0" + golden("format_description")[17:], body_of(golden("format_description"))
            )
        )
    )
    (located,) = stream.feed(event(16, b"\0" * 8, log_pos=21))
    assert located.end == BinlogPosition("binlog.000001", (1 << 32) + 21)
    assert located.start == BinlogPosition("binlog.000001", (1 << 32) - 10)


@pytest.mark.parametrize("name", NAMES)
def test_an_event_cut_anywhere_is_corrupt(name: str) -> None:
    raw = golden(name)
    for size in range(len(raw)):
        with pytest.raises(Corrupt):
            list(begun(table=True).feed(raw[:size]))


def outcome(raw: bytes) -> str:
    try:
        rows_of(begun(table=True).feed(raw))
    except Corrupt:
        return "corrupt"
    except Invalid:
        return "invalid"
    return "value"


@pytest.mark.parametrize("name", NAMES)
def test_a_body_cut_anywhere_under_a_right_header_is_corrupt_or_a_value(name: str) -> None:
    raw = golden(name)
    body = body_of(raw)
    outcomes = {outcome(with_body(raw, body[:size])) for size in range(len(body))}
    assert outcomes <= {"corrupt", "value", "invalid"}
    if name in ("write_rows", "update_rows", "gtid", "transaction_payload", "xid", "table_map", "previous_gtids_tagged"):
        assert "corrupt" in outcomes


@pytest.mark.parametrize("name", ["write_rows", "update_rows", "delete_rows", "partial_update_rows"])
def test_a_row_image_cut_inside_a_row_is_corrupt(name: str) -> None:
    raw = golden(name)
    body = body_of(raw)
    values = [size for size in range(14, len(body)) if outcome(with_body(raw, body[:size])) == "value"]
    assert len(values) == (1 if name == "write_rows" else 0)  # after the first of its two rows


@pytest.mark.parametrize("name", NAMES)
def test_mutated_bytes_are_corrupt_or_a_value_and_never_another_error(name: str) -> None:
    raw = golden(name)
    body = body_of(raw)
    chance = random.Random(f"tidemark {name}")
    interesting = (0, 1, 0x7F, 0x80, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF)
    for _ in range(400):
        mutant = bytearray(body)
        for _ in range(chance.choice((1, 1, 2, 4, 16)) if mutant else 0):
            at = chance.randrange(len(mutant))
            mutant[at] = chance.choice((*interesting, chance.randrange(256), mutant[at] ^ 1 << chance.randrange(8)))
        outcome(with_body(raw, bytes(mutant)))


def test_noise_is_corrupt_or_a_value_whatever_its_type() -> None:
    chance = random.Random("tidemark noise")
    for kind in range(256):
        for _ in range(8):
            outcome(event(kind, chance.randbytes(chance.choice((0, 1, 8, 40, 200)))))
