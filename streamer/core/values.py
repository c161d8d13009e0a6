"""Column values: bytes of a row image → what the envelope carries.

Promise: Debezium's MySQL connector with decimal.handling.mode=string, unsigned BIGINT as a string and default time modes:
integers are numbers, DECIMAL a string with all digits of its scale, FLOAT the double whose shortest text is the float's own,
BIT(1) a bool and wider BIT its bytes, least first, in base64, YEAR a number, DATE days, DATETIME(0-3) milliseconds and (4-6)
microseconds since the epoch, TIMESTAMP an ISO-8601 string with `Z` and exactly as many digits of the fraction as the column declares,
TIME microseconds, text a string, bytes base64, ENUM its label, SET its labels in definition order, JSON MySQL's own text,
GEOMETRY {"wkb": base64, "srid": number or null for 0}, VECTOR a list of such doubles.

What JSON cannot carry without a lie is a `Raw`: a date with a part that is zero or that no calendar has, in MySQL's spelling; text
that is not of its column's character set, as 0x and hex digits; a FLOAT, DOUBLE or VECTOR that is not finite.

Source: MySQL 9.7, sql/field.cc (pack and unpack of each type), libs/mysql/strings and mysys/my_time.cc (packed temporal forms).
"""

import math
import struct
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from contracts.envelope import Value
from streamer.core.charsets import decoder
from streamer.core.jsonb import document_text
from streamer.core.numbers import decimal_text, shortest_float32
from streamer.core.schemas import StoredColumn
from streamer.core.storage import (
    BIT,
    BLOB_TYPES,
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
    VECTOR,
    YEAR,
    Storage,
)


@dataclass(frozen=True, slots=True)
class Raw:
    """A value the wire form has no place for, as text. The row carries null, and this beside it."""

    text: str


# Takes the image and where the value begins; returns it and where it ends. May read past the end of the image without noticing: whoever
# decodes a row checks, once, that it did not. Raises struct.error, IndexError or ValueError on nonsense.
Decode = Callable[[bytes, int], tuple[Value | Raw, int]]

_EPOCH = date(1970, 1, 1).toordinal()
_FRACTION_BYTES = (0, 1, 1, 2, 2, 3, 3)
_FRACTION_UNIT_US = (0, 10_000, 10_000, 100, 100, 1, 1)


def compile_decoder(stored: StoredColumn) -> Decode:
    """The decoder of one column. Raises ValueError for a storage type it does not know, a bug: schemas let none through."""
    storage, column = stored.storage, stored.column
    code = storage.type
    if code in _INTEGERS:
        return _integer(code, column.unsigned)
    if code == BIT:
        return _bit(storage)
    if code == STRING and column.charset is None:
        return _fixed_bytes(storage.size)
    if code == ENUM:
        return _enum(storage.size, column.labels)
    if code == SET:
        return _set(storage.size, column.labels)
    if code in _BY_STORAGE:
        return _BY_STORAGE[code](storage)
    prefix = storage.size if code in BLOB_TYPES else 1 if storage.size < 256 else 2
    return _bytes(prefix) if column.charset is None else _text(prefix, column.charset)


_INTEGERS = {TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8}


def _integer(code: int, unsigned: bool) -> Decode:
    width = _INTEGERS[code]
    if code == LONGLONG and unsigned:
        return lambda data, at: (str(int.from_bytes(data[at : at + 8], "little")), at + 8)

    def decode(data: bytes, at: int) -> tuple[Value, int]:
        end = at + width
        return int.from_bytes(data[at:end], "little", signed=not unsigned), end

    return decode


def _decimal(storage: Storage) -> Decode:
    size, precision, scale = storage.size, storage.precision, storage.scale

    def decode(data: bytes, at: int) -> tuple[Value, int]:
        end = at + size
        return decimal_text(data[at:end], precision, scale), end

    return decode


def _float(storage: Storage) -> Decode:
    unpack = struct.Struct("<f").unpack_from

    def decode(data: bytes, at: int) -> tuple[Value | Raw, int]:
        (value,) = unpack(data, at)
        return shortest_float32(value) if math.isfinite(value) else Raw(str(value)), at + 4

    return decode


