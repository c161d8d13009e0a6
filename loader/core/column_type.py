"""A column's type in the warehouse, and its twin in Parquet: the table of types as code.

COPY from Parquet coerces nothing, so every type here has exactly one Arrow type. Source: Redshift guide, "Data types", "Character types",
"VARBYTE type"; MySQL manual, "Data Type Storage Requirements".
"""

import re
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from contracts.errors import Invalid
from contracts.table import Column, Kind

VARCHAR_BYTES_MAX = 65_535
VARBYTE_BYTES_MAX = 16_777_216
PRECISION_MAX = 38
KEY_BYTES_MIN = 1_024  # a column of a primary key can't be widened later
_LABEL_BYTES_MIN = 256  # labels come and go by ALTER
_DIGITS_TEXT_BYTES = 67  # 65 digits, sign and point
_VECTOR_NUMBER_BYTES = 20  # the longest float32 in JSON (-1056666040000000.0), and a comma or the last bracket

_SQL = re.compile(r"(?P<name>[A-Z]+(?: PRECISION)?)(?:\((?P<first>\d+)(?:,(?P<second>\d+))?\))?")
_UTF8 = frozenset(["utf8mb4", "utf8mb3", "utf8", "ascii"])


class Name(StrEnum):
    """Redshift's types that this loader uses."""

    BOOLEAN = "BOOLEAN"
    SMALLINT = "SMALLINT"
    INTEGER = "INTEGER"
    BIGINT = "BIGINT"
    DECIMAL = "DECIMAL"
    REAL = "REAL"
    DOUBLE = "DOUBLE PRECISION"
    DATE = "DATE"
    TIMESTAMP = "TIMESTAMP"
    TIMESTAMPTZ = "TIMESTAMPTZ"
    VARCHAR = "VARCHAR"
    VARBYTE = "VARBYTE"


_SIZED = (Name.VARCHAR, Name.VARBYTE)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A Redshift type. `length` in bytes: VARCHAR and VARBYTE; `precision` and `scale`: DECIMAL; else 0."""

    name: Name
    length: int = 0
    precision: int = 0
    scale: int = 0

    def __post_init__(self) -> None:
        longest = {Name.VARCHAR: VARCHAR_BYTES_MAX, Name.VARBYTE: VARBYTE_BYTES_MAX}.get(self.name, 0)
        if not bool(longest) <= self.length <= longest:
            raise ValueError(f"{self.name} of {self.length} bytes; at most {longest}")
        if self.name is Name.DECIMAL:
            if not (1 <= self.precision <= PRECISION_MAX and 0 <= self.scale <= min(self.precision, PRECISION_MAX - 1)):
                raise ValueError(f"no DECIMAL({self.precision},{self.scale}) in Redshift")
        elif self.precision or self.scale:
            raise ValueError(f"{self.name} has neither precision nor scale")

    @property
    def sql(self) -> str:
        if self.name in _SIZED:
            return f"{self.name}({self.length})"
        return f"{self.name}({self.precision},{self.scale})" if self.name is Name.DECIMAL else self.name.value

    @classmethod
    def parse(cls, sql: str) -> "ColumnType":
        """The type `sql` spells. Raises ValueError for what this module would not have written."""
        match = _SQL.fullmatch(sql)
        if match is None or match["name"] not in list(Name):
            raise ValueError(f"not a column type of the loader's: {sql!r}")
        name, first, second = Name(match["name"]), int(match["first"] or 0), int(match["second"] or 0)
        found = cls(name, precision=first, scale=second) if name is Name.DECIMAL else cls(name, length=first)
        if found.sql != sql:
            raise ValueError(f"not a column type of the loader's: {sql!r}")
        return found

    @property
    def arrow(self) -> pa.DataType:
        """The Parquet column COPY takes for this type and for no other."""
        if self.name is Name.DECIMAL:
            return pa.decimal128(self.precision, self.scale)
        return _ARROW[self.name]

    @classmethod
    def of(cls, column: Column, *, in_key: bool = False) -> "ColumnType":
        """The type that holds every value of a MySQL column, where Redshift has one; TYPES.md says what happens to values beyond it.
        `in_key` makes text wider: it may never be widened again. Raises Invalid for a column Redshift can't take at all."""
        if column.kind in _TEXT:
            return _varchar(max(_text_bytes(column), KEY_BYTES_MIN if in_key else 1))
        if column.kind in _BYTES:
            # A GEOMETRY says no length.
            return cls(Name.VARBYTE, length=min(column.length or VARBYTE_BYTES_MAX, VARBYTE_BYTES_MAX))
        if column.kind is Kind.DECIMAL:
            return _decimal(column)
        if column.kind is Kind.BIT:
            if not 1 <= column.length <= 64:
                raise Invalid(f"column {column.name}: BIT({column.length}); MySQL has BIT(1) to BIT(64)")
            return {1: cls(Name.BOOLEAN), 64: _UNSIGNED_BIGINT}.get(column.length, cls(Name.BIGINT))
        return _UNSIGNED.get(column.kind, _PLAIN[column.kind]) if column.unsigned else _PLAIN[column.kind]


