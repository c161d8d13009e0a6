"""Is a Parquet file one that Redshift would load into these columns? By position, exact types, no coercion.

Source: Redshift guide, "COPY from columnar data formats"; the DECIMAL widths and messages from public reports of its errors."""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from devstack.redshift.loaderror import LoadError

SUPER_BYTES_MAX = 16_777_216
ROW_BYTES_MAX = 4_000_000
"""The guide's "Data sources" of COPY: "The maximum size of a single input row from any source is 4 MB"; the smaller reading of it."""


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column of the table. `kind` is PostgreSQL's type without its arguments; `length` of VARCHAR, CHAR and VARBYTE in bytes."""

    name: str
    kind: str
    not_null: bool
    length: int = 0
    precision: int = 0
    scale: int = 0

    @property
    def redshift_type(self) -> str:
        if self.kind == "numeric":
            return f"DECIMAL({self.precision}, {self.scale})"
        named = {"character varying": "VARCHAR", "character": "CHAR", "bytea": "VARBYTE"}.get(self.kind)
        if named:
            return f"{named}({self.length})"
        return {"jsonb": "SUPER", "double precision": "DOUBLE", "timestamp without time zone": "TIMESTAMP",
                "timestamp with time zone": "TIMESTAMPTZ"}.get(self.kind, self.kind.upper())  # fmt: skip


