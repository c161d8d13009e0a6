"""Text columns that grow in MySQL while traffic runs: the warehouse follows, and nobody has to look."""

from functools import partial
from pathlib import Path

import pytest

from devstack.pipeline import wait_until
from devstack.stack import Stack
from tests.stack.scenario import assert_equal, events, shop_pipeline, traffic

pytestmark = pytest.mark.stack

GROWTH = (("customers", "city", 300), ("products", "name", 500), ("products", "name", 900))
"""Each column, and the characters it has room for then."""


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

        with traffic(shop):
            wait_until(lambda: bool(events(services, "shard.committed")), 60, "nothing is committed")
            for number, (table, column, characters) in enumerate(GROWTH, start=1):
                null = "NOT NULL" if column == "name" else "NULL"
                cursor.execute(f"ALTER TABLE growth.{table} MODIFY {column} VARCHAR({characters}) {null}")
                cursor.execute(f"UPDATE growth.{table} SET {column} = %s LIMIT 3", ("🦊" * characters,))
                connection.commit()
                wait_until(partial(followed, number), 60, f"{table} is not widened")
        assert_equal(pipeline)
        assert widened() == [f'"{column}" TYPE VARCHAR({4 * characters})' for _, column, characters in GROWTH]
        assert events(services, "shard.restarted", "rows.quarantined") == []
        assert all(service.running() for service in services)
