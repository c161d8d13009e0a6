from typing import Any, cast
from unittest.mock import Mock

import pytest
from redshift_connector.core import Connection
from redshift_connector.error import ProgrammingError

from auditor.core.part import WHOLE
from auditor.edges.redshift import RedshiftWarehouse
from auditor.ports import Target
from contracts.errors import Invalid, PipelineError, Unavailable
from contracts.table import Column, Kind, TableId, TableSchema
from contracts.topics import Topics

SCHEMA = TableSchema(TableId("shop", "orders"), (Column("id", Kind.INT, nullable=False), Column("ctid", Kind.INT)), ("id",))
TOPICS = Topics("tm")
TARGET = Target('"shop"."orders"', 0, append=False)


class OneColumn:
    """A warehouse whose table has one column, `id`."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids
        self.sent: list[str] = []

    def cursor(self) -> "OneColumn":
        return self

    def execute(self, sql: str) -> None:
        self.sent.append(sql)
        if "ctid" in sql:
            raise ProgrammingError({"C": "42703", "M": 'column "ctid_a6768917" does not exist'})

    def fetchall(self) -> list[Any]:
        return [[id] for id in self.ids]


def test_an_empty_table_without_a_column_of_the_source_has_no_rows() -> None:
    connection = OneColumn([])
    assert list(RedshiftWarehouse(cast(Connection, connection), "tidemark", TOPICS).rows(TARGET, SCHEMA, WHOLE)) == []
    # By the name the target holds the column by; `ctid` alone would be PostgreSQL's own.
    assert '"ctid_a6768917"' in connection.sent[0]


@pytest.mark.parametrize(
    "table",
    [TableId("shop", "orders"), TableId("my.shop", "orders"), TableId("my", "shop.orders"), TableId("a.b", "c.d"), TableId("a", "b.c.d")],
)
def test_a_table_is_known_by_its_topic_however_many_dots_its_names_hold(table: TableId) -> None:
    connection = Mock()
    connection.cursor.return_value.fetchall.side_effect = [[(TOPICS.rows(table), str(table), '"s"."t"', 0)], []]
    assert RedshiftWarehouse(connection, "tidemark", TOPICS).targets() == {table: Target('"s"."t"', 0, append=False)}


def test_a_table_with_rows_that_lacks_a_column_is_named() -> None:
    with pytest.raises(Invalid, match=r'"shop"\."orders" lacks what shop\.orders has: column "ctid_a6768917" does not exist'):
        list(RedshiftWarehouse(cast(Connection, OneColumn([1])), "tidemark", TOPICS).rows(TARGET, SCHEMA, WHOLE))


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        ("42501", Invalid, r"permission denied.*target\.grant_select_to"),
        ("57014", Unavailable, "permission denied"),
        ("42P01", Invalid, r"lacks what shop\.orders has"),
    ],
)
def test_what_the_warehouse_refuses_is_told_with_what_to_do(code: str, error: type[PipelineError], told: str) -> None:
    connection = Mock()
    connection.cursor.return_value.execute.side_effect = ProgrammingError({"C": code, "M": "permission denied for relation orders"})
    with pytest.raises(error, match=told):
        list(RedshiftWarehouse(connection, "tidemark", TOPICS).rows(TARGET, SCHEMA, WHOLE))
