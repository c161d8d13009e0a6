import threading
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
import redshift_connector

from tests.devstack.redshift.standin import Client, Lake, StandIn

pytestmark = pytest.mark.stack


@pytest.fixture(params=["serializable", "snapshot"])
def either(request: pytest.FixtureRequest) -> StandIn:
    standin: StandIn = request.getfixturevalue(request.param)
    return standin


class Waiter:
    """A statement run in a thread, because it may have to wait for a lock."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.outcome = ""
        self._thread = threading.Thread(target=self._run, args=(action,))
        self._thread.start()

    def _run(self, action: Callable[[], object]) -> None:
        try:
            action()
            self.outcome = "done"
        except redshift_connector.error.ProgrammingError as e:
            self.outcome = e.args[0]["M"]

    def ends(self) -> str:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.outcome


def until_waiting(watcher: Client, table: str) -> None:
    """Returns once somebody waits for a lock on the table."""
    for _ in range(200):
        waiting = watcher.rows(
            "SELECT granted FROM svv_transactions t JOIN pg_class c ON c.oid = t.relation WHERE c.relname = %s AND NOT granted", (table,)
        )
        watcher.commit()
        if waiting:
            return
        time.sleep(0.02)
    raise AssertionError(f"nobody waits for {table}")


@pytest.fixture
def pair(either: StandIn) -> Iterator[tuple[Client, Client]]:
    one, two = Client(either), Client(either)
    yield one, two
    one.close()
    two.close()


def made(client: Client, table: str, rows: str = "(1, 0), (2, 0)") -> None:
    client.run(f"CREATE TABLE {table} (id INT, v INT)")
    client.run(f"INSERT INTO {table} VALUES {rows}")
    client.commit()


def test_a_second_writer_whose_first_statement_is_the_write_waits_and_sees_the_first_ones_work(
    either: StandIn, pair: tuple[Client, Client], table: str
) -> None:
    one, two = pair
    made(one, table)
    one.run(f"UPDATE {table} SET v = v + 1 WHERE id = 1")
    waiter = Waiter(lambda: two.run(f"UPDATE {table} SET v = v + 1 WHERE id = 1"))
    until_waiting(Client(either), table)
    one.commit()
    assert waiter.ends() == "done"
    two.commit()
    assert one.value(f"SELECT v FROM {table} WHERE id = 1") == 2


def test_a_statement_outside_of_a_block_waits_and_then_succeeds_too(either: StandIn, pair: tuple[Client, Client], table: str) -> None:
    one, _ = pair
    made(one, table)
    auto = Client(either, autocommit=True)
    auto.run(f"UPDATE {table} SET v = v + 1 WHERE id = 1")  # so that it is prepared, and the next run begins with Bind
    one.run(f"UPDATE {table} SET v = v + 1 WHERE id = 1")
    waiter = Waiter(lambda: auto.run(f"UPDATE {table} SET v = v + 1 WHERE id = 1"))
    until_waiting(Client(either), table)
    one.commit()
    assert waiter.ends() == "done"
    assert one.value(f"SELECT v FROM {table} WHERE id = 1") == 3
    auto.close()


def test_a_writer_that_staged_before_it_waited_gets_1023(either: StandIn, pair: tuple[Client, Client], lake: Lake, table: str) -> None:
    one, two = pair
    made(one, table)
    one.run(f"DELETE FROM {table} WHERE id = 1")
    two.run(f"CREATE TEMP TABLE {table}_stage (LIKE {table})")
    two.run(f"INSERT INTO {table}_stage VALUES (1, 7)")
    waiter = Waiter(lambda: two.run(f"DELETE FROM {table} USING {table}_stage WHERE {table}.id = {table}_stage.id"))
    until_waiting(Client(either), table)
    one.commit()
    assert waiter.ends() == "1023"
    two.rollback()


def test_locking_first_cures_it(either: StandIn, pair: tuple[Client, Client], table: str) -> None:
    one, two = pair
    made(one, table)

    def stage_under_the_lock() -> None:
        two.run(f"LOCK {table}")
        two.run(f"CREATE TEMP TABLE {table}_stage (LIKE {table})")
        two.run(f"INSERT INTO {table}_stage VALUES (1, 7)")
        two.run(f"DELETE FROM {table} USING {table}_stage WHERE {table}.id = {table}_stage.id")
        two.commit()

    one.run(f"DELETE FROM {table} WHERE id = 1")
    waiter = Waiter(stage_under_the_lock)
    until_waiting(Client(either), table)
    one.commit()
    assert waiter.ends() == "done"


def write_skew(one: Client, two: Client, table: str) -> None:
    """The guide's example of a serializable isolation violation: each reads what the other writes."""
    one.rows(f"SELECT * FROM {table}_1")
    two.rows(f"SELECT * FROM {table}_2")
    one.run(f"INSERT INTO {table}_2 VALUES (1, 1)")
    two.run(f"INSERT INTO {table}_1 VALUES (1, 1)")
    one.commit()
    two.commit()


