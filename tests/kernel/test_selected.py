"""Rows read by SELECT: the kernel's records beside the readable ones', byte for byte, and the same error where that one has an error."""

import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Corrupt
from contracts.table import Column, Kind, TableId, TableSchema
from devstack.mysql import MysqlServer
from streamer.core.charsets import BINARY, CHARSETS
from streamer.core.decoders import PYTHON, Decoders, choose
from streamer.core.definition import Definition
from streamer.core.packets import PACKET_SIZE_MAX
from streamer.core.select import select_rows
from streamer.core.selected import RowPackets, SelectFailed
from streamer.core.translate import Origin
from tests.decoders import needs_kernel
from tests.kernel import corpus
from tests.marks import long
from tests.streamer.core.selecting import ALL_ROWS, NOW_MS, ORIGIN, RECORD_BYTES_MAX, Reading, reading, way_of
from tests.streamer.core.test_selected_on_a_server import KINDS, wrote

pytestmark = [needs_kernel, pytest.mark.timeout(120)]

Told = tuple[Any, ...]
"""What a decoder made of an answer: its records, or its error."""
LABELS = ("a", "", 'quote"', "back\\slash", "línea\n", "日本")
END = b"\xfe\0\0\2\0"


def both() -> tuple[Decoders, Decoders]:
    return choose("kernel"), PYTHON


def packet(payload: bytes) -> bytes:
    """As the protocol splits it; nobody looks at the number."""
    parts = [payload[at : at + PACKET_SIZE_MAX] for at in range(0, len(payload) + 1, PACKET_SIZE_MAX)]
    return b"".join(len(part).to_bytes(3, "little") + b"\1" + part for part in parts)


def lenenc(text: bytes | None) -> bytes:
    if text is None:
        return b"\xfb"
    return lenenc_number(len(text)) + text


def answer(columns: int, rows: Sequence[bytes]) -> bytes:
    return b"".join(map(packet, [lenenc_number(columns), *[b"\3def"] * columns, END, *rows, END]))


def lenenc_number(number: int) -> bytes:
    if number < 251:
        return bytes([number])
    width = 2 if number < 1 << 16 else 3 if number < 1 << 24 else 8
    return bytes([{2: 252, 3: 253, 8: 254}[width]]) + number.to_bytes(width, "little")


def definition(*columns: Column, key: Sequence[str] = ()) -> Definition:
    return Definition(TableSchema(TableId("d", 't"é'), columns, tuple(key)), tuple(key))


def told(decoders: Decoders, table: Definition, rows: Sequence[bytes], bytes_max: int = RECORD_BYTES_MAX) -> Told:
    packets = decoders.row_packets()
    assert packets.take(answer(len(table.schema.columns), rows))
    return encoded(decoders, table, packets, bytes_max)


def encoded(
    decoders: Decoders,
    table: Definition,
    packets: RowPackets,
    bytes_max: int = RECORD_BYTES_MAX,
    struck: frozenset[bytes] = frozenset(),
    origin: Origin = ORIGIN,
    rows: tuple[int, int] | None = None,
) -> Told:
    start, stop = rows or (0, packets.rows)
    selected = decoders.selected(table, way_of(table.schema), bytes_max)
    try:
        made, left_out = selected.encode(packets, struck, origin, 5, NOW_MS, start, stop)
    except Corrupt as error:
        return error.message, error.fields
    return made.topic, [(record["key"], record["value"]) for record in made.records], made.size_bytes, left_out


def same(table: Definition, *rows: bytes, bytes_max: int = RECORD_BYTES_MAX) -> bool:
    """Whether they were rows at all."""
    found, wanted = (told(decoders, table, rows, bytes_max) for decoders in both())
    assert found == wanted, [row.hex() for row in rows]
    return len(wanted) == 4


# Values: every type, what the server writes and what it does not.


def column(kind: Kind, **shape: Any) -> Column:
    return Column("c", kind, **shape)


