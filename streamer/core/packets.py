"""MySQL's packets → the raw binlog events in them.

Source: MySQL internals, "Protocol Basics": three bytes of length, one of sequence number, then so many bytes; a full 16 MiB less one byte
says that the next packet goes on. In a binlog dump the first byte is 0 before an event; anything else is an answer of another kind.
"""

from typing import Protocol

from contracts.errors import Corrupt
from streamer.core.events import HEADER_SIZE

PACKET_SIZE_MAX = 0xFF_FFFF


class Packets(Protocol):
    """Takes the bytes of one dump connection as they come."""

    def take(self, received: memoryview) -> bytes:
        """What is whole by now: raw events back to back, empty for none. Raises Corrupt."""

    @property
    def answer(self) -> bytes | None:
        """The packet that is no event, if the server has sent one: nothing comes after it."""


class PythonPackets:
    """A Packets."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.answer: bytes | None = None

    def take(self, received: memoryview) -> bytes:
        self._buffer += received
        events: list[bytes] = []
        at = 0
        while self.answer is None and (found := next_packet(self._buffer, at)) is not None:
            packet, at = found
            if not packet:
                raise Corrupt("an empty packet in the binlog dump")
            if packet[0] != 0:
                self.answer = packet
                break
            size = int.from_bytes(packet[10:14], "little")
            if len(packet) <= HEADER_SIZE or size != len(packet) - 1:
                raise Corrupt(f"a packet of {len(packet) - 1} bytes in the binlog dump holds an event that says it has {size}")
            events.append(packet[1:])
        del self._buffer[:at]
        return b"".join(events)


def next_packet(buffer: bytearray, at: int) -> tuple[bytes, int] | None:
    """The next whole packet, joined where the protocol split it, and where it ends."""
    spans: list[slice] = []
    while True:
        if len(buffer) - at < 4:
            return None
        size = int.from_bytes(buffer[at : at + 3], "little")
        if len(buffer) - at - 4 < size:
            return None
        spans.append(slice(at + 4, at + 4 + size))
        at += 4 + size
        if size < PACKET_SIZE_MAX:
            return b"".join(buffer[span] for span in spans), at
