"""A table that can't follow its source is left as it is, alone and aloud, and is whole again once a person has seen to it."""

from pathlib import Path

import pytest
from redshift_connector.core import Connection

from contracts.position import GtidSet
from demo.shop import TABLES
from devstack.pipeline import Service, wait_until
from devstack.stack import Stack
from tests.stack.scenario import (
    assert_equal,
    assert_ledger_tiles,
    events,
    has_ledger,
    loaded,
    query,
    shop_pipeline,
    traffic,
    traffic_beside_ddl,
)

pytestmark = [pytest.mark.stack, pytest.mark.long]


def said(service: Service, event: str) -> list[str]:
    return [one["table"] for one in events([service], event)]


def states(warehouse: Connection, name: str) -> dict[str, str]:
    schema = f"tidemark_{name}"
    return dict(query(warehouse, f"SELECT source_table, state FROM {schema}.watermarks")) if has_ledger(warehouse, schema) else {}


def test_a_table_with_a_column_of_somebody_elses_is_parked_and_the_others_go_on(
    stack: Stack, warehouse: Connection, tmp_path: Path
) -> None:
    with (
        shop_pipeline(stack, tmp_path, "parked", batch={"seconds": 0.5}) as (pipeline, shop),
        stack.mysql.connect() as connection,
        connection.cursor() as cursor,
    ):
        shop_tables = [f"parked.{table}" for table in TABLES]
        streamer, first = pipeline.start("streamer"), pipeline.start("loader")
        with traffic_beside_ddl(shop):
            wait_until(lambda: states(warehouse, "parked") == dict.fromkeys(shop_tables, "ok"), 60, "the shop is not read")
            warehouse.cursor().execute("ALTER TABLE parked.customers ADD COLUMN score INTEGER")
            cursor.execute("ALTER TABLE parked.customers ADD COLUMN loyalty INT NOT NULL DEFAULT 7")
            wait_until(lambda: said(first, "table.parked") == ["parked.customers"], 60, "customers is not parked")
            passed = len(events([first], "shard.committed"))
            wait_until(lambda: len(events([first], "shard.committed")) > passed + 3, 60, "the others wait for customers")

            for command in (("auditor", "verify", "-t", "parked.customers"), ("loader", "sync", "-t", "parked.customers")):
                done = pipeline.run(*command)
                assert (done.returncode, "has column score" in done.stderr) == (3, True), done.stderr
            shown = pipeline.run("loader", "status").stdout
            assert "parked.customers" in shown
            assert "has column score, which parked.customers has not. Run: " in shown
            assert "streamer snapshot -t parked.customers --resync" in shown
            assert states(warehouse, "parked") == {**dict.fromkeys(shop_tables, "ok"), "parked.customers": "parked"}

            first.kill9()
            second = pipeline.start("loader")
            wait_until(lambda: said(second, "table.parked") == ["parked.customers"], 60, "its successor does not say so")
            # A reading without --resync would leave rows that MySQL has deleted meanwhile.
            assert pipeline.run("streamer", "snapshot", "-t", "parked.customers").returncode == 0
            wait_until(lambda: len(events([streamer], "reread.done")) >= 7, 60, "it is not read")
            warehouse.cursor().execute("ALTER TABLE parked.customers DROP COLUMN score")
            assert pipeline.run("streamer", "snapshot", "-t", "parked.customers", "--resync").returncode == 0
            wait_until(lambda: said(second, "table.followed_again") == ["parked.customers"], 60, "customers stays parked")
        assert_equal(pipeline)
        assert_ledger_tiles(warehouse, pipeline)
        assert query(warehouse, "SELECT COUNT(*) FROM parked.customers WHERE loyalty = 7") != [[0]]
        assert streamer.running()
        assert second.running()


