"""A table read part by part is the table, on both sides, whatever its numbers."""

from collections.abc import Iterator
from typing import Any

import pytest

from auditor.core.part import WHOLE, Part
from auditor.edges import mysql as source_edge
from auditor.edges.mysql import MysqlSource
from auditor.edges.redshift import RedshiftWarehouse
from auditor.ports import Target
from contracts.errors import Invalid
from contracts.table import TableId
from devstack.stack import Stack

pytestmark = pytest.mark.stack

NAME = "audited_parts"
KEYS = {TableId("audited_parts", "named"): ("id", "n")}
"""A table that has another key in MySQL."""
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
        left.execute(f"CREATE TABLE {NAME}.pairs (n SMALLINT, id INT, name CHAR(9), PRIMARY KEY (n, id, name))")
        left.execute(f"INSERT INTO {NAME}.pairs VALUES {', '.join(f'({n}, {id}, {id})' for n, id in PAIRS)}")
        right.execute(f"CREATE TABLE {NAME}.pairs (n SMALLINT, id INTEGER, name VARCHAR(36))")
        right.execute(f"INSERT INTO {NAME}.pairs VALUES {', '.join(f'({n}, {id}, {id})' for n, id in PAIRS)}")
        left.execute(f"CREATE TABLE {NAME}.named (n INT, id INT PRIMARY KEY)")
        left.execute(
            f"CREATE TABLE {NAME}.unnamed (n INT NOT NULL, id INT NOT NULL, m INT, UNIQUE KEY z (n), UNIQUE KEY a (id), UNIQUE c (m))"
        )
        left.execute(f"CREATE TABLE {NAME}.virtual (n INT, v INT AS (n + 1) VIRTUAL NOT NULL UNIQUE)")
        left.execute(f"CREATE TABLE {NAME}.loose (n INT UNIQUE)")
        left.execute(f"CREATE TABLE {NAME}.texts (id VARCHAR(9) PRIMARY KEY)")
        left.execute(f"INSERT INTO {NAME}.texts VALUES {', '.join(f'({n})' for n in range(9))}")
        left.execute(f"CREATE TABLE {NAME}.`50%s` (n INT, `id%d` INT PRIMARY KEY)")
        left.execute(f"INSERT INTO {NAME}.`50%s` VALUES {', '.join(f'({n}, {n})' for n in range(4))}")
        mysql.commit()
        yield MysqlSource(mysql, KEYS), RedshiftWarehouse(warehouse, "none")


PAIRS = [(n, id) for n in (-1, 0, 7) for id in range(-2, 3)]


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


def test_a_part_ends_within_a_value_of_the_first_column(sides: tuple[MysqlSource, RedshiftWarehouse]) -> None:
    source, warehouse = sides
    schema, target = source.schema(TableId(NAME, "pairs")), Target(f"{NAME}.pairs", 0, append=False)
    parts = list(source.parts(schema))
    assert [part.up_to for part in parts] == [PAIRS[2], PAIRS[5], PAIRS[8], PAIRS[11], PAIRS[14], None]
    rows: list[list[str | None]] = [[str(n), str(id), str(id)] for n, id in PAIRS]
    for at, part in enumerate(parts):
        some = rows[at * 3 : at * 3 + 3]
        assert list(source.rows(schema, part)) == some
        assert sorted(map(list, warehouse.rows(target, schema, part)), key=rows.index) == some


def test_rows_have_the_key_they_have_on_kafka(sides: tuple[MysqlSource, RedshiftWarehouse]) -> None:
    source, _ = sides
    assert source.schema(TableId(NAME, "named")).key == ("id", "n")
    assert source.schema(TableId(NAME, "unnamed")).key == ("n",)  # the first that was defined
    with pytest.raises(Invalid, match="only rows with a key"):
        source.schema(TableId(NAME, "virtual"))
    with pytest.raises(Invalid, match="neither a primary key nor a unique key of NOT NULL columns"):
        source.schema(TableId(NAME, "loose"))
    assert (source.has(TableId(NAME, "named")), source.has(TableId(NAME, "gone"))) == (True, False)


def test_a_key_of_text_is_read_whole(sides: tuple[MysqlSource, RedshiftWarehouse]) -> None:
    assert list(sides[0].parts(sides[0].schema(TableId(NAME, "texts")))) == [Part()]


def test_a_percent_sign_in_a_name_is_one(sides: tuple[MysqlSource, RedshiftWarehouse]) -> None:
    source, _ = sides
    table = TableId(NAME, "50%s")
    schema = source.schema(table)
    assert source.holds_rows(table)
    assert [list(source.rows(schema, part)) for part in source.parts(schema)] == [[[str(n), str(n)] for n in range(3)], [["3", "3"]]]
