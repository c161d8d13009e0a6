"""The event stream: raw events in binlog order → typed events with their positions."""

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from contracts.errors import Corrupt
from contracts.position import BinlogPosition
from streamer.core.events import (
    ARTIFICIAL,
    CHECKSUM_SIZE,
    DUMMY_TABLE_ID,
    HEADER_SIZE,
    Event,
    FormatDescription,
    Header,
    Heartbeat,
    Rotate,
    RowsEvent,
    Type,
    parse,
    parse_format_description,
)
from streamer.core.payload import TransactionPayload
from streamer.core.schemas import TableMap

PAYLOAD_BYTES_MAX = 16 << 30  # inflated piece by piece, so this guards against nonsense, not against memory
_TABLE_MAPS_MAX = 4096  # distinct table maps kept, the least used forgotten first
_WRAP = 1 << 32  # positions in headers have 32 bits; files may be longer
_IN_USE = 0x1  # flag of a FORMAT_DESCRIPTION, set in the file after its checksum was computed


@dataclass(frozen=True, slots=True)
class Located:
    """An event and where it stands. `start`, `end`: its bytes in the file; an event out of a transaction payload has the payload's.
    Of an event that is in no file (a dump's own rotate, heartbeats) both are where the stream is after it."""

    event: Event
    header: Header
    start: BinlogPosition
    end: BinlogPosition


