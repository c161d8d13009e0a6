"""What streamer and loader do for every event and every row, in Rust. `streamer.core.kernel` and `loader.core.kernel` fit it to the
project's own values.

Every method of Decoder and Packets, and `commits_met`, raises KernelError: ("malformed", message), ("absent", database, table, column),
("other rows",), ("too few rows", rows).
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

_Gtid = tuple[str, int, str]  # server, number, tag
_InProgress = tuple[_Gtid, int, str]  # rows done, their hash
_Column = tuple[str, int, int, int, int, bool, tuple[str, Any] | None, Sequence[str]]
"""Name, storage type, size, precision, scale, unsigned, `charsets.plan` or None for bytes, labels."""

VERSION: int

class KernelError(Exception): ...

class Decoder:
    def __init__(
        self, pipeline: str, record_bytes_max: int, in_progress: tuple[str, int, str] | None, payload_bytes_max: int, chunk_bytes: int
    ) -> None: ...
    def feed(self, events: bytes, now_ms: int) -> None: ...
    def next(self, close_at: int, stop_at: int) -> tuple[Any, ...] | None:
        """("chunk", [(topic, [{"key", "value"}], size_bytes)], commits or None, under_way, in_progress or None),
        ("unrouted", map, body, in_progress or None) or ("shown", header, body, file, start, end, under_way or None);
        commits: ([(server, tag, first, last)], count, lowest_us, newest_us, backstep_us, file, offset);
        under_way: (gtid, commit_us, begun, rows)."""

    def use_map(
        self,
        map: int,
        topic: str,
        database: str,
        table: str,
        fingerprint: str,
        columns: Sequence[_Column],
        key: Sequence[str],
        next_seq: int,
    ) -> None: ...
    def ignore_map(self, map: int) -> None: ...
    def forget(self, topic: str) -> None: ...
    def began(self) -> None: ...
    def ended(self) -> None: ...
    @property
    def position(self) -> tuple[str, int]: ...

class Packets:
    def take(self, received: memoryview) -> bytes: ...
    @property
    def answer(self) -> bytes | None: ...

def commits_met(block: bytes, at: int, since_us: int) -> tuple[int, int | None, list[tuple[str, int, int]], bool]:
    """streamer.core.commits.Met: where it ends, first_us, [(server, first, stop)], reached."""

class RowPackets:
    """The server's answer to one SELECT. Its methods raise KernelError: ("malformed", message), ("refused", ERR packet)."""

    def take(self, received: memoryview | bytes) -> bool: ...
    @property
    def rows(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    def last(self, columns: Sequence[int]) -> tuple[bytes | None, ...]:
        """Raises IndexError where there is no row, or no such column."""

class SelectedRows:
    """Records of a table's selected rows."""

    def __init__(
        self, database: str, table: str, fingerprint: str, columns: Sequence[_Column], key: Sequence[str], record_bytes_max: int
    ) -> None:
        """Raises KernelError: ("malformed", message) for a column no server has."""

    def encode(
        self,
        packets: RowPackets,
        struck: AbstractSet[bytes],
        origin: tuple[str, int, str, str, int, int, int],
        first_seq: int,
        now_ms: int,
        start: int,
        stop: int,
    ) -> tuple[list[dict[str, bytes | None]], int, int]:
        """([{"key", "value"}], bytes of the values, rows left out). `origin`: pipeline, server_id, gtid, file, pos, ts_ms, commit_us.
        Raises KernelError: ("row", number, column or None where the row cannot be split, reason); IndexError where there is no such row."""

_Buffers = tuple[bytes | None, list[bytes]]
"""Arrow's buffers of a column: validity, None where nothing is NULL, and the others in Arrow's order."""

class EnvelopeRows:
    """Row changes of one topic and one schema, read from Kafka values into columns: loader.core.changes.OpenChanges."""

    def __init__(
        self,
        schema: str,
        columns: Sequence[tuple[bytes, str, int, int, bool, bool]],
        keyed: bool,
        whole_deletes: bool,
        next_seq: int,
        record_bytes_max: int,
    ) -> None:
        """`columns`: what stands before the value, from the brace or comma to the colon; form and its two limits; in the key; takes NULL.
        Raises ValueError for a form it does not have. Keyed rows need a message key. Deletes leave the row before them, or only its key's
        columns. `record_bytes_max`: of key and value."""

    def add(self, keys: Sequence[bytes | None], values: Sequence[bytes | None], offsets: Sequence[int], begin: int) -> int:
        """Takes records in from index `begin` on, and returns how many: it stops at the first that is of another schema, breaks the
        sequence, is too large, does not fit its columns, or is not written as the streamer does; and where memory would outgrow Arrow's
        offsets."""

    def leave(self, key: bytes | None, offset: int, commit_us: int, size_bytes: int) -> None:
        """A row whose columns stay empty. Without `key` it is the only one of its key."""

    def place(self, row: int) -> tuple[int, int]:
        """Offset and commit time of a row that is there."""

    def size_bytes(self, count: int) -> int:
        """Bytes of the records of the first `count` rows."""

    @property
    def memory_bytes(self) -> int: ...
    def __len__(self) -> int: ...
    def take(self, count: int) -> EnvelopeColumns: ...

class EnvelopeColumns:
    def latest(self) -> bytes | None:
        """A bitmap, least significant bit first, of the rows that are the last of their key; None when all are."""

    def keys(self) -> _Buffers: ...
    def columns(self) -> list[_Buffers]:
        """Those asked for, then `_tidemark_deleted` of keyed rows, else op, seq, commit time, GTID. To be called once: they move out."""

    def __len__(self) -> int: ...

def decode_value(column: _Column, data: bytes, at: int) -> tuple[bytes, str | None, int]:
    """For tests: the JSON of the value at `at`, the text of what JSON cannot carry, and where the value ends. Raises ValueError."""

def updated_json(document: bytes, diffs: bytes) -> bytes:
    """For tests: a JSON document after diffs, as the JSON string an envelope carries. Raises ValueError."""
