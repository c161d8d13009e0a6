"""Character sets: MySQL's collation numbers → names, and bytes → text exactly as the server reads them.

Source: MySQL 9.7, information_schema.COLLATIONS and CONVERT(… USING utf32) of every code. A byte sequence to which MySQL gives no
character is an error here (MySQL shows `?`), never U+FFFD.
"""

import codecs
import re
from collections.abc import Callable
from functools import cache

from contracts.errors import Corrupt
from streamer.core.charset_tables import HIGH, MULTI, PRIVATE_ROWS, RUNS, SINGLE, UNDEFINED

Decode = Callable[[bytes], str]  # raises UnicodeDecodeError

BINARY = "binary"
_COLLATIONS = {
    "armscii8": "32 64",
    "ascii": "11 65",
    "big5": "1 84",
    "binary": "63",
    "cp1250": "26 34 44 66 99",
    "cp1251": "14 23 50-52",
    "cp1256": "57 67",
    "cp1257": "29 58 59",
    "cp850": "4 80",
    "cp852": "40 81",
    "cp866": "36 68",
    "cp932": "95 96",
    "dec8": "3 69",
    "eucjpms": "97 98",
    "euckr": "19 85",
    "gb18030": "248-250",
    "gb2312": "24 86",
    "gbk": "28 87",
    "geostd8": "92 93",
    "greek": "25 70",
    "hebrew": "16 71",
    "hp8": "6 72",
    "keybcs2": "37 73",
    "koi8r": "7 74",
    "koi8u": "22 75",
    "latin1": "5 8 15 31 47-49 94",
    "latin2": "2 9 21 27 77",
    "latin5": "30 78",
    "latin7": "20 41 42 79",
    "macce": "38 43",
    "macroman": "39 53",
    "sjis": "13 88",
    "swe7": "10 82",
    "tis620": "18 89",
    "ucs2": "35 90 128-151 159",
    "ujis": "12 91",
    "utf16": "54 55 101-124",
    "utf16le": "56 62",
    "utf32": "60 61 160-183",
    "utf8mb3": "33 76 83 192-215 223",
    "utf8mb4": "45 46 224-247 255-323",
}
UNICODE_CODECS = {
    "utf8mb3": "utf-8",
    "utf8mb4": "utf-8",
    "ucs2": "utf-16-be",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
}


def _collation_numbers() -> dict[int, str]:
    numbers: dict[int, str] = {}
    for name, ranges in _COLLATIONS.items():
        for part in ranges.split():
            first, _, last = part.partition("-")
            numbers.update(dict.fromkeys(range(int(first), int(last or first) + 1), name))
    return numbers


_BY_COLLATION = _collation_numbers()
CHARSETS = frozenset(_COLLATIONS)


def charset_of(collation: int) -> str:
    """MySQL's name of the character set a collation belongs to. Raises Corrupt for a number this release does not know."""
    if (name := _BY_COLLATION.get(collation)) is None:
        raise Corrupt(f"unknown collation number {collation}; this release must learn its character set first")
    return name


@cache
def decoder(charset: str) -> Decode:
    """Bytes of one of `CHARSETS` but `binary` → text. What it returns raises UnicodeDecodeError on bytes without a character."""
    if charset in UNICODE_CODECS:
        codec = UNICODE_CODECS[charset]
        return _narrow if charset == "ucs2" else lambda data: data.decode(codec)
    if charset in MULTI:
        return _multi_byte(charset)
    table = _table(charset)
    return lambda data: codecs.charmap_decode(data, "strict", table)[0]


def plan(charset: str) -> tuple[str, str | Decode | None]:
    """How to decode one of `CHARSETS` but `binary` elsewhere: the form, and what is needed for it. `utf8`, `ucs2` (no surrogates),
    `utf16`, `utf16le` and `utf32` need nothing; `single` the character of each of 256 bytes, UNDEFINED for none; `foreign` is to be
    asked: its `decoder`."""
    if charset in UNICODE_CODECS:
        return "utf8" if charset in ("utf8mb3", "utf8mb4") else charset, None
    return ("foreign", decoder(charset)) if charset in MULTI else ("single", _table(charset))


def _table(charset: str) -> str:
    """The characters of a set of single bytes."""
    if charset not in SINGLE:
        return "".join(map(chr, range(128))) + HIGH[charset]
    codec, changes = SINGLE[charset]
    return "".join(changes.get(byte) or bytes([byte]).decode(codec, "ignore") or UNDEFINED for byte in range(256))


def decode_lossy(data: bytes, collation: int) -> str:
    r"""For people and keyword matching: what has no character in the collation's character set appears as `\xNN`."""
    charset = _BY_COLLATION.get(collation, "utf8mb4")
    try:
        return decoder("utf8mb4" if charset == BINARY else charset)(data)
    except UnicodeDecodeError:
        return data.decode("utf-8" if charset in ("utf8mb3", "utf8mb4", BINARY) else "ascii", "backslashreplace")


def _narrow(data: bytes) -> str:
    """ucs2 knows no pairs of surrogates, which Python's codec would join."""
    text = data.decode("utf-16-be")
    if len(text) * 2 != len(data):
        raise UnicodeDecodeError("ucs2", data, 0, len(data), "a surrogate is no character")
    return text


def _multi_byte(charset: str) -> Decode:
    codec, shape = MULTI[charset]
    if charset not in RUNS:
        return lambda data: data.decode(codec)
    changes: dict[bytes, str] = {}
    for first, characters in RUNS[charset]:
        changes.update({_code(first + i): character for i, character in enumerate(characters)})
    if charset in PRIVATE_ROWS:
        for row in range(20):
            first = (0xF5A1 if row < 10 else 0x8FF5A1 - 0xA00) + row * 0x100
            changes.update({_code(first + i): chr(0xE000 + 94 * row + i) for i in range(94)})
    # The codec itself objects to the codes it does not know; to be searched for are those it reads, but otherwise.
    suspects = re.compile(b"|".join(re.escape(code) for code in changes if _reads(codec, code)) or b"(?!)", re.DOTALL)
    character = re.compile(shape, re.DOTALL)

    def decode(data: bytes) -> str:
        if not suspects.search(data):  # it may also find a tail and the next head: the slow way is right then too
            try:
                return data.decode(codec)
            except UnicodeDecodeError:
                pass
        out: list[str] = []
        at = 0
        while at < len(data):
            match = character.match(data, at)
            code = match[0] if match else data[at : at + 1]
            text = changes.get(code)
            if text == UNDEFINED:
                raise UnicodeDecodeError(charset, data, at, at + len(code), "stands for no character")
            out.append(code.decode(codec) if text is None else text)
            at += len(code)
        return "".join(out)

    return decode


def _reads(codec: str, code: bytes) -> bool:
    try:
        code.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _code(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
