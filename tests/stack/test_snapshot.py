"""The rows a table holds before the pipeline is, on real servers: read while they change, through kills, and again when somebody asks."""

from pathlib import Path

import orjson
import pytest
from redshift_connector.core import Connection

from devstack.pipeline import Pipeline, wait_until
from devstack.stack import Stack
from tests.stack.scenario import assert_equal, assert_ledger_tiles, shop_pipeline, traffic

pytestmark = pytest.mark.stack


def status(pipeline: Pipeline) -> dict[str, object]:
    done = pipeline.run("streamer", "status", "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = orjson.loads(done.stdout)
    return found


def all_read(pipeline: Pipeline) -> bool:
    found = status(pipeline)
    return bool(found["started"]) and not found["reading"]


def test_rows_that_were_there_are_loaded_while_they_change_and_read_again_on_demand(
    stack: Stack, warehouse: Connection, tmp_path: Path
) -> None:
    with shop_pipeline(stack, tmp_path, "snap") as (pipeline, shop):
        with stack.mysql.connect() as connection, connection.cursor() as cursor:
            cursor.execute("FLUSH BINARY LOGS")
        pipeline.start("streamer")
        pipeline.start("loader")
        with traffic(shop):
            wait_until(lambda: all_read(pipeline), 60, "the snapshot does not end")
        assert_equal(pipeline)
        cursor = warehouse.cursor()
        cursor.execute("SELECT DISTINCT state FROM tidemark_snap.watermarks")
        assert cursor.fetchall() == (["ok"],)
        cursor.execute("DELETE FROM snap.customers WHERE id % 2 = 0")
        cursor.execute("INSERT INTO snap.customers (id) VALUES (-7)")
        done = pipeline.run("streamer", "snapshot", "-t", "snap.customers", "--resync")
        assert done.returncode == 0, done.stderr
        with traffic(shop):
            log = pipeline.services[0].log
            topic = "snap.snap.customers"
            wait_until(lambda: log.read_text().count(f'"topic":"{topic}","rows"') > 1 and all_read(pipeline), 60, "it is not read again")
        assert_equal(pipeline)
        assert_ledger_tiles(warehouse, pipeline)
