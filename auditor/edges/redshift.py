"""The warehouse's rows and what its ledger says it holds."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from redshift_connector.core import Connection
from redshift_connector.error import InterfaceError, ProgrammingError

from auditor.core.canonical import from_warehouse, warehouse_expression
from auditor.core.diff import CanonicalRow
from auditor.core.part import Part
from auditor.core.withheld import Entry
from auditor.ports import Loaded, Target
from contracts.errors import Invalid, PipelineError, Unavailable
from contracts.position import GtidSet
from contracts.sql import held_column, qualified, quote
from contracts.table import TableId, TableSchema
from contracts.topics import Topics
from runtime.connect.redshift import CUT_OFF

_NO_SUCH_TABLE = "42P01"
_NO_SUCH_COLUMN = "42703"
_DENIED = "42501"
_OP, _DELETED = "_tidemark_op", "_tidemark_deleted"


class RedshiftWarehouse:
    """Fits `ports.Warehouse` over one connection in autocommit: every statement sees the newest commit."""

    def __init__(self, connection: Connection, ledger_schema: str, topics: Topics) -> None:
        self._connection = connection
        self._ledger = quote(ledger_schema)
        self._topics = topics

    def targets(self) -> Mapping[TableId, Target]:
        try:
            rows = self._query(f"SELECT topic, source_table, target_table, shard FROM {self._ledger}.offsets WHERE target_table <> ''")
        except Missing:
            return {}  # no loader of this pipeline has run yet
        # What a mode adds to a table tells it from one that equals its source.
        added = self._query(
            f"SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE column_name IN ('{_OP}', '{_DELETED}')"
        )
        there = {(qualified(schema, name), column) for schema, name, column in added}
        return {
            self._named(topic, source): Target(name, int(shard), (name, _OP) in there, (name, _DELETED) in there)
            for topic, source, name, shard in rows
        }

    def _named(self, topic: str, text: str) -> TableId:
        """The table of a topic; `text` is `database.table`, of which each may hold dots, and the topic's name tells where they part."""
        words = text.split(".")
        splits = (TableId(".".join(words[:at]), ".".join(words[at:])) for at in range(1, len(words)))
        return next((table for table in splits if self._topics.rows(table) == topic), TableId.parse(text))

    def loaded(self, target: Target) -> Loaded:
        name = target.name.replace("'", "''")
        rows = self._query(
            f"SELECT f.gtid_set, f.partial, o.state, o.because FROM {self._ledger}.fence AS f"
            f" JOIN {self._ledger}.offsets AS o ON o.shard = f.shard WHERE o.target_table = '{name}'"
        )
        if len(rows) != 1:
            raise Invalid(f"the warehouse has no fence row of shard {target.shard}: did a loader of this pipeline ever run?")
        gtid_set, partial, state, because = rows[0]
        return Loaded(GtidSet.parse(gtid_set), bool(partial), state, because)

    def quarantine(self, target: Target) -> Iterable[Entry]:
        name = target.name.replace("'", "''")
        return [
            (row_key, column, reason)
            for row_key, column, reason in self._query(
                f"SELECT q.row_key, q.column_name, q.reason FROM {self._ledger}.quarantine AS q"
                f" JOIN {self._ledger}.offsets AS o ON o.topic = q.topic"
                f" WHERE o.target_table = '{name}' AND q.closed_at IS NULL AND q.row_key IS NOT NULL ORDER BY q.record_offset"
            )
        ]

    def rows(self, target: Target, schema: TableSchema, part: Part) -> Iterator[CanonicalRow]:
        select = ", ".join(warehouse_expression(column, quote(held_column(column.name))) for column in schema.columns)
        convert = [from_warehouse(column) for column in schema.columns]
        there = f"NOT {quote(_DELETED)}" if target.soft_delete else "TRUE"
        where = f"{there} AND {part.condition(lambda name: quote(held_column(name)))}"
        try:
            rows = self._query(f"SELECT {select} FROM {target.name} WHERE {where}")
        except Missing as error:
            # An empty table gets the columns of an altered source with its first row.
            if error.fields["code"] == _NO_SUCH_COLUMN and not self._query(f"SELECT 1 FROM {target.name} WHERE {there} LIMIT 1"):
                return
            raise Invalid(f"{target.name} lacks what {schema.table} has: {error.message}") from error
        for row in rows:
            yield [form(value) for form, value in zip(convert, row, strict=True)]

    def _query(self, sql: str) -> list[Any]:
        try:
            cursor = self._connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())
        except ProgrammingError as error:
            raise _translated(error) from error
        except (InterfaceError, *CUT_OFF) as error:
            raise Unavailable(f"the warehouse stopped answering: {error}") from error


def _translated(error: ProgrammingError) -> PipelineError:
    fields = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    code, text = str(fields.get("C", "")), str(fields.get("M", error))
    if code in (_NO_SUCH_TABLE, _NO_SUCH_COLUMN):
        return Missing(text, code=code)
    if code == _DENIED:
        return Invalid(
            f"the warehouse refuses it: {text}; name the auditor's user in target.grant_select_to, or grant what"
            " deploy/redshift/grants.sql gives it",
            code=code,
        )
    return Unavailable(f"the warehouse: {text}", code=code)


class Missing(Invalid):
    """There is no such table or column."""
