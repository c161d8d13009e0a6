"""Column types: Redshift's spelling read, PostgreSQL's written. Source: Redshift guide, "Data types" and "Character types"."""

from dataclasses import dataclass

from devstack.redshift.lexer import Kind
from devstack.redshift.reader import Reader
from devstack.redshift.refusal import SqlError, not_implemented

VARCHAR_BYTES_MAX = 65_535
CHAR_BYTES_MAX = 4_096
VARBYTE_BYTES_MAX = 16_777_216
PRECISION_MAX = 38

PLAIN = {
    "SMALLINT": "smallint", "INT2": "smallint",
    "INTEGER": "integer", "INT": "integer", "INT4": "integer",
    "BIGINT": "bigint", "INT8": "bigint",
    "REAL": "real", "FLOAT4": "real",
    "FLOAT8": "double precision", "FLOAT": "double precision",
    "BOOLEAN": "boolean", "BOOL": "boolean",
    "DATE": "date", "TIMESTAMPTZ": "timestamptz", "TIMETZ": "timetz",
    "SUPER": "jsonb",
}  # fmt: skip
VARIABLE = frozenset(["VARCHAR", "NVARCHAR", "TEXT"])
FIXED = frozenset(["CHAR", "CHARACTER", "NCHAR", "BPCHAR"])
BYTES = frozenset(["VARBYTE", "VARBINARY", "BINARY"])


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type as PostgreSQL holds it. `check` is a condition on `{column}` for what PostgreSQL would not refuse by itself."""

    postgres: str
    check: str = ""

    def column_check(self, column_sql: str) -> str:
        return f" CHECK ({self.check.format(column=column_sql)})" if self.check else ""


def varchar(length: int) -> ColumnType:
    """VARCHAR counts bytes; NULL passes because the function is only reached when a length is too long."""
    if not 1 <= length <= VARCHAR_BYTES_MAX:
        raise SqlError(f"length for type character varying cannot exceed {VARCHAR_BYTES_MAX}", "22023")
    fits = f"coalesce(octet_length({{column}}), 0) <= {length} OR standin.too_long('character varying', {length})"
    return ColumnType(f"varchar({length})", fits)


def char(length: int) -> ColumnType:
    if not 1 <= length <= CHAR_BYTES_MAX:
        raise SqlError(f"length for type character cannot exceed {CHAR_BYTES_MAX}", "22023")
    single = "coalesce(octet_length({column}::text) = char_length({column}::text), true) OR standin.not_single_byte()"
    return ColumnType(f"char({length})", single)


def varbyte(length: int) -> ColumnType:
    if not 1 <= length <= VARBYTE_BYTES_MAX:
        raise SqlError(f"length for type varbyte cannot exceed {VARBYTE_BYTES_MAX}", "22023")
    return ColumnType("bytea", f"coalesce(octet_length({{column}}), 0) <= {length} OR standin.too_long('varbyte', {length})")


def decimal(precision: int, scale: int) -> ColumnType:
    if not 1 <= precision <= PRECISION_MAX:
        raise SqlError(f"DECIMAL precision {precision} must be between 1 and {PRECISION_MAX}", "22023")
    if not 0 <= scale <= min(precision, PRECISION_MAX - 1):
        raise SqlError(f"DECIMAL scale {scale} must be between 0 and precision {precision}", "22023")
    return ColumnType(f"numeric({precision},{scale})")


def read_type(reader: Reader) -> ColumnType:
    """The type at the cursor. Raises SqlError for one Redshift has not, or one the stand-in has not."""
    token = reader.next()
    if token.kind is not Kind.WORD:
        reader.at -= 1
        raise reader.error()
    word = token.upper
    if word == "DOUBLE":
        reader.expect("PRECISION")
        return ColumnType("double precision")
    if word in ("CHARACTER", "CHAR", "NCHAR", "BINARY") and reader.accept("VARYING"):
        word = "VARBYTE" if word == "BINARY" else "VARCHAR"
    if word in ("TIMESTAMP", "TIME"):
        return ColumnType(word.lower() + time_zone(reader))
    if word in ("DECIMAL", "NUMERIC"):
        arguments = [int(a) for a in type_arguments(reader)] or [18, 0]
        return decimal(arguments[0], arguments[1] if len(arguments) > 1 else 0)
    if word in VARIABLE:
        length = type_arguments(reader)
        if word == "TEXT" or not length:
            return varchar(256)
        return varchar(VARCHAR_BYTES_MAX if length[0] == "MAX" else int(length[0]))
    if word in FIXED:
        length = type_arguments(reader)
        return char(int(length[0]) if length else 256 if word == "BPCHAR" else 1)
    if word in BYTES:
        length = type_arguments(reader)
        return varbyte(int(length[0]) if length else 64_000)
    if word in PLAIN:
        return ColumnType(PLAIN[word])
    if word in ("GEOMETRY", "GEOGRAPHY", "HLLSKETCH", "INTERVAL"):
        raise not_implemented(f"type {word}")
    raise SqlError(f'type "{token.text.lower()}" does not exist', "42704")


def time_zone(reader: Reader) -> str:
    if reader.accept("WITH", "TIME", "ZONE"):
        return "tz"
    reader.accept("WITHOUT", "TIME", "ZONE")
    return ""


def type_arguments(reader: Reader) -> list[str]:
    """The numbers (or MAX) in parentheses after a type's word, none when there are none."""
    if not reader.accept("("):
        return []
    found: list[str] = []
    while True:
        token = reader.next()
        if not (token.upper == "MAX" or (token.kind is Kind.NUMBER and token.text.isdigit())):
            reader.at -= 1
            raise reader.error()
        found.append(token.text.upper())
        if not reader.accept(","):
            break
    reader.expect(")")
    if "MAX" in found[1:]:
        raise reader.error()
    return found
