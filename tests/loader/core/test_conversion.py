import pytest

from loader.core.column_type import ColumnType
from loader.core.conversion import converts, holds


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("VARCHAR(80)", "VARCHAR(80)"),
        ("VARCHAR(81)", "VARCHAR(80)"),
        ("VARBYTE(9)", "VARBYTE(8)"),
        ("BIGINT", "INTEGER"),
        ("INTEGER", "SMALLINT"),
        ("DECIMAL(20,0)", "BIGINT"),
        ("DECIMAL(5,0)", "SMALLINT"),
        ("DATE", "DATE"),
    ],
)
def test_a_column_holds_what_fits_and_looks_the_same(column: str, other: str) -> None:
    assert holds(ColumnType.parse(column), ColumnType.parse(other))
    assert converts(ColumnType.parse(other), ColumnType.parse(column))


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("VARCHAR(79)", "VARCHAR(80)"),
        ("VARCHAR(80)", "VARBYTE(8)"),
        ("INTEGER", "BIGINT"),
        ("DECIMAL(18,0)", "BIGINT"),
        ("DECIMAL(19,0)", "BIGINT"),  # lacks -2**63
        ("DECIMAL(38,2)", "SMALLINT"),  # would show 5.00
        ("DECIMAL(10,2)", "DECIMAL(9,2)"),
        ("DOUBLE PRECISION", "REAL"),  # would show 1.10000002
        ("TIMESTAMP", "TIMESTAMPTZ"),
        ("BIGINT", "BOOLEAN"),
    ],
)
def test_a_column_does_not_hold_what_is_too_long_or_would_look_otherwise(column: str, other: str) -> None:
    assert not holds(ColumnType.parse(column), ColumnType.parse(other))


@pytest.mark.parametrize(
    ("held", "into"),
    [
        ("REAL", "DOUBLE PRECISION"),
        ("DATE", "TIMESTAMP"),
        ("BIGINT", "DECIMAL(21,2)"),
        ("DECIMAL(9,2)", "DECIMAL(11,4)"),
        ("BIGINT", "VARCHAR(21)"),
        ("DECIMAL(38,10)", "VARCHAR(40)"),
    ],
)
def test_a_value_is_converted_where_none_is_lost(held: str, into: str) -> None:
    assert converts(ColumnType.parse(held), ColumnType.parse(into))


@pytest.mark.parametrize(
    ("held", "into"),
    [
        ("BIGINT", "INTEGER"),
        ("BIGINT", "DECIMAL(20,2)"),
        ("DECIMAL(9,2)", "DECIMAL(10,4)"),
        ("DECIMAL(9,2)", "DECIMAL(9,1)"),
        ("BIGINT", "VARCHAR(20)"),
        ("VARCHAR(80)", "INTEGER"),
        ("TIMESTAMP", "DATE"),
        ("TIMESTAMP", "VARCHAR(80)"),
        ("VARBYTE(8)", "VARCHAR(80)"),
        ("BOOLEAN", "INTEGER"),
    ],
)
def test_a_value_that_could_be_lost_or_become_another_is_not_converted(held: str, into: str) -> None:
    assert not converts(ColumnType.parse(held), ColumnType.parse(into))
