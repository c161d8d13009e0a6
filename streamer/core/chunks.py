"""How many rows of a table are read at a time."""

from dataclasses import dataclass
from datetime import timedelta

ROWS_FIRST = 1_000
SIZE_BYTES = 8 << 20
TIME = timedelta(milliseconds=200)
"""For which the stream may wait while a chunk is sent and committed."""


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """Grows from small beginnings, so that neither wide rows nor a slow machine make a chunk that is too much. `rows_max`: never more."""

    rows_max: int
    rows: int = ROWS_FIRST

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", max(1, min(self.rows, self.rows_max)))

    def after(self, rows: int, size_bytes: int, took: timedelta) -> "ChunkSize":
        """The next one, after `rows` rows of `size_bytes` in all were sent and committed in that time."""
        if not rows:
            return self
        fitting = min(SIZE_BYTES * rows // max(size_bytes, 1), int(TIME / max(took, timedelta(microseconds=1)) * rows))
        return ChunkSize(self.rows_max, min(2 * self.rows, fitting))
