"""Text columns that grow in MySQL while traffic runs: the warehouse follows, and nobody has to look."""

from functools import partial
from pathlib import Path

import pytest

from devstack.pipeline import wait_until
from devstack.stack import Stack
from tests.stack.scenario import assert_equal, events, shop_pipeline, traffic_beside_ddl

pytestmark = pytest.mark.stack

CUSTOMER = "INSERT INTO growth.customers (email, name, city, created_at) VALUES (%s, 'Grown', %s, NOW(6))"
PRODUCT = "INSERT INTO growth.products (sku, name, category, price, stock, updated_at) VALUES (%s, %s, 'toy', 1, 1, NOW(6))"
GROWTH = (
    ("customers", "city", "NULL", 300, CUSTOMER),
    ("products", "name", "NOT NULL", 500, PRODUCT),
    ("products", "name", "NOT NULL", 900, PRODUCT),
)
"""Each column, the characters it has room for then, and a row that needs them."""


@pytest.mark.long
def test_columns_grow_under_traffic(stack: Stack, tmp_path: Path) -> None:
    with (
        shop_pipeline(stack, tmp_path, "growth", batch={"seconds": 0.5}) as (pipeline, shop),
        stack.mysql.connect() as connection,
        connection.cursor() as cursor,
    ):
        services = [pipeline.start("streamer"), pipeline.start("loader")]

        def widened() -> list[str]:
            return [event["statement"].partition("ALTER COLUMN ")[2] for event in events(services, "target.widened")]

        def followed(number: int) -> bool:
            return len(widened()) == number

        with traffic_beside_ddl(shop):
            wait_until(lambda: bool(events(services, "shard.committed")), 60, "nothing is committed")
            for number, (table, column, null, characters, insert) in enumerate(GROWTH, start=1):
                cursor.execute(f"ALTER TABLE growth.{table} MODIFY {column} VARCHAR({characters}) {null}")
                cursor.execute(insert, (f"grown-{number}", "🦊" * characters))
                connection.commit()
                wait_until(partial(followed, number), 60, f"{table} is not widened")
        assert_equal(pipeline)
        assert widened() == [f'"{column}" TYPE VARCHAR({4 * characters})' for _, column, _, characters, _ in GROWTH]
        assert events(services, "shard.restarted", "rows.quarantined") == []
        assert all(service.running() for service in services)
