"""Tables altered the way large ones are, under traffic: a copy of another shape is filled beside the table and takes its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devstack.pipeline import wait_until
from devstack.stack import Stack
from devstack.toolkit import online_schema_change
from tests.stack.scenario import assert_equal, events, shop_pipeline, traffic_beside_ddl

pytestmark = [pytest.mark.stack, pytest.mark.long]

Alter = Callable[[Stack, str, str, str], object]


def percona(stack: Stack, database: str, table: str, clauses: str) -> None:
    """The tool itself; in small chunks, so that traffic meets it."""
    said = online_schema_change(stack.mysql, database, table, clauses, "--chunk-size=20", "--no-check-plan", "--sleep=0.02")
    assert f"Successfully altered `{database}`.`{table}`." in said


def ghost(stack: Stack, database: str, table: str, clauses: str) -> None:
    """gh-ost's statements, but that the changes meanwhile are taken over at the end and not from the binlog."""
    new, old, notes = f"_{table}_gho", f"_{table}_del", f"_{table}_ghc"
    with stack.mysql.connect(database) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE /* gh-ost */ TABLE {notes} (id BIGINT AUTO_INCREMENT PRIMARY KEY, hint VARCHAR(64) CHARACTER SET ascii)")
        cursor.execute(f"CREATE /* gh-ost */ TABLE {new} LIKE {table}")
        cursor.execute(f"ALTER /* gh-ost */ TABLE {new} {clauses}")
        kept = _columns(cursor, database, new)
        columns = ", ".join(name for name in _columns(cursor, database, table) if name in kept)
        for part in range(8):
            cursor.execute(f"INSERT /* gh-ost */ INTO {notes} (hint) VALUES ('copy-{part}')")
            where = f"CRC32(CONCAT(id, '')) % 8 = {part}"
            cursor.execute(f"INSERT /* gh-ost */ IGNORE INTO {new} ({columns}) SELECT {columns} FROM {table} WHERE {where} FOR SHARE")
        cursor.execute(f"LOCK /* gh-ost */ TABLES {table} WRITE, {table} AS t WRITE, {new} WRITE, {new} AS n WRITE")
        cursor.execute(f"DELETE /* gh-ost */ n FROM {new} AS n LEFT JOIN {table} AS t USING (id) WHERE t.id IS NULL")
        cursor.execute(f"REPLACE /* gh-ost */ INTO {new} ({columns}) SELECT {columns} FROM {table}")
        cursor.execute(f"RENAME /* gh-ost */ TABLE {table} TO {old}, {new} TO {table}")
        cursor.execute("UNLOCK TABLES")
        cursor.execute(f"DROP /* gh-ost */ TABLE {old}, {notes}")


def _columns(cursor: Any, database: str, table: str) -> list[str]:
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        (database, table),
    )
    return [str(row[0]) for row in cursor.fetchall()]


@pytest.mark.parametrize(("name", "alter"), [("percona", percona), ("ghost", ghost)])
def test_a_table_that_is_replaced_by_its_altered_copy_under_traffic_is_followed(
    stack: Stack, tmp_path: Path, name: str, alter: Alter
) -> None:
    with shop_pipeline(stack, tmp_path, name, batch={"seconds": 0.5}) as (pipeline, shop):
        services = [pipeline.start("streamer"), pipeline.start("loader")]

        with traffic_beside_ddl(shop):
            wait_until(lambda: len(events(services, "reread.done")) >= 5, 60, "the tables are not read")
            # Invisible, for the shop writes its rows without naming columns.
            note = "ADD COLUMN note VARCHAR(40) DEFAULT 'none' INVISIBLE AFTER id"
            alter(stack, name, "payments", f"MODIFY amount DECIMAL(20,6) NOT NULL, {note}")
            alter(stack, name, "payments", "DROP COLUMN note, MODIFY method SET('cash', 'card', 'voucher') NOT NULL")
        assert_equal(pipeline)
        swaps = [event for event in events(services, "reread.begun") if event["table"] == f"{name}.payments" and event.get("emptied")]
        assert len(swaps) == 2
        assert events(services, "shard.restarted", "rows.quarantined") == []
        assert all(service.running() for service in services)
