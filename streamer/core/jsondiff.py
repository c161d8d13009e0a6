"""The diffs of partial JSON updates, applied to the document before them.

Source: MySQL 9.7, sql-common/json_diff.cc (the form and its application) and json_path.cc (paths).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from contracts.errors import Corrupt
from streamer.core.cursor import Cursor
from streamer.core.jsonb import Node, parse_document, render

_REPLACE, _INSERT, _REMOVE = 0, 1, 2


def updated_text(data: bytes, diffs: bytes) -> str:
    """The JSON text of a document after a partial update. Raises Corrupt, also when the diffs do not fit the document."""
    node = parse_document(data)
    for diff in _parse_diffs(diffs):
        node = _apply(node, diff)
    return render(node)


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
