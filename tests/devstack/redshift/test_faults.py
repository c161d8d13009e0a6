import time
from collections.abc import Iterator

import pyarrow as pa
import pytest
import redshift_connector

from tests.devstack.redshift.standin import Client, Lake, StandIn

pytestmark = pytest.mark.stack
LOST = (redshift_connector.error.InterfaceError, redshift_connector.error.OperationalError, OSError)


@pytest.fixture
def faulty(snapshot: StandIn) -> Iterator[StandIn]:
    yield snapshot
    snapshot.faults.clear()


@pytest.fixture
def writer(faulty: StandIn, table: str) -> Client:
    client = Client(faulty)
    client.run(f"CREATE TABLE {table} (a INT)")
    client.commit()
    client.run(f"INSERT INTO {table} VALUES (1)")
    return client


def count(standin: StandIn, table: str) -> int:
    client = Client(standin)
    found = int(client.value(f"SELECT COUNT(*) FROM {table}"))
    client.close()
    return found


def test_a_commit_dropped_before_it_ran_leaves_nothing(faulty: StandIn, writer: Client, table: str) -> None:
    faulty.faults.add("drop_before", kind="commit")
    with pytest.raises(LOST):
        writer.commit()
    assert count(faulty, table) == 0


def test_a_commit_whose_answer_is_lost_has_happened(faulty: StandIn, writer: Client, table: str) -> None:
    faulty.faults.add("drop_after", kind="commit")
    with pytest.raises(LOST):
        writer.commit()
    assert count(faulty, table) == 1
    assert [(e.outcome, e.fault) for e in faulty.journal() if e.fault][-1] == ("ok", "drop_after")


def test_a_delayed_commit_lands_even_after_its_client_left(faulty: StandIn, writer: Client, table: str) -> None:
    faulty.faults.add("delay", kind="commit", seconds=0.5)
    writer.connection._usock.settimeout(0.1)
    with pytest.raises(LOST):
        writer.commit()
    writer.connection._usock.close()
    assert count(faulty, table) == 0
    for _ in range(100):
        if count(faulty, table) == 1:
            return
        time.sleep(0.05)
    raise AssertionError("the commit never landed")


def test_a_hanging_statement_is_never_run_and_its_connection_ends(faulty: StandIn, writer: Client, table: str) -> None:
    faulty.faults.add("hang", kind="commit", seconds=0.2)
    with pytest.raises(LOST):
        writer.commit()
    assert count(faulty, table) == 0


def test_an_injected_1023_at_commit_ends_the_transaction(faulty: StandIn, writer: Client, table: str) -> None:
    faulty.faults.add("error_1023", kind="commit")
    with pytest.raises(redshift_connector.error.ProgrammingError) as refusal:
        writer.commit()
    assert refusal.value.args[0]["M"] == "1023"
    assert writer.value(f"SELECT COUNT(*) FROM {table}") == 0


def test_an_injected_1023_in_a_statement_fails_its_transaction(faulty: StandIn, writer: Client, table: str) -> None:
    faulty.faults.add("error_1023", statement=f"delete from {table}")
    with pytest.raises(redshift_connector.error.ProgrammingError) as refusal:
        writer.run(f"DELETE FROM {table}")
    assert "Serializable isolation violation" in refusal.value.args[0]["D"]
    assert writer.refused("SELECT 1")["C"] == "25P02"
    assert writer.run(f"DELETE FROM {table}") == 0


def test_the_second_copy_is_refused_with_15001_and_the_third_is_not(faulty: StandIn, writer: Client, lake: Lake, table: str) -> None:
    faulty.faults.add("error_15001", kind="copy", nth=2)
    clauses = lake.copy({"a": pa.array([7], pa.int32())})
    writer.run(f"COPY {table} {clauses}")
    assert "code:      15001" in writer.refused(f"COPY {table} {clauses}")["D"]
    writer.run(f"COPY {table} {clauses}")
    writer.commit()
    assert count(faulty, table) == 1


def test_a_copy_whose_answer_is_lost_is_rolled_back_with_its_transaction(faulty: StandIn, writer: Client, lake: Lake, table: str) -> None:
    faulty.faults.add("drop_after", kind="copy")
    with pytest.raises(LOST):
        writer.run(f"COPY {table} {lake.copy({'a': pa.array([7], pa.int32())})}")
    assert count(faulty, table) == 0


def test_outside_of_a_block_a_statement_whose_answer_is_lost_has_happened(faulty: StandIn, writer: Client, table: str) -> None:
    auto = Client(faulty, autocommit=True)
    faulty.faults.add("drop_after", statement=f"insert into {table}")
    with pytest.raises(LOST):
        auto.run(f"INSERT INTO {table} VALUES (9)")
    assert count(faulty, table) == 1


def test_a_refused_connection_is_followed_by_a_good_one(faulty: StandIn) -> None:
    faulty.faults.add("drop_before", kind="connect")
    with pytest.raises(LOST):
        Client(faulty)
    Client(faulty).close()


def test_the_journal_holds_each_statement_as_sent_with_its_outcome(faulty: StandIn, writer: Client, table: str) -> None:
    writer.commit()
    writer.refused(f"SELECT missing FROM {table}")
    mine = [(e.verb, e.outcome, e.rows) for e in faulty.journal() if table in e.sql]
    assert mine == [("create table", "ok", 0), ("insert", "ok", 1), ("select", "42703", 0)]
