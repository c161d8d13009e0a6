"""JSON documents: MySQL's binary form → the text MySQL itself shows.

Source: MySQL 9.7, sql-common/json_binary.h (the form), json_dom.cc (wrapper_to_string, double_quote). Text in a
document is utf8mb4; keys are stored sorted by length, then bytes.
"""

import re
import struct
from base64 import encodebytes

from contracts.errors import Corrupt
from streamer.core.numbers import decimal_text, double_text

# A document: objects and arrays as such, every scalar as its text already.
Node = dict[str, "Node"] | list["Node"] | str

DEPTH_MAX = 100  # MySQL's own limit
_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = 0, 1, 2, 3, 4
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING, _OPAQUE = 5, 6, 7, 8, 9, 10, 11, 12, 15
_LITERALS = {0: "null", 1: "true", 2: "false"}
_INTEGERS = {_INT16: "<h", _UINT16: "<H", _INT32: "<i", _UINT32: "<I", _INT64: "<q", _UINT64: "<Q"}
_TIMESTAMP_TYPE, _DATE_TYPE, _TIME_TYPE, _DATETIME_TYPE, _DECIMAL_TYPE, _VAR_STRING_TYPE = 7, 10, 11, 12, 246, 253
_PRECISION_MAX = 81  # whole groups of nine, as the server computes with them; all may be after the point, where a column has 30 at most


def document_text(data: bytes) -> str:
    """The JSON text of a document. An empty one is `null`, as MySQL reads it. Raises Corrupt."""
    return render(parse_document(data))


def parse_document(data: bytes) -> Node:
    if not data:
        return "null"
    return _Reader(data).value(data[0], 1, 1)


class _Reader:
    """Reads one document. Its values share no bytes, so a document that makes more of them than it has bytes is not one: this bounds
    time and memory whatever the offsets say."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.budget = len(data)

    def spend(self, count: int) -> None:
        self.budget -= count
        if self.budget < 0:
            raise Corrupt("JSON document: its parts overlap")

    def take(self, at: int, count: int) -> bytes:
        if at + count > len(self.data):
            raise Corrupt(f"JSON document: needs {count} bytes at byte {at} of {len(self.data)}")
        self.spend(count)
        return self.data[at : at + count]

    def number(self, form: str, at: int) -> int:
        (value,) = struct.unpack(form, self.take(at, struct.calcsize(form)))
        return int(value)

    def text(self, at: int, count: int) -> str:
        try:
            return self.take(at, count).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Corrupt(f"JSON document: text at byte {at} is not UTF-8: {error.reason}") from error

    def length(self, at: int) -> tuple[int, int]:
        """A length of seven bits a byte, and where it ends."""
        length = 0
        for place in range(5):
            byte = self.take(at + place, 1)[0]
            length |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return length, at + place + 1
        raise Corrupt(f"JSON document: a length without end at byte {at}")

    def value(self, kind: int, at: int, depth: int) -> Node:
        if kind <= _LARGE_ARRAY:
            return self.container(kind, at, depth)
        if kind == _LITERAL:
            if (text := _LITERALS.get(self.take(at, 1)[0])) is None:
                raise Corrupt(f"JSON document: unknown literal at byte {at}")
            return text
        if form := _INTEGERS.get(kind):
            return str(self.number(form, at))
        if kind == _DOUBLE:
            (number,) = struct.unpack("<d", self.take(at, 8))
            if number - number != 0:
                raise Corrupt(f"JSON document: a double that is not finite at byte {at}")
            return double_text(number)
        if kind == _STRING:
            length, at = self.length(at)
            return quote(self.text(at, length))
        if kind == _OPAQUE:
            return self.opaque(at)
        raise Corrupt(f"JSON document: unknown type {kind} at byte {at}")

    def container(self, kind: int, at: int, depth: int) -> Node:
        if depth > DEPTH_MAX:
            raise Corrupt(f"JSON document: nested deeper than {DEPTH_MAX}")
        large = kind in (_LARGE_OBJECT, _LARGE_ARRAY)
        width, form = (4, "<I") if large else (2, "<H")
        count, size = self.number(form, at), self.number(form, at + width)
        if at + size > len(self.data):
            raise Corrupt(f"JSON document: a value of {size} bytes at byte {at} of {len(self.data)}")
        entry = at + 2 * width
        keys: list[str] = []
        if kind in (_SMALL_OBJECT, _LARGE_OBJECT):
            for _ in range(count):
                keys.append(self.text(at + self.number(form, entry), self.number("<H", entry + width)))
                entry += width + 2
        values: list[Node] = []
        for _ in range(count):
            inner = self.take(entry, 1)[0]
            if inner in (_LITERAL, _INT16, _UINT16) or (large and inner in (_INT32, _UINT32)):
                values.append(self.value(inner, entry + 1, depth + 1))
            else:
                values.append(self.value(inner, at + self.number(form, entry + 1), depth + 1))
            entry += width + 1
        if kind in (_SMALL_ARRAY, _LARGE_ARRAY):
            return values
        if len(set(keys)) != count:
            raise Corrupt(f"JSON document: a key twice in the object at byte {at}")
        return dict(zip(keys, values, strict=True))

    def opaque(self, at: int) -> str:
        """A value of an SQL type JSON has not."""
        kind = self.take(at, 1)[0]
        length, at = self.length(at + 1)
        if kind == _VAR_STRING_TYPE:
            return quote(self.text(at, length))
        content = self.take(at, length)
        if kind == _DECIMAL_TYPE:
            if length < 3 or not (1 <= content[0] <= _PRECISION_MAX and content[1] <= content[0]):
                raise Corrupt(f"JSON document: a decimal of no precision at byte {at}")
            try:
                return decimal_text(content[2:], content[0], content[1])
            except ValueError as error:
                raise Corrupt(f"JSON document: {error} at byte {at}") from error
        if kind in (_TIMESTAMP_TYPE, _DATE_TYPE, _TIME_TYPE, _DATETIME_TYPE):
            if length != 8:
                raise Corrupt(f"JSON document: a date or time of {length} bytes at byte {at}")
            return f'"{_temporal(kind, int.from_bytes(content, "little", signed=True))}"'
        # MySQL breaks base64 into lines of 76.
        return quote(f"base64:type{kind}:{encodebytes(content).decode('ascii').rstrip(chr(10))}")


def _temporal(kind: int, packed: int) -> str:
    value = abs(packed)
    micros, whole = value & 0xFF_FFFF, value >> 24
    minute, second = whole >> 6 & 63, whole & 63
    if kind == _TIME_TYPE:
        sign = "-" if packed < 0 else ""
        return f"{sign}{whole >> 12 & 1023:02}:{minute:02}:{second:02}.{micros:06}"
    year, month = divmod(whole >> 22, 13)
    day = f"{year:04}-{month:02}-{whole >> 17 & 31:02}"
    return day if kind == _DATE_TYPE else f"{day} {whole >> 12 & 31:02}:{minute:02}:{second:02}.{micros:06}"


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_TO_ESCAPE = re.compile('[\x00-\x1f"\\\\]')


def quote(text: str) -> str:
    return f'"{_TO_ESCAPE.sub(lambda match: _ESCAPES.get(match[0]) or f"{chr(92)}u{ord(match[0]):04x}", text)}"'


def render(node: Node) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, list):
        return f"[{', '.join(map(render, node))}]"
    return f"{{{', '.join(f'{quote(key)}: {render(value)}' for key, value in node.items())}}}"
