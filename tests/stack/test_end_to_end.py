"""The pipeline's promises, one scenario each, on real servers and with the services as processes."""

from pathlib import Path

import pytest
from redshift_connector.core import Connection

from devstack.stack import Stack
from tests.stack.scenario import (
    assert_equal,
    assert_ledger_tiles,
    bucket_stems,
    ledger_stems,
    shop_pipeline,
    traffic,
    wait_for_commits,
)

pytestmark = pytest.mark.stack


def test_every_row_of_related_tables_under_traffic_is_equal(stack: Stack, warehouse: Connection, tmp_path: Path) -> None:
    with shop_pipeline(stack, tmp_path, "equal") as (pipeline, shop):
        pipeline.start("streamer")
        pipeline.start("loader")
        with traffic(shop):
            wait_for_commits(warehouse, pipeline, 15)
        assert assert_equal(pipeline) > 200
        assert_ledger_tiles(warehouse, pipeline)
        assert bucket_stems(stack, pipeline) == ledger_stems(warehouse, pipeline)
        assert [service.stop() for service in pipeline.services] == [0, 0]


@pytest.mark.long
def test_a_broken_row_in_the_warehouse_is_found_and_named(stack: Stack, warehouse: Connection, tmp_path: Path) -> None:
    with shop_pipeline(stack, tmp_path, "broken") as (pipeline, _):
        with stack.mysql.connect() as connection, connection.cursor() as source:
            source.execute("CREATE TABLE broken.log (line VARCHAR(20))")
            source.execute("INSERT INTO broken.log VALUES ('once')")
        pipeline.start("streamer")
        pipeline.start("loader")
        assert_equal(pipeline)
        cursor = warehouse.cursor()
        cursor.execute("UPDATE broken.customers SET balance = balance + 1 WHERE id = 7")
        cursor.execute("DELETE FROM broken.customers WHERE id = 8")
        done = pipeline.run("auditor", "verify", "--table=broken.customers")
        assert done.returncode == 4
        assert "7" in done.stdout
        assert "unequal" in done.stdout
        assert "8" in done.stdout
        assert "missing" in done.stdout
        kept = pipeline.run("auditor", "verify", "--table=broken.log")
        assert kept.returncode == 2
        assert "broken.log is an append table" in kept.stderr
        nowhere = pipeline.run("auditor", "verify", "--table=broken.nowhere")
        assert nowhere.returncode == 2
        assert "MySQL has no table broken.nowhere" in nowhere.stderr
