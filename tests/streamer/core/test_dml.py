"""Which table a statement that writes rows changes, where its text leaves no doubt."""

import pytest

from contracts.table import TableId
from streamer.core.dml import is_bookkeeping, sole_target
from streamer.core.events import Query

BEAT = TableId("mysql", "rds_heartbeat2")
HEARTBEAT = "INSERT INTO mysql.rds_heartbeat2(id, value) values (1,1755183000000) ON DUPLICATE KEY UPDATE value = 1755183000000"


@pytest.mark.parametrize(
    "sql",
    [
        HEARTBEAT,
        "insert into `mysql`.`rds_heartbeat2` set value = 1",
        "REPLACE INTO mysql . rds_heartbeat2 VALUE (1, 'f(')",
        "INSERT INTO mysql.rds_heartbeat2 VALUES (1, (2)) ON DUPLICATE KEY UPDATE value = VALUES(value)",
        "DELETE FROM mysql.rds_heartbeat2",
        "DELETE FROM mysql.rds_heartbeat2 WHERE id IN (1, 2) AND (value = 3)",
    ],
)
def test_a_statement_that_writes_one_table_of_the_servers_own_is_bookkeeping(sql: str) -> None:
    assert sole_target(Query("shop", sql)) == BEAT
    assert is_bookkeeping(Query("shop", sql))


@pytest.mark.parametrize("table", ["shop.orders", "MYSQL.orders", "sys.sys_config"])
def test_no_table_that_may_be_anybodys_or_have_triggers_is_bookkeeping(table: str) -> None:
    assert sole_target(Query("mysql", f"DELETE FROM {table}")) is not None
    assert not is_bookkeeping(Query("mysql", f"DELETE FROM {table}"))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO rds_heartbeat2 VALUES (1)",
        "INSERT IGNORE INTO mysql.rds_heartbeat2 VALUES (1)",
        "INSERT INTO mysql.rds_heartbeat2 VALUES (1, writes_orders())",
        "INSERT INTO mysql.rds_heartbeat2 VALUES (1, shop.`writes_orders` (2))",
        "INSERT INTO mysql.rds_heartbeat2 SELECT 1, v FROM shop.orders",
        "INSERT INTO mysql.rds_heartbeat2 (SELECT * FROM a_view)",
        "INSERT INTO mysql.rds_heartbeat2 TABLE a_view",
        "INSERT INTO mysql.rds_heartbeat2 WITH a AS (VALUES ROW(1)) TABLE a",
        "INSERT INTO /*!99999 mysql. */ shop.rds_heartbeat2 VALUES (1)",
        "DELETE FROM mysql.rds_heartbeat2, shop.orders USING mysql.rds_heartbeat2 JOIN shop.orders",
        "DELETE FROM mysql.rds_heartbeat2.* USING mysql.rds_heartbeat2",
        "DELETE FROM mysql.rds_heartbeat2 USING mysql.rds_heartbeat2, shop.orders",
        "DELETE FROM mysql.rds_heartbeat2 WHERE id = writes_orders(1)",
        "UPDATE IGNORE mysql.rds_heartbeat2, shop.orders SET v = 1",
        "INSERT INTO mysql.",
        "",
    ],
)
def test_where_the_text_leaves_a_doubt_there_is_no_one_table(sql: str) -> None:
    assert sole_target(Query("mysql", sql)) is None
