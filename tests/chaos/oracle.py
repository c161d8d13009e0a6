"""Both sides' rows, read by their own drivers and compared here: a second opinion beside the auditor's."""

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pymysql

from contracts.sql import held_column
from tests.chaos.cut import Cut, Target
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


def compare(mysql: "pymysql.Connection[Any]", cut: Cut) -> dict[str, Comparison]:
    """By table: what is in MySQL, where nobody may write meanwhile, with what was in the warehouse. A table without key is there as its
    events."""
    found = {}
    for table, target in cut.targets.items():
        columns, key = _columns(mysql, table)
        source = _source(mysql, table, columns)
        if key:
            found[table] = difference(source, _target(target, columns), key)
        else:
            found[table] = events_difference(source, target, columns)
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


def _target(target: Target, columns: Sequence[tuple[str, str]]) -> list[Row]:
    if not target.rows:
        return []  # an empty one gets the columns of an altered source with its first row
    lacks = {held_column(name) for name, _ in columns} - set(target.columns)
    assert not lacks, f"a target lacks {lacks}"
    places = [(target.columns.index(held_column(name)), kind) for name, kind in columns]
    return [tuple(plain(row[place], kind) for place, kind in places) for row in target.rows]


def events_difference(source: Sequence[Row], target: Target, columns: Sequence[tuple[str, str]]) -> Comparison:
    """Rows come and go by events `c`, `d` and `t`; a row that goes and was not there counts as one that is missing."""
    kinds, seqs = target.columns.index("_tidemark_op"), target.columns.index("_tidemark_seq")
    theirs: Counter[Row] = Counter()
    events = sorted(zip(target.rows, _target(target, columns), strict=True), key=lambda event: int(event[0][seqs]))
    for event, row in events:
        match event[kinds]:
            case "t":
                theirs.clear()
            case "d":
                theirs[row] -= 1
            case _:
                theirs[row] += 1
    ours = Counter(source)
    doubled = len(events) - len({event[seqs] for event, _ in events})
    return Comparison(ours.total(), (ours - theirs).total(), (theirs - ours).total(), doubled)


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
