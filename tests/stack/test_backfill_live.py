"""`streamer --from-timestamp` beside a running streamer, on real servers: a target that somebody damaged is whole again, and nobody who
reads it meanwhile sees a row go back."""

import random
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from pymysql.connections import Connection as MysqlConnection
from redshift_connector.core import Connection

from devstack.pipeline import Pipeline, running_pipeline, wait_until
from devstack.stack import Stack
from tests.stack.scenario import assert_ledger_tiles, beside, logs, query
from tests.stack.test_backfill import ALTERS, now
from tests.stack.test_snapshot import all_read
from tests.stack.test_streamer import run

pytestmark = [pytest.mark.stack, pytest.mark.long]

ROWS = 300
DEAD = range(ROWS - 50, ROWS)  # deleted since, and never there again


@pytest.fixture
def source(stack: Stack) -> Iterator["MysqlConnection[Any]"]:
    with stack.mysql.connect() as connection:
        connection.autocommit(True)
        yield connection


@dataclass
class Scene:
    """A pipeline of a database of its name, with tables whose rows carry versions, and its running services."""

    pipeline: Pipeline
    source: "MysqlConnection[Any]"
    warehouse: Connection

    def begin(self, *tables: str, count: int = ROWS) -> None:
        run(self.source, f"CREATE DATABASE {self.pipeline.name}")
        for table in tables:
            name = f"{self.pipeline.name}.{table}"
            rows = ", ".join(f"({number}, 1)" for number in range(count))
            run(self.source, f"CREATE TABLE {name} (id INT PRIMARY KEY, v BIGINT NOT NULL)", f"INSERT INTO {name} VALUES {rows}")
        for service in ("streamer", "loader"):
            self.pipeline.start(service)
        wait_until(lambda: all_read(self.pipeline), 60, f"the tables are not read\n{logs(self.pipeline)}")
        self.assert_equal(*tables)

    def assert_equal(self, *tables: str) -> None:
        named = [f"--table={self.pipeline.name}.{table}" for table in tables]
        done = self.pipeline.run("auditor", "verify", "--patience=60s", *named, timeout_s=120)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs(self.pipeline)}"

    def held(self, table: str) -> list[Any]:
        return query(self.warehouse, f"SELECT * FROM {self.pipeline.name}.{table} ORDER BY id")

    def backfill(self, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        done = self.pipeline.run("streamer", *arguments, timeout_s=120)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}\n{logs(self.pipeline)}"
        print(done.stdout)
        return done

    def dry_run(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.backfill(*arguments, "--dry-run", "--json", code=4).stdout)
        return found


