"""Transaction payload: the events of one transaction in one event, compressed or not.

Source: MySQL 9.7, libs/mysql/binlog/event/codecs/binary.cpp, "transaction_payload": fields of type, length, value, all length-encoded
integers, ended by type 0; then the payload. Compression 0 is zstd, 255 none. Inner events have headers, no checksums.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import zstandard

from contracts.errors import Corrupt
from streamer.core.cursor import Cursor

_ZSTD, _NONE = 0, 255
_WINDOW_BYTES_MAX = 1 << 27  # what zstd's highest level uses
_SIZE_AT = slice(9, 13)  # of an event's header
_HEADER_SIZE = 19
# Read behind the payload. It comes out only if every frame before it is whole, which the reader does not tell at the end of its input.
_END = b"\1"
_END_FRAME = zstandard.compress(_END)


@dataclass(frozen=True, slots=True)
class TransactionPayload:
    """`size_bytes`: what the payload says its events take when inflated."""

    compression: int
    size_bytes: int
    data: bytes = field(repr=False)

    def events(self, size_bytes_max: int) -> Iterator[bytes]:
        """The raw inner events in order, inflated one at a time: memory is one event and zstd's window (at most 128 MiB).
        Raises Corrupt: over `size_bytes_max`, damaged, or not of the declared size."""
        if self.size_bytes > size_bytes_max:
            raise Corrupt(
                f"transaction payload: {self.size_bytes} bytes when inflated, over the limit of {size_bytes_max}; "
                "raise the limit if this transaction is genuine"
            )
        if self.compression == _NONE:
            yield from _split(io.BytesIO(self.data + _END), self.size_bytes)
            return
        inflater = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES_MAX)
        try:
            with inflater.stream_reader(self.data + _END_FRAME, read_across_frames=True) as stream:
                yield from _split(stream, self.size_bytes)
        except zstandard.ZstdError as error:
            raise Corrupt(f"transaction payload: zstd: {error}") from error


def parse_payload(body: bytes) -> TransactionPayload:
    """TRANSACTION_PAYLOAD_EVENT, type 40. Raises Corrupt."""
    c = Cursor(body, "transaction payload")
    compression, inflated, size = _NONE, -1, -1
    while (kind := c.lenenc()) != 0:
        value = Cursor(c.lenenc_bytes(), c.what)
        if kind == 1:
            size = value.lenenc()
        elif kind == 2:
            compression = value.lenenc()
        elif kind == 3:
            inflated = value.lenenc()
    data = c.rest()
    if size != len(data):
        raise Corrupt(f"{c.what}: says {size} bytes, has {len(data)}")
    if compression not in (_ZSTD, _NONE):
        raise Corrupt(f"{c.what}: unknown compression {compression}")
    if compression == _NONE and inflated < 0:
        inflated = size
    if inflated < 0:
        raise Corrupt(f"{c.what}: does not say its inflated size")
    return TransactionPayload(compression, inflated, data)


def _split(stream: BinaryIO | zstandard.ZstdDecompressionReader, left: int) -> Iterator[bytes]:
    while left > 0:
        head = _exactly(stream, min(_HEADER_SIZE, left))
        size = int.from_bytes(head[_SIZE_AT], "little")
        if not _HEADER_SIZE <= size <= left:
            raise Corrupt(f"transaction payload: an inner event of {size} bytes where {left} are left")
        yield head + _exactly(stream, size - _HEADER_SIZE)
        left -= size
    end = stream.read(1)
    if end and stream.read(1):
        raise Corrupt("transaction payload: inflates to more than it says")
    if end != _END:
        raise Corrupt("transaction payload: its last frame is cut short")


def _exactly(stream: BinaryIO | zstandard.ZstdDecompressionReader, count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0:
        part = stream.read(min(count, 1 << 20))  # in steps: a size that lies must not reserve memory
        if not part:
            raise Corrupt("transaction payload: ends inside an inner event")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
