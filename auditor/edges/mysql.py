"""The source's rows, read in one consistent snapshot, with every value brought over without loss."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pymysql
from pymysql.constants import ER
from pymysql.cursors import SSCursor

from auditor.core.canonical import from_mysql, mysql_expression
from auditor.core.diff import CanonicalRow
from auditor.core.part import WHOLE, Part, leading, rows_of_a_part
from contracts.errors import Invalid, Unavailable
from contracts.position import GtidSet
from contracts.table import Column, Kind, TableId, TableSchema
from runtime.uniquekeys import quote, unique_keys

_KINDS = {
    "tinytext": Kind.TEXT,
    "mediumtext": Kind.TEXT,
    "longtext": Kind.TEXT,
    "tinyblob": Kind.BLOB,
    "mediumblob": Kind.BLOB,
    "longblob": Kind.BLOB,
    "integer": Kind.INT,
    **dict.fromkeys(
        ("point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geomcollection", "geometrycollection"),
        Kind.GEOMETRY,
    ),
}
_COLUMNS = """
SELECT column_name, data_type, is_nullable, column_type, numeric_precision, numeric_scale, datetime_precision,
       character_maximum_length, character_set_name
FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"""
_ROW_BYTES = "SELECT avg_row_length FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"


class MysqlSource:
    """Fits `ports.Source` over one PyMySQL connection in UTC. `keys`: of the tables whose rows have another name than MySQL gives them."""

    def __init__(self, connection: "pymysql.Connection[Any]", keys: Mapping[TableId, tuple[str, ...]]) -> None:
        self._connection = connection
        self._keys = keys
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION time_zone = '+00:00', SESSION transaction_isolation = 'REPEATABLE-READ'")
            cursor.execute("SET SESSION information_schema_stats_expiry = 0")

    def executed(self) -> GtidSet:
        return GtidSet.parse(self._query("SELECT @@GLOBAL.gtid_executed")[0][0])

    def schema(self, table: TableId) -> TableSchema:
        columns = tuple(_column(row) for row in self._query(_COLUMNS, table.database, table.name))
        if not columns:
            raise Invalid(f"MySQL has no table {table}; names are written database.table")
        key = self._keys.get(table) or next(iter(unique_keys(self._query, table)), ())
        if not key:
            raise Invalid(f"{table} has neither a primary key nor a unique key of NOT NULL columns; only rows with a key can be compared")
        try:
            return TableSchema(table, columns, key)
        except ValueError as error:
            raise Invalid(f"tables.override.{table}.key: {error}") from error

    def has(self, table: TableId) -> bool:
        return bool(self._query(_COLUMNS, table.database, table.name))

    def holds_rows(self, table: TableId) -> bool:
        try:
            return bool(self._query(f"SELECT 1 FROM {_quoted(table)} LIMIT 1"))
        except pymysql.err.ProgrammingError as error:
            if error.args[0] != ER.NO_SUCH_TABLE:
                raise
            raise Invalid(f"MySQL has no table {table}; names are written database.table") from error

    def parts(self, schema: TableSchema) -> Iterator[Part]:
        columns = tuple(column.name for column in leading(schema))
        if not columns:
            yield WHOLE
            return
        row_bytes = self._query(_ROW_BYTES, schema.table.database, schema.table.name)
        rows, names = rows_of_a_part(int(row_bytes[0][0] or 0)), ", ".join(map(quote, columns))
        part = Part(columns)
        while True:
            rest = f"FROM {_quoted(schema.table)} WHERE {part.condition(quote)}"
            last = self._query(f"SELECT {names} {rest} ORDER BY {names} LIMIT 1 OFFSET {rows - 1}")
            if not last:
                yield part
                return
            up_to = tuple(map(int, last[0]))
            yield replace(part, up_to=up_to)
            part = replace(part, above=up_to)

    def rows(self, schema: TableSchema, part: Part) -> Iterator[CanonicalRow]:
        select = ", ".join(mysql_expression(column, quote(column.name)) for column in schema.columns)
        convert = [from_mysql(column) for column in schema.columns]
        try:
            with self._connection.cursor(SSCursor) as cursor:
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                cursor.execute(f"SELECT {select} FROM {_quoted(schema.table)} WHERE {part.condition(quote)}")
                for row in cursor:
                    yield [form(value) for form, value in zip(convert, row, strict=True)]
            self._connection.rollback()
        except pymysql.err.OperationalError as error:
            raise Unavailable(f"MySQL stopped answering while {schema.table} was read: {error}") from error

    def _query(self, sql: str, *args: str) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, args or None)  # without any, a % in a name is a %
                rows: list[tuple[Any, ...]] = list(cursor.fetchall())
            self._connection.rollback()
        except pymysql.err.OperationalError as error:
            raise Unavailable(f"MySQL stopped answering: {error}") from error
        return rows


def _quoted(table: TableId) -> str:
    return f"{quote(table.database)}.{quote(table.name)}"


def _column(row: tuple[Any, ...]) -> Column:
    name, data_type, nullable, column_type, precision, scale, fraction, length, charset = row
    kind = _KINDS.get(data_type.lower()) or Kind(data_type.lower())
    return Column(
        name=name,
        kind=kind,
        nullable=nullable == "YES",
        unsigned="unsigned" in column_type,
        length=int(length or 0) or (int(precision) if kind is Kind.BIT else 0),
        precision=int(precision or 0) if kind is Kind.DECIMAL else 0,
        scale=int(scale or 0) if kind is Kind.DECIMAL else 0,
        fraction=int(fraction or 0),
        charset=charset,
    )
