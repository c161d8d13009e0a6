"""The canonical form of a value, one a family of types: what MySQL's SELECT and the warehouse must agree on. A second opinion: nothing of
the product's code is used, and the server computes what it can.

`mysql` is the expression MySQL is asked for, in a session in UTC, and `from_mysql` makes of its answer what is due; `warehouse` and
`from_warehouse` make the same of what the warehouse holds. docs/TYPES.md states the forms in words.
"""

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, auto
from functools import cache
from typing import Any

VARCHAR_BYTES_MAX = 65_535
ROW_BYTES_MAX = 4_000_000  # of this suite's values, none stands in a row with another of megabytes


class Family(Enum):
    WHOLE = auto()
    DECIMAL = auto()
    FLOAT = auto()
    DOUBLE = auto()
    BITS = auto()
    DATE = auto()
    DATETIME = auto()
    TIMESTAMP = auto()
    TIME = auto()
    TEXT = auto()
    JSON = auto()
    BYTES = auto()
    GEOMETRY = auto()
    VECTOR = auto()


@dataclass(frozen=True, slots=True)
class Due:
    """What the warehouse must hold: `text` in the canonical form, None for NULL. `reason`: a pattern of what quarantine must say of a value
    that is NULL because the target can't hold it, and `kept` the JSON it must keep, where that has one spelling. `no_date`: MySQL's text of
    a value that is no day of a calendar; then NULL is due, nothing in quarantine, and the text in the envelope."""

    text: str | None
    reason: str = ""
    kept: str = ""
    no_date: str = ""


NULL = Due(None)


@dataclass(frozen=True, slots=True)
class Form:
    """`{c}` stands for the quoted column. `from_mysql` is also given the most bytes the target's column holds, 0 where it counts none."""

    mysql: str
    from_mysql: Callable[[Any, int], Due]
    warehouse: str
    from_warehouse: Callable[[Any], str]

    def due(self, value: Any, bytes_max: int) -> Due:
        return NULL if value is None else self.from_mysql(value, bytes_max)

    def found(self, value: Any) -> str | None:
        return None if value is None else self.from_warehouse(value)


def _plain(value: Any, _: int) -> Due:
    return Due(str(value))


def _bits32(value: Any) -> str:
    return struct.pack(">f", float(value)).hex()


def _bits64(value: Any) -> str:
    return struct.pack(">d", float(value)).hex()


def _day(text: str, _: int) -> Due:
    return Due(text) if _in_a_calendar(text) else Due(None, no_date=text)


def _moment(text: str, _: int) -> Due:
    day, clock = text.split(" ")
    return Due(f"{day} {_six_digits(clock)}") if _in_a_calendar(day) else Due(None, no_date=text)


