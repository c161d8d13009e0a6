"""Arrow to Parquet bytes: the same table gives the same bytes, for as long as the Arrow library stays the same.

The plainest form every reader knows: format 1.0, snappy, decimals as fixed-length bytes of the least length, no Arrow or pandas metadata.
Source: Redshift guide, "COPY from columnar data formats".
"""

import io

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BYTES_MAX = 32 << 20


def encode_parquet(table: pa.Table) -> bytes:
    """One Parquet file. A row group holds at most 32 MB of values in Arrow's form, or a single row."""
    sink = io.BytesIO()
    texts = [field.name for field in table.schema if pa.types.is_string(field.type) or pa.types.is_binary(field.type)]
    # A dictionary of numbers costs time and saves nothing.
    with pq.ParquetWriter(
        sink, table.schema, version="1.0", compression="snappy", use_dictionary=texts or False, store_schema=False
    ) as writer:
        for group in row_groups(table, ROW_GROUP_BYTES_MAX):
            writer.write_table(group, row_group_size=max(1, group.num_rows))
    return sink.getvalue()


def row_groups(table: pa.Table, size_bytes_max: int) -> list[pa.Table]:
    """The table cut in halves until each part is small enough, in order."""
    if table.num_rows <= 1 or table.nbytes <= size_bytes_max:
        return [table]
    middle = table.num_rows // 2
    return row_groups(table[:middle], size_bytes_max) + row_groups(table[middle:], size_bytes_max)
