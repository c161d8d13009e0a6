"""The canonical text of a value: what MySQL and the warehouse must agree on, whatever either driver returns.

One form a kind: integers and BIT as decimal digits, DECIMAL with every digit of its scale, FLOAT and DOUBLE as the bits they are, temporal
values as ISO text in UTC with six digits, TIME as microseconds, bytes and GEOMETRY (MySQL's SRID + WKB) as hex, VECTOR as the bits of its
numbers, text as it is. A date that is zero, partial or in no calendar is None: the warehouse has no such day, and the envelope keeps
MySQL's text beside it.
"""

import base64
import re
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from contracts.table import Column, Kind

Canonical = str | None

_TIME = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_INTEGERS = {Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT, Kind.YEAR, Kind.BIT}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BYTES = {Kind.BINARY, Kind.VARBINARY, Kind.BLOB, Kind.GEOMETRY}


def mysql_expression(column: Column, quoted: str) -> str:
    """The SELECT expression that brings a column's value over as text or number without loss, for a session in UTC."""
    match column.kind:
        case Kind.BIT | Kind.YEAR:
            return f"{quoted}+0"
        case Kind.FLOAT | Kind.DOUBLE:
            return f"CAST({quoted} AS DOUBLE)"  # a plain SELECT rounds a FLOAT to six digits, and a DOUBLE(10,2) to two behind the point
        case Kind.BINARY | Kind.VARBINARY | Kind.BLOB | Kind.GEOMETRY | Kind.VECTOR:
            return f"HEX({quoted})"
        case Kind.DATE | Kind.DATETIME | Kind.TIMESTAMP | Kind.TIME | Kind.JSON | Kind.DECIMAL:
            return f"CAST({quoted} AS CHAR)"
        case _:
            return quoted


def warehouse_expression(column: Column, quoted: str) -> str:
    """The SELECT expression that brings the warehouse's value over. The driver takes a VARBYTE for text, so bytes come as hex."""
    return f"TO_HEX({quoted})" if column.kind in _BYTES else quoted


def from_mysql(column: Column) -> Callable[[Any], Canonical]:
    """Canonical text of what `mysql_expression` returned."""
    kind = column.kind
    if kind in _INTEGERS:
        return lambda value: None if value is None else str(int(value))
    if kind in _BYTES:
        return lambda value: None if value is None else str(value).lower()
    if kind is Kind.VECTOR:
        return lambda value: None if value is None else str(value).lower()
    if kind in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP):
        return _temporal_text
    return _shared(column)


def from_warehouse(column: Column) -> Callable[[Any], Canonical]:
    """Canonical text of what `warehouse_expression` returned for the column the loader made of this one."""
    kind = column.kind
    if kind in _INTEGERS:
        return lambda value: None if value is None else str(int(value))
    if kind in _BYTES:
        return lambda value: None if value is None else str(value).lower()
    if kind is Kind.VECTOR:
        return lambda value: None if value is None else b"".join(struct.pack("<f", x) for x in orjson.loads(value)).hex()
    if kind is Kind.TIME:
        return lambda value: None if value is None else str(int(value))
    if kind in (Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP):
        return _temporal_value
    return _shared(column)


def from_envelope(column: Column) -> Callable[[Any], Canonical]:
    """Canonical text of what `contracts.envelope` carries of a column that may be in a key. The function raises ValueError, TypeError or
    OverflowError for what is not of the type's form."""
    read = _enveloped(column)
    return lambda value: None if value is None else read(value)


def _enveloped(column: Column) -> Callable[[Any], Canonical]:
    kind = column.kind
    if kind is Kind.BIT and column.length > 1:
        return lambda value: str(int.from_bytes(base64.b64decode(value, validate=True), "little"))
    if kind in _INTEGERS:
        return lambda value: str(int(value))
    if kind in _BYTES:
        return lambda value: base64.b64decode(value, validate=True).hex()
    if kind is Kind.DATE:
        return lambda value: (_EPOCH + timedelta(days=value)).date().isoformat()
    if kind is Kind.DATETIME:
        unit = timedelta(milliseconds=1) if column.fraction <= 3 else timedelta(microseconds=1)
        return lambda value: _temporal_value(_EPOCH + value * unit)
    if kind is Kind.TIMESTAMP:
        return lambda value: _temporal_value(datetime.fromisoformat(value))
    if kind is Kind.TIME:
        return lambda value: str(int(value))
    return _shared(column)


def _shared(column: Column) -> Callable[[Any], Canonical]:
    match column.kind:
        case Kind.DECIMAL:
            return lambda value: None if value is None else _decimal(value, column.scale)
        case Kind.FLOAT:
            return lambda value: None if value is None else struct.pack(">f", float(value)).hex()
        case Kind.DOUBLE:
            return lambda value: None if value is None else struct.pack(">d", float(value)).hex()
        case Kind.TIME:
            return lambda value: None if value is None else str(_time_us(str(value)))
        case _:
            return lambda value: None if value is None else str(value)


def _decimal(value: Any, scale: int) -> str:
    number = Decimal(str(value))
    return f"{number:.{scale}f}" if number else f"{abs(number):.{scale}f}"  # no negative zero


def _time_us(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a TIME: {text!r}")
    sign, hours, minutes, seconds, fraction = match.groups()
    total = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000 + int((fraction or "").ljust(6, "0"))
    return -total if sign else total


def _temporal_text(value: Any) -> Canonical:
    if value is None:
        return None
    day, _, time = str(value).partition(" ")
    try:
        date.fromisoformat(day)
    except ValueError:
        return None
    if not time:
        return day
    whole, _, fraction = time.partition(".")
    return f"{day} {whole}.{fraction.ljust(6, '0')}"


def _temporal_value(value: Any) -> Canonical:
    if value is None:
        return None
    if isinstance(value, datetime):
        return f"{value.replace(tzinfo=None).isoformat(' ', 'microseconds')}"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
