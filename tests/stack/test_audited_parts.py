"""A table read part by part is the table, on both sides, whatever its numbers."""

from collections.abc import Iterator
from typing import Any

import pytest

from auditor.core.part import WHOLE, Part
from auditor.edges import mysql as source_edge
from auditor.edges.mysql import MysqlSource
from auditor.edges.redshift import RedshiftWarehouse
from auditor.ports import Target
from contracts.table import TableId
from devstack.stack import Stack

pytestmark = pytest.mark.stack

NAME = "audited_parts"
IDS = [-(2**63), -7, -6, -1, 0, 1, 5, 6, 7, 2**62, 2**63 - 1]


@pytest.fixture(scope="module")
def sides(stack: Stack) -> Iterator[tuple[MysqlSource, RedshiftWarehouse]]:
    with stack.mysql.connect() as mysql, stack.redshift.connect(ssl=False) as warehouse, pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_edge, "rows_of_a_part", lambda row_bytes: 3)
        warehouse.autocommit = True
        left, right = mysql.cursor(), warehouse.cursor()
        left.execute(f"CREATE DATABASE {NAME}")
        right.execute(f"CREATE SCHEMA {NAME}")
        for table, kind, held, rows in tables():
            left.execute(f"CREATE TABLE {NAME}.{table} (n {kind}, id {kind} PRIMARY KEY)")
            right.execute(f"CREATE TABLE {NAME}.{table} (n {held}, id {held} NOT NULL)")
            if rows:
                for cursor in (left, right):
                    cursor.execute(f"INSERT INTO {NAME}.{table} VALUES {', '.join(f'({n}, {n})' for n in rows)}")
        left.execute(f"CREATE TABLE {NAME}.texts (id VARCHAR(9) PRIMARY KEY)")
        left.execute(f"INSERT INTO {NAME}.texts VALUES {', '.join(f'({n})' for n in range(9))}")
        mysql.commit()
        yield MysqlSource(mysql), RedshiftWarehouse(warehouse, "none")


def tables() -> list[tuple[str, str, str, list[Any]]]:
    return [
        ("signed_ids", "BIGINT", "BIGINT", IDS),
        ("natural_ids", "BIGINT UNSIGNED", "DECIMAL(20,0)", [*range(5), 2**64 - 2, 2**64 - 1]),
        ("no_rows", "INT", "INTEGER", []),
        ("one_part", "INT", "INTEGER", [1, 2, 3]),
    ]


def test_parts_take_in_every_row_once(sides: tuple[MysqlSource, RedshiftWarehouse]) -> None:
    source, warehouse = sides
    for table, _, _, rows in tables():
        schema, target = source.schema(TableId(NAME, table)), Target(f"{NAME}.{table}", 0, append=False)
        parts = list(source.parts(schema))
        read = [list(source.rows(schema, part)) for part in parts]
        assert [len(some) for some in read] == [3] * (len(rows) // 3) + [len(rows) % 3], table
        for part, some in zip(parts, read, strict=True):
            assert sorted(map(str, warehouse.rows(target, schema, part))) == sorted(map(str, some)), part
        assert [row for some in read for row in some] == list(source.rows(schema, WHOLE)) == [[str(n), str(n)] for n in rows]
        # Nothing lies beyond the first part or the last.
        assert (parts[0].above, parts[-1].up_to) == (None, None)
        assert [part.above for part in parts[1:]] == [part.up_to for part in parts[:-1]]


def test_a_key_of_text_is_read_whole(sides: tuple[MysqlSource, RedshiftWarehouse]) -> None:
    assert list(sides[0].parts(sides[0].schema(TableId(NAME, "texts")))) == [Part()]
