"""Storage types: the type code and metadata of a column in a table map, and what the user declared by them.

Source: MySQL 9.7, include/field_types.h, and Field::save_field_metadata of each type in sql/field.cc.
"""

from dataclasses import dataclass
from typing import TypedDict

from contracts.errors import Corrupt
from contracts.table import Column, Kind
from streamer.core.cursor import Cursor

TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24 = 1, 2, 3, 4, 5, 8, 9
DATE, YEAR, VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = 10, 13, 15, 16, 17, 18, 19
VECTOR, JSON, DECIMAL, ENUM, SET = 242, 245, 246, 247, 248
TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, VAR_STRING, STRING, GEOMETRY = 249, 250, 251, 252, 253, 254, 255
_OLD_TEMPORAL = {7: "TIMESTAMP", 11: "TIME", 12: "DATETIME"}

BLOB_TYPES = frozenset({TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB})
NUMERIC_TYPES = frozenset({TINY, SHORT, INT24, LONG, LONGLONG, DECIMAL, FLOAT, DOUBLE, YEAR})
CHARACTER_TYPES = frozenset({STRING, VAR_STRING, VARCHAR, *BLOB_TYPES, VECTOR})  # those counted by the collations of a table map
LABEL_TYPES = frozenset({ENUM, SET})

_NO_META = frozenset({TINY, SHORT, LONG, LONGLONG, INT24, DATE, YEAR})
_ONE_BYTE = frozenset({FLOAT, DOUBLE, *BLOB_TYPES, JSON, GEOMETRY, VECTOR, TIMESTAMP2, DATETIME2, TIME2})
_INTEGERS = {TINY: Kind.TINYINT, SHORT: Kind.SMALLINT, INT24: Kind.MEDIUMINT, LONG: Kind.INT, LONGLONG: Kind.BIGINT}
_PLAIN = {FLOAT: Kind.FLOAT, DOUBLE: Kind.DOUBLE, YEAR: Kind.YEAR, DATE: Kind.DATE, JSON: Kind.JSON, GEOMETRY: Kind.GEOMETRY}
_TEMPORAL = {TIMESTAMP2: Kind.TIMESTAMP, DATETIME2: Kind.DATETIME, TIME2: Kind.TIME}
_FLOAT_SIZES = {FLOAT: 4, DOUBLE: 8}

_CHARACTER_BYTES = {
    **dict.fromkeys(("utf8mb4", "utf16", "utf16le", "utf32", "gb18030"), 4),
    **dict.fromkeys(("utf8mb3", "ujis", "eucjpms"), 3),
    **dict.fromkeys(("ucs2", "big5", "cp932", "sjis", "gbk", "gb2312", "euckr"), 2),
}  # the most a character takes; 1 elsewhere


@dataclass(frozen=True, slots=True)
class Storage:
    """`type`: the real one, ENUM and SET not hidden in STRING. `size`: by type, bytes of the value (ENUM, SET, DECIMAL, BIT, FLOAT), bytes
    of its length prefix (BLOB, JSON, GEOMETRY, VECTOR), the most bytes it may have (STRING, VARCHAR), digits of the fraction (temporal).
    `precision`: of DECIMAL, bits of BIT. `scale`: of DECIMAL."""

    type: int
    size: int = 0
    precision: int = 0
    scale: int = 0


class Shape(TypedDict, total=False):
    """The fields of contracts.table.Column that depend on the storage alone."""

    length: int
    precision: int
    scale: int
    fraction: int


def read_storage(types: bytes, metadata: bytes) -> tuple[Storage, ...]:
    """Type codes and the metadata block of a table map. Raises Corrupt."""
    c = Cursor(metadata, "table map, column metadata")
    storages = tuple(_read_one(code, c) for code in types)
    if c:
        raise Corrupt(f"{c.what}: {c.left} bytes are left over")
    return storages