_ARROW = {
    Name.BOOLEAN: pa.bool_(),
    Name.SMALLINT: pa.int16(),
    Name.INTEGER: pa.int32(),
    Name.BIGINT: pa.int64(),
    Name.REAL: pa.float32(),
    Name.DOUBLE: pa.float64(),
    Name.DATE: pa.date32(),
    Name.TIMESTAMP: pa.timestamp("us"),
    Name.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
    Name.VARCHAR: pa.string(),
    Name.VARBYTE: pa.binary(),
}
_PLAIN = {
    Kind.TINYINT: ColumnType(Name.SMALLINT),
    Kind.SMALLINT: ColumnType(Name.SMALLINT),
    Kind.MEDIUMINT: ColumnType(Name.INTEGER),
    Kind.INT: ColumnType(Name.INTEGER),
    Kind.BIGINT: ColumnType(Name.BIGINT),
    Kind.FLOAT: ColumnType(Name.REAL),
    Kind.DOUBLE: ColumnType(Name.DOUBLE),
    Kind.YEAR: ColumnType(Name.SMALLINT),
    Kind.DATE: ColumnType(Name.DATE),
    Kind.TIME: ColumnType(Name.BIGINT),  # microseconds: Redshift's TIME ends at 24 h, MySQL's at 838
    Kind.DATETIME: ColumnType(Name.TIMESTAMP),
    Kind.TIMESTAMP: ColumnType(Name.TIMESTAMPTZ),
}
PRECISION_SHORT = 19
"""The most digits that are kept in 64 bits, though not all numbers of so many fit. Source: Redshift guide, "Numeric types", the note on
DECIMAL(19,0)."""
_UNSIGNED_BIGINT = ColumnType(Name.DECIMAL, precision=20)
_UNSIGNED = {
    Kind.SMALLINT: ColumnType(Name.INTEGER),
    Kind.INT: ColumnType(Name.BIGINT),
    Kind.BIGINT: _UNSIGNED_BIGINT,
}
_TEXT = frozenset([Kind.CHAR, Kind.VARCHAR, Kind.TEXT, Kind.ENUM, Kind.SET, Kind.JSON, Kind.VECTOR])
_BYTES = frozenset([Kind.BINARY, Kind.VARBINARY, Kind.BLOB, Kind.GEOMETRY])


def _varchar(size_bytes: int) -> ColumnType:
    return ColumnType(Name.VARCHAR, length=max(1, min(size_bytes, VARCHAR_BYTES_MAX)))


def _decimal(column: Column) -> ColumnType:
    if not (1 <= column.precision <= 65 and 0 <= column.scale <= min(30, column.precision)):
        raise Invalid(f"column {column.name}: DECIMAL({column.precision},{column.scale}) is not one of MySQL's")
    if column.precision > PRECISION_MAX:
        return _varchar(_DIGITS_TEXT_BYTES)
    # One of 19 digits is kept in 64 bits and ends at 2**63 - 1, wherever its point is; one of 20 has room for all 19.
    precision = column.precision + (column.precision == PRECISION_SHORT)
    return ColumnType(Name.DECIMAL, precision=precision, scale=column.scale)


def _text_bytes(column: Column) -> int:
    """UTF-8 bytes that hold any value of the column, for what is text in the warehouse."""
    match column.kind:
        case Kind.CHAR | Kind.VARCHAR:
            return 4 * column.length
        case Kind.TEXT:
            # Its length is bytes of its own character set; none grows by more than three bytes of UTF-8 for one of its own.
            return column.length if column.charset in _UTF8 else 3 * column.length
        case Kind.ENUM:
            return max([4 * len(label) for label in column.labels] + [_LABEL_BYTES_MIN])
        case Kind.SET:
            return max(sum(4 * len(label) + 1 for label in column.labels), _LABEL_BYTES_MIN)
        case Kind.VECTOR:
            return column.length * _VECTOR_NUMBER_BYTES + 1
        case _:
            return VARCHAR_BYTES_MAX
