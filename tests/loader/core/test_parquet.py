from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.core.parquet import ROW_GROUP_BYTES_MAX, encode_parquet, row_groups


def test_the_same_table_gives_the_same_bytes_however_it_is_chunked() -> None:
    values = [f"value {i % 7}" for i in range(5000)]
    whole = pa.table({"a": pa.array(values), "b": pa.array(range(5000))})
    parts = pa.table({"a": pa.chunked_array([values[:10], values[10:]]), "b": pa.chunked_array([range(4000), range(4000, 5000)])})
    assert encode_parquet(whole) == encode_parquet(whole)
    assert encode_parquet(whole.combine_chunks()) == encode_parquet(parts.combine_chunks())


def test_a_row_group_is_bounded_in_bytes_even_when_rows_are_not_alike() -> None:
    table = pa.table({"a": ["x" * 10] * 1000 + ["y" * 100_000] * 100})
    groups = row_groups(table, 1_000_000)
    assert all(g.nbytes <= 1_000_000 for g in groups)
    assert pa.concat_tables(groups) == table
    assert len(row_groups(pa.table({"a": ["x" * 100] * 2}), 10)) == 2  # a row alone is never cut
    assert ROW_GROUP_BYTES_MAX == 32 * 1024 * 1024


def test_large_tables_become_several_row_groups_of_one_file() -> None:
    table = pa.table({"a": ["x" * 1_000_000] * 70})
    file = pq.ParquetFile(pa.BufferReader(encode_parquet(table)))
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [17, 18, 17, 18]
    assert file.read() == table


def test_the_file_is_plain_snappy_without_metadata_of_arrow_or_pandas() -> None:
    table = pa.table({"a": [1, 2]}).replace_schema_metadata({"pandas": "{}"})
    metadata = pq.ParquetFile(pa.BufferReader(encode_parquet(table))).metadata
    assert metadata.metadata is None
    assert metadata.format_version == "1.0"
    assert metadata.row_group(0).column(0).compression == "SNAPPY"


@pytest.mark.parametrize(("precision", "size_bytes"), [(5, 3), (9, 4), (18, 8), (20, 9), (29, 13), (38, 16)])
def test_a_decimal_takes_the_fixed_length_copy_expects(precision: int, size_bytes: int) -> None:
    table = pa.table({"a": pa.array([Decimal(1)], pa.decimal128(precision, 0))})
    column = pq.ParquetFile(pa.BufferReader(encode_parquet(table))).schema.column(0)
    assert (column.physical_type, column.length) == ("FIXED_LEN_BYTE_ARRAY", size_bytes)


def test_times_are_microseconds_with_and_without_zone(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([1], pa.timestamp("us")), "b": pa.array([1], pa.timestamp("us", tz="UTC"))})
    path = tmp_path / "times.parquet"
    path.write_bytes(encode_parquet(table))
    types = duckdb.execute(
        "SELECT name, type, converted_type, logical_type FROM parquet_schema(?) WHERE name != 'schema'", [str(path)]
    ).fetchall()
    assert [row[:3] for row in types] == [("a", "INT64", "TIMESTAMP_MICROS"), ("b", "INT64", "TIMESTAMP_MICROS")]
    assert ["isAdjustedToUTC=1" in str(row[3]) or "isAdjustedToUTC=true" in str(row[3]) for row in types] == [False, True]
