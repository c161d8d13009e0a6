"""A table too large to be held is compared part by part, each a range of its key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from contracts.table import Column, Kind, TableSchema

_ORDERED_ALIKE = {Kind.TINYINT, Kind.SMALLINT, Kind.MEDIUMINT, Kind.INT, Kind.BIGINT}
"""Kinds whose values both sides put in one order, whatever collations and time zones they have."""
PART_BYTES = 64 << 20
ROWS_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Part:
    """The rows whose `columns` are, in their order, above `above` and not above `up_to`; None is no bound. Without both, all rows."""

    columns: tuple[str, ...] = ()
    above: tuple[int, ...] | None = None
    up_to: tuple[int, ...] | None = None

    def condition(self, quoted: Callable[[str], str]) -> str:
        """Of a WHERE; `quoted` gives a column in that side's SQL."""
        names = [quoted(name) for name in self.columns]
        bounds = ((">", self.above), ("<", self.up_to))
        return " AND ".join(_beyond(names, sign, bound, "<=" if sign == "<" else ">") for sign, bound in bounds if bound) or "TRUE"


def _beyond(names: Sequence[str], sign: str, bound: Sequence[int], last: str) -> str:
    """A comparison of rows written out, with the first column's bound apart, for that is what an index or a zone map can be asked."""
    name, value = names[0], bound[0]
    if len(names) == 1:
        return f"{name} {last} {value}"
    return f"({name} {sign}= {value} AND ({name} {sign} {value} OR {_beyond(names[1:], sign, bound[1:], last)}))"


WHOLE = Part()


def leading(schema: TableSchema) -> tuple[Column, ...]:
    """The key's columns to divide a table by; none for one that can only be compared whole. A configured key may have NULLs, which lie in
    no range."""
    columns = (schema.by_name[name] for name in schema.key)
    return tuple(takewhile(lambda column: column.kind in _ORDERED_ALIKE and not column.nullable, columns))


def rows_of_a_part(row_bytes: int) -> int:
    """`row_bytes`: what a row takes on average, 0 when nobody knows. Both sides' drivers hold some times as much."""
    return max(1, min(ROWS_MAX, PART_BYTES // max(row_bytes, 1)))