def _in_a_calendar(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def _six_digits(clock: str) -> str:
    whole, _, fraction = clock.partition(".")
    return f"{whole}.{fraction:0<6}"


def _clock(value: int) -> str:
    seconds, fraction = divmod(abs(value), 1_000_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{'-' if value < 0 else ''}{hours:02}:{minute:02}:{second:02}.{fraction:06}"


# A byte that stands for no character becomes `?` on its way to another character set, so there are more of them then; of two sets, U+FFFD.
_MARKS = "CHAR_LENGTH({c}) - CHAR_LENGTH(REPLACE({c}, '?', '')) <> CHAR_LENGTH({u}) - CHAR_LENGTH(REPLACE({u}, '?', ''))"
_LOST = f"{_MARKS} OR (CHARSET({{c}}) IN ('big5', 'tis620') AND LOCATE(_utf8mb4 X'EFBFBD', {{u}}))"
_UTF8 = "CONVERT({c} USING utf8mb4)"
_TEXT = f"IF({_LOST.replace('{u}', _UTF8)}, CONCAT('!', HEX({{c}})), CONCAT('=', {_UTF8}))"


def _text(marked: str, bytes_max: int) -> Due:
    mark, text = marked[0], marked[1:]
    if mark == "!":
        return Due(None, r"holds bytes that stand for no character of \w+", f'"0x{text}"')
    return _bounded(text, bytes_max)


def _bounded(text: str, bytes_max: int) -> Due:
    size_bytes, kept = len(text.encode()), json.dumps(text, ensure_ascii=False)
    if size_bytes > bytes_max:
        return Due(None, rf"{size_bytes} bytes do not fit VARCHAR\({bytes_max}\)", kept)
    return Due(None, "holds the character U\\+0000", kept) if "\0" in text else Due(text)


def _hex(text: str, bytes_max: int) -> Due:
    size_bytes = len(text) // 2
    if ROW_BYTES_MAX < size_bytes <= bytes_max:
        takes = rf"the row takes \d+ bytes, more than the {ROW_BYTES_MAX} that COPY takes of a row"
        return Due(None, f"{takes}; this value is among its largest")
    return Due(None, rf"{size_bytes} bytes do not fit VARBYTE\({bytes_max}\)") if size_bytes > bytes_max else Due(text.lower())


def _place(stored: str) -> str:
    srid, wkb = stored[:8], stored[8:]
    return f"{int.from_bytes(bytes.fromhex(srid), 'little')};{wkb.lower()}"


def _vector(text: str, bytes_max: int) -> Due:
    numbers = [number for (number,) in struct.iter_unpack("<f", bytes.fromhex(text))]
    if len(numbers) * _NUMBER_BYTES_MAX + 2 <= bytes_max:
        return Due(text.lower())
    # How many bytes its text has is the product's choice of digits; here the shortest that say the number.
    size_bytes = len(json.dumps([*map(_shortest, numbers)], separators=(",", ":")))
    return Due(None, rf"\d+ bytes do not fit VARCHAR\({bytes_max}\)") if size_bytes > bytes_max else Due(text.lower())


_NUMBER_BYTES_MAX = 20  # of a single and the comma behind it


@cache
def _shortest(number: float) -> float:
    texts = (f"{number:.{digits}g}" for digits in range(1, 10))
    return next(value for value in map(float, texts) if abs(value) <= _LARGEST and _bits32(value) == _bits32(number))


_LARGEST = 3.4028235e38  # of all singles, in as few digits as say it


def _vector_bits(text: str) -> str:
    return b"".join(struct.pack("<f", number) for number in json.loads(text)).hex()


FORMS = {
    # Digits. Plus nothing is without the zeros of ZEROFILL.
    Family.WHOLE: Form("CAST({c} + 0 AS CHAR)", _plain, "{c}", lambda value: str(int(value))),
    Family.BITS: Form("CAST(CAST({c} AS UNSIGNED) AS CHAR)", _plain, "{c}", lambda value: str(int(value))),
    # Every digit of the scale.
    Family.DECIMAL: Form("CAST({c} + 0 AS CHAR)", _plain, "{c}", lambda value: f"{value:f}" if isinstance(value, Decimal) else str(value)),
    # The bits; MySQL shows six digits of a FLOAT, and all of a DOUBLE.
    Family.FLOAT: Form("CAST({c} AS DOUBLE)", lambda value, _: Due(_bits32(value)), "{c}", _bits32),
    Family.DOUBLE: Form("CAST({c} AS DOUBLE)", lambda value, _: Due(_bits64(value)), "{c}", _bits64),
    # ISO 8601, with six digits of a fraction, in UTC where the type has a zone.
    Family.DATE: Form("CAST({c} AS CHAR)", _day, "{c}", date.isoformat),
    Family.DATETIME: Form("CAST({c} AS CHAR)", _moment, "{c}", lambda value: datetime.isoformat(value, " ", "microseconds")),
    Family.TIMESTAMP: Form(
        "CAST({c} AS CHAR)", _moment, "{c}", lambda value: value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    ),
    Family.TIME: Form("CAST({c} AS CHAR)", lambda value, _: Due(_six_digits(value)), "{c}", _clock),
    # Characters.
    Family.TEXT: Form(_TEXT, _text, "{c}", str),
    # MySQL's own text of the document.
    Family.JSON: Form("CAST({c} AS CHAR)", _bounded, "{c}", str),
    # Hexadecimal digits.
    Family.BYTES: Form("HEX({c})", _hex, "TO_HEX({c})", str.lower),
    # The number of the reference system and WKB, longitude first.
    Family.GEOMETRY: Form("CONCAT(ST_SRID({c}), ';', LOWER(HEX(ST_AsBinary({c}, 'axis-order=long-lat'))))", _plain, "TO_HEX({c})", _place),
    # The bits of its numbers.
    Family.VECTOR: Form("HEX({c})", _vector, "{c}", _vector_bits),
}


def bytes_max(target: str) -> int:
    """Of a target's type that counts bytes, else 0."""
    found = re.fullmatch(r"VAR(?:CHAR|BYTE)\((\d+)\)", target)
    return int(found[1]) if found else 0
