"""Both sides' rows, read by their own drivers and compared here: a second opinion beside the auditor's."""

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pymysql
from redshift_connector.core import Connection

from contracts.sql import held_column
from tests.chaos.workload import DATABASE, quoted

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`lost`: rows of MySQL's that the warehouse has not, or with other values. `foreign`: the other way round. `doubled`: rows there that
    share a key."""

    rows: int
    lost: int
    foreign: int
    doubled: int

    def __add__(self, other: "Comparison") -> "Comparison":
        return Comparison(self.rows + other.rows, self.lost + other.lost, self.foreign + other.foreign, self.doubled + other.doubled)

    @property
    def is_equal(self) -> bool:
        return not (self.lost or self.foreign or self.doubled)


def compare(mysql: "pymysql.Connection[Any]", warehouse: Connection, targets: Mapping[str, str]) -> Comparison:
    """`targets`: by MySQL table the warehouse's, as SQL. Nobody may write meanwhile."""
    found = Comparison(0, 0, 0, 0)
    for table, target in targets.items():
        columns, key = _columns(mysql, table)
        found += difference(_source(mysql, table, columns), _target(warehouse, target, columns), key)
    return found


def difference(source: Sequence[Row], target: Sequence[Row], key: Sequence[int]) -> Comparison:
    """Of two tables' rows. `key`: places of the columns by which rows are told from one another."""
    ours, theirs = Counter(source), Counter(target)
    keys = Counter(tuple(row[place] for place in key) for row in target)
    return Comparison(ours.total(), (ours - theirs).total(), (theirs - ours).total(), keys.total() - len(keys))


def _columns(mysql: "pymysql.Connection[Any]", table: str) -> tuple[list[tuple[str, str]], list[int]]:
    """Name and type of each, and which of them are the key."""
    with mysql.cursor() as cursor:
        cursor.execute(
            "SELECT column_name, data_type, column_key FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
            " ORDER BY ordinal_position",
            (DATABASE, table),
        )
        found = cursor.fetchall()
    return [(name, kind) for name, kind, _ in found], [at for at, (_, _, key) in enumerate(found) if key == "PRI"]


def _source(mysql: "pymysql.Connection[Any]", table: str, columns: Sequence[tuple[str, str]]) -> list[Row]:
    shown = [f"CAST({quoted(name)} AS CHAR)" if kind == "json" else quoted(name) for name, kind in columns]
    with mysql.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute(f"SELECT {', '.join(shown)} FROM {quoted(DATABASE)}.{quoted(table)}")
        return [tuple(plain(value, kind) for value, (_, kind) in zip(row, columns, strict=True)) for row in cursor.fetchall()]


def _target(warehouse: Connection, target: str, columns: Sequence[tuple[str, str]]) -> list[Row]:
    names = {name: '"' + held_column(name).replace('"', '""') + '"' for name, _ in columns}
    shown = [f"FROM_VARBYTE({names[name]}, 'hex')" if kind == "varbinary" else names[name] for name, kind in columns]
    cursor = warehouse.cursor()
    cursor.execute(f"SELECT {', '.join(shown)} FROM {target}")
    return [tuple(plain(value, kind) for value, (_, kind) in zip(row, columns, strict=True)) for row in cursor.fetchall()]


def plain(value: Any, kind: str) -> Any:
    """One form for what either driver gives."""
    if value is None:
        return None
    if kind == "time":
        return value // timedelta(microseconds=1) if isinstance(value, timedelta) else int(value)
    if kind == "bit":
        return int.from_bytes(value, "big") if isinstance(value, bytes) else int(value)
    if kind == "varbinary":
        return value.hex() if isinstance(value, bytes) else str(value).lower()
    if kind == "json":
        return orjson.dumps(orjson.loads(value), option=orjson.OPT_SORT_KEYS)
    if kind == "double":
        return struct.pack("d", value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, Decimal):
        return str(value)
    return value
