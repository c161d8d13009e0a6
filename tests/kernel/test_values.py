"""The kernel's values beside the readable decoder's: byte for byte, and an error where that one has an error."""

import random
import struct
from collections.abc import Callable, Iterator
from functools import cache

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Corrupt
from contracts.table import Column, Kind
from streamer.core.charsets import BINARY, CHARSETS, plan
from streamer.core.jsonb import document_text
from streamer.core.jsondiff import updated_text
from streamer.core.numbers import double_text
from streamer.core.schemas import StoredColumn
from streamer.core.storage import (
    BIT,
    BLOB,
    DATE,
    DATETIME2,
    DECIMAL,
    DOUBLE,
    ENUM,
    FLOAT,
    GEOMETRY,
    INT24,
    JSON,
    LONG,
    LONGLONG,
    SET,
    SHORT,
    STRING,
    TIME2,
    TIMESTAMP2,
    TINY,
    VAR_STRING,
    VARCHAR,
    VECTOR,
    YEAR,
    Storage,
    decimal_size,
)
from streamer.core.values import Raw, compile_decoder
from tests.streamer.core.golden import body_of, golden

kernel = pytest.importorskip("tidemark_kernel")

Answer = tuple[bytes, str | None, int] | None  # JSON, raw, where it ends; None for an error
Probe = tuple[str, int, int, int, int, bool, object, list[str]]

LABELS = ("a", "", 'quote"', "back\\slash", "línea\n", "日本")


def column(
    code: int, size: int = 0, precision: int = 0, scale: int = 0, *, unsigned: bool = False, charset: str | None = None, labels: int = 0
) -> StoredColumn:
    names = tuple((LABELS * 11)[:labels])
    return StoredColumn(Column("c", Kind.INT, unsigned=unsigned, charset=charset, labels=names), Storage(code, size, precision, scale))


