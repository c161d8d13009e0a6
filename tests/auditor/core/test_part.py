"""What a table is divided by, and how large a part is."""

import pytest

from auditor.core.part import PART_BYTES, ROWS_MAX, WHOLE, Part, leading, rows_of_a_part
from contracts.table import Column, Kind, TableId, TableSchema
from runtime.uniquekeys import quote


def test_bounds_are_half_open_and_the_whole_has_none() -> None:
    assert Part(("id",), (4,), (9,)).condition(quote) == "`id` > 4 AND `id` <= 9"
    assert Part(("id",), None, (-1,)).condition(quote) == "`id` <= -1"
    assert WHOLE.condition(quote) == Part(("id",)).condition(quote) == "TRUE"


def test_rows_are_compared_as_rows_are() -> None:
    part = Part(("a", "b"), (1, 2), (3, 4))
    assert part.condition(quote) == "(`a` >= 1 AND (`a` > 1 OR `b` > 2)) AND (`a` <= 3 AND (`a` < 3 OR `b` <= 4))"


@pytest.mark.parametrize(
    ("kinds", "divided"),
    [((Kind.BIGINT, Kind.INT), 2), ((Kind.TINYINT, Kind.CHAR), 1), ((Kind.VARCHAR, Kind.INT), 0), ((Kind.BINARY, Kind.INT), 0)],
)
def test_a_table_is_divided_by_what_both_sides_order_alike(kinds: tuple[Kind, Kind], divided: int) -> None:
    columns = (Column("note", Kind.TEXT), Column("b", kinds[1], nullable=False), Column("a", kinds[0], nullable=False))
    assert leading(TableSchema(TableId("shop", "orders"), columns, ("a", "b"))) == (columns[2], columns[1])[:divided]


def test_a_column_that_may_be_null_divides_nothing() -> None:
    """NULL is neither above a bound nor below it. A configured key may have it."""
    columns = (Column("a", Kind.INT, nullable=False), Column("b", Kind.INT))
    assert leading(TableSchema(TableId("shop", "orders"), columns, ("a", "b"))) == columns[:1]


def test_a_part_has_fewer_rows_the_wider_they_are() -> None:
    assert rows_of_a_part(0) == rows_of_a_part(1) == ROWS_MAX
    assert rows_of_a_part(1024) == PART_BYTES // 1024
    assert rows_of_a_part(PART_BYTES * 2) == 1