INTEGERS = [
    column(kind, unsigned=unsigned)
    for kind in (Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT)
    for unsigned in (False, True)
]
DECIMALS = [column(Kind.DECIMAL, precision=p, scale=s) for p, s in ((1, 0), (1, 1), (9, 2), (18, 4), (30, 30), (65, 0), (65, 30))]
BITS = [column(Kind.BIT, length=length) for length in (1, 2, 7, 8, 9, 31, 33, 63, 64)]
TEMPORAL = [
    column(Kind.DATE),
    column(Kind.YEAR),
    *(column(kind, fraction=digits) for kind in (Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP) for digits in range(7)),
]
MEMBERS = [
    column(kind, charset="utf8mb4", labels=(LABELS * 11)[:count]) for kind in (Kind.ENUM, Kind.SET) for count in (1, 3, 8, 20, 63, 64)
]
MEMBERS.append(column(Kind.ENUM, charset="latin1", labels=tuple(f"l{number}" for number in range(300))))
MEMBERS += [column(kind, charset="utf8mb4", labels=("?", 'x?"y', "a", "?,")[:count]) for kind, count in ((Kind.ENUM, 4), (Kind.SET, 3))]
TEXTS = [column(Kind.TEXT, length=65535, charset=charset) for charset in sorted(CHARSETS - {BINARY})]
TEXTS += [column(Kind.CHAR, length=30, charset="utf8mb4"), column(Kind.VARCHAR, length=300, charset="latin1")]
BYTES = [column(Kind.BINARY, length=length) for length in (0, 1, 2, 3, 16, 255)]
BYTES += [column(Kind.VARBINARY, length=300), column(Kind.BLOB, length=255), column(Kind.BLOB, length=(1 << 32) - 1)]
OTHERS = [column(kind) for kind in (Kind.FLOAT, Kind.DOUBLE, Kind.JSON, Kind.GEOMETRY)] + [column(Kind.VECTOR, length=3)]
ALL = [*INTEGERS, *DECIMALS, *BITS, *TEMPORAL, *MEMBERS, *TEXTS, *BYTES, *OTHERS]


def name_of(column: Column) -> str:
    words = [column.kind, column.length, column.precision, column.scale, column.fraction, column.charset, len(column.labels)]
    return "-".join(str(word) for word in [*words, "unsigned" if column.unsigned else ""] if word)


NUMBERS = [
    str(sign * (1 << bits) + step) for bits in (0, 1, 7, 8, 15, 16, 23, 24, 31, 32, 63, 64) for step in (-1, 0, 1) for sign in (-1, 1)
]
EDGES = [
    *NUMBERS,
    *("-😀", '-x😀"y', '-x😀"y,😀', "-😀,a", "-😀,b", "-a", "-?", "-x😀y", "-😀,", "-😀é"),
    *("", "-", "-0", "+1", "00", "007", "0" * 255, "0" * 256, "1" * 70, "-" + "9" * 65, "1 ", " 1", "1_0", "٣", "0x1"),
    *(
        "0.5",
        "-0.5",
        "-0.0",
        "0.00",
        "1.50",
        "12.3456",
        "-12345.67",
        ".5",
        "5.",
        "1.2.3",
        "0." + "1" * 30,
        "-0." + "0" * 30,
        "9" * 35 + "." + "9" * 30,
    ),
    *(
        "1e10",
        "1e-7",
        "1E5",
        "1e+5",
        "1e999",
        "1e1000",
        "-1e-999",
        "1.7976931348623157e308",
        "5e-324",
        "3.4028234663852886e38",
        "3.4028236e38",
    ),
    *("1.100000023841858", "1.1", "16777217", "1.401298464324817e-45", "inf", "nan", "-Infinity", "1e", "e5"),
    *("2024-02-29", "2023-02-29", "0000-00-00", "2024-00-01", "9999-12-31", "0001-01-01", "2024-2-9", "12024-01-01", "2024-13-01"),
    *("1969", "0000", "1900", "1901", "2155", "2156", "99"),
    *("2024-02-29 23:59:59", "1969-12-31 23:59:59", "0000-00-00 00:00:00", "2024-02-31 01:02:03", "2024-01-01 24:00:00"),
    *("2024-01-01 00:60:00", "2024-01-01T00:00:00", "2024-01-01 00:00", "2024-01-01 00:00:00.", "2024-01-01 00:00:00.1234567"),
    *("838:59:59", "-838:59:59", "00:00:00", "-00:00:00", "1:00:00", "1000:00:00", "12:60:00", "12:00:60", "12:00", "--1:00:00"),
    *("null", "{}", '{"a": [1.50, "\\u0000"]}', '"\\"\n\x1f', "😀é", "true"),
]
EDGE_BYTES = [
    *(text.encode() for text in EDGES),
    *(
        f"{text}.{'1234560'[:digits]}".encode()
        for digits in range(1, 8)
        for text in ("1969-12-31 23:59:59", "2024-02-31 01:02:03", "-00:00:00")
    ),
    *(f"{text}.{'0' * digits}".encode() for digits in range(1, 7) for text in ("0000-00-00 00:00:00", "0000-00-01 00:00:00")),
    *(b"\xff", b"\x80", b"\xed\xa0\x80", b"\xc0\x80", b"\xf0\x9f\x98", b"\xd8\x00", b"\xd8\x00\xdc\x00", b"\0" * 3, b"\0" * 4, b"\0" * 12),
    *(struct.pack("<3f", 1.1, -0.0, 5e-45), struct.pack("<2f", float("nan"), 1), b"\xe6\x10\0\0" + bytes(21), b"x" * 300, b"y" * 70000),
]