EXACT: dict[str, Any] = {
    "smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64(), "real": pa.float32(), "double precision": pa.float64(),
    "boolean": pa.bool_(), "date": pa.date32(), "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}  # fmt: skip
TEXT = (pa.string(), pa.large_string())
BINARY = (pa.binary(), pa.large_binary())


def decimal_width_bytes(precision: int) -> int:
    """The fewest bytes that hold every unscaled value of that many digits, the only width Redshift reads."""
    largest: int = 10**precision - 1
    return (largest.bit_length() + 1 + 7) // 8


def read_checked(data: bytes, url: str, columns: list[TargetColumn], *, serialize: bool) -> Any:
    """The file as an Arrow table with one column a target column, in order. Raises LoadError 15001 or 15007."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as e:
        raise LoadError(f"Not a Parquet file: {e}", 15001, file=url) from e
    schema = file.schema_arrow
    if len(schema) != len(columns):
        reason = f"Unmatched number of columns between table and file. Table columns: {len(columns)}, Data columns: {len(schema)}"
        raise LoadError(reason, 15007, file=url)
    leaf = 0
    for field, column in zip(schema, columns, strict=True):
        check_type(field, file.schema.column(leaf), column, url, serialize=serialize)
        leaf += leaves(field.type)
    try:
        return file.read(use_threads=False)
    except (pa.ArrowInvalid, OSError) as e:
        raise LoadError(f"Unreadable Parquet file: {e}", 15001, file=url) from e


def leaves(kind: Any) -> int:
    """How many physical columns a type takes in the file."""
    if pa.types.is_struct(kind):
        return sum(leaves(kind.field(i).type) for i in range(kind.num_fields))
    if pa.types.is_map(kind):
        return leaves(kind.key_type) + leaves(kind.item_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return leaves(kind.value_type)
    return 1


def check_type(field: Any, physical: Any, column: TargetColumn, url: str, *, serialize: bool) -> None:
    if column.kind == "jsonb" and not serialize:
        raise LoadError("Invalid type: 4000 (SUPER needs SERIALIZETOJSON)", 15007, file=url, column=column.name, column_type="SUPER")
    if not type_fits(field.type, column):
        raise incompatible(f"{field.type}", field.name, column, url)
    if column.kind == "numeric":
        width = decimal_width_bytes(column.precision)
        if physical.physical_type != "FIXED_LEN_BYTE_ARRAY":
            raise incompatible(f"{physical.physical_type} decimal", field.name, column, url)
        if physical.length != width:
            raise LoadError(
                f"File has an incompatible Parquet schema for column '{column.name}'. Expecting: {width} len in file: {physical.length}",
                15007, file=url, column=column.name, column_type=column.redshift_type,
            )  # fmt: skip


def type_fits(kind: Any, column: TargetColumn) -> bool:
    if column.kind in ("character varying", "character"):
        return kind in TEXT
    if column.kind == "bytea":
        return kind in BINARY
    if column.kind == "numeric":
        return pa.types.is_decimal128(kind) and (kind.precision, kind.scale) == (column.precision, column.scale)
    if column.kind == "jsonb":
        return pa.types.is_nested(kind) or kind in TEXT
    return bool(kind == EXACT.get(column.kind))


def incompatible(kind: str, name: str, column: TargetColumn, url: str) -> LoadError:
    reason = (
        f"File has an incompatible Parquet schema for column '{column.name}'. "
        f"Column type: {column.redshift_type}, Parquet schema: optional {kind} {name}"
    )
    return LoadError(reason, 15007, file=url, column=column.name, column_type=column.redshift_type)


def checked_values(values: Any, column: TargetColumn, url: str, *, invalid_character: str | None) -> Any:
    """The column's values (a ChunkedArray) if they all fit. Raises LoadError 1213 for a NULL that may not be, 15001 else."""
    if column.not_null and values.null_count:
        raise LoadError("Missing data for not-null field", 1213, file=url, column=column.name, column_type=column.redshift_type)
    if column.kind in ("character varying", "character"):
        values = valid_text(values, column, url, invalid_character)
    if column.kind in ("character varying", "character", "bytea"):
        longest = pc.max(pc.binary_length(values)).as_py() or 0
        if longest > column.length:
            reason = (
                f"The length of the data column {column.name} is longer than the length defined in the table. "
                f"Table: {column.length}, Data: {longest}"
            )
            raise LoadError(reason, 15001, file=url, column=column.name, column_type=column.redshift_type, length=str(column.length))
    return values


def check_rows(arrays: list[Any], columns: list[TargetColumn], url: str) -> None:
    """Raises LoadError 15001 for a row over the limit, counted as its values are once unpacked. SUPER has a limit of its own, and is left
    out."""
    counted = [values for values, column in zip(arrays, columns, strict=True) if column.kind != "jsonb"]
    fixed_bytes = sum((values.type.bit_width + 7) // 8 for values in counted if values.type not in (*TEXT, *BINARY))
    lengths = [pc.binary_length(values).cast(pa.int64()) for values in counted if values.type in (*TEXT, *BINARY)]
    if fixed_bytes + sum(pc.max(some).as_py() or 0 for some in lengths) <= ROW_BYTES_MAX:
        return
    longest = fixed_bytes + pc.max(reduce(pc.add, (pc.fill_null(some, 0) for some in lengths))).as_py()
    if longest > ROW_BYTES_MAX:
        raise LoadError(f"Row of {longest} bytes is over 4 MB", 15001, file=url)


def valid_text(values: Any, column: TargetColumn, url: str, invalid_character: str | None) -> Any:
    """UTF-8 without NUL; CHAR single bytes only. With ACCEPTINVCHARS the invalid bytes are replaced."""
    try:
        values.validate(full=True)
        bad = pc.any(pc.match_substring(values, "\0")).as_py()
    except pa.ArrowInvalid:
        bad = True
    if bad and invalid_character is not None:
        cleaned = [None if v is None else cleaned_text(v, invalid_character) for v in values.cast(pa.binary()).to_pylist()]
        return pa.chunked_array([pa.array(cleaned, pa.string())])
    if bad:
        raise LoadError(
            "String contains invalid or unsupported UTF8 codepoints", 15001, file=url, column=column.name, column_type=column.redshift_type
        )
    if column.kind == "character" and not pc.all(pc.string_is_ascii(values)).as_py() and len(values) > values.null_count:
        raise LoadError(
            "CHAR string contains invalid ASCII character", 15001, file=url, column=column.name, column_type=column.redshift_type
        )
    return values


def cleaned_text(raw: bytes, replacement: str) -> str:
    """Each byte that is not part of UTF-8 text becomes the replacement, so the length in bytes stays the same."""
    return raw.decode("utf-8", errors="surrogateescape").translate({**{0xDC00 + b: replacement for b in range(256)}, 0: replacement})
