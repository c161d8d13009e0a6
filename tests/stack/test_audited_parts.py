"""A table read part by part is the table, on both sides, whatever its numbers."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest

from auditor.core.part import WHOLE, Part
from auditor.edges import mysql as source_edge
from auditor.edges.mysql import MysqlSource
from auditor.edges.redshift import RedshiftWarehouse
from auditor.ports import NotNow, Target
from contracts.errors import Invalid
from contracts.table import TableId
from contracts.topics import Topics
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
        left.execute(f"CREATE TABLE {NAME}.scaled (id INT PRIMARY KEY, d DOUBLE(10,2), f FLOAT(10,2), day DATE)")
        left.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")
        left.execute(f"INSERT INTO {NAME}.scaled VALUES (1, 1.59, 1.59, '2024-02-30'), (2, 1.5, 1.5, '2024-02-29')")
        left.execute(f"SELECT CAST(d AS DOUBLE), CAST(f AS DOUBLE) FROM {NAME}.scaled ORDER BY id")
        doubles = list(left.fetchall())
        right.execute(f"CREATE TABLE {NAME}.scaled (id INTEGER, d DOUBLE PRECISION, f REAL, day DATE)")
        for id, (d, f), day in ((1, doubles[0], "NULL"), (2, doubles[1], "'2024-02-29'")):
            right.execute(f"INSERT INTO {NAME}.scaled VALUES ({id}, {d!r}, {f!r}, {day})")
        left.execute(f"CREATE TABLE {NAME}.`50%s` (n INT, `id%d` INT PRIMARY KEY)")
        left.execute(f"INSERT INTO {NAME}.`50%s` VALUES {', '.join(f'({n}, {n})' for n in range(4))}")
        mysql.commit()
        yield MysqlSource(mysql, KEYS), RedshiftWarehouse(warehouse, "none", Topics("tm"))


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


def test_what_mysql_shows_rounded_is_compared_as_it_is_and_what_is_no_date_as_null(sides: tuple[MysqlSource, RedshiftWarehouse]) -> None:
    """A DOUBLE(10,2) holds 1.5899999999999999 and shows 1.59."""
    source, warehouse = sides
    schema = source.schema(TableId(NAME, "scaled"))
    rows = list(source.rows(schema, WHOLE))
    assert rows == list(warehouse.rows(Target(f"{NAME}.scaled", 0, append=False), schema, WHOLE))
    assert rows[0][1] != struct.pack(">d", 1.59).hex()
    assert [row[3] for row in rows] == [None, "2024-02-29"]


def test_a_table_that_may_not_be_read_or_was_altered_is_told_from_one_that_is_gone(
    stack: Stack, sides: tuple[MysqlSource, RedshiftWarehouse]
) -> None:
    source, table = sides[0], TableId(NAME, "altered")
    with stack.mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {NAME}.altered (id INT PRIMARY KEY, n INT)")
        cursor.execute(f"CREATE USER {NAME}@'%'")
        cursor.execute(f"GRANT SELECT ON {NAME}.named TO {NAME}@'%'")
        with stack.mysql.connect(user=NAME, password="") as narrow:
            theirs = MysqlSource(narrow, {})
            assert theirs.has(TableId(NAME, "named"))
            with pytest.raises(Invalid, match=r"GRANT SELECT ON `audited_parts`\.`altered`"):
                theirs.has(table)
        schema = source.schema(table)
        cursor.execute(f"ALTER TABLE {NAME}.altered DROP COLUMN n")
        with pytest.raises(NotNow, match="altered while it was compared"):
            list(source.rows(schema, WHOLE))
        cursor.execute(f"DROP TABLE {NAME}.altered")
        with pytest.raises(Invalid, match="MySQL has no table"):
            list(source.rows(schema, WHOLE))
        assert not source.has(table)
        assert not source.has(TableId("no_such_database", "t"))
