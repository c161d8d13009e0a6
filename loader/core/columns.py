"""Columns as envelopes carry them, read into Arrow: the JSON form of each MySQL type, and the Arrow type that holds it without loss.

Whole columns are converted at once. Only when that fails is the column halved until the values at fault stand alone.
Source: Debezium documentation, "MySQL connector: Data type mappings", with `decimal.handling.mode=string`.
"""

import struct
from binascii import a2b_base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from contracts.envelope import Value
from contracts.table import Column, Kind
from loader.core.column_type import PRECISION_MAX

Faults = dict[int, str]
"""What is wrong with which value of a column, by its index. The value itself is NULL in the array beside it."""

CONVERSION_ERRORS = (pa.ArrowException, ValueError, TypeError, OverflowError, KeyError, struct.error)

MILLISECONDS_DIGITS = 3  # a DATETIME with more of a fraction travels as microseconds


@dataclass(frozen=True, slots=True)
class WireForm:
    """How one column's values look in an envelope. `says`: the form in words; `python`: the types JSON values of that form have;
    `read` converts values of these types, or None, and raises on one that isn't of the form."""

    says: str
    python: frozenset[type]
    arrow: pa.DataType
    read: Callable[[Sequence[Any]], pa.Array]


def read_column(column: Column, values: Sequence[Value]) -> tuple[pa.Array, Faults]:
    """The values of one column as an Arrow array of its own type; a value not of its form is NULL, and its fault says so."""
    form = wire_form(column)
    faults: Faults = {}

    def read(start: int, stop: int) -> pa.Array:
        part = values if (start, stop) == (0, len(values)) else values[start:stop]
        try:
            # Arrow would make 1 of 1.5 and 1.0 of true.
            if not set(map(type, part)) <= form.python:
                raise TypeError
            return form.read(part)
        except CONVERSION_ERRORS:
            if stop - start == 1:
                faults[start] = f"not {form.says}"
                return pa.nulls(1, form.arrow)
            middle = (start + stop) // 2
            return pa.concat_arrays([read(start, middle), read(middle, stop)])

    return read(0, len(values)), faults


def wire_form(column: Column) -> WireForm:
    match column.kind:
        case Kind.BIGINT if column.unsigned:
            return _decimal("a whole number from 0 as text, of at most 20 digits", 20, 0)
        case Kind.DECIMAL if column.precision <= PRECISION_MAX:
            return _decimal(f"a number as text that fits DECIMAL({column.precision},{column.scale})", column.precision, column.scale)
        case Kind.BIT:
            return _bit(column.length)
        case Kind.DATETIME:
            return _DATETIME_MS if column.fraction <= MILLISECONDS_DIGITS else _DATETIME_US
        case _:
            return _FORMS[column.kind]


def _form(says: str, arrow: pa.DataType, python: Sequence[type], read: Callable[[Sequence[Any]], pa.Array] | None = None) -> WireForm:
    return WireForm(says, frozenset([*python, type(None)]), arrow, read or (lambda values: pa.array(values, arrow)))


def _decimal(says: str, precision: int, scale: int) -> WireForm:
    arrow = pa.decimal128(precision, scale)
    return _form(says, arrow, [str], lambda values: pa.array(values, pa.string()).cast(arrow))


def _bit(bits: int) -> WireForm:
    if bits == 1:
        return _form("true or false", pa.bool_(), [bool])
    arrow = pa.decimal128(20, 0) if bits == 64 else pa.int64()

    def read(values: Sequence[Any]) -> pa.Array:
        # Least significant byte first.
        return pa.array([None if v is None else int.from_bytes(a2b_base64(v, strict_mode=True), "little") for v in values], arrow)

    return _form(f"{bits} bits in base64", arrow, [str], read)


def _read_double(values: Sequence[Any]) -> pa.Array:
    # JSON may spell a whole double as an integer, and Arrow takes none over 2^53.
    return pa.array([None if v is None else float(v) for v in values] if int in map(type, values) else values, pa.float64())


def _read_timestamp(values: Sequence[Any]) -> pa.Array:
    return pa.array(values, pa.string()).cast(pa.timestamp("us", tz="UTC"))


def _read_milliseconds(values: Sequence[Any]) -> pa.Array:
    return pc.multiply_checked(pa.array(values, pa.int64()), 1000).cast(pa.timestamp("us"))


def _read_microseconds(values: Sequence[Any]) -> pa.Array:
    return pa.array(values, pa.int64()).cast(pa.timestamp("us"))


def _read_base64(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if v is None else a2b_base64(v, strict_mode=True) for v in values], pa.binary())


def _read_geometry(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if v is None else _geometry(v) for v in values], pa.binary())


def _geometry(value: dict[str, Any]) -> bytes:
    """What MySQL itself stores: the SRID in four bytes, least significant first, then WKB."""
    return struct.pack("<I", value["srid"] or 0) + a2b_base64(value["wkb"], strict_mode=True)


def _read_vector(values: Sequence[Any]) -> pa.Array:
    return pa.array([None if v is None else _vector(v) for v in values], pa.string())


def _vector(value: list[Any]) -> str:
    if not set(map(type, value)) <= {float, int}:
        raise TypeError
    return orjson.dumps(value).decode()


_INTEGER = _form("a whole number of at most 64 bits", pa.int64(), [int])
_TEXT = _form("text", pa.string(), [str])
_BYTES = _form("bytes in base64", pa.binary(), [str], _read_base64)
_DOUBLE = _form("a number", pa.float64(), [float, int], _read_double)
_DATETIME_MS = _form("milliseconds since 1970", pa.timestamp("us"), [int], _read_milliseconds)
_DATETIME_US = _form("microseconds since 1970", pa.timestamp("us"), [int], _read_microseconds)
_FORMS = {
    **dict.fromkeys([Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT, Kind.YEAR, Kind.TIME], _INTEGER),
    **dict.fromkeys([Kind.CHAR, Kind.VARCHAR, Kind.TEXT, Kind.ENUM, Kind.SET, Kind.JSON, Kind.DECIMAL], _TEXT),
    **dict.fromkeys([Kind.BINARY, Kind.VARBINARY, Kind.BLOB], _BYTES),
    **dict.fromkeys([Kind.FLOAT, Kind.DOUBLE], _DOUBLE),
    Kind.DATE: _form("days since 1970", pa.date32(), [int], lambda values: pa.array(values, pa.int32()).cast(pa.date32())),
    Kind.TIMESTAMP: _form("an ISO 8601 time with zone", pa.timestamp("us", tz="UTC"), [str], _read_timestamp),
    Kind.GEOMETRY: _form("an SRID and WKB in base64", pa.binary(), [dict], _read_geometry),
    Kind.VECTOR: _form("a list of numbers", pa.string(), [list], _read_vector),
}
