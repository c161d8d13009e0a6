"""Whether the warehouse holds what MySQL holds of a seed's tables: every row by the auditor, and no column but theirs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pymysql
from redshift_connector.core import Connection

from auditor.cli import SystemClock
from auditor.edges.mysql import MysqlSource
from auditor.edges.redshift import RedshiftWarehouse
from auditor.service import Auditor, lacking, wait_for
from contracts.errors import Unavailable
from contracts.sql import held_column
from contracts.table import TableId
from contracts.topics import Topics
from tests.stack.scenario import query

SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """`faults`: what differs, for people; empty when all is equal."""

    rows: int
    faults: tuple[str, ...]


class Judge:
    """Compares once the warehouse has taken over everything and reads no table anew. Raises Unavailable when that doesn't come to pass
    within `patience`."""

    def __init__(self, source: "pymysql.Connection[Any]", target: Connection, ledger: str, patience: timedelta) -> None:
        self._connection, self._target, self._patience = source, target, patience
        self._source, self._warehouse = MysqlSource(source, {}), RedshiftWarehouse(target, ledger, Topics("fuzz"))
        self._auditor = Auditor(self._source, self._warehouse, SystemClock(), patience)

    def appear(self, tables: Sequence[TableId]) -> None:
        """Waits until each of them that holds rows is in the warehouse."""
        self._auditor.choose(tables, self._patience)

    def settle(self, tables: Sequence[TableId], alive: Callable[[], bool]) -> None:
        """Waits for the tables; no longer than the services are `alive`."""
        executed = self._source.executed()

        def behind() -> str:
            if not alive():
                raise Unavailable("a service halted")
            targets = self._warehouse.targets()
            lacks = (lacking(self._warehouse, targets[table], executed) for table in tables if table in targets)
            return next(filter(None, lacks), "")

        wait_for(lambda: not behind(), SystemClock(), self._patience, behind)

    def tables(self, database: str) -> list[TableId]:
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = 'BASE TABLE' ORDER BY 1"
        with self._connection.cursor() as cursor:
            cursor.execute(sql, (database,))
            found = [TableId(database, str(row[0])) for row in cursor.fetchall()]
        self._connection.rollback()
        return found

    def verdict(self, tables: Sequence[TableId]) -> Verdict:
        rows = 0
        faults: list[str] = []
        for table, target in self._auditor.choose(tables, self._patience).items():
            found = self._auditor.verify(table, target)
            rows += found.source_rows
            faults += [
                f"{table}: key {item.key}: {item.difference.value} in {item.columns}: {item.source} / {item.warehouse}"
                for item in found.different[:SHOWN_MAX]
            ]
            # Nothing here is too large for its column.
            faults += [f"{table}: key {item.key}: {item.column or 'the row'} is in quarantine: {item.reason}" for item in found.withheld]
            if target is not None and found.source_rows:
                faults += self._columns(table, target.name)
        return Verdict(rows, tuple(faults))

    def _columns(self, table: TableId, target: str) -> list[str]:
        wanted = sorted(held_column(column.name) for column in self._source.schema(table).columns)
        schema, name = (part.strip('"') for part in target.split('"."'))
        sql = f"SELECT column_name FROM svv_columns WHERE table_schema = '{schema}' AND table_name = '{name}'"
        there = sorted(str(row[0]) for row in query(self._target, sql))
        return [] if there == wanted else [f"{table}: its columns are {wanted}, the target's {there}"]
