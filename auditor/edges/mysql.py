"""The source's rows, read in one consistent snapshot, with every value brought over without loss."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pymysql
from pymysql.constants import ER
from pymysql.cursors import SSCursor

from auditor.core.canonical import from_mysql, mysql_expression
from auditor.core.diff import CanonicalRow
from auditor.core.part import WHOLE, Part, leading, rows_of_a_part
from auditor.ports import NotNow
from contracts.errors import Invalid, PipelineError, Unavailable
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
_SESSION = (
    "SET SESSION time_zone = '+00:00', transaction_isolation = 'REPEATABLE-READ', information_schema_stats_expiry = 0, "
    # What the server sets for others would pad or cut what is compared, hide a key, or end a long reading.
    "sql_mode = 'ALLOW_INVALID_DATES', sql_select_limit = 18446744073709551615, max_execution_time = 0, "
    "show_gipk_in_create_table_and_information_schema = ON"
)
_GONE = (ER.NO_SUCH_TABLE, ER.BAD_DB_ERROR)
_DENIED = (ER.TABLEACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR)
_ALTERED = (ER.BAD_FIELD_ERROR, ER.TABLE_DEF_CHANGED)
_ROW_BYTES = "SELECT avg_row_length FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"


class MysqlSource:
    """Fits `ports.Source` over one PyMySQL connection in UTC. `keys`: of the tables whose rows have another name than MySQL gives them."""

    def __init__(self, connection: "pymysql.Connection[Any]", keys: Mapping[TableId, tuple[str, ...]]) -> None:
        self._connection = connection
        self._keys = keys
        with connection.cursor() as cursor:
            cursor.execute(_SESSION)

    def executed(self) -> GtidSet:
        try:
            return GtidSet.parse(self._query("SELECT @@GLOBAL.gtid_executed")[0][0])
        except pymysql.err.MySQLError as error:
            raise Unavailable(f"MySQL stopped answering: {error}") from error

    def schema(self, table: TableId) -> TableSchema:
        with self._reading(table):
            columns = tuple(_column(row) for row in self._query(_COLUMNS, table.database, table.name))
            if not columns:
                raise _no_table(table)
            key = self._keys.get(table) or next(iter(unique_keys(self._query, table)), ())
        if not key:
            raise Invalid(f"{table} has neither a primary key nor a unique key of NOT NULL columns; only rows with a key can be compared")
        try:
            return TableSchema(table, columns, key)
        except ValueError as error:
            raise Invalid(f"tables.override.{table}.key: {error}") from error

    def has(self, table: TableId) -> bool:
        # The catalogue shows a table only to those who may read it.
        try:
            with self._reading(table):
                self._query(f"SELECT 1 FROM {_quoted(table)} LIMIT 0")
        except NoTable:
            return False
        return True

    def holds_rows(self, table: TableId) -> bool:
        with self._reading(table):
            return bool(self._query(f"SELECT 1 FROM {_quoted(table)} LIMIT 1"))

    def parts(self, schema: TableSchema) -> Iterator[Part]:
        columns = tuple(column.name for column in leading(schema))
        if not columns:
            yield WHOLE
            return
        with self._reading(schema.table):
            row_bytes = self._query(_ROW_BYTES, schema.table.database, schema.table.name)
        rows, names = rows_of_a_part(int(row_bytes[0][0] or 0) if row_bytes else 0), ", ".join(map(quote, columns))
        part = Part(columns)
        while True:
            rest = f"FROM {_quoted(schema.table)} WHERE {part.condition(quote)}"
            with self._reading(schema.table):
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
        with self._reading(schema.table), self._connection.cursor(SSCursor) as cursor:
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            cursor.execute(f"SELECT {select} FROM {_quoted(schema.table)} WHERE {part.condition(quote)}")
            for row in cursor:
                yield [form(value) for form, value in zip(convert, row, strict=True)]
        self._connection.rollback()

    @contextmanager
    def _reading(self, table: TableId) -> Iterator[None]:
        try:
            yield
        except pymysql.err.MySQLError as error:
            with suppress(pymysql.err.MySQLError):
                self._connection.rollback()  # whoever alters the table waits for this transaction
            raise _translated(error, table) from error

    def _query(self, sql: str, *args: str) -> list[tuple[Any, ...]]:
        """Raises what the driver does."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, args or None)  # without any, a % in a name is a %
            rows: list[tuple[Any, ...]] = list(cursor.fetchall())
        self._connection.rollback()
        return rows


class NoTable(Invalid):
    """There is none of this name."""


def _no_table(table: TableId) -> NoTable:
    return NoTable(f"MySQL has no table {table}, or none that this user may SELECT from; names are written database.table")


def _translated(error: pymysql.err.MySQLError, table: TableId) -> PipelineError:
    code = error.args[0] if error.args else None
    if code in _GONE:
        return _no_table(table)
    if code in _DENIED:
        return Invalid(f"{table} may not be read, so nothing is known of its rows. Run: GRANT SELECT ON {_quoted(table)} TO mysql.user")
    if code in _ALTERED:
        return NotNow(f"{table} was altered while it was compared: {error.args[-1]}; verify it again")
    return Unavailable(f"MySQL stopped answering while {table} was read: {error}")


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
