from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Invalid
from contracts.table import Column, Kind
from loader.core.column_type import ColumnType, Name
from loader.core.columns import Faults, read_column
from loader.core.fit import fit
from tests.loader.core.typecases import CASES, TypeCase

INT = Column("c", Kind.INT)
TEXT = Column("c", Kind.VARCHAR, length=100)
BOUNDS = {Name.SMALLINT: 2**15, Name.INTEGER: 2**31, Name.BIGINT: 2**63}
DAY_MAX, DAY_MIN = 2_932_896, -719_162


def fitted(values: list[object], kind: pa.DataType, sql: str, column: Column = TEXT) -> tuple[list[object], Faults]:
    target = ColumnType.parse(sql)
    array, faults = fit(pa.array(values, kind), column, target)
    assert array.type == target.arrow
    return array.to_pylist(), faults


def expect(values: list[object], good: list[bool], found: tuple[list[object], Faults]) -> None:
    """What fits is unchanged; what doesn't is NULL and has a fault."""
    assert found[0] == [value if fits else None for value, fits in zip(values, good, strict=True)]
    assert set(found[1]) == {i for i, fits in enumerate(good) if not fits}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_a_mysql_type_can_hold_fits_its_column_unchanged(case: TypeCase) -> None:
    target = ColumnType.of(case.column)
    array, faults = fit(read_column(case.column, case.values)[0], case.column, target)
    assert faults == {}
    assert array.type == target.arrow
    assert array.to_pylist() == case.expected


@given(st.lists(st.none() | st.text(st.sampled_from("a é名😀\x00"), max_size=6)), st.integers(1, 12))
def test_text_fits_by_its_bytes_of_utf8_and_without_nul(values: list[object], length: int) -> None:
    good = [v is None or (len(str(v).encode()) <= length and "\x00" not in str(v)) for v in values]
    expect(values, good, fitted(values, pa.string(), f"VARCHAR({length})"))


@given(st.lists(st.none() | st.binary(max_size=6)), st.integers(1, 6))
def test_bytes_fit_by_their_number_whatever_they_are(values: list[object], length: int) -> None:
    good = [v is None or len(v) <= length for v in values if v is None or isinstance(v, bytes)]
    expect(values, good, fitted(values, pa.binary(), f"VARBYTE({length})"))


@given(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**15, -(2**15), 2**31 - 1, 2**31])),
    st.sampled_from([*BOUNDS]),
)
def test_whole_numbers_fit_by_their_range(values: list[object], name: Name) -> None:
    good = [v is None or -BOUNDS[name] <= v < BOUNDS[name] for v in values if v is None or isinstance(v, int)]
    expect(values, good, fitted(values, pa.int64(), name.value, INT))


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)), st.integers(1, 38))
def test_whole_numbers_fit_a_decimal_by_their_digits(values: list[object], precision: int) -> None:
    good = [v is None or len(str(v).lstrip("-")) <= precision for v in values]
    found = fitted(values, pa.int64(), f"DECIMAL({precision},0)", INT)
    expect([None if v is None else Decimal(str(v)) for v in values], good, found)


@given(st.lists(st.none() | st.decimals(-9999, 9999, places=4)), st.integers(1, 10), st.integers(0, 6))
def test_decimals_fit_only_without_loss(values: list[object], whole: int, scale: int) -> None:
    def fits(value: object) -> bool:
        return value is None or (
            isinstance(value, Decimal) and abs(value) < 10**whole and value == value.quantize(Decimal(1).scaleb(-scale))
        )

    found = fitted(values, pa.decimal128(20, 4), f"DECIMAL({whole + scale},{scale})")
    expect(values, [fits(v) for v in values], found)


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_only_a_number_beyond_real_does_not_fit_it(values: list[object]) -> None:
    array, faults = fitted(values, pa.float64(), "REAL")
    beyond = {i for i, v in enumerate(values) if isinstance(v, float) and abs(v) >= 3.4028235677973366e38}
    assert set(faults) == beyond
    assert [v is None for v in array] == [v is None or i in beyond for i, v in enumerate(values)]
    assert fitted(values, pa.float64(), "DOUBLE PRECISION") == (values, {})


@given(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1) | st.sampled_from([DAY_MIN - 1, DAY_MIN, DAY_MAX, DAY_MAX + 1])))
def test_days_fit_from_year_1_to_year_9999(days: list[int | None]) -> None:
    array, faults = fit(pa.array(days, pa.int32()).cast(pa.date32()), Column("c", Kind.DATE), ColumnType(Name.DATE))
    good = [d is None or DAY_MIN <= d <= DAY_MAX for d in days]
    expect(list(days), good, (array.view(pa.int32()).to_pylist(), faults))


US_MIN, US_MAX = DAY_MIN * 86_400_000_000, (DAY_MAX + 1) * 86_400_000_000 - 1
MOMENTS = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(US_MIN, US_MAX) | st.sampled_from([US_MIN - 1, US_MIN, US_MAX, US_MAX + 1])


@pytest.mark.parametrize("name", [Name.TIMESTAMP, Name.TIMESTAMPTZ])
@given(st.lists(st.none() | MOMENTS))
def test_moments_fit_from_year_1_to_year_9999(name: Name, moments: list[int | None]) -> None:
    target = ColumnType(name)
    array, faults = fit(pa.array(moments, pa.int64()).cast(target.arrow), Column("c", Kind.DATETIME), target)
    good = [m is None or US_MIN <= m <= US_MAX for m in moments]
    expect(list(moments), good, (array.view(pa.int64()).to_pylist(), faults))


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        (pa.int64(), "VARCHAR(20)"),
        (pa.string(), "BIGINT"),
        (pa.string(), "DECIMAL(5,2)"),
        (pa.string(), "VARBYTE(5)"),
        (pa.binary(), "VARCHAR(5)"),
        (pa.int64(), "BOOLEAN"),
        (pa.bool_(), "BIGINT"),
        (pa.float64(), "BIGINT"),
        (pa.timestamp("us"), "TIMESTAMPTZ"),
        (pa.date32(), "TIMESTAMP"),
    ],
)
def test_a_column_whose_type_changed_too_far_is_refused_by_name(kind: pa.DataType, sql: str) -> None:
    with pytest.raises(Invalid, match="column c"):
        fit(pa.nulls(1, kind), TEXT, ColumnType.parse(sql))


def test_a_fault_says_what_the_matter_is_and_not_the_value() -> None:
    _, faults = fitted(["secret", "se\x00cret" * 3], pa.string(), "VARCHAR(5)")
    assert faults == {0: "6 bytes do not fit VARCHAR(5)", 1: "21 bytes do not fit VARCHAR(5)"}
    assert fitted(["a\x00"], pa.string(), "VARCHAR(5)")[1] == {0: "holds the character U+0000"}
