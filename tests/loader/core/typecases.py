"""Every MySQL type: its column in Redshift, and values as the envelope carries them beside what the warehouse must hold."""

import struct
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from contracts.envelope import Value
from contracts.table import Column, Kind


@dataclass(frozen=True, slots=True)
class TypeCase:
    """`held`: JSON value → the value in the warehouse, and of course NULL → NULL."""

    column: Column
    sql: str
    held: tuple[tuple[Value, object], ...]

    @property
    def values(self) -> list[Value]:
        return [None, *(sent for sent, _ in self.held)]

    @property
    def expected(self) -> list[object]:
        return [None, *(held for _, held in self.held)]

    def __str__(self) -> str:
        c = self.column
        size = f"({c.precision},{c.scale})" if c.precision else f"({c.length or c.fraction})" if c.length or c.fraction else ""
        return f"{c.kind.value}{size}{' unsigned' if c.unsigned else ''}{f' {c.charset}' if c.charset else ''}"


def case(kind: Kind, sql: str, held: Mapping[Value, object] | list[tuple[Value, object]], **column: object) -> TypeCase:
    pairs = tuple(held) if isinstance(held, list) else tuple(held.items())
    return TypeCase(Column("c", kind, **column), sql, pairs)  # type: ignore[arg-type]  # the fields of Column, by name


def same(*values: Value) -> list[tuple[Value, object]]:
    return [(value, value) for value in values]


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def at(text: str) -> datetime:
    """A moment without a zone, as DATETIME is."""
    return datetime.fromisoformat(text)


