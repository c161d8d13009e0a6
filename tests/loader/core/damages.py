"""What may be wrong with a single record."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from loader.core.plan import Mode
from loader.core.records import Record

Damage = Callable[[Record, Mode], Record]

_SKIPPED = re.compile(rb'"(?:name|snapshot|db|table|file)":"([^"]*)"|"commit_ts_us":(\d+)|"raw":(\{[^{}]*\})')


def image_skipped(value: bytes, mode: Mode) -> range:
    """The image before, where the kernel does not read it."""
    skipped = mode is Mode.MERGE or b'"op":"d"' not in value
    return range(len(b'{"before":'), value.index(b',"after":')) if skipped and not value.startswith(b'{"before":null') else range(0)


def read_places(value: bytes, mode: Mode) -> list[int]:
    """Where damage is noticed by both ways or by neither: not in what the kernel skips, as loader/core/kernel.py says. Nor in the commit's
    time, of which the readable way takes any number."""
    places = set(range(len(value) + 1)) - set(image_skipped(value, mode))
    for match in _SKIPPED.finditer(value, value.index(b',"source":')):
        start, stop = match.span(match.lastindex or 0)
        places -= set(range(start, stop + 1))
    return sorted(places)


@dataclass(frozen=True)
class BytesChanged:
    """A byte flipped, set, put in, taken out, or everything cut from there; at a place that is read."""

    at: int
    how: str
    byte: int

    def __call__(self, record: Record, mode: Mode) -> Record:
        value = record.value or b""
        places = read_places(value, mode)
        place = places[self.at % len(places)]
        start, rest = value[:place], value[place:]
        match self.how:
            case "flip" if rest:
                start += bytes([rest[0] ^ 1 << self.byte % 8])
            case "set" | "insert":
                start += bytes([self.byte])
        return replace(record, value=start + {"insert": rest, "cut": b""}.get(self.how, rest[1:]))


HOWS = ("flip", "set", "insert", "remove", "cut")


def skipped_changed(at: int, byte: int) -> Damage:
    """A byte set in the image that the kernel skips, without a change to where it ends."""

    def damage(record: Record, mode: Mode) -> Record:
        value = record.value or b""
        places: Iterable[int] = [place for place in image_skipped(value, mode) if value[place : place + 1] not in b'{}[]"\\']
        if not (found := list(places)):
            return record
        place = found[at % len(found)]
        return replace(record, value=value[:place] + bytes([byte]) + value[place + 1 :])

    return damage


def rewritten(change: Callable[[dict[str, Any]], object], option: int = 0) -> Damage:
    def damage(record: Record, _: Mode) -> Record:
        body = orjson.loads(record.value or b"")
        change(body)
        return replace(record, value=orjson.dumps(body, option=option))

    return damage


def with_source(**values: Any) -> Damage:
    return rewritten(lambda body: body["source"].update(values))


def _reordered(body: dict[str, Any] | None) -> None:
    if body:
        first = next(iter(body))
        body[first] = body.pop(first)


def _doubled(record: Record, _: Mode) -> Record:
    return replace(record, value=(record.value or b"").replace(b',"source":', b',"after":null,"source":', 1))


OTHER: list[Damage] = [
    rewritten(lambda body: None, option=orjson.OPT_INDENT_2),
    rewritten(lambda body: None, option=orjson.OPT_APPEND_NEWLINE),
    rewritten(lambda body: None, option=orjson.OPT_SORT_KEYS),
    rewritten(_reordered),
    rewritten(lambda body: _reordered(body["source"])),
    rewritten(lambda body: _reordered(body["after"])),
    rewritten(lambda body: _reordered(body["before"])),
    rewritten(lambda body: body.pop("ts_ms")),
    *(rewritten(lambda body, op=op: body.update(op=op)) for op in ("x", "c", "u", "d")),  # type: ignore[misc]
    rewritten(lambda body: body["source"].pop("gtid")),
    *(with_source(seq=seq) for seq in (0, 3, 4, 5, 9, 2**63, -1, "3", None)),
    with_source(schema="0" * 16),
    with_source(version="tidemark-2"),
    with_source(ev=2**64 - 1, pos=2**63),
    with_source(key_change=True),
    with_source(key_change=False),
    with_source(oversize=0),
    with_source(gtid='"\\'),
    with_source(more=None),
    _doubled,
    lambda record, _: replace(record, value=None),
    lambda record, _: replace(record, value=b""),
    lambda record, _: replace(record, key=None),
    lambda record, _: replace(record, key=b"\xff"),
    lambda record, _: replace(record, key=b""),
]