class EventStream:
    """What one connection or a sequence of files says. Feed every raw event once, in order; after an error the stream is of no use.

    Holds the file and position, whether events carry checksums, the table maps of the statement under way, and the decoded maps by their
    bytes: the same bytes give the same TableMap object, so decoders can be kept by it. A transaction payload is unwrapped: its events come
    out in place of it. A RowsEvent comes with its table.
    """

    def __init__(self, file: str = "", offset: int = 4, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        """`file`, `offset`: where reading begins, if known; a dump says it itself by its first event."""
        self._file = file
        self._offset = offset
        self._payload_bytes_max = payload_bytes_max
        self._checksum: bool | None = None  # unknown before the first FORMAT_DESCRIPTION
        self._tables: dict[int, TableMap] = {}
        self._known: OrderedDict[bytes, TableMap] = OrderedDict()
        self._unwrapping = False

    @property
    def position(self) -> BinlogPosition:
        """Where the next event begins."""
        return BinlogPosition(self._file, self._offset)

    def feed(self, raw: bytes) -> Iterable[Located]:
        """The events in one raw event: one, or those of a transaction payload, inflated as they are taken. Take them all before feeding
        the next. Raises Corrupt naming the position, from here or while taking; what columns a table map has is looked at by whoever
        uses it."""
        if self._unwrapping:
            raise ValueError("the events of the previous transaction payload were not all taken")
        at = self.position
        try:
            header = Header.parse(raw)
            event = self._parse(header, raw)
        except Corrupt as error:
            raise _located(error, at) from error
        start, end = self._advance(header, event)
        if not isinstance(event, TransactionPayload):
            return (Located(event, header, start, end),)
        self._unwrapping = True
        return self._inner(event, start, end)

    def _inner(self, payload: TransactionPayload, start: BinlogPosition, end: BinlogPosition) -> Iterator[Located]:
        inner_events = payload.events(self._payload_bytes_max)
        while True:
            try:
                if (inner_raw := next(inner_events, None)) is None:
                    break
                inner = Header.parse(inner_raw)
                inner_event = self._unwrap(inner, inner_raw)
            except Corrupt as error:
                raise _located(error, start) from error
            yield Located(inner_event, inner, start, end)
        self._unwrapping = False

    def _parse(self, header: Header, raw: bytes) -> Event:
        if header.type == Type.FORMAT_DESCRIPTION:
            event = parse_format_description(raw)
            if event.checksum:
                _verify(raw, header)
            self._checksum = event.checksum
            self._tables.clear()
            return event
        if self._checksum is None:
            # A dump's first event, a rotate of its own making, comes before anything says whether it has a checksum.
            if header.type not in (Type.ROTATE, Type.HEARTBEAT, Type.HEARTBEAT_V2):
                raise Corrupt(f"event of type {header.type} before any format description")
            size = CHECKSUM_SIZE if _checks(raw) else 0
        elif self._checksum:
            _verify(raw, header)
            size = CHECKSUM_SIZE
        else:
            size = 0
        return self._resolve(header, raw[HEADER_SIZE : len(raw) - size])

    def _unwrap(self, header: Header, raw: bytes) -> Event:
        if header.type in (Type.TRANSACTION_PAYLOAD, Type.FORMAT_DESCRIPTION, Type.ROTATE):
            raise Corrupt(f"transaction payload: an event of type {header.type} cannot be inside one")
        return self._resolve(header, raw[HEADER_SIZE:])

    def _resolve(self, header: Header, body: bytes) -> Event:
        """The event, with what earlier events of its statement say about it."""
        if header.type == Type.TABLE_MAP:
            return self._table_map(header, body)
        event = parse(header, body)
        if isinstance(event, RowsEvent):
            table = self._tables.get(event.table_id)
            if table is not None:
                event = replace(event, table=table)
            elif event.table_id != DUMMY_TABLE_ID:
                raise Corrupt(f"rows event: no table map for table id {event.table_id} in this statement")
            if event.end_of_statement:
                self._tables.clear()
        return event

    def _table_map(self, header: Header, body: bytes) -> TableMap:
        table = self._known.get(body)
        if table is None:
            parsed = parse(header, body)
            assert isinstance(parsed, TableMap)
            table = self._known[body] = parsed
            if len(self._known) > _TABLE_MAPS_MAX:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(body)
        self._tables[table.table_id] = table
        return table

    def _advance(self, header: Header, event: Event) -> tuple[BinlogPosition, BinlogPosition]:
        start = self.position
        if isinstance(event, Rotate):
            end = BinlogPosition(event.file, event.offset)
            self._file, self._offset = event.file, event.offset
            if header.timestamp_s == 0 or header.flags & ARTIFICIAL:
                return end, end
            return start, BinlogPosition(start.file, start.offset + header.size)
        if isinstance(event, Heartbeat):
            # It names a position the dump has passed, with nothing in between for us.
            self._file, self._offset = event.file, max(event.offset, self._offset if event.file == self._file else 0)
            return self.position, self.position
        if header.log_pos == 0 or header.flags & ARTIFICIAL:
            return start, start  # FORMAT_DESCRIPTION of a dump that begins inside a file
        offset = (self._offset & ~(_WRAP - 1)) | header.log_pos
        if offset < self._offset:
            offset += _WRAP
        self._offset = offset
        start_offset = offset - header.size
        if isinstance(event, FormatDescription) or start_offset < 0:
            start_offset = 4
        return BinlogPosition(start.file, start_offset), self.position


def _checks(raw: bytes) -> bool:
    return zlib.crc32(raw[:-CHECKSUM_SIZE]) == int.from_bytes(raw[-CHECKSUM_SIZE:], "little")


def _verify(raw: bytes, header: Header) -> None:
    if len(raw) < HEADER_SIZE + CHECKSUM_SIZE:
        raise Corrupt(f"event of type {header.type}: {len(raw)} bytes leave no room for its checksum")
    if _checks(raw):
        return
    if header.type == Type.FORMAT_DESCRIPTION and header.flags & _IN_USE:
        flags = (header.flags & ~_IN_USE).to_bytes(2, "little")
        if _checks(raw[:17] + flags + raw[19:]):
            return
    raise Corrupt(f"event of type {header.type}: its checksum does not match its bytes")


def _located(error: Corrupt, position: BinlogPosition) -> Corrupt:
    return Corrupt(f"{error.message}, at binlog position {position}", **error.fields, position=str(position))
