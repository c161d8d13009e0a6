"""A cursor: reads through bytes and refuses to pass their end."""

import struct

from contracts.errors import Corrupt

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_LENENC_WIDTH = {252: 2, 253: 3, 254: 8}


class Cursor:
    """`data` from `at` on. Little-endian, as the binlog is. Every method raises Corrupt, naming `what`, rather than read short."""

    __slots__ = ("at", "data", "what")

    def __init__(self, data: bytes, what: str, at: int = 0) -> None:
        self.data = data
        self.what = what
        self.at = at

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise Corrupt(f"{self.what}: needs {count} bytes at byte {self.at}, has {self.left}")
        out = self.data[self.at : end]
        self.at = end
        return out

    def rest(self) -> bytes:
        return self.take(self.left)

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int(_U16.unpack(self.take(2))[0])

    def u32(self) -> int:
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack(self.take(8))[0])

    def uint(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def lenenc(self) -> int:
        """Source: MySQL internals, "Length-encoded integer". 251 (NULL) and 255 are no integers."""
        first = self.u8()
        if first < 251:
            return first
        if (width := _LENENC_WIDTH.get(first)) is None:
            raise Corrupt(f"{self.what}: {first} does not begin a length at byte {self.at - 1}")
        return self.uint(width)

    def lenenc_bytes(self) -> bytes:
        return self.take(self.lenenc())

    def varlen(self) -> int:
        """An unsigned integer of mysql::serialization: as many trailing 1 bits of the first byte as bytes follow it."""
        first = self.u8()
        extra = 0
        while extra < 8 and first >> extra & 1:
            extra += 1
        if extra == 8:
            return self.u64()
        return (first | self.uint(extra) << 8) >> (extra + 1)

    def varlen_signed(self) -> int:
        """The sign is the lowest bit; a negative number is stored as its complement."""
        raw = self.varlen()
        return ~(raw >> 1) if raw & 1 else raw >> 1

    def utf8(self, count: int) -> str:
        """Raises Corrupt as well when the bytes are not UTF-8."""
        at = self.at
        try:
            return self.take(count).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Corrupt(f"{self.what}: text at byte {at} is not UTF-8: {error.reason}") from error