@pytest.mark.parametrize("column", ALL, ids=name_of)
def test_values_are_the_readable_ones(column: Column) -> None:
    table = definition(column)
    chance = Random(f"tidemark {name_of(column)}")
    values = sum(same(table, lenenc(text)) for text in EDGE_BYTES)
    for _ in range(50):
        text = bytearray(chance.choice(EDGE_BYTES))
        for _ in range(chance.choice((1, 1, 2))):
            at = chance.randrange(len(text) + 1)
            text[at : at + chance.randrange(2)] = chance.choice((b"", b"0", b"-", b".", b":", b"9", chance.randbytes(1)))
        values += same(table, lenenc(bytes(text)))
    assert same(table, lenenc(None))
    assert values


@given(st.sampled_from(ALL), st.one_of(st.binary(max_size=40), st.from_regex(rb"-?[0-9]{0,20}[-.: e]?[0-9]{0,9}", fullmatch=True)))
def test_any_text_is_the_readable_ones(column: Column, text: bytes) -> None:
    same(definition(column), lenenc(text))


def test_numbers_of_every_kind_are_alike() -> None:
    chance = Random("tidemark selected numbers")
    single, double = definition(column(Kind.FLOAT)), definition(column(Kind.DOUBLE))
    rows = []
    for _ in range(800):
        (value,) = struct.unpack("<f", chance.randbytes(4))
        rows.append(repr(value))
        rows.append(repr(struct.unpack("<d", chance.randbytes(8))[0]))
        rows.append(repr(round(chance.uniform(-1000, 1000), chance.randrange(6))))
    finite = [text.encode() for text in rows if text[-1] not in "nf"]
    assert same(double, *map(lenenc, finite))
    for text in finite:
        same(single, lenenc(text))


def test_a_table_of_all_kinds_is_alike() -> None:
    columns = [Column(f'c{number} "é\n', **shape_of(c)) for number, c in enumerate(ALL)]
    values = [good_text(c) for c in ALL]
    table = definition(*columns, key=[columns[3].name, columns[0].name, columns[40].name])
    row, nulls = b"".join(map(lenenc, values)), b"\xfb" * len(ALL)
    assert same(table, row, nulls, row)
    for bytes_max in (0, 1000, 100_000):
        assert same(table, row, nulls, bytes_max=bytes_max)


def shape_of(column: Column) -> dict[str, Any]:
    return {name: getattr(column, name) for name in ("kind", "unsigned", "length", "precision", "scale", "fraction", "charset", "labels")}


def good_text(column: Column) -> bytes:
    """The last of the edges that is a value of this column."""
    table = definition(column)
    return next(text for text in reversed(EDGE_BYTES) if len(told(PYTHON, table, [lenenc(text)])) == 4 and len(text) < 1000)


def test_what_json_cannot_carry_is_raw_alike_also_in_keys_and_in_rows_too_large() -> None:
    table = definition(Column("d", Kind.DATE), Column("t", Kind.TEXT, length=255, charset="utf8mb4"), Column("n", Kind.INT), key=["t", "d"])
    row = lenenc(b"2024-02-31") + lenenc(b"\xff\xfe") + lenenc(b"7")
    for bytes_max in (RECORD_BYTES_MAX, 100):
        assert same(table, row, bytes_max=bytes_max)
    (_, records, *_rest) = told(choose("kernel"), table, [row])
    assert b'"raw":{"d":"2024-02-31","t":"0xFFFE"}' in records[0][1]


# Rows: which are taken, and what is said of all of them.


ID = definition(Column("id", Kind.INT), Column("v", Kind.INT), key=["id"])