def single(value: float) -> float:
    """The number a FLOAT really holds."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


POINT = bytes.fromhex("0101000000000000000000f03f0000000000000040")
U64 = 2**64 - 1

CASES = [
    case(Kind.TINYINT, "SMALLINT", same(-128, 127)),
    case(Kind.TINYINT, "SMALLINT", same(0, 255), unsigned=True),
    case(Kind.SMALLINT, "SMALLINT", same(-32768, 32767)),
    case(Kind.SMALLINT, "INTEGER", same(65535), unsigned=True),
    case(Kind.MEDIUMINT, "INTEGER", same(-8388608, 8388607)),
    case(Kind.MEDIUMINT, "INTEGER", same(16777215), unsigned=True),
    case(Kind.INT, "INTEGER", same(-(2**31), 2**31 - 1)),
    case(Kind.INT, "BIGINT", same(2**32 - 1), unsigned=True),
    case(Kind.BIGINT, "BIGINT", same(-(2**63), 2**63 - 1)),
    case(Kind.BIGINT, "DECIMAL(20,0)", {str(U64): Decimal(U64), "0": Decimal(0)}, unsigned=True),
    case(Kind.DECIMAL, "DECIMAL(5,2)", {"-999.99": Decimal("-999.99"), "0.10": Decimal("0.10")}, precision=5, scale=2),
    case(Kind.DECIMAL, "DECIMAL(10,0)", {"9999999999": Decimal(9999999999)}, precision=10),
    case(Kind.DECIMAL, "DECIMAL(18,18)", {"0.000000000000000001": Decimal("1e-18")}, precision=18, scale=18),
    case(Kind.DECIMAL, "DECIMAL(38,30)", {"-12345678." + "9" * 30: Decimal("-12345678." + "9" * 30)}, precision=38, scale=30),
    case(Kind.DECIMAL, "VARCHAR(67)", same("-" + "9" * 35 + "." + "9" * 30), precision=65, scale=30),
    case(Kind.FLOAT, "REAL", {1.1: single(1.1), -3.4028235e38: single(-3.4028235e38), 1e-45: single(1e-45), 16777216: 16777216.0}),
    case(Kind.DOUBLE, "DOUBLE PRECISION", {0.1: 0.1, -1.7976931348623157e308: -1.7976931348623157e308, 2**60 + 1: float(2**60)}),
    case(Kind.BIT, "BOOLEAN", same(True, False), length=1),
    case(Kind.BIT, "BIGINT", {b64(b"\x01\x02"): 513, b64(b"\x00\x00"): 0}, length=10),
    case(Kind.BIT, "BIGINT", {b64(b"\xff" * 7 + b"\x7f"): 2**63 - 1}, length=63),
    case(Kind.BIT, "DECIMAL(20,0)", {b64(b"\xff" * 8): Decimal(U64)}, length=64),
    case(Kind.YEAR, "SMALLINT", same(0, 1901, 2155)),
    case(Kind.DATE, "DATE", {0: date(1970, 1, 1), -354285: date(1000, 1, 1), 2932896: date(9999, 12, 31)}),
    case(Kind.TIME, "BIGINT", same(-(838 * 3600 + 59 * 60 + 59) * 10**6, 1), fraction=6),
    case(Kind.DATETIME, "TIMESTAMP", {0: at("1970-01-01"), 1_700_000_000_123: at("2023-11-14 22:13:20.123")}, fraction=3),
    case(Kind.DATETIME, "TIMESTAMP", {-30610224000000: at("1000-01-01")}),
    case(Kind.DATETIME, "TIMESTAMP", {253402300799999999: at("9999-12-31 23:59:59.999999")}, fraction=6),
    case(
        Kind.TIMESTAMP,
        "TIMESTAMPTZ",
        {
            "1970-01-01T00:00:01Z": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC),
            "2038-01-19T03:14:07.999999Z": datetime(2038, 1, 19, 3, 14, 7, 999999, tzinfo=UTC),
            "2024-02-29T12:00:00.5Z": datetime(2024, 2, 29, 12, 0, 0, 500000, tzinfo=UTC),
        },
        fraction=6,
    ),
    case(Kind.CHAR, "VARCHAR(40)", same("", "a ", "😀" * 10), length=10, charset="utf8mb4"),
    case(Kind.CHAR, "VARCHAR(1)", same(""), length=0, charset="utf8mb4"),
    case(Kind.VARCHAR, "VARCHAR(400)", same("é" * 100, "'quoted\"\\"), length=100, charset="latin1"),
    case(Kind.VARCHAR, "VARCHAR(65535)", same("x" * 16383), length=16384, charset="utf8mb4"),
    case(Kind.TEXT, "VARCHAR(255)", same("x" * 255), length=255, charset="utf8mb4"),
    case(Kind.TEXT, "VARCHAR(765)", same("€" * 255), length=255, charset="latin1"),
    case(Kind.TEXT, "VARCHAR(65535)", same("x" * 65535), length=65535, charset="utf8mb4"),
    case(Kind.TEXT, "VARCHAR(65535)", same("x"), length=2**32 - 1, charset="utf8mb4"),
    case(Kind.ENUM, "VARCHAR(256)", same("", "a,b"), charset="utf8mb4", labels=("a,b", "c")),
    case(Kind.ENUM, "VARCHAR(400)", same("e" * 100), charset="utf8mb4", labels=("e" * 100,)),
    case(Kind.SET, "VARCHAR(810)", same("s" * 101 + "," + "t" * 101), charset="utf8mb4", labels=("s" * 101, "t" * 101)),
    case(Kind.JSON, "VARCHAR(65535)", same('{"a": [1, 1.10, null]}', "null")),
    case(
        Kind.VECTOR,
        "VARCHAR(61)",
        [
            ([1.5, -0.25, 3.4028235e38], "[1.5,-0.25,3.4028235e+38]"),
            ([-1056666040000000.0] * 3, f"[{','.join(['-1056666040000000.0'] * 3)}]"),
        ],
        length=3,
    ),
    case(Kind.BINARY, "VARBYTE(4)", {b64(b"\x00\xff\x00\x00"): b"\x00\xff\x00\x00"}, length=4),
    case(Kind.VARBINARY, "VARBYTE(100)", {"": b"", b64(b"'\\\x00"): b"'\\\x00"}, length=100),
    case(Kind.BLOB, "VARBYTE(65535)", {b64(bytes(range(256))): bytes(range(256))}, length=65535),
    case(Kind.BLOB, "VARBYTE(16777216)", {b64(b"x"): b"x"}, length=2**32 - 1),
    case(
        Kind.GEOMETRY,
        "VARBYTE(16777216)",
        [
            ({"srid": 4326, "wkb": b64(POINT)}, b"\xe6\x10\x00\x00" + POINT),
            ({"srid": None, "wkb": b64(POINT)}, b"\x00\x00\x00\x00" + POINT),
        ],
    ),
]
