"""Which keys name the rows of a MySQL table, as the server has them now.

Whoever compares rows has to call them by the name they have on Kafka, so the rule is one. Source: MySQL 9.7, sql/sql_table.cc, for what the
server takes for a primary key where none is declared, and so names in its table maps.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pymysql
from pymysql.constants import ER

from contracts.table import TableId

_KINDS_SQL = """\
SELECT c.COLUMN_NAME, c.DATA_TYPE, c.EXTRA FROM information_schema.COLUMNS c
JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME AND t.TABLE_TYPE = 'BASE TABLE'
WHERE c.TABLE_SCHEMA = %s AND c.TABLE_NAME = %s"""
_WHOLE = {("tinyblob", 255), ("tinytext", 255)}  # a prefix that is all of the column; no other type can be indexed whole and say one


def quote(name: str) -> str:
    """A MySQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def unique_keys(ask: Callable[..., Sequence[Any]], table: TableId) -> Sequence[tuple[str, ...]]:
    """The primary key first, then unique keys in the server's order, each with every column NOT NULL and stored, and no prefix or
    expression parts; the first one is what a table map names. Empty, too, when there is no such table, or only a view. `ask` sends a
    statement with its arguments, gives the rows, and raises what the driver does where there is no such table."""
    columns = {name: (type_, extra) for name, type_, extra in ask(_KINDS_SQL, table.database, table.name)}
    if not columns:
        return []
    # SHOW INDEX has the order of definition, the primary key first; information_schema.statistics has keys by name.
    try:
        found = ask(f"SHOW INDEX FROM {quote(table.database)}.{quote(table.name)} WHERE Non_unique = 0")
    except pymysql.err.ProgrammingError as error:
        if error.args[0] != ER.NO_SUCH_TABLE:
            raise
        return []  # it was there a moment ago
    parts: dict[str, list[str]] = {}
    unusable: set[str] = set()
    for _, _, key, _, column, _, _, prefix, _, nullable, *_ in found:
        parts.setdefault(key, []).append(column)
        type_, extra = columns.get(column, ("", ""))
        partial = prefix is not None and (type_, int(prefix)) not in _WHOLE
        if column is None or partial or nullable == "YES" or "VIRTUAL" in extra:
            unusable.add(key)
    return [tuple(names) for key, names in parts.items() if key not in unusable]
