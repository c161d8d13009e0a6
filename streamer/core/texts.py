"""Column values: what a SELECT gave (`select.expression`, in the text protocol) → what the envelope carries, the very values that
`values` makes of a row image.

Nothing is taken that the server would not have written: a text in another form is an error, not a guess.
Source: MySQL 9.7, sql/protocol_classic.cc (Protocol_text) and mysys/my_time.cc (my_TIME_to_str).
"""

import re
import struct
from base64 import b64encode
from collections.abc import Callable, Sequence

from contracts.envelope import Value
from contracts.table import Column, Kind
from streamer.core.numbers import shortest_float32
from streamer.core.values import Raw, days_of, enum_labels, geometry_value, set_value, text_value, vector_value

Convert = Callable[[bytes], Value | Raw]
"""Raises ValueError on what the server does not write. Never names the value."""

_FLOAT32 = struct.Struct("<f")
_BITS = {Kind.TINYINT: 8, Kind.SMALLINT: 16, Kind.MEDIUMINT: 24, Kind.INT: 32, Kind.BIGINT: 64}

_WIDE = re.compile("[\U00010000-\U0010ffff]")
_INTEGER = re.compile(rb"-?[0-9]{1,255}")
_REAL = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]{1,3})?")
_YEAR = re.compile(rb"[0-9]{4}")
_DATE = re.compile(rb"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_DATETIME = re.compile(rb"([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?")
_TIME = re.compile(rb"(-?)([0-9]{2,3}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?")


def compile_text(column: Column) -> Convert:
    """The conversion of one column's texts."""
    kind = column.kind
    if kind in _BITS:
        return _integer(column)
    if kind in (Kind.CHAR, Kind.VARCHAR, Kind.TEXT):
        return text_value(column.charset or "")
    return _BY_KIND[kind](column)


def _number(text: bytes, low: int, high: int) -> int:
    if not _INTEGER.fullmatch(text) or not low <= (value := int(text)) <= high:
        raise ValueError("not a whole number of the column's range")
    return value


def _integer(column: Column) -> Convert:
    bits = _BITS[column.kind]
    low, high = (0, (1 << bits) - 1) if column.unsigned else (-(1 << bits - 1), (1 << bits - 1) - 1)
    if column.kind is Kind.BIGINT and column.unsigned:
        return lambda text: str(_number(text, low, high))
    return lambda text: _number(text, low, high)


def _decimal(column: Column) -> Convert:
    whole, scale = column.precision - column.scale, column.scale
    shape = re.compile(rb"-?(?:0|[1-9][0-9]{0,%d})" % max(whole - 1, 0) + (rb"\.[0-9]{%d}" % scale if scale else b""))

    def convert(text: bytes) -> Value:
        if not shape.fullmatch(text) or (whole == 0 and text.lstrip(b"-")[:1] != b"0"):
            raise ValueError("not a decimal of the column's precision")
        if text[:1] == b"-" and not text.strip(b"-0."):
            raise ValueError("a minus before a decimal of zero")
        return text.decode("ascii")

    return convert


def _real(text: bytes) -> float:
    if not _REAL.fullmatch(text):
        raise ValueError("not a floating-point number")
    value = float(text)
    if value - value != 0:
        raise ValueError("a floating-point number beyond the largest")
    return value


def _double(column: Column) -> Convert:
    return _real


def _float(column: Column) -> Convert:
    def convert(text: bytes) -> Value:
        value = _real(text)
        try:
            (single,) = _FLOAT32.unpack(_FLOAT32.pack(value))
        except OverflowError:
            single = None
        if single != value:
            raise ValueError("a number that no FLOAT holds")
        return shortest_float32(value)

    return convert


def _bit(column: Column) -> Convert:
    size, high = (column.length + 7) // 8, (1 << column.length) - 1
    if column.length == 1:
        return lambda text: _number(text, 0, 1) == 1
    return lambda text: b64encode(_number(text, 0, high).to_bytes(size, "little")).decode("ascii")


def _year(column: Column) -> Convert:
    def convert(text: bytes) -> Value:
        if not _YEAR.fullmatch(text) or not ((year := int(text)) == 0 or 1901 <= year <= 2155):
            raise ValueError("not a year")
        return year

    return convert


def _date(column: Column) -> Convert:
    def convert(text: bytes) -> Value | Raw:
        if (match := _DATE.fullmatch(text)) is None:
            raise ValueError("not a date")
        days = days_of(int(match[1]), int(match[2]), int(match[3]))
        return Raw(text.decode("ascii")) if days is None else days

    return convert


def _fraction(text: bytes | None, digits: int) -> int:
    """Microseconds."""
    if len(text or b"") != digits:
        raise ValueError("a fraction of other digits than the column's")
    return int((text or b"").ljust(6, b"0"))


def _datetime(column: Column) -> Convert:
    digits = column.fraction

    def convert(text: bytes) -> Value | Raw:
        if (match := _DATETIME.fullmatch(text)) is None:
            raise ValueError("not a date and time")
        year, month, day, hour, minute, second = map(int, match.groups()[:6])
        micros = _fraction(match[7], digits)
        if hour > 23 or minute > 59 or second > 59:
            raise ValueError("no time of day")
        if (days := days_of(year, month, day)) is None:
            return Raw(text.decode("ascii"))
        seconds = days * 86400 + hour * 3600 + minute * 60 + second
        return seconds * 1000 + micros // 1000 if digits <= 3 else seconds * 1_000_000 + micros

    return convert


def _timestamp(column: Column) -> Convert:
    check = _datetime(column)
    zero = b"0000-00-00 00:00:00" + (b"." + b"0" * column.fraction if column.fraction else b"")

    def convert(text: bytes) -> Value | Raw:
        found = check(text)
        if isinstance(found, Raw):
            if text != zero:
                raise ValueError("not a timestamp")
            return found
        return f"{text[:10].decode('ascii')}T{text[11:].decode('ascii')}Z"

    return convert


def _time(column: Column) -> Convert:
    digits = column.fraction

    def convert(text: bytes) -> Value:
        if (match := _TIME.fullmatch(text)) is None:
            raise ValueError("not a time")
        hour, minute, second = map(int, match.groups()[1:4])
        micros = _fraction(match[5], digits)
        if minute > 59 or second > 59:
            raise ValueError("no time")
        total = (hour * 3600 + minute * 60 + second) * 1_000_000 + micros
        return -total if match[1] else total

    return convert


def _bytes(column: Column) -> Convert:
    return lambda content: b64encode(content).decode("ascii")


def _fixed_bytes(column: Column) -> Convert:
    size = column.length
    return lambda content: b64encode(content.ljust(size, b"\0")).decode("ascii")


def _enum(column: Column) -> Convert:
    by_number = enum_labels(column.labels)

    def convert(text: bytes) -> Value:
        if text[:1] == b"-":
            spelled = text[1:].decode("utf-8")
            return _spelled(spelled, [spelled], column.labels)
        return by_number[_number(text, 0, len(by_number) - 1)]

    return convert


def _set(column: Column) -> Convert:
    high = (1 << len(column.labels)) - 1

    def convert(text: bytes) -> Value:
        if text[:1] == b"-":
            spelled = text[1:].decode("utf-8")
            return _spelled(spelled, spelled.split(","), column.labels)
        return set_value(_number(text, 0, high), column.labels)

    return convert


def _spelled(value: str, members: Sequence[str], labels: Sequence[str]) -> str:
    """What comes without its number because some of its characters are `?` in the column's labels (`select.expression`)."""
    narrow = [_WIDE.sub("?", member) for member in members]
    if narrow == members or not set(narrow) <= set(labels):
        raise ValueError("not a label of the column's")
    return value


def _json(column: Column) -> Convert:
    def convert(content: bytes) -> Value:
        if not content:
            raise ValueError("no JSON document")
        return content.decode("utf-8")

    return convert


def _geometry(column: Column) -> Convert:
    return geometry_value


def _vector(column: Column) -> Convert:
    return vector_value


_BY_KIND: dict[Kind, Callable[[Column], Convert]] = {
    Kind.DECIMAL: _decimal,
    Kind.FLOAT: _float,
    Kind.DOUBLE: _double,
    Kind.BIT: _bit,
    Kind.YEAR: _year,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.DATETIME: _datetime,
    Kind.TIMESTAMP: _timestamp,
    Kind.BINARY: _fixed_bytes,
    Kind.VARBINARY: _bytes,
    Kind.BLOB: _bytes,
    Kind.ENUM: _enum,
    Kind.SET: _set,
    Kind.JSON: _json,
    Kind.GEOMETRY: _geometry,
    Kind.VECTOR: _vector,
}
