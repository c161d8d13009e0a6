"""Events captured from a MySQL 9.7 server, and how to make others of their form."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

from streamer.core.events import RowsEvent
from streamer.core.rows import RowChange, RowDecoder
from streamer.core.schemas import TableMap
from streamer.core.stream import EventStream, Located

DIRECTORY = Path(__file__).parents[2] / "golden" / "binlog"
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.hex"))


def golden(name: str) -> bytes:
    return bytes.fromhex((DIRECTORY / f"{name}.hex").read_text())


def event(kind: int, body: bytes, *, timestamp: int = 1_700_000_000, log_pos: int = 0, flags: int = 0) -> bytes:
    """A raw event with header and checksum."""
    head = struct.pack("<IBIIIH", timestamp, kind, 1, 19 + len(body) + 4, log_pos, flags)
    return head + body + struct.pack("<I", zlib.crc32(head + body))


def with_body(raw: bytes, body: bytes) -> bytes:
    """The event with another body, its size and checksum made right."""
    head = raw[:9] + struct.pack("<I", 19 + len(body) + 4) + raw[13:19]
    return head + body + struct.pack("<I", zlib.crc32(head + body))


def body_of(raw: bytes) -> bytes:
    return raw[19:-4]


def begun(table: bool = False) -> EventStream:
    """A stream that has read the head of a file and, if wanted, the table map of the captured rows."""
    stream = EventStream("binlog.000001")
    _ = list(stream.feed(golden("format_description")))
    if table:
        _ = list(stream.feed(golden("table_map")))
    return stream


def rows_of(found: Iterable[Located]) -> list[RowChange]:
    """All rows, and every table map looked into."""
    out: list[RowChange] = []
    for located in found:
        if isinstance(located.event, TableMap):
            _ = located.event.schema
        if isinstance(located.event, RowsEvent) and located.event.table is not None:
            out += RowDecoder(located.event.table).rows(located.event)
    return out
