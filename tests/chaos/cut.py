"""The warehouse at one moment: what a reader who takes one snapshot sees, and which of MySQL's moments it is said to be."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from redshift_connector.core import Connection
from redshift_connector.error import Error

from contracts.position import GtidSet
from tests.stack.scenario import query


@dataclass(frozen=True, slots=True)
class Target:
    """A target's rows. Columns are named as the warehouse names them; VARBYTE comes as hexadecimal digits."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Cut:
    """`targets`: by MySQL table. `next_offsets`: of each topic, what is loaded."""

    gtid_set: GtidSet
    targets: Mapping[str, Target]
    next_offsets: Mapping[str, int]


def take(connection: Connection, ledger: str, database: str, tables: Collection[str]) -> Cut | None:
    """None when the last barrier is not whole, or a table not `ok`, or a target changes meanwhile. `connection`: without autocommit."""
    connection.rollback()  # the snapshot is the next statement's
    try:
        marks = query(connection, f"SELECT source_table, target_table, state, gtid_set, partial FROM {ledger}.watermarks")
        if not marks or any(partial or state != "ok" for _, _, state, _, partial in marks):
            return None
        (gtid_set,) = {mark[3] for mark in marks}  # one shard, one barrier
        named = {table: target for table, target, *_ in marks}
        wanted = {table: named[f"{database}.{table}"] for table in tables if f"{database}.{table}" in named}
        assert len(wanted) == len(tables), f"the warehouse has no {set(tables) - wanted.keys()}"
        offsets = query(connection, f"SELECT topic, next_offset FROM {ledger}.offsets")
        return Cut(GtidSet.parse(gtid_set), {table: _target(connection, name) for table, name in wanted.items()}, dict(offsets))
    except Error as error:
        if str(error.args[0].get("C")).startswith("42"):
            return None  # a table or a column is not what it was when the snapshot was taken
        raise
    finally:
        connection.rollback()


def _target(connection: Connection, name: str) -> Target:
    cursor = connection.cursor()
    schema, _, table = name.replace('"', "").partition(".")
    cursor.execute("SELECT column_name, data_type FROM svv_columns WHERE table_schema = %s AND table_name = %s", (schema, table))
    kinds = {str(column): str(kind) for column, kind in cursor.fetchall()}
    quoted = {column: '"' + column.replace('"', '""') + '"' for column in kinds}
    shown = [f"FROM_VARBYTE({quoted[column]}, 'hex')" if kind == "binary varying" else quoted[column] for column, kind in kinds.items()]
    return Target(tuple(kinds), [tuple(row) for row in query(connection, f"SELECT {', '.join(shown)} FROM {name}")])