def test_write_skew_is_1023_under_serializable(serializable: StandIn, table: str) -> None:
    one, two = Client(serializable), Client(serializable)
    made(one, f"{table}_1")
    made(one, f"{table}_2")
    with pytest.raises(redshift_connector.error.ProgrammingError) as refusal:
        write_skew(one, two, table)
    assert refusal.value.args[0]["C"] == "XX000"
    assert refusal.value.args[0]["M"] == "1023"
    assert "Serializable isolation violation on table - " in refusal.value.args[0]["D"]
    one.close()
    two.close()


def test_write_skew_passes_under_snapshot(snapshot: StandIn, table: str) -> None:
    one, two = Client(snapshot), Client(snapshot)
    made(one, f"{table}_1")
    made(one, f"{table}_2")
    write_skew(one, two, table)
    assert one.value(f"SELECT COUNT(*) FROM {table}_1") == 3
    assert one.value(f"SELECT COUNT(*) FROM {table}_2") == 3
    one.close()
    two.close()


def test_two_inserts_into_one_table_wait_only_under_serializable(either: StandIn, pair: tuple[Client, Client], table: str) -> None:
    one, two = pair
    made(one, table)
    one.run(f"INSERT INTO {table} VALUES (3, 0)")
    waiter = Waiter(lambda: two.run(f"INSERT INTO {table} VALUES (4, 0)"))
    if either.isolation == "serializable":
        until_waiting(Client(either), table)
        one.commit()
    assert waiter.ends() == "done"
    two.commit()
    one.commit()
    assert one.value(f"SELECT COUNT(*) FROM {table}") == 4


def test_two_copies_into_one_table_wait_for_each_other_under_serializable(serializable: StandIn, lake: Lake, table: str) -> None:
    one, two = Client(serializable), Client(serializable)
    made(one, table)
    clauses = lake.copy({"id": pa.array([5], pa.int32()), "v": pa.array([5], pa.int32())})
    one.run(f"COPY {table} {clauses}")
    waiter = Waiter(lambda: two.run(f"COPY {table} {clauses}"))
    until_waiting(Client(serializable), table)
    one.commit()
    assert waiter.ends() == "done"
    two.commit()
    assert one.value(f"SELECT COUNT(*) FROM {table}") == 4
    one.close()
    two.close()


def test_a_reader_does_not_wait_for_a_writer_and_keeps_its_snapshot(pair: tuple[Client, Client], table: str) -> None:
    one, two = pair
    made(one, table)
    one.run(f"DELETE FROM {table}")
    assert two.value(f"SELECT COUNT(*) FROM {table}") == 2
    one.commit()
    assert two.value(f"SELECT COUNT(*) FROM {table}") == 2
    two.commit()
    assert two.value(f"SELECT COUNT(*) FROM {table}") == 0


@pytest.mark.parametrize("statement", ["CREATE TABLE IF NOT EXISTS {} (a INT)", "CREATE SCHEMA IF NOT EXISTS {}"])
def test_two_sessions_that_create_the_same_at_once_both_succeed(either: StandIn, table: str, statement: str) -> None:
    one, two, watcher = Client(either), Client(either), Client(either, autocommit=True)
    one.run(statement.format(table))
    waiter = Waiter(lambda: two.run(statement.format(table)))
    waiting = "SELECT pid FROM svv_transactions WHERE NOT granted AND lockable_object_type = 'transactionid'"
    while not watcher.rows(waiting) and not waiter.outcome:
        time.sleep(0.02)
    one.commit()
    assert waiter.ends() == "done"
    two.commit()
    for client in (one, two, watcher):
        client.close()


def test_crossed_locks_are_found_and_one_side_gets_40p01(either: StandIn, pair: tuple[Client, Client], table: str) -> None:
    one, two = pair
    made(one, f"{table}_1")
    made(one, f"{table}_2")
    one.run(f"DELETE FROM {table}_1")
    two.run(f"DELETE FROM {table}_2")
    waiter = Waiter(lambda: one.run(f"DELETE FROM {table}_2"))
    until_waiting(Client(either), f"{table}_2")
    other = Waiter(lambda: two.run(f"DELETE FROM {table}_1"))
    outcomes = {other.ends()}
    if "done" not in outcomes:
        two.rollback()
    # Nobody else may use the waiter's connection before: its error may still be on the way when the other side goes on.
    outcomes.add(waiter.ends())
    assert outcomes == {"done", "deadlock detected"}
