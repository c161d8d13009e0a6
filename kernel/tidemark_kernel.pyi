"""What the streamer does for every event and every row, in Rust. `streamer.core.kernel` fits it to the project's own values.

Every method raises KernelError: ("malformed", message), ("absent", database, table, column), ("other rows",), ("too few rows", rows).
"""

from collections.abc import Sequence
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

def decode_value(column: _Column, data: bytes, at: int) -> tuple[bytes, str | None, int]:
    """For tests: the JSON of the value at `at`, the text of what JSON cannot carry, and where the value ends. Raises ValueError."""

def updated_json(document: bytes, diffs: bytes) -> bytes:
    """For tests: a JSON document after diffs, as the JSON string an envelope carries. Raises ValueError."""
