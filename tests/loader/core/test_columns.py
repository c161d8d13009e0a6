import pytest

from contracts.envelope import Value
from contracts.table import Column, Kind
from loader.core.columns import read_column
from tests.loader.core.typecases import CASES, TypeCase, b64


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_column_reads_as_what_it_means(case: TypeCase) -> None:
    array, faults = read_column(case.column, case.values)
    assert faults == {}
    assert array.null_count == 1
    assert len(array) == len(case.values)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_column_of_nulls_and_an_empty_one_have_the_type_of_a_full_one(case: TypeCase) -> None:
    kind = read_column(case.column, case.values)[0].type
    assert read_column(case.column, [None, None])[0].type == kind
    assert read_column(case.column, [])[0].type == kind


WRONG: list[tuple[Column, Value]] = [
    (Column("c", Kind.INT), "1"),
    (Column("c", Kind.INT), 1.5),
    (Column("c", Kind.INT), 1.0),
    (Column("c", Kind.INT), True),
    (Column("c", Kind.BIGINT), 2**63),
    (Column("c", Kind.BIGINT, unsigned=True), 5),
    (Column("c", Kind.BIGINT, unsigned=True), "1.5"),
    (Column("c", Kind.DECIMAL, precision=5, scale=2), 1.5),
    (Column("c", Kind.DECIMAL, precision=5, scale=2), "1.555"),
    (Column("c", Kind.DECIMAL, precision=5, scale=2), "1000.00"),
    (Column("c", Kind.DECIMAL, precision=5, scale=2), "NaN"),
    (Column("c", Kind.DECIMAL, precision=5, scale=2), ""),
    (Column("c", Kind.DECIMAL, precision=40), 1),
    (Column("c", Kind.DOUBLE), "1.5"),
    (Column("c", Kind.DOUBLE), True),
    (Column("c", Kind.BIT, length=1), 1),
    (Column("c", Kind.BIT, length=8), "not base64"),
    (Column("c", Kind.BIT, length=63), b64(b"\xff" * 8)),
    (Column("c", Kind.BIT, length=64), b64(b"\xff" * 9)),
    (Column("c", Kind.DATE), "2024-01-01"),
    (Column("c", Kind.DATE), 2**31),
    (Column("c", Kind.DATETIME), 2**62),
    (Column("c", Kind.DATETIME), "2024-01-01 00:00:00"),
    (Column("c", Kind.TIMESTAMP), "2024-01-01T00:00:00"),
    (Column("c", Kind.TIMESTAMP), "0000-00-00T00:00:00Z"),
    (Column("c", Kind.TIMESTAMP), 0),
    (Column("c", Kind.TIME), "10:00:00"),
    (Column("c", Kind.VARCHAR, length=5), 5),
    (Column("c", Kind.VARCHAR, length=5), "\ud800"),
    (Column("c", Kind.JSON), {"a": 1}),
    (Column("c", Kind.BLOB), "===="),
    (Column("c", Kind.GEOMETRY), {"wkb": ""}),
    (Column("c", Kind.GEOMETRY), {"srid": -1, "wkb": ""}),
    (Column("c", Kind.GEOMETRY), {"srid": 0, "wkb": None}),
    (Column("c", Kind.GEOMETRY), "AAAA"),
    (Column("c", Kind.VECTOR), [1.5, "x"]),
    (Column("c", Kind.VECTOR), "[1.5]"),
]


@pytest.mark.parametrize(("column", "value"), WRONG)
def test_a_value_of_another_form_is_a_fault_of_its_own_and_no_one_elses(column: Column, value: Value) -> None:
    good = next(case for case in CASES if (case.column.kind, case.column.unsigned) == (column.kind, column.unsigned))
    if column.kind in (Kind.BIT, Kind.DECIMAL):
        good_values: list[Value] = [None]
    else:
        good_values = good.values
    array, faults = read_column(column, [*good_values, value, *good_values])
    assert list(faults) == [len(good_values)]
    assert faults[len(good_values)].startswith("not ")
    alone = read_column(column, good_values)[0].to_pylist()
    assert array.to_pylist() == [*alone, None, *alone]


def test_a_geometry_is_mysqls_own_bytes() -> None:
    (case,) = [case for case in CASES if case.column.kind is Kind.GEOMETRY]
    assert read_column(case.column, case.values)[0].to_pylist() == case.expected