def _double(storage: Storage) -> Decode:
    unpack = struct.Struct("<d").unpack_from

    def decode(data: bytes, at: int) -> tuple[Value | Raw, int]:
        (value,) = unpack(data, at)
        return value if math.isfinite(value) else Raw(str(value)), at + 8

    return decode


def _bit(storage: Storage) -> Decode:
    size = storage.size
    if storage.precision == 1:
        return lambda data, at: (data[at] != 0, at + 1)
    return lambda data, at: (b64encode(data[at : at + size][::-1]).decode("ascii"), at + size)


def _year(storage: Storage) -> Decode:
    return lambda data, at: (data[at] and 1900 + data[at], at + 1)


def days_of(year: int, month: int, day: int) -> int | None:
    """Since the epoch; None for a date that is zero, partial or in no calendar. Year 0 counts as partial: MySQL and ISO disagree on
    its length."""
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None


def _date(storage: Storage) -> Decode:
    def decode(data: bytes, at: int) -> tuple[Value | Raw, int]:
        packed = int.from_bytes(data[at : at + 3], "little")
        year, month, day = packed >> 9, packed >> 5 & 15, packed & 31
        days = days_of(year, month, day)
        return Raw(f"{year:04}-{month:02}-{day:02}") if days is None else days, at + 3

    return decode


