import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Invalid
from contracts.table import Column, Kind
from loader.core.column_type import ColumnType, Name
from tests.loader.core.typecases import CASES, TypeCase

COLUMN_TYPES = st.one_of(
    st.sampled_from([ColumnType(name) for name in Name if name not in (Name.DECIMAL, Name.VARCHAR, Name.VARBYTE)]),
    st.integers(1, 65_535).map(lambda n: ColumnType(Name.VARCHAR, length=n)),
    st.integers(1, 16_777_216).map(lambda n: ColumnType(Name.VARBYTE, length=n)),
    st.tuples(st.integers(1, 38), st.integers(0, 37))
    .filter(lambda p: p[1] <= p[0])
    .map(lambda p: ColumnType(Name.DECIMAL, precision=p[0], scale=p[1])),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_mysql_type_has_its_redshift_type(case: TypeCase) -> None:
    assert ColumnType.of(case.column).sql == case.sql


def test_every_mysql_type_is_in_the_table_of_cases() -> None:
    assert {case.column.kind for case in CASES} == set(Kind)


@given(COLUMN_TYPES)
def test_a_type_survives_being_spelt_and_parsed(kind: ColumnType) -> None:
    assert ColumnType.parse(kind.sql) == kind
    assert isinstance(kind.arrow, pa.DataType)


@pytest.mark.parametrize(
    "sql", ["", "SUPER", "varchar(5)", "VARCHAR", "VARCHAR(0)", "VARCHAR(65536)", "VARCHAR(5,1)", "VARCHAR(05)", "VARBYTE(16777217)",
            "DECIMAL", "DECIMAL(39,0)", "DECIMAL(5,6)", "DECIMAL(38,38)", "BIGINT(20)", "DOUBLE", "INT", "TIMESTAMP(6)"]
)  # fmt: skip
def test_a_type_that_is_not_the_loaders_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ColumnType.parse(sql)


def test_text_in_a_primary_key_is_made_wide_because_it_can_not_be_widened() -> None:
    assert ColumnType.of(Column("c", Kind.CHAR, length=36), in_key=True).sql == "VARCHAR(1024)"
    assert ColumnType.of(Column("c", Kind.VARCHAR, length=500), in_key=True).sql == "VARCHAR(2000)"
    assert ColumnType.of(Column("c", Kind.INT), in_key=True).sql == "INTEGER"


@pytest.mark.parametrize(("precision", "sql"), [(18, "DECIMAL(18,4)"), (19, "DECIMAL(20,4)"), (20, "DECIMAL(20,4)"), (38, "DECIMAL(38,4)")])
def test_a_decimal_of_19_digits_has_room_for_all_of_them(precision: int, sql: str) -> None:
    """In 64 bits it would end at 922337203685477.5807."""
    assert ColumnType.of(Column("c", Kind.DECIMAL, precision=precision, scale=4)).sql == sql


@pytest.mark.parametrize(
    "column",
    [Column("c", Kind.BIT), Column("c", Kind.BIT, length=65), Column("c", Kind.DECIMAL), Column("c", Kind.DECIMAL, precision=66),
     Column("c", Kind.DECIMAL, precision=40, scale=31)],
)  # fmt: skip
def test_a_column_mysql_could_not_have_is_refused_by_name(column: Column) -> None:
    with pytest.raises(Invalid, match="column c"):
        ColumnType.of(column)


@pytest.mark.parametrize("precision", range(1, 39))
def test_no_decimal_type_is_refused_by_arrow(precision: int) -> None:
    kind = ColumnType(Name.DECIMAL, precision=precision, scale=min(precision, 37))
    assert (kind.arrow.precision, kind.arrow.scale) == (precision, min(precision, 37))