INTEGERS = [column(code, unsigned=unsigned) for code in (TINY, SHORT, INT24, LONG, LONGLONG) for unsigned in (False, True)]
TEMPORAL = [column(DATE), column(YEAR), *(column(code, digits) for code in (DATETIME2, TIMESTAMP2, TIME2) for digits in range(7))]
DECIMALS = [column(DECIMAL, decimal_size(p, s), p, s) for p in range(1, 66) for s in range(min(30, p) + 1)]
SMALL_DECIMALS = [stored for stored in DECIMALS if stored.storage.precision in (1, 9, 10, 18, 20, 65)]
BITS = [column(BIT, (width + 7) // 8, width) for width in range(1, 65)]
MEMBERS = [
    *(column(ENUM, size, charset="utf8mb4", labels=count) for size in (1, 2) for count in (0, 3, 64)),
    *(column(SET, size, charset="utf8mb4", labels=count) for size in (1, 2, 3, 4, 8) for count in (1, 8, 20, 64)),
]
BYTES = [
    *(column(STRING, size) for size in (0, 1, 2, 3, 16, 255, 256, 1020)),
    *(column(code, size) for code in (VARCHAR, VAR_STRING) for size in (1, 255, 256, 65535)),
    *(column(code, size) for code in (249, 250, 251, BLOB, JSON, GEOMETRY, VECTOR) for size in (1, 2, 3, 4)),
]
TEXTS = [
    column(code, size, charset=charset)
    for charset in sorted(CHARSETS - {BINARY})
    for code, size in ((STRING, 30), (VARCHAR, 300), (BLOB, 1), (BLOB, 2))
]
FLOATS = [column(FLOAT, 4), column(DOUBLE, 8)]
ALL = [*INTEGERS, *TEMPORAL, *SMALL_DECIMALS, *BITS, *MEMBERS, *BYTES, *FLOATS, *TEXTS]


def name_of(stored: StoredColumn) -> str:
    s, c = stored.storage, stored.column
    words = [s.type, s.size, s.precision, s.scale, "unsigned" if c.unsigned else "", c.charset or "", len(c.labels) or ""]
    return "-".join(str(word) for word in words if word != "")


def width_of(stored: StoredColumn) -> int:
    """Bytes of a value, or of the length before it."""
    code, size = stored.storage.type, stored.storage.size
    if code in (DATETIME2, TIMESTAMP2, TIME2):
        return {DATETIME2: 5, TIMESTAMP2: 4, TIME2: 3}[code] + (size + 1) // 2
    if code in (STRING, VARCHAR, VAR_STRING):
        return 1 if size < 256 else 2
    return {TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8, DATE: 3, YEAR: 1}.get(code, size)


PREFIXED = {STRING, VARCHAR, VAR_STRING, 249, 250, 251, BLOB, JSON, GEOMETRY, VECTOR}


@cache
def pair(stored: StoredColumn) -> tuple[Callable[[bytes, int], Answer], Callable[[bytes, int], Answer]]:
    """Both decoders of a column, in one form."""
    decode = compile_decoder(stored)
    s, c = stored.storage, stored.column
    text = c.charset if s.type not in (ENUM, SET) else None
    probe: Probe = (c.name, s.type, s.size, s.precision, s.scale, c.unsigned, plan(text) if text else None, list(c.labels))

    def readable(data: bytes, at: int) -> Answer:
        try:
            value, end = decode(data, at)
        except (Corrupt, struct.error, IndexError, ValueError, OverflowError):
            return None
        if end > len(data):
            return None  # as rows.py checks
        if isinstance(value, Raw):
            return b"null", value.text, end
        return orjson.dumps(value), None, end

    def quick(data: bytes, at: int) -> Answer:
        try:
            answer: Answer = kernel.decode_value(probe, data, at)
        except ValueError:
            return None
        return answer

    return readable, quick


def same(stored: StoredColumn, data: bytes, at: int = 0) -> bool:
    """Whether it was a value at all."""
    readable, quick = pair(stored)
    wanted = readable(data, at)
    assert quick(data, at) == wanted, f"{name_of(stored)} at {at} of {data.hex()}"
    return wanted is not None


def edges(stored: StoredColumn) -> Iterator[bytes]:
    width = width_of(stored)
    for content in (b"", b"\0", b"\x7f", b"\x80", b"\xff", b"a", b'"', b"\\", b"\n", b"\x1f", b"abcdefg\xe9", b"\0\0\xc0\x7f", bytes(300)):
        if stored.storage.type in PREFIXED:
            if len(content) < 1 << 8 * width:
                yield len(content).to_bytes(width, "little") + content
        else:
            yield content.ljust(width, b"\0")[:width]
            yield content.rjust(width, b"\0")[-width:] if content else bytes(width)
            yield (content * 8)[:width].ljust(width, b"\xff")
    for bit in range(8 * width):
        yield (1 << bit).to_bytes(width, "little") + bytes(40)
        yield ((1 << 8 * width) - 1 - (1 << bit)).to_bytes(width, "little") + bytes(40)


@pytest.mark.parametrize("stored", ALL, ids=name_of)
def test_values_are_the_readable_decoders(stored: StoredColumn) -> None:
    chance = random.Random(f"tidemark {name_of(stored)}")
    width = width_of(stored)
    values = 0
    cases = [*edges(stored), *(chance.randbytes(width + chance.randrange(3)) for _ in range(300))]
    if stored.storage.type in PREFIXED:
        for _ in range(300):
            content = chance.choice((chance.randbytes, ascii_bytes(chance), mixed_bytes(chance)))(chance.randrange(0, 200))
            cases.append(len(content).to_bytes(width, "little") + content)
    for data in cases:
        values += same(stored, data)
        same(stored, b"\x55" + data, 1)
        for cut in {0, 1, width - 1, width, len(data) - 1} & set(range(len(data))):
            same(stored, data[:cut])
    assert values


def ascii_bytes(chance: random.Random) -> Callable[[int], bytes]:
    return lambda count: bytes(chance.choice(b'abc xyz 0123456789"\\\n\x01~') for _ in range(count))


def mixed_bytes(chance: random.Random) -> Callable[[int], bytes]:
    return lambda count: "".join(chance.choice('aZ é日😀\u2028"\\\t') for _ in range(count // 4)).encode()


@given(st.sampled_from(ALL), st.binary(max_size=80), st.integers(0, 4))
def test_any_bytes_are_the_readable_decoders(stored: StoredColumn, data: bytes, at: int) -> None:
    same(stored, data, at)


@given(st.sampled_from([s for s in TEXTS if s.storage.type == BLOB and s.storage.size == 2]), st.text(max_size=60))
def test_any_text_is_the_readable_decoders(stored: StoredColumn, text: str) -> None:
    codec = {
        "utf8mb4": "utf-8",
        "utf16": "utf-16-be",
        "utf16le": "utf-16-le",
        "utf32": "utf-32-be",
        "gb18030": "gb18030",
        "sjis": "shift_jis",
    }
    data = text.encode(codec.get(stored.column.charset or "", "utf-8"), "ignore")
    same(stored, len(data).to_bytes(2, "little") + data)


@pytest.mark.parametrize("charset", sorted(CHARSETS - {BINARY}))
def test_every_byte_and_pair_of_bytes_is_text_alike(charset: str) -> None:
    stored = column(BLOB, 1, charset=charset)
    codes = [bytes([byte]) for byte in range(256)]
    if charset in ("utf8mb3", "utf8mb4", "ucs2", "utf16", "utf16le", "utf32") or plan(charset)[0] == "foreign":
        codes += [bytes([first, second]) for first in range(256) for second in range(256)]
    else:
        codes += [bytes([first, second]) for first in range(0, 256, 5) for second in range(256)]
    texts = 0
    for code in codes:
        tail = b"\0\0\0" + code[-1:] if charset == "utf32" else b""
        texts += same(stored, bytes([len(code + tail)]) + code + tail)
        if charset in ("ucs2", "utf16", "utf16le"):
            same(stored, bytes([4]) + code.ljust(2, b"\xdc") + b"\xdc\x01")
    assert texts


@pytest.mark.parametrize("charset", sorted(name for name in CHARSETS - {BINARY} if plan(name)[0] == "foreign"))
def test_text_that_is_partly_ascii_is_alike(charset: str) -> None:
    chance = random.Random(f"tidemark {charset}")
    stored = column(BLOB, 1, charset=charset)
    pieces = [
        b"a",
        b"abcdefgh12345678",
        b"\\",
        b'"',
        b"\x81\x5f",
        b"\xa1\xc0",
        b"\xb0\xa1",
        b"\x8f\xf5\xa1",
        b"\xf5\xa1",
        b"\x81\x30\x81\x30",
        b"\xff",
    ]
    for _ in range(2000):
        content = b"".join(chance.choices(pieces, k=chance.randrange(9)))
        same(stored, bytes([len(content)]) + content)


def test_every_day_is_alike() -> None:
    stored = column(DATE)
    for packed in range(0, 1 << 24, 37):
        same(stored, packed.to_bytes(3, "little"))
    for year in (1, 4, 100, 400, 1582, 1900, 1969, 1970, 2000, 2024, 2100, 9999, 10000):
        for place in range(512):
            same(stored, (year << 9 | place).to_bytes(3, "little"))


def test_times_of_sensible_parts_are_alike() -> None:
    chance = random.Random("tidemark times")
    for _ in range(4000):
        year, month, day = chance.choice((0, 1, 1969, 1970, 2024, 9999)), chance.randrange(13), chance.randrange(32)
        hour, minute, second = chance.randrange(25), chance.randrange(61), chance.randrange(61)
        digits = chance.randrange(7)
        extra = (digits + 1) // 2
        fraction = chance.choice((0, 1, 99, 100**extra - 1 if extra else 0, chance.randrange(100**extra + 1))).to_bytes(3, "big")[
            3 - extra :
        ]
        packed = (year * 13 + month) << 22 | day << 17 | hour << 12 | minute << 6 | second
        same(column(DATETIME2, digits), (packed + (1 << 39)).to_bytes(5, "big") + fraction)
        whole = chance.choice((0, 1, 86399, 86400, 951782400, 2**31 - 1, 2**32 - 1, chance.randrange(2**32)))
        same(column(TIMESTAMP2, digits), whole.to_bytes(4, "big") + fraction)
        bits = 8 * extra
        time = (chance.randrange(839) << 12 | minute << 6 | second) << bits | int.from_bytes(fraction, "big")
        for signed in (time, -time):
            same(column(TIME2, digits), ((1 << 23 + bits) + signed).to_bytes(3 + extra, "big"))


@pytest.mark.parametrize("precision", range(1, 66))
def test_decimals_of_every_shape_are_alike(precision: int) -> None:
    chance = random.Random(f"tidemark {precision}")
    for scale in range(min(30, precision) + 1):
        stored = column(DECIMAL, decimal_size(precision, scale), precision, scale)
        for _ in range(12):
            digits = "".join(chance.choices(chance.choice(("0", "9", "0123456789", "00000001")), k=precision))
            data = packed_decimal(digits, precision - scale, chance.random() < 0.5)
            assert same(stored, data)
            broken = bytearray(data)
            broken[chance.randrange(len(broken))] = chance.randrange(256)
            same(stored, bytes(broken))


def packed_decimal(digits: str, whole: int, negative: bool) -> bytes:
    left, right = digits[:whole], digits[whole:]
    head = whole % 9
    groups = [left[:head], *(left[at : at + 9] for at in range(head, whole, 9)), *(right[at : at + 9] for at in range(0, len(right), 9))]
    data = bytearray(b"".join(int(group).to_bytes((0, 1, 1, 2, 2, 3, 3, 4, 4, 4)[len(group)], "big") for group in groups if group))
    data[0] ^= 0x80
    return bytes(byte ^ 0xFF for byte in data) if negative else bytes(data)


def float_cases(chance: random.Random) -> Iterator[float]:
    # Seven digits between these two are so near their middle that as a double they are it.
    yield from struct.unpack("<2f", struct.pack("<2I", 0x15AE43FD, 0x15AE43FE))
    for exponent in range(-149, 128):
        for step in (-1, 0, 1):
            (bits,) = struct.unpack("<I", struct.pack("<f", 2.0**exponent))
            yield struct.unpack("<f", struct.pack("<I", bits + step))[0]
    for exponent in range(-45, 39):
        for digits in (1, 1.5, 9.999999, 3.1415927):
            try:
                yield struct.unpack("<f", struct.pack("<f", float(f"{digits}e{exponent}")))[0]
            except OverflowError:
                continue
    for _ in range(20_000):
        yield struct.unpack("<f", chance.randbytes(4))[0]
        yield struct.unpack("<f", struct.pack("<f", round(chance.uniform(-1000, 1000), chance.randrange(5))))[0]


def test_floats_and_vectors_of_them_are_alike() -> None:
    stored, vector = column(FLOAT, 4), column(VECTOR, 2)
    row = b""
    for value in float_cases(random.Random("tidemark floats")):
        data = struct.pack("<f", value)
        same(stored, data)
        row = data if value - value != 0 else (row + data)[-64:]
        same(vector, len(row).to_bytes(2, "little") + row)


def double_cases(chance: random.Random) -> Iterator[float]:
    yield from (0.0, 5e-324, 1.7976931348623157e308, 1e15, 1e16, 1e17, 1e-4, 1e-5, 9.999999999999999e15, 9007199254740993.0)
    for exponent in range(-1074, 1024):
        for step in (0, 1, -1):
            (bits,) = struct.unpack("<Q", struct.pack("<d", 2.0**exponent))
            yield struct.unpack("<d", struct.pack("<Q", bits + step))[0]
    for exponent in range(-323, 309):
        for digits in ("1", "1.5", "9.999999999999999", "123456789.123"):
            yield float(f"{digits}e{min(exponent, 299)}")
    for _ in range(60_000):
        yield struct.unpack("<d", chance.randbytes(8))[0]
        yield round(chance.uniform(-1e6, 1e6), chance.randrange(8))


def test_doubles_are_alike_in_columns_and_in_documents() -> None:
    stored, document = column(DOUBLE, 8), column(JSON, 1)
    for value in double_cases(random.Random("tidemark doubles")):
        for signed in (value, -value):
            data = struct.pack("<d", signed)
            same(stored, data)
            if same(document, b"\x09\x0b" + data):
                assert kernel.decode_value(("c", JSON, 1, 0, 0, False, None, []), b"\x09\x0b" + data, 0)[0] == orjson.dumps(
                    double_text(signed)
                )


@pytest.mark.parametrize(
    "probe",
    [
        ("c", 7, 0, 0, 0, False, None, []),
        ("c", 200, 0, 0, 0, False, None, []),
        ("c", DECIMAL, 5, 66, 2, False, None, []),
        ("c", DECIMAL, 4, 10, 2, False, None, []),
        ("c", DATETIME2, 7, 0, 0, False, None, []),
        ("c", ENUM, 3, 0, 0, False, None, []),
        ("c", BLOB, 5, 0, 0, False, None, []),
    ],
)
def test_a_column_no_server_has_is_refused(probe: Probe) -> None:
    with pytest.raises(ValueError, match=r"type|DECIMAL|digits"):
        kernel.decode_value(probe, bytes(20), 0)


# Documents: an encoder of MySQL's binary form, which also writes what no server would.

Json = object


def document(value: Json, large: bool = False) -> bytes:
    kind, body = encoded(value, large)
    return bytes([kind]) + body


class Opaque(bytes):
    """A value of an SQL type: its type code, then its content."""


def encoded(value: Json, large: bool) -> tuple[int, bytes]:
    if value is None or isinstance(value, bool):
        return 4, bytes([0 if value is None else 1 if value else 2])
    if isinstance(value, int):
        for kind, form in ((5, "<h"), (6, "<H"), (7, "<i"), (8, "<I"), (9, "<q"), (10, "<Q")):
            try:
                return kind, struct.pack(form, value)
            except struct.error:
                continue
        raise AssertionError(value)
    if isinstance(value, float):
        return 11, struct.pack("<d", value)
    if isinstance(value, str):
        return 12, seven_bits(len(value.encode())) + value.encode()
    if isinstance(value, Opaque):
        return 15, value[:1] + seven_bits(len(value) - 1) + value[1:]
    width = 4 if large else 2
    items = list(value.items()) if isinstance(value, dict) else [("", item) for item in value]  # type: ignore[attr-defined]
    keys = [key.encode() for key, _ in items] if isinstance(value, dict) else []
    start = 2 * width + len(keys) * (width + 2) + len(items) * (width + 1)
    heads, tail = b"", b""
    for key in keys:
        heads += (start + len(tail)).to_bytes(width, "little") + struct.pack("<H", len(key))
        tail += key
    for _, item in items:
        kind, body = encoded(item, large)
        if kind in (4, 5, 6) or (large and kind in (7, 8)):
            heads += bytes([kind]) + body.ljust(width, b"\0")
        else:
            heads += bytes([kind]) + (start + len(tail)).to_bytes(width, "little")
            tail += body
    size = start + len(tail)
    head = len(items).to_bytes(width, "little") + size.to_bytes(width, "little")
    return (0 if isinstance(value, dict) else 2) + large, head + heads + tail


def seven_bits(length: int) -> bytes:
    out = b""
    while length >= 0x80:
        out += bytes([length & 0x7F | 0x80])
        length >>= 7
    return out + bytes([length])


def server_order(items: dict[str, Json]) -> dict[str, Json]:
    return dict(sorted(items.items(), key=lambda item: (len(item[0].encode()), item[0].encode())))


TEXT = st.text(st.sampled_from('ab"\\\n\t\x01\x1f\x7fé日😀/'), max_size=12) | st.text("abcdefgh", max_size=40)
OPAQUES = st.builds(
    lambda kind, content: Opaque(bytes([kind]) + content),
    st.sampled_from([7, 10, 11, 12, 15, 252, 253, 246, 255]),
    st.binary(min_size=8, max_size=8) | st.binary(max_size=130),
) | st.builds(
    lambda digits, scale, negative: Opaque(
        b"\xf6" + bytes([len(digits), min(scale, len(digits))]) + packed_decimal(digits, len(digits) - min(scale, len(digits)), negative)
    ),
    st.text("0123456789", min_size=1, max_size=81),
    st.integers(0, 81),
    st.booleans(),
)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.integers(-5, 40_000) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT | OPAQUES
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5).map(server_order)
    ),
    max_leaves=25,
)


def same_document(data: bytes) -> bool:
    return same(column(JSON, 4), len(data).to_bytes(4, "little") + data)


@given(DOCUMENTS, st.booleans())
def test_documents_are_alike(value: Json, large: bool) -> None:
    data = document(value, large)
    same_document(data)
    same_update(data, b"")


@given(DOCUMENTS, st.booleans(), st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4), st.integers(0, 3))
def test_mutated_documents_are_alike(value: Json, large: bool, changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(document(value, large))
    for place, byte in changes:
        data[place % len(data)] = byte
    same_document(bytes(data[: len(data) - cut]))
    same_update(bytes(data[: len(data) - cut]), b"")


def test_dates_and_times_in_documents_are_alike() -> None:
    chance = random.Random("tidemark json times")
    edge = [0, 1, -1, 1 << 24, -(1 << 24), 2**63 - 1, -(2**63), 0xFFFFFF, -0xFFFFFF]
    for kind in (7, 10, 11, 12):
        for packed in [*edge, *(chance.randrange(-(2**63), 2**63) >> chance.randrange(63) for _ in range(500))]:
            assert same_document(document(Opaque(bytes([kind]) + packed.to_bytes(8, "little", signed=True))))


def test_decimals_of_every_shape_in_documents_are_alike() -> None:
    # What is written may have more digits after the point than a column's 30.
    chance = random.Random("tidemark json decimals")
    for precision in range(1, 82):
        for scale in range(precision + 1):
            digits = "".join(chance.choices("0123456789", k=precision))
            packed = packed_decimal(digits, precision - scale, chance.random() < 0.5)
            assert same_document(document(Opaque(b"\xf6" + bytes([precision, scale]) + packed)))
    for precision, scale in ((0, 0), (30, 31), (81, 82), (82, 31)):
        for size in range(45):
            assert not same_document(document(Opaque(b"\xf6" + bytes([precision, scale]) + b"\x80" * size)))


def test_bytes_in_documents_are_alike() -> None:
    for length in (7, 9):
        assert not same_document(document(Opaque(b"\x0c" + bytes(length))))
    # MySQL breaks their base64 into lines.
    for length in (*range(8), *range(50, 65), *range(110, 120), 171, 172, 5000):
        for kind in (15, 252, 253, 16, 255):
            assert same_document(document(Opaque(bytes([kind]) + b"\x01" * length)))


def test_a_servers_document_and_its_mutants_are_alike() -> None:
    body = body_of(golden("write_rows"))
    at = body.index(b"\x00\x02\x00Z\x00")  # a small object of two members and 90 bytes
    original = body[at : at + 91]
    assert same_document(original)
    chance = random.Random("tidemark json")
    texts = 0
    for _ in range(20_000):
        mutant = bytearray(original)
        for _ in range(chance.choice((1, 2, 5))):
            mutant[chance.randrange(len(mutant))] = chance.randrange(256)
        texts += same_document(bytes(mutant))
    assert 1000 < texts < 19_000


def nested(depth: int, object_too: bool) -> Json:
    value: Json = 1
    for level in range(depth):
        value = {"k": value} if object_too and level % 2 else [value]
    return value


@pytest.mark.parametrize("depth", [99, 100, 101])
def test_nesting_ends_alike(depth: int) -> None:
    for object_too in (False, True):
        data = document(nested(depth, object_too), large=object_too)
        assert same_document(data) == (depth <= 100)
        assert same_update(data, b"") == (depth <= 100)


def test_parts_that_overlap_are_refused_alike() -> None:
    # One text, shared by ever more elements: as long as they are no more bytes than the document has, it is read.
    answers = set()
    for count in range(1, 40):
        for length in (1, 5, 30):
            start = 4 + 3 * count
            data = (
                b"\x02"
                + struct.pack("<HH", count, start + 1 + length)
                + struct.pack("<BH", 12, start) * count
                + bytes([length])
                + b"x" * length
            )
            answers.add(same_document(data))
    assert answers == {True, False}


def test_keys_out_of_order_are_read_and_keys_twice_are_not() -> None:
    assert same_document(document({"bb": 1, "a": 2}))
    for large in (False, True):
        good = document({"b": 1, "a": 2, "c": 3}, large)
        assert same_document(good)
        assert not same_document(good.replace(b"bac", b"bab"))
        assert not same_document(good.replace(b"bac", b"aac"))


# Diffs.


def diff(operation: int, path: str, value: bytes | None = None) -> bytes:
    head = bytes([operation]) + lenenc(path.encode())
    return head if value is None else head + lenenc(value)


def lenenc(data: bytes) -> bytes:
    length = len(data)
    return (
        bytes([length])
        if length < 251
        else b"\xfc" + struct.pack("<H", length)
        if length < 65536
        else b"\xfd" + length.to_bytes(3, "little")
    ) + data


def same_update(data: bytes, diffs: bytes) -> bool:
    wanted: bytes | None
    try:
        wanted = orjson.dumps(updated_text(data, diffs))
    except (Corrupt, ValueError):  # as rows.py has it
        wanted = None
    try:
        found = kernel.updated_json(data, diffs)
    except ValueError:
        found = None
    assert found == wanted, f"{data.hex()} {diffs.hex()}"
    return wanted is not None


LEGS = (
    st.sampled_from(
        [
            ".a",
            ".b",
            ".bb",
            '."c d"',
            '."\\u00e9"',
            '."\\ud83d\\ude00"',
            '."\\ud800"',
            '."\\n"',
            ".\x1c",
            ".\xa0",
            ".\t",
            '."\\x"',
            "[ 1 ]",
            "[last]",
            "[last-1]",
            "[last - 2]",
            "[last-9]",
            "[last-]",
            "[99999999999]",
            "[\u20030]",
        ]
    )
    | st.integers(0, 4).map(lambda place: f"[{place}]")
    | st.sampled_from([".a", ".b", ".bb", "[last]", "[last-1]", "[last-3]"])
)
PATHS = st.lists(LEGS, max_size=3).map(lambda legs: "$" + "".join(legs)) | st.text('$.[]" \\u0aé', max_size=6)
PLAIN_KEYS = st.sampled_from(["a", "b", "bb", "c d", "é", "😀", "\n"])
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_KEYS, inner, max_size=4).map(server_order), max_leaves=20
) | st.dictionaries(PLAIN_KEYS, SCALARS, max_size=4)
DIFFS = st.builds(
    lambda operation, path, value, large: diff(operation, path, None if operation == 2 else document(value, large)),
    st.integers(0, 2),
    PATHS,
    TREES,
    st.booleans(),
)