def _read_one(code: int, c: Cursor) -> Storage:
    if code in _NO_META:
        return Storage(code)
    if code in _ONE_BYTE:
        return _checked(Storage(code, c.u8()))
    if code in (VARCHAR, VAR_STRING):
        return Storage(code, c.u16())
    if code in (STRING, ENUM, SET):
        first, second = c.u8(), c.u8()
        if first in (ENUM, SET):
            return _checked(Storage(first, second))
        if code != STRING:
            raise Corrupt(f"{c.what}: type {code} whose metadata says {first}")
        # The upper two bits of a CHAR's length hide, inverted, in bits 4 and 5 of its type.
        return Storage(STRING, second | ((first & 0x30) ^ 0x30) << 4)
    if code == DECIMAL:
        precision, scale = c.u8(), c.u8()
        if not (1 <= precision <= 65 and scale <= min(30, precision)):
            raise Corrupt(f"{c.what}: DECIMAL({precision},{scale})")
        return Storage(DECIMAL, decimal_size(precision, scale), precision, scale)
    if code == BIT:
        bits, whole = c.u8(), c.u8()
        width = whole * 8 + bits
        if not 1 <= width <= 64:
            raise Corrupt(f"{c.what}: BIT({width})")
        return Storage(BIT, (width + 7) // 8, width)
    if code in _OLD_TEMPORAL:
        raise Corrupt(f"{c.what}: a {_OLD_TEMPORAL[code]} column in the form before MySQL 5.6; rebuild the table: ALTER TABLE ... FORCE")
    raise Corrupt(f"{c.what}: unknown column type {code}; this release must learn it first")


def _checked(storage: Storage) -> Storage:
    size = storage.size
    if storage.type in _TEMPORAL:
        good = size <= 6
    elif storage.type in _FLOAT_SIZES:
        good = size == _FLOAT_SIZES[storage.type]
    elif storage.type == ENUM:
        good = size in (1, 2)
    elif storage.type == SET:
        good = size in (1, 2, 3, 4, 8)
    else:
        good = 1 <= size <= 4
    if not good:
        raise Corrupt(f"table map, column metadata: {size} for a column of type {storage.type}")
    return storage


_PARTIAL_GROUP = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)  # bytes of a group of fewer than nine digits


def decimal_size(precision: int, scale: int) -> int:
    """Bytes of a packed decimal: nine digits in four bytes, what remains on either side of the point in as few as hold it."""
    whole = precision - scale
    return whole // 9 * 4 + _PARTIAL_GROUP[whole % 9] + scale // 9 * 4 + _PARTIAL_GROUP[scale % 9]


def describe(storage: Storage, charset: str | None, unsigned: bool, dimensions: int) -> tuple[Kind, Shape]:
    """What the user declared. `charset`: of a text column, "binary" for bytes."""
    code, size = storage.type, storage.size
    binary = charset == "binary"
    if code in _INTEGERS:
        return _INTEGERS[code], {}
    if code in _PLAIN:
        return _PLAIN[code], {}
    if code in _TEMPORAL:
        return _TEMPORAL[code], {"fraction": size}
    if code == DECIMAL:
        return Kind.DECIMAL, {"precision": storage.precision, "scale": storage.scale}
    if code == BIT:
        return Kind.BIT, {"length": storage.precision}
    if code == VECTOR:
        return Kind.VECTOR, {"length": dimensions}
    if code in BLOB_TYPES:
        return Kind.BLOB if binary else Kind.TEXT, {"length": (1 << 8 * size) - 1}
    if code in LABEL_TYPES:
        return Kind.ENUM if code == ENUM else Kind.SET, {}
    if code == STRING:
        kind = Kind.BINARY if binary else Kind.CHAR
    else:
        kind = Kind.VARBINARY if binary else Kind.VARCHAR
    return kind, {"length": size if binary else size // _CHARACTER_BYTES.get(charset or "", 1)}


_TYPES = {
    **{kind: code for code, kind in (_INTEGERS | _PLAIN | _TEMPORAL).items()},
    Kind.DECIMAL: DECIMAL,
    Kind.BIT: BIT,
    Kind.VECTOR: VECTOR,
    Kind.ENUM: ENUM,
    Kind.SET: SET,
    Kind.CHAR: STRING,
    Kind.BINARY: STRING,
    Kind.VARCHAR: VARCHAR,
    Kind.VARBINARY: VARCHAR,
    Kind.TEXT: BLOB,
    Kind.BLOB: BLOB,
}


def storage_of(column: Column) -> Storage:
    """How a column as the user declared it is stored: the reverse of `describe`, as far as values depend on it."""
    code = _TYPES[column.kind]
    if code in _FLOAT_SIZES:
        return Storage(code, _FLOAT_SIZES[code])
    if code in _TEMPORAL:
        return Storage(code, column.fraction)
    if code == DECIMAL:
        return Storage(code, decimal_size(column.precision, column.scale), column.precision, column.scale)
    if code == BIT:
        return Storage(code, (column.length + 7) // 8, column.length)
    if code == ENUM:
        return Storage(code, 1 if len(column.labels) < 256 else 2)
    if code == SET:
        size = (len(column.labels) + 7) // 8
        return Storage(code, size if size < 5 else 8)
    if code == BLOB:
        return Storage(code, column.length.bit_length() // 8)
    if code in (JSON, GEOMETRY, VECTOR):
        return Storage(code, 4)
    return Storage(code, column.length * _CHARACTER_BYTES.get(column.charset or "", 1))