def numbered(count: int) -> list[bytes]:
    return [lenenc(str(number).encode()) + lenenc(b"1") for number in range(count)]


@given(st.sets(st.integers(-3, 12)), st.integers(0, 10), st.integers(0, 10))
def test_struck_rows_are_left_out_alike_and_take_no_seq(struck: set[int], start: int, stop: int) -> None:
    keys = frozenset(b'{"id":%d}' % number for number in struck) | {b'{"id": 1}', b""}
    made = []
    for decoders in both():
        packets = decoders.row_packets()
        packets.take(answer(2, numbered(10)))
        made.append(encoded(decoders, ID, packets, struck=keys, rows=(start, stop)))
    assert made[0] == made[1]
    assert made[0][3] == len(struck & set(range(start, stop)))


def test_rows_without_a_key_are_never_struck() -> None:
    table = definition(Column("id", Kind.INT))
    for decoders in both():
        packets = decoders.row_packets()
        packets.take(answer(1, [b"\x011"]))
        assert encoded(decoders, table, packets, struck=frozenset([b"", b"null", b"{}"]))[3] == 0


@pytest.mark.parametrize("number", [0, (1 << 31) - 1, (1 << 32) - 1])
def test_origins_are_told_alike(number: int) -> None:
    origin = Origin('pipe"é', number, 'g"\n', "bin\\log.000001", number << 8, number * 1000, number * 1_000_000)
    made = []
    for decoders in both():
        packets = decoders.row_packets()
        packets.take(answer(2, numbered(3)))
        made.append(encoded(decoders, ID, packets, origin=origin))
    assert made[0] == made[1]


@pytest.mark.parametrize("rows", [(0, 3), (2, 4), (9, 10)])
def test_rows_that_are_not_there_are_a_bug_of_the_caller(rows: tuple[int, int]) -> None:
    for decoders in both():
        packets = decoders.row_packets()
        packets.take(answer(2, numbered(2)))
        with pytest.raises(IndexError):
            encoded(decoders, ID, packets, rows=rows)


# Answers that are none.


def answered(decoders: Decoders, data: bytes, places: Sequence[int], table: Definition) -> list[Told]:
    """All that is said while the answer is taken in pieces, and of its rows, whole or not."""
    packets = decoders.row_packets()
    said: list[Told] = []
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    for begin, end in pairwise(marks):
        try:
            ended = packets.take(memoryview(data)[begin:end])
        except (Corrupt, SelectFailed) as error:
            return [*said, (type(error), str(error))]
        said.append((ended, packets.rows, packets.size_bytes))
    for columns in ([0], [1, 0], []) if packets.rows else ():
        try:
            said.append(packets.last(columns))
        except Corrupt as error:
            said.append((str(error),))
        except IndexError:
            said.append((IndexError,))
    return [*said, encoded(decoders, table, packets)]


def same_answer(data: bytes, places: Sequence[int] = (), table: Definition = ID) -> list[Told]:
    found, wanted = (answered(decoders, data, places, table) for decoders in both())
    assert found == wanted, data[:4000].hex()
    return wanted


ERROR = b"\xff\x28\x04#42000You have an error"
PARTS = (
    b"\2",
    b"\1",
    b"\0",
    b"\2x",
    b"\3def",
    END,
    b"\xfb",
    b"\xfb\xfb",
    b"\xfc\1",
    b"\xfe",
    b"\xfe" + b"\xff" * 8,
    b"\xfe\0\0\2\0\0\0",
    b"",
)
ROWS = (b"\x011\x011", b"\xfe\1\0\0\0\0\0\0\0a\1b", b"\xfe" + b"\0" * 40)
ERRORS = (
    b"\xff",
    b"\xff\1",
    b"\xff\1\4",
    b"\xff\1\4#",
    b"\xff\1\4#HY000\xff\xf0\x9f\xe9x",
    b"\xff\1\4plain",
    b"\xff\x28\x04#42000You have",
)
PAYLOADS = st.sampled_from([*PARTS, *ROWS, *ERRORS]) | st.binary(max_size=12)


@given(st.lists(PAYLOADS, max_size=9), st.lists(st.integers(0, 400), max_size=6), st.binary(max_size=5))
def test_any_packets_are_answered_alike_however_they_are_cut(payloads: list[bytes], places: list[int], tail: bytes) -> None:
    same_answer(b"".join(map(packet, payloads)) + tail, places)


