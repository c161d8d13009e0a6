"""JSON documents: MySQL's binary form → the text MySQL itself shows; and the diffs of partial updates.

Source: MySQL 9.7, sql-common/json_binary.h (the form), json_dom.cc (wrapper_to_string, double_quote), json_diff.cc. Text in a
document is utf8mb4; keys are stored sorted by length, then bytes.
"""

import json
import re
import struct
from base64 import encodebytes
from collections.abc import Iterator
from dataclasses import dataclass

from contracts.errors import Corrupt
from streamer.core.cursor import Cursor
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
_REPLACE, _INSERT, _REMOVE = 0, 1, 2


def document_text(data: bytes) -> str:
    """The JSON text of a document. An empty one is `null`, as MySQL reads it. Raises Corrupt."""
    return _render(parse_document(data))


def updated_text(data: bytes, diffs: bytes) -> str:
    """The JSON text of a document after a partial update. Raises Corrupt, also when the diffs do not fit the document."""
    node = parse_document(data)
    for diff in _parse_diffs(diffs):
        node = _apply(node, diff)
    return _render(node)


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
            return _quote(self.text(at, length))
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
            return _quote(self.text(at, length))
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
        return _quote(f"base64:type{kind}:{encodebytes(content).decode('ascii').rstrip(chr(10))}")


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


def _quote(text: str) -> str:
    return f'"{_TO_ESCAPE.sub(lambda match: _ESCAPES.get(match[0]) or f"{chr(92)}u{ord(match[0]):04x}", text)}"'


def _render(node: Node) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, list):
        return f"[{', '.join(map(_render, node))}]"
    return f"{{{', '.join(f'{_quote(key)}: {_render(value)}' for key, value in node.items())}}}"


@dataclass(frozen=True, slots=True)
class _Diff:
    operation: int
    path: tuple[str | int, ...]
    value: Node


def _parse_diffs(data: bytes) -> Iterator[_Diff]:
    c = Cursor(data, "JSON diffs")
    while c:
        operation = c.u8()
        if operation not in (_REPLACE, _INSERT, _REMOVE):
            raise Corrupt(f"{c.what}: unknown operation {operation}")
        path = _parse_path(c.utf8(c.lenenc()))
        yield _Diff(operation, path, "null" if operation == _REMOVE else parse_document(c.lenenc_bytes()))


# White space is ASCII's alone. Keys are written without quotes if the lowest byte of each of their characters passes for a letter, and
# that of U+00A0 does.
_SPACE = r"[\t-\r ]*"
_LEG = re.compile(
    r'\.(?:"((?:[^"\\]|\\.)*)"|([^."\[\t-\r ]+))'
    rf"|\[{_SPACE}(?:([0-9]{{1,10}})|last(?:{_SPACE}-{_SPACE}([0-9]{{1,10}}))?){_SPACE}\]",
    re.DOTALL,
)


def _parse_path(text: str) -> tuple[str | int, ...]:
    """Of keys and array places, those below zero counted from the end: `last` is -1, `last-2` is -3. The binlog writes no wildcards,
    no ranges, and `$` or nothing at the head."""
    legs: list[str | int] = []
    at = 1 if text.startswith("$") else 0
    while at < len(text):
        if (match := _LEG.match(text, at)) is None:
            raise Corrupt(f"JSON diffs: not a path: {text[:80]!r}")
        quoted, plain, place, before_last = match.groups()
        if quoted is not None:
            try:
                legs.append(str(json.loads(f'"{quoted}"', strict=False)))
            except ValueError as error:
                raise Corrupt(f"JSON diffs: not a key in a path: {quoted[:80]!r}") from error
        elif plain is not None:
            legs.append(plain)
        else:
            legs.append(int(place) if place is not None else -1 - int(before_last or 0))
        at = match.end()
    return tuple(legs)


def _apply(root: Node, diff: _Diff) -> Node:
    if not diff.path:
        if diff.operation != _REPLACE:
            raise Corrupt("JSON diffs: only a replacement can be of the whole document")
        return diff.value
    *way, last = diff.path
    parent = root
    for leg in way:
        parent = _child(parent, leg)
    if isinstance(parent, dict) and isinstance(last, str):
        if (last in parent) == (diff.operation == _INSERT):
            raise Corrupt("JSON diffs: a key to insert is there already, or one to change is not")
        if diff.operation == _REMOVE:
            del parent[last]
        else:
            parent[last] = diff.value
        if diff.operation == _INSERT:
            _sort_keys(parent)
    elif isinstance(parent, list) and isinstance(last, int):
        place = _place(parent, last)
        if diff.operation == _INSERT:
            parent.insert(max(place, 0), diff.value)  # beyond either end: at that end, as MySQL does
        elif not 0 <= place < len(parent):
            raise Corrupt("JSON diffs: a place beyond the array's end")
        elif diff.operation == _REMOVE:
            del parent[place]
        else:
            parent[place] = diff.value
    else:
        raise Corrupt("JSON diffs: a path that the document has not")
    return root


def _child(node: Node, leg: str | int) -> Node:
    if isinstance(node, dict) and isinstance(leg, str) and leg in node:
        return node[leg]
    if isinstance(node, list) and isinstance(leg, int) and 0 <= (place := _place(node, leg)) < len(node):
        return node[place]
    raise Corrupt("JSON diffs: a path that the document has not")


def _place(items: list[Node], leg: int) -> int:
    """In the array as the diffs before left it. It may lie beyond either end."""
    return leg if leg >= 0 else len(items) + leg


def _sort_keys(node: dict[str, Node]) -> None:
    def order(item: tuple[str, Node]) -> tuple[int, bytes]:
        key = item[0].encode("utf-8")
        return len(key), key

    items = sorted(node.items(), key=order)
    node.clear()
    node.update(items)
