import io
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devstack.redshift.loaderror import LoadError
from devstack.redshift.parquet import ROW_BYTES_MAX, TargetColumn, check_rows, check_type, checked_values, decimal_width_bytes, read_checked

BIGINT = TargetColumn("a", "bigint", not_null=False)
VARCHAR = TargetColumn("a", "character varying", not_null=False, length=4)
DECIMAL = TargetColumn("a", "numeric", not_null=False, precision=18, scale=4)


def check(values: Any, *columns: TargetColumn, serialize: bool = False, **options: Any) -> Any:
    buffer = io.BytesIO()
    pq.write_table(pa.table({f"c{i}": values for i in range(max(len(columns), 1))}), buffer, **options)
    return read_checked(buffer.getvalue(), "s3://b/k", list(columns), serialize=serialize)


@pytest.mark.parametrize(("precision", "width"), [(5, 3), (9, 4), (18, 8), (20, 9), (29, 13), (38, 16)])
def test_a_decimal_takes_the_fewest_bytes_its_precision_needs(precision: int, width: int) -> None:
    assert decimal_width_bytes(precision) == width


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("smallint", pa.int16(), pa.int32()),
        ("integer", pa.int32(), pa.int64()),
        ("bigint", pa.int64(), pa.int32()),
        ("bigint", pa.int64(), pa.uint64()),
        ("real", pa.float32(), pa.float64()),
        ("double precision", pa.float64(), pa.float32()),
        ("date", pa.date32(), pa.timestamp("us")),
        ("timestamp without time zone", pa.timestamp("us"), pa.timestamp("ms")),
        ("timestamp with time zone", pa.timestamp("us", "UTC"), pa.timestamp("us")),
        ("character varying", pa.string(), pa.binary()),
        ("bytea", pa.binary(), pa.string()),
        ("numeric", pa.decimal128(18, 4), pa.decimal128(20, 4)),
        ("numeric", pa.decimal128(18, 4), pa.decimal128(18, 2)),
    ],
)
def test_a_column_loads_from_exactly_one_type(kind: str, good: Any, bad: Any) -> None:
    column = TargetColumn("a", kind, not_null=False, length=9, precision=18, scale=4)
    assert check(pa.array([None], good), column).num_rows == 1
    with pytest.raises(LoadError, match="Spectrum Scan Error") as refusal:
        check(pa.array([None], bad), column)
    assert refusal.value.code_number == 15007
    assert "incompatible Parquet schema for column 'a'" in refusal.value.reason


def test_a_decimal_stored_as_an_integer_is_refused() -> None:
    with pytest.raises(LoadError) as refusal:
        check(pa.array([Decimal("1.0000")], pa.decimal128(18, 4)), DECIMAL, store_decimal_as_integer=True)
    assert "optional INT64 decimal" in refusal.value.reason


def test_a_decimal_wider_than_its_precision_needs_is_refused() -> None:
    field = pa.field("a", pa.decimal128(18, 4))
    with pytest.raises(LoadError) as refusal:
        check_type(field, SimpleNamespace(physical_type="FIXED_LEN_BYTE_ARRAY", length=13), DECIMAL, "s3://b/k", serialize=False)
    assert "Expecting: 8 len in file: 13" in refusal.value.reason


def test_there_is_no_safe_twin_of_time() -> None:
    with pytest.raises(LoadError):
        check(pa.array([None], pa.time64("us")), TargetColumn("a", "time without time zone", not_null=False))


def test_the_number_of_columns_must_match() -> None:
    with pytest.raises(LoadError) as refusal:
        check(pa.array([1]))
    assert "Unmatched number of columns" in refusal.value.reason


def test_super_needs_serializetojson() -> None:
    column = TargetColumn("a", "jsonb", not_null=False)
    nested = pa.array([{"k": 1, "l": [1]}])
    assert check(nested, column, serialize=True).num_rows == 1
    with pytest.raises(LoadError) as refusal:
        check(nested, column)
    assert "Invalid type: 4000" in refusal.value.reason


def test_columns_behind_a_nested_one_are_checked_against_their_own_physical_type() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"s": pa.array([{"k": 1, "l": [1]}]), "d": pa.array([Decimal(1)], pa.decimal128(18, 4))}), buffer)
    columns = [TargetColumn("s", "jsonb", not_null=False), DECIMAL]
    assert read_checked(buffer.getvalue(), "s3://b/k", columns, serialize=True).num_columns == 2


def test_lengths_are_counted_in_bytes() -> None:
    assert len(checked_values(pa.chunked_array([["éé", None]]), VARCHAR, "f", invalid_character=None)) == 2
    with pytest.raises(LoadError) as refusal:
        checked_values(pa.chunked_array([["ééé"]]), VARCHAR, "f", invalid_character=None)
    assert refusal.value.code_number == 15001
    assert "Table: 4, Data: 6" in refusal.value.reason


def test_a_row_may_have_so_many_bytes_and_no_more() -> None:
    columns = [
        BIGINT,
        TargetColumn("b", "bytea", not_null=False, length=ROW_BYTES_MAX),
        TargetColumn("j", "jsonb", not_null=False),
        VARCHAR,
    ]

    def rows(*lengths: int | None) -> list[Any]:
        """Of bytes of these lengths; the first has no text, each has a SUPER that is not counted."""
        blobs = pa.chunked_array([[None if length is None else bytes(length)] for length in lengths], pa.binary())
        texts = pa.chunked_array([[None, *("é" for _ in lengths[1:])]], pa.string())
        return [pa.chunked_array([range(len(lengths))], pa.int64()), blobs, pa.chunked_array([["x" * 5_000_000] * len(lengths)]), texts]

    check_rows(rows(ROW_BYTES_MAX - 8, ROW_BYTES_MAX - 10, None), columns, "f")
    check_rows([some[:0] for some in rows(1)], columns, "f")
    check_rows([pa.chunked_array([[1, 2]], pa.int64())], [BIGINT], "f")
    for lengths in ((ROW_BYTES_MAX - 7, 1), (None, ROW_BYTES_MAX - 9)):
        with pytest.raises(LoadError) as refusal:
            check_rows(rows(*lengths), columns, "f")
        assert refusal.value.code_number == 15001
        assert "Row of 4000001 bytes is over 4 MB" in refusal.value.reason


def test_a_null_may_not_stand_in_a_not_null_column() -> None:
    with pytest.raises(LoadError) as refusal:
        checked_values(pa.chunked_array([[1, None]]), TargetColumn("a", "bigint", not_null=True), "f", invalid_character=None)
    assert refusal.value.code_number == 1213


def test_invalid_utf8_is_refused_or_replaced_byte_by_byte() -> None:
    broken = pa.chunked_array([pa.array([b"a\xff\x00"], pa.binary()).view(pa.string())])
    with pytest.raises(LoadError, match="Spectrum"):
        checked_values(broken, VARCHAR, "f", invalid_character=None)
    assert checked_values(broken, VARCHAR, "f", invalid_character="?").to_pylist() == ["a??"]


def test_char_takes_single_byte_characters_only() -> None:
    with pytest.raises(LoadError):
        checked_values(pa.chunked_array([["é"]]), TargetColumn("a", "character", not_null=False, length=9), "f", invalid_character=None)


def test_what_is_no_parquet_file_is_a_scan_error() -> None:
    with pytest.raises(LoadError) as refusal:
        read_checked(b"no parquet", "s3://b/k", [BIGINT], serialize=False)
    assert refusal.value.code_number == 15001