def test_a_table_that_loses_its_key_or_is_paused_is_parked_until_it_is_read_again(
    stack: Stack, warehouse: Connection, tmp_path: Path
) -> None:
    override = {"lostkey.things": {"mode": "merge"}}
    with (
        shop_pipeline(stack, tmp_path, "lostkey", batch={"seconds": 0.5}, tables={"include": ["lostkey.*"], "override": override}) as (
            pipeline,
            shop,
        ),
        stack.mysql.connect(database="lostkey") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE TABLE things (id INT PRIMARY KEY, v INT)")
        cursor.execute("INSERT INTO things VALUES (1, 1), (2, 2)")
        connection.commit()
        streamer, loader = pipeline.start("streamer"), pipeline.start("loader")
        wait_until(lambda: bool(events([loader], "shard.committed")), 60, "nothing is committed")
        with traffic_beside_ddl(shop):
            cursor.execute("ALTER TABLE things DROP PRIMARY KEY")
            cursor.execute("INSERT INTO things VALUES (3, 3)")
            connection.commit()
            wait_until(lambda: said(loader, "table.parked") == ["lostkey.things"], 60, "things is not parked")
            cursor.execute("DELETE FROM things WHERE id = 1")
            cursor.execute("ALTER TABLE things ADD PRIMARY KEY (id)")
            cursor.execute("SELECT @@gtid_executed")
            executed = GtidSet.parse(cursor.fetchall()[0][0])
            wait_until(lambda: executed.is_subset(loaded(warehouse, "tidemark_lostkey")), 60, "the ALTER is not passed")
            assert pipeline.run("streamer", "snapshot", "-t", "lostkey.things", "--resync").returncode == 0
            wait_until(lambda: said(loader, "table.followed_again") == ["lostkey.things"], 60, "things stays parked")
            assert pipeline.run("loader", "pause", "-t", "lostkey.things").returncode == 0
            cursor.execute("INSERT INTO things VALUES (4, 4)")
            connection.commit()
            wait_until(lambda: len(said(loader, "table.parked")) == 2, 60, "the running loader does not see it")
            again = pipeline.run("loader", "pause", "-t", "lostkey.things")
            assert (again.returncode, "is parked already: paused by hand" in again.stderr) == (3, True), again.stderr
            assert pipeline.run("streamer", "snapshot", "-t", "lostkey.things", "--resync").returncode == 0
            wait_until(lambda: len(said(loader, "table.followed_again")) == 2, 60, "things stays paused")
        assert_equal(pipeline)
        done = pipeline.run("auditor", "verify", "-t", "lostkey.things")
        assert done.returncode == 0, done.stdout + done.stderr
        assert query(warehouse, "SELECT id FROM lostkey.things ORDER BY id") == [[2], [3], [4]]
        assert streamer.running()


def test_a_target_that_somebody_drops_is_parked_alone_and_made_again_by_a_resync(
    stack: Stack, warehouse: Connection, tmp_path: Path
) -> None:
    says = "table dropped.products is gone from the warehouse: streamer snapshot -t dropped.products --resync makes it again and fills it"
    with shop_pipeline(stack, tmp_path, "dropped", batch={"seconds": 0.5}) as (pipeline, shop):
        shop_tables = [f"dropped.{table}" for table in TABLES]
        streamer, loader = pipeline.start("streamer"), pipeline.start("loader")
        with traffic(shop):
            wait_until(lambda: states(warehouse, "dropped") == dict.fromkeys(shop_tables, "ok"), 60, "the shop is not read")
            warehouse.cursor().execute("DROP TABLE dropped.products")
            wait_until(lambda: said(loader, "table.parked") == ["dropped.products"], 60, "products is not parked")
            passed = len(events([loader], "shard.committed"))
            wait_until(lambda: len(events([loader], "shard.committed")) > passed + 3, 60, "the others wait for products")
            assert states(warehouse, "dropped") == {**dict.fromkeys(shop_tables, "ok"), "dropped.products": "parked"}
            assert query(warehouse, "SELECT because FROM tidemark_dropped.watermarks WHERE state = 'parked'") == [[says]]
            assert says in pipeline.run("loader", "status").stdout
        others = [f"--table={table}" for table in shop_tables if table != "dropped.products"]
        done = pipeline.run("auditor", "verify", "--patience=60s", *others, timeout_s=120)
        assert done.returncode == 0, done.stdout + done.stderr
        with traffic(shop):
            assert pipeline.run("streamer", "snapshot", "-t", "dropped.products", "--resync").returncode == 0
            wait_until(lambda: said(loader, "table.followed_again") == ["dropped.products"], 60, "products stays parked")
        assert_equal(pipeline)

        # Asked for before any row came: the TRUNCATE finds no table, and makes it again.
        warehouse.cursor().execute("DROP TABLE dropped.products")
        assert pipeline.run("streamer", "snapshot", "-t", "dropped.products", "--resync").returncode == 0
        wait_until(lambda: len(events([loader], "target.refused")) == 2, 60, "the TRUNCATE does not come")
        assert_equal(pipeline)
        assert said(loader, "table.parked") == ["dropped.products"]
        assert_ledger_tiles(warehouse, pipeline)
        assert streamer.running()
        assert loader.running()
