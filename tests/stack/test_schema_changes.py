"""ALTERs of every kind while traffic runs: streamer and loader follow, and both sides hold the same rows. Nobody is asked."""

from pathlib import Path

import pytest

from devstack.pipeline import wait_until
from devstack.stack import Stack
from tests.stack.scenario import assert_equal, events, shop_pipeline, traffic_beside_ddl

pytestmark = [pytest.mark.stack, pytest.mark.long]

NAME = "changes"
ALTERS = (
    "customers ADD COLUMN loyalty INT NOT NULL DEFAULT 7 AFTER name",
    "customers ADD COLUMN shout VARCHAR(120) AS (UPPER(name)) STORED, ADD INDEX (shout)",
    "products MODIFY stock BIGINT NOT NULL",
    "products MODIFY category ENUM('toy', 'book', 'food', 'tool', 'game') NOT NULL",
    "orders MODIFY total DECIMAL(14,4) NOT NULL",
    "customers RENAME COLUMN loyalty TO points",
    "orders CHANGE total total DOUBLE NOT NULL FIRST",
    "customers DROP COLUMN points",
    "orders ADD COLUMN seen DATETIME(6) NOT NULL DEFAULT '2026-01-02 03:04:05.678901', ADD COLUMN plain INT",
    "payments MODIFY amount DECIMAL(20,6) NOT NULL, MODIFY method SET('cash', 'card', 'voucher') NOT NULL",
    "customers CONVERT TO CHARACTER SET utf16",
)


def test_every_alter_under_traffic_is_followed(stack: Stack, tmp_path: Path) -> None:
    with (
        shop_pipeline(stack, tmp_path, NAME, batch={"seconds": 0.5}) as (pipeline, shop),
        stack.mysql.connect() as connection,
        connection.cursor() as cursor,
    ):
        services = [pipeline.start("streamer"), pipeline.start("loader")]

        with traffic_beside_ddl(shop):
            wait_until(lambda: bool(events(services, "shard.committed")), 60, "nothing is committed")
            for number, alter in enumerate(ALTERS, start=1):
                cursor.execute(f"ALTER TABLE {NAME}.{alter}")
                # One reading after the other, and some that meet.
                if number % 3 == 0:
                    wait_until(lambda: len(events(services, "reread.done")) >= 5, 60, "nothing is read again")
        assert_equal(pipeline)
        assert len(events(services, "reread.begun")) >= 5 + len(ALTERS)
        assert events(services, "target.altered") != []
        assert events(services, "shard.restarted", "rows.quarantined") == []
        assert all(service.running() for service in services)
