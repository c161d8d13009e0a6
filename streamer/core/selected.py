"""The answer to a SELECT (`select`) → the envelopes of its rows, ready for Kafka.

Two implementations give the same bytes: the ones here, in readable Python, and the kernel's, behind `streamer.core.kernel`.
Source: MySQL internals, "Text Resultset": the number of columns, a packet for each, EOF unless the client deprecates it, the rows, and EOF,
or OK in its place; ERR instead of any of them. A row is its values one after another, each after its length, 251 for NULL.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from contracts.envelope import Op, Value
from contracts.errors import Corrupt
from contracts.table import TableId
from streamer.core.cursor import Cursor
from streamer.core.decoder import Record, Records
from streamer.core.definition import Definition
from streamer.core.packets import PACKET_SIZE_MAX, next_packet
from streamer.core.route import Route
from streamer.core.texts import compile_text
from streamer.core.translate import KeyChange, Origin, message
from streamer.core.values import Raw


class SelectFailed(Exception):
    """The server answered with an error; `code` is MySQL's number of it. The connection is good for the next command."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (error {code})")
        self.code = code
        self.message = message


class RowPackets(Protocol):
    """Takes the server's whole answer to one SELECT as it comes, from the first byte after the command, and keeps its rows."""

    def take(self, received: memoryview | bytes) -> bool:
        """True once the answer has ended. Raises SelectFailed for the server's error; Corrupt for what is no answer to a SELECT, and for
        bytes after its end. Of no use after either."""

    @property
    def rows(self) -> int:
        """Taken so far."""

    @property
    def size_bytes(self) -> int:
        """Of their payloads."""

    def last(self, columns: Sequence[int]) -> tuple[bytes | None, ...]:
        """The texts of these columns, by their places in the SELECT, in the last row, which there must be. Raises Corrupt."""


class SelectedRows(Protocol):
    """Makes the envelopes of one table's rows, which `select` asked for by the same definition."""

    def encode(
        self, packets: RowPackets, struck: AbstractSet[bytes], origin: Origin, first_seq: int, now_ms: int, start: int, stop: int
    ) -> tuple[Records, int]:
        """Records of the rows [start, stop) of the packets, and how many of them were left out: those whose Kafka key is in `struck`, which
        take no seq. An envelope's `ev` is its row's number in the packets. Raises Corrupt naming table, row and column."""


class SelectedRowsFactory(Protocol):
    def __call__(self, definition: Definition, way: Route, message_bytes_max: int) -> SelectedRows:
        """`way`: the table's, its columns the definition's. `message_bytes_max`: of a record, key and value; a larger row goes without its
        values."""


_NULL, _EOF, _ERR = 0xFB, 0xFE, 0xFF
_EOF_SIZE = 5  # with warnings and status; an OK packet in its place has at least two bytes more


class PythonRowPackets:
    """A RowPackets."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._rows: list[bytes] = []
        self._columns: int | None = None
        self._described = 0
        self._ended = False
        self.size_bytes = 0

    @property
    def rows(self) -> int:
        return len(self._rows)

    def take(self, received: memoryview | bytes) -> bool:
        self._buffer += received
        at = 0
        while not self._ended and (found := next_packet(self._buffer, at)) is not None:
            packet, at = found
            self._take_packet(packet)
        del self._buffer[:at]
        if self._ended and self._buffer:
            raise Corrupt("bytes after the end of the answer to a SELECT")
        return self._ended

    def row(self, number: int) -> bytes:
        return self._rows[number]

    def last(self, columns: Sequence[int]) -> tuple[bytes | None, ...]:
        assert self._columns is not None
        texts = split_row(self._rows[-1], self._columns)
        return tuple(texts[place] for place in columns)

    def _take_packet(self, packet: bytes) -> None:
        if not packet:
            raise Corrupt("an empty packet in the answer to a SELECT")
        if packet[0] == _ERR:
            raise failure(packet)
        if self._columns is None:
            c = Cursor(packet, "the head of the answer to a SELECT")
            self._columns = c.lenenc()
            if c or not self._columns:
                raise Corrupt("the answer to a SELECT has no columns")
        elif self._described < self._columns:
            self._described += 1
        elif packet[0] == _EOF and len(packet) < PACKET_SIZE_MAX:
            if len(packet) == _EOF_SIZE and self._described == self._columns:
                self._described += 1  # the end of the columns, told only once
            else:
                self._ended = True
        else:
            self._described = self._columns + 1
            self._rows.append(packet)
            self.size_bytes += len(packet)


def failure(packet: bytes) -> SelectFailed | Corrupt:
    """What an ERR packet says."""
    if len(packet) < 3:
        return Corrupt("an error of the server is cut short")
    text = packet[9:] if packet[3:4] == b"#" else packet[3:]
    return SelectFailed(int.from_bytes(packet[1:3], "little"), text.decode("utf-8", "replace"))


def split_row(row: bytes, count: int) -> list[bytes | None]:
    """The texts of a row of so many columns. Raises Corrupt."""
    c = Cursor(row, "a selected row")
    texts: list[bytes | None] = []
    for _ in range(count):
        if c and row[c.at] == _NULL:
            c.at += 1
            texts.append(None)
        else:
            texts.append(c.lenenc_bytes())
    if c:
        raise Corrupt(f"{c.what}: {c.left} bytes are left over behind its {count} columns")
    return texts


class PythonSelectedRows:
    """A SelectedRows."""

    def __init__(self, definition: Definition, way: Route, message_bytes_max: int) -> None:
        assert way.schema.columns == definition.schema.columns, "the route is of another definition of the table"
        self._way = way
        self._message_bytes_max = message_bytes_max
        self._columns = [(column.name, compile_text(column)) for column in definition.schema.columns]

    def encode(
        self, packets: RowPackets, struck: AbstractSet[bytes], origin: Origin, first_seq: int, now_ms: int, start: int, stop: int
    ) -> tuple[Records, int]:
        assert isinstance(packets, PythonRowPackets)
        records: list[Record] = []
        size_bytes = left_out = 0
        for number in range(start, stop):
            change = self._change(packets.row(number), number)
            record = message(
                change,
                self._way,
                origin,
                seq=first_seq + len(records),
                ev=number,
                now_ms=now_ms,
                bytes_max=self._message_bytes_max,
            )
            if record.key in struck:
                left_out += 1
                continue
            records.append({"key": record.key, "value": record.value})
            size_bytes += len(record.value)
        return Records(self._way.topic, records, size_bytes), left_out

    def _change(self, row: bytes, number: int) -> KeyChange:
        after: dict[str, Value] = {}
        raw: dict[str, str] = {}
        name = ""
        try:
            texts = split_row(row, len(self._columns))
            for (name, convert), text in zip(self._columns, texts, strict=True):
                value = None if text is None else convert(text)
                if isinstance(value, Raw):
                    raw[name] = value.text
                    value = None
                after[name] = value
        except (Corrupt, ValueError) as error:
            at_fault = None if isinstance(error, Corrupt) else name
            raise unreadable(self._way.schema.table, number, at_fault, _reason(error)) from error
        return KeyChange(Op.READ, None, after, raw)


def unreadable(table: TableId, row: int, column: str | None, reason: str) -> Corrupt:
    """`column`: None where the row cannot be split into its columns. Never names the value: messages go to logs."""
    what = reason if column is None else f"column {column}: {reason}"
    return Corrupt(f"rows selected from {table}: row {row}, {what}", table=str(table), column=column or "")


def _reason(error: Exception) -> str:
    if isinstance(error, Corrupt):
        return error.message
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