def _datetime(storage: Storage) -> Decode:
    digits = storage.size
    extra, unit_us = _FRACTION_BYTES[digits], _FRACTION_UNIT_US[digits]
    end_whole = 5
    millis = digits <= 3

    def decode(data: bytes, at: int) -> tuple[Value | Raw, int]:
        packed = int.from_bytes(data[at : at + end_whole], "big") - (1 << 39)
        at += end_whole
        micros = int.from_bytes(data[at : at + extra], "big") * unit_us
        at += extra
        months, day = packed >> 22, packed >> 17 & 31
        hour, minute, second = packed >> 12 & 31, packed >> 6 & 63, packed & 63
        year, month = divmod(months, 13)
        if packed < 0 or hour > 23 or minute > 59 or second > 59 or micros > 999_999 or year > 9999:
            raise ValueError("no time of day")
        days = days_of(year, month, day)
        if days is None:
            text = f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{_fraction(micros, digits)}"
            return Raw(text), at
        seconds = days * 86400 + hour * 3600 + minute * 60 + second
        return (seconds * 1000 + micros // 1000 if millis else seconds * 1_000_000 + micros), at

    return decode


def _fraction(micros: int, digits: int) -> str:
    return f".{micros:06}"[: digits + 1] if digits else ""


def _timestamp(storage: Storage) -> Decode:
    digits = storage.size
    extra, unit_us = _FRACTION_BYTES[digits], _FRACTION_UNIT_US[digits]

    def decode(data: bytes, at: int) -> tuple[Value | Raw, int]:
        seconds = int.from_bytes(data[at : at + 4], "big")
        at += 4
        micros = int.from_bytes(data[at : at + extra], "big") * unit_us
        at += extra
        if micros > 999_999:
            raise ValueError("no fraction of a second")
        fraction = _fraction(micros, digits)
        if seconds == 0 and micros == 0:
            return Raw(f"0000-00-00 00:00:00{fraction}"), at
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z", at

    return decode


def _time(storage: Storage) -> Decode:
    extra, unit_us = _FRACTION_BYTES[storage.size], _FRACTION_UNIT_US[storage.size]
    size, bits = 3 + extra, 8 * extra
    zero = 1 << (23 + bits)

    def decode(data: bytes, at: int) -> tuple[Value, int]:
        # Whole and fraction are one number around `zero`, so a negative time's fraction counts down with it.
        packed = int.from_bytes(data[at : at + size], "big") - zero
        value = abs(packed)
        micros = (value & ((1 << bits) - 1)) * unit_us
        whole = value >> bits
        hour, minute, second = whole >> 12 & 1023, whole >> 6 & 63, whole & 63
        if minute > 59 or second > 59 or micros > 999_999:
            raise ValueError("no time")
        total = (hour * 3600 + minute * 60 + second) * 1_000_000 + micros
        return -total if packed < 0 else total, at + size

    return decode


def _fixed_bytes(size: int) -> Decode:
    """BINARY(n): the server leaves out trailing zero bytes."""
    width = 1 if size < 256 else 2

    def decode(data: bytes, at: int) -> tuple[Value, int]:
        start = at + width
        end = start + int.from_bytes(data[at:start], "little")
        return b64encode(data[start:end].ljust(size, b"\0")).decode("ascii"), end

    return decode


def _bytes(prefix: int) -> Decode:
    def decode(data: bytes, at: int) -> tuple[Value, int]:
        start = at + prefix
        end = start + int.from_bytes(data[at:start], "little")
        return b64encode(data[start:end]).decode("ascii"), end

    return decode


def _text(prefix: int, charset: str) -> Decode:
    convert = text_value(charset)

    def decode(data: bytes, at: int) -> tuple[Value | Raw, int]:
        start = at + prefix
        end = start + int.from_bytes(data[at:start], "little")
        return convert(data[start:end]), end

    return decode


def text_value(charset: str) -> Callable[[bytes], Value | Raw]:
    """Bytes of text in a character set → the value."""
    to_text = decoder(charset)

    def convert(content: bytes) -> Value | Raw:
        try:
            return to_text(content)
        except UnicodeDecodeError:
            return Raw(f"0x{content.hex().upper()}")

    return convert


def _enum(size: int, labels: tuple[str, ...]) -> Decode:
    by_index = enum_labels(labels)

    def decode(data: bytes, at: int) -> tuple[Value, int]:
        return by_index[int.from_bytes(data[at : at + size], "little")], at + size

    return decode


def enum_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """By number; 0 is what an invalid value became."""
    return ("", *labels)


def _set(size: int, labels: tuple[str, ...]) -> Decode:
    def decode(data: bytes, at: int) -> tuple[Value, int]:
        return set_value(int.from_bytes(data[at : at + size], "little"), labels), at + size

    return decode


def set_value(mask: int, labels: tuple[str, ...]) -> str:
    """Raises ValueError for members the labels do not have."""
    if mask >> len(labels):
        raise ValueError(f"members beyond the {len(labels)} labels")
    return ",".join(label for place, label in enumerate(labels) if mask >> place & 1)


def _json(storage: Storage) -> Decode:
    prefix = storage.size

    def decode(data: bytes, at: int) -> tuple[Value, int]:
        start = at + prefix
        end = start + int.from_bytes(data[at:start], "little")
        return document_text(data[start:end]), end

    return decode


def _geometry(storage: Storage) -> Decode:
    prefix = storage.size

    def decode(data: bytes, at: int) -> tuple[Value, int]:
        start = at + prefix
        end = start + int.from_bytes(data[at:start], "little")
        return geometry_value(data[start:end]), end

    return decode


def geometry_value(content: bytes) -> Value:
    """Of the server's own form, its reference system and WKB. Raises ValueError."""
    if len(content) < 4:
        raise ValueError("no room for a spatial reference system")
    srid = int.from_bytes(content[:4], "little")
    return {"wkb": b64encode(content[4:]).decode("ascii"), "srid": srid or None}


def _vector(storage: Storage) -> Decode:
    prefix = storage.size

    def decode(data: bytes, at: int) -> tuple[Value | Raw, int]:
        start = at + prefix
        end = start + int.from_bytes(data[at:start], "little")
        return vector_value(data[start:end]), end

    return decode


def vector_value(content: bytes) -> Value | Raw:
    """Of the server's own form, floats in a row. Raises ValueError."""
    if len(content) % 4:
        raise ValueError("a vector that is not of whole floats")
    items = struct.unpack(f"<{len(content) // 4}f", content)
    if not all(map(math.isfinite, items)):
        return Raw(f"0x{content.hex().upper()}")
    return [shortest_float32(item) for item in items]


_BY_STORAGE: dict[int, Callable[[Storage], Decode]] = {
    FLOAT: _float,
    DOUBLE: _double,
    DECIMAL: _decimal,
    YEAR: _year,
    DATE: _date,
    DATETIME2: _datetime,
    TIMESTAMP2: _timestamp,
    TIME2: _time,
    JSON: _json,
    GEOMETRY: _geometry,
    VECTOR: _vector,
}