A_TEXT = st.none() | st.from_regex(rb"-?[0-9]{0,3}", fullmatch=True)
A_ROW = st.lists(A_TEXT, min_size=1, max_size=3).map(lambda texts: b"".join(map(lenenc, texts)))


@given(st.lists(A_ROW | A_ROW | PAYLOADS, max_size=6), st.lists(st.integers(0, 400), max_size=6), st.booleans(), st.binary(max_size=4))
def test_any_rows_are_answered_alike(rows: list[bytes], places: list[int], ends: bool, tail: bytes) -> None:
    head = [b"\2", b"\3def", b"\3def", END]
    same_answer(b"".join(map(packet, [*head, *rows, *([END] if ends else [])])) + tail, places)


def test_an_answer_cut_anywhere_or_with_any_byte_changed_is_alike() -> None:
    table = definition(Column("id", Kind.INT), Column("v", Kind.TEXT, length=255, charset="utf8mb4"), key=["id"])
    data = answer(2, [lenenc(b"1") + lenenc('é"'.encode()), lenenc(b"22") + b"\xfb", lenenc(b"-333") + lenenc(b"x" * 300)])
    for size in range(len(data)):
        same_answer(data[:size], [size // 2], table)
        for value in (0, 5, 0x2D, 251, 252, 254, 255):
            same_answer(data[:size] + bytes([value]) + data[size + 1 :], (), table)


def mutations(chance: Random, count: int, table: Definition, rows: Sequence[bytes]) -> Iterator[bytes]:
    for _ in range(count):
        data = bytearray(answer(len(table.schema.columns), rows))
        for _ in range(chance.choice((1, 1, 2, 4))):
            at = chance.randrange(len(data))
            kind = chance.randrange(4)
            if kind == 0:
                data[at] ^= 1 << chance.randrange(8)
            elif kind == 1:
                del data[at : at + chance.randrange(1, 5)]
            elif kind == 2:
                data[at:at] = chance.randbytes(chance.randrange(1, 5))
            else:
                data[at] = chance.choice((0, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF))
        yield bytes(data)


def test_an_answer_changed_by_chance_is_alike() -> None:
    chance = Random("tidemark answers")
    columns = [c for c in ALL if c.kind is not Kind.TEXT or c.charset == "utf8mb4"]
    for number in range(0, len(columns), 4):
        few = columns[number : number + 4]
        table = definition(*(Column(f"c{place}", **shape_of(c)) for place, c in enumerate(few)))
        row = b"".join(lenenc(good_text(c)) for c in few)
        for data in mutations(chance, 25, table, [row, b"\xfb" * len(few), row]):
            same_answer(data, [chance.randrange(len(data) + 1)], table)


@pytest.mark.parametrize("size", [PACKET_SIZE_MAX - 5, PACKET_SIZE_MAX - 4, PACKET_SIZE_MAX - 3, PACKET_SIZE_MAX, PACKET_SIZE_MAX + 9])
def test_rows_that_the_protocol_splits_are_joined_alike(size: int) -> None:
    table = definition(Column("b", Kind.TEXT, length=(1 << 32) - 1, charset="latin1"))
    for row in (lenenc(b"x" * size), b"\xfd" + (size - 9).to_bytes(3, "little") + b"y" * (size - 9)):
        data = answer(1, [b"\x011", row, b"\x012"])
        said = same_answer(data, [60, len(data) // 2, len(data) - 3], table)
        assert said[3][1] == 3


# The server's own.


@pytest.mark.stack
@pytest.mark.parametrize("chapter", [KINDS, *long(corpus.types())], ids=lambda chapter: chapter.name)
def test_a_servers_answers_are_alike(server: MysqlServer, chapter: corpus.Chapter) -> None:
    """Of tables of every type with nasty values: the very same bytes for both."""
    tables, rows = wrote(server, chapter), 0
    with reading(server) as read:
        for table in tables:
            described = read.definition(table)
            data = whole_answer(read, select_rows(described, None, None, ALL_ROWS))
            *_, (_, records, _, _) = same_answer(data, [len(data) // 3], described)
            rows += len(records)
    assert rows >= len(tables)


def whole_answer(read: Reading, sql: str) -> bytes:
    data, packets = b"", PYTHON.row_packets()
    for received in read.answer(sql):
        data += received
        if packets.take(received):
            break
    return data
