"""What a table is divided by, and how large a part is."""

import pytest

from auditor.core.part import PART_BYTES, ROWS_MAX, ROWS_MIN, WHOLE, Part, leading, rows_of_a_part
from auditor.edges.mysql import quote
from contracts.table import Column, Kind, TableId, TableSchema


def test_conditions_are_half_open_and_the_whole_has_none() -> None:
    assert Part("id", 4, 9).conditions(quote) == ("`id` > 4", "`id` <= 9")
    assert Part("id", None, -1).conditions(quote) == ("`id` <= -1",)
    assert WHOLE.conditions(quote) == Part("id").conditions(quote) == ()


@pytest.mark.parametrize(("kind", "divided"), [(Kind.BIGINT, True), (Kind.TINYINT, True), (Kind.VARCHAR, False), (Kind.BINARY, False)])
def test_a_table_is_divided_where_both_sides_order_its_leading_column_alike(kind: Kind, divided: bool) -> None:
    columns = (Column("note", Kind.TEXT), Column("b", Kind.INT), Column("a", kind))
    column = leading(TableSchema(TableId("shop", "orders"), columns, ("a", "b")))
    assert column == (columns[2] if divided else None)


def test_a_part_has_fewer_rows_the_wider_they_are() -> None:
    assert rows_of_a_part(0) == rows_of_a_part(1) == ROWS_MAX
    assert rows_of_a_part(1024) == PART_BYTES // 1024
    assert rows_of_a_part(PART_BYTES) == ROWS_MIN
