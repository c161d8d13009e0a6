"""Values of key columns as SQL literals: from what a SELECT gave, and from what a Kafka key carries.

A literal is compared as its column is: text by the column's collation, ENUM, SET and BIT by number, dates as dates.
"""

import math
import re
import struct
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

from contracts.envelope import Value
from contracts.table import Column, Kind
from streamer.core.charset_tables import UNDEFINED
from streamer.core.charsets import UNICODE_CODECS, plan
from streamer.core.values import set_value

_NUMBERS = frozenset({Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT, Kind.YEAR, Kind.BIT, Kind.ENUM, Kind.SET})
_REALS = frozenset({Kind.FLOAT, Kind.DOUBLE})
_DATES = frozenset({Kind.DATE, Kind.DATETIME, Kind.TIMESTAMP})
_BYTES = frozenset({Kind.BINARY, Kind.VARBINARY, Kind.BLOB})
_TEXTS = frozenset({Kind.CHAR, Kind.VARCHAR, Kind.TEXT})

_NUMBER = re.compile(rb"-?[0-9]+")
_DECIMAL = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_REAL = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")
_TEMPORAL = re.compile(rb"[-0-9 :.]+")


def of_text(column: Column, text: bytes) -> str:
    """The literal of a value that a SELECT of `select.expression` gave. Raises ValueError for what it cannot have given."""
    kind = column.kind
    if kind in _NUMBERS and _NUMBER.fullmatch(text):
        return str(int(text))
    if kind is Kind.DECIMAL and _DECIMAL.fullmatch(text):
        return text.decode("ascii")
    if kind in _REALS and _REAL.fullmatch(text):
        return _real(text.decode("ascii"))
    if kind in (*_DATES, Kind.TIME) and _TEMPORAL.fullmatch(text):
        return f"'{text.decode('ascii')}'"
    if kind in _BYTES:
        return f"_binary X'{text.hex()}'"
    if kind in _TEXTS and column.charset is not None:
        return f"_{column.charset} X'{text.hex()}'"
    raise ValueError(f"a value that is none of a {kind.value}")


def _real(text: str) -> str:
    return text if "e" in text else f"{text}e0"  # without an exponent it would be a decimal


def conditions(column: Column, name: str, value: Value) -> list[str]:
    """Conditions on the column `name` (in SQL), of which every row meets one whose envelope has this value there; none if there cannot be
    such a row. Raises ValueError for a value that no envelope has there, and for types and values by which rows cannot be found."""
    if value is None:
        return _nothing(column, name)
    kind = column.kind
    try:
        if kind in (Kind.ENUM, Kind.SET) and any(character > "\uffff" for character in _str(value)):
            return [_reads(name, _str(value))]  # the catalogue, which the labels are from, shows `?` for it
        if kind in _FORMS:
            return [f"{name} = {literal}" for literal in _FORMS[kind](column, value)]
        if kind in _TEXTS:
            return _text(column, name, _str(value))
        if kind is Kind.SET:
            number = name if len(column.labels) <= _DOUBLE_BITS else f"CAST({name} AS UNSIGNED)"
            return [f"{number} = {mask}" for mask in _masks(column.labels, _str(value))]
    except (TypeError, OverflowError, struct.error) as error:
        raise ValueError(f"a value that is none of a {kind.value}") from error
    raise ValueError(f"rows cannot be found by a {kind.value}")


_DOUBLE_BITS = 53  # a SET is compared with a number as a double


def _nothing(column: Column, name: str) -> list[str]:
    """Null stands for NULL and for what JSON cannot carry."""
    found = [f"{name} IS NULL"] if column.nullable else []
    if column.kind is Kind.TIMESTAMP:
        found.append(f"{name} = '0000-00-00 00:00:00'")
    elif column.kind in _DATES:
        month_end = f"DAYOFMONTH(LAST_DAY(MAKEDATE(YEAR({name}), 1) + INTERVAL MONTH({name}) - 1 MONTH))"
        found += [f"YEAR({name}) = 0", f"MONTH({name}) = 0", f"DAYOFMONTH({name}) = 0", f"DAYOFMONTH({name}) > {month_end}"]
    elif column.kind in _TEXTS:
        raise ValueError("null may stand for bytes that are no text, by which rows cannot be found; read the whole table again")
    return found