@pytest.fixture
def scene(
    stack: Stack, source: "MysqlConnection[Any]", warehouse: Connection, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    name = str(request.param)
    settings = {"redshift": {"schema": f"tidemark_{name}"}, "s3": {"prefix": f"lake-{name}"}}
    with running_pipeline(stack, tmp_path, name=name, tables=[f"{name}.*"], settings=settings) as pipeline:
        yield Scene(pipeline, source, warehouse)


@dataclass
class Witness:
    """Who reads the target again and again. `backwards`: what went back in time before its eyes."""

    warehouse: Connection
    table: str
    newest: dict[int, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    backwards: list[str] = field(default_factory=list)
    looks: int = 0

    def look(self) -> None:
        held = dict(query(self.warehouse, f"SELECT id, v FROM {self.table}"))
        self.looks += 1
        for key, version in held.items():
            if version < self.newest.get(key, -2):
                self.backwards.append(f"{key} was {self.newest[key]} and is {version}")
            if key in self.gone:
                self.backwards.append(f"{key} was gone and is {version}")
            self.newest[key] = version
        self.gone |= set(DEAD) - held.keys()


@pytest.mark.parametrize("scene", ["bflive"], indirect=True)
def test_a_damaged_target_is_whole_again_and_no_reader_sees_a_row_go_back(scene: Scene, stack: Stack) -> None:
    scene.begin("orders")
    rng = random.Random(7)
    since = now(scene.source)
    run(scene.source, f"UPDATE bflive.orders SET v = 2 WHERE id < {DEAD.start}", f"DELETE FROM bflive.orders WHERE id >= {DEAD.start}")
    scene.assert_equal("orders")
    # A row deleted, a row changed, a row that MySQL has no more.
    cursor = scene.warehouse.cursor()
    cursor.execute(f"DELETE FROM bflive.orders WHERE id % 3 = 0 AND id < {DEAD.start}")
    cursor.execute("UPDATE bflive.orders SET v = -1 WHERE id % 3 = 1")
    cursor.execute(f"INSERT INTO bflive.orders (id, v) VALUES {', '.join(f'({key}, 0)' for key in DEAD)}")
    assert len(scene.held("orders")) != DEAD.start
    with stack.mysql.connect() as connection, stack.redshift.connect(ssl=False) as reader:
        connection.autocommit(True)
        reader.autocommit = True
        witness = Witness(reader, "bflive.orders")

        def trade() -> None:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE bflive.orders SET v = v + 1 WHERE id = %s", (rng.randrange(DEAD.start),))

        with beside(witness.look, 0.01), beside(trade, 0.002):
            time.sleep(1)
            said = scene.backfill("--from-timestamp", since).stdout
            time.sleep(3)
        scene.assert_equal("orders")
        witness.look()
    assert witness.backwards == []
    assert witness.looks > 20
    assert set(witness.newest.values()) - {-1}
    assert witness.gone == set(DEAD)
    assert f"read again: {ROWS} keys of 1 tables" in said
    before = scene.held("orders")
    scene.backfill("--from-timestamp", since)
    scene.assert_equal("orders")
    assert scene.held("orders") == before
    assert_ledger_tiles(scene.warehouse, scene.pipeline)


@pytest.mark.parametrize("scene", ["bfpart"], indirect=True)
def test_a_part_is_chosen_by_table_and_moment_and_a_dry_run_says_which(scene: Scene) -> None:
    scene.begin("orders", "items", count=30)
    since = now(scene.source)
    run(scene.source, "UPDATE bfpart.orders SET v = 2 WHERE id < 10", "FLUSH BINARY LOGS", "UPDATE bfpart.items SET v = 2 WHERE id < 5")
    until = now(scene.source)
    run(scene.source, "UPDATE bfpart.orders SET v = 3 WHERE id >= 8")
    scene.assert_equal("orders", "items")
    for table in ("orders", "items"):
        scene.warehouse.cursor().execute(f"DELETE FROM bfpart.{table}")
    counts = {}
    for arguments in ([], ["--until", until], ["-t", "bfpart.items"]):
        found = scene.dry_run("--from-timestamp", since, *arguments)
        counts[" ".join(arguments[:1])] = (
            {table["table"]: table["keys"] for table in found["tables"]},
            found["transactions"],
            len(found["files"]),
        )
    assert counts == {
        "": ({"bfpart.items": 5, "bfpart.orders": 30}, 3, 2),
        "--until": ({"bfpart.items": 5, "bfpart.orders": 10}, 2, 2),
        "-t": ({"bfpart.items": 5}, 3, 2),
    }
    assert scene.held("orders") == scene.held("items") == []
    scene.backfill("--from-timestamp", since, "--until", until, "-t", "bfpart.orders")
    wait_until(lambda: len(scene.held("orders")) == 10, 30, "the rows do not come")
    assert [version for _, version in scene.held("orders")] == [2] * 8 + [3] * 2, "as MySQL has them now"
    assert scene.held("items") == []
    scene.backfill("--from-timestamp", since)
    wait_until(lambda: (len(scene.held("orders")), len(scene.held("items"))) == (30, 5), 30, "the rows do not come")
    text = scene.backfill("--from-timestamp", since, "--dry-run", code=4).stdout
    assert "35 keys, 0 whole tables; nothing was asked of the streamer" in text


@pytest.mark.parametrize("scene", ["bfddl"], indirect=True)
def test_tables_that_were_altered_or_emptied_since_are_whole_again(scene: Scene) -> None:
    """Ten ALTERs, each row decoded by its own schema; a TRUNCATE; a key of another type."""
    scene.begin("orders", "emptied", "rekeyed", count=20)
    since = now(scene.source)
    for number, alter in enumerate(ALTERS):
        run(
            scene.source,
            f"ALTER TABLE bfddl.orders {alter}",
            f"UPDATE bfddl.orders SET v = {number + 2} WHERE id IN ({number}, {number + 1})",
        )
    run(scene.source, "TRUNCATE bfddl.emptied", "INSERT INTO bfddl.emptied VALUES (1, 7), (2, 8)")
    run(scene.source, "UPDATE bfddl.rekeyed SET v = 5 WHERE id = 3", "ALTER TABLE bfddl.rekeyed MODIFY id BIGINT")
    wait_until(lambda: all_read(scene.pipeline), 60, f"the tables are not read\n{logs(scene.pipeline)}")
    scene.assert_equal("orders", "emptied", "rekeyed")
    cursor = scene.warehouse.cursor()
    for damage in ("orders SET v = -1 WHERE id <= 10", "rekeyed SET v = -1"):
        cursor.execute(f"UPDATE bfddl.{damage}")
    cursor.execute("DELETE FROM bfddl.orders WHERE id = 4")
    cursor.execute("INSERT INTO bfddl.emptied (id, v) VALUES (9, 9)")
    found = {table["table"]: table for table in scene.dry_run("--from-timestamp", since)["tables"]}
    assert {name: table["whole_table"] for name, table in found.items()} == {
        "bfddl.emptied": True,
        "bfddl.orders": False,
        "bfddl.rekeyed": True,
    }
    assert found["bfddl.orders"]["keys"] == len(ALTERS) + 1
    assert found["bfddl.emptied"]["because"].startswith("TRUNCATE TABLE")
    scene.backfill("--from-timestamp", since)
    scene.assert_equal("orders", "emptied", "rekeyed")
    assert_ledger_tiles(scene.warehouse, scene.pipeline)


@pytest.mark.parametrize("scene", ["bfkill"], indirect=True)
def test_a_streamer_that_is_killed_meanwhile_goes_on_with_what_was_asked(scene: Scene, stack: Stack) -> None:
    rows = 60_000
    scene.begin("orders", count=rows)
    since = now(scene.source)
    run(scene.source, "UPDATE bfkill.orders SET v = 2")
    scene.assert_equal("orders")
    scene.warehouse.cursor().execute("UPDATE bfkill.orders SET v = -1 WHERE id % 2 = 0")
    rng = random.Random(11)
    asking = scene.pipeline.start("streamer", "--from-timestamp", since)
    streamer = scene.pipeline.services[0]
    wait_until(lambda: "signal.heard" in streamer.log.read_text(), 60, "nothing is asked for")
    for _ in range(3):
        streamer.kill9()
        streamer = scene.pipeline.start("streamer")
        wait_until(lambda s=streamer: "reread.done" in s.log.read_text() or not asking.running(), 60, "nothing is read again")  # type: ignore[misc]
        time.sleep(rng.random() / 2)
    assert asking.wait(120) == 0, asking.tail()
    assert f"read again: {rows:,} keys" in asking.log.read_text()
    scene.assert_equal("orders")
    assert_ledger_tiles(scene.warehouse, scene.pipeline)