@given(TREES, st.lists(DIFFS, max_size=3), st.booleans(), st.integers(0, 12).map(lambda cut: cut if cut < 3 else 0))
def test_documents_after_diffs_are_alike(value: Json, diffs: list[bytes], large: bool, cut: int) -> None:
    data = b"".join(diffs)
    same_update(document(value, large), data[: len(data) - cut])


def test_chosen_diffs_are_alike() -> None:
    tree = document({"a": [1, {"b": None}], "c d": "x", "zz": 5})
    seven, text = document(7), document('say "hi"\n')
    good = [
        diff(0, "$", seven),
        diff(0, "$.a[0]", text),
        diff(1, "$.a[0]", text),
        diff(1, "$.a[9]", document({"k": [1]})),
        diff(1, "$.a[1].a", seven) + diff(1, "$.a[1].c", seven),
        diff(1, "$.b", seven) + diff(1, "$.aaa", seven) + diff(2, "$.zz"),
        diff(0, '$."c d"', b""),
        diff(1, '$."q\\"uo\\u00e9\\ud83d\\ude00"', text),
        diff(2, "$.a[0]") + diff(2, "$.a[0]") + diff(2, "$.a"),
        diff(0, "$.a", document(list(range(300)))) + diff(2, "$.a[299]"),
    ]
    bad = [
        diff(2, "$"), diff(1, "$", seven), diff(3, "$.a", seven), diff(0, "$.b", seven), diff(1, "$.a", seven), diff(2, "$.a[2]"),
        diff(0, "$[0]", seven), diff(0, "$.a.b", seven), diff(0, "$.zz.b", seven), diff(1, '$."\\ud800"', seven), diff(0, "a", seven),
        b"\0\xff", b"\0\xfb", b"\0\xfe\xff", b"\0\x02$",
        b"\0\x01\xff\x00", diff(0, "$.a", b"\x63"), diff(0, "$.a"),
    ]  # fmt: skip
    good += [diff(1, "$.a[\t1\r ]", seven), diff(0, "$.a[0000000001]", seven), diff(1, "$.\x7f", seven)]
    # A key that MySQL writes bare ends at ASCII's white space alone.
    good += [diff(1, f"$.{key}", seven) for key in ("\xa0", "\x85", "\u1680", "q\xa0r", "\u3000", "q\x1c")]
    bad += [diff(1, f"$.q{space}", seven) for space in "\t\n\x0b\x0c\r "]
    bad += [diff(1, "$.a[\x1c1]", seven), diff(1, "$.a[1\u3000]", seven), diff(0, "$.a[00000000001]", seven)]
    # Counted from the end, of the array as it is when its turn comes: before the first, an insertion is at the first.
    good += [
        diff(operation, f"$.a[{place}]", seven) for operation in (0, 1) for place in ("last", "last-1", " last\t- 1 ", "last-0000000001")
    ]
    good += [diff(1, f"$.a[{place}]", seven) for place in ("last-2", "last-9", "last-9999999999")]
    good += [diff(2, "$.a[last]") * 2 + diff(1, "$.a[last]", seven) + diff(0, "$.a[last]", text), diff(0, "$.a[last].b", seven)]
    good += [diff(0, "$.a[last-1]", document([1, [2]])) + diff(2, "$.a[last-1][last][last]")]
    bad += [diff(0, f"$.a[{place}]", seven) for place in ("last-2", "last-9999999999", "last-00000000001")]
    bad += [
        diff(0, f"$.a[{place}]", seven) for place in ("last-", "last 1", "last+1", "lost", "las", "-1", "1-last", "last to last", "la st")
    ]
    bad += [diff(2, "$.a[last-2]"), diff(2, "$.a[last]") * 3, diff(0, "$.a[last-2].b", seven), diff(0, "$[last]", seven)]
    bad += [diff(1, "$[last]", seven), diff(1, "$.zz[last]", seven), diff(2, "$.zz[last]")]
    for data in good:
        assert same_update(tree, data)
        same_update(tree, data[:-1])
    for data in bad:
        assert not same_update(tree, data)
    assert document_text(tree) == '{"a": [1, {"b": null}], "c d": "x", "zz": 5}'