def _str(value: Value) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _int(value: Value) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _integers(column: Column, value: Value) -> list[str]:
    if column.kind is Kind.BIGINT and column.unsigned:
        return [of_text(column, _str(value).encode())]
    return [str(_int(value))]


def _decimals(column: Column, value: Value) -> list[str]:
    return [of_text(column, _str(value).encode())]


def _floats(column: Column, value: Value) -> list[str]:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError
    number = float(value)
    if column.kind is Kind.FLOAT:
        (number,) = struct.unpack("<f", struct.pack("<f", number))
    return [_real(repr(number))]


def _bits(column: Column, value: Value) -> list[str]:
    if column.length == 1:
        if not isinstance(value, bool):
            raise TypeError
        return [str(int(value))]
    return [str(int.from_bytes(b64decode(_str(value), validate=True), "little"))]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _dates(column: Column, value: Value) -> list[str]:
    if column.kind is Kind.TIMESTAMP:
        text = _str(value).removesuffix("Z").replace("T", " ")
        return [of_text(column, text.encode())]
    if column.kind is Kind.DATE:
        return [f"'{(_EPOCH + timedelta(days=_int(value))).date().isoformat()}'"]
    micros = _int(value) * (1000 if column.fraction <= 3 else 1)
    return [f"'{(_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat(' ', 'microseconds')}'"]


def _times(column: Column, value: Value) -> list[str]:
    number = _int(value)
    seconds, micros = divmod(abs(number), 1_000_000)
    sign = "-" if number < 0 else ""
    return [f"'{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}'"]


def _binaries(column: Column, value: Value) -> list[str]:
    return [of_text(column, b64decode(_str(value), validate=True))]


def _enums(column: Column, value: Value) -> list[str]:
    label = _str(value)
    return [str(number) for number, held in enumerate(("", *column.labels)) if held == label]


_FORMS: dict[Kind, Callable[[Column, Value], list[str]]] = {
    **dict.fromkeys((Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT, Kind.YEAR), _integers),
    **dict.fromkeys(_REALS, _floats),
    **dict.fromkeys(_DATES, _dates),
    **dict.fromkeys(_BYTES, _binaries),
    Kind.DECIMAL: _decimals,
    Kind.BIT: _bits,
    Kind.TIME: _times,
    Kind.ENUM: _enums,
}


def _masks(labels: tuple[str, ...], value: str) -> list[int]:
    """The numbers of a SET that is shown so. More than one only where a label is empty."""
    places = {label: 1 << place for place, label in enumerate(labels)}
    members = [member for member in value.split(",") if member]
    if any(member not in places for member in members):
        return []
    mask = sum(places[member] for member in set(members))
    candidates = sorted({mask, mask | places.get("", 0)})
    return [number for number in candidates if set_value(number, labels) == value]


def _text(column: Column, name: str, text: str) -> list[str]:
    charset = column.charset or ""
    codes = _codes(charset, text)
    if codes is None:
        return [_reads(name, text)]  # some characters have two codes
    return [f"{name} = _{charset} X'{code.hex()}'" for code in codes]


def _reads(name: str, text: str) -> str:
    """By what the bytes stand for, which no index helps with."""
    return f"CONVERT({name} USING utf8mb4) = _utf8mb4 X'{text.encode().hex()}' COLLATE utf8mb4_bin"


def _codes(charset: str, text: str) -> list[bytes] | None:
    """The bytes of a text in a character set, none if it cannot be written so; None where there may be more than one way."""
    if (codec := UNICODE_CODECS.get(charset)) is not None:
        narrow = charset in ("ucs2", "utf8mb3")
        return [] if narrow and any(character > "\uffff" for character in text) else [text.encode(codec)]
    form, table = plan(charset)
    if form != "single" or not isinstance(table, str):
        return None
    codes = _inverse(table)
    if any(len(codes.get(character, b"")) > 1 for character in text):
        return None
    return [b"".join(codes[character] for character in text)] if all(character in codes for character in text) else []


@cache
def _inverse(table: str) -> dict[str, bytes]:
    """The bytes that stand for each character."""
    found: dict[str, bytes] = {}
    for byte, character in enumerate(table):
        if character != UNDEFINED:
            found[character] = found.get(character, b"") + bytes([byte])
    return found
