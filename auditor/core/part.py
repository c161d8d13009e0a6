"""A table too large to be held is compared part by part, each a range of its key's leading column."""

from collections.abc import Callable
from dataclasses import dataclass

from contracts.table import Column, Kind, TableSchema

_ORDERED_ALIKE = {Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT}
"""Kinds whose values both sides put in one order, whatever collations and time zones they have."""
PART_BYTES = 64 << 20
ROWS_MIN, ROWS_MAX = 10_000, 500_000


@dataclass(frozen=True, slots=True)
class Part:
    """The rows whose `column` is above `above` and not above `up_to`; None is no bound. Without both, all rows."""

    column: str = ""
    above: int | None = None
    up_to: int | None = None

    def conditions(self, quoted: Callable[[str], str]) -> tuple[str, ...]:
        """Of a WHERE; `quoted` gives the column in that side's SQL."""
        bounds = ((">", self.above), ("<=", self.up_to))
        return tuple(f"{quoted(self.column)} {sign} {bound}" for sign, bound in bounds if bound is not None)


WHOLE = Part()


def leading(schema: TableSchema) -> Column | None:
    """The column to divide a table by; None for one that can only be compared whole."""
    column = schema.by_name[schema.key[0]]
    return column if column.kind in _ORDERED_ALIKE else None


def rows_of_a_part(row_bytes: int) -> int:
    """`row_bytes`: what a row takes on average, 0 when nobody knows. Both sides' drivers hold some times as much."""
    return max(ROWS_MIN, min(ROWS_MAX, PART_BYTES // max(row_bytes, 1)))
