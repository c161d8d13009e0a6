"""GTIDs as the binlog writes them: of one transaction, untagged and tagged, and the set at a file's head.

Source: MySQL 9.7, libs/mysql/binlog/event/control_events.h (Gtid_event, Previous_gtids_event) and libs/mysql/serialization.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from contracts.errors import Corrupt
from contracts.position import Gtid, GtidSet, Interval
from streamer.core.cursor import Cursor

_MORE_7 = 1 << 55  # set in the immediate commit timestamp: the original one follows
_TAG_LENGTH_MAX = 32
_GNO_MAX = (1 << 63) - 1
_HEAD = struct.Struct("<20x16sQB16xIHB")  # header and flags; server, number; kind, two logical timestamps; 7 bytes of commit time
_HEAD_END = _HEAD.size


@dataclass(frozen=True, slots=True)
class GtidEvent:
    """Begins a transaction. Commit timestamps in microseconds since the epoch: on the server we read from (`immediate`) and on the
    one that first committed it (`original`). `transaction_length`: bytes of the whole transaction in the binlog, this event included."""

    gtid: Gtid
    immediate_commit_us: int
    original_commit_us: int
    transaction_length: int
    last_committed: int
    sequence_number: int


@dataclass(frozen=True, slots=True)
class AnonymousGtid:
    """A transaction without a GTID: written while gtid_mode was not ON. It cannot be resumed from."""

    immediate_commit_us: int


@dataclass(frozen=True, slots=True)
class PreviousGtids:
    """What the server had executed when the binlog file began."""

    gtids: GtidSet


def parse_gtid(body: bytes) -> GtidEvent:
    """GTID_LOG_EVENT, type 33. Raises Corrupt."""
    c = Cursor(body, "GTID event")
    c.u8()  # flags: whether the transaction may hold statement-format changes
    server = _server(c.take(16))
    number = _gno(c.u64())
    last_committed, sequence_number, immediate, original, length = _timing(c)
    return GtidEvent(Gtid(server, number), immediate, original, length, last_committed, sequence_number)


def read_commit(events: bytes, at: int, size: int) -> tuple[Gtid, int]:
    """GTID and commit time, in microseconds, of the raw GTID_LOG_EVENT at this place, read without making anything else of it: for whoever
    looks at a million of them. Its checksum is not looked at. Raises Corrupt."""
    if size < _HEAD_END:
        raise Corrupt(f"GTID event of {size} bytes")
    octets, number, kind, low, middle, high = _HEAD.unpack_from(events, at)
    if kind != 2:
        raise Corrupt(f"GTID event: logical timestamps of unknown kind {kind}")
    immediate = low | middle << 32 | high << 48
    return Gtid(_server(octets), _gno(number)), immediate & ~_MORE_7


@lru_cache(maxsize=1024)  # a binlog names a few servers, each in every transaction
def _server(octets: bytes) -> str:
    return str(UUID(bytes=octets))


def parse_anonymous(body: bytes) -> AnonymousGtid:
    """ANONYMOUS_GTID_LOG_EVENT, type 34. Raises Corrupt."""
    c = Cursor(body, "anonymous GTID event")
    c.take(1 + 16 + 8)
    return AnonymousGtid(_timing(c)[2])


def _timing(c: Cursor) -> tuple[int, int, int, int, int]:
    if (kind := c.u8()) != 2:
        raise Corrupt(f"{c.what}: logical timestamps of unknown kind {kind}")
    last_committed, sequence_number = c.u64(), c.u64()
    immediate = c.uint(7)
    original = immediate
    if immediate & _MORE_7:
        immediate &= ~_MORE_7
        original = c.uint(7)
    length = c.lenenc()
    return last_committed, sequence_number, immediate, original, length


def parse_tagged(body: bytes) -> GtidEvent:
    """GTID_TAGGED_LOG_EVENT, type 42: a message of numbered fields, a field left out has its default. Raises Corrupt."""
    c = Cursor(body, "tagged GTID event")
    if (version := c.varlen()) != 1:
        raise Corrupt(f"{c.what}: serialization version {version}; this release reads version 1")
    c.varlen()  # size of the message
    needed = c.varlen()  # fields up to this number must be understood
    server, number, tag = "", 0, ""
    numbers: dict[int, int] = {}
    while c:
        field = c.varlen()
        if field == 1:
            octets = [c.varlen() for _ in range(16)]
            if max(octets) > 255:
                raise Corrupt(f"{c.what}: the server UUID holds {max(octets)} as a byte")
            server = str(UUID(bytes=bytes(octets)))
        elif field == 2:
            number = _gno(c.varlen_signed())
        elif field == 3:
            if (length := c.varlen()) > _TAG_LENGTH_MAX:
                raise Corrupt(f"{c.what}: a tag of {length} characters")
            tag = c.utf8(length)
        elif field in (4, 5):
            numbers[field] = c.varlen_signed()
        elif field <= 11:
            numbers[field] = c.varlen()
        elif field > needed:
            break  # fields of a newer server that it says may be ignored come last
        else:
            raise Corrupt(f"{c.what}: unknown field {field} that must not be ignored")
    if not server or not number or 6 not in numbers:
        raise Corrupt(f"{c.what}: server, number or commit time is missing")
    return GtidEvent(
        Gtid(server, number, tag), numbers[6], numbers.get(7, numbers[6]), numbers.get(8, 0), numbers.get(4, 0), numbers.get(5, 0)
    )


def parse_previous(body: bytes) -> PreviousGtids:
    """PREVIOUS_GTIDS_LOG_EVENT, type 35. Sets with tags say so by a 1 in the first and last byte of the count. Raises Corrupt."""
    c = Cursor(body, "previous GTIDs event")
    count = c.u64()
    form = count >> 56
    if form == 1:
        count = count >> 8 & 0xFFFF_FFFF_FFFF
    elif form:
        raise Corrupt(f"{c.what}: GTID set of unknown form {form}")
    intervals: dict[tuple[str, str], list[Interval]] = {}
    for _ in range(count):
        server = str(UUID(bytes=c.take(16)))
        tag = ""
        if form == 1:
            if (length := c.varlen()) > _TAG_LENGTH_MAX:
                raise Corrupt(f"{c.what}: a tag of {length} characters")
            tag = c.utf8(length)
        runs = intervals.setdefault((server, tag), [])
        for _ in range(c.u64()):
            runs.append((c.u64(), c.u64()))
    if c:
        raise Corrupt(f"{c.what}: {c.left} bytes after its end")
    try:
        return PreviousGtids(GtidSet.of(intervals))
    except ValueError as error:
        raise Corrupt(f"{c.what}: {error}") from error


def _gno(number: int) -> int:
    if not 1 <= number <= _GNO_MAX:
        raise Corrupt(f"GTID event: transaction number {number}")
    return number
